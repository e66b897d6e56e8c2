// SPDX-License-Identifier: Apache-2.0
//! The card's non-volatile memory: pages behind a redo journal.
//!
//! Read before changing: `docs/spec/card.md`, "Memory". A transaction writes the images of the
//! pages that it changes into the journal, then one commit page, then the pages themselves.
//! Whatever moment the power goes at, the next boot sees a commit page that holds (and redoes) or
//! one that does not (and leaves the old pages). Whole page images, because a torn page also
//! destroys its neighbours.

mod file;
pub(crate) mod home;
mod journal;
mod ram;

pub use file::{Durability, FileStore};
pub(crate) use home::BODY;
pub use journal::Nvm;
pub use ram::RamStore;

use std::fmt;
use std::io;

/// Octets in a page.
pub const PAGE: usize = 128;

/// One page's content.
pub type Page = [u8; PAGE];

/// Pages of memory, written one at a time.
///
/// A write may be cut: the page then holds the old content, the new one, or anything between.
pub trait PageStore: Send {
    /// How many pages there are.
    fn pages(&self) -> usize;
    /// The content of a page; pages count from 0.
    fn read(&mut self, index: usize, into: &mut Page) -> Result<(), StoreError>;
    /// Replaces the content of a page.
    fn write(&mut self, index: usize, page: &Page) -> Result<(), StoreError>;
    /// Everything written before is durable before anything written later.
    fn barrier(&mut self) -> Result<(), StoreError>;
}

/// Why a page could not be read or written.
#[derive(Debug)]
pub enum StoreError {
    /// The power went away.
    PowerLost,
    /// There is no such page.
    NoSuchPage(usize),
    /// The operating system refused.
    Io(io::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerLost => f.write_str("the power went away"),
            Self::NoSuchPage(page) => write!(f, "there is no page {page}"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a transaction was not made, or the memory not opened.
#[derive(Debug)]
pub enum NvmError {
    /// The memory failed under the transaction. Only the next boot knows which side of it we are
    /// on.
    Store(StoreError),
    /// The transaction changes more pages than the journal holds. Nothing was written.
    TooLarge {
        /// Pages that it changes.
        pages: usize,
        /// Pages that the journal holds.
        capacity: usize,
    },
    /// The file is not as long as a card's memory.
    WrongSize {
        /// Pages that it has.
        pages: usize,
        /// Pages of a card's memory.
        expected: usize,
    },
}

impl fmt::Display for NvmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "{error}"),
            Self::TooLarge { pages, capacity } => {
                write!(f, "transaction of {pages} pages, the journal holds {capacity}")
            }
            Self::WrongSize { pages, expected } => {
                write!(f, "memory of {pages} pages, a card's has {expected}")
            }
        }
    }
}

impl std::error::Error for NvmError {}

impl From<StoreError> for NvmError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Where an armed power cut hits the next purchase.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// The journal is written, the commit page is not: the purchase has not taken place.
    BeforeCommit,
    /// The commit page is written, nothing behind it is: the purchase has taken place.
    AfterCommit,
}
