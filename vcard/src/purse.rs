// SPDX-License-Identifier: Apache-2.0
//! The purse: the PBOC commands of a terminal or host, and what other applications may ask of it.
//!
//! Normative references:
//!  - `docs/spec/purse.md` (PBOC electronic purse, and where cards differ)

pub(crate) mod account;
mod booked;
mod data;
mod emm;
mod file;
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
mod secure;
pub(crate) mod sharing;
pub(crate) mod store;
mod tac;

pub(crate) use file::application_fci;

use crate::interface::Interface;
use crate::random::Random;
use crate::stop::Stop;
use crate::vault::Vault;
use file::File;
use iso7816::apdu::{Command, StatusWord};
use order::Initialized;

/// What the purse knows until it is deselected or loses its power.
#[derive(Default)]
pub(crate) struct PurseRam {
    initialized: Option<Initialized>,
    current: Option<File>,
    challenge: Option<[u8; 8]>,
    pin_verified: bool,
}

/// The purse at work on one command.
pub(crate) struct Purse<'a> {
    /// What lasts: the memory, of which it reaches its own part.
    pub vault: &'a mut Vault,
    /// What ends with a reset or the SELECT of an application.
    pub ram: &'a mut PurseRam,
    /// Where the command came from.
    pub interface: Interface,
    /// The card's random numbers.
    pub random: &'a mut Random,
}

impl Purse<'_> {
    /// One command.
    pub(crate) fn process(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        self.admit(command)?;
        match (command.cla, command.ins) {
            (0x00, 0x20) => self.verify(command),
            (0x00, 0x84) => self.challenge(command),
            (0x00, 0xA4) => self.select_file(command),
            (0x00, 0xB0) => self.read_binary(command),
            (0x00, 0xB2) => self.read_record(command),
            (0x00, 0xD6 | 0xDC) => Err(StatusWord::SECURITY_STATUS.into()),
            (0x04, 0xD6) => self.update_binary(command),
            (0x04, 0xDC) => self.update_record(command),
            (0x80, 0x50) => self.initialize(command),
            (0x80, 0x52) => self.credit_for_load(command),
            (0x80, 0x54) if command.p1 == 0x03 => self.debit_for_unload(command),
            (0x80, 0x54) => self.debit_for_purchase(command),
            (0x80, 0x58) => self.update_overdraft_limit(command),
            (0x80, 0x5A) => self.prove(command),
            (0x80, 0xDC) => self.update_capp_cache(command),
            (0x80, 0x5C) => self.balance(command),
            (0x80, 0x5E) => self.change_pin(command),
            (0x84, 0x16) => self.block_card(command),
            (0x84, 0x18) => self.unblock(command),
            (0x84, 0x1E) => self.block(command),
            (0x84, 0x24) => self.unblock_pin(command),
            (0x00 | 0x04 | 0x80 | 0x84, _) => Err(StatusWord::UNKNOWN_INS.into()),
            _ => Err(StatusWord::UNKNOWN_CLA.into()),
        }
    }
}
