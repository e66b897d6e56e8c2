// SPDX-License-Identifier: Apache-2.0
//! RIGHTS: what the card's subscriber may watch, page by page, the purse's balance, and the highest
//! number that the log knows of a terminal.
//!
//! Normative references:
//!  - `docs/spec/card.md`, 3

use crate::error::EncodeError;
use alloc::vec::Vec;
use cam_types::{CasTime, DecodeError, Fen, Reader, TerminalSequence};

/// A page of the card's rights: count1 next1 rows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RightsPage {
    /// Where the next page begins; `None` (FF) after the last.
    pub next: Option<u8>,
    /// One for each right, in the card's order.
    pub rows: Vec<RightRow>,
}

impl RightsPage {
    /// The most rows that fit one protected answer (239 octets of data).
    pub const MAX_ROWS: usize = 14;

    /// Takes the whole answer without its status word.
    pub fn parse(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let count = r.u8("count of rights")?;
        let next = r.u8("next index")?;
        let rows = (0..count).map(|_| RightRow::read(&mut r)).collect::<Result<_, _>>()?;
        r.finish("page of rights")?;
        Ok(Self { next: if next == 0xFF { None } else { Some(next) }, rows })
    }

    /// Appends the answer.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        EncodeError::check("page of rights", self.rows.len(), Self::MAX_ROWS)?;
        if self.next == Some(0xFF) {
            return Err(EncodeError::Invalid("next index"));
        }
        out.extend([self.rows.len() as u8, self.next.unwrap_or(0xFF)]);
        for row in &self.rows {
            row.emit(out);
        }
        Ok(())
    }
}

/// One right, 16 octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RightRow {
    /// [`RightRow::PACKAGE`], [`RightRow::EVENT`] or [`RightRow::SLICE`].
    pub kind: u8,
    /// The service key slot whose ECMs it opens.
    pub slot: u8,
    /// Package or event.
    pub id: u32,
    /// Which edition of an event.
    pub tier: u8,
    /// When it begins.
    pub start: CasTime,
    /// When it ends.
    pub end: CasTime,
    /// `docs/spec/card.md` has the bits.
    pub flags: u8,
}

impl RightRow {
    /// A subscription to a package.
    pub const PACKAGE: u8 = 1;
    /// An event that was bought or given.
    pub const EVENT: u8 = 2;
    /// A slice of time.
    pub const SLICE: u8 = 3;
    /// Octets on the wire.
    pub const LEN: usize = 16;

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            kind: r.u8("kind of right")?,
            slot: r.u8("slot")?,
            id: r.u32("package or event")?,
            tier: r.u8("tier")?,
            start: CasTime::from_be_bytes(*r.array("start")?),
            end: CasTime::from_be_bytes(*r.array("end")?),
            flags: r.u8("flags of right")?,
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.kind, self.slot]);
        out.extend(self.id.to_be_bytes());
        out.push(self.tier);
        out.extend(self.start.to_be_bytes());
        out.extend(self.end.to_be_bytes());
        out.push(self.flags);
    }
}

/// What RIGHTS says of the wallet, 16 octets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WalletInfo {
    /// What is left.
    pub balance: Fen,
    /// The number of the next debit.
    pub offline_sequence: u16,
    /// The number of the next credit.
    pub online_sequence: u16,
    /// Up to this price a purchase needs no PIN.
    pub pin_free_per_purchase: Fen,
    /// Up to this sum a day.
    pub pin_free_per_day: Fen,
}

impl WalletInfo {
    /// Octets on the wire.
    pub const LEN: usize = 16;

    /// Takes the whole answer without its status word.
    pub fn parse(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let info = Self {
            balance: Fen::from_be_bytes(*r.array("balance")?),
            offline_sequence: r.u16("offline sequence")?,
            online_sequence: r.u16("online sequence")?,
            pin_free_per_purchase: Fen::from_be_bytes(*r.array("limit per purchase")?),
            pin_free_per_day: Fen::from_be_bytes(*r.array("limit per day")?),
        };
        r.finish("wallet information")?;
        Ok(info)
    }

    /// Appends the answer.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.balance.to_be_bytes());
        out.extend(self.offline_sequence.to_be_bytes());
        out.extend(self.online_sequence.to_be_bytes());
        out.extend(self.pin_free_per_purchase.to_be_bytes());
        out.extend(self.pin_free_per_day.to_be_bytes());
    }
}

/// What RIGHTS says of a terminal: the highest number of its purchases in the log, 5 octets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HighestNumber(pub Option<TerminalSequence>);

impl HighestNumber {
    /// Octets on the wire.
    pub const LEN: usize = 5;

    /// Takes the whole answer without its status word.
    pub fn parse(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let known = r.u8("whether the terminal is known")?;
        let number = TerminalSequence::from_be_bytes(*r.array("highest number")?);
        r.finish("highest number of a terminal")?;
        match known {
            0 => Ok(Self(None)),
            1 => Ok(Self(Some(number))),
            other => Err(DecodeError::Invalid {
                field: "whether the terminal is known",
                got: other.into(),
            }),
        }
    }

    /// Appends the answer.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.0.is_some().into());
        out.extend(self.0.unwrap_or_default().to_be_bytes());
    }
}
