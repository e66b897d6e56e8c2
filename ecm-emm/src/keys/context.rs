// SPDX-License-Identifier: Apache-2.0
//! What tells one use of a key from another: its role, its owner and its generation.

use cam_types::{DecodeError, Epoch, OperatorId, Slot};

/// What a key is for and who holds it. It selects what an EMM under the key may do.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Role {
    /// K_ind: one card, EMM-U.
    Individual = 0x11,
    /// K_grp: a group of cards, EMM-S.
    Group = 0x12,
    /// K_glb: every card of the operator, EMM-G.
    Global = 0x13,
    /// K_rec: one card, dormant, from a master kept offline.
    Recovery = 0x14,
    /// SK: a family of services, ECM.
    Service = 0x15,
    /// K_sig: the operator's signature on EMM-G.
    Signature = 0x16,
    /// K_rcp: one card, receipts and reports.
    Receipt = 0x17,
    /// K_wal: one card's wallet, EMM-U.
    Wallet = 0x21,
    /// K_wrec: one card's wallet, dormant.
    WalletRecovery = 0x24,
    /// K_tac2: one card, transaction authentication codes of suite 2.
    Tac = 0x27,
    /// K_box: one set-top box.
    Box = 0x41,
}

impl Role {
    /// As messages carry it.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The key lives in the wallet's domain and never enters the CAS.
    pub const fn is_wallet(self) -> bool {
        self.number() >> 4 == 2
    }

    const ALL: [Self; 11] = [
        Self::Individual,
        Self::Group,
        Self::Global,
        Self::Recovery,
        Self::Service,
        Self::Signature,
        Self::Receipt,
        Self::Wallet,
        Self::WalletRecovery,
        Self::Tac,
        Self::Box,
    ];
}

impl TryFrom<u8> for Role {
    type Error = DecodeError;

    fn try_from(number: u8) -> Result<Self, DecodeError> {
        let invalid = DecodeError::Invalid { field: "key role", got: number.into() };
        Self::ALL.into_iter().find(|role| role.number() == number).ok_or(invalid)
    }
}

/// Everything that tells one use of a key from another; 6 octets of every derivation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct KeyContext {
    /// What the key is for.
    pub role: Role,
    /// Whose it is.
    pub operator: OperatorId,
    /// The service key slot for role 15, else 0.
    pub slot: u8,
    /// Its generation.
    pub epoch: Epoch,
}

impl KeyContext {
    /// The context of a service key.
    pub const fn service(operator: OperatorId, slot: Slot, epoch: Epoch) -> Self {
        Self { role: Role::Service, operator, slot: slot.value(), epoch }
    }

    /// The context of any other key.
    pub const fn new(role: Role, operator: OperatorId, epoch: Epoch) -> Self {
        Self { role, operator, slot: 0, epoch }
    }

    /// role1 ‖ operator2 ‖ slot1 ‖ epoch2.
    pub const fn octets(&self) -> [u8; 6] {
        let [o1, o2] = self.operator.to_be_bytes();
        let [e1, e2] = self.epoch.to_be_bytes();
        [self.role.number(), o1, o2, self.slot, e1, e2]
    }
}
