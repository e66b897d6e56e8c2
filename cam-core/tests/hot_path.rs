// SPDX-License-Identifier: Apache-2.0
//! An ECM that goes through the engine, for two sessions, costs no heap allocation once warm, nor
//! does a forged one.

use crate::rig::card::{CARD, ModelCard};
use crate::rig::{air, config};
use cam_core::{CardState, Engine, Handover, Input, Output, SignOfLife};
use cam_types::Instant;
use ecm_emm::card::{AccessStatus, INS_ECM};

/// Drives engine and card until the engine rests; gives the allocations of the engine alone and how
/// many ECWs came out.
fn rest(engine: &mut Engine, card: &mut ModelCard, now: Instant) -> (usize, usize) {
    let mut allocations = 0;
    let mut ecws = 0;
    let mut handed = Vec::with_capacity(4);
    loop {
        let before = allocations::here();
        let output = engine.poll_output();
        allocations += allocations::here() - before;
        let response = match output {
            Output::Wait(_) => {
                let Some(cw_taken) = handed.pop() else { return (allocations, ecws) };
                let before = allocations::here();
                engine.handle_input(now, cw_taken);
                allocations += allocations::here() - before;
                continue;
            }
            Output::ActivateCard => {
                card.reset();
                engine.handle_input(
                    now,
                    Input::CardReady {
                        atr: &[0x3B, 0x00],
                        protocol: 1,
                        sign_of_life: SignOfLife::Command,
                    },
                );
                continue;
            }
            Output::SetCw(ecw) => {
                ecws += 1;
                handed.push(Input::Cw {
                    session: ecw.session,
                    ecm_pid: ecw.ecm_pid,
                    handover: Handover::Taken,
                });
                continue;
            }
            Output::Command { apdu, .. } => card.transmit(apdu).unwrap(),
            _ => continue,
        };
        let before = allocations::here();
        engine.handle_input(now, Input::Response(&response));
        allocations += allocations::here() - before;
    }
}

#[test]
fn an_ecm_costs_no_allocation_once_warm() {
    let now = moments::first();
    let mut engine = Engine::new(config(air::stored_pairing()));
    let mut card = ModelCard::new();
    rest(&mut engine, &mut card, now);
    assert_eq!(engine.card().state, CardState::Ready);
    assert_eq!(engine.card().pseudonym, Some(CARD));
    let news = engine.session_open(now, 0, &air::news()).unwrap();
    let twin = engine.session_open(now, 0, &air::news()).unwrap();
    let cinema = engine.session_open(now, 1, &air::cinema()).unwrap();
    rest(&mut engine, &mut card, now);
    for period in 0..50 {
        let news_ecm = air::news_ecm(period);
        let cinema_ecm = air::cinema_ecm(period, 2001, 1200);
        let forged = air::forged(&news_ecm);
        let mut allocations = 0;
        let mut ecws = 0;
        for (source, pid, octets) in [
            (0, air::NEWS_ECM, &news_ecm),
            (0, air::NEWS_ECM, &news_ecm),
            (0, air::NEWS_ECM, &forged),
            (1, air::CINEMA_ECM, &cinema_ecm),
        ] {
            let before = allocations::here();
            engine.handle_input(now, Input::Section { source, pid, octets });
            allocations += allocations::here() - before;
            let (of_engine, set) = rest(&mut engine, &mut card, now);
            allocations += of_engine;
            ecws += set;
        }
        assert_eq!(ecws, 2, "for each session");
        if period >= 2 {
            assert_eq!(allocations, 0, "crypto period {period}");
        }
    }
    assert_eq!(card.count(INS_ECM), 150, "one for both sessions");
    for session in [news, twin] {
        assert_eq!(
            engine.access(session).map(|access| access.reason),
            Some(AccessStatus::GRANTED_SUBSCRIPTION)
        );
    }
    assert_eq!(engine.access(cinema).map(|access| access.reason), Some(AccessStatus::PURCHASABLE));
}
