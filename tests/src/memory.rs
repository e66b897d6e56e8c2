// SPDX-License-Identifier: Apache-2.0
//! Memory whose power fails inside a page write.

use std::sync::{Arc, Mutex};
use vcard::nvm::{PAGE, Page, PageStore, RamStore, StoreError};

/// What a page holds after the power went inside its write.
#[derive(Clone, Copy, Debug)]
pub enum Torn {
    Old,
    New,
    Erased,
    Prefix(usize),
    Flipped(usize),
}

/// The old page, the new one, an erased one, twelve prefixes, one flipped bit.
pub const CONTENTS: &[Torn] = &[
    Torn::Old,
    Torn::New,
    Torn::Erased,
    Torn::Prefix(1),
    Torn::Prefix(4),
    Torn::Prefix(8),
    Torn::Prefix(9),
    Torn::Prefix(16),
    Torn::Prefix(24),
    Torn::Prefix(32),
    Torn::Prefix(63),
    Torn::Prefix(64),
    Torn::Prefix(100),
    Torn::Prefix(120),
    Torn::Prefix(127),
    Torn::Flipped(37),
];

impl Torn {
    fn mix(self, old: &Page, new: &Page) -> Page {
        match self {
            Self::Old => *old,
            Self::New => *new,
            Self::Erased => [0xFF; PAGE],
            Self::Prefix(len) => {
                let mut page = *old;
                page[..len].copy_from_slice(&new[..len]);
                page
            }
            Self::Flipped(bit) => {
                let mut page = *new;
                page[bit / 8] ^= 1 << (bit % 8);
                page
            }
        }
    }
}

/// The power fails inside the write after so many, and stays away.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub after: usize,
    pub torn: Torn,
}

#[derive(Default)]
enum Fuse {
    #[default]
    None,
    Armed(Cut),
    Blown,
}

struct Chip {
    pages: RamStore,
    fuse: Fuse,
}

/// A chip that outlives the cards made with it.
#[derive(Clone)]
pub struct Memory(Arc<Mutex<Chip>>);

impl Memory {
    pub fn new(octets: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(Chip { pages: RamStore::new(octets), fuse: Fuse::None })))
    }

    pub fn store(&self) -> Box<dyn PageStore> {
        Box::new(self.clone())
    }

    pub fn arm(&self, cut: Cut) {
        self.0.lock().unwrap().fuse = Fuse::Armed(cut);
    }

    /// Puts the power back, and says whether it had gone.
    pub fn mend(&self) -> bool {
        matches!(std::mem::take(&mut self.0.lock().unwrap().fuse), Fuse::Blown)
    }

    /// Turns bits of an octet over, behind the card's back.
    pub fn flip(&self, octet: usize, bits: u8) {
        let mut chip = self.0.lock().unwrap();
        let mut octets = chip.pages.octets();
        octets[octet] ^= bits;
        chip.pages = RamStore::new(&octets);
    }

    pub fn octets(&self) -> Vec<u8> {
        self.0.lock().unwrap().pages.octets()
    }
}

impl PageStore for Memory {
    fn pages(&self) -> usize {
        self.0.lock().unwrap().pages.pages()
    }

    fn read(&mut self, index: usize, into: &mut Page) -> Result<(), StoreError> {
        self.0.lock().unwrap().pages.read(index, into)
    }

    fn write(&mut self, index: usize, page: &Page) -> Result<(), StoreError> {
        let mut chip = self.0.lock().unwrap();
        match &mut chip.fuse {
            Fuse::None => {}
            Fuse::Blown => return Err(StoreError::PowerLost),
            Fuse::Armed(Cut { after: 0, torn }) => {
                let torn = *torn;
                let mut old = [0; PAGE];
                chip.pages.read(index, &mut old)?;
                chip.pages.write(index, &torn.mix(&old, page))?;
                chip.fuse = Fuse::Blown;
                return Err(StoreError::PowerLost);
            }
            Fuse::Armed(Cut { after, .. }) => *after -= 1,
        }
        chip.pages.write(index, page)
    }

    fn barrier(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
