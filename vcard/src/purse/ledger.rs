// SPDX-License-Identifier: Apache-2.0
//! How money leaves the purse and comes in: with a number, a record in the log, and a transaction
//! code.
//!
//! Whoever moves money does it here, inside a transaction of the memory.

use super::booked::{Booked, NO_MAC, NotBooked};
use super::store::PurseStore;
use super::tac;
use crate::decide::decide;
use crate::persist::Guarded;
use cam_types::{Fen, TerminalSequence};
use wallet::formula::{mac3_unload, tac_load_input, tac_overdraft_input, tac_purchase_input};
use wallet::keys::SessionKey;
use wallet::{LogRecord, Mac, Transaction};

impl PurseStore {
    /// Money goes out; `mac2` is what the terminal gets for it.
    pub fn pay(
        &mut self,
        transaction: Transaction,
        terminal_sequence: TerminalSequence,
        mac2: Mac,
    ) -> Result<Booked, NotBooked> {
        let account = self.money.account(transaction.kind.account())?;
        let balance = drawn(account.balance.0, transaction.amount)?;
        let sequence = next(account.offline_sequence)?;
        let tac = tac::code(self, &tac_purchase_input(&transaction, terminal_sequence))
            .ok_or(NotBooked::NoKey)?;
        self.book(transaction, sequence, balance, mac2, tac)
    }

    /// Money comes in.
    pub fn receive(&mut self, transaction: Transaction) -> Result<Booked, NotBooked> {
        let which = transaction.kind.account();
        let balance = self.balance_with(which, transaction.amount).ok_or(NotBooked::Full)?;
        let before = self.money.account(which)?.online_sequence;
        let sequence = next(before)?;
        let fields = tac_load_input(balance, before.0.to_be_bytes(), &transaction);
        let tac = tac::code(self, &fields).ok_or(NotBooked::NoKey)?;
        self.book(transaction, sequence, balance, NO_MAC, tac)
    }

    /// Money goes back to the bank: the holder's own, not what could be overdrawn. MAC3 proves it,
    /// and no code.
    pub fn unload(
        &mut self,
        transaction: Transaction,
        session: &SessionKey,
    ) -> Result<Mac, NotBooked> {
        let account = self.money.account(transaction.kind.account())?;
        drawn(account.own(), transaction.amount)?;
        let balance = drawn(account.balance.0, transaction.amount)?;
        let before = account.online_sequence;
        let sequence = next(before)?;
        let mac3 = mac3_unload(session, balance, before.0.to_be_bytes(), &transaction);
        self.book(transaction, sequence, balance, mac3, NO_MAC)?;
        Ok(mac3)
    }

    /// The amount is the new overdraft limit; what is overdrawn already has to fit it.
    pub fn limit_overdraft(&mut self, transaction: Transaction) -> Result<Booked, NotBooked> {
        let account = self.money.account(transaction.kind.account())?;
        let balance = account.balance.0.checked_add(transaction.amount).ok_or(NotBooked::Full)?;
        let balance = drawn(balance, account.overdraft().fen())?;
        let before = account.online_sequence;
        let sequence = next(before)?;
        let fields = tac_overdraft_input(balance, before.0.to_be_bytes(), &transaction);
        let tac = tac::code(self, &fields).ok_or(NotBooked::NoKey)?;
        let account = self.money.account_mut(transaction.kind.account())?;
        account.limit_overdraft(transaction.amount);
        self.book(transaction, sequence, balance, NO_MAC, tac)
    }

    fn book(
        &mut self,
        transaction: Transaction,
        sequence: u16,
        balance: Fen,
        mac: Mac,
        tac: Mac,
    ) -> Result<Booked, NotBooked> {
        let account = self.money.account_mut(transaction.kind.account())?;
        account.balance = Guarded(balance);
        if transaction.kind.counts_online() {
            account.online_sequence = Guarded(sequence);
        } else {
            account.offline_sequence = Guarded(sequence);
        }
        let overdraft = account.overdraft().to_be_bytes();
        let record = LogRecord { sequence, overdraft, transaction };
        self.log(&record, mac, tac);
        Ok(Booked { record, balance, tac })
    }
}

/// What is left of a sum, unless it is less.
fn drawn(sum: Fen, amount: Fen) -> Result<Fen, NotBooked> {
    sum.checked_sub(amount).filter(|_| decide(|| amount <= sum)).ok_or(NotBooked::Funds)
}

/// The number after, unless there is none.
pub(super) fn next(sequence: Guarded<u16>) -> Result<u16, NotBooked> {
    let next = sequence.0.checked_add(1);
    next.filter(|_| decide(|| sequence.0 < u16::MAX)).ok_or(NotBooked::Exhausted)
}

#[cfg(test)]
mod tests;
