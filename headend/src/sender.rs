// SPDX-License-Identifier: Apache-2.0
//! Who speaks in a message: the key that it is sealed under, and the header that names it.

use ecm_emm::EncodeError;
use ecm_emm::emm::{EmmCommand, EmmHeader, seal};
use ecm_emm::keys::KeyMaterial;
use ecm_emm::suite::{SealKey, WrappedKey};

/// A key of the operator's with the header of a message under it.
pub struct Sender {
    /// Whom it reaches, and by which key.
    pub header: EmmHeader,
    /// What its commands are sealed under.
    pub key: SealKey,
}

impl Sender {
    /// A key inside this sender's message.
    pub fn wrap(&self, key: &KeyMaterial) -> WrappedKey {
        self.key.wrap(&self.header.key_context(), key)
    }

    /// The section of one command.
    pub fn seal(&self, command: &EmmCommand) -> Result<Vec<u8>, EncodeError> {
        let mut section = Vec::new();
        seal(&self.header, std::slice::from_ref(command), &self.key, &mut section)?;
        Ok(section)
    }
}
