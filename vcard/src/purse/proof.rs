// SPDX-License-Identifier: Apache-2.0
//! What the purse tells of itself: balance and proofs.

use super::Purse;
use super::data::expect;
use crate::context::Context;
use crate::stop::Stop;
use cam_types::Fen;
use iso7816::apdu::{Command, StatusWord};
use wallet::balance::Part;
use wallet::{Account, TransactionType};

impl Purse<'_> {
    /// GET BALANCE: what can be drawn, or by P1 what it is made of (JT/T 978).
    pub(super) fn balance(&self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let which = if command.p2 == 0x01 { Account::Passbook } else { Account::Purse };
        self.admit_to(which)?;
        expect(command, command.p1, which as u8, 0)?;
        let money = &self.vault.objects().purse.get(Context::PURSE)?.money;
        let account = money.account(which)?;
        let (drawable, limit) = (account.balance.0, account.overdraft().fen());
        let part = match command.p1 {
            part if part == Part::Drawable as u8 => drawable,
            part if part == Part::Limit as u8 => limit,
            part if part == Part::Overdrawn as u8 => {
                limit.checked_sub(drawable).unwrap_or(Fen::ZERO)
            }
            part if part == Part::Own as u8 => account.own(),
            _ => return Err(StatusWord::WRONG_P1P2.into()),
        };
        Ok(part.to_be_bytes().to_vec())
    }

    /// GET TRANSACTION PROVE: by type and the sequence that the log shows.
    pub(super) fn prove(&self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x00, command.p2, 2)?;
        let Ok(sequence) = <[u8; 2]>::try_from(command.data) else {
            return Err(StatusWord::WRONG_LENGTH.into());
        };
        let sequence = u16::from_be_bytes(sequence);
        let kind = TransactionType(command.p2);
        self.admit_to(kind.account())?;
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        purse
            .newest_first()
            .find(|entry| {
                entry.record().is_some_and(|record| {
                    record.sequence == sequence && record.transaction.kind == kind
                })
            })
            .map(|entry| entry.proof().to_vec())
            .ok_or(StatusWord::NO_PROOF.into())
    }
}
