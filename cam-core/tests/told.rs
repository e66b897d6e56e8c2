// SPDX-License-Identifier: Apache-2.0
//! What the box believes of the card, and when: whoever sits on the line writes what he likes into
//! what is said outside the session (`docs/spec/card.md`, 2.1).

use crate::rig::card::{CARD, OPERATOR, PIN};
use crate::rig::{Rig, air, config};
use cam_core::{AccessStatus, CardState, Event, PurchaseError, RequestId, TxnState};
use cam_types::{CasTime, Epoch, Fen, Pseudonym};
use ecm_emm::card::{
    CardInfo, EmmDetail, EmmOutcome, EmmResult, INS_ACK, INS_EMM, INS_INFO, INS_PURCHASE,
    INS_REPORT, INS_RIGHTS, INS_VERIFY, KeyInfo, OperatorInfo, ReportRequest, SlotInfo,
};

const PRICE: Fen = Fen::new(1200);
const NOON: CasTime = CasTime::new(849_441_600);

/// The clear CAS INFO as a shim writes it: the card's own, and all that it could lie about.
fn forged_info(card: Pseudonym) -> Vec<u8> {
    let key = KeyInfo { active: Epoch::new(7), newest: Epoch::new(7), floor: Epoch::new(7) };
    let info = CardInfo {
        version: 0x0102,
        pseudonym: card,
        blocked: true,
        pairing_slots: 1,
        pin_tries: 0,
        operators: vec![OperatorInfo {
            operator: OPERATOR,
            suites_allowed: 0x04,
            emm_level: 0xFFFF,
        }],
        slots: vec![SlotInfo { slot: 1, suite: 2, key }],
        now: CasTime::new(0xFFFF_FFFD),
        report: Some(ReportRequest { nonce: *b"somebody", from: 0 }),
        ..CardInfo::default()
    };
    let mut answer = Vec::new();
    info.emit(&mut answer).unwrap();
    answer.extend([0x90, 0x00]);
    answer
}

fn wish(rig: &mut Rig, event: u32, period: u32) -> RequestId {
    let cinema = rig.open(&air::cinema());
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(period, event, 1200));
    rig.run(500);
    let offer = rig.engine.offers(cinema).last().unwrap();
    let request = rig.engine.request_new().unwrap();
    let txn = rig.engine.purchase_begin(rig.now, offer.id, request, PRICE).unwrap();
    rig.engine.purchase_confirm(rig.now, txn, PIN).unwrap();
    rig.run(1000);
    assert_eq!(rig.engine.purchase(txn).unwrap().state, TxnState::Paid, "{event}");
    rig.engine.session_close(rig.now, cinema).unwrap();
    request
}

/// T29: a clock that nobody vouches for becomes no request number.
#[test]
fn a_clock_forged_in_clear_ends_no_buying() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    rig.card.now = NOON;
    rig.card.in_clear = Some((INS_INFO, forged_info(CARD)));
    rig.run(1000);
    for n in 0..4 {
        let request = wish(&mut rig, 2001 + n, 4 + 2 * n);
        assert_eq!(request.sequence().value(), NOON.seconds() + n);
    }
    // Another run, with the storage and without it.
    let mut rig = rig.restart();
    assert_eq!(wish(&mut rig, 2011, 20).sequence().value(), NOON.seconds() + 4);
    rig.storage.retain(|key, _| key.starts_with("pairing"));
    let mut rig = rig.restart();
    assert_eq!(wish(&mut rig, 2012, 22).sequence().value(), NOON.seconds() + 5, "by the log");
}

/// T17: the card's own answer in the session is what is told of it.
#[test]
fn what_is_said_in_clear_is_not_told() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    rig.card.now = NOON;
    rig.card.in_clear = Some((INS_INFO, forged_info(CARD)));
    while rig.engine.card().state != CardState::Ready {
        let card = rig.engine.card();
        assert_eq!((card.now, card.pin_tries, card.operator), (None, None, None));
        assert_eq!(rig.engine.request_new(), Err(PurchaseError::NoCard));
        assert!(rig.engine.key_versions().is_empty());
        rig.run(1);
    }
    let card = rig.engine.card();
    assert_eq!((card.now, card.pin_tries, card.operator), (Some(NOON), Some(3), Some(OPERATOR)));
    assert_eq!(
        rig.engine.request_new(),
        Err(PurchaseError::Unread),
        "its log's number is not read"
    );
    rig.run(1000);
    assert_eq!(rig.engine.card().reason, AccessStatus::CARD_READY);
    let active = rig.engine.key_versions().iter().map(|slot| slot.key.active);
    assert_eq!(active.collect::<Vec<_>>(), [Epoch::new(1); 2]);
    assert_eq!(rig.card.count(INS_REPORT), 0);
    let told = |event: &Event| {
        matches!(event, Event::KeyRotated { .. } | Event::Report { .. })
            || matches!(event, Event::Card { reason, .. } if *reason == AccessStatus::CARD_BLOCKED)
    };
    assert!(!rig.take_events().iter().any(told));
}

/// T17: what a card says that is not the session's partner is not believed, and is not for ever.
#[test]
fn another_pseudonym_in_the_session_ends_it() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    rig.card.pseudonym = Pseudonym::new([9; 8]);
    rig.card.in_clear = Some((INS_INFO, forged_info(CARD)));
    rig.run(20_000);
    assert_eq!(rig.engine.card().now, None);
    assert_eq!(rig.engine.request_new(), Err(PurchaseError::NoCard));
}

/// T4: whatever is answered outside the session, the message is the card's when a session opens.
#[test]
fn no_answer_in_clear_loses_an_emm() {
    for (outcome, detail) in [
        (EmmOutcome::APPLIED, EmmDetail::NONE),
        (EmmOutcome::DUPLICATE, EmmDetail::NONE),
        (EmmOutcome::STALE, EmmDetail::NONE),
        (EmmOutcome::LATER, EmmDetail::BUSY),
        (EmmOutcome::REFUSED, EmmDetail::SIGNATURE),
        (EmmOutcome::REFUSED, EmmDetail::MALFORMED),
    ] {
        let mut rig = Rig::ready();
        rig.tune_emms();
        rig.card.pairing_slots = 0;
        rig.engine.card_reset(rig.now);
        rig.run(1000);
        assert_eq!(rig.engine.card().state, CardState::Unpaired);
        let mut answer = Vec::new();
        EmmResult::new(outcome, detail).emit(&mut answer);
        answer.extend([0x90, 0x00]);
        rig.card.in_clear = Some((INS_EMM, answer));
        let grant = air::emm(1, &[air::grant(5)]);
        rig.carousel(air::EMM, &grant, 10_000);
        let asked = rig.card.count(INS_EMM);
        assert!((2..=5).contains(&asked), "{outcome}: held back for a bounded time, {asked}");
        // Paired again: what was said before nobody vouches for.
        rig.card.in_clear = None;
        rig.card.pairing_slots = 1;
        rig.engine.card_reset(rig.now);
        rig.run(1000);
        assert_eq!(rig.engine.card().state, CardState::Ready);
        rig.section(air::EMM, &grant);
        rig.run(500);
        assert_eq!(rig.engine.rights().len(), 2, "{outcome}");
    }
}

/// T4: an EMM at which the line fell silent is asked again, a reset or not.
#[test]
fn silence_loses_no_emm() {
    let mut rig = Rig::ready();
    rig.tune_emms();
    rig.card.refuse = Some((INS_EMM, 0, 3));
    rig.carousel(air::EMM, &air::emm(1, &[air::grant(5)]), 30_000);
    assert_eq!(rig.engine.rights().len(), 2);
}

/// T17: a status word that nobody vouches for ends no reading, no report and no pairing for good.
#[test]
fn a_bare_status_word_ends_nothing() {
    for (ins, sw) in [(INS_INFO, 0x6F00), (INS_RIGHTS, 0x6A86), (INS_REPORT, 0x6A88)] {
        let mut rig = Rig::new(config(air::stored_pairing()));
        rig.card.now = NOON;
        rig.card.reported = 2;
        rig.card.report = Some(ReportRequest { nonce: *b"head-end", from: 0 });
        while rig.engine.card().state != CardState::Ready {
            rig.run(1);
        }
        rig.card.refuse = Some((ins, sw, 5));
        rig.run(60_000);
        assert_eq!(rig.engine.card().now, Some(NOON), "{ins:02X}");
        assert!(rig.engine.request_new().is_ok(), "{ins:02X}");
        assert_eq!(rig.engine.rights().len(), 1, "{ins:02X}");
        let pages = |event| match event {
            Event::Report { pages, .. } => Some(pages),
            _ => None,
        };
        let told: Vec<_> = rig.take_events().into_iter().filter_map(pages).collect();
        let expected: &[usize] = if ins == INS_REPORT { &[0, 1] } else { &[1] };
        assert_eq!(told, expected, "{ins:02X}: told once, and then there");
    }
    // The card refuses to be paired four times in a row.
    let mut rig = Rig::new(config(air::stored_pairing()));
    rig.card.refuse = Some((0x50, 0x6A88, 4));
    rig.run(3000);
    assert_eq!(rig.engine.card().state, CardState::Unpaired);
    rig.run(10_000);
    assert_eq!(rig.engine.card().state, CardState::Ready);
}

/// T28: tries are what the card says of them in its session.
#[test]
fn a_forged_blocked_pin_is_not_kept() {
    let mut rig = Rig::ready();
    rig.card.refuse = Some((INS_VERIFY, 0x6983, 1));
    rig.engine.pin_verify(rig.now, PIN).unwrap();
    rig.run(500);
    assert_eq!(rig.engine.card().pin_tries, Some(3));
}

/// T17: an acknowledgement is taken when the card says so, and nobody else.
#[test]
fn an_acknowledgement_in_clear_has_no_result() {
    let mut rig = Rig::ready();
    rig.card.pairing_slots = 0;
    rig.engine.card_reset(rig.now);
    rig.run(1000);
    rig.card.in_clear = Some((INS_ACK, vec![0x01, 0x90, 0x00]));
    rig.engine.report_ack(rig.now, &[0; 37]).unwrap();
    rig.run(500);
    assert!(rig.take_events().contains(&Event::Acknowledged { result: None }));
}

/// Without the purse's counters NONE proves nothing: who keeps them back makes no purchase that was
/// not paid a forgotten one.
#[test]
fn counters_kept_back_forget_no_purchase() {
    let mut rig = Rig::ready();
    let cinema = rig.open(&air::cinema());
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    rig.run(500);
    let offer = rig.engine.offers(cinema).next().unwrap();
    let request = rig.engine.request_new().unwrap();
    let txn = rig.engine.purchase_begin(rig.now, offer.id, request, PRICE).unwrap();
    rig.card.refuse = Some((INS_PURCHASE, 0, 1));
    rig.engine.purchase_confirm(rig.now, txn, PIN).unwrap();
    rig.run(1100);
    rig.card.refuse = Some((INS_RIGHTS, 0x6F00, 12));
    rig.run(2000);
    assert_eq!(rig.engine.purchase(txn).unwrap().state, TxnState::Settling);
    rig.card.refuse = None;
    rig.run(400_000);
    assert_eq!(rig.engine.purchase(txn).unwrap().state, TxnState::Open, "and is not paid");
    assert_eq!(rig.card.debits, 0);
}

/// T29: an id is for one card; with another in the slot it begins nothing.
#[test]
fn a_request_is_for_its_card() {
    let other = Pseudonym::new([7; 8]);
    let mut stored = air::stored_pairing();
    stored.push(("pairing.1".to_owned(), air::box_pair(1, other, 0)));
    let mut rig = Rig::new(config(stored));
    rig.run(1000);
    let request = rig.engine.request_new().unwrap();
    rig.pull();
    rig.card.pseudonym = other;
    rig.inserted = true;
    let cinema = rig.open(&air::cinema());
    rig.run(2000);
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    rig.run(500);
    let offer = rig.engine.offers(cinema).next().unwrap();
    let begun = rig.engine.purchase_begin(rig.now, offer.id, request, PRICE);
    assert_eq!(begun, Err(PurchaseError::ForeignRequest));
    let same = rig.engine.request_new().unwrap();
    assert_eq!(same.sequence(), request.sequence(), "numbers are kept by card");
    assert_ne!(same, request);
}
