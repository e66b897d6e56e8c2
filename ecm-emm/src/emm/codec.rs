// SPDX-License-Identifier: Apache-2.0
//! The values of the commands on the wire: reading and writing side by side.

use super::command::{EmmCommand, tag};
use super::key_delivery::KeyDelivery;
use super::key_target::KeyTarget;
use super::pairing::Pairing;
use super::script::Script;
use crate::ecm::Fingerprint;
use crate::keys::Role;
use crate::suite::{Suite, WrappedKey};
use alloc::string::String;
use alloc::vec::Vec;
use cam_types::{
    BcdDate, BcdTime, CasTime, DecodeError, Epoch, EventId, Fen, PackageId, Reader, TerminalId,
};

impl EmmCommand {
    /// The octet that it begins with (`docs/spec/emm.md` §3).
    pub const fn tag(&self) -> u8 {
        match self {
            Self::Grant { .. } => tag::GRANT,
            Self::Revoke { .. } => tag::REVOKE,
            Self::PpvGrant { .. } => tag::PPV_GRANT,
            Self::Bitmap { .. } => tag::BITMAP,
            Self::KeyDeliver(_) => tag::KEY_DELIVER,
            Self::KeyActivate { .. } => tag::KEY_ACTIVATE,
            Self::KeyDestroy { .. } => tag::KEY_DESTROY,
            Self::SuiteAllow { .. } => tag::SUITE_ALLOW,
            Self::EmmLevel(_) => tag::EMM_LEVEL,
            Self::SigKey { .. } => tag::SIGKEY,
            Self::Topup { .. } => tag::TOPUP,
            Self::Refund { .. } => tag::REFUND,
            Self::WalletBlock { .. } => tag::WALLET_BLOCK,
            Self::PinReset { .. } => tag::PIN_RESET,
            Self::Pair(_) => tag::PAIR,
            Self::Unpair(_) => tag::UNPAIR,
            Self::Osd { .. } => tag::OSD,
            Self::Fingerprint(_) => tag::FINGERPRINT,
            Self::CardState { .. } => tag::CARD_STATE,
            Self::ReportRequest { .. } => tag::REPORT_REQUEST,
            Self::TimeSync { .. } => tag::TIME_SYNC,
            Self::GroupAssign { .. } => tag::GROUP_ASSIGN,
            Self::ReportAck(_) => tag::REPORT_ACK,
            Self::Script(_) => tag::SCRIPT,
        }
    }

    pub(super) fn read(tag: u8, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match tag {
            tag::GRANT => Self::Grant {
                package: package(r)?,
                start: time(r, "start")?,
                end: time(r, "end")?,
                version: r.u16("version")?,
                horizon: if r.is_empty() { None } else { Some(time(r, "horizon")?) },
            },
            tag::REVOKE => Self::Revoke { package: package(r)?, version: r.u16("version")? },
            tag::PPV_GRANT => {
                Self::PpvGrant { event: event(r)?, tier: r.u8("tier")?, end: time(r, "end")? }
            }
            tag::BITMAP => read_bitmap(r)?,
            tag::KEY_DELIVER => Self::KeyDeliver(KeyDelivery::read(r)?),
            tag::KEY_ACTIVATE => Self::KeyActivate {
                target: KeyTarget::parse(r.u8("key slot")?)?,
                epoch: epoch(r, "epoch")?,
                floor: epoch(r, "floor")?,
            },
            tag::KEY_DESTROY => Self::KeyDestroy {
                target: KeyTarget::parse(r.u8("key slot")?)?,
                epoch: epoch(r, "epoch")?,
            },
            tag::SUITE_ALLOW => {
                Self::SuiteAllow { role: Role::try_from(r.u8("key role")?)?, mask: r.u16("mask")? }
            }
            tag::EMM_LEVEL => Self::EmmLevel(r.u16("level")?),
            tag::SIGKEY => Self::SigKey { epoch: r.u8("epoch")?, key: *r.array("public key")? },
            tag::TOPUP => Self::Topup {
                number: r.u16("top-up number")?,
                amount: Fen::from_be_bytes(*r.array("amount")?),
                date: BcdDate(*r.array("date")?),
                time: BcdTime(*r.array("time")?),
                agent: TerminalId::new(*r.array("agent")?),
            },
            tag::REFUND => Self::Refund {
                event: event(r)?,
                sequence: r.u16("offline sequence")?,
                amount: Fen::from_be_bytes(*r.array("amount")?),
            },
            tag::WALLET_BLOCK => Self::WalletBlock { blocked: flag(r, "block mode")? },
            tag::PIN_RESET => Self::PinReset { flags: r.u16("flags")?, wrapped: *r.array("PIN")? },
            tag::PAIR => Self::Pair(Pairing::read(r)?),
            tag::UNPAIR => Self::Unpair(match r.u8("pairing slot")? {
                0xFF => None,
                slot => Some(pairing_slot(slot)?),
            }),
            tag::OSD => read_osd(r)?,
            tag::FINGERPRINT => Self::Fingerprint(Fingerprint::read(r)?),
            tag::CARD_STATE => Self::CardState { blocked: flag(r, "card state")? },
            tag::REPORT_REQUEST => {
                Self::ReportRequest { nonce: *r.array("nonce")?, from: r.u16("first record")? }
            }
            tag::TIME_SYNC => {
                Self::TimeSync { time: time(r, "time")?, reset: flag(r, "time flags")? }
            }
            tag::GROUP_ASSIGN => read_group_assign(r)?,
            tag::REPORT_ACK => Self::ReportAck(*r.array("receipt")?),
            tag::SCRIPT => Self::Script(Script::read(r)?),
            _ => return Err(DecodeError::Unknown { tag }),
        })
    }

    pub(super) fn emit_value(&self, out: &mut Vec<u8>) {
        match self {
            Self::Grant { package, start, end, version, horizon } => {
                out.extend(package.to_be_bytes());
                out.extend(start.to_be_bytes());
                out.extend(end.to_be_bytes());
                out.extend(version.to_be_bytes());
                if let Some(horizon) = horizon {
                    out.extend(horizon.to_be_bytes());
                }
            }
            Self::Revoke { package, version } => {
                out.extend(package.to_be_bytes());
                out.extend(version.to_be_bytes());
            }
            Self::PpvGrant { event, tier, end } => {
                out.extend(event.to_be_bytes());
                out.push(*tier);
                out.extend(end.to_be_bytes());
            }
            Self::Bitmap { base, bitmap, end, version } => {
                out.extend(base.to_be_bytes());
                out.extend_from_slice(bitmap);
                out.extend(end.to_be_bytes());
                out.extend(version.to_be_bytes());
            }
            Self::KeyDeliver(delivery) => delivery.emit(out),
            Self::KeyActivate { target, epoch, floor } => {
                out.push(target.octet());
                out.extend(epoch.to_be_bytes());
                out.extend(floor.to_be_bytes());
            }
            Self::KeyDestroy { target, epoch } => {
                out.push(target.octet());
                out.extend(epoch.to_be_bytes());
            }
            Self::SuiteAllow { role, mask } => {
                out.push(role.number());
                out.extend(mask.to_be_bytes());
            }
            Self::EmmLevel(level) => out.extend(level.to_be_bytes()),
            Self::SigKey { epoch, key } => {
                out.push(*epoch);
                out.extend_from_slice(key);
            }
            Self::Topup { number, amount, date, time, agent } => {
                out.extend(number.to_be_bytes());
                out.extend(amount.to_be_bytes());
                out.extend(date.0);
                out.extend(time.0);
                out.extend_from_slice(agent.octets());
            }
            Self::Refund { event, sequence, amount } => {
                out.extend(event.to_be_bytes());
                out.extend(sequence.to_be_bytes());
                out.extend(amount.to_be_bytes());
            }
            Self::WalletBlock { blocked } | Self::CardState { blocked } => {
                out.push((*blocked).into());
            }
            Self::PinReset { flags, wrapped } => {
                out.extend(flags.to_be_bytes());
                out.extend_from_slice(wrapped);
            }
            Self::Pair(pairing) => pairing.emit(out),
            Self::Unpair(slot) => out.push(slot.unwrap_or(0xFF)),
            Self::Osd { id, attributes, text } => {
                out.extend(id.to_be_bytes());
                out.push(*attributes);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Fingerprint(fingerprint) => out.extend(fingerprint.octets()),
            Self::ReportRequest { nonce, from } => {
                out.extend_from_slice(nonce);
                out.extend(from.to_be_bytes());
            }
            Self::TimeSync { time, reset } => {
                out.extend(time.to_be_bytes());
                out.push((*reset).into());
            }
            Self::GroupAssign { index, group, suite, epoch, wrapped } => {
                out.push(*index);
                out.extend(group.to_be_bytes());
                out.push(suite.number());
                out.extend(epoch.to_be_bytes());
                out.extend_from_slice(wrapped.octets());
            }
            Self::ReportAck(receipt) => out.extend_from_slice(receipt),
            Self::Script(script) => script.emit(out),
        }
    }
}

fn read_bitmap(r: &mut Reader<'_>) -> Result<EmmCommand, DecodeError> {
    let base = package(r)?;
    let len = r.remaining().checked_sub(6).ok_or(DecodeError::Missing("bitmap"))?;
    if !(1..=32).contains(&len) {
        return Err(DecodeError::Invalid { field: "bitmap length", got: len as u32 });
    }
    let bitmap = r.bytes(len, "bitmap")?.into();
    Ok(EmmCommand::Bitmap { base, bitmap, end: time(r, "end")?, version: r.u16("version")? })
}

fn read_osd(r: &mut Reader<'_>) -> Result<EmmCommand, DecodeError> {
    let id = r.u16("message id")?;
    let attributes = r.u8("message attributes")?;
    let text = core::str::from_utf8(r.rest())
        .map_err(|e| DecodeError::Invalid { field: "UTF-8 text", got: e.valid_up_to() as u32 })?;
    Ok(EmmCommand::Osd { id, attributes, text: String::from(text) })
}

fn read_group_assign(r: &mut Reader<'_>) -> Result<EmmCommand, DecodeError> {
    let index = r.u8("group index")?;
    if index > 7 {
        return Err(DecodeError::Invalid { field: "group index", got: index.into() });
    }
    let group = r.u32("group address")?;
    let suite = Suite::try_from(r.u8("suite")?)?;
    let epoch = epoch(r, "epoch")?;
    let wrapped = wrapped(r, suite.key_len())?;
    Ok(EmmCommand::GroupAssign { index, group, suite, epoch, wrapped })
}

fn package(r: &mut Reader<'_>) -> Result<PackageId, DecodeError> {
    Ok(PackageId::from_be_bytes(*r.array("package")?))
}

fn event(r: &mut Reader<'_>) -> Result<EventId, DecodeError> {
    Ok(EventId::from_be_bytes(*r.array("event")?))
}

pub(super) fn epoch(r: &mut Reader<'_>, field: &'static str) -> Result<Epoch, DecodeError> {
    Ok(Epoch::from_be_bytes(*r.array(field)?))
}

pub(super) fn time(r: &mut Reader<'_>, field: &'static str) -> Result<CasTime, DecodeError> {
    Ok(CasTime::from_be_bytes(*r.array(field)?))
}

fn flag(r: &mut Reader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    match r.u8(field)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(DecodeError::Invalid { field, got: other.into() }),
    }
}

pub(super) fn pairing_slot(slot: u8) -> Result<u8, DecodeError> {
    if slot <= 3 {
        Ok(slot)
    } else {
        Err(DecodeError::Invalid { field: "pairing slot", got: slot.into() })
    }
}

pub(super) fn wrapped(r: &mut Reader<'_>, key_len: usize) -> Result<WrappedKey, DecodeError> {
    let octets = r.bytes(key_len + 8, "wrapped key")?;
    WrappedKey::from_slice(octets).ok_or(DecodeError::Missing("wrapped key"))
}
