// SPDX-License-Identifier: Apache-2.0
//! What there is to be said about a kind of message, and what makes one type of all kinds.

use crate::emm::{EmmError, Senders};
use cam_types::CasTime;
use serde::de::DeserializeOwned;
use std::path::Path;

/// A kind of message. Its fields, as an engineer writes them, are those of the type.
pub trait Kind: DeserializeOwned {
    /// As it is written in files and shown in the report: the type's name in lower case.
    const NAME: &'static str;
    /// The fields, for `headend emm --help`; what may be left out in brackets.
    const FIELDS: &'static str;
    /// It is sealed with a number of its own, and not one that stands elsewhere or is 0.
    fn takes_number(&self) -> bool {
        true
    }

    /// The message as a section. What an attacker sends is not made here.
    fn section(&self, from: Senders<'_>, on: Occasion<'_>) -> Result<Vec<u8>, EmmError>;
}

/// What a message may depend on besides its fields and the operator file.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// Its number.
    pub sequence: u32,
    /// When it goes on air.
    pub time: CasTime,
    /// Where the files that it names are.
    pub folder: &'a Path,
}

/// The type of all messages, out of the kinds: first those that anybody may send.
macro_rules! messages {
    ($($Kind:ident)*; in a schedule also $($OfSchedule:ident)*) => {
        /// One EMM. Each kind names the cards it goes to in its own way: `card` by card number
        /// (EMM-U), `group` by group address (EMM-S), or all cards (EMM-G).
        #[derive(Clone, Debug, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[expect(missing_docs, reason = "each kind has its own")]
        pub enum Message {
            $($Kind($Kind),)*
            $($OfSchedule($OfSchedule),)*
        }

        impl Message {
            /// Every kind with its fields, for the help.
            pub const KINDS: &[(&str, &str)] = &[$(($Kind::NAME, $Kind::FIELDS)),*];
            /// The same of what belongs into a schedule.
            pub const KINDS_OF_SCHEDULE: &[(&str, &str)] =
                &[$(($OfSchedule::NAME, $OfSchedule::FIELDS)),*];

            /// The kind, as it is written in files and shown in the report.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$Kind(_) => $Kind::NAME,)*
                    $(Self::$OfSchedule(_) => $OfSchedule::NAME,)*
                }
            }

            /// It is sealed with a number of its own.
            pub fn takes_number(&self) -> bool {
                match self {
                    $(Self::$Kind(message) => message.takes_number(),)*
                    $(Self::$OfSchedule(message) => message.takes_number(),)*
                }
            }

            /// The message as a section. What an attacker sends is not made here.
            pub fn section(
                &self,
                from: Senders<'_>,
                on: Occasion<'_>,
            ) -> Result<Vec<u8>, EmmError> {
                match self {
                    $(Self::$Kind(message) => message.section(from, on),)*
                    $(Self::$OfSchedule(message) => message.section(from, on),)*
                }
            }
        }
    };
}

pub(super) use messages;
