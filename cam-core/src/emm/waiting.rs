// SPDX-License-Identifier: Apache-2.0
//! An EMM section that the card has not judged yet.

use crate::emm::duplicates::Digest;
use alloc::vec::Vec;

/// See the module.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Waiting {
    pub section: Vec<u8>,
    /// What it is known by.
    pub digest: Digest,
    /// The lane of its addressing, in which its answer is remembered.
    pub lane: usize,
    /// In how many seconds it was heard.
    pub heard: u8,
}

impl Waiting {
    pub(crate) fn new(section: &[u8], lane: usize) -> Self {
        Self { section: section.to_vec(), digest: Digest::of(section), lane, heard: 1 }
    }
}
