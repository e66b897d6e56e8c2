//! Reports: read by themselves when the operator asks, on the host's call else; whole or not at all.

use crate::bench::card::{PIN, k_rcp, report_header};
use crate::bench::{Bench, air};
use cam_core::{Absence, AckResult, CardState, Event, Input, ReportError};
use cam_types::Fen;
use ecm_emm::card::{INS_ACK, INS_ECM, INS_REPORT, ReportRequest};
use ecm_emm::report::{Ack, Report};

const NONCE: [u8; 8] = *b"head-end";

fn reports(bench: &mut Bench) -> Vec<(u64, usize)> {
    let of_report = |event| match event {
        Event::Report { nonce, pages } => Some((u64::from_be_bytes(nonce), pages)),
        _ => None,
    };
    bench.take_events().into_iter().filter_map(of_report).collect()
}

fn acks(bench: &mut Bench) -> Vec<Option<AckResult>> {
    let of_ack = |event| match event {
        Event::Acknowledged { result } => Some(result),
        _ => None,
    };
    bench.take_events().into_iter().filter_map(of_ack).collect()
}

/// Takes all pages, and opens them as the head-end does.
fn pages(bench: &mut Bench, nonce: [u8; 8]) -> Vec<usize> {
    let mut counts = Vec::new();
    while let Some(page) = bench.engine.report_page() {
        counts.push(Report::open(page, nonce, &k_rcp()).unwrap().1.records.len());
        bench.engine.report_taken();
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
    let mut bench = Bench::ready();
    for (records, expected) in [(0, vec![0]), (3, vec![3]), (4, vec![4, 0]), (9, vec![4, 4, 1])] {
        bench.card.reported = records;
        bench.engine.report_request(bench.now, NONCE, 0).unwrap();
        bench.run(2000);
        assert_eq!(reports(&mut bench), [(u64::from_be_bytes(NONCE), expected.len())]);
        assert_eq!(pages(&mut bench, NONCE), expected);
        assert_eq!(bench.engine.report_page(), None);
    }
}

/// The operator asks in an EMM; the card tells the box, which answers once.
#[test]
fn a_request_over_the_air_is_answered_once() {
    let mut bench = Bench::ready();
    bench.input(Input::Cat { source: 0, section: &air::cat() });
    bench.card.reported = 5;
    bench.card.report = Some(ReportRequest { nonce: NONCE, from: 0 });
    bench.section(air::EMM, &air::activate(1, 1));
    bench.run(3000);
    assert_eq!(reports(&mut bench), [(u64::from_be_bytes(NONCE), 2)]);
    assert_eq!(bench.card.count(INS_REPORT), 2);
    assert_eq!(pages(&mut bench, NONCE), [4, 1]);
    bench.section(air::EMM, &air::activate(2, 1));
    bench.run(3000);
    assert_eq!(bench.card.count(INS_REPORT), 2, "answered, and not asked anew");
    // A box that was switched off has nothing to show any more, and asks the card again.
    let mut bench = bench.restart();
    bench.input(Input::Cat { source: 0, section: &air::cat() });
    bench.run(3000);
    assert_eq!(reports(&mut bench), [(u64::from_be_bytes(NONCE), 2)]);
    bench.card.report = Some(ReportRequest { nonce: *b"another!", from: 0 });
    bench.section(air::EMM, &air::activate(3, 1));
    bench.run(3000);
    assert_eq!(reports(&mut bench), [(u64::from_be_bytes(*b"another!"), 2)]);
}

#[test]
fn an_acknowledgement_goes_to_the_card_and_its_word_comes_back() {
    let mut bench = Bench::ready();
    bench.card.reported = 2;
    bench.engine.report_ack(bench.now, &ack([2; 8])).unwrap();
    bench.run(1000);
    assert_eq!(acks(&mut bench), [Some(AckResult::FREED)]);
    bench.engine.report_ack(bench.now, &[0; 37]).unwrap();
    bench.run(1000);
    assert_eq!(acks(&mut bench), [Some(AckResult::AUTHENTICATION)]);
    let short = bench.engine.report_ack(bench.now, &[0; 36]);
    assert_eq!(short, Err(ReportError::NoAck { octets: 36 }));
    // Lost answers: the same again, and an end.
    bench.card.refuse = Some((INS_ACK, 0, 1));
    bench.engine.report_ack(bench.now, &ack([2; 8])).unwrap();
    bench.run(6000);
    assert_eq!(acks(&mut bench), [Some(AckResult::FREED)]);
    bench.card.refuse = Some((INS_ACK, 0, 3));
    bench.engine.report_ack(bench.now, &ack([2; 8])).unwrap();
    bench.run(20_000);
    assert_eq!(acks(&mut bench), [None]);
    bench.inserted = false;
    bench.input(Input::CardAbsent(Absence::Removed));
    bench.run(100);
    assert_eq!(bench.engine.report_ack(bench.now, &ack([2; 8])), Err(ReportError::NoCard));
    let request = bench.engine.report_request(bench.now, NONCE, 0);
    assert_eq!(request, Err(ReportError::NoCard));
}

#[test]
fn a_report_that_was_broken_off_begins_again() {
    let mut bench = Bench::ready();
    bench.card.reported = 6;
    bench.engine.report_request(bench.now, NONCE, 0).unwrap();
    bench.run(1);
    bench.card.refuse = Some((INS_REPORT, 0, 1));
    bench.run(6000);
    assert_eq!(reports(&mut bench), [(u64::from_be_bytes(NONCE), 2)]);
    assert_eq!(pages(&mut bench, NONCE), [4, 2]);
    // Refused for good: told, and the box goes on.
    bench.card.refuse = Some((INS_REPORT, 0x6A88, 1));
    bench.engine.report_request(bench.now, NONCE, 0).unwrap();
    bench.run(1000);
    assert_eq!(reports(&mut bench), [(u64::from_be_bytes(NONCE), 0)]);
    bench.card.refuse = Some((INS_REPORT, 0x6D00, 9));
    bench.engine.report_request(bench.now, NONCE, 0).unwrap();
    bench.run(20_000);
    assert_eq!(reports(&mut bench), [(u64::from_be_bytes(NONCE), 0)]);
    assert_eq!(bench.engine.card().state, CardState::Ready);
    // A card without an end.
    bench.card.refuse = None;
    bench.card.reported = 10_000;
    bench.engine.report_request(bench.now, NONCE, 0).unwrap();
    bench.run(20_000);
    assert_eq!(reports(&mut bench), [(u64::from_be_bytes(NONCE), 0)]);
}

/// The picture and money come first: an ECM that arrives while a report is read goes before its next page.
#[test]
fn ecms_and_purchases_go_before_a_page() {
    let mut bench = Bench::ready();
    let cinema = bench.open(&air::cinema());
    bench.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    bench.run(500);
    let offer = bench.engine.offers(cinema).next().unwrap();
    bench.card.reported = 13;
    bench.card.seen.clear();
    bench.engine.report_request(bench.now, NONCE, 0).unwrap();
    bench.run(1);
    bench.section(air::CINEMA_ECM, &air::cinema_ecm(5, 2001, 1200));
    let request = bench.engine.request_new().unwrap();
    let price = Fen::new(1200);
    let txn = bench.engine.purchase_begin(bench.now, offer.id, request, price).unwrap();
    bench.engine.purchase_confirm(bench.now, txn, PIN).unwrap();
    bench.run(3000);
    let first = |ins| bench.card.seen.iter().position(|seen| *seen == ins).unwrap();
    let pages: Vec<_> =
        (0..bench.card.seen.len()).filter(|n| bench.card.seen[*n] == INS_REPORT).collect();
    assert_eq!(pages.len(), 4);
    assert!(pages[0] < first(INS_ECM) && first(INS_ECM) < pages[1], "{:02X?}", bench.card.seen);
    assert!(first(ecm_emm::card::INS_PURCHASE) < pages[3], "{:02X?}", bench.card.seen);
}
