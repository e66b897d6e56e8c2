// SPDX-License-Identifier: Apache-2.0
//! T=1, the block protocol: the block codec, shared with the card side, and the host's machine.
mod block;
mod error;
mod machine;
mod reception;

pub use crate::doors::Input;
pub use block::{Block, BlockError, Edc, Fault, MAX_BLOCK, Supervisory};
pub use error::T1Error;
pub use machine::T1;

use crate::doors;

/// The size of information fields, either way, until another is told (ISO/IEC 7816-3, 11.4.2).
pub const INITIAL_IFS: u8 = 32;

/// What the machine wants done.
pub type Output<'a> = doors::Output<'a, T1Error>;

/// What a card says about T=1 in its answer to reset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct T1Params {
    /// The size of information fields that the card takes, 1 to 254.
    pub ifsc: u8,
    /// Block waiting time integer, 0 to 9.
    pub bwi: u8,
    /// Character waiting time integer, 0 to 15.
    pub cwi: u8,
    /// What guards each block, LRC or CRC.
    pub edc: Edc,
}

impl Default for T1Params {
    fn default() -> Self {
        Self { ifsc: INITIAL_IFS, bwi: 4, cwi: 13, edc: Edc::Lrc }
    }
}
