// SPDX-License-Identifier: Apache-2.0
//! Which of a card's keys an EMM is about, in one octet.

use crate::keys::Role;
use cam_types::{DecodeError, Slot};

/// Which key of a card KEY_DELIVER, KEY_ACTIVATE and KEY_DESTROY are about: r in the upper half of
/// the octet, s in the lower.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyTarget {
    /// r 0: the service key of slot s.
    Service(Slot),
    /// r 1: the domain's own EMM-U key, K_ind or K_wal.
    Own,
    /// r 2: the group key with index s, 0 to 7.
    Group(u8),
    /// r 3: K_glb.
    Global,
    /// r 4: the domain's own recovery key, K_rec or K_wrec.
    OwnRecovery,
    /// r 5: the purse's DPK.
    Purchase,
    /// r 6: the purse's DLK.
    Load,
    /// r 7: the purse's DTK.
    PurseTac,
    /// r 8: K_tac2.
    Tac,
    /// r 9: K_rcp.
    Receipt,
}

impl KeyTarget {
    /// As the octet says; s must be 0 where it means nothing.
    pub fn parse(octet: u8) -> Result<Self, DecodeError> {
        match (octet >> 4, octet & 0x0F) {
            (0, s) => Ok(Self::Service(Slot::new(s))),
            (1, 0) => Ok(Self::Own),
            (2, s @ 0..=7) => Ok(Self::Group(s)),
            (3, 0) => Ok(Self::Global),
            (4, 0) => Ok(Self::OwnRecovery),
            (5, 0) => Ok(Self::Purchase),
            (6, 0) => Ok(Self::Load),
            (7, 0) => Ok(Self::PurseTac),
            (8, 0) => Ok(Self::Tac),
            (9, 0) => Ok(Self::Receipt),
            _ => Err(DecodeError::Invalid { field: "key slot", got: octet.into() }),
        }
    }

    /// As messages carry it. A slot over 15 or a group over 7 is cut to its bits.
    pub const fn octet(self) -> u8 {
        match self {
            Self::Service(slot) => slot.value() & 0x0F,
            Self::Own => 0x10,
            Self::Group(index) => 0x20 | index & 0x07,
            Self::Global => 0x30,
            Self::OwnRecovery => 0x40,
            Self::Purchase => 0x50,
            Self::Load => 0x60,
            Self::PurseTac => 0x70,
            Self::Tac => 0x80,
            Self::Receipt => 0x90,
        }
    }

    /// Messages to the card are sealed under it: its generations have windows.
    pub const fn opens_messages(self) -> bool {
        matches!(self, Self::Own | Self::Group(_) | Self::Global | Self::OwnRecovery)
    }

    /// The role of the key, as seen from the domain that `sender` belongs to; `None` for the PBOC
    /// keys, which have none.
    pub const fn role(self, sender: Role) -> Option<Role> {
        match self {
            Self::Service(_) => Some(Role::Service),
            Self::Own if sender.is_wallet() => Some(Role::Wallet),
            Self::Own => Some(Role::Individual),
            Self::Group(_) => Some(Role::Group),
            Self::Global => Some(Role::Global),
            Self::OwnRecovery if sender.is_wallet() => Some(Role::WalletRecovery),
            Self::OwnRecovery => Some(Role::Recovery),
            Self::Purchase | Self::Load | Self::PurseTac => None,
            Self::Tac => Some(Role::Tac),
            Self::Receipt => Some(Role::Receipt),
        }
    }
}
