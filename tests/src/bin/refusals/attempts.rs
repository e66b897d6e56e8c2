// SPDX-License-Identifier: Apache-2.0
//! One presentation of a secret: what is counted and timed, and what is not.

/// Where what is presented is wrong.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// Nowhere: it is right, and has to be accepted. Otherwise nothing was compared.
    Nowhere,
    /// At this octet, or at this digit.
    At(usize),
}

impl Place {
    /// Flips a bit of the octet at the place.
    pub(crate) fn spoil(self, octets: &mut [u8]) {
        if let Self::At(place) = self {
            octets[place] ^= 0x10;
        }
    }
}

/// Whether an answer says that what was presented is right.
type Judge = Box<dyn FnOnce(&[u8]) -> bool>;

/// Something made ready to be presented once.
pub(crate) struct Attempt {
    present: Box<dyn FnMut() -> Vec<u8>>,
    pub(crate) accepted: Judge,
}

impl Attempt {
    pub(crate) fn new(
        present: impl FnMut() -> Vec<u8> + 'static,
        accepted: impl FnOnce(&[u8]) -> bool + 'static,
    ) -> Self {
        Self { present: Box::new(present), accepted: Box::new(accepted) }
    }

    /// Of something that says yes or no.
    pub(crate) fn check(mut check: impl FnMut() -> bool + 'static) -> Self {
        Self::new(move || vec![u8::from(check())], |answer| answer == [1])
    }
}

/// Counted and timed: this and nothing else.
#[inline(never)]
pub(crate) fn presented(attempt: &mut Attempt) -> Vec<u8> {
    (attempt.present)()
}
