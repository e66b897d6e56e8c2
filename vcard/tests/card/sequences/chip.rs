// SPDX-License-Identifier: Apache-2.0
//! Pages that are copied with their card, and whose power goes before or behind a commit page.

use std::sync::{Arc, Mutex};
use vcard::nvm::{Page, PageStore, RamStore, StoreError};

/// When the power goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Moment {
    /// The commit page of the first transaction is not written.
    Before,
    /// So many commit pages are written, and nothing behind the last of them.
    Behind(u8),
}

pub(super) const MOMENTS: [Moment; 3] = [Moment::Before, Moment::Behind(1), Moment::Behind(2)];

struct Pages {
    store: RamStore,
    cut: Option<Moment>,
    lost: bool,
}

#[derive(Clone)]
pub(super) struct Chip(Arc<Mutex<Pages>>);

impl Chip {
    pub(super) fn new(octets: &[u8]) -> Self {
        Self::of(RamStore::new(octets))
    }

    fn of(store: RamStore) -> Self {
        Self(Arc::new(Mutex::new(Pages { store, cut: None, lost: false })))
    }

    /// Another chip that holds the same.
    pub(super) fn copy(&self) -> Self {
        Self::of(self.0.lock().unwrap().store.clone())
    }

    pub(super) fn arm(&self, moment: Moment) {
        self.0.lock().unwrap().cut = Some(moment);
    }

    /// Puts the power back, and says whether it had gone.
    pub(super) fn mend(&self) -> bool {
        let mut pages = self.0.lock().unwrap();
        pages.cut = None;
        std::mem::take(&mut pages.lost)
    }
}

impl PageStore for Chip {
    fn pages(&self) -> usize {
        self.0.lock().unwrap().store.pages()
    }

    fn read(&mut self, index: usize, into: &mut Page) -> Result<(), StoreError> {
        self.0.lock().unwrap().store.read(index, into)
    }

    fn write(&mut self, index: usize, page: &Page) -> Result<(), StoreError> {
        let mut pages = self.0.lock().unwrap();
        let is_commit = index == 0;
        match pages.cut {
            Some(Moment::Before) if is_commit => pages.lost = true,
            Some(Moment::Behind(commits)) if is_commit => {
                pages.cut = Some(Moment::Behind(commits - 1));
            }
            _ => {}
        }
        if pages.lost {
            return Err(StoreError::PowerLost);
        }
        pages.store.write(index, page)
    }

    /// What is written is durable; the power goes before the card can say so.
    fn barrier(&mut self) -> Result<(), StoreError> {
        let mut pages = self.0.lock().unwrap();
        pages.lost |= pages.cut == Some(Moment::Behind(0));
        if pages.lost { Err(StoreError::PowerLost) } else { Ok(()) }
    }
}
