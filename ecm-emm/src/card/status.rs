// SPDX-License-Identifier: Apache-2.0
//! The access status: one number for "may it be watched, and if not, why not".
//!
//! Normative references:
//!  - `docs/spec/card.md`, 3.1

use core::fmt;

/// Whether a service may be watched, and if not, why. The numbers are also the C ABI's reasons.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AccessStatus(pub u8);

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl AccessStatus {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// In plain words; `None` for a number of a later version.
            pub const fn text(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    /// Not yet known.
    PENDING = 0x00, "pending";
    /// By a package.
    GRANTED_SUBSCRIPTION = 0x01, "granted by subscription";
    /// By an event that was bought or given.
    GRANTED_EVENT = 0x02, "granted by event";
    /// By a slice of time that was bought.
    GRANTED_TIME = 0x03, "granted by time";
    /// By the right for another edition of the event.
    GRANTED_TIER = 0x04, "granted by tier";
    /// Free to every card with the service key.
    GRANTED_FREE = 0x05, "granted free";
    /// For the seconds of the preview.
    PREVIEW = 0x10, "preview";
    /// It can be bought.
    PURCHASABLE = 0x20, "purchasable";
    /// No package, event or time opens it.
    NO_RIGHT = 0x30, "no right";
    /// The right begins later.
    NOT_YET_VALID = 0x31, "right not yet valid";
    /// The right has ended.
    EXPIRED = 0x32, "right expired";
    /// The card has nothing of this operator.
    UNKNOWN_OPERATOR = 0x33, "unknown operator";
    /// Not in the card's region.
    REGION = 0x34, "not in this region";
    /// Blacked out in the card's region.
    BLACKOUT = 0x35, "blacked out";
    /// Over the rating that the viewer allows.
    RATING = 0x36, "parental rating";
    /// The card knows no box.
    NOT_PAIRED = 0x37, "not paired";
    /// The card knows other boxes.
    PAIRED_ELSEWHERE = 0x38, "paired with another box";
    /// The operator has blocked the card.
    CARD_BLOCKED = 0x39, "card blocked";
    /// The card's time is over.
    CARD_EXPIRED = 0x3A, "card expired";
    /// The purse holds too little.
    FUNDS = 0x3B, "insufficient funds";
    /// The purchase log is full: it must be reported first.
    LOG_FULL = 0x3C, "purchase log full";
    /// The preview is used up.
    PREVIEW_USED = 0x3D, "preview used up";
    /// The card must first receive what the operator has sent.
    EMM_NEEDED = 0x3E, "entitlement update needed";
    /// Scrambled by other CA systems only. Told by the box, never by a card.
    FOREIGN_SYSTEM = 0x3F, "another CA system";
    /// No card in the reader.
    NO_CARD = 0x40, "no card";
    /// The card does not answer.
    MUTE_CARD = 0x41, "mute card";
    /// Not a card of ours.
    UNKNOWN_CARD = 0x42, "unknown card";
    /// The card is at work for another service.
    CARD_BUSY = 0x43, "card busy";
    /// The card has no key for this period.
    NO_KEY = 0x44, "no key for this period";
    /// The ECM cannot be read.
    MALFORMED_ECM = 0x45, "malformed ECM";
    /// The ECM is not authentic.
    REFUSED_ECM = 0x46, "refused ECM";
    /// The ECM's time is not the card's.
    CLOCK = 0x47, "clock unknown or wrong";
    /// The reader has failed.
    READER_FAULT = 0x48, "reader fault";
    /// A purchase is being settled.
    OUTCOME_UNKNOWN = 0x49, "outcome unknown";
    /// The ECM belongs to another channel.
    CHANNEL_MISMATCH = 0x4A, "ECM of another channel";
    /// No ECM of the service is on air. Told by the box, never by a card.
    NO_ECM = 0x4B, "no ECM on air";
    /// The descrambler did not take the control words or the ladder's keys. Told by the box, never
    /// by a card.
    DESCRAMBLER = 0x4C, "descrambler refuses";
    /// More ECM streams or components than are served. Told by the box, never by a card.
    TOO_MANY_STREAMS = 0x4D, "too many streams";
    /// The service is not scrambled.
    CLEAR = 0x7F, "clear";
}

impl AccessStatus {
    /// The answer carries control words that last.
    pub const fn is_granted(self) -> bool {
        matches!(self.0, 0x01..=0x0F)
    }

    /// The answer carries control words: granted or preview.
    pub const fn has_words(self) -> bool {
        matches!(self.0, 0x01..=0x1F)
    }

    /// Refused for a reason that lies with rights or money.
    pub const fn is_denied(self) -> bool {
        matches!(self.0, 0x30..=0x3F)
    }

    /// Refused for a reason that lies with the equipment or the stream.
    pub const fn is_technical(self) -> bool {
        matches!(self.0, 0x40..=0x4F)
    }
}

impl fmt::Display for AccessStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => write!(f, "access status 0x{:02X}", self.0),
        }
    }
}

/// The families of access reasons, from the best to the worst: of several ECM streams a session
/// shows the one that is worst off.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum AccessState {
    /// The programme is not scrambled.
    Clear,
    /// Keys are given.
    Granted,
    /// Keys are given for a trial.
    Preview,
    /// The card has not been asked yet.
    #[default]
    Pending,
    /// It can be bought.
    Purchasable,
    /// The card says no.
    Denied,
    /// Something does not work.
    Technical,
}

/// Who or what changes a refusal.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Remedy {
    /// Nothing needs to change.
    #[default]
    None,
    /// Time: it will settle by itself.
    Wait,
    /// A message of the operator: a right, a key, a pairing.
    Emm,
    /// The subscriber's PIN.
    Pin,
    /// Money: buy it, or load the purse.
    Money,
    /// Somebody who looks at the box or the card.
    Technician,
}

impl AccessState {
    /// The family of a status, also of one of a later version.
    pub const fn of(status: AccessStatus) -> Self {
        match status.0 {
            0x00 => Self::Pending,
            0x01..=0x0F => Self::Granted,
            0x10..=0x1F => Self::Preview,
            0x20..=0x2F => Self::Purchasable,
            0x30..=0x3F => Self::Denied,
            0x7F => Self::Clear,
            _ => Self::Technical,
        }
    }
}
