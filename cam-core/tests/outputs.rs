// SPDX-License-Identifier: Apache-2.0
//! What happens while outputs lie that nobody has taken: their order, and which of them go.

use crate::rig::card::{OPERATOR, PIN};
use crate::rig::{Rig, air};
use cam_core::{Absence, Handover, Input, Output, SessionId, StoreId};
use cam_types::{Fen, Pid};
use ecm_emm::card::{INS_ECM, INS_PURCHASE};

const OTHER_ECM: Pid = Pid::from_field(0x0160);

/// An output, without what it carries; events are left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Done {
    Activate,
    Command(u8),
    Probe,
    Ladder,
    Set(Pid),
    Clear,
    Store(StoreId),
}

/// Something that comes while outputs lie.
type Meanwhile = fn(&mut Rig, SessionId);

/// Takes the next output that is no event.
fn next(rig: &mut Rig) -> Option<Done> {
    loop {
        return Some(match rig.engine.poll_output() {
            Output::Event(_) => continue,
            Output::Wait(_) => return None,
            Output::ActivateCard => Done::Activate,
            Output::Command { apdu, .. } => {
                rig.commands.push(apdu.to_vec());
                Done::Command(apdu[1])
            }
            Output::Probe => Done::Probe,
            Output::LoadLadder { .. } => Done::Ladder,
            Output::SetCw(ecw) => Done::Set(ecw.ecm_pid),
            Output::ClearCw { .. } => Done::Clear,
            Output::Store { id, .. } => Done::Store(id),
        });
    }
}

/// All that lies.
fn outputs(rig: &mut Rig) -> Vec<Done> {
    std::iter::from_fn(|| next(rig)).collect()
}

/// An ECM came on this stream: its command lies.
fn ecm_comes(rig: &mut Rig, pid: Pid) {
    let section = air::news_ecm(4);
    rig.engine.handle_input(rig.now, Input::Section { source: 0, pid, octets: &section });
}

/// The card answers the command that lies.
fn card_answers(rig: &mut Rig) {
    assert!(matches!(next(rig), Some(Done::Command(_))));
    let response = rig.card.transmit(rig.commands.last().unwrap()).unwrap();
    rig.engine.handle_input(rig.now, Input::Response(&response));
}

/// A programme with an ECM stream for each of its two components, or with the first alone.
fn programme(ecm_pids: &[Pid]) -> Vec<u8> {
    let of = |pid: &Pid| air::ca_descriptors(&[(air::SYSTEM, *pid, OPERATOR.value(), 2)]);
    air::pmt_by_component(9, &ecm_pids.iter().map(of).collect::<Vec<_>>(), 0x120)
}

fn nothing(_: &mut Rig, _: SessionId) {}

fn reset(rig: &mut Rig, _: SessionId) {
    rig.engine.card_reset(rig.now);
}

fn pulled(rig: &mut Rig, _: SessionId) {
    rig.engine.handle_input(rig.now, Input::CardAbsent(Absence::Removed));
}

fn closed(rig: &mut Rig, session: SessionId) {
    rig.engine.session_close(rig.now, session).unwrap();
}

fn narrowed(rig: &mut Rig, session: SessionId) {
    let pmt = programme(&[air::NEWS_ECM]);
    rig.engine.session_update(rig.now, session, &pmt).unwrap();
}

fn ladder_refused(rig: &mut Rig, _: SessionId) {
    rig.engine.handle_input(rig.now, Input::Ladder(Handover::Refused));
}

#[test]
fn what_comes_while_ecws_lie() {
    let (news, other) = (Done::Set(air::NEWS_ECM), Done::Set(OTHER_ECM));
    let rows: [(&str, Meanwhile, &[Done]); 6] = [
        ("nothing", nothing, &[news, other]),
        ("keys stay until the card answers to its reset", reset, &[news, other, Done::Activate]),
        ("without a card there are no ECWs", pulled, &[Done::Clear]),
        ("a closed session gets none", closed, &[Done::Clear]),
        ("wiped first, then those that stay", narrowed, &[Done::Clear, news, news]),
        ("a ladder without its keys opens none", ladder_refused, &[]),
    ];
    for (what, meanwhile, expected) in rows {
        let mut rig = Rig::ready();
        let session = rig.open(&programme(&[air::NEWS_ECM, OTHER_ECM]));
        ecm_comes(&mut rig, air::NEWS_ECM);
        ecm_comes(&mut rig, OTHER_ECM);
        card_answers(&mut rig);
        meanwhile(&mut rig, session);
        assert_eq!(outputs(&mut rig), expected, "{what}");
    }
}

#[test]
fn what_comes_while_a_command_lies() {
    let rows: [(&str, Meanwhile, &[Done]); 4] = [
        ("nothing", nothing, &[Done::Command(INS_ECM)]),
        ("its session is over", reset, &[Done::Activate]),
        ("there is no card for it", pulled, &[]),
        ("its answer is for nobody", closed, &[Done::Command(INS_ECM)]),
    ];
    for (what, meanwhile, expected) in rows {
        let mut rig = Rig::ready();
        let session = rig.open(&air::news());
        ecm_comes(&mut rig, air::NEWS_ECM);
        meanwhile(&mut rig, session);
        assert_eq!(outputs(&mut rig), expected, "{what}");
    }
}

/// The row of a purchase lies: whatever becomes of the card, it is stored before money moves.
#[test]
fn what_comes_while_a_row_lies() {
    let pay = Done::Command(INS_PURCHASE);
    let rows: [(&str, Meanwhile, &[Done], &[Done]); 4] = [
        ("nothing", nothing, &[], &[pay]),
        ("the session is closed", closed, &[], &[pay]),
        ("the card is reset", reset, &[Done::Activate], &[]),
        ("the card is pulled", pulled, &[], &[]),
    ];
    for (what, meanwhile, expected, after) in rows {
        let mut rig = Rig::ready();
        let cinema = rig.open(&air::cinema());
        rig.section(air::CINEMA_ECM, &air::cinema_ecm(4, 2001, 1200));
        rig.run(500);
        let offer = rig.engine.offers(cinema).next().unwrap();
        let request = rig.engine.request_new().unwrap();
        let price = Fen::new(1200);
        let txn = rig.engine.purchase_begin(rig.now, offer.id, request, price).unwrap();
        rig.engine.purchase_confirm(rig.now, txn, PIN).unwrap();
        card_answers(&mut rig);
        meanwhile(&mut rig, cinema);
        let lay = outputs(&mut rig);
        let Some((Done::Store(id), beside)) = lay.split_first() else { panic!("{what}: {lay:?}") };
        assert_eq!(beside, expected, "{what}");
        rig.engine.handle_input(rig.now, Input::Stored(*id));
        assert_eq!(outputs(&mut rig), after, "{what}");
        assert_eq!(rig.card.debits, 0, "{what}");
    }
}
