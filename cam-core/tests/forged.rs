// SPDX-License-Identifier: Apache-2.0
//! A forged or damaged ECM costs nothing but its own time.

use crate::rig::card::{ModelCard, key};
use crate::rig::{Rig, SLOWEST, air, config};
use cam_core::{AccessState, AccessStatus, SessionId};
use cam_types::{Epoch, Pid, Pseudonym};
use ecm_emm::card::INS_ECM;
use ecm_emm::ecm::Criteria;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn reason(rig: &Rig, session: SessionId) -> (AccessState, AccessStatus) {
    let access = rig.engine.access(session).unwrap();
    (access.state, access.reason)
}

/// No section that was called not authentic was asked again.
fn refused_once(card: &ModelCard) {
    let mut refused = BTreeSet::new();
    for (section, status) in &card.judged {
        if *status == AccessStatus::REFUSED_ECM {
            assert!(refused.insert(section.clone()), "asked again after \"not authentic\"");
        }
    }
}

/// What is on air right behind the n-th repetition of the genuine ECM.
type Forger = fn(period: u32, n: u32) -> Vec<Vec<u8>>;

const FORGERS: &[(&str, Forger)] = &[
    ("each another one", |period, n| vec![air::forgery(&air::news_ecm(period), n)]),
    ("each twice in a row", |period, n| vec![air::forgery(&air::news_ecm(period), n); 2]),
    ("each again after its next", |period, n| {
        [n, n.saturating_sub(1)].map(|n| air::forgery(&air::news_ecm(period), n)).to_vec()
    }),
    ("five at a time, each twice", |period, n| {
        let some = |k| air::forgery(&air::news_ecm(period), 5 * n + k);
        (0..5).flat_map(|k| [some(k), some(k)]).collect()
    }),
    ("of the next period", |period, n| vec![air::forgery(&air::news_ecm(period + 1), n)]),
    ("of later and later periods", |period, n| {
        vec![air::forgery(&air::news_ecm(period + 1 + n), n)]
    }),
    ("of the period before", |period, n| vec![air::forgery(&air::news_ecm(period - 1), n)]),
    ("under a key that nobody has", |period, n| {
        vec![air::ecm_with(1, 100 + n as u16, period, &key(0x66), air::package(1))]
    }),
];

#[test]
fn there_are_ecws_in_every_period() {
    for (name, forger) in FORGERS {
        let mut rig = Rig::ready();
        rig.exchange = SLOWEST;
        let news = rig.open(&air::news());
        for period in 4..20 {
            let mut after = None;
            for n in 0..100 {
                rig.section(air::NEWS_ECM, &air::news_ecm(period));
                for forgery in forger(period, n) {
                    rig.section(air::NEWS_ECM, &forgery);
                }
                rig.run(100);
                if after.is_none() && rig.period(news) == Some(period) {
                    after = Some(n);
                }
            }
            let after = after.unwrap_or_else(|| panic!("{name}: no ECWs in period {period}"));
            assert!(after <= 20, "{name}: ECWs of period {period} after {after} repetitions");
            assert_eq!(reason(&rig, news).0, AccessState::Granted, "{name}");
        }
        assert!(rig.cleared.is_empty(), "{name}");
        refused_once(&rig.card);
    }
}

/// A line that is full of forgeries still has room for what else the card must do.
#[test]
fn the_others_get_their_turn() {
    let mut rig = Rig::ready();
    rig.exchange = SLOWEST;
    rig.tune_emms();
    let news = rig.open(&air::news());
    for n in 0..100 {
        rig.section(air::NEWS_ECM, &air::news_ecm(4));
        rig.section(air::NEWS_ECM, &air::forgery(&air::news_ecm(4), n));
        if n == 40 {
            rig.section(air::EMM, &air::deliver(1, 2, 0xA0));
        }
        rig.run(100);
    }
    assert_eq!(rig.engine.stats().emm_applied.iter().sum::<u64>(), 1);
    assert_eq!(rig.period(news), Some(4));
}

/// What is forged on one stream costs a service on another one exchange.
#[test]
fn another_stream_waits_for_one_exchange() {
    let other_pid = Pid::from_field(0x0160);
    let free = |period| {
        let criteria = Criteria { free: true, ..Criteria::default() };
        air::ecm_with(1, 1, period, &key(0x20), criteria)
    };
    let mut rig = Rig::ready();
    rig.exchange = SLOWEST;
    rig.open(&air::news());
    let other = rig.open(&air::pmt(5, other_pid, None, 0x130));
    for n in 0..300 {
        let period = 4 + n / 100;
        for k in 0..3 {
            rig.section(air::NEWS_ECM, &air::forgery(&air::news_ecm(4), 3 * n + k));
        }
        rig.section(other_pid, &free(period));
        rig.run(100);
        // The exchange on the line, and its own.
        assert!(n % 100 < 9 || rig.period(other) == Some(period), "{n}");
    }
}

/// What was on air while the card was out waits; the one that is known to be good goes first.
#[test]
fn a_forgery_while_the_card_is_out_delays_nothing() {
    for (name, forged) in [
        ("this period", air::forged(&air::news_ecm(4))),
        ("the next", air::forged(&air::news_ecm(5))),
        ("far ahead", air::forged(&air::news_ecm(900))),
    ] {
        let mut rig = Rig::ready();
        let news = rig.open(&air::news());
        rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
        rig.pull();
        assert!(!rig.has_ecw(news));
        for _ in 0..10 {
            rig.section(air::NEWS_ECM, &forged);
            rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 200);
        }
        rig.inserted = true;
        let before = rig.card.judged.len();
        rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 2000);
        assert_eq!(rig.period(news), Some(4), "{name}");
        assert_eq!(rig.card.judged[before].0, air::news_ecm(4), "{name}: the good one first");
        refused_once(&rig.card);
    }
}

/// The period has changed while the card was out: the ECM that is on air goes before the old one.
#[test]
fn a_stale_one_does_not_delay_the_one_on_air() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    rig.pull();
    rig.carousel(air::NEWS_ECM, &air::news_ecm(5), 3000);
    rig.inserted = true;
    let before = rig.card.judged.len();
    rig.carousel(air::NEWS_ECM, &air::news_ecm(5), 2000);
    assert_eq!(rig.period(news), Some(5));
    let asked: Vec<_> = rig.card.judged[before..].iter().map(|(section, _)| section).collect();
    assert_eq!(asked, [&air::news_ecm(5)], "the old one is not asked for any more");
}

/// The good one is repeated seldom, forgeries often: it has its turn all the same.
#[test]
fn a_good_one_that_is_repeated_seldom_is_played_again() {
    let mut rig = Rig::ready();
    rig.exchange = SLOWEST;
    let news = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(1500);
    rig.pull();
    rig.inserted = true;
    for n in 0..40 {
        rig.section(air::NEWS_ECM, &air::forgery(&air::news_ecm(4), n));
        rig.run(100);
    }
    assert_eq!(rig.period(news), Some(4));
}

/// What the card called not authentic stays so, whatever key comes; what it had no key for does
/// not.
#[test]
fn a_key_makes_no_forgery_good() {
    let mut rig = Rig::ready();
    rig.tune_emms();
    let news = rig.open(&air::news());
    let forged = air::forged(&air::news_ecm(4));
    let early = air::ecm_with(1, 2, 5, &key(0xA0), air::package(1));
    for section in [&forged, &early] {
        rig.carousel(air::NEWS_ECM, section, 300);
    }
    rig.section(air::EMM, &air::deliver(1, 2, 0xA0));
    rig.run(1000);
    for _ in 0..5 {
        rig.carousel(air::NEWS_ECM, &forged, 100);
        rig.carousel(air::NEWS_ECM, &early, 100);
    }
    assert_eq!(rig.period(news), Some(5));
    refused_once(&rig.card);
}

/// Nobody vouches for a bare status word: the ECM is asked again, but not without end.
#[test]
fn a_bare_status_word_condemns_nothing() {
    for sw in [0x6A80, 0x6A88, 0x6700, 0x6F00, 0x6985] {
        for times in [1, 2, 3, 5] {
            let mut rig = Rig::ready();
            let news = rig.open(&air::news());
            rig.card.refuse = Some((INS_ECM, sw, times));
            rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 20_000);
            assert_eq!(rig.period(news), Some(4), "{sw:04X}, {times} times");
        }
        let mut rig = Rig::ready();
        let news = rig.open(&air::news());
        rig.card.refuse = Some((INS_ECM, sw, usize::MAX));
        rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 20_000);
        let asked = rig.card.count(INS_ECM);
        assert!((3..=8).contains(&asked), "{sw:04X}: asked {asked} times in 20 s");
        assert_eq!(reason(&rig, news).0, AccessState::Technical, "{sw:04X}");
    }
}

/// Another card refuses the ECMs of this one; that says nothing to the first one when it is back.
#[test]
fn another_card_condemns_nothing() {
    let other_card = Pseudonym::new([7; 8]);
    let mut stored = air::stored_pairing();
    stored.push(("pairing.1".to_owned(), air::box_pair(1, other_card, 0)));
    let mut rig = Rig::new(config(stored));
    rig.run(1000);
    let news = rig.open(&air::news());
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    rig.pull();
    let mut other = ModelCard::new();
    other.pseudonym = other_card;
    other.service.insert((1, Epoch::new(1)), key(0x77));
    let ours = std::mem::replace(&mut rig.card, other);
    rig.inserted = true;
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 3000);
    assert_eq!(reason(&rig, news).1, AccessStatus::REFUSED_ECM);
    rig.pull();
    rig.card = ours;
    rig.inserted = true;
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 3000);
    assert_eq!(rig.period(news), Some(4));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Genuine,
    Forged(u8),
    Ahead(u8),
    Period,
    Pull,
    Insert,
    Lose,
    Bare,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Genuine),
        4 => (0..40_u8).prop_map(Step::Forged),
        2 => (0..40_u8).prop_map(Step::Ahead),
        2 => Just(Step::Period),
        1 => Just(Step::Pull),
        2 => Just(Step::Insert),
        1 => Just(Step::Lose),
        1 => Just(Step::Bare),
        6 => (1..1500_u16).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever came before: once the card is there and its ECM on air, its ECWs are out within
    /// the time that a section is set aside for, and a reset.
    #[test]
    fn the_ecws_come(steps in proptest::collection::vec(step(), 0..80)) {
        let mut rig = Rig::ready();
        rig.exchange = SLOWEST;
        let news = rig.open(&air::news());
        let mut period = 4;
        for step in steps {
            match step {
                Step::Genuine => rig.section(air::NEWS_ECM, &air::news_ecm(period)),
                Step::Forged(n) => {
                    rig.section(air::NEWS_ECM, &air::forgery(&air::news_ecm(period), n.into()));
                }
                Step::Ahead(n) => {
                    let ahead = air::news_ecm(period + 1 + u32::from(n));
                    rig.section(air::NEWS_ECM, &air::forgery(&ahead, n.into()));
                }
                Step::Period => period += 1,
                Step::Pull => rig.inserted = false,
                Step::Insert => rig.inserted = true,
                Step::Lose => rig.lose += 1,
                Step::Bare => rig.card.refuse = Some((INS_ECM, 0x6A80, 1)),
                Step::Wait(ms) => rig.run(ms.into()),
            }
        }
        rig.inserted = true;
        rig.lose = 0;
        rig.card.refuse = None;
        rig.carousel(air::NEWS_ECM, &air::news_ecm(period), 12_000);
        prop_assert_eq!(rig.period(news), Some(period));
        prop_assert_eq!(reason(&rig, news).0, AccessState::Granted);
        refused_once(&rig.card);
    }
}
