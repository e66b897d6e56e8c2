// SPDX-License-Identifier: Apache-2.0
//! The purse's triple DES keys.

use crate::keyring::Generation;
use crate::stop::Stop;
use cam_types::{Secret, StatusWord};

/// The algorithm id in an answer: keys of 16 octets are triple DES.
pub(super) const TRIPLE_DES: u8 = 0;

/// The key in use of a pair, and its version: the low octet of its generation.
pub(super) fn des_key(generation: Option<&Generation>) -> Result<(Secret<16>, u8), Stop> {
    let generation = generation.ok_or(StatusWord::NO_KEY)?;
    let key = generation.material.bits128().ok_or(StatusWord::NO_KEY)?;
    Ok((Secret::new(*key.expose()), generation.epoch.value().to_be_bytes()[1]))
}
