// SPDX-License-Identifier: Apache-2.0
//! One glitch in the card (T25): every look of every check, and every reading of volatile memory,
//! one after another, in each attack that has to fail and in the good cases.

mod cases;
mod dialogues;

use cases::CASES;
use system_tests::demo::*;
use system_tests::memory::{Cut, Memory, Torn};
use vcard::nvm::{Nvm, PAGE};
use vcard::{Card, Glitch};

/// The first octet of the home pages.
const HOME: usize = (1 + Nvm::JOURNAL_PAGES) * PAGE;

/// A dialogue with one command to go: the one that an attacker glitches.
struct Ready {
    memory: Memory,
    card: Card,
    apdu: Vec<u8>,
}

/// What the attacker would have of it, by which a card with only one look is known.
#[derive(Clone, Copy, Debug)]
enum Gain {
    /// Control words: a longer answer.
    Words,
    /// Other pages than the card would write.
    Pages,
    /// 9000.
    Success,
    /// Another protected answer.
    Answer,
    /// Nothing, with one check gone: there are two, or there is nothing to be had.
    None,
}

/// How a run ended: the answer, unless the card was mute, and the home pages after a reset.
#[derive(Clone, Debug, PartialEq)]
struct End {
    answer: Option<Vec<u8>>,
    pages: Vec<u8>,
}

impl Ready {
    /// The command, and a reset.
    fn run(&self, number: u32, glitch: Glitch, cut: Option<usize>) -> (End, (u32, u32)) {
        let memory = Memory::new(&self.memory.octets());
        let mut card = self.card.twin(memory.store(), counting());
        if let Some(after) = cut {
            memory.arm(Cut { after, torn: Torn::Old });
        }
        card.glitch(number, glitch);
        let answer = card.transmit(&self.apdu).ok();
        let counted = card.glitchable();
        card.glitch(0, Glitch::Inverted);
        memory.mend();
        assert!(!card.power_on().is_empty(), "mute behind a reset");
        (End { answer, pages: memory.octets().split_off(HOME) }, counted)
    }

    fn honest(&self) -> (End, (u32, u32)) {
        self.run(0, Glitch::Inverted, None)
    }

    /// What the home pages may hold without a glitch: before, behind each transaction, after.
    fn states(&self) -> Vec<Vec<u8>> {
        let after = self.honest().0.pages;
        let mut states = vec![self.memory.octets().split_off(HOME)];
        for cut in 0..100 {
            let (end, _) = self.run(0, Glitch::Inverted, Some(cut));
            let is_over = end.pages == after && end.answer.is_some();
            states.push(end.pages);
            if is_over {
                break;
            }
        }
        states.dedup();
        states
    }
}

impl Gain {
    fn is_in(self, end: &End, honest: &End, states: &[Vec<u8>]) -> bool {
        let ok = |end: &End| end.answer.as_ref().is_some_and(|answer| answer.ends_with(&[0x90, 0]));
        let len = |end: &End| end.answer.as_ref().map_or(0, Vec::len);
        match self {
            Self::Words => len(end) >= len(honest) + 32,
            Self::Pages => !states.contains(&end.pages),
            Self::Success => ok(end) && !ok(honest),
            Self::Answer => ok(end) && end.answer != honest.answer,
            Self::None => false,
        }
    }
}

/// T25: a look at a check that answers the contrary, is jumped over, or leaves the answer before it
/// standing gives no word, right or fen that the card would not have given: it says what it would
/// have said, or nothing more until the next reset.
#[test]
fn no_glitch_of_one_look_gives_anything() {
    for (name, make, _) in CASES {
        let ready = make();
        let (honest, (evaluations, _)) = ready.honest();
        let states = ready.states();
        assert!(evaluations > 0, "{name}");
        for number in 1..=evaluations {
            for glitch in [Glitch::Inverted, Glitch::Skipped, Glitch::Stale] {
                let (end, _) = ready.run(number, glitch, None);
                let at = format!("{name}: {glitch:?} at {number} of {evaluations}");
                match end.answer {
                    None => assert!(states.contains(&end.pages), "{at}: other pages"),
                    // The answer before may be the right one.
                    Some(_) => {
                        assert!(glitch == Glitch::Stale, "{at}: it answers");
                        assert!(end == honest, "{at}: {end:02X?}");
                    }
                }
            }
        }
    }
}

/// T25: each attack is refused by such a check: with both looks wrong it would succeed.
#[test]
fn what_two_wrong_looks_would_give() {
    let mut without = Vec::new();
    for (name, make, gain) in CASES {
        if matches!(gain, Gain::None) {
            continue;
        }
        let ready = make();
        let (honest, (evaluations, _)) = ready.honest();
        let states = ready.states();
        let gained = (1..evaluations).any(|number| {
            let (end, _) = ready.run(number, Glitch::Both, None);
            gain.is_in(&end, &honest, &states)
        });
        if !gained {
            without.push(name);
        }
    }
    assert!(without.is_empty(), "what refuses them is not decided twice: {without:?}");
}

/// T25: a bit turned over in what decides and is volatile (clock, PIN, session, interface, tokens)
/// silences the card at the next reading, whichever of its bits it is.
#[test]
fn a_flipped_bit_in_volatile_memory_silences_the_card() {
    let mut all = 0;
    for (name, make, _) in CASES {
        let ready = make();
        let (_, (_, readings)) = ready.honest();
        let states = ready.states();
        all += readings;
        for number in 1..=readings {
            for bit in [0, 1, 7, 13, 31] {
                let (end, _) = ready.run(number, Glitch::Flipped(bit), None);
                let at = format!("{name}: bit {bit} at reading {number} of {readings}");
                assert_eq!(end.answer, None, "{at}");
                assert!(states.contains(&end.pages), "{at}: other pages");
            }
        }
    }
    assert!(all > 100, "{all} readings");
}

/// T25: a boot that a glitch hits is mute, or what it would have been.
#[test]
fn no_glitch_at_boot_gives_anything() {
    let memory = Memory::new(&memory());
    let mut card = powered(memory.store());
    let mut stb = Stb::open(&mut card);
    stb.verify(&mut card, PIN).unwrap();
    // A commit page that holds, in front of pages that are not at home.
    let mut data = memory.octets();
    data[HOME..].copy_from_slice(&system_tests::demo::memory()[HOME..]);
    let due = Memory::new(&data);
    let mut card = Card::with_random(due.store(), counting()).unwrap();
    card.glitch(0, Glitch::Inverted);
    card.power_on();
    let (evaluations, _) = card.glitchable();
    assert!(evaluations > 0);
    for number in 1..=evaluations {
        for glitch in [Glitch::Inverted, Glitch::Skipped] {
            card.glitch(number, glitch);
            assert!(card.power_on().is_empty(), "{glitch:?} at {number}");
        }
    }
    assert!(!card.power_on().is_empty());
}
