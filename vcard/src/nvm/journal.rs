// SPDX-License-Identifier: Apache-2.0
//! Transactions: the redo journal in front of the home pages.

use super::{Cut, NvmError, PAGE, Page, PageStore, StoreError};
use crate::decide::decide;
use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, Crc};

const FIRST_CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
const SECOND_CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The memory of a card: home pages that change by whole transactions only.
///
/// Pages of the store, in order: the commit page, [`Nvm::JOURNAL_PAGES`] of journal, the home
/// pages. The commit page: `magic4 sequence4 bitmap16 00… crc4 crc4`; bit n of the bitmap says that
/// home page n has an image in the journal, in ascending order; both CRCs run over the commit page
/// and the images.
pub struct Nvm {
    store: Box<dyn PageStore>,
    /// What the home pages hold.
    home: Vec<u8>,
    /// Home pages of the last transaction that so far are in the journal only.
    due: Vec<usize>,
    sequence: u32,
    page_writes: u64,
    commits: u64,
    /// Off only under the fault `no-journal`.
    journal: bool,
}

impl Nvm {
    /// Pages that one transaction may change.
    pub const JOURNAL_PAGES: usize = 40;
    /// Home pages that a commit page can name.
    pub const MAX_HOME_PAGES: usize = 8 * BITMAP_LEN;

    const MAGIC: [u8; 4] = *b"SCJ1";

    /// The octets of a fresh memory whose home pages hold `home`.
    pub fn image(home: &[u8]) -> Vec<u8> {
        let mut octets = vec![0xFF; (1 + Self::JOURNAL_PAGES) * PAGE];
        octets.extend_from_slice(home);
        octets.resize(octets.len().next_multiple_of(PAGE), 0);
        octets
    }

    /// Pages of a memory with this many home pages.
    pub(crate) const fn pages(home_pages: usize) -> usize {
        1 + Self::JOURNAL_PAGES + home_pages
    }

    /// Opens a memory of `home_pages`. Nothing is read before [`Nvm::boot`].
    pub fn new(store: Box<dyn PageStore>, home_pages: usize) -> Result<Self, NvmError> {
        let expected = Self::pages(home_pages);
        if store.pages() != expected || home_pages > Self::MAX_HOME_PAGES {
            return Err(NvmError::WrongSize { pages: store.pages(), expected });
        }
        Ok(Self {
            store,
            home: vec![0; home_pages * PAGE],
            due: Vec::new(),
            sequence: 0,
            page_writes: 0,
            commits: 0,
            journal: true,
        })
    }

    /// The same memory at the same moment, over a copy of its pages.
    pub fn twin(&self, store: Box<dyn PageStore>) -> Self {
        Self { store, home: self.home.clone(), due: self.due.clone(), ..*self }
    }

    /// Finishes a transaction that the last power cut interrupted, then reads the home pages.
    pub fn boot(&mut self) -> Result<(), NvmError> {
        self.due.clear();
        if let Some(commit) = self.read_commit()? {
            self.sequence = commit.sequence;
            let mut touched = false;
            for (index, image) in &commit.images {
                let at = 1 + Self::JOURNAL_PAGES + index;
                let mut page = [0; PAGE];
                self.store.read(at, &mut page)?;
                if page != *image {
                    self.write(at, image)?;
                    touched = true;
                }
            }
            if touched {
                self.store.barrier()?;
            }
        }
        for (index, into) in self.home.as_chunks_mut::<PAGE>().0.iter_mut().enumerate() {
            self.store.read(1 + Self::JOURNAL_PAGES + index, into)?;
        }
        Ok(())
    }

    /// Makes the memory hold `new`: all of it or, when the power goes, perhaps none.
    ///
    /// Pages that do not change are not written; when none changes, nothing is. From the commit
    /// page on it is durable; [`Nvm::bring_home`] does the rest, at leisure.
    pub fn commit(&mut self, new: &[u8], cut: Option<Cut>) -> Result<(), NvmError> {
        let changed: Vec<(usize, Page)> = new
            .as_chunks::<PAGE>()
            .0
            .iter()
            .zip(self.home.as_chunks::<PAGE>().0)
            .enumerate()
            .filter(|(_, (new, old))| new != old)
            .map(|(index, (new, _))| (index, *new))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        self.bring_home()?;
        if changed.len() > Self::JOURNAL_PAGES {
            return Err(NvmError::TooLarge { pages: changed.len(), capacity: Self::JOURNAL_PAGES });
        }
        if self.journal {
            for (slot, (_, image)) in changed.iter().enumerate() {
                self.write(1 + slot, image)?;
            }
            self.store.barrier()?;
            if cut == Some(Cut::BeforeCommit) {
                return Err(StoreError::PowerLost.into());
            }
            self.sequence = self.sequence.wrapping_add(1);
            let page = Commit { sequence: self.sequence, images: changed.clone() }.emit();
            self.write(0, &page)?;
            self.store.barrier()?;
            if cut == Some(Cut::AfterCommit) {
                return Err(StoreError::PowerLost.into());
            }
        } else if cut == Some(Cut::BeforeCommit) {
            // Without a journal the first page is home before anything could say "not yet".
            if let Some((index, image)) = changed.first() {
                self.write(1 + Self::JOURNAL_PAGES + index, image)?;
            }
            return Err(StoreError::PowerLost.into());
        }
        for (index, image) in &changed {
            if let Some(home) = self.home.as_chunks_mut::<PAGE>().0.get_mut(*index) {
                *home = *image;
            }
            self.due.push(*index);
        }
        self.commits += 1;
        if !self.journal || cut.is_some() {
            self.bring_home()?;
        }
        if cut.is_some() {
            return Err(StoreError::PowerLost.into());
        }
        Ok(())
    }

    /// Writes home what the last transaction has left in the journal. A power cut before or inside
    /// is made good at the next boot.
    pub fn bring_home(&mut self) -> Result<(), NvmError> {
        if self.due.is_empty() {
            return Ok(());
        }
        for index in std::mem::take(&mut self.due) {
            let page = self.home.as_chunks::<PAGE>().0.get(index).copied();
            if let Some(page) = page {
                self.write(1 + Self::JOURNAL_PAGES + index, &page)?;
            }
        }
        self.store.barrier()?;
        Ok(())
    }

    /// Writes pages in place from now on. A fault: tests show that tearing then does damage.
    pub fn without_journal(&mut self) {
        self.journal = false;
    }

    /// What the home pages hold.
    pub fn home(&self) -> &[u8] {
        &self.home
    }

    /// Page writes since the memory was opened.
    pub const fn page_writes(&self) -> u64 {
        self.page_writes
    }

    /// Transactions since the memory was opened.
    pub const fn commits(&self) -> u64 {
        self.commits
    }

    fn write(&mut self, index: usize, page: &Page) -> Result<(), StoreError> {
        self.page_writes += 1;
        self.store.write(index, page)
    }

    /// The last transaction, if its commit page and all its images are whole.
    fn read_commit(&mut self) -> Result<Option<Commit>, NvmError> {
        let mut page = [0; PAGE];
        self.store.read(0, &mut page)?;
        let Some((sequence, indices)) = Commit::header(&page, self.home.len() / PAGE) else {
            return Ok(None);
        };
        let mut images = Vec::with_capacity(indices.len());
        for (slot, index) in indices.into_iter().enumerate() {
            let mut image = [0; PAGE];
            self.store.read(1 + slot, &mut image)?;
            images.push((index, image));
        }
        let commit = Commit { sequence, images };
        let expected = commit.emit();
        Ok(decide(|| expected == page).then_some(commit))
    }
}

const BITMAP_LEN: usize = 16;

/// What the commit page and the journal behind it say.
struct Commit {
    sequence: u32,
    /// Home page and its new content, ascending.
    images: Vec<(usize, Page)>,
}

impl Commit {
    /// Sequence and home pages of a commit page that may or may not be whole.
    fn header(page: &Page, home_pages: usize) -> Option<(u32, Vec<usize>)> {
        let (magic, rest) = page.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<4>()?;
        let (bitmap, _) = rest.split_first_chunk::<BITMAP_LEN>()?;
        let indices: Vec<usize> = (0..8 * BITMAP_LEN)
            .filter(|n| bitmap.get(n / 8).is_some_and(|octet| octet >> (n % 8) & 1 == 1))
            .collect();
        let plausible = *magic == Nvm::MAGIC
            && indices.len() <= Nvm::JOURNAL_PAGES
            && indices.iter().all(|n| *n < home_pages);
        plausible.then(|| (u32::from_be_bytes(*sequence), indices))
    }

    fn emit(&self) -> Page {
        let mut bitmap = [0u8; BITMAP_LEN];
        for (index, _) in &self.images {
            if let Some(octet) = bitmap.get_mut(index / 8) {
                *octet |= 1 << (index % 8);
            }
        }
        let mut fields = Vec::with_capacity(PAGE);
        fields.extend_from_slice(&Nvm::MAGIC);
        fields.extend_from_slice(&self.sequence.to_be_bytes());
        fields.extend_from_slice(&bitmap);
        fields.resize(PAGE - 8, 0);
        let (mut first, mut second) = (FIRST_CRC.digest(), SECOND_CRC.digest());
        for octets in
            [fields.as_slice()].into_iter().chain(self.images.iter().map(|(_, image)| &image[..]))
        {
            first.update(octets);
            second.update(octets);
        }
        fields.extend_from_slice(&first.finalize().to_be_bytes());
        fields.extend_from_slice(&second.finalize().to_be_bytes());
        let mut page = [0; PAGE];
        page.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        page
    }
}
