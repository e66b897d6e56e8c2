// SPDX-License-Identifier: Apache-2.0
//! A transaction whose answer was lost, as it is kept until the card has been asked.
//!
//! Every commit may end in one, so it stands below them all; [`crate::proof`] settles it.

use crate::transaction::Transaction;
use alloc::vec::Vec;
use cam_types::{DecodeError, Fen, Reader, TerminalSequence};

/// A transaction whose outcome only the card knows.
///
/// Not `Clone`: it is settled exactly once. Persist it before anything else.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "money may have moved"]
pub struct Unsettled {
    /// Amount, type, terminal, date and time.
    pub transaction: Transaction,
    /// The terminal's number; zero for a load, which has none.
    pub terminal_sequence: TerminalSequence,
    /// The sequence number that INITIALIZE returned.
    pub sequence: [u8; 2],
    /// Which key.
    pub key_index: u8,
    /// The balance, if the transaction took place.
    pub balance: Fen,
}

impl Unsettled {
    /// Octets of a persisted one.
    pub const LEN: usize = 29;

    /// What is to be persisted.
    pub fn octets(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LEN);
        out.extend(self.transaction.octets());
        out.extend(self.terminal_sequence.to_be_bytes());
        out.extend(self.sequence);
        out.push(self.key_index);
        out.extend(self.balance.to_be_bytes());
        out
    }

    /// Reads what was persisted.
    pub fn parse(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let unsettled = Self {
            transaction: Transaction::read(&mut r)?,
            terminal_sequence: TerminalSequence::from_be_bytes(*r.array("terminal sequence")?),
            sequence: *r.array("sequence")?,
            key_index: r.u8("key index")?,
            balance: Fen::from_be_bytes(*r.array("balance")?),
        };
        r.finish("unsettled transaction")?;
        Ok(unsettled)
    }
}
