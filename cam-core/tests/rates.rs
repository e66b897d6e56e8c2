// SPDX-License-Identifier: Apache-2.0
//! How often a card that fails on purpose is asked, reset and told of, in an hour: every repetition
//! has a pause that grows (`docs/spec/card.md`, 2.2).

use crate::rig::card::PIN;
use crate::rig::{Rig, air, config};
use cam_core::{CardState, Event, Input, TxnId, TxnState};
use cam_types::Fen;
use ecm_emm::card::{
    INS_ACK, INS_ECM, INS_EMM, INS_INFO, INS_PURCHASE, INS_REPORT, INS_RIGHTS, INS_VERIFY,
    ReportRequest,
};
use ecm_emm::emm::{Address, EmmCommand};
use std::time::Duration;

const SELECT: u8 = 0xA4;
const INITIALIZE: u8 = 0x50;
const AUTHENTICATE: u8 = 0x82;

/// What becomes of the answers to one INS.
#[derive(Clone, Copy, Debug)]
enum Lie {
    Silence,
    /// A status word alone.
    Bare(u16),
    Damaged,
}

const LIES: [Lie; 5] =
    [Lie::Silence, Lie::Bare(0x6982), Lie::Bare(0x6A80), Lie::Bare(0x9000), Lie::Damaged];

/// What an hour may cost at most; a line of 9,600 bit/s carries some 15,000 commands in it. What is
/// on air here asks 720 times by itself.
const COMMANDS: usize = 6000;
const RESETS: usize = 500;
const EVENTS: usize = 4000;

/// A box whose card can be detected, or is polled; in session, on a line that costs no time.
fn in_session(idle_poll: Option<Duration>) -> Rig {
    let mut config = config(air::stored_pairing());
    config.idle_poll = idle_poll;
    let mut rig = Rig::new(config);
    rig.exchange = Duration::from_micros(100);
    rig.input(Input::CardPresent);
    rig.tune_emms();
    rig.run(1000);
    assert_eq!(rig.engine.card().state, CardState::Ready);
    rig
}

/// A purchase whose answer was lost, so that the card is to be asked for it.
fn unsettled(rig: &mut Rig) -> TxnId {
    let cinema = rig.open(&air::cinema());
    rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
    rig.run(500);
    let offer = rig.engine.offers(cinema).next().unwrap();
    let request = rig.engine.request_new().unwrap();
    let price = Fen::new(1200);
    let txn = rig.engine.purchase_begin(rig.now, offer.id, request, price).unwrap();
    rig.card.refuse = Some((INS_PURCHASE, 0x6F00, 1));
    rig.engine.purchase_confirm(rig.now, txn, PIN).unwrap();
    rig.run(1);
    txn
}

/// On air for so long: two programmes, and messages of each addressing.
fn broadcast(rig: &mut Rig, seconds: u32) {
    let osd = EmmCommand::Osd { id: 1, attributes: 0, text: "hello".into() };
    for second in (0..seconds).step_by(10) {
        let period = 100 + second / 10;
        rig.section(air::NEWS_ECM, &air::news_ecm(period));
        rig.section(air::CINEMA_ECM, &air::cinema_ecm(period, 2001, 1200));
        rig.section(air::EMM, &air::emm(1, &[air::grant(5)]));
        rig.section(air::EMM, &air::emm_to(Address::Global, 2, std::slice::from_ref(&osd)));
        rig.run(10_000);
    }
}

/// T17, T20: whatever a card or a line answers, for an hour.
#[test]
fn whatever_a_card_answers_the_rate_is_bounded() {
    for ins in [
        SELECT,
        INITIALIZE,
        AUTHENTICATE,
        INS_INFO,
        INS_ECM,
        INS_EMM,
        INS_RIGHTS,
        INS_VERIFY,
        INS_PURCHASE,
        INS_REPORT,
        INS_ACK,
    ] {
        for lie in LIES {
            let mut rig = in_session(None);
            rig.open(&air::news());
            let txn = unsettled(&mut rig);
            rig.card.report = Some(ReportRequest { nonce: *b"head-end", from: 0 });
            let refuse = |sw| Some((ins, sw, usize::MAX));
            match lie {
                Lie::Silence => rig.card.refuse = refuse(0),
                Lie::Bare(sw) => rig.card.refuse = refuse(sw),
                Lie::Damaged => (rig.card.refuse, rig.card.damaged) = (None, Some(ins)),
            }
            // The host asks once for each; and the card is begun anew once.
            let _ = rig.engine.report_ack(rig.now, &[0; 37]);
            let _ = rig.engine.pin_verify(rig.now, PIN);
            rig.engine.card_reset(rig.now);
            let (commands, resets) = (rig.commands.len(), rig.activations);
            rig.take_events();
            broadcast(&mut rig, 3600);
            let cost = (rig.commands.len() - commands, rig.activations - resets, rig.events.len());
            let within = cost.0 <= COMMANDS && cost.1 <= RESETS && cost.2 <= EVENTS;
            assert!(within, "{ins:02X} {lie:?}: {cost:?}");
            let told = rig.take_events();
            let of_purchase = |event: &&Event| matches!(event, Event::Purchase { .. });
            assert!(told.iter().filter(of_purchase).count() <= 3, "{ins:02X} {lie:?}: {told:?}");
            // The bound is of the rate: the card tells the truth again, and is asked.
            rig.card.refuse = None;
            rig.card.damaged = None;
            broadcast(&mut rig, 700);
            assert_eq!(rig.engine.card().state, CardState::Ready, "{ins:02X} {lie:?}");
            let state = rig.engine.purchase(txn).unwrap().state;
            assert_ne!(state, TxnState::Settling, "{ins:02X} {lie:?}");
            assert_ne!(state, TxnState::Forgotten, "{ins:02X} {lie:?}");
            assert!(rig.engine.request_new().is_ok(), "{ins:02X} {lie:?}");
            assert_eq!(
                rig.engine.rights().len(),
                2 + usize::from(state == TxnState::Paid),
                "{ins:02X} {lie:?}"
            );
        }
    }
}
