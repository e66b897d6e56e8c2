// SPDX-License-Identifier: Apache-2.0
//! The card before a terminal: the card alone, or at the end of a line in virtual time.

use crate::demo;
use crate::wire::{Event, Mishap, Wire};
use cam_types::{Aid, interindustry};
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::Policy;
use vcard::nvm::{PageStore, RamStore};
use vcard::{Card, CardError};
use wallet::port::CardPort;

/// A card that a terminal can reset, and a judge can look into.
pub trait Desk: CardPort {
    /// Whether the card came up.
    fn reset(&mut self) -> bool;
    fn card(&mut self) -> &mut Card;

    /// SELECT, and the answer to it.
    fn select(&mut self, application: Aid) -> Option<Vec<u8>> {
        let command: Vec<u8> = interindustry::select(application.octets()).chain([0x00]).collect();
        self.transmit(&command)
    }
}

/// A card without a line.
pub struct Direct(Card);

impl Direct {
    pub fn new(store: Box<dyn PageStore>) -> Result<Self, CardError> {
        Card::with_random(store, demo::counting()).map(Self)
    }
}

impl CardPort for Direct {
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        self.0.transmit(command).ok()
    }
}

impl Desk for Direct {
    fn reset(&mut self) -> bool {
        !self.0.power_on().is_empty()
    }

    fn card(&mut self) -> &mut Card {
        &mut self.0
    }
}

/// A card at the end of a line that is up, and goes dead before the octet `dead_at`.
pub fn at_a_line(memory: &[u8], atr: &[u8], dead_at: Option<usize>) -> Wire<Card> {
    let card = demo::powered(Box::new(RamStore::new(memory)));
    let mut wire = Wire::new(atr, Policy::new(USUAL_CLOCK_HZ), 254, card);
    assert!(wire.reset());
    wire.arm(dead_at.map(|place| (place, Mishap::Cut)));
    wire
}

impl CardPort for Wire<Card> {
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        match self.command(command) {
            Event::Response(response) => Some(response),
            Event::Failed(_) | Event::Ready => None,
        }
    }
}

impl Desk for Wire<Card> {
    fn reset(&mut self) -> bool {
        self.activate() == Event::Ready
    }

    fn card(&mut self) -> &mut Card {
        &mut self.app
    }
}
