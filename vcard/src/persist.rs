// SPDX-License-Identifier: Apache-2.0
//! How objects lie in memory: fixed lengths at fixed places, so that a change touches few pages.
//!
//! Presence is one of two octets with no bit in common, counters and money carry their complement:
//! a flipped bit shows, and never turns into a right.

use crate::nvm::BODY;
use cam_types::{
    BcdDate, BcdTime, CardId, CasTime, DecodeError, Epoch, EventId, Fen, OperatorId, Pseudonym,
    Reader, Secret, StbId, TerminalId, TerminalSequence,
};
use crc::{CRC_16_IBM_3740, Crc};
use ecm_emm::emm::Window;
use ecm_emm::keys::KeyMaterial;

/// Something that has its place in memory.
pub(crate) trait Persist: Sized {
    /// Octets that it takes.
    const LEN: usize;

    /// Appends exactly [`Persist::LEN`] octets.
    fn store(&self, out: &mut Vec<u8>);

    /// Reads what [`Persist::store`] wrote.
    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// Implements [`Persist`] for a struct: its fields one after another.
macro_rules! persist {
    ($name:ty { $($field:ident: $kind:ty),* $(,)? }) => {
        impl $crate::persist::Persist for $name {
            const LEN: usize = 0 $(+ <$kind as $crate::persist::Persist>::LEN)*;

            fn store(&self, out: &mut Vec<u8>) {
                $($crate::persist::Persist::store(&self.$field, out);)*
            }

            fn load(r: &mut cam_types::Reader<'_>) -> Result<Self, cam_types::DecodeError> {
                Ok(Self { $($field: <$kind as $crate::persist::Persist>::load(r)?,)* })
            }
        }
    };
}
pub(crate) use persist;

/// A number with its complement.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Guarded<T>(pub T);

macro_rules! integer {
    ($($int:ty),*) => {$(
        impl Persist for $int {
            const LEN: usize = size_of::<$int>();

            fn store(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self::from_be_bytes(*r.array("number")?))
            }
        }

        impl Persist for Guarded<$int> {
            const LEN: usize = 2 * size_of::<$int>();

            fn store(&self, out: &mut Vec<u8>) {
                self.0.store(out);
                (!self.0).store(out);
            }

            fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let (number, complement) = (<$int>::load(r)?, <$int>::load(r)?);
                if number == !complement {
                    Ok(Self(number))
                } else {
                    Err(DecodeError::Checksum("counter"))
                }
            }
        }
    )*};
}
integer!(u8, u16, u32);

impl Persist for Guarded<Fen> {
    const LEN: usize = 8;

    fn store(&self, out: &mut Vec<u8>) {
        Guarded(self.0.fen()).store(out);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(Fen::new(Guarded::<u32>::load(r)?.0)))
    }
}

macro_rules! number {
    ($($name:ty),*) => {$(
        impl Persist for $name {
            const LEN: usize = size_of::<$name>();

            fn store(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self::from_be_bytes(*r.array(stringify!($name))?))
            }
        }
    )*};
}
number!(CasTime, Epoch, EventId, Fen, OperatorId, TerminalSequence);

macro_rules! octets {
    ($($name:ident),*) => {$(
        impl Persist for $name {
            const LEN: usize = <$name>::LEN;

            fn store(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.octets());
            }

            fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self::new(*r.array(stringify!($name))?))
            }
        }
    )*};
}
octets!(CardId, Pseudonym, StbId, TerminalId);

impl<const N: usize> Persist for [u8; N] {
    const LEN: usize = N;

    fn store(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(*r.array("octets")?)
    }
}

impl<const N: usize> Persist for Secret<N> {
    const LEN: usize = N;

    fn store(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.expose());
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::new(*r.array("key")?))
    }
}

impl Persist for KeyMaterial {
    const LEN: usize = 33;

    fn store(&self, out: &mut Vec<u8>) {
        let end = out.len() + Self::LEN;
        out.push(self.expose().len() as u8);
        out.extend_from_slice(self.expose());
        out.resize(end, 0);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = r.u8("key length")?;
        let octets = r.array::<32>("key")?;
        octets
            .get(..usize::from(len))
            .and_then(Self::from_slice)
            .ok_or(DecodeError::Invalid { field: "key length", got: len.into() })
    }
}

impl Persist for Window {
    const LEN: usize = 12;

    fn store(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.octets());
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::from_octets(*r.array("window")?))
    }
}

impl Persist for BcdDate {
    const LEN: usize = 4;

    fn store(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(*r.array("date")?))
    }
}

impl Persist for BcdTime {
    const LEN: usize = 3;

    fn store(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(*r.array("time")?))
    }
}

const YES: u8 = 0xA5;
const NO: u8 = 0x5A;

impl Persist for bool {
    const LEN: usize = 1;

    fn store(&self, out: &mut Vec<u8>) {
        out.push(if *self { YES } else { NO });
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u8("flag")? {
            YES => Ok(true),
            NO => Ok(false),
            got => Err(DecodeError::Invalid { field: "flag", got: got.into() }),
        }
    }
}

impl<T: Persist> Persist for Option<T> {
    const LEN: usize = 1 + T::LEN;

    fn store(&self, out: &mut Vec<u8>) {
        let end = out.len() + Self::LEN;
        self.is_some().store(out);
        if let Some(value) = self {
            value.store(out);
        }
        out.resize(end, 0);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let present = bool::load(r)?;
        let mut value = Reader::new(r.bytes(T::LEN, "object")?);
        present.then(|| T::load(&mut value)).transpose()
    }
}

/// A fixed number of objects, each in its own place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table<T, const N: usize>(Vec<T>);

impl<T, const N: usize> Table<T, N> {
    /// All places filled alike.
    pub fn filled(with: impl Fn() -> T) -> Self {
        Self((0..N).map(|_| with()).collect())
    }

    /// The object in place `index`.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.0.get(index)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.0.get_mut(index)
    }

    /// All of them, in their places.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// The same, to change them.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.0.iter_mut()
    }
}

impl<T: Persist, const N: usize> Persist for Table<T, N> {
    const LEN: usize = N * T::LEN;

    fn store(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|object| object.store(out));
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        (0..N).map(|_| T::load(r)).collect::<Result<_, _>>().map(Self)
    }
}

/// An object that begins a page and has its last page to itself: what changes together lies
/// together.
///
/// Only as good as its place: whatever comes before it in the store is paged as well.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Paged<T>(T);

impl<T> Paged<T> {
    /// The object, on pages of its own.
    pub const fn new(object: T) -> Self {
        Self(object)
    }
}

impl<T> std::ops::Deref for Paged<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> std::ops::DerefMut for Paged<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Persist> Persist for Paged<T> {
    const LEN: usize = T::LEN.next_multiple_of(BODY);

    fn store(&self, out: &mut Vec<u8>) {
        let end = out.len() + Self::LEN;
        self.0.store(out);
        out.resize(end, 0);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::load(&mut Reader::new(r.bytes(Self::LEN, "object")?)).map(Self)
    }
}

/// An object with a checksum over its octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Checked<T>(pub T);

const CHECKSUM: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_3740);

impl<T: Persist> Persist for Checked<T> {
    const LEN: usize = T::LEN + 2;

    fn store(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.0.store(out);
        let checksum = CHECKSUM.checksum(out.get(start..).unwrap_or_default());
        checksum.store(out);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let octets = r.bytes(T::LEN, "object")?;
        if u16::load(r)? != CHECKSUM.checksum(octets) {
            return Err(DecodeError::Checksum("object"));
        }
        T::load(&mut Reader::new(octets)).map(Self)
    }
}
