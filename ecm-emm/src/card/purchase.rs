// SPDX-License-Identifier: Apache-2.0
//! PURCHASE and QUERY: what is bought at which price, and what became of it.
//!
//! Normative references:
//!  - `docs/spec/purchase.md`, 3

use crate::ecm::MAX_ECM;
use crate::error::EncodeError;
use alloc::vec::Vec;
use cam_types::{BcdDate, BcdTime, DecodeError, Fen, Reader, TerminalId, TerminalSequence};
use core::fmt;

/// The data of PURCHASE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PurchaseRequest<'a> {
    /// With `terminal` the name of this purchase for ever.
    pub terminal_sequence: TerminalSequence,
    /// The box, by its name for the purse.
    pub terminal: TerminalId,
    /// What the subscriber saw; another price is refused.
    pub expected_price: Fen,
    /// [`PurchaseRequest::QUERY`] or 0.
    pub flags: u8,
    /// The whole ECM or offer; empty for a query.
    pub section: &'a [u8],
}

impl<'a> PurchaseRequest<'a> {
    /// Flag: only say what became of this purchase, never debit.
    pub const QUERY: u8 = 0x01;

    /// Takes the data field.
    pub fn parse(data: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let terminal_sequence = TerminalSequence::from_be_bytes(*r.array("terminal sequence")?);
        let terminal = TerminalId::new(*r.array("terminal")?);
        let expected_price = Fen::from_be_bytes(*r.array("expected price")?);
        let flags = r.u8("purchase flags")?;
        if flags & !Self::QUERY != 0 {
            return Err(DecodeError::Invalid { field: "purchase flags", got: flags.into() });
        }
        let section = r.rest();
        if (flags == Self::QUERY) != section.is_empty() || section.len() > MAX_ECM {
            let got = section.len() as u32;
            return Err(DecodeError::Invalid { field: "length of the purchase's section", got });
        }
        Ok(Self { terminal_sequence, terminal, expected_price, flags, section })
    }

    /// Appends the data field.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        EncodeError::check("section of a purchase", self.section.len(), MAX_ECM)?;
        if self.flags & !Self::QUERY != 0 || self.is_query() != self.section.is_empty() {
            return Err(EncodeError::Invalid("purchase flags"));
        }
        out.extend(self.terminal_sequence.to_be_bytes());
        out.extend_from_slice(self.terminal.octets());
        out.extend(self.expected_price.to_be_bytes());
        out.push(self.flags);
        out.extend_from_slice(self.section);
        Ok(())
    }

    /// It never debits.
    pub const fn is_query(&self) -> bool {
        self.flags & Self::QUERY != 0
    }
}

/// What the card says to PURCHASE, 31 octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PurchaseAnswer {
    /// What became of it.
    pub result: PurchaseResult,
    /// The state of the stored record.
    pub state: PurchaseState,
    /// The purse's offline sequence of the debit.
    pub offline_sequence: u16,
    /// What was paid.
    pub amount: Fen,
    /// The card's date of the debit.
    pub date: BcdDate,
    /// The card's time of the debit.
    pub time: BcdTime,
    /// After the debit; on a refusal what the purse holds.
    pub balance: Fen,
    /// The purse's authentication code.
    pub tac: [u8; 4],
    /// The link of the receipt chain.
    pub receipt: [u8; 8],
}

impl PurchaseAnswer {
    /// Octets on the wire.
    pub const LEN: usize = 31;

    /// A refusal: nothing but the balance.
    pub const fn refusal(result: PurchaseResult, balance: Fen) -> Self {
        Self {
            result,
            state: PurchaseState::NONE,
            offline_sequence: 0,
            amount: Fen::ZERO,
            date: BcdDate([0; 4]),
            time: BcdTime([0; 3]),
            balance,
            tac: [0; 4],
            receipt: [0; 8],
        }
    }

    /// Takes the whole answer without its status word.
    pub fn parse(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let answer = Self {
            result: PurchaseResult(r.u8("purchase result")?),
            state: PurchaseState(r.u8("purchase state")?),
            offline_sequence: r.u16("offline sequence")?,
            amount: Fen::from_be_bytes(*r.array("amount")?),
            date: BcdDate(*r.array("date")?),
            time: BcdTime(*r.array("time")?),
            balance: Fen::from_be_bytes(*r.array("balance")?),
            tac: *r.array("TAC")?,
            receipt: *r.array("receipt")?,
        };
        r.finish("purchase answer")?;
        Ok(answer)
    }

    /// Appends the answer.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.result.0, self.state.0]);
        out.extend(self.offline_sequence.to_be_bytes());
        out.extend(self.amount.to_be_bytes());
        out.extend(self.date.0);
        out.extend(self.time.0);
        out.extend(self.balance.to_be_bytes());
        out.extend(self.tac);
        out.extend(self.receipt);
    }
}

/// What became of a purchase.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PurchaseResult(pub u8);

macro_rules! results {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl PurchaseResult {
            $($(#[$doc])* pub const $name: Self = Self($number);)*
        }

        impl fmt::Display for PurchaseResult {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($number => f.write_str($text),)*
                    other => write!(f, "purchase result 0x{other:02X}"),
                }
            }
        }
    };
}

results! {
    /// Paid now.
    PAID = 0x01, "paid";
    /// This terminal and sequence are known: the stored record.
    DONE = 0x02, "done before";
    /// The right is there already: its record; nothing was paid.
    OWNED = 0x03, "owned already";
    /// A query for a purchase that the card does not know: no money has moved.
    NONE = 0x04, "not made";
    /// The section is not authentic.
    AUTHENTICATION = 0x10, "offer not authentic";
    /// The section's time is not the card's.
    CLOCK = 0x11, "offer too old or clock wrong";
    /// Outside the event's time.
    WINDOW = 0x12, "outside the time of sale";
    /// Over the rating that the subscriber allows.
    RATING = 0x13, "parental rating";
    /// The section offers nothing.
    NO_OFFER = 0x14, "nothing offered";
    /// Another price than expected.
    PRICE = 0x15, "another price than expected";
    /// Over the card's limit.
    CAP = 0x16, "over the limit";
    /// The log must be reported first.
    LOG_FULL = 0x17, "purchase log full";
    /// The PIN must be verified first.
    PIN_REQUIRED = 0x18, "PIN required";
    /// The purse holds too little.
    FUNDS = 0x19, "insufficient funds";
    /// The purse's sequence is used up.
    SEQUENCE = 0x1A, "sequence used up";
    /// The card has no key for the section.
    NO_KEY = 0x1B, "no key";
    /// The card or its purse is blocked.
    CARD_BLOCKED = 0x1C, "card blocked";
    /// The section cannot be read.
    MALFORMED = 0x1D, "malformed";
}

impl PurchaseResult {
    /// A record comes with it: PAID, DONE or OWNED.
    pub const fn has_record(self) -> bool {
        matches!(self.0, 0x01..=0x03)
    }

    /// No money has moved, and the card says why.
    pub const fn is_refusal(self) -> bool {
        matches!(self.0, 0x10..=0x1F)
    }
}

/// The state of a stored purchase.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PurchaseState(pub u8);

impl PurchaseState {
    /// There is none.
    pub const NONE: Self = Self(0x00);
    /// The purse was debited for it.
    pub const PAID: Self = Self(0x01);
    /// Paid and given back.
    pub const REFUNDED: Self = Self(0x02);
}
