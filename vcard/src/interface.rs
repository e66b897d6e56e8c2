// SPDX-License-Identifier: Apache-2.0
//! The two sides of a dual-interface card: contacts and antenna.

/// Which side of the card a command comes from. One is active per power-up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Interface {
    /// ISO/IEC 7816.
    #[default]
    Contact,
    /// ISO/IEC 14443: the purse only.
    Contactless,
}
