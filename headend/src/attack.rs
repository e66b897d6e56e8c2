// SPDX-License-Identifier: Apache-2.0
//! What the attacker of a schedule sends. It has recorded what was on air, and has no key.

use crate::carousel::{Item, Lane};
use crate::cw_source::random;
use crate::emm::EmmError;
use crate::sender::Sender;
use ecm_emm::emm::EmmCommand;

/// An earlier entry octet by octet.
pub fn replay(of: &str, earlier: &[Item]) -> Option<(Vec<u8>, Lane)> {
    earlier.iter().find(|item| item.name == of).map(|item| (item.section.clone(), item.lane))
}

/// The header of this sender's EMM, and random octets where seal and command should be.
pub fn forged_emm(sender: &Sender, sequence: u32) -> Result<Vec<u8>, EmmError> {
    let mut section = sender.section(sequence, &EmmCommand::EmmLevel(0))?;
    let random: [u8; 256] = random()?;
    let sealed = section.get_mut(sender.header(sequence).aad_len()..).unwrap_or_default();
    sealed.copy_from_slice(random.get(..sealed.len()).unwrap_or_default());
    Ok(section)
}
