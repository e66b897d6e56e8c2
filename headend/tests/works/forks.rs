// SPDX-License-Identifier: Apache-2.0
//! T30: one report behind another. A memory that was put back, or is in two cards, shows and is
//! never acknowledged; records that somebody else has acknowledged are only a gap.

use crate::reporting::{Model, PSEUDONYM, found, judge, sealed};
use ecm_emm::report::Report;
use headend::verify::Verdict;
use headend::verify::state::State;

/// The head-end's side: what it has verified so far.
#[derive(Default)]
struct Desk(State);

impl Desk {
    fn judge(&self, card: &Model) -> Verdict {
        judge(&sealed(&card.pages()), &self.0)
    }

    /// The report holds and moves the state on; the card hears of it.
    #[track_caller]
    fn takes(&mut self, card: &mut Model) {
        self.takes_unheard(card);
        card.forget();
    }

    /// The same, but the acknowledgement is lost.
    #[track_caller]
    fn takes_unheard(&mut self, card: &Model) {
        let verdict = self.judge(card);
        assert_eq!(verdict.findings, [""; 0]);
        self.0.keep(PSEUDONYM, verdict.proven.unwrap().state);
    }

    #[track_caller]
    fn sees_a_fork(&self, card: &Model, parts: &[&str]) {
        let findings = self.judge(card).findings;
        found(&findings, &["a fork"]);
        found(&findings, parts);
    }
}

/// Behind its verified report the card's memory is put back, and what was bought then never was.
#[test]
fn another_purchase_after_the_memory_was_put_back() {
    for tills in 0..5 {
        let mut desk = Desk::default();
        let mut card = Model::new();
        let fresh = card.clone();
        card.buy(2001, 1200);
        card.buy(2002, 850);
        desk.takes(&mut card);
        let mut forked = fresh;
        (0..tills).for_each(|_| forked.till(1));
        forked.buy(2003, 1500);
        forked.buy(2002, 850);
        desk.sees_a_fork(&forked, &["page 1", "begins at receipt 0000000000000000"]);
        // The card itself goes on.
        card.buy(2003, 1500);
        desk.takes(&mut card);
    }
}

#[test]
fn a_memory_put_back_behind_an_acknowledged_receipt() {
    let mut desk = Desk::default();
    let mut card = Model::demo();
    desk.takes(&mut card);
    let earlier = card.clone();
    card.buy(2001, 1200);
    desk.takes(&mut card);
    // Nothing was bought since.
    desk.sees_a_fork(&earlier, &["page 1", "offline sequence 3, and 4 was verified"]);
    let mut forked = earlier.clone();
    forked.buy(2002, 850);
    desk.sees_a_fork(&forked, &["page 1, record 1", "offline sequence 4"]);
    // As many and more, and the purse's numbers are above those that were verified.
    forked.till(1);
    forked.buy(2003, 1500);
    desk.sees_a_fork(&forked, &["page 1", "begins at receipt"]);
    let mut forked = earlier;
    (0..9).for_each(|_| forked.till(1));
    desk.sees_a_fork(&forked, &["page 1", "begins at receipt"]);
}

/// The same thing at the same second with the same number: the purchase that is known.
#[test]
fn the_same_purchase_again_is_that_purchase() {
    let mut desk = Desk::default();
    let mut card = Model::demo();
    let earlier = card.clone();
    card.buy(2001, 1200);
    desk.takes_unheard(&card);
    let mut again = earlier.clone();
    again.buy(2001, 1200);
    assert_eq!(again.chain, card.chain);
    let verdict = desk.judge(&again);
    assert_eq!(verdict.findings, [""; 0]);
    assert!(verdict.text.contains("0 new records, 5 known"), "{}", verdict.text);
    let mut later = earlier;
    later.time += 1;
    later.buy(2001, 1200);
    desk.sees_a_fork(&later, &["page 1", "begins at receipt"]);
}

#[test]
fn two_cards_of_one_memory() {
    let mut desk = Desk::default();
    let mut card = Model::demo();
    desk.takes(&mut card);
    let mut twin = card.clone();
    card.buy(2001, 1200);
    twin.buy(2002, 850);
    twin.buy(2003, 1500);
    desk.takes(&mut card);
    desk.sees_a_fork(&twin, &["page 1", "begins at receipt"]);
    card.buy(2002, 850);
    desk.takes(&mut card);
    desk.sees_a_fork(&twin, &["page 1", "begins at receipt"]);
}

/// A page of either: each leads on from receipt to receipt, and together they do not.
#[test]
fn pages_of_two_forks() {
    let mut desk = Desk::default();
    let mut card = Model { balance: 1_000_000, ..Model::new() };
    (0..5).for_each(|_| card.buy(2001, 1200));
    let mut twin = card.clone();
    (0..2).for_each(|_| card.buy(2002, 850));
    (0..2).for_each(|_| twin.buy(2003, 1500));
    desk.takes_unheard(&card);
    desk.sees_a_fork(&twin, &["page 1", "begins at receipt"]);
    let findings = |pages: &[Report]| judge(&sealed(pages), &desk.0).findings;
    // The page in front is the same but for the money.
    found(&findings(&[twin.page(0), card.page(1)]), &["page 2", "balance"]);
    found(&findings(&[card.page(0), twin.page(1)]), &["page 2", "balance"]);
    let mut later = card.page(0);
    later.offline_sequence += 1;
    found(&findings(&[later, card.page(1)]), &["page 2", "a sequence of the purse is lower"]);
    // Where they part in the middle of a page there is nothing to join.
    card.buy(2001, 1200);
    twin.buy(2001, 1200);
    card.buy(2001, 1200);
    let pages = [card.page(0), twin.page(1), card.page(2)];
    found(&findings(&pages), &["page 3", "records are missing before it"]);
}

/// A known record is what it was; a purchase may have been given back since, and never the reverse.
#[test]
fn known_records_stay_what_they_were() {
    let mut desk = Desk::default();
    let mut card = Model::demo();
    desk.takes_unheard(&card);
    for spoil in [
        |card: &mut Model| card.records[0].end = cam_types::CasTime::new(1),
        |card: &mut Model| card.records[1].tac[3] ^= 1,
        |card: &mut Model| card.records[1].state = 2,
    ] {
        let mut spoilt = card.clone();
        spoil(&mut spoilt);
        desk.sees_a_fork(&spoilt, &["page 1, record ", "verified before"]);
    }
    let before = card.clone();
    card.refund(1);
    desk.takes_unheard(&card);
    desk.sees_a_fork(&before, &["page 1", "online sequence 1, and 2 was verified"]);
    card.records[0].state = 1;
    desk.sees_a_fork(&card, &["page 1, record 1", "was given back, and now is not"]);
}

/// What tills have taken cannot come back, and no counter stands still while money moves.
#[test]
fn the_purse_goes_on_too() {
    let mut desk = Desk::default();
    let mut card = Model::demo();
    let earlier = card.clone();
    card.till(100);
    desk.takes(&mut card);
    let mut put_back = earlier.clone();
    put_back.forget();
    desk.sees_a_fork(&put_back, &["page 1", "offline sequence 3, and 4 was verified"]);
    put_back.till(200);
    desk.sees_a_fork(&put_back, &["page 1", "holds 67.50, and 68.50 was verified"]);
    // Above what was verified the till of before costs less.
    put_back.till(1);
    put_back.balance += 150;
    found(&desk.judge(&put_back).findings, &["the purse holds 68.99, the records leave 68.50"]);
    let mut loaded = card.clone();
    loaded.host(100);
    desk.takes(&mut loaded);
    desk.sees_a_fork(&card, &["page 1", "online sequence 1, and 2 was verified"]);
}
