// SPDX-License-Identifier: Apache-2.0
//! A card whose power and line fail at times, by seeded dice.

use system_tests::demo::{counting, memory};
use system_tests::desk::Desk;
use system_tests::memory::{CONTENTS, Cut, Memory};
use vcard::card::CardError;
use vcard::{Card, Fault, Interface};
use wallet::port::CardPort;

/// SplitMix64.
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }
}

/// A card whose power and line fail at times.
pub(crate) struct Rough {
    memory: Memory,
    pub card: Card,
    fault: Option<Fault>,
    pub interface: Interface,
    /// Answers that still arrive.
    answers: Option<usize>,
}

impl Rough {
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        let memory = Memory::new(&memory());
        let card = Card::with_random(memory.store(), counting()).unwrap();
        let mut rough = Self { memory, card, fault, interface: Interface::Contact, answers: None };
        rough.again().unwrap();
        rough
    }

    fn again(&mut self) -> Result<(), CardError> {
        self.card = Card::with_random(self.memory.store(), counting())?;
        if let Some(fault) = self.fault {
            self.card.set_fault(fault);
        }
        Ok(())
    }

    /// Something that will go wrong, or not.
    pub(crate) fn disturb(&mut self, dice: &mut Dice) {
        match dice.roll(10) {
            0..3 => self.arm(dice),
            3..5 => self.answers = Some(dice.roll(6)),
            _ => {}
        }
    }

    fn arm(&self, dice: &mut Dice) {
        self.memory.arm(Cut { after: dice.roll(12), torn: CONTENTS[dice.roll(CONTENTS.len())] });
    }

    /// Line and power are back, the power perhaps not at once. Whether anything had gone
    /// wrong. A card that is silent from then on is an error.
    pub(crate) fn restore(&mut self, dice: &mut Dice) -> Result<bool, String> {
        let lost = self.answers.take() == Some(0);
        let cut = self.memory.mend();
        if cut {
            if dice.roll(2) == 0 {
                self.arm(dice);
                drop(Card::with_random(self.memory.store(), counting()));
                self.memory.mend();
            }
            self.again().map_err(|why| format!("the card does not start: {why}"))?;
        }
        Ok(lost || cut)
    }
}

impl CardPort for Rough {
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        let answer = match self.answers {
            Some(0) => return None,
            _ => self.card.transmit(command).ok(),
        };
        if let Some(answers) = &mut self.answers {
            *answers -= 1;
            if *answers == 0 {
                return None;
            }
        }
        answer
    }
}

impl Desk for Rough {
    fn reset(&mut self) -> bool {
        !self.card.power_on_at(self.interface).is_empty()
    }

    fn card(&mut self) -> &mut Card {
        &mut self.card
    }
}
