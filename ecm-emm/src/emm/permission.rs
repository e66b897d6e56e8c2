// SPDX-License-Identifier: Apache-2.0
//! Who may say what, and about which key.

use super::command::EmmCommand;
use super::key_target::KeyTarget;
use super::sender::{Sender, Signing};
use super::signature::Signature;
use crate::keys::Role;

/// A message of this table_id may be sealed under a key of this role. Checked before any crypto.
pub const fn role_permitted(role: Role, table_id: u8) -> bool {
    Sender::of(role, table_id, Signing::Unsigned).is_some()
}

/// The command with this tag may stand in such a message.
pub const fn permitted(role: Role, table_id: u8, signing: Signing, tag: u8) -> bool {
    match (Sender::of(role, table_id, signing), tag) {
        (Some(sender), Signature::TAG) => {
            matches!(sender, Sender::Operator | Sender::SignedGroup)
        }
        (Some(sender), tag) => EmmCommand::may_come_from(sender, tag),
        (None, _) => false,
    }
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
