// SPDX-License-Identifier: Apache-2.0
//! Reports: read by themselves when the operator asks, on the host's call else; whole or not at
//! all.

use crate::rig::card::{PIN, k_rcp, report_header};
use crate::rig::{Rig, air};
use cam_core::{Absence, AckResult, CardState, Event, Input, ReportError};
use cam_types::Fen;
use ecm_emm::card::{INS_ACK, INS_ECM, INS_REPORT, ReportRequest};
use ecm_emm::report::{Ack, Report};

const NONCE: [u8; 8] = *b"head-end";

fn reports(rig: &mut Rig) -> Vec<(u64, usize)> {
    let of_report = |event| match event {
        Event::Report { nonce, pages } => Some((u64::from_be_bytes(nonce), pages)),
        _ => None,
    };
    rig.take_events().into_iter().filter_map(of_report).collect()
}

fn acks(rig: &mut Rig) -> Vec<Option<AckResult>> {
    let of_ack = |event| match event {
        Event::Acknowledged { result } => Some(result),
        _ => None,
    };
    rig.take_events().into_iter().filter_map(of_ack).collect()
}

/// Takes all pages, and opens them as the head-end does.
fn pages(rig: &mut Rig, nonce: [u8; 8]) -> Vec<usize> {
    let mut counts = Vec::new();
    while let Some(page) = rig.engine.report_page() {
        counts.push(Report::open(page, nonce, &k_rcp()).unwrap().1.records.len());
        rig.engine.report_taken();
    }
    counts
}

fn ack(chain: [u8; 8]) -> Vec<u8> {
    let mut out = Vec::new();
    Ack { chain }.seal(&report_header(), &k_rcp(), &mut out).unwrap();
    out
}

#[test]
fn the_host_asks_and_gets_every_page() {
    let mut rig = Rig::ready();
    for (records, expected) in [(0, vec![0]), (3, vec![3]), (4, vec![4, 0]), (9, vec![4, 4, 1])] {
        rig.card.reported = records;
        rig.engine.report_request(rig.now, NONCE, 0).unwrap();
        rig.run(2000);
        assert_eq!(reports(&mut rig), [(u64::from_be_bytes(NONCE), expected.len())]);
        assert_eq!(pages(&mut rig, NONCE), expected);
        assert_eq!(rig.engine.report_page(), None);
    }
}

/// The operator asks in an EMM; the card tells the box, which answers once.
#[test]
fn a_request_over_the_air_is_answered_once() {
    let mut rig = Rig::ready();
    rig.input(Input::Cat { source: 0, section: &air::cat() });
    rig.card.reported = 5;
    rig.card.report = Some(ReportRequest { nonce: NONCE, from: 0 });
    rig.section(air::EMM, &air::activate(1, 1));
    rig.run(3000);
    assert_eq!(reports(&mut rig), [(u64::from_be_bytes(NONCE), 2)]);
    assert_eq!(rig.card.count(INS_REPORT), 2);
    assert_eq!(pages(&mut rig, NONCE), [4, 1]);
    rig.section(air::EMM, &air::activate(2, 1));
    rig.run(3000);
    assert_eq!(rig.card.count(INS_REPORT), 2, "answered, and not asked anew");
    // A box that was switched off has nothing to show any more, and asks the card again.
    let mut rig = rig.restart();
    rig.input(Input::Cat { source: 0, section: &air::cat() });
    rig.run(3000);
    assert_eq!(reports(&mut rig), [(u64::from_be_bytes(NONCE), 2)]);
    rig.card.report = Some(ReportRequest { nonce: *b"another!", from: 0 });
    rig.section(air::EMM, &air::activate(3, 1));
    rig.run(3000);
    assert_eq!(reports(&mut rig), [(u64::from_be_bytes(*b"another!"), 2)]);
}

#[test]
fn an_acknowledgement_goes_to_the_card_and_its_answer_comes_back() {
    let mut rig = Rig::ready();
    rig.card.reported = 2;
    rig.engine.report_ack(rig.now, &ack([2; 8])).unwrap();
    rig.run(1000);
    assert_eq!(acks(&mut rig), [Some(AckResult::FREED)]);
    rig.engine.report_ack(rig.now, &[0; 37]).unwrap();
    rig.run(1000);
    assert_eq!(acks(&mut rig), [Some(AckResult::AUTHENTICATION)]);
    let short = rig.engine.report_ack(rig.now, &[0; 36]);
    assert_eq!(short, Err(ReportError::NoAck { octets: 36 }));
    // Lost answers: the same again, and an end.
    rig.card.refuse = Some((INS_ACK, 0, 1));
    rig.engine.report_ack(rig.now, &ack([2; 8])).unwrap();
    rig.run(6000);
    assert_eq!(acks(&mut rig), [Some(AckResult::FREED)]);
    rig.card.refuse = Some((INS_ACK, 0, 3));
    rig.engine.report_ack(rig.now, &ack([2; 8])).unwrap();
    rig.run(20_000);
    assert_eq!(acks(&mut rig), [None]);
    rig.inserted = false;
    rig.input(Input::CardAbsent(Absence::Removed));
    rig.run(100);
    assert_eq!(rig.engine.report_ack(rig.now, &ack([2; 8])), Err(ReportError::NoCard));
    let request = rig.engine.report_request(rig.now, NONCE, 0);
    assert_eq!(request, Err(ReportError::NoCard));
}

#[test]
fn a_report_that_was_broken_off_begins_again() {
    let mut rig = Rig::ready();
    rig.card.reported = 6;
    rig.engine.report_request(rig.now, NONCE, 0).unwrap();
    rig.run(1);
    rig.card.refuse = Some((INS_REPORT, 0, 1));
    rig.run(6000);
    assert_eq!(reports(&mut rig), [(u64::from_be_bytes(NONCE), 2)]);
    assert_eq!(pages(&mut rig, NONCE), [4, 2]);
    // Refused for good: told, and the box goes on.
    rig.card.refuse = Some((INS_REPORT, 0x6A88, 1));
    rig.engine.report_request(rig.now, NONCE, 0).unwrap();
    rig.run(1000);
    assert_eq!(reports(&mut rig), [(u64::from_be_bytes(NONCE), 0)]);
    rig.card.refuse = Some((INS_REPORT, 0x6D00, 9));
    rig.engine.report_request(rig.now, NONCE, 0).unwrap();
    rig.run(20_000);
    assert_eq!(reports(&mut rig), [(u64::from_be_bytes(NONCE), 0)]);
    assert_eq!(rig.engine.card().state, CardState::Ready);
    // A card without an end.
    rig.card.refuse = None;
    rig.card.reported = 10_000;
    rig.engine.report_request(rig.now, NONCE, 0).unwrap();
    rig.run(20_000);
    assert_eq!(reports(&mut rig), [(u64::from_be_bytes(NONCE), 0)]);
}

/// The picture and money come first: an ECM that arrives while a report is read goes before its
/// next page.
#[test]
fn ecms_and_purchases_go_before_a_page() {
    let mut rig = Rig::ready();
    let cinema = rig.open(&air::cinema());
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    rig.run(500);
    let offer = rig.engine.offers(cinema).next().unwrap();
    rig.card.reported = 13;
    rig.card.seen.clear();
    rig.engine.report_request(rig.now, NONCE, 0).unwrap();
    rig.run(1);
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(5, 2001, 1200));
    let request = rig.engine.request_new().unwrap();
    let price = Fen::new(1200);
    let txn = rig.engine.purchase_begin(rig.now, offer.id, request, price).unwrap();
    rig.engine.purchase_confirm(rig.now, txn, PIN).unwrap();
    rig.run(3000);
    let first = |ins| rig.card.seen.iter().position(|seen| *seen == ins).unwrap();
    let pages: Vec<_> =
        (0..rig.card.seen.len()).filter(|n| rig.card.seen[*n] == INS_REPORT).collect();
    assert_eq!(pages.len(), 4);
    assert!(pages[0] < first(INS_ECM) && first(INS_ECM) < pages[1], "{:02X?}", rig.card.seen);
    assert!(first(ecm_emm::card::INS_PURCHASE) < pages[3], "{:02X?}", rig.card.seen);
}
