// SPDX-License-Identifier: Apache-2.0
//! The seam to whatever answers command APDUs: the purse at a reader, or a secure module at
//! another.

use alloc::vec::Vec;

/// A card that has been reset and answers command APDUs.
///
/// T=0's 61xx and 6Cxx are settled below this seam, but for commands that count tries: VERIFY is
/// never repeated.
pub trait CardPort {
    /// Sends a command APDU. The response APDU, data and SW1-SW2, or `None` when none came: whether
    /// the card has carried the command out is then unknown.
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>>;
}
