// SPDX-License-Identifier: Apache-2.0
//! The load, with its host: who holds the load key checks the card's MAC1 and authorises the money
//! by MAC2.

use super::{FlowError, Order, Purse};
use crate::formula::mac2_load;
use crate::keys::{LoadKey, TacKey};
use crate::load::{Credit, Crediting, LoadError};
use crate::psam::CardIdentity;
use alloc::vec::Vec;
use cam_types::TerminalId;
use core::fmt;

/// A host in software, for the bench: load keys by version, masters or one card's.
#[derive(Clone, Debug, Default)]
pub struct Host {
    keys: Vec<(u8, LoadKey)>,
    tac: Option<TacKey>,
    /// Whether the card's keys come from these by the levels of its scheme.
    diversified: Diversified,
}

/// Which of a host's keys are masters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Diversified {
    /// The load keys.
    pub load: bool,
    /// The TAC key.
    pub tac: bool,
}

/// Why the host does not load this card. No money has moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostError {
    /// It holds no load key of this version and algorithm.
    NoKey {
        /// The version that the card asked for.
        version: u8,
        /// The algorithm that the card asked for.
        algorithm: u8,
    },
    /// MAC1 does not come from a card with this key.
    WrongMac1,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey { version, algorithm } => {
                write!(f, "host has no load key {version:02X}, algorithm {algorithm:02X}")
            }
            Self::WrongMac1 => {
                f.write_str("host finds MAC1 wrong: the card's load key is another than the host's")
            }
        }
    }
}

impl core::error::Error for HostError {}

impl Host {
    /// A host with these keys.
    pub const fn new(
        keys: Vec<(u8, LoadKey)>,
        tac: Option<TacKey>,
        diversified: Diversified,
    ) -> Self {
        Self { keys, tac, diversified }
    }

    fn load_key(&self, version: u8, algorithm: u8, card: &CardIdentity) -> Option<LoadKey> {
        // As for purchases: 00 and 01 with keys of 16 octets are triple DES.
        let (_, key) = self.keys.iter().find(|(held, _)| *held == version && algorithm <= 0x01)?;
        let levels = card.factors.iter().filter(|_| self.diversified.load);
        Some(levels.fold(key.clone(), |key, factor| key.diversify(*factor)))
    }

    /// The card's TAC key, if the host holds one.
    pub fn tac_key(&self, card: &CardIdentity) -> Option<TacKey> {
        let levels = card.factors.iter().filter(|_| self.diversified.tac);
        self.tac.clone().map(|key| levels.fold(key, |key, factor| key.diversify(*factor)))
    }
}

impl Purse<'_> {
    /// A load, up to its CREDIT.
    pub fn load(
        &mut self,
        order: &Order,
        terminal: TerminalId,
        host: &Host,
    ) -> Result<Crediting, FlowError> {
        self.is_valid(order)?;
        let load = self.profile.load(order.key_index, order.amount, terminal)?;
        let answer = self.port.transmit(&load.command()).ok_or(LoadError::NoAnswer)?;
        let initialized = load.initialized(&answer)?;
        let (version, algorithm) = (initialized.key_version, initialized.algorithm);
        let key = host
            .load_key(version, algorithm, &self.identity)
            .ok_or(HostError::NoKey { version, algorithm })?;
        if !initialized.is_from(&key) {
            return Err(HostError::WrongMac1.into());
        }
        let session = key.session(initialized.random, initialized.online_sequence);
        let mac2 = mac2_load(&session, &initialized.transaction(order.date, order.time));
        Ok(initialized.credit(order.date, order.time, mac2))
    }

    /// CREDIT, with its TAC checked where the host can. Its intent has been made durable.
    pub fn credit(&mut self, crediting: Crediting, host: &Host) -> Credit {
        let answer = self.port.transmit(&crediting.command());
        match host.tac_key(&self.identity) {
            Some(key) => crediting.finish_checked(answer.as_deref(), &key),
            None => crediting.finish(answer.as_deref()),
        }
    }
}
