//! How money leaves the purse and comes in: with a number, a record in the log, and a transaction code.
//!
//! Whoever moves money does it here, inside a transaction of the memory.

use super::store::PurseStore;
use super::{status, tac};
use crate::persist::Guarded;
use crate::vault::Stop;
use cam_types::{Fen, TerminalSequence};
use iso7816::apdu::StatusWord;
use wallet::formula::{tac_load_input, tac_purchase_input};
use wallet::{LogRecord, Mac, PurseStatus, Transaction};

/// Money that has moved, once the transaction around it holds.
#[derive(Clone, Copy, Debug)]
pub struct Booked {
    /// The record in the log.
    pub record: LogRecord,
    /// What is left.
    pub balance: Fen,
    /// The transaction code.
    pub tac: Mac,
}

/// Why money does not move.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotBooked {
    /// The balance is too low.
    Funds,
    /// The purse may not hold so much.
    Full,
    /// The sequence is used up.
    Exhausted,
    /// There is no key for the transaction code.
    NoKey,
}

impl From<NotBooked> for Stop {
    fn from(error: NotBooked) -> Self {
        match error {
            NotBooked::Funds => status(PurseStatus::INSUFFICIENT_BALANCE),
            NotBooked::Full => StatusWord::CONDITIONS.into(),
            NotBooked::Exhausted => status(PurseStatus::COUNTER_EXHAUSTED),
            NotBooked::NoKey => status(PurseStatus::NO_KEY),
        }
    }
}

/// What takes part in a transaction without a terminal's key: its proof has no MAC.
pub const NO_MAC: Mac = Mac([0; 4]);

impl PurseStore {
    /// Money goes out; `mac2` is what the terminal gets for it.
    pub fn pay(
        &mut self,
        transaction: Transaction,
        terminal_sequence: TerminalSequence,
        mac2: Mac,
    ) -> Result<Booked, NotBooked> {
        let balance = self.money.purse.balance.0.checked_sub(transaction.amount);
        let balance = balance.ok_or(NotBooked::Funds)?;
        let sequence = next(self.money.purse.offline_sequence)?;
        let tac = tac::code(self, &tac_purchase_input(&transaction, terminal_sequence))
            .ok_or(NotBooked::NoKey)?;
        self.money.purse.offline_sequence = Guarded(sequence);
        Ok(self.book(transaction, sequence, balance, mac2, tac))
    }

    /// Money comes in.
    pub fn receive(&mut self, transaction: Transaction) -> Result<Booked, NotBooked> {
        let balance = self.balance_with(transaction.amount).ok_or(NotBooked::Full)?;
        let before = self.money.purse.online_sequence;
        let sequence = next(before)?;
        let fields = tac_load_input(balance, before.0.to_be_bytes(), &transaction);
        let tac = tac::code(self, &fields).ok_or(NotBooked::NoKey)?;
        self.money.purse.online_sequence = Guarded(sequence);
        Ok(self.book(transaction, sequence, balance, NO_MAC, tac))
    }

    fn book(
        &mut self,
        transaction: Transaction,
        sequence: u16,
        balance: Fen,
        mac: Mac,
        tac: Mac,
    ) -> Booked {
        let record = LogRecord { sequence, overdraft: [0; 3], transaction };
        self.money.purse.balance = Guarded(balance);
        self.log(&record, mac, tac);
        Booked { record, balance, tac }
    }
}

/// The number after, unless there is none.
fn next(sequence: Guarded<u16>) -> Result<u16, NotBooked> {
    sequence.0.checked_add(1).ok_or(NotBooked::Exhausted)
}

#[cfg(test)]
mod tests;
