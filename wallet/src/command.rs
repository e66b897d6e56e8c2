// SPDX-License-Identifier: Apache-2.0
//! The instructions of the purse and of the secure module, for both ends of the line. What they
//! share with cards of every kind stands in `cam_types::interindustry`.
//!
//! Normative references:
//!  - PBOC electronic purse and passbook; `docs/spec/purse.md`

/// CARD BLOCK.
pub const INS_BLOCK_CARD: u8 = 0x16;
/// APPLICATION UNBLOCK.
pub const INS_UNBLOCK: u8 = 0x18;
/// APPLICATION BLOCK.
pub const INS_BLOCK: u8 = 0x1E;
/// PIN UNBLOCK.
pub const INS_UNBLOCK_PIN: u8 = 0x24;
/// EXTERNAL AUTHENTICATE: a terminal proves that it holds the card's key.
pub const INS_EXTERNAL_AUTHENTICATE: u8 = 0x82;
/// INITIALIZE FOR, whatever P1 says.
pub const INS_INITIALIZE: u8 = 0x50;
/// CREDIT FOR LOAD.
pub const INS_CREDIT: u8 = 0x52;
/// DEBIT FOR PURCHASE or UNLOAD, by P1.
pub const INS_DEBIT: u8 = 0x54;
/// UPDATE OVERDRAW LIMIT.
pub const INS_UPDATE_OVERDRAFT_LIMIT: u8 = 0x58;
/// GET TRANSACTION PROVE.
pub const INS_PROVE: u8 = 0x5A;
/// GET BALANCE.
pub const INS_BALANCE: u8 = 0x5C;
/// RELOAD PIN and CHANGE PIN, by P1.
pub const INS_CHANGE_PIN: u8 = 0x5E;
/// UPDATE CAPP DATA CACHE.
pub const INS_UPDATE_CAPP_CACHE: u8 = 0xDC;

/// Of a secure module, INIT_FOR_DESCRYPT: derives a card's key.
pub const INS_SAM_DELIVER: u8 = 0x1A;
/// Of a secure module, INIT_SAM_FOR_PURCHASE.
pub const INS_SAM_INITIALIZE: u8 = 0x70;
/// Of a secure module, CREDIT_SAM_FOR_PURCHASE.
pub const INS_SAM_CREDIT: u8 = 0x72;
/// Of a secure module, DES CRYPT.
pub const INS_SAM_CRYPT: u8 = 0xFA;
