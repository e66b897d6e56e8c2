// SPDX-License-Identifier: Apache-2.0
//! The purse: the PBOC commands of a terminal or host, and what other applications may ask of it.
//!
//! Normative references:
//!  - `docs/spec/purse.md` (PBOC electronic purse, and where cards differ)

pub(crate) mod account;
mod answer;
mod booked;
mod data;
mod emm;
mod file;
mod gate;
pub(crate) mod guesses;
pub(crate) mod holder;
mod initialize;
mod key;
mod ledger;
mod load;
mod maintenance;
mod order;
mod passbook;
mod pin;
mod proof;
mod purchase;
mod read;
pub(crate) mod record;
pub(crate) mod sabotage;
mod secure;
pub(crate) mod sharing;
pub(crate) mod store;
mod tac;

pub(crate) use file::{APPLICATION, HOLDER, TRANSACTIONS, application_fci};
pub(crate) use read::NO_FCI;

use crate::decide::Twice;
use crate::interface::Interface;
use crate::random::Random;
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::interindustry::{
    INS_GET_CHALLENGE, INS_GET_DATA, INS_READ_BINARY, INS_READ_RECORD, INS_SELECT,
    INS_UPDATE_BINARY, INS_UPDATE_RECORD, INS_VERIFY,
};
use file::File;
use iso7816::apdu::{Command, StatusWord};
use order::Initialized;
use wallet::command::{
    INS_BALANCE, INS_BLOCK, INS_BLOCK_CARD, INS_CHANGE_PIN, INS_CREDIT, INS_DEBIT,
    INS_EXTERNAL_AUTHENTICATE, INS_INITIALIZE, INS_PROVE, INS_UNBLOCK, INS_UNBLOCK_PIN,
    INS_UPDATE_CAPP_CACHE, INS_UPDATE_OVERDRAFT_LIMIT,
};

/// What the purse knows until it is deselected or loses its power.
#[derive(Clone, Default)]
pub(crate) struct PurseRam {
    initialized: Option<Initialized>,
    current: Option<File>,
    /// The place of the current record in it.
    record: Option<usize>,
    challenge: Option<[u8; 8]>,
    pin_verified: Twice<bool>,
}

/// The purse at work on one command.
pub(crate) struct Purse<'a> {
    /// What lasts: the memory, of which it reaches its own part.
    pub vault: &'a mut Vault,
    /// What ends with a reset or the SELECT of an application.
    pub ram: &'a mut PurseRam,
    /// Where the command came from.
    pub interface: Twice<Interface>,
    /// The card's random numbers.
    pub random: &'a mut Random,
}

impl Purse<'_> {
    /// One command.
    pub(crate) fn process(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        self.admit(command)?;
        answer::fits(command)?;
        match (command.cla, command.ins) {
            (0x00, INS_VERIFY) => self.verify(command),
            (0x00, INS_GET_CHALLENGE) => self.challenge(command),
            (0x00, INS_EXTERNAL_AUTHENTICATE) => self.external_authenticate(command),
            (0x80, INS_GET_DATA) => self.authentication_code(command),
            (0x00, INS_SELECT) => self.select_file(command),
            (0x00, INS_READ_BINARY) => self.read_binary(command),
            (0x00, INS_READ_RECORD) => self.read_record(command),
            (0x00, INS_UPDATE_BINARY | INS_UPDATE_RECORD) => {
                Err(StatusWord::SECURITY_STATUS.into())
            }
            (0x04, INS_UPDATE_BINARY) => self.update_binary(command),
            (0x04, INS_UPDATE_RECORD) => self.update_record(command),
            (0x80, INS_INITIALIZE) => self.initialize(command),
            (0x80, INS_CREDIT) => self.credit_for_load(command),
            (0x80, INS_DEBIT) if command.p1 == 0x03 => self.debit_for_unload(command),
            (0x80, INS_DEBIT) => self.debit_for_purchase(command),
            (0x80, INS_UPDATE_OVERDRAFT_LIMIT) => self.update_overdraft_limit(command),
            (0x80, INS_PROVE) => self.prove(command),
            (0x80, INS_UPDATE_CAPP_CACHE) => self.update_capp_cache(command),
            (0x80, INS_BALANCE) => self.balance(command),
            (0x80, INS_CHANGE_PIN) => self.change_pin(command),
            (0x84, INS_BLOCK_CARD) => self.block_card(command),
            (0x84, INS_UNBLOCK) => self.unblock(command),
            (0x84, INS_BLOCK) => self.block(command),
            (0x84, INS_UNBLOCK_PIN) => self.unblock_pin(command),
            (0x00 | 0x04 | 0x80 | 0x84, _) => Err(StatusWord::UNKNOWN_INS.into()),
            _ => Err(StatusWord::UNKNOWN_CLA.into()),
        }
    }
}
