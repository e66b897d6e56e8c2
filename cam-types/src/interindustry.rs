// SPDX-License-Identifier: Apache-2.0
//! The instructions that cards of every kind share. Those of one application stand with its
//! commands: the CAS's in `ecm_emm::card`, the purse's and the secure module's in
//! `wallet::command`, the secure channel's in `gp::scp03`.
//!
//! Normative references:
//!  - ISO/IEC 7816-4 (interindustry commands)

/// VERIFY.
pub const INS_VERIFY: u8 = 0x20;
/// CHANGE REFERENCE DATA.
pub const INS_CHANGE_REFERENCE_DATA: u8 = 0x24;
/// GET CHALLENGE.
pub const INS_GET_CHALLENGE: u8 = 0x84;
/// SELECT.
pub const INS_SELECT: u8 = 0xA4;
/// READ BINARY.
pub const INS_READ_BINARY: u8 = 0xB0;
/// READ RECORD.
pub const INS_READ_RECORD: u8 = 0xB2;
/// GET RESPONSE.
pub const INS_GET_RESPONSE: u8 = 0xC0;
/// ENVELOPE.
pub const INS_ENVELOPE: u8 = 0xC2;
/// GET DATA.
pub const INS_GET_DATA: u8 = 0xCA;
/// UPDATE BINARY.
pub const INS_UPDATE_BINARY: u8 = 0xD6;
/// UPDATE RECORD.
pub const INS_UPDATE_RECORD: u8 = 0xDC;

/// SELECT of the application of this name, at most 255 octets, without Le.
pub fn select(name: &[u8]) -> impl Iterator<Item = u8> {
    [0x00, INS_SELECT, 0x04, 0x00, name.len() as u8].into_iter().chain(name.iter().copied())
}
