// SPDX-License-Identifier: Apache-2.0
//! What every MAC, TAC and log record is about: amount, type, terminal, date and time; and the
//! purse's status words.
//!
//! Normative references:
//!  - PBOC electronic purse (JR/T 0025), as `docs/spec/purse.md` states it

use cam_types::{BcdDate, BcdTime, DecodeError, Fen, Reader, TerminalId};

/// The type of a transaction, as its MACs, TAC and log record carry it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TransactionType(pub u8);

impl TransactionType {
    /// Load of the passbook.
    pub const LOAD_ED: Self = Self(0x01);
    /// Load of the purse.
    pub const LOAD: Self = Self(0x02);
    /// Unload of the passbook: back to the bank account.
    pub const UNLOAD: Self = Self(0x03);
    /// Cash from the passbook.
    pub const CASH: Self = Self(0x04);
    /// Purchase from the passbook.
    pub const PURCHASE_ED: Self = Self(0x05);
    /// Purchase from the purse.
    pub const PURCHASE: Self = Self(0x06);
    /// Update of the passbook's overdraft limit. No money moves: the amount is the new limit.
    pub const OVERDRAFT: Self = Self(0x07);
    /// Compound purchase: money and an application record move together.
    pub const COMPOUND: Self = Self(0x09);

    /// P1 and P2 of its INITIALIZE.
    pub const fn initialize(self) -> [u8; 2] {
        match self {
            Self::LOAD_ED => [0x00, 0x01],
            Self::LOAD => [0x00, 0x02],
            Self::UNLOAD => [0x05, 0x01],
            Self::CASH => [0x02, 0x01],
            Self::PURCHASE_ED => [0x01, 0x01],
            Self::OVERDRAFT => [0x04, 0x01],
            Self::COMPOUND => [0x03, 0x02],
            _ => [0x01, 0x02],
        }
    }

    /// Whether the online sequence counts it, and not the offline one: a host authorises it.
    pub const fn counts_online(self) -> bool {
        matches!(self, Self::LOAD | Self::LOAD_ED | Self::UNLOAD | Self::OVERDRAFT)
    }

    /// Whether money goes to the card.
    pub(crate) const fn is_load(self) -> bool {
        matches!(self, Self::LOAD | Self::LOAD_ED)
    }

    /// Where its money is.
    pub const fn account(self) -> Account {
        match self {
            Self::LOAD_ED | Self::UNLOAD | Self::CASH | Self::PURCHASE_ED | Self::OVERDRAFT => {
                Account::Passbook
            }
            _ => Account::Purse,
        }
    }
}

/// Passbook or purse: P2 of what asks for one of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Account {
    /// Passbook (ED).
    Passbook = 1,
    /// Purse (EP).
    Purse = 2,
}

/// What a purse and its partner agree on: amount, type, terminal, date and time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transaction {
    /// How much moves; of an update of the overdraft limit the new limit.
    pub amount: Fen,
    /// What kind of transaction it is.
    pub kind: TransactionType,
    /// The terminal, by the id of its PSAM.
    pub terminal: TerminalId,
    /// The terminal's date.
    pub date: BcdDate,
    /// The terminal's time.
    pub time: BcdTime,
}

impl Transaction {
    /// Octets of a transaction in log records, and in what MACs and TACs are made over.
    pub const LEN: usize = 18;

    /// `amount4 type1 terminal6 date4 time3`.
    pub fn octets(&self) -> [u8; Self::LEN] {
        let mut octets = [0; Self::LEN];
        let amount = self.amount.to_be_bytes();
        let fields: [&[u8]; 5] =
            [&amount, &[self.kind.0], self.terminal.octets(), &self.date.0, &self.time.0];
        octets.iter_mut().zip(fields.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        octets
    }

    /// Reads these fields.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            amount: Fen::from_be_bytes(*r.array("amount")?),
            kind: TransactionType(r.u8("transaction type")?),
            terminal: TerminalId::new(*r.array("terminal")?),
            date: BcdDate(*r.array("date")?),
            time: BcdTime(*r.array("time")?),
        })
    }
}
