// SPDX-License-Identifier: Apache-2.0
//! What the error octet of an answer says (CCID, 6.2.6): which octet of the command is wrong, or
//! what is the matter with the slot.

pub(super) const UNSUPPORTED: u8 = 0x00;
pub(super) const LENGTH: u8 = 0x01;
pub(super) const SLOT: u8 = 0x05;
pub(super) const PROCEDURE: u8 = 0xF4;
pub(super) const PARITY: u8 = 0xFD;
pub(super) const MUTE: u8 = 0xFE;
