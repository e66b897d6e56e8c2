// SPDX-License-Identifier: Apache-2.0
//! KEY_DELIVER: a key on its way to a card.

use super::field::{Emit, Read, wrapped};
use super::key_target::KeyTarget;
use crate::suite::{Suite, WrappedKey};
use alloc::vec::Vec;
use cam_types::{CasTime, DecodeError, Epoch, Reader};

/// What KEY_DELIVER carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyDelivery {
    /// Which key.
    pub target: KeyTarget,
    /// Its generation.
    pub epoch: Epoch,
    /// The suite of the key: 1 for the PBOC keys, else the number of a [`Suite`].
    pub suite: u8,
    /// Sent 0 and not looked at.
    pub usage: u8,
    /// The key, wrapped under the key that seals the message.
    pub wrapped: WrappedKey,
    /// Its check value.
    pub kcv: [u8; 3],
    /// Not to be used for an ECM before this time.
    pub not_before: CasTime,
}

impl KeyDelivery {
    /// The suite of the PBOC keys.
    pub const PURSE_SUITE: u8 = 1;
}

impl Read for KeyDelivery {
    fn read(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        let target = KeyTarget::parse(r.u8("key slot")?)?;
        let epoch = Read::read(r, "epoch")?;
        let suite = r.u8("suite")?;
        let purse = matches!(target, KeyTarget::Purchase | KeyTarget::Load | KeyTarget::PurseTac);
        if purse != (suite == Self::PURSE_SUITE) {
            return Err(DecodeError::Invalid { field: "suite", got: suite.into() });
        }
        let key_len = if purse { 16 } else { Suite::try_from(suite)?.key_len() };
        Ok(Self {
            target,
            epoch,
            suite,
            usage: r.u8("key usage")?,
            wrapped: wrapped(r, key_len)?,
            kcv: *r.array("key check value")?,
            not_before: Read::read(r, "not before")?,
        })
    }
}

impl Emit for KeyDelivery {
    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.target.octet());
        out.extend(self.epoch.to_be_bytes());
        out.extend([self.suite, self.usage]);
        out.extend_from_slice(self.wrapped.octets());
        out.extend(self.kcv);
        out.extend(self.not_before.to_be_bytes());
    }
}
