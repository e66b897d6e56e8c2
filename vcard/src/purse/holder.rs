// SPDX-License-Identifier: Apache-2.0
//! EF 0016: whose purse it is. Documents have numbers of 16, 18 or 32 characters, and the file is
//! as long as its number makes it.

use crate::persist::Persist;
use cam_types::{DecodeError, Reader};

/// `type1 staff1 name20 id_number id_type1`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Holder {
    octets: [u8; Self::MAX],
    len: u8,
}

impl Holder {
    /// Characters that a document's number has room for.
    pub const NUMBERS: [usize; 3] = [16, 18, 32];
    /// Octets beside the number.
    const OTHERS: usize = 23;
    const MAX: usize = Self::OTHERS + 32;

    /// Nobody yet.
    pub const fn nobody() -> Self {
        Self { octets: [0; Self::MAX], len: (Self::OTHERS + 16) as u8 }
    }

    /// The file with this content, as long as it is.
    pub fn new(content: &[u8]) -> Option<Self> {
        Self::NUMBERS.contains(&content.len().checked_sub(Self::OTHERS)?).then(|| {
            let mut octets = [0; Self::MAX];
            octets.iter_mut().zip(content).for_each(|(to, from)| *to = *from);
            Self { octets, len: content.len() as u8 }
        })
    }

    /// Its content.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or(&self.octets)
    }

    /// The same, to change it.
    pub fn octets_mut(&mut self) -> &mut [u8] {
        let len = usize::from(self.len).min(Self::MAX);
        self.octets.split_at_mut(len).0
    }
}

impl Persist for Holder {
    const LEN: usize = 1 + Self::MAX;

    fn store(&self, out: &mut Vec<u8>) {
        out.push(self.len);
        out.extend_from_slice(&self.octets);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = r.u8("length of the holder's data")?;
        let octets = r.array::<{ Self::MAX }>("holder's data")?;
        octets
            .get(..usize::from(len))
            .and_then(Self::new)
            .ok_or(DecodeError::Invalid { field: "length of the holder's data", got: len.into() })
    }
}
