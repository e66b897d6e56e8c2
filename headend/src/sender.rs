//! Who speaks in a message: the key that it is sealed under, and the header that names it.

use crate::control_word::random;
use crate::emm::EmmError;
use ecm_emm::emm::{EmmCommand, EmmHeader, seal};
use ecm_emm::keys::KeyMaterial;
use ecm_emm::suite::{SealKey, WrappedKey};

/// A key of the operator's with the header of a message under it.
pub struct Sender {
    /// Whom it reaches, and by which key.
    pub header: EmmHeader,
    /// The key.
    pub key: SealKey,
}

impl Sender {
    /// A key inside this sender's message.
    pub fn wrap(&self, key: &KeyMaterial) -> WrappedKey {
        self.key.wrap(&self.header.key_context(), key)
    }

    /// The section of one command.
    pub fn seal(&self, command: &EmmCommand) -> Result<Vec<u8>, EmmError> {
        let mut section = Vec::new();
        seal(&self.header, std::slice::from_ref(command), &self.key, &mut section)?;
        Ok(section)
    }

    /// What an attacker without the key can make: the header, and random octets where seal and
    /// command should be.
    pub fn forged(&self) -> Result<Vec<u8>, EmmError> {
        let mut section = self.seal(&EmmCommand::EmmLevel(0))?;
        let random: [u8; 256] = random()?;
        let sealed = section.get_mut(self.header.aad_len()..).unwrap_or_default();
        sealed.copy_from_slice(random.get(..sealed.len()).unwrap_or_default());
        Ok(section)
    }
}
