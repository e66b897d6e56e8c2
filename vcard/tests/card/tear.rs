//! The power cut at every page write, with everything that a torn page may hold, and cut again while
//! the card recovers (T13, T14, T15, M1).

use crate::bench::*;
use cam_types::Fen;
use ecm_emm::card::{AccessStatus, EmmOutcome, PurchaseResult};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use vcard::nvm::{PAGE, Page, PageStore, RamStore, StoreError};
use vcard::{Card, Fault};

/// What a page holds after the power went inside its write.
#[derive(Clone, Copy, Debug)]
pub enum Torn {
    Old,
    New,
    Erased,
    Prefix(usize),
    Flipped(usize),
}

pub const CONTENTS: &[Torn] = &[
    Torn::Old,
    Torn::New,
    Torn::Erased,
    Torn::Prefix(1),
    Torn::Prefix(4),
    Torn::Prefix(8),
    Torn::Prefix(9),
    Torn::Prefix(16),
    Torn::Prefix(24),
    Torn::Prefix(32),
    Torn::Prefix(63),
    Torn::Prefix(64),
    Torn::Prefix(100),
    Torn::Prefix(120),
    Torn::Prefix(127),
    Torn::Flipped(37),
];

impl Torn {
    fn mix(self, old: &Page, new: &Page) -> Page {
        match self {
            Self::Old => *old,
            Self::New => *new,
            Self::Erased => [0xFF; PAGE],
            Self::Prefix(len) => {
                let mut page = *old;
                page[..len].copy_from_slice(&new[..len]);
                page
            }
            Self::Flipped(bit) => {
                let mut page = *new;
                page[bit / 8] ^= 1 << (bit % 8);
                page
            }
        }
    }
}

/// Memory whose power fails inside the n-th write.
struct Fragile {
    pages: Arc<Mutex<RamStore>>,
    writes_left: Arc<Mutex<Option<(usize, Torn)>>>,
}

impl PageStore for Fragile {
    fn pages(&self) -> usize {
        self.pages.lock().unwrap().pages()
    }

    fn read(&mut self, index: usize, into: &mut Page) -> Result<(), StoreError> {
        self.pages.lock().unwrap().read(index, into)
    }

    fn write(&mut self, index: usize, page: &Page) -> Result<(), StoreError> {
        let mut pages = self.pages.lock().unwrap();
        let mut left = self.writes_left.lock().unwrap();
        match &mut *left {
            Some((0, torn)) => {
                let mut old = [0; PAGE];
                pages.read(index, &mut old)?;
                pages.write(index, &torn.mix(&old, page))?;
                Err(StoreError::PowerLost)
            }
            Some((n, _)) => {
                *n -= 1;
                pages.write(index, page)
            }
            None => pages.write(index, page),
        }
    }

    fn barrier(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A memory and its fuse, with which to make one card after another.
pub struct Rig {
    pages: Arc<Mutex<RamStore>>,
    fuse: Arc<Mutex<Option<(usize, Torn)>>>,
}

impl Rig {
    pub fn new(octets: &[u8]) -> Self {
        Self {
            pages: Arc::new(Mutex::new(RamStore::new(octets))),
            fuse: Arc::new(Mutex::new(None)),
        }
    }

    pub fn store(&self) -> Box<dyn PageStore> {
        Box::new(Fragile { pages: self.pages.clone(), writes_left: self.fuse.clone() })
    }

    pub fn cut(&self, cut: Option<(usize, Torn)>) {
        *self.fuse.lock().unwrap() = cut;
    }

    pub fn octets(&self) -> Vec<u8> {
        self.pages.lock().unwrap().octets()
    }
}

/// Something that a card does in one or more transactions.
struct Operation {
    /// The card before it.
    before: Vec<u8>,
    /// Does it; the power may go on the way.
    run: fn(&mut Card),
    /// Looks at a card after it was booted: a name for its state, or what cannot be.
    state: fn(&mut Card) -> Result<&'static str, String>,
}

/// Every write × every content × every write of the recovery; the states seen, or the first violation.
fn exhaust(operation: &Operation, journal: bool) -> Result<BTreeSet<&'static str>, String> {
    let mut states = BTreeSet::new();
    let open = |rig: &Rig| Card::with_random(rig.store(), counting());
    let mut write = 0;
    loop {
        let mut finished = false;
        for torn in CONTENTS {
            let rig = Rig::new(&operation.before);
            let mut card = open(&rig).map_err(|error| error.to_string())?;
            if !journal {
                card.set_fault(Fault::NoJournal);
            }
            card.power_on();
            rig.cut(Some((write, *torn)));
            (operation.run)(&mut card);
            finished = rig.fuse.lock().unwrap().is_some_and(|(left, _)| left > 0);
            let after_first_cut = rig.octets();
            // The recovery is cut as well, until it runs through.
            for again in 0.. {
                let rig = Rig::new(&after_first_cut);
                rig.cut(Some((again, *torn)));
                let recovered = open(&rig).is_ok();
                rig.cut(None);
                let mut card = open(&rig).map_err(|error| format!("{write} {torn:?}: {error}"))?;
                if card.power_on().is_empty() {
                    return Err(format!("cut {write} {torn:?}: mute"));
                }
                let state = (operation.state)(&mut card)
                    .map_err(|error| format!("cut {write} {torn:?}, then {again}: {error}"))?;
                states.insert(state);
                if recovered {
                    break;
                }
            }
        }
        if finished {
            return Ok(states);
        }
        write += 1;
    }
}

fn purchase() -> Operation {
    Operation {
        before: memory(),
        run: |card| {
            let mut stb = Stb::open(card);
            let _ = stb.buy(card, 1, &cinema(EVENT, NOON));
        },
        state: |card| {
            let mut stb = Stb::open(card);
            let settled = stb.query(card, 1);
            let wallet = stb.wallet(card);
            let watched = stb.ecm(card, &cinema(EVENT, NOON)).status;
            let state = (settled.result, wallet.balance.fen(), wallet.offline_sequence, watched);
            let before = (PurchaseResult::NONE, 10_000, 0, AccessStatus::PURCHASABLE);
            let after = (PurchaseResult::DONE, 8800, 1, AccessStatus::GRANTED_EVENT);
            let name = if state == before {
                "before"
            } else if state == after {
                "after"
            } else {
                return Err(format!("{state:?}"));
            };
            // The box asks again, whatever it was told: it has paid exactly once.
            stb.buy(card, 1, &cinema(EVENT, NOON)).map_err(|error| format!("{error:?}"))?;
            match stb.wallet(card).balance {
                balance if balance == Fen::new(8800) => Ok(name),
                balance => Err(format!("{balance} left after the retry")),
            }
        },
    }
}

fn key_delivery() -> Operation {
    Operation {
        before: memory(),
        run: |card| {
            let command = TO_CARD.delivery(news_target(), 2, 2, NEWS_2);
            select(card, &ecm_emm::card::AID_CAS);
            let mut apdu = vec![0x80, 0x36, 0, 0];
            let section = TO_CARD.seal(1, &[command]);
            apdu.push(section.len() as u8);
            apdu.extend(section);
            let _ = card.transmit(&apdu);
        },
        state: |card| {
            let mut stb = Stb::open(card);
            let new = Service { epoch: 2, key: NEWS_2, ..NEWS };
            let old = stb.ecm(card, &news(NOON)).status;
            let new = stb.ecm(card, &seal_ecm(new, &body(NOON, subscription()))).status;
            let command = TO_CARD.delivery(news_target(), 2, 2, NEWS_2);
            let again = emm(card, &TO_CARD.seal(1, &[command])).outcome;
            if old != AccessStatus::GRANTED_SUBSCRIPTION {
                return Err(format!("the old key is gone: {old}"));
            }
            match (new, again) {
                (AccessStatus::NO_KEY, EmmOutcome::APPLIED) => Ok("before"),
                (AccessStatus::GRANTED_SUBSCRIPTION, EmmOutcome::DUPLICATE) => Ok("after"),
                other => Err(format!("{other:?}")),
            }
        },
    }
}

/// Tries that a card has left.
fn tries(card: &mut Card) -> Result<&'static str, String> {
    match card.status().pin_tries {
        3 => Ok("3"),
        2 => Ok("2"),
        1 => Ok("1"),
        tries => Err(format!("{tries} tries")),
    }
}

#[test]
fn a_torn_purchase_is_made_or_not() {
    let states = exhaust(&purchase(), true).unwrap();
    assert_eq!(states, BTreeSet::from(["before", "after"]));
}

#[test]
fn a_torn_key_delivery_leaves_the_old_key_in_use() {
    let states = exhaust(&key_delivery(), true).unwrap();
    assert_eq!(states, BTreeSet::from(["before", "after"]));
}

/// T15: a cut inside VERIFY never saves a try: a wrong PIN that was compared has cost one.
#[test]
fn a_torn_verify_saves_no_try() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    assert_eq!(stb.verify(&mut card, WRONG_PIN).unwrap().tries, 2);
    let rig = Rig::new(&memory());
    let mut card = Card::with_random(rig.store(), counting()).unwrap();
    card.power_on();
    let mut stb = Stb::open(&mut card);
    stb.verify(&mut card, WRONG_PIN).unwrap();
    let before = rig.octets();
    for (run, expected) in [
        ((|card| drop(Stb::open(card).verify(card, WRONG_PIN))) as fn(&mut Card), ["1", "2"]),
        (|card| drop(Stb::open(card).verify(card, PIN)), ["1", "3"]),
    ] {
        let operation = Operation { before: before.clone(), run, state: tries };
        let states = exhaust(&operation, true).unwrap();
        // While a right PIN is being written down, "2" (not yet counted), "1" and "3" are all fair.
        assert!(expected.iter().all(|state| states.contains(state)), "{states:?}");
        assert!(states.contains("2") || expected.contains(&"3"), "{states:?}");
    }
}

/// A wrong PIN, cut at every write, again and again: never more than three comparisons.
#[test]
fn cuts_never_give_a_fourth_try() {
    for write in 0..12 {
        for torn in CONTENTS {
            let rig = Rig::new(&memory());
            let mut answers = 0;
            for _ in 0..6 {
                let mut card = Card::with_random(rig.store(), counting()).unwrap();
                card.power_on();
                let mut stb = Stb::open(&mut card);
                rig.cut(Some((write, *torn)));
                if stb.verify(&mut card, WRONG_PIN).is_ok() {
                    answers += 1;
                }
                rig.cut(None);
            }
            assert!(answers <= 3, "cut {write} {torn:?}: {answers} comparisons");
        }
    }
}

/// The proof that the tests above would notice: without the journal there are violations.
#[test]
fn without_the_journal_tearing_does_damage() {
    for (name, operation) in [("purchase", purchase()), ("key delivery", key_delivery())] {
        let outcome = exhaust(&operation, false);
        assert!(outcome.is_err(), "{name}: {outcome:?}");
    }
}
