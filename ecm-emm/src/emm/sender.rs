// SPDX-License-Identifier: Apache-2.0
//! Who speaks in an EMM. The key's role selects it; the table_id only has to agree.

use super::address::Address;
use crate::keys::Role;

/// Who sends a message: a column of the table in `docs/spec/emm.md` §3.
#[derive(Clone, Copy)]
pub(super) enum Sender {
    /// Role 11: one card's own key.
    Individual,
    /// Role 14: one card's recovery key.
    Recovery,
    /// Role 21: the key of one card's wallet domain.
    Wallet,
    /// Role 24: the recovery key of one card's wallet domain.
    WalletRecovery,
    /// Role 12: a group's key.
    Group,
    /// Role 12 with the operator's signature.
    SignedGroup,
    /// Role 13: the key of all cards, without a signature.
    Global,
    /// Role 13 with the operator's signature.
    Operator,
}

impl Sender {
    /// `None` where no such message is taken.
    pub(super) const fn of(role: Role, table_id: u8, signing: Signing) -> Option<Self> {
        match (table_id, role, signing) {
            (Address::UNIQUE, Role::Individual, Signing::Unsigned) => Some(Self::Individual),
            (Address::UNIQUE, Role::Recovery, Signing::Unsigned) => Some(Self::Recovery),
            (Address::UNIQUE, Role::Wallet, Signing::Unsigned) => Some(Self::Wallet),
            (Address::UNIQUE, Role::WalletRecovery, Signing::Unsigned) => {
                Some(Self::WalletRecovery)
            }
            (Address::SHARED, Role::Group, Signing::Unsigned) => Some(Self::Group),
            (Address::SHARED, Role::Group, Signing::Signed) => Some(Self::SignedGroup),
            (Address::GLOBAL, Role::Global, Signing::Unsigned) => Some(Self::Global),
            (Address::GLOBAL, Role::Global, Signing::Signed) => Some(Self::Operator),
            _ => None,
        }
    }
}

/// Whether a message ends in a SIGNATURE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signing {
    /// It has its key's tag alone.
    Unsigned,
    /// The operator has signed it beside that.
    Signed,
}
