// SPDX-License-Identifier: Apache-2.0
//! The conditional access application: who may watch, what was bought, and the operator's messages.
//!
//! Normative references:
//!  - `docs/spec/card.md` (commands), `docs/spec/ecm.md`, `docs/spec/emm.md` (messages)

mod access;
pub(crate) mod barred;
mod bought;
mod channels;
mod commands;
mod ecm;
mod emm;
mod held;
mod info;
pub(crate) mod log;
mod overrun;
pub(crate) mod previews;
mod purchase;
mod receipt;
mod report;
pub(crate) mod rights;
pub(crate) mod sabotage;
pub(crate) mod sharing;
pub(crate) mod store;
mod time;

pub(crate) use time::CasRam;

use crate::context::Context;
use crate::decide::{Twice, decide};
use crate::pin::{self, Verdict};
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::ChannelId;
use ecm_emm::card::{
    INS_ACK, INS_CHANGE_PIN, INS_ECM, INS_EMM, INS_INFO, INS_PURCHASE, INS_REPORT, INS_RIGHTS,
    INS_VERIFY, PinAnswer, PinBlock, RIGHTS_NUMBER, RIGHTS_ROWS, RIGHTS_WALLET, VERIFY_PURCHASE,
    VERIFY_RATING,
};
use iso7816::apdu::{Command, StatusWord};
use time::PinUses;

/// The application at work on one command.
pub(crate) struct Cas<'a> {
    /// What lasts: the memory, of which it reaches its own part.
    pub vault: &'a mut Vault,
    /// What ends with a reset, and in part with a session.
    pub ram: &'a mut CasRam,
    /// The pairing slot whose session carries the command; `None` in clear.
    pub pairing: Option<usize>,
}

impl Cas<'_> {
    /// One command. An answer is never empty.
    pub(crate) fn process(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        if command.cla != 0x80 {
            return Err(StatusWord::UNKNOWN_CLA.into());
        }
        let mut out = Vec::with_capacity(64);
        match command.ins {
            INS_INFO => {
                info::info(self.vault, self.ram, &mut out)?;
                return Ok(out);
            }
            INS_EMM => {
                emm::process(self.vault, self.ram, command.data)?.emit(&mut out);
                return Ok(out);
            }
            INS_ACK => {
                out.push(report::acknowledge(self.vault, command.data)?.0);
                return Ok(out);
            }
            _ => {}
        }
        let known = matches!(
            command.ins,
            INS_VERIFY | INS_CHANGE_PIN | INS_ECM | INS_PURCHASE | INS_RIGHTS | INS_REPORT
        );
        let slot = match self.pairing.filter(|_| decide(|| self.pairing.is_some())) {
            Some(slot) => slot,
            None if known => return Err(StatusWord::SECURITY_STATUS.into()),
            None => return Err(StatusWord::UNKNOWN_INS.into()),
        };
        match command.ins {
            INS_VERIFY => self.verify(command)?.emit(&mut out),
            INS_CHANGE_PIN => self.change_pin(command.data)?.emit(&mut out),
            INS_ECM => {
                let expected = ChannelId::from_be_bytes([command.p1, command.p2]);
                ecm::process(self.vault, self.ram, slot, expected, command.data)?.emit(&mut out);
            }
            INS_PURCHASE => {
                purchase::process(self.vault, self.ram, command.data)?.emit(&mut out);
            }
            INS_REPORT => report::report(self.vault, self.ram, command, &mut out)?,
            INS_RIGHTS => match (command.p2, command.data) {
                (RIGHTS_ROWS, [index]) => info::rights(self.vault, *index, &mut out)?,
                (RIGHTS_WALLET, _) => info::wallet(self.vault, &mut out)?,
                (RIGHTS_NUMBER, data) => info::highest_number(self.vault, data, &mut out)?,
                (RIGHTS_ROWS, _) => return Err(StatusWord::WRONG_DATA.into()),
                _ => return Err(StatusWord::WRONG_P1P2.into()),
            },
            _ => return Err(StatusWord::UNKNOWN_INS.into()),
        }
        Ok(out)
    }

    /// VERIFY: for one purchase, or for the rating. Whatever is not right ends both.
    fn verify(&mut self, command: &Command<'_>) -> Result<PinAnswer, Stop> {
        let before = std::mem::take(&mut self.ram.pin);
        let shown = match (command.p1, command.p2) {
            (0, VERIFY_PURCHASE) => PinUses { purchase: Twice::new(true), ..before },
            (0, VERIFY_RATING) => PinUses { rating: Twice::new(true), ..before },
            _ => return Err(StatusWord::WRONG_P1P2.into()),
        };
        let block = block(command.data)?;
        let verdict = pin::verify(self.vault, Context::CAS, &block)?;
        if decide(|| verdict == Verdict::Right) {
            self.ram.pin = shown;
        }
        self.answer(verdict)
    }

    /// CHANGE PIN: old block, new block.
    fn change_pin(&mut self, data: &[u8]) -> Result<PinAnswer, Stop> {
        let before = std::mem::take(&mut self.ram.pin);
        let (old, new) = data.split_at_checked(8).ok_or(StatusWord::WRONG_DATA)?;
        let (old, new) = (block(old)?, block(new)?);
        let verdict = pin::change(self.vault, Context::CAS, &old, &new)?;
        if decide(|| verdict == Verdict::Right) {
            self.ram.pin = before;
        }
        self.answer(verdict)
    }

    fn answer(&self, verdict: Verdict) -> Result<PinAnswer, Stop> {
        let tries = match verdict {
            Verdict::Right => pin::tries(self.vault, Context::CAS)?,
            Verdict::Wrong(tries) => tries,
            Verdict::Blocked => return Err(StatusWord::PIN_BLOCKED.into()),
        };
        Ok(PinAnswer { right: verdict == Verdict::Right, tries })
    }
}

fn block(data: &[u8]) -> Result<PinBlock, Stop> {
    let octets = data.try_into().map_err(|_| StatusWord::WRONG_DATA)?;
    PinBlock::parse(octets).map_err(|_| StatusWord::WRONG_DATA.into())
}
