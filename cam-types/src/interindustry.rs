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

/// Commands of whatever card whose data may be a PIN or a key: INS and name.
pub const MAY_CARRY_SECRETS: &[(u8, &str)] = &[
    (INS_VERIFY, "VERIFY"),
    (0x21, "VERIFY"),
    (INS_CHANGE_REFERENCE_DATA, "CHANGE REFERENCE DATA"),
    (0x25, "CHANGE REFERENCE DATA"),
    (0x26, "DISABLE VERIFICATION REQUIREMENT"),
    (0x28, "ENABLE VERIFICATION REQUIREMENT"),
    (0x2A, "PERFORM SECURITY OPERATION"),
    (0x2C, "RESET RETRY COUNTER"),
    (0x2D, "RESET RETRY COUNTER"),
    (0x5E, "RELOAD or CHANGE PIN"),
    (INS_ENVELOPE, "ENVELOPE, whatever is inside"),
    (0xC3, "ENVELOPE, whatever is inside"),
    (0xD4, "WRITE KEY"),
    (0xD8, "PUT KEY"),
    (0xDA, "PUT DATA"),
    (0xDB, "PUT DATA"),
    (0xE2, "STORE DATA"),
];

/// Whether the data of a command with this INS may be a PIN or a key.
pub fn may_carry_secret(ins: u8) -> bool {
    MAY_CARRY_SECRETS.iter().any(|(secret, _)| *secret == ins)
}

/// The same where the class says that no secure messaging protects it.
pub fn carries_secret_in_clear(cla: u8, ins: u8) -> bool {
    // Classes 0x and 8x have two bits for it, the further interindustry ones one.
    let secure_messaging = if cla & 0x40 == 0 { 0x0C } else { 0x20 };
    cla & secure_messaging == 0 && may_carry_secret(ins)
}
