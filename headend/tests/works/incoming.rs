// SPDX-License-Identifier: Apache-2.0
//! T30, T31: money that came in is money that was given out, each of it once.

use crate::reporting::{CARD, Model, PSEUDONYM, found, issued, judge_with, sealed};
use crate::support;
use headend::files::fields::Octets;
use headend::files::issued::Issued;
use headend::verify::Verdict;
use headend::verify::state::State;
use std::path::Path;

fn judge(card: &Model, state: &State, refunds: &[(u32, u16, u32)]) -> Verdict {
    judge_with(&sealed(&card.pages()), state, &issued(refunds), &[])
}

fn findings(card: &Model, refunds: &[(u32, u16, u32)]) -> Vec<String> {
    judge(card, &State::default(), refunds).findings
}

/// With the purse's key somebody makes top-ups of his own.
#[test]
fn a_top_up_that_nobody_issued() {
    let mut card = Model::new();
    (0..3).for_each(|_| card.load(500));
    assert_eq!(findings(&card, &[]), [""; 0]);
    card.load(500);
    found(&findings(&card, &[]), &["page 1, record 4", "nobody issued it", "number 4"]);
    let mut card = Model::new();
    card.load(501);
    found(&findings(&card, &[]), &["page 1, record 1", "top-up 1 was issued with 5.00"]);
    // Another agent's, another card's, and where nothing was issued.
    let [mut card, nothing] = [Model::new(), Model::new()].map(|mut card| {
        card.load(500);
        card
    });
    let none = Issued::default();
    let verdict = judge_with(&sealed(&nothing.pages()), &State::default(), &none, &[]);
    found(&verdict.findings, &["page 1, record 1", "nobody issued it"]);
    let mut other = issued(&[]);
    other.topup[0].agent = Octets([1; 6]);
    let verdict = judge_with(&sealed(&card.pages()), &State::default(), &other, &[]);
    found(&verdict.findings, &["page 1, record 1", "nobody issued it"]);
    let mut other = issued(&[]);
    other.topup[0].card = Octets([1; 8]);
    let verdict = judge_with(&sealed(&card.pages()), &State::default(), &other, &[]);
    found(&verdict.findings, &["page 1, record 1", "nobody issued it"]);
    // The same number a second time, in one report and in the next one.
    card.repeat_load(500, 1);
    found(&findings(&card, &[]), &["page 1, record 2", "top-up 1 a second time"]);
    let mut card = Model::new();
    card.load(500);
    let mut state = State::default();
    state.keep(PSEUDONYM, judge(&card, &state, &[]).proven.unwrap().state);
    card.forget();
    card.repeat_load(500, 1);
    found(&judge(&card, &state, &[]).findings, &["page 1, record 1", "top-up 1 a second time"]);
}

#[test]
fn a_refund_that_nobody_issued() {
    let mut card = Model::demo();
    card.refund(1);
    assert_eq!(findings(&card, &[(2001, 1, 1200)]), [""; 0]);
    let unissued = findings(&card, &[]);
    found(&unissued, &["page 1, record 1", "it was given back, and nobody issued its refund"]);
    found(&unissued, &["page 2, record 1", "nobody issued it"]);
    // Of another purchase, or of another amount.
    let other = findings(&card, &[(2001, 3, 1200)]);
    found(&other, &["page 1, record 1", "nobody issued its refund"]);
    found(&other, &["page 2, record 1", "nobody issued it"]);
    found(&findings(&card, &[(2001, 1, 1199)]), &["page 2, record 1", "nobody issued it"]);
}

/// The purchase is in no report any more, the money that came back is; and each refund comes once.
#[test]
fn a_refund_of_long_ago() {
    let mut card = Model::demo();
    let mut state = State::default();
    state.keep(PSEUDONYM, judge(&card, &state, &[]).proven.unwrap().state);
    card.refund(1);
    let number = card.records[0].terminal_sequence.value();
    card.forget_but(1);
    let refunds = [(2001, 1, 1200)];
    assert!(!judge(&card, &state, &[]).findings.is_empty());
    let verdict = judge(&card, &state, &refunds);
    assert_eq!(verdict.findings, [""; 0]);
    state.keep(PSEUDONYM, verdict.proven.unwrap().state);
    card.forget();
    card.repeat_load(1200, number);
    found(&judge(&card, &state, &refunds).findings, &["page 1, record 1", "nobody issued it"]);
    // Known purchases tell of their refund in a later report.
    let mut card = Model::demo();
    let mut state = State::default();
    state.keep(PSEUDONYM, judge(&card, &state, &[]).proven.unwrap().state);
    card.refund(1);
    found(&judge(&card, &state, &[]).findings, &["page 1, record 1", "nobody issued its refund"]);
    assert_eq!(judge(&card, &state, &refunds).findings, [""; 0]);
}

/// Loads at hosts leave no record: their numbers are listed, for the hosts' own records.
#[test]
fn loads_at_hosts_are_listed() {
    let mut card = Model::new();
    card.host(100);
    card.repeat_load(500, 1);
    (0..3).for_each(|_| card.host(100));
    card.buy(2001, 1200);
    card.repeat_load(500, 2);
    let verdict = judge(&card, &State::default(), &[]);
    assert_eq!(verdict.findings, [""; 0]);
    let listed = "loads at hosts, by online sequence: 1, 3 to 5; balances are not compared\n";
    assert!(verdict.text.contains(listed), "{}", verdict.text);
    // The same money without a step of the sequence.
    let mut card = Model::new();
    card.till(100);
    card.buy(2001, 1200);
    card.till(100);
    assert_eq!(findings(&card, &[]), [""; 0]);
    card.balance += 201;
    found(&findings(&card, &[]), &["the purse holds", "the records leave"]);
}

#[test]
fn a_sale_that_the_schedule_does_not_have() {
    let mut card = Model::new();
    card.buy(2001, 1200);
    card.records[0].tier = 2;
    card.rechain();
    found(&findings(&card, &[]), &["page 1, record 1", "the schedule has no tier 2 of this event"]);
}

/// Each field of the file that contradicts another, or names nothing.
#[test]
fn a_file_of_what_was_issued_that_is_none() {
    let card = Octets(*CARD.octets()).to_string();
    let topup =
        "[[topup]]\ncard = \"CARD\"\nnumber = 1\namount = \"5.00\"\nagent = \"a9e000000001\"\n";
    let refund = "[[refund]]\ncard = \"CARD\"\nevent = 7\nsequence = 1\namount = \"5.00\"\n";
    let with = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    let operator = support::operator();
    let read = |text: &str| {
        let text = text.replace("CARD", &card);
        Issued::parse(Path::new("issued.toml"), &text, &operator).map_err(|error| error.to_string())
    };
    read("").unwrap();
    read(&format!("{topup}{refund}{}", with(refund, "event = 7", "event = 8"))).unwrap();
    for (text, expected) in [
        (format!("{topup}{topup}"), "table [[topup]] 2, field `number`: this card has a top-up"),
        (
            format!("{refund}{refund}"),
            "table [[refund]] 2, field `sequence`: this purchase was given",
        ),
        (with(topup, "number = 1", "number = 0"), "field `number`: numbers start at 1"),
        (with(topup, "number = 1", "number = 65536"), "field `number`: invalid value"),
        (with(topup, "5.00", "0.00"), "table [[topup]] 1, field `amount`: nothing moves"),
        (with(topup, "\"5.00\"", "5.00"), "field `amount`: invalid type"),
        (with(topup, "5.00", "-5.00"), "field `amount`"),
        (with(topup, "CARD", "0102030405060709"), "table [[topup]] 1, field `card`: the operator"),
        (with(topup, "a9e000000001", "a9e0"), "field `agent`: 4 characters, expected 12"),
        (with(topup, "agent", "seller"), "field `seller`: unknown field"),
        (with(refund, "event = 7", "event = 0"), "field `event`: numbers start at 1"),
        (with(refund, "sequence = 1", "sequence = 0"), "field `sequence`: numbers start at 1"),
        (with(refund, "5.00", "0.00"), "table [[refund]] 1, field `amount`: nothing moves"),
        (with(refund, "CARD", "0102030405060709"), "table [[refund]] 1, field `card`"),
        (with(refund, "sequence = 1\n", ""), "missing field `sequence`"),
        (with(refund, "[[refund]]", "[[return]]"), "unknown field `return`"),
    ] {
        let error = read(&text).err().unwrap_or_else(|| panic!("taken: {text}"));
        assert!(
            error.starts_with("issued.toml: ") && error.contains(expected),
            "{error}\n{expected}"
        );
    }
}
