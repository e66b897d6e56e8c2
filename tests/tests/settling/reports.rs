// SPDX-License-Identifier: Apache-2.0
//! Reports from the card's memory through the engine to whoever may open them, whatever is lost on
//! the way.

use crate::{at_the_cinema, next_event};
use cam_core::{AckResult, Event};
use cam_types::CardId;
use ecm_emm::card::{INS_ACK, INS_REPORT};
use ecm_emm::emm::EmmCommand;
use ecm_emm::report::{Ack, Report};
use ecm_emm::suite::SealKey;
use hex_literal::hex;
use system_tests::demo::{self, PRICE, TO_CARD};
use system_tests::stb::{Fate, Stb};

const NONCE: [u8; 8] = *b"head-end";
const CARD: CardId = CardId::new(hex!("0102030405060708"));

fn k_rcp() -> SealKey {
    demo::key(demo::K_RCP)
}

/// Five events bought.
fn evening() -> Stb {
    let (mut stb, mut offer) = at_the_cinema();
    for event in 2002..=2006 {
        let (_, txn) = stb.wish(&offer, PRICE);
        stb.confirm(txn);
        offer = next_event(&mut stb, event);
    }
    assert_eq!(stb.money(), (4000, 5));
    stb
}

/// Events of the records in the box's pages, which lead from receipt to receipt; and the last
/// receipt.
fn opened(stb: &mut Stb, nonce: [u8; 8]) -> (Vec<u32>, [u8; 8]) {
    let (mut events, mut chain) = (Vec::new(), None);
    while let Some(page) = stb.engine.report_page() {
        let (header, report) = Report::open(page, nonce, &k_rcp()).unwrap();
        assert_eq!(header, demo::REPORT_HEADER);
        assert_eq!(chain.unwrap_or(report.chain_before), report.chain_before);
        let end = report.records.iter().fold(report.chain_before, |previous, record| {
            events.push(record.event.value());
            record.receipt(&k_rcp(), &demo::REPORT_HEADER.key_context(), CARD, previous)
        });
        assert_eq!(end, report.chain_after);
        chain = Some(end);
        stb.engine.report_taken();
    }
    (events, chain.unwrap_or_default())
}

fn ack(chain: [u8; 8]) -> Vec<u8> {
    let mut out = Vec::new();
    Ack { chain }.seal(&demo::REPORT_HEADER, &k_rcp(), &mut out).unwrap();
    out
}

/// EMM 71, five records in two pages, EMM 74: the host only carries.
#[test]
fn the_operator_asks_and_acknowledges_over_the_air() {
    let mut stb = evening();
    let request = EmmCommand::ReportRequest { nonce: NONCE, from: 0 };
    stb.emm(&TO_CARD.seal(1, &[request]));
    assert_eq!(stb.reports, [Event::Report { nonce: NONCE, pages: 2 }]);
    let (events, chain) = opened(&mut stb, NONCE);
    assert_eq!(events, [2001, 2002, 2003, 2004, 2005]);
    // Not acknowledged: a box that was off meanwhile shows it again.
    let mut stb = stb.restart();
    stb.run(20_000);
    assert_eq!(stb.reports, [Event::Report { nonce: NONCE, pages: 2 }]);
    stb.emm(&TO_CARD.seal(2, &[EmmCommand::ReportAck(chain)]));
    let mut stb = stb.restart();
    stb.run(20_000);
    assert_eq!(stb.reports, []);
    stb.ask_report(NONCE);
    assert_eq!(opened(&mut stb, NONCE), (Vec::new(), chain));
}

#[test]
fn a_report_comes_whole_or_not_at_all() {
    for fate in [Fate::CommandLost, Fate::AnswerLost, Fate::Bare(0x6F00), Fate::Pulled] {
        let mut stb = evening();
        (stb.fated, stb.fate) = (INS_REPORT, Some(fate));
        stb.ask_report(NONCE);
        assert_eq!(stb.fate, None, "the report was on the line");
        match (fate, stb.reports.as_slice()) {
            // The card refuses: told. The card has gone: nobody is left to tell of.
            (Fate::Bare(_), [Event::Report { pages: 0, .. }]) | (Fate::Pulled, []) => {
                assert_eq!(stb.engine.report_page(), None);
                if let Some(card) = stb.pulled.take() {
                    stb.insert(card);
                }
                stb.ask_report(NONCE);
            }
            (Fate::CommandLost | Fate::AnswerLost, [Event::Report { pages: 2, .. }]) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(opened(&mut stb, NONCE).0, [2001, 2002, 2003, 2004, 2005], "{fate:?}");
    }
}

#[test]
fn an_acknowledgement_whose_answer_is_lost_goes_again() {
    for (fate, result) in
        [(Fate::CommandLost, AckResult::FREED), (Fate::AnswerLost, AckResult::KNOWN)]
    {
        let mut stb = evening();
        stb.ask_report(NONCE);
        let (_, chain) = opened(&mut stb, NONCE);
        stb.reports.clear();
        (stb.fated, stb.fate) = (INS_ACK, Some(fate));
        stb.bring_ack(&ack(chain));
        assert_eq!(stb.reports, [Event::Acknowledged { result: Some(result) }], "{fate:?}");
        stb.bring_ack(&ack([9; 8]));
        let unknown = Event::Acknowledged { result: Some(AckResult::UNKNOWN) };
        assert_eq!(stb.reports.last(), Some(&unknown));
        stb.ask_report(NONCE);
        assert_eq!(opened(&mut stb, NONCE), (Vec::new(), chain));
    }
}
