// SPDX-License-Identifier: Apache-2.0
//! The data of the CAS card commands, for both ends of the line.
//!
//! Normative references:
//!  - ISO/IEC 7816-4 (command APDUs), ISO 9564-1 (PIN block, format 2)
//!  - `docs/spec/card.md`

mod ecm_answer;
mod emm_result;
mod info;
mod pin;
mod purchase;
mod report;
mod rights;
mod status;

pub use ecm_answer::{EcmAnswer, Offer, OpenedBy};
pub use emm_result::{EmmDetail, EmmOutcome, EmmResult};
pub use info::{CardInfo, KeyInfo, OperatorInfo, SlotInfo, WindowInfo};
pub use pin::{PinAnswer, PinBlock, PinError};
pub use purchase::{PurchaseAnswer, PurchaseRequest, PurchaseResult, PurchaseState};
pub use report::{AckResult, ReportRequest};
pub use rights::{HighestNumber, RightRow, RightsPage, WalletInfo};
pub use status::{AccessState, AccessStatus, Remedy};

// VERIFY and CHANGE PIN are every card's, in name or number; P2 of VERIFY is [`VERIFY_PURCHASE`] or
// [`VERIFY_RATING`].
pub use cam_types::interindustry::{INS_CHANGE_REFERENCE_DATA as INS_CHANGE_PIN, INS_VERIFY};

/// CLA of a CAS command in clear.
pub const CLA: u8 = 0x80;
/// CLA of a CAS command under secure messaging.
pub const CLA_SECURE: u8 = 0x84;

/// CAS INFO.
pub const INS_INFO: u8 = 0x32;
/// ECM; P1 P2 is the expected channel, 0000 any.
pub const INS_ECM: u8 = 0x34;
/// EMM.
pub const INS_EMM: u8 = 0x36;
/// PURCHASE.
pub const INS_PURCHASE: u8 = 0x38;
/// RIGHTS; P2 is [`RIGHTS_ROWS`], [`RIGHTS_WALLET`] or [`RIGHTS_NUMBER`].
pub const INS_RIGHTS: u8 = 0x3A;

/// REPORT; P1 is the page.
pub const INS_REPORT: u8 = 0x3C;
/// ACK of reports.
pub const INS_ACK: u8 = 0x3E;

/// P2 of RIGHTS: rows from an index on.
pub const RIGHTS_ROWS: u8 = 0x00;
/// P2 of RIGHTS: balance, sequences and limits.
pub const RIGHTS_WALLET: u8 = 0x01;
/// P2 of RIGHTS: the highest number of a terminal in the log.
pub const RIGHTS_NUMBER: u8 = 0x02;

/// P2 of VERIFY: the PIN pays one purchase.
pub const VERIFY_PURCHASE: u8 = 0x00;
/// P2 of VERIFY: the PIN lifts the rating limit, until the session ends.
pub const VERIFY_RATING: u8 = 0x01;

/// Boxes that a card may be paired with: its pairing slots.
pub const PAIRING_SLOTS: u8 = 4;

/// Key version of the session on pairing slot 0 to 3: 3F, 3E, 3D, 3C.
pub const fn pairing_key_version(slot: u8) -> Option<u8> {
    if slot < PAIRING_SLOTS { Some(0x3F - slot) } else { None }
}
