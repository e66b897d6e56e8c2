// SPDX-License-Identifier: Apache-2.0
//! A bit that turned over between two power-ups: every bit of the memory, one after another (T25).

use system_tests::demo::*;
use system_tests::memory::{Cut, Memory, Torn};
use vcard::Card;
use vcard::nvm::{Nvm, PAGE};

/// The first octet of the home pages.
const HOME: usize = (1 + Nvm::JOURNAL_PAGES) * PAGE;

/// The demo's memory with a programme bought: of the purchase only the commit page and the journal
/// in front of it are written, or its pages are at home too.
fn bought(is_home: bool) -> Memory {
    let memory = Memory::new(&memory());
    let mut card = powered(memory.store());
    let mut stb = Stb::open(&mut card);
    stb.verify(&mut card, PIN).unwrap();
    let before = card.status().page_writes;
    let mut probe = powered(Memory::new(&memory.octets()).store());
    let mut other = Stb::open(&mut probe);
    other.verify(&mut probe, PIN).unwrap();
    let start = probe.status().page_writes;
    other.purchase(&mut probe, 1, PRICE, &cinema(EVENT, NOON)).unwrap();
    let writes = (probe.status().page_writes - start) as usize;
    assert_eq!(card.status().page_writes, before);
    if !is_home {
        // As many pages in the journal as at home, and the commit page between them.
        memory.arm(Cut { after: writes / 2 + 1, torn: Torn::Old });
    }
    let _ = stb.purchase(&mut card, 1, PRICE, &cinema(EVENT, NOON));
    assert_eq!(memory.mend(), !is_home);
    memory
}

/// What a card boots to from these octets: its home pages, unless it is mute.
fn boots(memory: &Memory, card: &mut Card) -> Option<Vec<u8>> {
    let answered = !card.power_on().is_empty();
    card.power_off();
    answered.then(|| memory.octets().split_off(HOME))
}

/// Every bit of these octets, half of them in each of two threads.
fn every_bit(octets: &[u8], wrong: impl Fn(usize, &[u8]) -> Option<String> + Sync) {
    let bits = octets.len() * 8;
    let half = |range: std::ops::Range<usize>| {
        for bit in range {
            let mut flipped = octets.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Some(why) = wrong(bit, &flipped) {
                panic!("page {}, octet {}: {why}", bit / 8 / PAGE, bit / 8 % PAGE);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| half(0..bits / 2));
        half(bits / 2..bits);
    });
}

/// T25: whatever bit of a home page turns over, the card notices and stays mute.
#[test]
fn a_flipped_bit_in_a_home_page_silences_the_card() {
    let memory = memory();
    let (front, home) = memory.split_at(HOME);
    every_bit(home, |_, flipped| {
        let chip = [front, flipped].concat();
        let card = Card::with_random(Memory::new(&chip).store(), counting());
        card.is_ok().then(|| "the card answers".to_owned())
    });
}

/// T25: between two resets, too.
#[test]
fn a_card_that_was_sound_notices_at_the_next_reset() {
    let memory = Memory::new(&memory());
    let mut card = powered(memory.store());
    for octet in (HOME..memory.octets().len()).step_by(61) {
        memory.flip(octet, 0x10);
        assert!(card.power_on().is_empty(), "octet {octet}");
        memory.flip(octet, 0x10);
    }
    assert!(!card.power_on().is_empty());
}

/// T25: a bit of the commit page or the journal, with a purchase still to be brought home: it
/// has taken place or it has not.
#[test]
fn a_flipped_bit_in_the_journal_leaves_before_or_after() {
    let before = memory().split_off(HOME);
    let after = {
        let done = bought(true);
        boots(&done, &mut powered(done.store())).unwrap()
    };
    let due = bought(false);
    assert_eq!(boots(&due, &mut powered(due.store())), Some(after.clone()));
    let octets = bought(false).octets();
    let (front, home) = octets.split_at(HOME);
    let verified = home.to_vec();
    assert!(verified != after, "something is still to be brought home");
    every_bit(front, |_, flipped| {
        let chip = Memory::new(&[flipped, home].concat());
        let Ok(mut card) = Card::with_random(chip.store(), counting()) else { return None };
        let found = boots(&chip, &mut card)?;
        let sound = found == before || found == verified || found == after;
        (!sound).then(|| "something between".to_owned())
    });
}

/// T25: a page in another's place is none; each is as it was written, but for where it lies.
#[test]
fn a_page_in_anothers_place_silences_the_card() {
    let memory = memory();
    let pages = (memory.len() - HOME) / PAGE;
    for page in 1..pages {
        let mut swapped = memory.clone();
        let (at, other) = (HOME + page * PAGE, HOME + (page - 1) * PAGE);
        swapped.copy_within(at..at + PAGE, other);
        let card = Card::with_random(Memory::new(&swapped).store(), counting());
        assert!(card.is_err(), "page {page} over the one in front of it");
    }
}

/// A memory of an earlier layout is refused by its name, however long it is.
#[test]
fn a_memory_of_an_earlier_layout_is_refused_by_name() {
    let mut earlier = memory();
    earlier[HOME..HOME + 4].copy_from_slice(b"SCV5");
    for len in [earlier.len(), earlier.len() - PAGE] {
        let card = Card::with_random(Memory::new(&earlier[..len]).store(), counting());
        let error = card.err().unwrap().to_string();
        assert_eq!(error, "memory of layout SCV5, this card's is SCV6");
    }
}
