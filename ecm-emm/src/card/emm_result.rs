// SPDX-License-Identifier: Apache-2.0
//! The card's answer to an EMM: what became of it, and why.
//!
//! Normative references:
//!  - `docs/spec/card.md`, 3 (elements) and 3.2

use crate::element;
use alloc::vec::Vec;
use cam_types::{DecodeError, Reader};
use core::fmt;

/// What the card says to an EMM: 2 octets; more where a newer card adds elements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EmmResult {
    /// What became of it.
    pub outcome: EmmOutcome,
    /// Why, where that is a question.
    pub detail: EmmDetail,
}

impl EmmResult {
    /// Carried out.
    pub const APPLIED: Self = Self::new(EmmOutcome::APPLIED, EmmDetail::NONE);
    /// Carried out before.
    pub const DUPLICATE: Self = Self::new(EmmOutcome::DUPLICATE, EmmDetail::NONE);

    /// From its parts.
    pub const fn new(outcome: EmmOutcome, detail: EmmDetail) -> Self {
        Self { outcome, detail }
    }

    /// Refused for this reason.
    pub const fn refused(detail: EmmDetail) -> Self {
        Self::new(EmmOutcome::REFUSED, detail)
    }

    /// Takes the whole answer without its status word.
    pub fn parse(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let outcome = EmmOutcome(r.u8("EMM outcome")?);
        let detail = EmmDetail(r.u8("EMM detail")?);
        // None is known yet, and one that is not known is passed over.
        while !r.is_empty() {
            element::read(
                &mut r,
                ["element of an EMM answer", "length of an element", "value of an element"],
            )?;
        }
        Ok(Self { outcome, detail })
    }

    /// Appends the answer.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.outcome.0, self.detail.0]);
    }
}

/// What became of an EMM.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct EmmOutcome(pub u8);

impl EmmOutcome {
    /// Carried out; its number is marked.
    pub const APPLIED: Self = Self(0x00);
    /// Carried out before; nothing was written.
    pub const DUPLICATE: Self = Self(0x01);
    /// Its number, or what it brings, is too old.
    pub const STALE: Self = Self(0x02);
    /// Not yet possible; to be sent again.
    pub const LATER: Self = Self(0x03);
    /// Never possible.
    pub const REFUSED: Self = Self(0x04);
}

impl fmt::Display for EmmOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::APPLIED => f.write_str("applied"),
            Self::DUPLICATE => f.write_str("duplicate"),
            Self::STALE => f.write_str("stale"),
            Self::LATER => f.write_str("later"),
            Self::REFUSED => f.write_str("refused"),
            Self(other) => write!(f, "EMM outcome 0x{other:02X}"),
        }
    }
}

/// Why an EMM was not carried out.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct EmmDetail(pub u8);

macro_rules! details {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl EmmDetail {
            $($(#[$doc])* pub const $name: Self = Self($number);)*
        }

        impl fmt::Display for EmmDetail {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($number => f.write_str($text),)*
                    other => write!(f, "EMM detail 0x{other:02X}"),
                }
            }
        }
    };
}

details! {
    /// Nothing to add.
    NONE = 0x00, "no detail";
    /// The key's role does not permit it.
    PERMISSION = 0x01, "not permitted to the key's role";
    /// A generation below the floor, or one that does not fit.
    EPOCH = 0x02, "epoch";
    /// Not authentic.
    AUTHENTICATION = 0x03, "not authentic";
    /// For another card.
    ADDRESS = 0x04, "for another card";
    /// Not well formed.
    MALFORMED = 0x05, "malformed";
    /// A command that this card does not know.
    UNKNOWN_TAG = 0x06, "unknown command";
    /// The check value of a delivered key does not agree.
    KCV = 0x07, "key check value";
    /// A suite that is not allowed or does not belong to the key.
    SUITE = 0x08, "suite";
    /// The card has no such key.
    NO_KEY = 0x09, "no key";
    /// What it changes is not there.
    NOT_FOUND = 0x0A, "not found";
    /// No room.
    FULL = 0x0B, "no room";
    /// The operator's signature does not hold.
    SIGNATURE = 0x0C, "signature";
    /// The key, slot or domain that it names cannot be its target.
    TARGET = 0x0D, "target";
    /// A bad signature came a short while ago: no other is looked at yet.
    BUSY = 0x0E, "resting after a bad signature";
    /// A RESET of the clock that it waits for has not been taken.
    RESET = 0x0F, "a RESET of the clock is missing";
    /// It pairs with a box that is listed out.
    BARRED = 0x10, "the box is barred";
}
