// SPDX-License-Identifier: Apache-2.0
//! What a computation costs in blocks of its ciphers: the measure of the nominal card
//! (`docs/spec/card.md`).
//!
//! Built with the feature `meter` only, for benchmarks.

use core::cell::Cell;

/// Blocks that went through a cipher.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Blocks {
    /// AES, of any key length.
    pub aes: u64,
    /// Single DES; a block of triple DES is three.
    pub des: u64,
}

std::thread_local! {
    static DONE: Cell<Blocks> = const { Cell::new(Blocks { aes: 0, des: 0 }) };
}

/// A block of AES was computed.
pub fn aes() {
    DONE.with(|done| done.set(Blocks { aes: done.get().aes + 1, ..done.get() }));
}

/// So many blocks of single DES were computed.
pub fn des(blocks: u64) {
    DONE.with(|done| done.set(Blocks { des: done.get().des + blocks, ..done.get() }));
}

/// The blocks of this thread since it was last asked.
pub fn take() -> Blocks {
    DONE.with(Cell::take)
}
