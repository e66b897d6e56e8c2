// SPDX-License-Identifier: Apache-2.0
//! Who may say what. The key's role selects it; the table_id only has to agree.

use super::address::Address;
use super::command::tag;
use super::key_target::KeyTarget;
use super::signature::Signature;
use crate::keys::Role;

/// A message of this table_id may be sealed under a key of this role. Checked before any crypto.
pub const fn role_permitted(role: Role, table_id: u8) -> bool {
    matches!(
        (table_id, role),
        (Address::UNIQUE, Role::Individual | Role::Recovery | Role::Wallet | Role::WalletRecovery)
            | (Address::SHARED, Role::Group)
            | (Address::GLOBAL, Role::Global)
    )
}

/// Whether a message ends in a SIGNATURE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signing {
    /// It has its key's tag alone.
    Unsigned,
    /// The operator has signed it beside that.
    Signed,
}

/// The command with this tag may stand in such a message.
pub const fn permitted(role: Role, table_id: u8, signing: Signing, tag: u8) -> bool {
    let signed = matches!(signing, Signing::Signed);
    if !role_permitted(role, table_id) || (signed && !matches!(role, Role::Global)) {
        return false;
    }
    match role {
        Role::Individual => individual(tag),
        Role::Recovery => individual(tag) || tag == tag::SIGKEY,
        Role::Wallet => wallet(tag) || matches!(tag, tag::TOPUP..=tag::WALLET_BLOCK),
        Role::WalletRecovery => wallet(tag),
        Role::Group => {
            matches!(tag, tag::GRANT | tag::BITMAP | tag::KEY_DELIVER | tag::OSD | tag::FINGERPRINT)
        }
        Role::Global if signed => matches!(
            tag,
            tag::KEY_ACTIVATE
                ..=tag::EMM_LEVEL | tag::OSD | tag::FINGERPRINT | tag::TIME_SYNC | Signature::TAG
        ),
        Role::Global => matches!(tag, tag::OSD | tag::FINGERPRINT),
        _ => false,
    }
}

const fn individual(tag: u8) -> bool {
    matches!(
        tag,
        tag::GRANT..=tag::BITMAP
            | tag::KEY_DELIVER..=tag::EMM_LEVEL
            | tag::PIN_RESET
            | tag::PAIR
            | tag::UNPAIR
            | tag::OSD
            | tag::FINGERPRINT
            | tag::CARD_STATE
            | tag::REPORT_REQUEST
            | tag::TIME_SYNC
            | tag::GROUP_ASSIGN
            | tag::REPORT_ACK
            | tag::SCRIPT
    )
}

const fn wallet(tag: u8) -> bool {
    matches!(tag, tag::KEY_DELIVER..=tag::EMM_LEVEL | tag::SCRIPT)
}

/// A key of this kind may be delivered, activated or destroyed by this role.
pub const fn may_deliver(role: Role, target: KeyTarget) -> bool {
    let r = target.octet() >> 4;
    match role {
        Role::Individual => r <= 3,
        Role::Recovery => r <= 4 || r == 9,
        Role::Group => r == 0,
        Role::Wallet => r == 1 || (r >= 5 && r <= 8),
        Role::WalletRecovery => r == 1 || (r >= 4 && r <= 8),
        // A signed EMM-G activates and destroys, but a card's own key only that key itself.
        Role::Global => r == 0 || r == 2 || r == 3,
        _ => false,
    }
}
