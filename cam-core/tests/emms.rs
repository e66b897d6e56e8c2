// SPDX-License-Identifier: Apache-2.0
//! EMMs: ours or not, known or not, applied, refused, or for later.

use crate::rig::card::{GROUP, key};
use crate::rig::{EXCHANGE, Rig, air};
use cam_core::{AccessState, CardState, Event, Input};
use cam_types::Pseudonym;
use ecm_emm::card::INS_EMM;
use ecm_emm::emm::{Address, EmmCommand};

const UNIQUE: usize = 0;
const SHARED: usize = 1;
const GLOBAL: usize = 2;
const TO_THE_BOX: usize = 3;

fn ready() -> Rig {
    let mut rig = Rig::ready();
    rig.input(Input::Cat { source: 0, section: &air::cat() });
    rig
}

fn osd() -> EmmCommand {
    EmmCommand::Osd { id: 1, attributes: 0, text: "hello".into() }
}

/// T6: a carousel reaches the card once.
#[test]
fn a_carousel_reaches_the_card_once() {
    let mut rig = ready();
    for _ in 0..50 {
        for seq in 1..=3 {
            rig.section(air::EMM, &air::emm(seq, &[air::grant(5)]));
        }
        rig.run(500);
    }
    let stats = rig.engine.stats();
    assert_eq!(rig.card.count(INS_EMM), 3);
    assert_eq!(stats.emm_in[UNIQUE], 150);
    assert_eq!((stats.emm_applied[UNIQUE], stats.emm_dup[UNIQUE]), (3, 147));
    assert!(rig.take_events().contains(&Event::Rights));
    assert_eq!(rig.engine.rights().len(), 2);
}

#[test]
fn the_address_decides() {
    let mut rig = ready();
    let other = Address::Unique(Pseudonym::new([3; 8]));
    for (address, counter, ours) in [
        (other, UNIQUE, false),
        (Address::Shared(GROUP), SHARED, true),
        (Address::Shared(99), SHARED, false),
        (Address::Global, GLOBAL, true),
    ] {
        let before = rig.engine.stats();
        rig.section(air::EMM, &air::emm_to(address, 7, &[osd()]));
        rig.run(300);
        let after = rig.engine.stats();
        let not_ours = after.emm_not_ours[counter] - before.emm_not_ours[counter];
        assert_eq!(not_ours, u64::from(!ours), "{address:?}");
    }
    assert_eq!(rig.card.count(INS_EMM), 2);
}

/// T11: a forged EMM changes nothing, costs one exchange, and is counted.
#[test]
fn a_forged_emm_changes_nothing() {
    let mut rig = ready();
    let forgery = air::forged(&air::emm(4, &[air::grant(5)]));
    for _ in 0..20 {
        rig.section(air::EMM, &forgery);
        rig.run(200);
    }
    let stats = rig.engine.stats();
    assert_eq!((stats.emm_refused[UNIQUE], stats.emm_dup[UNIQUE]), (1, 19));
    assert_eq!(rig.engine.rights().len(), 1);
    rig.section(air::EMM, &air::emm(4, &[air::grant(5)]));
    rig.run(500);
    assert_eq!(rig.engine.stats().emm_applied[UNIQUE], 1);
}

/// An older EMM that the engine has forgotten is known to the card.
#[test]
fn a_replayed_emm_is_a_duplicate() {
    let mut rig = ready();
    let first = air::emm(1, &[osd()]);
    rig.section(air::EMM, &first);
    for seq in 2..=1200 {
        rig.run(200);
        rig.section(air::EMM, &air::emm(seq, &[osd()]));
    }
    rig.run(200);
    rig.section(air::EMM, &first);
    rig.run(200);
    assert_eq!(rig.engine.stats().emm_dup_card[UNIQUE], 1);
    rig.section(air::EMM, &first);
    rig.run(200);
    assert_eq!(rig.engine.stats().emm_dup[UNIQUE], 1);
}

/// KEY_ACTIVATE before its KEY_DELIVER: later, and then on the next cycle.
#[test]
fn what_is_for_later_comes_again() {
    let mut rig = ready();
    let (activate, deliver) = (air::activate(2, 2), air::deliver(1, 2, 0xA0));
    for _ in 0..4 {
        rig.section(air::EMM, &activate);
        rig.run(100);
    }
    assert_eq!(rig.engine.stats().emm_later[UNIQUE], 1, "not at every repetition");
    rig.section(air::EMM, &deliver);
    rig.run(300);
    rig.section(air::EMM, &activate);
    rig.run(500);
    assert_eq!(rig.engine.stats().emm_applied[UNIQUE], 2);
}

/// A reset does not make the card do its EMMs again.
#[test]
fn a_reset_keeps_the_memory() {
    let mut rig = ready();
    rig.section(air::EMM, &air::emm(1, &[osd()]));
    rig.run(500);
    rig.engine.card_reset(rig.now);
    rig.run(1000);
    assert_eq!(rig.engine.card().state, CardState::Ready);
    rig.section(air::EMM, &air::emm(1, &[osd()]));
    rig.run(500);
    assert_eq!(rig.card.count(INS_EMM), 1);
}

#[test]
fn a_lost_answer_is_asked_again() {
    let mut rig = ready();
    rig.card.refuse = Some((INS_EMM, 0, 1));
    rig.section(air::EMM, &air::emm(1, &[osd()]));
    rig.run(3000);
    assert_eq!(rig.engine.stats().emm_applied[UNIQUE], 1);
}

/// An EMM that makes the card fall silent does not take the box with it.
#[test]
fn a_poisonous_emm_is_given_up() {
    let mut rig = ready();
    let news = rig.open(&air::news());
    rig.card.refuse = Some((INS_EMM, 0, 3));
    rig.section(air::EMM, &air::emm(1, &[osd()]));
    for period in 4..40 {
        rig.section(air::NEWS_ECM, &air::news_ecm(period));
        rig.section(air::EMM, &air::emm(1, &[osd()]));
        rig.run(500);
    }
    let stats = rig.engine.stats();
    assert_eq!((stats.emm_unknown[UNIQUE], stats.emm_dropped[UNIQUE]), (1, 0));
    assert!(rig.has_ecw(news));
}

/// ECMs go first: a full queue of EMMs delays no crypto period by more than one exchange.
#[test]
fn ecms_go_before_emms() {
    let mut rig = ready();
    let news = rig.open(&air::news());
    for seq in 1..=100 {
        rig.section(air::EMM, &air::emm(seq, &[osd()]));
    }
    let stats = rig.engine.stats();
    assert!(stats.emm_dropped[UNIQUE] > 30, "the queue is bounded");
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(2 * EXCHANGE.as_millis() as u64);
    assert!(rig.has_ecw(news));
    rig.run(20_000);
    let stats = rig.engine.stats();
    assert_eq!(stats.emm_applied[UNIQUE] + stats.emm_dropped[UNIQUE], 100);
}

/// A right that comes by EMM brings the picture at once, not with the next crypto period.
#[test]
fn a_grant_brings_the_picture() {
    let mut rig = ready();
    rig.card.packages.clear();
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(500);
    assert_eq!(rig.engine.access(news).unwrap().state, AccessState::Denied);
    rig.rest();
    rig.section(air::EMM, &air::emm(1, &[air::grant(1)]));
    rig.run(200);
    assert!(rig.has_ecw(news));
}

/// The same for a key: the ECM that the card had no key for is tried once more.
#[test]
fn a_key_brings_the_picture() {
    let mut rig = ready();
    let news = rig.open(&air::news());
    let ecm = air::ecm_with(1, 2, 5, &key(0xA0), air::package(1));
    rig.section(air::NEWS_ECM, &ecm);
    rig.run(500);
    assert_eq!(rig.engine.access(news).unwrap().state, AccessState::Technical);
    rig.section(air::EMM, &air::deliver(1, 2, 0xA0));
    rig.run(300);
    rig.section(air::NEWS_ECM, &ecm);
    rig.run(300);
    assert!(rig.has_ecw(news));
}

/// A newer card says more in its answers, and is understood; what it says is not taken in part.
#[test]
fn elements_of_a_newer_card_are_passed_over() {
    for (elements, understood) in [
        (&[0x55, 0x02, 0xAA, 0xBB, 0x55, 0x00][..], true),
        (&[0x55, 0x02, 0xAA][..], false),
        (&[0x55][..], false),
    ] {
        let mut rig = ready();
        rig.card.elements = elements;
        let news = rig.open(&air::news());
        rig.section(air::NEWS_ECM, &air::news_ecm(4));
        rig.run(500);
        assert_eq!(rig.has_ecw(news), understood, "ECM with {elements:02X?}");
        rig.section(air::EMM, &air::emm(1, &[air::grant(5)]));
        rig.run(500);
        let stats = rig.engine.stats();
        let (applied, refused) = (stats.emm_applied[UNIQUE], stats.emm_refused[UNIQUE]);
        assert_eq!((applied, refused), if understood { (1, 0) } else { (0, 1) }, "{elements:02X?}");
    }
}

/// T4: forged signatures on air all the time, as many as somebody likes: the genuine message is in
/// the card before a second look was wasted on them, though the carousel brings it only once.
#[test]
fn a_genuine_signature_is_looked_at_after_eight_ecms() {
    let mut rig = ready();
    rig.open(&air::news());
    let genuine = air::emm_to(Address::Global, 7, &[osd()]);
    rig.card.signed.insert(genuine.clone(), true);
    let mut forgeries = (100..).map(|n| air::emm_to(Address::Global, n, &[osd()]));
    let mut forge = |rig: &mut Rig| {
        let forgery = forgeries.next().unwrap();
        rig.card.signed.insert(forgery.clone(), false);
        rig.section(air::EMM, &forgery);
        rig.run(300);
    };
    forge(&mut rig);
    rig.section(air::EMM, &genuine);
    rig.run(300);
    let stats = rig.engine.stats();
    assert_eq!((stats.emm_refused[GLOBAL], stats.emm_later[GLOBAL]), (1, 1));
    for period in 4..12 {
        assert_eq!(rig.engine.stats().emm_applied[GLOBAL], 0, "{period}");
        // Known, it does not go to the card with every cycle of the carousel.
        rig.section(air::EMM, &genuine);
        forge(&mut rig);
        rig.section(air::NEWS_ECM, &air::news_ecm(period));
        rig.run(2000);
    }
    assert_eq!(rig.engine.stats().emm_applied[GLOBAL], 1, "before those that wait behind it");
    assert_eq!(rig.engine.stats().emm_refused[GLOBAL], 2, "the next look is the next one's");
}

/// A signed message that the card would not look at is looked at behind a reset.
#[test]
fn a_reset_ends_the_rest() {
    let mut rig = ready();
    let [forgery, genuine] = [6, 7].map(|n| air::emm_to(Address::Global, n, &[osd()]));
    rig.card.signed.extend([(forgery.clone(), false), (genuine.clone(), true)]);
    for section in [&forgery, &genuine] {
        rig.section(air::EMM, section);
        rig.run(300);
    }
    assert_eq!(rig.engine.stats().emm_later[GLOBAL], 1);
    rig.engine.card_reset(rig.now);
    rig.run(1000);
    assert_eq!(rig.engine.stats().emm_applied[GLOBAL], 1);
}

/// T4: what is refused outside the session is asked again: anybody on the line can refuse.
#[test]
fn only_the_session_refuses_for_good() {
    let mut rig = ready();
    rig.card.pairing_slots = 0;
    rig.engine.card_reset(rig.now);
    rig.run(1000);
    assert_eq!(rig.engine.card().state, CardState::Unpaired);
    rig.card.elements = &[0x55];
    let grant = air::emm(1, &[air::grant(5)]);
    rig.section(air::EMM, &grant);
    rig.run(500);
    rig.section(air::EMM, &grant);
    rig.run(500);
    assert_eq!(rig.engine.stats().emm_refused[UNIQUE], 1, "not at every repetition");
    rig.card.elements = &[];
    rig.run(1000);
    rig.section(air::EMM, &grant);
    rig.run(500);
    let stats = rig.engine.stats();
    assert_eq!(stats.emm_applied[UNIQUE] + stats.emm_dup_card[UNIQUE], 1);
}

/// T4: nobody vouches for a bare status word: the message behind it is asked again.
#[test]
fn a_bare_status_word_refuses_nothing() {
    for sw in [0x6A80, 0x6F00] {
        let mut rig = ready();
        rig.card.refuse = Some((INS_EMM, sw, 1));
        for _ in 0..4 {
            rig.section(air::EMM, &air::emm(1, &[air::grant(5)]));
            rig.run(600);
        }
        let stats = rig.engine.stats();
        assert_eq!((stats.emm_refused[UNIQUE], stats.emm_applied[UNIQUE]), (1, 1), "{sw:04X}");
    }
}

#[test]
fn malformed_emms_are_counted() {
    let mut rig = ready();
    let good = air::emm(1, &[osd()]);
    for len in 0..good.len() {
        rig.section(air::EMM, &good[..len]);
    }
    rig.section(air::EMM, &[0x8A, 0x70, 0x00]);
    rig.run(500);
    assert_eq!(rig.engine.stats().emm_malformed, good.len() as u64);
    assert_eq!(rig.engine.stats().emm_refused[TO_THE_BOX], 1);
    assert_eq!(rig.card.count(INS_EMM), 0);
}
