// SPDX-License-Identifier: Apache-2.0
//! Who is next when an ECM gives its turn at the card up. `engine/turns.rs` goes by it.

/// Which stream's ECM is next.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(crate) enum Turn {
    /// What is new on air goes before what is asked again.
    #[default]
    NewFirst,
    /// The one that has waited longest.
    Fair,
}

/// Why an ECM lets what else waits for the card go first, once.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(crate) enum Yields {
    #[default]
    No,
    /// The last one got no answer.
    Unanswered,
    /// The last one was not authentic.
    Forged,
}

/// Who is next when an ECM gives its turn up and no money, purchase or PIN waits.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(crate) enum Yielded {
    #[default]
    ToEmms,
    /// An EMM had the last one.
    BehindEmms,
}
