// SPDX-License-Identifier: Apache-2.0
//! The commands of an EMM body: flat tag-length-value elements, every tag critical.
//!
//! Normative references:
//!  - `docs/spec/emm.md`, table of commands

use super::key_delivery::KeyDelivery;
use super::key_target::KeyTarget;
use super::pairing::Pairing;
use super::script::Script;
use crate::ecm::Fingerprint;
use crate::error::EncodeError;
use crate::keys::Role;
use crate::suite::{Suite, WrappedKey};
use alloc::string::String;
use alloc::vec::Vec;
use cam_types::{
    BcdDate, BcdTime, CasTime, DecodeError, Epoch, EventId, Fen, PackageId, Reader, TerminalId,
};

/// The tags of all commands.
pub mod tag {
    /// ENT_GRANT
    pub const GRANT: u8 = 0x10;
    /// ENT_REVOKE
    pub const REVOKE: u8 = 0x11;
    /// PPV_GRANT
    pub const PPV_GRANT: u8 = 0x12;
    /// ENT_BITMAP
    pub const BITMAP: u8 = 0x13;
    /// KEY_DELIVER
    pub const KEY_DELIVER: u8 = 0x20;
    /// KEY_ACTIVATE
    pub const KEY_ACTIVATE: u8 = 0x21;
    /// KEY_DESTROY
    pub const KEY_DESTROY: u8 = 0x22;
    /// SUITE_ALLOW
    pub const SUITE_ALLOW: u8 = 0x23;
    /// EMM_LEVEL
    pub const EMM_LEVEL: u8 = 0x24;
    /// SIGKEY
    pub const SIGKEY: u8 = 0x25;
    /// WALLET_TOPUP
    pub const TOPUP: u8 = 0x30;
    /// WALLET_REFUND
    pub const REFUND: u8 = 0x31;
    /// WALLET_BLOCK
    pub const WALLET_BLOCK: u8 = 0x32;
    /// PIN_RESET
    pub const PIN_RESET: u8 = 0x40;
    /// PAIR
    pub const PAIR: u8 = 0x50;
    /// UNPAIR
    pub const UNPAIR: u8 = 0x51;
    /// OSD
    pub const OSD: u8 = 0x60;
    /// FINGERPRINT
    pub const FINGERPRINT: u8 = 0x61;
    /// CARD_STATE
    pub const CARD_STATE: u8 = 0x70;
    /// REPORT_REQUEST
    pub const REPORT_REQUEST: u8 = 0x71;
    /// TIME_SYNC
    pub const TIME_SYNC: u8 = 0x72;
    /// GROUP_ASSIGN
    pub const GROUP_ASSIGN: u8 = 0x73;
    /// REPORT_ACK
    pub const REPORT_ACK: u8 = 0x74;
    /// SCRIPT
    pub const SCRIPT: u8 = 0x7F;
}

/// One command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EmmCommand {
    /// ENT_GRANT: a package until `end`. EMM-S only moves the end of a row that exists.
    Grant {
        /// What may be watched.
        package: PackageId,
        /// When the right begins.
        start: CasTime,
        /// When it ends.
        end: CasTime,
        /// The object's version: the last one wins.
        version: u16,
        /// How far EMM-S may move the end; absent means no further than `end`.
        horizon: Option<CasTime>,
    },
    /// ENT_REVOKE: no longer.
    Revoke {
        /// What may be watched no longer.
        package: PackageId,
        /// The object's version.
        version: u16,
    },
    /// PPV_GRANT: an event without a purchase.
    PpvGrant {
        /// What may be watched.
        event: EventId,
        /// Which edition of it.
        tier: u8,
        /// When the right ends.
        end: CasTime,
    },
    /// ENT_BITMAP: package `base + n` for every bit n; bit 0 is the most significant of the first
    /// octet.
    Bitmap {
        /// The first package.
        base: PackageId,
        /// 1 to 32 octets.
        bitmap: Vec<u8>,
        /// When the rights end.
        end: CasTime,
        /// The version of all of them.
        version: u16,
    },
    /// KEY_DELIVER: a key for a generation that is not in use.
    KeyDeliver(KeyDelivery),
    /// KEY_ACTIVATE: generations below `floor` are erased for good.
    KeyActivate {
        /// Which key.
        target: KeyTarget,
        /// The generation in use from now on.
        epoch: Epoch,
        /// The lowest one that may still be used.
        floor: Epoch,
    },
    /// KEY_DESTROY: one generation is erased.
    KeyDestroy {
        /// Which key.
        target: KeyTarget,
        /// The generation.
        epoch: Epoch,
    },
    /// SUITE_ALLOW: keys of `role` may only be of a suite whose bit stays set.
    SuiteAllow {
        /// The kind of keys that it is about.
        role: Role,
        /// Bit n stands for suite n; it is and-ed to what the card has.
        mask: u16,
    },
    /// EMM_LEVEL: forward only.
    EmmLevel(u16),
    /// SIGKEY: the operator's public key.
    SigKey {
        /// Its generation.
        epoch: u8,
        /// x ‖ y of a point of P-256.
        key: [u8; 64],
    },
    /// WALLET_TOPUP: money into the purse.
    Topup {
        /// The wallet's own number against repetition.
        number: u16,
        /// How much.
        amount: Fen,
        /// For the purse's log.
        date: BcdDate,
        /// For the purse's log.
        time: BcdTime,
        /// Who took the money.
        agent: TerminalId,
    },
    /// WALLET_REFUND: money back for a purchase, which ends the right.
    Refund {
        /// What was bought.
        event: EventId,
        /// The purse's offline sequence of the purchase.
        sequence: u16,
        /// At most what was paid.
        amount: Fen,
    },
    /// WALLET_BLOCK: 01 the purse pays no longer, 00 again.
    WalletBlock {
        /// It pays no longer.
        blocked: bool,
    },
    /// PIN_RESET: a new PIN and all tries.
    PinReset {
        /// Sent 0 and not looked at.
        flags: u16,
        /// PIN block and eight zeros, wrapped.
        wrapped: [u8; 24],
    },
    /// PAIR: a box is given a pairing slot.
    Pair(Pairing),
    /// UNPAIR: a pairing slot is emptied; `None` (FF) all of them.
    Unpair(Option<u8>),
    /// OSD: a message to the viewer.
    Osd {
        /// The operator's number of the message; a new one replaces the old.
        id: u16,
        /// Bits 1 and 0 severity, bit 2 the viewer may dismiss it, bit 3 withdraw it.
        attributes: u8,
        /// UTF-8.
        text: String,
    },
    /// FINGERPRINT: the card's mark on the screen.
    Fingerprint(Fingerprint),
    /// CARD_STATE: 01 the card serves no longer, 00 again.
    CardState {
        /// It serves no longer.
        blocked: bool,
    },
    /// REPORT_REQUEST: the card is to report its purchases.
    ReportRequest {
        /// Goes into the report's seal.
        nonce: [u8; 8],
        /// The first record wanted.
        from: u16,
    },
    /// TIME_SYNC: the broadcaster's time.
    TimeSync {
        /// Now.
        time: CasTime,
        /// Also backward.
        reset: bool,
    },
    /// GROUP_ASSIGN: the card joins a group.
    GroupAssign {
        /// Which of its eight group addresses.
        index: u8,
        /// The group's address in EMM-S.
        group: u32,
        /// The suite of the group key.
        suite: Suite,
        /// Its generation.
        epoch: Epoch,
        /// The group's key, under the key of this message.
        wrapped: WrappedKey,
    },
    /// REPORT_ACK: records up to this receipt have arrived.
    ReportAck([u8; 8]),
    /// SCRIPT: commands of the issuer for a security domain.
    Script(Script),
}

impl EmmCommand {
    /// Takes the value of one element.
    pub fn parse(tag: u8, value: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(value);
        let command = Self::read(tag, &mut r)?;
        r.finish("command")?;
        Ok(command)
    }

    /// Appends tag, length and value.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut value = Vec::with_capacity(64);
        self.emit_value(&mut value);
        EncodeError::check("EMM command", value.len(), 0xFF)?;
        out.extend([self.tag(), value.len() as u8]);
        out.append(&mut value);
        Ok(())
    }

    /// The key that it is about.
    pub const fn key_target(&self) -> Option<KeyTarget> {
        match self {
            Self::KeyDeliver(KeyDelivery { target, .. })
            | Self::KeyActivate { target, .. }
            | Self::KeyDestroy { target, .. } => Some(*target),
            _ => None,
        }
    }

    /// A signature alone does not permit it.
    pub(super) const fn needs_unsigned(&self) -> bool {
        matches!(self, Self::SuiteAllow { role: Role::Recovery | Role::WalletRecovery, .. })
    }
}
