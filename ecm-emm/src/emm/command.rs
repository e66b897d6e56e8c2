// SPDX-License-Identifier: Apache-2.0
//! The commands of an EMM body: flat tag-length-value elements, every tag critical.
//!
//! Normative references:
//!  - `docs/spec/emm.md`, table of commands

use super::field::{
    Emit, Read, bar_number, bitmap, floor, group_index, pairing_slots, signature_epoch,
    topup_number, wrapped,
};
use super::key_delivery::KeyDelivery;
use super::key_target::KeyTarget;
use super::pairing::Pairing;
use super::reset::{ResetNumber, TimeStep};
use super::script::Script;
use super::sender::Sender;
use super::table::{commands, read};
use crate::ecm::Fingerprint;
use crate::error::EncodeError;
use crate::keys::Role;
use crate::suite::{Suite, WrappedKey};
use alloc::string::String;
use alloc::vec::Vec;
use cam_types::{
    BcdDate, BcdTime, CasTime, DecodeError, Epoch, EventId, Fen, PackageId, Reader, StbId,
    TerminalId,
};

// `docs/spec/emm.md` §3, row by row; `table.rs` says what stands where.
commands! {
    /// A package until `end`. EMM-S only moves the end of a row that exists.
    0x10 ENT_GRANT from [Individual, Recovery, Group]:
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
    /// No longer.
    0x11 ENT_REVOKE from [Individual, Recovery]:
    Revoke {
        /// What may be watched no longer.
        package: PackageId,
        /// The object's version.
        version: u16,
    },
    /// An event without a purchase.
    0x12 PPV_GRANT from [Individual, Recovery]:
    PpvGrant {
        /// What may be watched.
        event: EventId,
        /// Which edition of it.
        tier: u8,
        /// When the right ends.
        end: CasTime,
    },
    /// Package `base + n` for every bit n; bit 0 is the most significant of the
    /// first octet.
    0x13 ENT_BITMAP from [Individual, Recovery, Group]:
    Bitmap {
        /// The first package.
        base: PackageId = "package",
        /// 1 to 32 octets.
        bitmap: Vec<u8> => bitmap,
        /// When the rights end.
        end: CasTime,
        /// The version of all of them.
        version: u16,
    },
    /// A key for a generation that is not in use.
    0x20 KEY_DELIVER from [Individual, Recovery, Wallet, WalletRecovery, SignedGroup]:
    KeyDeliver(delivery: KeyDelivery),
    /// Generations below `floor` are erased for good.
    0x21 KEY_ACTIVATE from [Individual, Recovery, Wallet, WalletRecovery, Operator]:
    KeyActivate {
        /// Which key.
        target: KeyTarget = "key slot",
        /// The generation in use from now on.
        epoch: Epoch,
        /// The lowest one that may still be used.
        floor: Epoch => floor,
    },
    /// One generation is erased.
    0x22 KEY_DESTROY from [Individual, Recovery, Wallet, WalletRecovery, Operator]:
    KeyDestroy {
        /// Which key.
        target: KeyTarget = "key slot",
        /// The generation.
        epoch: Epoch,
    },
    /// Keys of `role` may only be of a suite whose bit stays set.
    0x23 SUITE_ALLOW from [Individual, Recovery, Wallet, WalletRecovery, Operator]:
    SuiteAllow {
        /// The kind of keys that it is about.
        role: Role = "key role",
        /// Bit n stands for suite n; it is and-ed to what the card has.
        mask: u16,
    },
    /// Forward only.
    0x24 EMM_LEVEL from [Individual, Recovery, Wallet, WalletRecovery, Operator]:
    EmmLevel {
        /// The level reached.
        level: u16,
        /// Only once this RESET of the clock was taken.
        after: Option<ResetNumber> = "reset number",
    },
    /// The operator's public key.
    0x25 SIGKEY from [Recovery]:
    SigKey {
        /// Its generation.
        epoch: u8 => signature_epoch,
        /// x ‖ y of a point of P-256.
        key: [u8; 64] = "public key",
    },
    /// Money into the purse.
    0x30 WALLET_TOPUP from [Wallet]:
    Topup {
        /// The wallet's own number against repetition.
        number: u16 => topup_number,
        /// How much.
        amount: Fen,
        /// For the purse's log.
        date: BcdDate,
        /// For the purse's log.
        time: BcdTime,
        /// Who took the money.
        agent: TerminalId,
    },
    /// Money back for a purchase, which ends the right.
    0x31 WALLET_REFUND from [Wallet]:
    Refund {
        /// What was bought.
        event: EventId,
        /// The purse's offline sequence of the purchase.
        sequence: u16 = "offline sequence",
        /// At most what was paid.
        amount: Fen,
    },
    /// 01 the purse pays no longer, 00 again.
    0x32 WALLET_BLOCK from [Wallet]:
    WalletBlock {
        /// It pays no longer.
        blocked: bool = "block mode",
    },
    /// A new PIN and all tries.
    0x40 PIN_RESET from [Individual, Recovery]:
    PinReset {
        /// Sent 0 and not looked at.
        flags: u16,
        /// PIN block and eight zeros, wrapped.
        wrapped: [u8; 24] = "PIN",
    },
    /// A box is given a pairing slot.
    0x50 PAIR from [Individual, Recovery]:
    Pair(pairing: Pairing),
    /// A pairing slot is emptied; `None` (FF) all of them.
    0x51 UNPAIR from [Individual, Recovery]:
    Unpair(slot: Option<u8> => pairing_slots),
    /// A box is listed out: no card of the operator works with it, until it is lifted.
    0x52 BOX_BAR from [Individual, Recovery, Operator]:
    BoxBar {
        /// The decision's number, in one series of the operator: of each box the last one stands.
        number: u32 => bar_number,
        /// Listed out, or no longer.
        barred: bool = "bar mode",
        /// The box.
        stb: StbId = "box",
    },
    /// A message to the subscriber.
    0x60 OSD from [Individual, Recovery, Group, Global, Operator]:
    Osd {
        /// The operator's number of the message; a new one replaces the old.
        id: u16 = "message id",
        /// Bits 1 and 0 severity, bit 2 the subscriber may dismiss it, bit 3 withdraw it.
        attributes: u8 = "message attributes",
        /// UTF-8.
        text: String = "UTF-8 text",
    },
    /// The card's mark on the screen.
    0x61 FINGERPRINT from [Individual, Recovery, Group, Global, Operator]:
    Fingerprint(fingerprint: Fingerprint),
    /// 01 the card serves no longer, 00 again.
    0x70 CARD_STATE from [Individual, Recovery]:
    CardState {
        /// It serves no longer.
        blocked: bool = "card state",
    },
    /// The card is to report its purchases.
    0x71 REPORT_REQUEST from [Individual, Recovery]:
    ReportRequest {
        /// Goes into the report's seal.
        nonce: [u8; 8],
        /// The first record wanted.
        from: u16 = "first record",
    },
    /// The operator's time.
    0x72 TIME_SYNC from [Individual, Recovery, Operator]:
    TimeSync {
        /// Now.
        time: CasTime,
        /// Forward, or also backward.
        step: TimeStep = "time flags",
    },
    /// The card joins a group.
    0x73 GROUP_ASSIGN from [Individual, Recovery]:
    GroupAssign {
        /// Which of its eight group addresses.
        index: u8 => group_index,
        /// The group's address in EMM-S.
        group: u32 = "group address",
        /// The suite of the group key.
        suite: Suite,
        /// Its generation.
        epoch: Epoch,
        /// The group's key, under the key of this message.
        wrapped: WrappedKey => |r| wrapped(r, suite.key_len()),
    },
    /// Records up to this receipt have arrived.
    0x74 REPORT_ACK from [Individual, Recovery]:
    ReportAck(receipt: [u8; 8]),
    /// Commands of the issuer for a security domain.
    0x7F SCRIPT from [Individual, Recovery, Wallet, WalletRecovery]:
    Script(script: Script),
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
