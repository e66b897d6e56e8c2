// SPDX-License-Identifier: Apache-2.0
//! How often a host's MAC2 is compared: it is four octets, and whoever has the card can guess.
//!
//! Normative references:
//!  - `docs/spec/purse.md`, 2.5

use crate::interface::Interface;
use crate::persist::{Guarded, persist};

/// Tries of a side, without a right one.
const TRIES: u8 = 15;

/// Tries of MAC2 since the last right one, on either side of the card: who passes by ends nothing
/// at the contacts.
#[derive(Clone, Copy, Default)]
pub struct Guesses {
    contact: Guarded<u8>,
    antenna: Guarded<u8>,
}

persist!(Guesses { contact: Guarded<u8>, antenna: Guarded<u8> });

impl Guesses {
    /// The holder has shown the PIN at the contacts.
    pub fn pin_verified(&mut self) {
        self.antenna = Guarded(0);
    }

    /// There are none left at the contacts: only the issuer undoes that.
    pub fn end_at_contacts(&self) -> bool {
        self.are_spent(Interface::Contact)
    }

    /// A host was right on this side.
    pub(super) fn give_back(&mut self, side: Interface) {
        *self.of(side) = Guarded(0);
    }

    /// There are none left on this side.
    pub(super) fn are_spent(&self, side: Interface) -> bool {
        let made = match side {
            Interface::Contact => self.contact,
            Interface::Contactless => self.antenna,
        };
        made.0 >= TRIES
    }

    /// One more was made on this side.
    pub(super) fn count(&mut self, side: Interface) {
        let made = self.of(side);
        *made = Guarded(made.0.saturating_add(1));
    }

    const fn of(&mut self, side: Interface) -> &mut Guarded<u8> {
        match side {
            Interface::Contact => &mut self.contact,
            Interface::Contactless => &mut self.antenna,
        }
    }
}
