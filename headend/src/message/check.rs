// SPDX-License-Identifier: Apache-2.0
//! What a message's fields must not say together, though each alone could be: found when the file
//! is read, and not on the card.

use super::kinds::Message;
use cam_types::Fen;

impl Message {
    /// What is wrong with it, with the field.
    pub(super) fn check(&self) -> Result<(), String> {
        let wrong = |field: &str, what: &str| Err(format!("field `{field}`: {what}"));
        match self {
            Self::Grant(grant) if grant.end <= grant.start => {
                wrong("end", "a right ends after it begins")
            }
            Self::Grant(grant) if grant.horizon.is_some_and(|horizon| horizon < grant.end) => {
                wrong("horizon", "is before `end`")
            }
            Self::KeyDeliver(key) => slot(key.slot),
            Self::KeyActivate(key) if key.floor > key.epoch => {
                wrong("floor", "is above `epoch`: no key would be left")
            }
            Self::KeyActivate(key) => slot(key.slot),
            Self::KeyDestroy(key) => slot(key.slot),
            Self::Refund(refund) if refund.amount == Fen::ZERO => {
                wrong("amount", "nothing moves with 0.00")
            }
            _ => Ok(()),
        }
    }
}

fn slot(got: u8) -> Result<(), String> {
    match got {
        0..=15 => Ok(()),
        got => Err(format!("field `slot`: got {got}, expected 0 to 15")),
    }
}
