// SPDX-License-Identifier: Apache-2.0
//! The rights on the card, read page by page.

use crate::Right;
use alloc::vec::Vec;
use core::mem;
use ecm_emm::card::RightsPage;

/// See the module.
#[derive(Default)]
pub(crate) struct Rights {
    /// As read after the last change.
    rows: Vec<Right>,
    /// The rows of the pages that have come of a new reading.
    fresh: Vec<Right>,
    /// The index of the next row that is to be read.
    next: Option<u8>,
}

impl Rights {
    /// Rights that are read, at most.
    const MAX: usize = 256;

    pub(crate) fn rows(&self) -> &[Right] {
        &self.rows
    }

    /// They are to be read from the first one on.
    pub(crate) fn read(&mut self) {
        self.next = Some(0);
        self.fresh.clear();
    }

    /// They are not read any further.
    pub(crate) fn stop(&mut self) {
        self.next = None;
        self.fresh.clear();
    }

    /// Another card: what is known is not its.
    pub(crate) fn forget(&mut self) {
        self.rows.clear();
    }

    /// The index of the row that the next page begins with.
    pub(crate) fn next(&self) -> Option<u8> {
        self.next
    }

    /// Takes a page. `true` when it was the last one and the rights are others than before.
    pub(crate) fn page(&mut self, page: RightsPage) -> bool {
        let asked = self.next.take();
        self.fresh.extend(page.rows);
        // The rows must go forward, and end.
        if page.next > asked && self.fresh.len() < Self::MAX {
            self.next = page.next;
            return false;
        }
        let new = self.fresh != self.rows;
        if new {
            mem::swap(&mut self.rows, &mut self.fresh);
        }
        self.fresh.clear();
        new
    }
}
