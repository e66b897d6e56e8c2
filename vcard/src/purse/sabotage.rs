// SPDX-License-Identifier: Apache-2.0
//! Faults of the purse that a test switches on.

use super::Purse;
use crate::context::Context;
use crate::fault::Fault;
use crate::stop::Stop;
use cam_types::Fen;
use iso7816::apdu::{Command, StatusWord};
use wallet::Account;
use wallet::command::{INS_CREDIT, INS_DEBIT};

/// One command of a purse that may misbehave.
pub(crate) fn process(purse: &mut Purse<'_>, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
    let answer = purse.process(command)?;
    if matches!(command.ins, INS_CREDIT | INS_DEBIT) && purse.vault.has(Fault::WrongSubtraction) {
        take_one_more(purse)?;
    }
    Ok(answer)
}

/// Behind an honest CREDIT or DEBIT one fen more goes, without number, record or code.
fn take_one_more(purse: &mut Purse<'_>) -> Result<(), Stop> {
    purse.vault.change(|objects| {
        let money = &mut objects.purse.get_mut(Context::PURSE)?.money;
        let balance = &mut money.account_mut(Account::Purse)?.balance.0;
        *balance = balance.checked_sub(Fen::new(1)).ok_or(StatusWord::INSUFFICIENT_BALANCE)?;
        Ok(())
    })
}
