// SPDX-License-Identifier: Apache-2.0
//! T30: records that were acknowledged and are not known here: told, and taken only for a card that
//! somebody has named.

use crate::reporting::{CARD, Model, PSEUDONYM, found, issued, judge, judge_with, sealed};
use headend::files::fields::Octets;
use headend::verify::Verdict;
use headend::verify::state::{CardState, State};

const NAMED: [Octets<8>; 2] = [Octets([9; 8]), Octets(*CARD.octets())];

fn accepting(card: &Model, state: &State, named: &[Octets<8>]) -> Verdict {
    judge_with(&sealed(&card.pages()), state, &issued(&[]), named)
}

/// The head-end was restored from a backup of before the card's last report.
fn restored() -> (State, Model) {
    let mut card = Model { balance: 1_000_000, ..Model::new() };
    card.buy(2001, 1200);
    let mut backup = State::default();
    backup.keep(PSEUDONYM, judge(&sealed(&card.pages()), &backup).proven.unwrap().state);
    card.forget();
    card.buy(2002, 850);
    card.forget();
    card.buy(2003, 1500);
    (backup, card)
}

#[test]
fn a_gap_is_told_and_accepted_for_one_card() {
    let (mut state, mut card) = restored();
    for named in [&[][..], &NAMED[..1]] {
        let verdict = accepting(&card, &state, named);
        found(&verdict.findings, &["page 1", "a gap: records are missing before receipt"]);
        assert!(verdict.proven.is_none() && verdict.findings.len() == 1);
    }
    let verdict = accepting(&card, &state, &NAMED);
    assert_eq!(verdict.findings, [""; 0]);
    assert!(verdict.text.contains("a gap") && verdict.text.contains("; accepted"));
    assert!(verdict.text.contains("1 new records, 0 known"), "{}", verdict.text);
    state.keep(PSEUDONYM, verdict.proven.unwrap().state);
    // From there on it goes on, named or not.
    card.forget();
    card.buy(2001, 1200);
    assert_eq!(accepting(&card, &state, &[]).findings, [""; 0]);
    // A card that the file does not have is new, and begins at zeros.
    let lost = accepting(&card, &State::default(), &[]);
    found(&lost.findings, &["page 1", "a gap"]);
    assert_eq!(accepting(&card, &State::default(), &NAMED).findings, [""; 0]);
}

/// Who accepts a gap accepts nothing else: not a fork, not what is wrong in a record.
#[test]
fn an_accepted_gap_excuses_nothing() {
    let (state, card) = restored();
    let mut spoilt = card.clone();
    spoilt.records[0].tac[0] ^= 1;
    found(&accepting(&spoilt, &state, &NAMED).findings, &["page 1, record 1", "TAC"]);
    let mut loaded = card.clone();
    loaded.load(700);
    found(&accepting(&loaded, &state, &NAMED).findings, &["page 1, record 2", "with 5.00"]);
    let mut behind = card.clone();
    behind.offline = 0;
    let findings = accepting(&behind, &state, &NAMED).findings;
    found(&findings, &["a fork: the purse's offline sequence 0, and 1 was verified"]);
    let mut card = Model { balance: 1_000_000, ..Model::new() };
    let earlier = card.clone();
    card.buy(2001, 1200);
    let mut state = State::default();
    state.keep(PSEUDONYM, judge(&sealed(&card.pages()), &state).proven.unwrap().state);
    let mut forked = earlier;
    forked.till(1);
    forked.buy(2002, 850);
    found(&accepting(&forked, &state, &NAMED).findings, &["page 1", "a fork: it begins at"]);
    // The records in front are not shown: no known receipt, but numbers that were counted.
    let mut behind = Model { offline: 0, ..card };
    behind.records.clear();
    behind.base = [7; 8];
    behind.chain = [7; 8];
    behind.buy(2002, 850);
    found(&accepting(&behind, &state, &NAMED).findings, &["page 1, record 1", "a fork: offline"]);
}

/// Balances are not compared across it, and loads of before are listed.
#[test]
fn across_a_gap_only_sequences_are_known() {
    let (state, mut card) = restored();
    card.host(4_000_000);
    card.host(1);
    card.online += 3;
    card.load(500);
    let verdict = accepting(&card, &state, &NAMED);
    found(&verdict.findings, &["page 1, record 2", "nobody issued it"]);
    assert!(
        verdict.text.contains("loads at hosts, by online sequence: 1 to 5;"),
        "{}",
        verdict.text
    );
    assert!(verdict.text.contains("purchases at terminals, in no report: 1\n"), "{}", verdict.text);
}

/// What is kept of a card is bounded, and a fork shows from any of it.
#[test]
fn the_last_128_records_are_kept() {
    let mut state = State::default();
    let mut card = Model { balance: 10_000_000, ..Model::new() };
    let mut earlier = Vec::new();
    for _ in 0..9 {
        earlier.push(card.clone());
        (0..20).for_each(|_| card.buy(2001, 1200));
        let verdict = judge(&sealed(&card.pages()), &state);
        assert_eq!(verdict.findings, [""; 0]);
        state.keep(PSEUDONYM, verdict.proven.unwrap().state);
        card.forget();
    }
    let known = &state.card(PSEUDONYM).records;
    assert_eq!((known.len(), CardState::RECORDS), (128, 128));
    assert_eq!(known.last().unwrap().receipt.0, card.chain);
    for (back, mut forked) in earlier.into_iter().rev().enumerate() {
        forked.till(1);
        (0..200).for_each(|_| forked.till(0));
        forked.buy(2002, 850);
        let findings = accepting(&forked, &state, &[]).findings;
        // Further back than is kept it looks like a gap; from zeros it does not.
        let expected = if back < 6 || back == 8 { "a fork" } else { "a gap" };
        assert!(findings[0].contains(expected), "{back}: {findings:?}");
    }
}

/// After a RESET of the card's clock its time is earlier: told, and no finding.
#[test]
fn time_may_fall() {
    let mut state = State::default();
    let mut card = Model::demo();
    state.keep(PSEUDONYM, judge(&sealed(&card.pages()), &state).proven.unwrap().state);
    card.time = 1;
    card.buy(2001, 1200);
    let verdict = judge(&sealed(&card.pages()), &state);
    assert_eq!(verdict.findings, [""; 0]);
    assert!(verdict.text.contains("time is earlier"), "{}", verdict.text);
}
