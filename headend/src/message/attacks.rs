// SPDX-License-Identifier: Apache-2.0
//! What an attacker sends. Only a schedule has something to imitate: [`crate::attack`] makes it.

use super::kind::{Kind, Occasion};
use crate::emm::{EmmError, Senders};
use crate::files::fields::Octets;
use serde::Deserialize;

/// An attacker repeats an earlier EMM octet by octet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The entry's name.
    pub of: String,
}

impl Kind for Replay {
    const NAME: &str = "replay";
    const FIELDS: &str = "of";

    fn takes_number(&self) -> bool {
        false
    }

    fn section(&self, _: Senders<'_>, _: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        Err(EmmError::Attack)
    }
}

/// An attacker's EMM: a good header, a fresh number, a seal that is no seal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeEmm {
    /// The card, by its number.
    pub card: Octets<8>,
}

impl Kind for ForgeEmm {
    const NAME: &str = "forge_emm";
    const FIELDS: &str = "card";

    fn section(&self, _: Senders<'_>, _: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        Err(EmmError::Attack)
    }
}

/// An attacker's ECM: the header of the next crypto period, a seal that is no seal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeEcm {
    /// The service's number.
    pub service: u16,
}

impl Kind for ForgeEcm {
    const NAME: &str = "forge_ecm";
    const FIELDS: &str = "service";

    fn takes_number(&self) -> bool {
        false
    }

    fn section(&self, _: Senders<'_>, _: Occasion<'_>) -> Result<Vec<u8>, EmmError> {
        Err(EmmError::Attack)
    }
}
