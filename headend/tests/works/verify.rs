// SPDX-License-Identifier: Apache-2.0
//! T30: a record that was removed, doubled, moved or altered, a report that was replayed or is
//! another card's: all of it shows, and nothing of it is acknowledged.

use crate::reporting::{
    CARD, EVENTS, Model, NONCE, PSEUDONYM, findings, found, header, issued, judge, judge_with,
    k_rcp, sealed,
};
use crate::support;
use cam_types::{CasTime, Epoch, EventId, Fen, OperatorId, Pseudonym, TerminalSequence};
use ecm_emm::keys::{KeyContext, KeyMaterial, Role, card_key, constant};
use ecm_emm::report::{Ack, Report, ReportHeader, ReportRecord};
use ecm_emm::suite::{SealKey, Suite};
use headend::files::operator::Operator;
use headend::files::schedule::Schedule;
use headend::verify::state::State;
use headend::verify::{Carried, Ground, Proven, VerifyError, verify};
use hex_literal::hex;
use proptest::prelude::*;
use std::path::Path;
use wallet::LogRecord;
use wallet::formula::{tac_load_input, tac_purchase_input};

#[test]
fn a_good_report_holds_and_is_acknowledged() {
    let card = Model::demo();
    let verdict = judge(&sealed(&card.pages()), &State::default());
    assert_eq!(verdict.findings, [""; 0]);
    assert!(verdict.text.contains("4 new records, 0 known of 2 reports"), "{}", verdict.text);
    assert!(verdict.text.contains("event 2001, 12.00, sequence 1, balance 88.00"));
    assert!(verdict.text.contains("balance 69.50"), "{}", verdict.text);
    assert_eq!(verdict.pseudonym, PSEUDONYM);
    let Proven { state, ack } = verdict.proven.unwrap();
    let (of, ack) = Ack::open(&ack, &k_rcp()).unwrap();
    assert_eq!((of, ack.chain), (header(), card.chain));
    assert_eq!(state.chain.0, card.chain);
    assert_eq!((state.offline_sequence, state.online_sequence), (3, 1));
}

#[test]
fn reports_go_on_where_the_last_one_ended() {
    let mut card = Model::demo();
    let mut state = State::default();
    let verdict = judge(&sealed(&card.pages()), &state);
    state.keep(PSEUDONYM, verdict.proven.unwrap().state);
    // The ACK was lost: the same records again, and a new one.
    card.buy(2001, 1200);
    let verdict = judge(&sealed(&card.pages()), &state);
    assert_eq!(verdict.findings, [""; 0]);
    assert!(verdict.text.contains("1 new records, 4 known"), "{}", verdict.text);
    // The ACK arrived, the next report begins behind it.
    let mut next = Model::demo();
    next.forget();
    next.buy(2001, 1200);
    let verdict = judge(&sealed(&next.pages()), &state);
    assert_eq!(verdict.findings, [""; 0]);
    state.keep(PSEUDONYM, verdict.proven.unwrap().state);
    // What was verified first is old now.
    let old = judge(&sealed(&Model::demo().pages()), &state);
    found(&old.findings, &["page 1", "a fork"]);
}

#[test]
fn pages_that_are_removed_doubled_or_moved() {
    let mut card = Model { balance: 1_000_000, ..Model::new() };
    (0..11).for_each(|n| card.buy(EVENTS[n % 3].0, EVENTS[n % 3].1));
    let pages = card.pages();
    let [a, b, c] = &pages[..] else { panic!("three pages") };
    assert_eq!(findings(&pages), [""; 0]);
    for (name, given, parts) in [
        ("first", vec![b, c], &["page 1", "records are missing"][..]),
        ("middle", vec![a, c], &["page 2", "records are missing"]),
        ("last", vec![a, b], &["page 2", "another page must follow"]),
        ("doubled", vec![a, a, b, c], &["page 2", "repeated", "page 1"]),
        ("moved", vec![a, c, b], &["page 2", "out of order", "behind page 3"]),
    ] {
        let given: Vec<_> = given.into_iter().cloned().collect();
        let findings = findings(&given);
        assert!(!findings.is_empty(), "{name}");
        found(&findings, parts);
    }
}

/// The seal keeps carriers out; what is inside is checked all the same.
#[test]
fn records_that_are_removed_doubled_moved_or_altered() {
    let spoilt = |spoil: &dyn Fn(&mut Model)| {
        let mut card = Model::demo();
        spoil(&mut card);
        findings(&card.pages())
    };
    // By somebody who has the key of the chain.
    let rechained = |spoil: &dyn Fn(&mut Model)| {
        spoilt(&|card: &mut Model| {
            spoil(card);
            card.rechain();
        })
    };
    let removed = |card: &mut Model| card.records.retain(|record| record.event.value() != 2002);
    found(&spoilt(&removed), &["page 1", "3 records do not lead", "removed"]);
    let doubled = |card: &mut Model| card.records.insert(3, card.records[2]);
    found(&spoilt(&doubled), &["page 2", "1 records do not lead"]);
    found(&rechained(&doubled), &["page 1, record 4", "sequence 2 behind 2"]);
    found(&rechained(&doubled), &["page 1, record 4", "a duplicate"]);
    let uncounted = |card: &mut Model| card.offline -= 1;
    let expected =
        ["page 1, record 4", "offline sequence 3", "above what the purse has counted, 2"];
    found(&spoilt(&uncounted), &expected);
    let moved = |card: &mut Model| card.records.swap(2, 3);
    found(&spoilt(&moved), &["page 1", "do not lead", "moved"]);
    found(&rechained(&moved), &["page 1, record 4", "sequence 2 behind 3", "moved"]);
    // The amount, then the balance; a load's code covers its balance, a purchase's does not.
    let amount = |card: &mut Model| card.records[0].purse[8] ^= 0x01;
    found(&spoilt(&amount), &["page 1", "do not lead", "altered"]);
    found(&rechained(&amount), &["page 1, record 1", "TAC is not the purse's"]);
    let balance = |card: &mut Model| card.records[2].balance = Fen::new(1);
    found(&rechained(&balance), &["page 1, record 3", "the balance should be 84.50"]);
    let load = |card: &mut Model| card.records[1].balance = Fen::new(1);
    found(&rechained(&load), &["page 1, record 2", "TAC"]);
    let left = |card: &mut Model| card.balance += 1;
    found(&spoilt(&left), &["the purse holds 69.51, the records leave 69.50"]);
    let kind = |card: &mut Model| card.records[0].purse[9] = 0x06;
    found(&rechained(&kind), &["page 1, record 1", "type 06"]);
    let state = |card: &mut Model| card.records[0].state = 9;
    found(&spoilt(&state), &["page 1, record 1", "state 09"]);
    let loaded = |card: &mut Model| card.records[1].state = 2;
    found(&spoilt(&loaded), &["page 1, record 2", "state 02, expected 01"]);
    let tac = |card: &mut Model| card.records[3].tac[0] ^= 0x80;
    found(&spoilt(&tac), &["page 1, record 4", "TAC"]);
    assert_eq!(rechained(&|_| {}), [""; 0]);
}

/// Without anything that was known or given out before.
fn bare(operator: &Operator) -> Ground<'_> {
    Ground { operator, nonce: NONCE, state: None, schedule: None, issued: None, accept_gap: &[] }
}

#[test]
fn another_request_another_card_or_another_octet() {
    let good = sealed(&Model::demo().pages());
    let operator = support::operator();
    let ground = Ground { operator: &operator, nonce: [0; 8], ..bare(&operator) };
    let replayed = verify(&good, ground).unwrap();
    assert_eq!(replayed.findings.len(), 2);
    found(&replayed.findings, &["page 1", "not authentic", "another request"]);
    let mut altered = sealed(&Model::demo().pages());
    altered[1].octets[40] ^= 1;
    found(&judge(&altered, &State::default()).findings, &["page 2", "not authentic", "altered"]);
    let other = ReportHeader { pseudonym: Pseudonym::new([7; 8]), ..header() };
    let mut mixed = sealed(&Model::demo().pages());
    mixed[1].octets.clear();
    Model::demo().page(1).seal(&other, NONCE, &k_rcp(), &mut mixed[1].octets).unwrap();
    found(&judge(&mixed, &State::default()).findings, &["page 2", "of another card"]);
    mixed.remove(0);
    let error = verify(&mixed, ground).unwrap_err();
    assert!(matches!(error, VerifyError::Card(..)), "{error}");
    let foreign = ReportHeader { operator: OperatorId::new(1), ..header() };
    mixed[0].octets.clear();
    Model::demo().page(0).seal(&foreign, NONCE, &k_rcp(), &mut mixed[0].octets).unwrap();
    assert!(matches!(verify(&mixed, ground).unwrap_err(), VerifyError::Operator(_, 1)));
    assert_eq!(verify(&[], ground).unwrap_err(), VerifyError::Nothing);
    // The receipt names the card: one card's records under another card's seal do not lead on.
    let text = std::fs::read_to_string(support::example("demo/operator.toml")).unwrap();
    let text = text.replace("\"0102030405060708\"", "\"0102030405060709\"");
    let operator = Operator::parse(Path::new("operator.toml"), &text).unwrap();
    let ground = bare(&operator);
    found(&verify(&good, ground).unwrap().findings, &["page 1", "do not lead"]);
}

#[test]
fn every_price_is_the_schedules() {
    for (event, price, parts) in [
        (2001, 1100, &["page 1, record 1", "underpaid", "12.00", "refund", "\"11.00\""][..]),
        (2001, 1300, &["page 1, record 1", "overpaid", "12.00"]),
        (2009, 1200, &["page 1, record 1", "no such event"]),
    ] {
        let mut card = Model::new();
        card.buy(event, price);
        found(&findings(&card.pages()), parts);
        // Given back: the finding is answered, and the card's log may be freed.
        card.refund(1);
        let issued = issued(&[(event, 1, price)]);
        let verdict = judge_with(&sealed(&card.pages()), &State::default(), &issued, &[]);
        assert_eq!(verdict.findings, [""; 0]);
    }
}

/// Gates and tills pay from the same purse and leave no record here.
#[test]
fn sequences_may_jump() {
    let mut card = Model::demo();
    card.offline += 2;
    card.balance -= 600;
    card.buy(2001, 1200);
    let verdict = judge(&sealed(&card.pages()), &State::default());
    assert_eq!(verdict.findings, [""; 0]);
    assert!(verdict.text.contains("purchases at terminals, in no report: 2\n"), "{}", verdict.text);
}

/// Keys derived from the master, another suite, a new generation between two records, TAC of suite
/// 2.
#[test]
fn derived_keys_and_a_new_generation() {
    let mut text = std::fs::read_to_string(support::example("demo/operator.toml")).unwrap();
    let (start, end) = (text.find("[[card.key]]").unwrap(), text.find("[[box]]").unwrap());
    text.replace_range(start..end, "");
    let operator = Operator::parse(Path::new("operator.toml"), &text).unwrap();
    let master = KeyMaterial::from_slice(&hex!("101112131415161718191a1b1c1d1e1f")).unwrap();
    let master = SealKey::new(Suite::Cmac128, master).unwrap();
    let number = OperatorId::new(0x1201);
    let key = |role, epoch| card_key(&master, role, number, CARD, Epoch::new(epoch));
    let mut card = Model::demo();
    for (n, record) in card.records.iter_mut().enumerate() {
        let purse = LogRecord::parse(&record.purse).unwrap();
        let input = match record.event.value() {
            0 => tac_load_input(
                record.balance,
                (purse.sequence - 1).to_be_bytes(),
                &purse.transaction,
            ),
            _ => tac_purchase_input(&purse.transaction, record.terminal_sequence),
        };
        let context = KeyContext::new(Role::Tac, number, Epoch::new(1));
        let tac = key(Role::Tac, 1).derived_key(constant::TAC, &context);
        let mac = <cmac::Cmac<aes::Aes128> as cmac::KeyInit>::new(tac.expose().into());
        let mac = cmac::Mac::chain_update(mac, &input);
        record.tac.copy_from_slice(&cmac::Mac::finalize(mac).into_bytes()[..4]);
        assert!(n < 4);
    }
    let receipt = |chain, (n, record): (usize, &ReportRecord)| {
        let epoch = if n < 2 { 4 } else { 5 };
        let context = KeyContext::new(Role::Receipt, number, Epoch::new(epoch));
        record.receipt(&key(Role::Receipt, epoch), &context, CARD, chain)
    };
    let chain = card.records.iter().enumerate().fold([0; 8], receipt);
    let report = Report { chain_after: chain, ..card.page(0) };
    let last = Report { chain_before: chain, chain_after: chain, ..card.page(1) };
    let header = ReportHeader { epoch: Epoch::new(5), ..header() };
    let seal = |report: &Report| {
        let mut octets = Vec::new();
        report.seal(&header, NONCE, &key(Role::Receipt, 5), &mut octets).unwrap();
        Carried { name: "page".to_owned(), octets }
    };
    let (state, schedule) = (State::default(), support::schedule());
    let issued = issued(&[]);
    let ground = Ground {
        state: Some(&state),
        schedule: Some(&schedule),
        issued: Some(&issued),
        ..bare(&operator)
    };
    let verdict = verify(&[seal(&report), seal(&last)], ground).unwrap();
    assert_eq!(verdict.findings, [""; 0]);
    let ack = Ack::open(&verdict.proven.unwrap().ack, &key(Role::Receipt, 5)).unwrap().1;
    assert_eq!(ack.chain, chain);
}

/// The program: findings on stderr and nothing written, or an acknowledgement and a state.
#[test]
fn the_command_line() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verify-command");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let card = Model::demo();
    for (n, report) in sealed(&card.pages()).iter().enumerate() {
        std::fs::write(folder.join(format!("{n}.bin")), &report.octets).unwrap();
    }
    let topup = "[[topup]]\ncard = \"0102030405060708\"\nnumber = 1\namount = \"5.00\"\n\
                 agent = \"a9e000000001\"\n";
    std::fs::write(folder.join("issued.toml"), topup).unwrap();
    let run = |nonce: &str, reports: &[&str]| {
        let demo = support::example("demo");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_headend"))
            .current_dir(&folder)
            .args([
                "verify-report",
                "--previous",
                "cards.json",
                "--ack",
                "ack.bin",
                "--nonce",
                nonce,
            ])
            .arg("--operator")
            .arg(demo.join("operator.toml"))
            .arg("--schedule")
            .arg(demo.join("schedule.toml"))
            .args(["--issued", "issued.toml"])
            .args(reports)
            .output()
            .unwrap();
        let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, out, err) = run("a0a1a2a3a4a5a6a7", &["1.bin", "0.bin"]);
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(err.contains("FINDING 1.bin: out of order: it belongs behind 0.bin"), "{err}");
    assert!(err.ends_with("nothing is acknowledged\n"), "{err}");
    let (status, _, err) = run("a0a1a2a3a4a5a6a8", &["0.bin", "1.bin"]);
    assert!(
        status == Some(1) && err.contains("FINDING 0.bin: the message is not authentic"),
        "{err}"
    );
    let (status, _, err) = run("a0a1a2a3a4a5a6a7", &["none.bin"]);
    assert!(status == Some(1) && err.contains("none.bin: No such file"), "{err}");
    assert!(!folder.join("ack.bin").exists() && !folder.join("cards.json").exists());
    // The acknowledgement cannot be written: the records are known, and the next try acknowledges
    // them.
    std::fs::create_dir(folder.join("ack.bin")).unwrap();
    let (status, _, err) = run("a0a1a2a3a4a5a6a7", &["0.bin", "1.bin"]);
    assert!(status == Some(1) && err.contains("ack.bin"), "{err}");
    std::fs::remove_dir(folder.join("ack.bin")).unwrap();
    for known in ["0 new records, 4 known"; 2] {
        let (status, out, err) = run("a0a1a2a3a4a5a6a7", &["0.bin", "1.bin"]);
        assert_eq!((status, err.as_str()), (Some(0), ""));
        assert!(out.contains(known) && out.contains("the report holds"), "{out}");
    }
    let ack = std::fs::read(folder.join("ack.bin")).unwrap();
    assert_eq!(Ack::open(&ack, &k_rcp()).unwrap().1.chain, card.chain);
    std::fs::remove_dir_all(&folder).unwrap();
}

proptest! {
    /// Whatever comes, sealed or not, is judged and not died of.
    #[test]
    fn no_octets_panic(
        message in prop::collection::vec(any::<u8>(), 0..300),
        purses in prop::collection::vec(any::<[u8; 23]>(), 0..=4), sequences in any::<(u16, u16)>(),
        events in any::<[u32; 4]>(), balances in any::<[u32; 5]>(), chains in any::<[[u8; 8]; 2]>(),
    ) {
        let (operator, schedule) = (support::operator(), support::schedule());
        let state = State::default();
        let ground =
            Ground { state: Some(&state), schedule: Some(&schedule), ..bare(&operator) };
        let any = Carried { name: "any".to_owned(), octets: message };
        prop_assert!(verify(&[any], ground).map_or(true, |verdict| !verdict.findings.is_empty()));
        let records = purses.into_iter().enumerate().map(|(n, purse)| ReportRecord {
            purse, terminal_sequence: TerminalSequence::new(1), balance: Fen::new(balances[n]),
            event: EventId::new(events[n]), tier: 1, end: CasTime::new(0), state: 1, tac: [0; 4],
        }).collect();
        let report = Report {
            balance: Fen::new(balances[4]), offline_sequence: sequences.0,
            online_sequence: sequences.1, time: CasTime::new(1), chain_before: chains[0],
            chain_after: chains[1], records,
        };
        prop_assert!(!judge(&sealed(&[report]), &state).findings.is_empty());
    }
}

/// The demo's schedule is what the prices above were copied from.
#[test]
fn the_events_are_the_demos() {
    let schedule: Schedule = support::schedule();
    for (event, price) in EVENTS {
        let mut events = schedule.service.iter().flat_map(|service| &service.event);
        assert_eq!(events.find(|e| e.id == event).map(|e| e.price), Some(Fen::new(price)));
    }
}
