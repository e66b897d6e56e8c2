//! EMMs: ours or not, known or not, applied, refused, or for later.

use crate::bench::card::{GROUP, key};
use crate::bench::{Bench, EXCHANGE, air};
use cam_core::{AccessState, CardState, Event, Input};
use cam_types::Pseudonym;
use ecm_emm::card::INS_EMM;
use ecm_emm::emm::{Address, EmmCommand};

const UNIQUE: usize = 0;
const SHARED: usize = 1;
const GLOBAL: usize = 2;
const TO_THE_BOX: usize = 3;

fn ready() -> Bench {
    let mut bench = Bench::ready();
    bench.input(Input::Cat { source: 0, section: &air::cat() });
    bench
}

fn osd() -> EmmCommand {
    EmmCommand::Osd { id: 1, attributes: 0, text: "hello".into() }
}

/// T6: a carousel reaches the card once.
#[test]
fn a_carousel_reaches_the_card_once() {
    let mut bench = ready();
    for _ in 0..50 {
        for seq in 1..=3 {
            bench.section(air::EMM, &air::emm(seq, &[air::grant(5)]));
        }
        bench.run(500);
    }
    let stats = bench.engine.stats();
    assert_eq!(bench.card.count(INS_EMM), 3);
    assert_eq!(stats.emm_in[UNIQUE], 150);
    assert_eq!((stats.emm_applied[UNIQUE], stats.emm_dup_gate[UNIQUE]), (3, 147));
    assert!(bench.take_events().contains(&Event::Rights));
    assert_eq!(bench.engine.rights().len(), 2);
}

#[test]
fn the_address_decides() {
    let mut bench = ready();
    let other = Address::Unique(Pseudonym::new([3; 8]));
    for (address, counter, ours) in [
        (other, UNIQUE, false),
        (Address::Shared(GROUP), SHARED, true),
        (Address::Shared(99), SHARED, false),
        (Address::Global, GLOBAL, true),
    ] {
        let before = bench.engine.stats();
        bench.section(air::EMM, &air::emm_to(address, 7, &[osd()]));
        bench.run(300);
        let after = bench.engine.stats();
        let not_ours = after.emm_not_ours[counter] - before.emm_not_ours[counter];
        assert_eq!(not_ours, u64::from(!ours), "{address:?}");
    }
    assert_eq!(bench.card.count(INS_EMM), 2);
}

/// T11: a forged EMM changes nothing, costs one exchange, and is counted.
#[test]
fn a_forged_emm_changes_nothing() {
    let mut bench = ready();
    let forgery = air::forged(&air::emm(4, &[air::grant(5)]));
    for _ in 0..20 {
        bench.section(air::EMM, &forgery);
        bench.run(200);
    }
    let stats = bench.engine.stats();
    assert_eq!((stats.emm_refused[UNIQUE], stats.emm_dup_gate[UNIQUE]), (1, 19));
    assert_eq!(bench.engine.rights().len(), 1);
    bench.section(air::EMM, &air::emm(4, &[air::grant(5)]));
    bench.run(500);
    assert_eq!(bench.engine.stats().emm_applied[UNIQUE], 1);
}

/// An older EMM that the gate has forgotten is known to the card.
#[test]
fn a_replayed_emm_is_a_duplicate() {
    let mut bench = ready();
    let first = air::emm(1, &[osd()]);
    bench.section(air::EMM, &first);
    for seq in 2..=140 {
        bench.run(200);
        bench.section(air::EMM, &air::emm(seq, &[osd()]));
    }
    bench.run(200);
    bench.section(air::EMM, &first);
    bench.run(200);
    assert_eq!(bench.engine.stats().emm_dup_card[UNIQUE], 1);
    bench.section(air::EMM, &first);
    bench.run(200);
    assert_eq!(bench.engine.stats().emm_dup_gate[UNIQUE], 1);
}

/// KEY_ACTIVATE before its KEY_DELIVER: later, and then on the next cycle.
#[test]
fn what_is_for_later_comes_again() {
    let mut bench = ready();
    let (activate, deliver) = (air::activate(2, 2), air::deliver(1, 2, 0xA0));
    for _ in 0..4 {
        bench.section(air::EMM, &activate);
        bench.run(100);
    }
    assert_eq!(bench.engine.stats().emm_later[UNIQUE], 1, "not at every repetition");
    bench.section(air::EMM, &deliver);
    bench.run(300);
    bench.section(air::EMM, &activate);
    bench.run(500);
    assert_eq!(bench.engine.stats().emm_applied[UNIQUE], 2);
}

/// A reset does not make the card do its EMMs again.
#[test]
fn a_reset_keeps_the_memory() {
    let mut bench = ready();
    bench.section(air::EMM, &air::emm(1, &[osd()]));
    bench.run(500);
    bench.engine.card_reset(bench.now);
    bench.run(1000);
    assert_eq!(bench.engine.card().state, CardState::Ready);
    bench.section(air::EMM, &air::emm(1, &[osd()]));
    bench.run(500);
    assert_eq!(bench.card.count(INS_EMM), 1);
}

#[test]
fn a_lost_answer_is_asked_again() {
    let mut bench = ready();
    bench.card.refuse = Some((INS_EMM, 0, 1));
    bench.section(air::EMM, &air::emm(1, &[osd()]));
    bench.run(3000);
    assert_eq!(bench.engine.stats().emm_applied[UNIQUE], 1);
}

/// An EMM that makes the card fall silent does not take the box with it.
#[test]
fn a_poisonous_emm_is_given_up() {
    let mut bench = ready();
    let news = bench.open(&air::news());
    bench.card.refuse = Some((INS_EMM, 0, 3));
    bench.section(air::EMM, &air::emm(1, &[osd()]));
    for period in 4..40 {
        bench.section(air::NEWS_ECM, &air::news_ecm(period));
        bench.section(air::EMM, &air::emm(1, &[osd()]));
        bench.run(500);
    }
    assert_eq!(bench.engine.stats().emm_dropped[UNIQUE], 1);
    assert!(bench.has_words(news));
}

/// ECMs go first: a full queue of EMMs delays no crypto period by more than one exchange.
#[test]
fn ecms_go_before_emms() {
    let mut bench = ready();
    let news = bench.open(&air::news());
    for seq in 1..=100 {
        bench.section(air::EMM, &air::emm(seq, &[osd()]));
    }
    let stats = bench.engine.stats();
    assert!(stats.emm_dropped[UNIQUE] > 30, "the queue is bounded");
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    bench.run(2 * EXCHANGE.as_millis() as u64);
    assert!(bench.has_words(news));
    bench.run(20_000);
    let stats = bench.engine.stats();
    assert_eq!(stats.emm_applied[UNIQUE] + stats.emm_dropped[UNIQUE], 100);
}

/// A right that comes by EMM brings the picture at once, not with the next crypto period.
#[test]
fn a_grant_brings_the_picture() {
    let mut bench = ready();
    bench.card.packages.clear();
    let news = bench.open(&air::news());
    bench.section(air::NEWS_ECM, &air::news_ecm(4));
    bench.run(500);
    assert_eq!(bench.engine.access(news).unwrap().state, AccessState::Denied);
    bench.rest();
    bench.section(air::EMM, &air::emm(1, &[air::grant(1)]));
    bench.run(200);
    assert!(bench.has_words(news));
}

/// The same for a key: the ECM that the card had no key for is tried once more.
#[test]
fn a_key_brings_the_picture() {
    let mut bench = ready();
    let news = bench.open(&air::news());
    let ecm = air::ecm_with(1, 2, 5, &key(0xA0), air::package(1));
    bench.section(air::NEWS_ECM, &ecm);
    bench.run(500);
    assert_eq!(bench.engine.access(news).unwrap().state, AccessState::Technical);
    bench.section(air::EMM, &air::deliver(1, 2, 0xA0));
    bench.run(300);
    bench.section(air::NEWS_ECM, &ecm);
    bench.run(300);
    assert!(bench.has_words(news));
}

#[test]
fn malformed_emms_are_counted() {
    let mut bench = ready();
    let good = air::emm(1, &[osd()]);
    for len in 0..good.len() {
        bench.section(air::EMM, &good[..len]);
    }
    bench.section(air::EMM, &[0x8A, 0x70, 0x00]);
    bench.run(500);
    assert_eq!(bench.engine.stats().emm_malformed, good.len() as u64);
    assert_eq!(bench.engine.stats().emm_refused[TO_THE_BOX], 1);
    assert_eq!(bench.card.count(INS_EMM), 0);
}
