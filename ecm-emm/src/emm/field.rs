// SPDX-License-Identifier: Apache-2.0
//! The fields that values of commands are made of, as they lie on the wire.

use super::key_target::KeyTarget;
use crate::card::{CardInfo, PAIRING_SLOTS};
use crate::ecm::Fingerprint;
use crate::keys::Role;
use crate::number::named;
use crate::suite::{Suite, WrappedKey};
use alloc::string::String;
use alloc::vec::Vec;
use cam_types::{
    BcdDate, BcdTime, CasTime, DecodeError, Epoch, EventId, Fen, PackageId, Reader, StbId,
    TerminalId,
};

/// What tells where it ends, or ends with the value.
pub(super) trait Read: Sized {
    /// Takes it; `name` is for the error.
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError>;
}

/// What can be written.
pub(super) trait Emit {
    /// Appends its octets.
    fn emit(&self, out: &mut Vec<u8>);
}

macro_rules! big_endian {
    ($($Number:ty),*) => { $(
        impl Read for $Number {
            fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
                Ok(Self::from_be_bytes(*r.array(name)?))
            }
        }

        impl Emit for $Number {
            fn emit(&self, out: &mut Vec<u8>) {
                out.extend(self.to_be_bytes());
            }
        }
    )* };
}

big_endian!(u8, u16, u32, CasTime, Fen, PackageId);

macro_rules! names {
    ($($Number:ty),*) => { $(
        impl Read for $Number {
            fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
                named(Self::from_be_bytes(*r.array(name)?), name)
            }
        }

        impl Emit for $Number {
            fn emit(&self, out: &mut Vec<u8>) {
                out.extend(self.to_be_bytes());
            }
        }
    )* };
}

names!(Epoch, EventId);

impl<const N: usize> Read for [u8; N] {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        r.array(name).copied()
    }
}

impl<const N: usize> Emit for [u8; N] {
    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Read for BcdDate {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Read::read(r, name).map(Self)
    }
}

impl Emit for BcdDate {
    fn emit(&self, out: &mut Vec<u8>) {
        self.0.emit(out);
    }
}

impl Read for BcdTime {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Read::read(r, name).map(Self)
    }
}

impl Emit for BcdTime {
    fn emit(&self, out: &mut Vec<u8>) {
        self.0.emit(out);
    }
}

impl Read for TerminalId {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Read::read(r, name).map(Self::new)
    }
}

impl Emit for TerminalId {
    fn emit(&self, out: &mut Vec<u8>) {
        self.octets().emit(out);
    }
}

impl Read for StbId {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Read::read(r, name).map(Self::new)
    }
}

impl Emit for StbId {
    fn emit(&self, out: &mut Vec<u8>) {
        self.octets().emit(out);
    }
}

impl Read for bool {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        match r.u8(name)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::Invalid { field: name, got: other.into() }),
        }
    }
}

impl Emit for bool {
    fn emit(&self, out: &mut Vec<u8>) {
        out.push((*self).into());
    }
}

impl Read for KeyTarget {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Self::parse(r.u8(name)?)
    }
}

impl Emit for KeyTarget {
    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.octet());
    }
}

impl Read for Role {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Self::try_from(r.u8(name)?)
    }
}

impl Emit for Role {
    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.number());
    }
}

impl Read for Suite {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Self::try_from(r.u8(name)?)
    }
}

impl Emit for Suite {
    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.number());
    }
}

/// A moment that may be left out, at the end of a value.
impl Read for Option<CasTime> {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        if r.is_empty() { Ok(None) } else { CasTime::read(r, name).map(Some) }
    }
}

impl Emit for Option<CasTime> {
    fn emit(&self, out: &mut Vec<u8>) {
        if let Some(time) = self {
            time.emit(out);
        }
    }
}

/// A text is the rest of its value.
impl Read for String {
    fn read(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        core::str::from_utf8(r.rest())
            .map(Self::from)
            .map_err(|e| DecodeError::Invalid { field: name, got: e.valid_up_to() as u32 })
    }
}

impl Emit for String {
    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Emit for Vec<u8> {
    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Emit for WrappedKey {
    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.octets());
    }
}

impl Read for Fingerprint {
    fn read(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        Self::read(r)
    }
}

impl Emit for Fingerprint {
    fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.octets());
    }
}

/// A pairing slot, or FF for all of them.
impl Emit for Option<u8> {
    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.unwrap_or(0xFF));
    }
}

/// A pairing slot, or FF for all of them.
pub(super) fn pairing_slots(r: &mut Reader<'_>) -> Result<Option<u8>, DecodeError> {
    match r.u8("pairing slot")? {
        0xFF => Ok(None),
        slot => checked_slot(slot).map(Some),
    }
}

/// One of the card's pairing slots.
pub(super) fn pairing_slot(r: &mut Reader<'_>) -> Result<u8, DecodeError> {
    checked_slot(r.u8("pairing slot")?)
}

fn checked_slot(slot: u8) -> Result<u8, DecodeError> {
    if slot < PAIRING_SLOTS {
        Ok(slot)
    } else {
        Err(DecodeError::Invalid { field: "pairing slot", got: slot.into() })
    }
}

/// The floor of a key's generations, which names none: 0 is below all of them.
pub(super) fn floor(r: &mut Reader<'_>) -> Result<Epoch, DecodeError> {
    Ok(Epoch::from_be_bytes(*r.array("floor")?))
}

/// The number of a top-up.
pub(super) fn topup_number(r: &mut Reader<'_>) -> Result<u16, DecodeError> {
    named(r.u16("top-up number")?, "top-up number")
}

/// The number of a decision about a box.
pub(super) fn bar_number(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
    named(r.u32("bar number")?, "bar number")
}

/// The generation of the operator's public key.
pub(super) fn signature_epoch(r: &mut Reader<'_>) -> Result<u8, DecodeError> {
    named(r.u8("epoch")?, "epoch")
}

/// One of the card's groups.
pub(super) fn group_index(r: &mut Reader<'_>) -> Result<u8, DecodeError> {
    match r.u8("group index")? {
        index if usize::from(index) < CardInfo::MAX_GROUPS => Ok(index),
        other => Err(DecodeError::Invalid { field: "group index", got: other.into() }),
    }
}

/// A key in its wrapping, which makes it eight octets longer.
pub(super) fn wrapped(r: &mut Reader<'_>, key_len: usize) -> Result<WrappedKey, DecodeError> {
    let octets = r.bytes(key_len + 8, "wrapped key")?;
    WrappedKey::from_slice(octets).ok_or(DecodeError::Missing("wrapped key"))
}

/// The bits of ENT_BITMAP: all but the end and the version, which follow.
pub(super) fn bitmap(r: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    let len = r.remaining().checked_sub(6).ok_or(DecodeError::Missing("bitmap"))?;
    if !(1..=32).contains(&len) {
        return Err(DecodeError::Invalid { field: "bitmap length", got: len as u32 });
    }
    Ok(r.bytes(len, "bitmap")?.into())
}
