// SPDX-License-Identifier: Apache-2.0
//! What a derived key is for: the derivation constant.

/// A card's key from the operator's master key.
pub const CARD_KEY: u8 = 0x40;
/// Sealing ECMs and EMMs.
pub const SEAL: u8 = 0x41;
/// Wrapping keys inside a sealed message.
pub const WRAP: u8 = 0x43;
/// The SCP03 key set of a pairing.
pub const PAIRING: u8 = 0x44;
/// Transaction authentication codes of suite 2.
pub const TAC: u8 = 0x61;
/// Sealing reports.
pub const REPORT: u8 = 0x62;
/// Sealing acknowledgements.
pub const ACKNOWLEDGEMENT: u8 = 0x63;
/// The chain of receipts.
pub const RECEIPT: u8 = 0x64;
/// The check octets of a request id.
pub const REQUEST: u8 = 0x65;
