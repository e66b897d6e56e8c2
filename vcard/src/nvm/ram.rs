// SPDX-License-Identifier: Apache-2.0
//! A card's memory that ends with the process.

use super::{PAGE, Page, PageStore, StoreError};

/// Pages that live as long as the process: for tests and for personalisation.
#[derive(Clone, Debug)]
pub struct RamStore {
    pages: Vec<Page>,
}

impl RamStore {
    /// Pages holding `octets`, the last one filled up with zeros.
    pub fn new(octets: &[u8]) -> Self {
        let pages = octets
            .chunks(PAGE)
            .map(|chunk| {
                let mut page = [0; PAGE];
                page.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
                page
            })
            .collect();
        Self { pages }
    }

    /// All pages, one after another.
    pub fn octets(&self) -> Vec<u8> {
        self.pages.concat()
    }
}

impl PageStore for RamStore {
    fn pages(&self) -> usize {
        self.pages.len()
    }

    fn read(&mut self, index: usize, into: &mut Page) -> Result<(), StoreError> {
        *into = *self.pages.get(index).ok_or(StoreError::NoSuchPage(index))?;
        Ok(())
    }

    fn write(&mut self, index: usize, page: &Page) -> Result<(), StoreError> {
        *self.pages.get_mut(index).ok_or(StoreError::NoSuchPage(index))? = *page;
        Ok(())
    }

    fn barrier(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
