// SPDX-License-Identifier: Apache-2.0
//! An EMM out of plain values: a key, whom it reaches, a number and commands. No file, no schedule
//! and no clock, so that a server which is asked for EMMs makes them here too.

use cam_types::{Epoch, OperatorId};
use ecm_emm::EncodeError;
use ecm_emm::emm::{Address, EmmCommand, EmmHeader, seal, seal_signed};
use ecm_emm::keys::{KeyContext, KeyMaterial, Role};
use ecm_emm::suite::{SealKey, WrappedKey};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};

/// A key of the operator's, and the cards that have it.
pub struct Sender {
    /// Whose key it is.
    pub operator: OperatorId,
    /// Whom its messages are for.
    pub address: Address,
    /// What the key is for.
    pub role: Role,
    /// Its generation.
    pub epoch: Epoch,
    /// What the commands are sealed under.
    pub key: SealKey,
}

impl Sender {
    /// What this sender's message begins with.
    pub const fn header(&self, sequence: u32) -> EmmHeader {
        EmmHeader {
            address: self.address,
            suite: self.key.suite(),
            operator: self.operator,
            role: self.role,
            epoch: self.epoch,
            seq: sequence,
        }
    }

    /// A key inside this sender's message.
    pub fn wrap(&self, key: &KeyMaterial) -> WrappedKey {
        self.key.wrap(&KeyContext::new(self.role, self.operator, self.epoch), key)
    }

    /// The section of these commands, in their order; the number of a TIME_SYNC is 0.
    pub fn section(&self, sequence: u32, commands: &[EmmCommand]) -> Result<Vec<u8>, EncodeError> {
        let mut section = Vec::new();
        seal(&self.header(sequence), commands, &self.key, &mut section)?;
        Ok(section)
    }

    /// The same with the operator's signature: for all cards, or keys for a group, with number 0.
    pub fn signed_section(
        &self,
        sequence: u32,
        commands: &[EmmCommand],
        signing: &SigningKey,
    ) -> Result<Vec<u8>, EncodeError> {
        let sign = |digest: &[u8; 32]| {
            let signature: Result<Signature, _> = signing.sign_prehash(digest);
            // Nothing verifies under zeros: a signature that could not be made is refused by cards.
            signature.map_or([0; 64], |signature| signature.to_bytes().into())
        };
        let mut section = Vec::new();
        seal_signed(&self.header(sequence), commands, sign, &self.key, &mut section)?;
        Ok(section)
    }
}
