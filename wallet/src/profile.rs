// SPDX-License-Identifier: Apache-2.0
//! What differs from card scheme to card scheme and has to be known before the card is asked.
//!
//! What shows in the card's answers is not here: status words, numbers of proofs and log records
//! are understood either way.

use crate::balance::BalanceCoding;
use crate::card::{ApplicationData, AuthenticationCode, IdentityError, Level};
use crate::compound::CompoundPurchase;
use crate::load::{Load, LoadError};
use crate::psam::CardIdentity;
use crate::purchase::{Purchase, PurchaseError};
use crate::secure_messaging::ChallengeLength;
use cam_types::{Fen, TerminalId};

/// A card scheme, and what this terminal may do in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Profile {
    /// How a card's purchase key comes from the PSAM's, level by level.
    pub levels: &'static [Level],
    /// Whether the card's authentication code ends the input of MAC1.
    pub authentication_code: bool,
    /// What secure messaging starts from.
    pub challenge: ChallengeLength,
    /// What its cards mean by a balance; `None` where the application's name tells.
    pub balance: Option<BalanceCoding>,
    /// The most that a purse may hold.
    pub maximum: Fen,
    /// The most that one purchase may take.
    pub limit: Fen,
}

impl Profile {
    /// Plain PBOC, as our card has it.
    pub const PBOC: Self = Self {
        levels: &[Level::Serial],
        authentication_code: false,
        challenge: ChallengeLength::Four,
        balance: None,
        maximum: Fen::new(u32::MAX),
        limit: Fen::new(u32::MAX),
    };
    /// City cards with an authentication code (MOHURD).
    pub const MOHURD: Self = Self { authentication_code: true, ..Self::PBOC };
    /// Campus cards: keys by UID, challenges of eight octets.
    pub const CAMPUS: Self =
        Self { levels: &[Level::Uid], challenge: ChallengeLength::Eight, ..Self::PBOC };
    /// Cards of an area (JT/T, toll collection): its code first, then the serial number.
    pub const AREA: Self = Self { levels: &[Level::IssuerTwice, Level::Serial], ..Self::PBOC };

    /// All, by name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("pboc", Self::PBOC),
        ("mohurd", Self::MOHURD),
        ("campus", Self::CAMPUS),
        ("area", Self::AREA),
    ];

    /// What the cards mean by a balance, as far as it has been told.
    pub fn coding(&self) -> BalanceCoding {
        self.balance.unwrap_or_default()
    }

    /// What the PSAM has to know of this card. `uid` is what the reader of a contactless card
    /// knows.
    pub fn identity(
        &self,
        application: &ApplicationData,
        uid: Option<[u8; 4]>,
        code: Option<AuthenticationCode>,
    ) -> Result<CardIdentity, IdentityError> {
        let authentication_code = match (self.authentication_code, code) {
            (true, Some(AuthenticationCode(code))) => Some(code),
            (true, None) => return Err(IdentityError::NoCode),
            (false, _) => None,
        };
        let factors = self
            .levels
            .iter()
            .map(|level| level.factor(application, uid))
            .collect::<Result<_, _>>()?;
        Ok(CardIdentity { factors, authentication_code })
    }

    /// A purchase within the limit.
    pub fn purchase(
        &self,
        key_index: u8,
        amount: Fen,
        terminal: TerminalId,
    ) -> Result<Purchase, PurchaseError> {
        Purchase::new(key_index, amount, terminal)?.coded(self.coding()).within(self.limit)
    }

    /// A compound purchase within the limit.
    pub fn compound(
        &self,
        key_index: u8,
        amount: Fen,
        terminal: TerminalId,
    ) -> Result<CompoundPurchase, PurchaseError> {
        CompoundPurchase::new(key_index, amount, terminal).coded(self.coding()).within(self.limit)
    }

    /// A load within what the purse may hold.
    pub fn load(
        &self,
        key_index: u8,
        amount: Fen,
        terminal: TerminalId,
    ) -> Result<Load, LoadError> {
        Load::new(key_index, amount, terminal)?.coded(self.coding()).within(self.maximum)
    }
}
