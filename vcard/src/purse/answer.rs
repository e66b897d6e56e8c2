// SPDX-License-Identifier: Apache-2.0
//! How long answers are: a terminal that wants less is told so before anything is done, since what
//! it did not take would be lost.

use super::order::kind_of;
use iso7816::apdu::{Command, StatusWord};
use wallet::TransactionType;
use wallet::command::{
    INS_BALANCE, INS_CREDIT, INS_DEBIT, INS_INITIALIZE, INS_PROVE, INS_UPDATE_OVERDRAFT_LIMIT,
};

/// Whether the answer is no longer than Ne.
pub(super) fn fits(command: &Command<'_>) -> Result<(), StatusWord> {
    match (command.le, length(command)) {
        (Some(le), Some(length)) if usize::from(le) < length => {
            Err(StatusWord::with_right_length(length))
        }
        _ => Ok(()),
    }
}

/// Octets of the answer, of commands that always have as many.
fn length(command: &Command<'_>) -> Option<usize> {
    if command.cla != 0x80 {
        return None;
    }
    Some(match (command.ins, command.p1) {
        (INS_INITIALIZE, p1) => match kind_of([p1, command.p2])? {
            TransactionType::OVERDRAFT => 19,
            kind if kind.counts_online() => 16,
            _ => 15,
        },
        (INS_DEBIT, 0x03) | (INS_CREDIT | INS_UPDATE_OVERDRAFT_LIMIT | INS_BALANCE, _) => 4,
        (INS_DEBIT | INS_PROVE, _) => 8,
        _ => return None,
    })
}
