// SPDX-License-Identifier: Apache-2.0
//! Every cut there is: at every page write with everything a torn page may hold, and again inside
//! the recovery; and at every octet on the line.

use crate::operation::Attempt;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use system_tests::desk::{Desk, Direct, at_a_line};
use system_tests::memory::{CONTENTS, Cut, Memory};
use vcard::Fault;
use vcard::nvm::PAGE;

/// What is cut, and who says whether what is left is sound.
pub(crate) struct Case<'a> {
    pub name: &'a str,
    pub before: Vec<u8>,
    pub attempt: &'a dyn Fn(&mut dyn Desk) -> Attempt,
    pub judge: &'a dyn Fn(&mut dyn Desk, &Attempt) -> Result<&'static str, String>,
}

/// What has come of all cases.
#[derive(Default)]
pub(crate) struct Tally {
    cases: usize,
    /// Memories that differ: each is judged once for each thing that the terminal may know.
    judged: HashMap<u64, Result<&'static str, String>>,
    ends: BTreeMap<&'static str, usize>,
    violations: usize,
    first: Option<String>,
}

impl Tally {
    pub(crate) const fn violations(&self) -> usize {
        self.violations
    }

    /// No violation, and these ends.
    pub(crate) fn assert_sound(&self, ends: &[&str]) {
        assert_eq!(self.first, None, "{} violations", self.violations);
        assert!(self.ends.keys().copied().eq(ends.iter().copied()), "{:?}", self.ends);
    }

    fn add(&mut self, verdict: Result<&'static str, String>, of: impl FnOnce() -> String) {
        self.cases += 1;
        match verdict {
            Ok(end) => *self.ends.entry(end).or_default() += 1,
            Err(what) => {
                self.violations += 1;
                self.first.get_or_insert_with(|| format!("{}: {what}", of()));
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, violations, ends, .. } = self;
        write!(f, "{cases:>7} cases, {violations:>5} violations;")?;
        ends.iter().try_for_each(|(end, times)| write!(f, " {end} {times}"))
    }
}

/// Whether the card writes by its journal.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Journal {
    On,
    /// What the tests have to notice.
    Off,
}

/// Cuts every page write in every way, and every write of the recovery in every way.
pub(crate) fn every_write(case: &Case<'_>, journal: Journal) -> Tally {
    let mut tally = Tally::default();
    let mut before = case.before.clone();
    if journal == Journal::Off {
        // Nor is there a transaction of before to redo.
        before[..PAGE].fill(0xFF);
    }
    'writes: for after in 0.. {
        for torn in CONTENTS {
            let memory = Memory::new(&before);
            let mut desk = Direct::new(memory.store()).unwrap();
            if journal == Journal::Off {
                desk.card().set_fault(Fault::NoJournal);
            }
            assert!(desk.reset());
            memory.arm(Cut { after, torn: *torn });
            let attempt = (case.attempt)(&mut desk);
            drop(desk);
            let place = format!("write {after} {torn:?}");
            if !memory.mend() {
                // There is no such write: nothing has disturbed it.
                verdict(case, &memory.octets(), &attempt, &mut tally, &place);
                break 'writes;
            }
            recover(case, &memory.octets(), &attempt, &mut tally, &place);
        }
    }
    println!(
        "{:<34} every write{:<12} {tally}",
        case.name,
        match journal {
            Journal::On => "",
            Journal::Off => ", no journal",
        }
    );
    tally
}

/// Lets the card recover from one cut: undisturbed, and cut again at every write.
fn recover(case: &Case<'_>, cut: &[u8], attempt: &Attempt, tally: &mut Tally, place: &str) {
    verdict(case, cut, attempt, tally, place);
    for torn in CONTENTS {
        for after in 0.. {
            let memory = Memory::new(cut);
            memory.arm(Cut { after, torn: *torn });
            drop(Direct::new(memory.store()));
            if !memory.mend() {
                break;
            }
            let place = format!("{place}, then write {after} {torn:?}");
            verdict(case, &memory.octets(), attempt, tally, &place);
        }
    }
}

fn verdict(case: &Case<'_>, octets: &[u8], attempt: &Attempt, tally: &mut Tally, place: &str) {
    let memory = Memory::new(octets);
    let desk = Direct::new(memory.store());
    let mut hasher = DefaultHasher::new();
    (memory.octets(), attempt).hash(&mut hasher);
    let verdict = tally
        .judged
        .entry(hasher.finish())
        .or_insert_with(|| match desk {
            Ok(mut desk) => (case.judge)(&mut desk, attempt),
            Err(error) => Err(error.to_string()),
        })
        .clone();
    tally.add(verdict, || place.to_owned());
}

/// Lets the line go dead before every octet that passes, in either direction.
pub(crate) fn every_octet(case: &Case<'_>, protocol: &str, atr: &[u8]) -> Tally {
    let mut undisturbed = at_a_line(&case.before, atr, None);
    assert_eq!((case.attempt)(&mut undisturbed), Attempt::Made);
    let mut tally = Tally::default();
    for place in 0..=undisturbed.passed.len() {
        let mut desk = at_a_line(&case.before, atr, Some(place));
        let attempt = (case.attempt)(&mut desk);
        desk.arm(None);
        let verdict = (case.judge)(&mut desk, &attempt);
        tally.add(verdict, || format!("octet {place}"));
    }
    println!("{:<34} every octet, {protocol:<9} {tally}", case.name);
    tally
}
