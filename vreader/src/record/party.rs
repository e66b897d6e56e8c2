// SPDX-License-Identifier: Apache-2.0
//! The parties on a card line.

/// Who put octets on the line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Party {
    /// Terminal to card.
    Terminal,
    /// Card to terminal.
    Card,
    /// The reset line, and the answer to it.
    Reset,
}
