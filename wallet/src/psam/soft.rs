// SPDX-License-Identifier: Apache-2.0
//! A PSAM in software, for the bench and for tests.

use super::{Psam, SamError, SamPurchase};
use crate::formula::{mac1_purchase_input, mac2_purchase};
use crate::keys::{PurchaseKey, SessionKey};
use crate::mac::Mac;
use alloc::vec::Vec;
use cam_types::{Fen, StatusWord, TerminalId, TerminalSequence};

/// A PSAM in software, for terminals on the bench: it holds master keys, or one card's key.
#[derive(Debug)]
pub struct SoftPsam {
    terminal: TerminalId,
    sequence: TerminalSequence,
    keys: Vec<(u8, PurchaseKey)>,
    started: Option<(SessionKey, Fen)>,
}

impl SoftPsam {
    /// A module without a key that starts after this terminal sequence.
    pub const fn new(terminal: TerminalId, sequence: TerminalSequence) -> Self {
        Self { terminal, sequence, keys: Vec::new(), started: None }
    }

    /// Gives it the purchase key of this version.
    #[must_use]
    pub fn with_key(mut self, version: u8, key: PurchaseKey) -> Self {
        self.keys.retain(|(held, _)| *held != version);
        self.keys.push((version, key));
        self
    }

    /// The terminal sequence last used; persist it, and start after it next time.
    pub const fn sequence(&self) -> TerminalSequence {
        self.sequence
    }
}

impl Psam for SoftPsam {
    fn terminal(&mut self) -> Result<TerminalId, SamError> {
        Ok(self.terminal)
    }

    fn start(&mut self, purchase: &SamPurchase<'_>) -> Result<(TerminalSequence, Mac), SamError> {
        self.started = None;
        let SamPurchase { key_version: version, algorithm, transaction, .. } = *purchase;
        if transaction.terminal != self.terminal {
            let (got, expected) = (transaction.terminal, self.terminal);
            return Err(SamError::OtherTerminal { got, expected });
        }
        // 00 is triple DES, and cards that say 01 with a key of 16 octets use triple DES as well.
        let (_, key) = self
            .keys
            .iter()
            .find(|(held, _)| *held == version && algorithm <= 0x01)
            .ok_or(SamError::NoKey { version, algorithm })?;
        let sequence = self.sequence.value().checked_add(1).ok_or(SamError::Exhausted)?;
        self.sequence = TerminalSequence::new(sequence);
        let session = purchase
            .card
            .factors
            .iter()
            .fold(key.clone(), |key, factor| key.diversify(*factor))
            .session(purchase.random, purchase.offline_sequence, self.sequence);
        let mut input = mac1_purchase_input(&transaction);
        input.extend(purchase.card.authentication_code.iter().flatten());
        let mac1 = session.mac(&input);
        self.started = Some((session, transaction.amount));
        Ok((self.sequence, mac1))
    }

    fn credit(&mut self, mac2: Mac) -> Result<(), SamError> {
        let (session, amount) =
            self.started.as_ref().ok_or(SamError::Refused(StatusWord::NOT_INITIALIZED))?;
        if mac2_purchase(session, *amount) != mac2 {
            return Err(SamError::WrongMac2);
        }
        self.started = None;
        Ok(())
    }
}
