// SPDX-License-Identifier: Apache-2.0
//! T30: random histories of one card, whose memory somebody puts back now and then. The head-end
//! takes every report of a card that went on, and none of one that has lost a record it knew.

use crate::reporting::{EVENTS, Model, PSEUDONYM, issued_of, judge_with, sealed};
use ecm_emm::report::ReportRecord;
use headend::verify::state::State;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;

/// What happens to a card.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Buys(usize),
    PaysAtTill(u32),
    LoadsAtHost(u32),
    GetsTopup,
    /// Of a purchase that was not acknowledged, by its place.
    GetsRefund(usize),
    /// With so many records of before; the acknowledgement may be lost.
    Reports {
        recalled: usize,
        lost: bool,
    },
    IsCopied,
    /// To one of the copies.
    IsPutBack(usize),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (0..3_usize).prop_map(Happens::Buys),
        2 => (1..300_u32).prop_map(Happens::PaysAtTill),
        1 => (1..300_u32).prop_map(Happens::LoadsAtHost),
        1 => Just(Happens::GetsTopup),
        2 => any::<usize>().prop_map(Happens::GetsRefund),
        5 => (prop_oneof![3 => Just(0), 1 => 1..12_usize], any::<bool>())
            .prop_map(|(recalled, lost)| Happens::Reports { recalled, lost }),
        2 => Just(Happens::IsCopied),
        1 => any::<usize>().prop_map(Happens::IsPutBack),
    ]
}

/// A memory, and the numbers of all that ever happened to it.
#[derive(Clone)]
struct Memory {
    card: Model,
    line: Vec<usize>,
}

impl Memory {
    /// All its records.
    fn records(&self) -> impl Iterator<Item = &ReportRecord> {
        self.card.forgotten.iter().chain(&self.card.records)
    }
}

struct World {
    now: Memory,
    copies: Vec<Memory>,
    /// The memory as it was at the last report that held.
    verified: Memory,
    state: State,
    topups: u32,
    refunds: Vec<(u32, u16, u32)>,
}

/// How a report ended.
#[derive(Default)]
struct Seen {
    held: Cell<usize>,
    forks: Cell<usize>,
    /// Nothing is lost but what left no record.
    unrecorded: Cell<usize>,
}

fn count(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

impl World {
    fn new() -> Self {
        let card = Model { balance: 10_000_000, ..Model::new() };
        let now = Memory { card, line: Vec::new() };
        let copies = vec![now.clone()];
        let verified = now.clone();
        let (state, topups, refunds) = (State::default(), 0, Vec::new());
        Self { now, copies, verified, state, topups, refunds }
    }

    fn step(&mut self, number: usize, step: Happens, seen: &Seen) -> Result<(), TestCaseError> {
        let card = &mut self.now.card;
        card.time = u32::try_from(number).unwrap();
        let full = card.records.len() >= ReportRecord::MAX_KEPT;
        match step {
            Happens::Reports { recalled, lost } => return self.report(recalled, lost, seen),
            Happens::IsCopied => {
                self.copies.push(self.now.clone());
                return Ok(());
            }
            Happens::IsPutBack(copy) => {
                self.now = self.copies[copy % self.copies.len()].clone();
                return Ok(());
            }
            Happens::PaysAtTill(amount) => card.till(amount),
            Happens::LoadsAtHost(amount) => card.host(amount),
            _ if full => return Ok(()),
            Happens::Buys(event) => card.buy(EVENTS[event].0, EVENTS[event].1),
            Happens::GetsTopup => {
                self.topups += 1;
                card.repeat_load(500, self.topups);
            }
            Happens::GetsRefund(place) => {
                let paid = |record: &&ReportRecord| record.event.value() != 0 && record.state == 1;
                let paid: Vec<_> = card.records.iter().filter(paid).copied().collect();
                if paid.is_empty() {
                    return Ok(());
                }
                let record = paid[place % paid.len()];
                let purse = wallet::LogRecord::parse(&record.purse).unwrap();
                let amount = purse.transaction.amount.fen();
                let this = (record.event.value(), purse.sequence, amount);
                // Another purchase in its place has its refund already, which comes once.
                if self.refunds.contains(&this) {
                    return Ok(());
                }
                self.refunds.push(this);
                card.refund(purse.sequence);
            }
        }
        self.now.line.push(number);
        Ok(())
    }

    fn report(&mut self, recalled: usize, lost: bool, seen: &Seen) -> Result<(), TestCaseError> {
        let pages = sealed(&self.now.card.recalled(recalled).pages());
        let issued = issued_of(self.topups, &self.refunds);
        let verdict = judge_with(&pages, &self.state, &issued, &[]);
        let went_on = self.now.line.starts_with(&self.verified.line);
        // Each record that was verified is there, and given back if it was then.
        let kept = {
            let mut now = self.now.records();
            self.verified.records().all(|was| {
                now.next().is_some_and(|now| {
                    let state = now.state;
                    ReportRecord { state: was.state, ..*now } == *was && state >= was.state
                })
            })
        };
        prop_assert!(kept || !went_on);
        if went_on {
            prop_assert_eq!(&verdict.findings, &[""; 0]);
            count(&seen.held);
        } else if !kept {
            prop_assert!(verdict.proven.is_none());
            let fork = verdict.findings.iter().any(|finding| finding.contains("a fork"));
            prop_assert!(fork, "{:?}", verdict.findings);
            count(&seen.forks);
        } else {
            count(&seen.unrecorded);
        }
        let Some(proven) = verdict.proven else { return Ok(()) };
        self.state.keep(PSEUDONYM, proven.state);
        self.verified = self.now.clone();
        if !lost {
            self.now.card.forget();
        }
        Ok(())
    }
}

#[test]
fn a_report_holds_exactly_when_nothing_verified_was_changed() {
    let seen = Seen::default();
    let mut runner = TestRunner::new(Config { cases: 100, ..Config::default() });
    let histories = prop::collection::vec(happens(), 10..80);
    let told = runner.run(&histories, |history| {
        let mut world = World::new();
        history
            .into_iter()
            .enumerate()
            .try_for_each(|(number, step)| world.step(number, step, &seen))
    });
    told.unwrap_or_else(|error| panic!("{error}"));
    let Seen { held, forks, unrecorded } = &seen;
    let counts = [held.get(), forks.get(), unrecorded.get()];
    assert!(counts[0] > 300 && counts[1] > 60 && counts[2] > 5, "{counts:?}");
}
