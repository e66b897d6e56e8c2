// SPDX-License-Identifier: Apache-2.0
//! The directories by which terminals that know no names find the purse: PSE and PPSE.
//!
//! Normative references:
//!  - EMV book 1, clause 12.3.2 (PSE); EMV contactless book B, clause 3.3 (PPSE)

use cam_types::Aid;
use cam_types::interindustry::INS_READ_RECORD;
use iso7816::apdu::{Command, StatusWord};

/// Which of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Directory {
    /// 1PAY.SYS.DDF01: a file with an entry.
    Pse,
    /// 2PAY.SYS.DDF01: the entry is in the answer to SELECT.
    Ppse,
}

/// The purse's label.
const LABEL: &[u8] = b"PURSE";
/// The short identifier of the PSE's file.
const SFI: u8 = 0x01;

impl Directory {
    pub(super) fn by_name(name: &[u8]) -> Option<Self> {
        [Self::Pse, Self::Ppse].into_iter().find(|directory| directory.name() == name)
    }

    pub(super) const fn name(self) -> &'static [u8] {
        match self {
            Self::Pse => b"1PAY.SYS.DDF01",
            Self::Ppse => b"2PAY.SYS.DDF01",
        }
    }

    /// What the answer to SELECT says besides the name.
    pub(super) fn proprietary(self) -> Vec<u8> {
        match self {
            Self::Pse => vec![0x88, 0x01, SFI],
            // Priority 1, without the holder's consent.
            Self::Ppse => tlv(&[0xBF, 0x0C], &entry(&[0x87, 0x01, 0x01])),
        }
    }

    /// READ RECORD of the only record.
    pub(super) fn process(self, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
        const FILE: u8 = SFI << 3 | 0x04;
        match (self, command.cla, command.ins, command.p1, command.p2) {
            (Self::Pse, 0x00, INS_READ_RECORD, 0x01, FILE) => Ok(tlv(&[0x70], &entry(&[]))),
            (Self::Pse, 0x00, INS_READ_RECORD, _, FILE) => Err(StatusWord::RECORD_NOT_FOUND),
            (Self::Pse, 0x00, INS_READ_RECORD, ..) => Err(StatusWord::NOT_FOUND),
            (_, 0x00 | 0x80, ..) => Err(StatusWord::UNKNOWN_INS),
            _ => Err(StatusWord::UNKNOWN_CLA),
        }
    }
}

/// The entry of the purse: its name, its label, and more.
fn entry(more: &[u8]) -> Vec<u8> {
    let name = tlv(&[0x4F], Aid::PURSE.octets());
    tlv(&[0x61], &[&name[..], &tlv(&[0x50], LABEL), more].concat())
}

/// Values here have fewer than 128 octets.
fn tlv(tag: &[u8], value: &[u8]) -> Vec<u8> {
    [tag, &[value.len() as u8], value].concat()
}
