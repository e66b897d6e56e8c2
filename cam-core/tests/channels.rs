// SPDX-License-Identifier: Apache-2.0
//! The ECM command names the channel that the PMT says its ECMs are of.

use crate::rig::{Rig, air};
use cam_core::{AccessState, AccessStatus, SessionId};
use ecm_emm::card::INS_ECM;

const GRANTED: AccessStatus = AccessStatus::GRANTED_SUBSCRIPTION;
const OTHERS: AccessStatus = AccessStatus::CHANNEL_MISMATCH;

fn reason(rig: &Rig, session: SessionId) -> AccessStatus {
    rig.engine.access(session).unwrap().reason
}

/// T12: what the programme's table does not name is the head-end's of another channel.
#[test]
fn an_ecm_of_another_channel_gives_no_ecws() {
    for (pmt, status) in [
        (air::news(), GRANTED),
        (air::news_of_channel(0x0101), GRANTED),
        (air::news_of_channel(0x0102), OTHERS),
        (air::news_of_channel(0), GRANTED),
    ] {
        let mut rig = Rig::ready();
        let session = rig.open(&pmt);
        rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 2000);
        let access = rig.engine.access(session).unwrap();
        assert_eq!(access.reason, status);
        assert_eq!(access.state == AccessState::Technical, status == OTHERS);
        assert_eq!(rig.has_ecw(session), status == GRANTED);
        assert_eq!(rig.card.count(INS_ECM), 1, "once, whatever was said");
    }
}

/// What the card says of a section is for those who expect the same channel.
#[test]
fn an_answer_is_for_those_who_expect_the_same_channel() {
    let mut rig = Rig::ready();
    let expected = [0x0102, 0x0101, 0x0102, 0x0101];
    let [wrong, right, late_wrong, late_right] = [0, 1, 2, 3];
    let mut sessions: Vec<_> =
        expected[..2].iter().map(|channel| rig.open(&air::news_of_channel(*channel))).collect();
    let any = rig.open(&air::news());
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 2000);
    assert_eq!(rig.card.count(INS_ECM), 3, "one for each expectation");
    sessions.extend(expected[2..].iter().map(|n| rig.open(&air::news_of_channel(*n))));
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 2000);
    assert_eq!(rig.card.count(INS_ECM), 3, "the answers are there");
    for (at, status) in
        [(wrong, OTHERS), (right, GRANTED), (late_wrong, OTHERS), (late_right, GRANTED)]
    {
        assert_eq!(reason(&rig, sessions[at]), status, "{at}");
        assert_eq!(rig.has_ecw(sessions[at]), status == GRANTED, "{at}");
    }
    assert_eq!(reason(&rig, any), GRANTED);
}

/// A PMT that names another channel: the ECWs of the old one go at once. One that names a channel
/// for the first time loses nothing, but the card is asked.
#[test]
fn another_channel_in_the_pmt_is_another_stream() {
    let mut rig = Rig::ready();
    let session = rig.open(&air::news());
    rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 500);
    for (channel, asked, status) in
        [(0x0101, 2, GRANTED), (0x0102, 3, OTHERS), (0x0101, 4, GRANTED)]
    {
        let pmt = air::news_of_channel(channel);
        rig.engine.session_update(rig.now, session, &pmt).unwrap();
        rig.drain();
        assert_eq!(rig.has_ecw(session), asked == 2, "{channel:04X}");
        rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 2000);
        assert_eq!(rig.card.count(INS_ECM), asked, "{channel:04X}");
        assert_eq!(reason(&rig, session), status, "{channel:04X}");
        assert_eq!(rig.has_ecw(session), status == GRANTED, "{channel:04X}");
    }
}

/// Descriptors that contradict each other about one PID: the first that names a channel counts.
#[test]
fn the_first_channel_that_is_named_for_a_pid_counts() {
    let none = air::ca_descriptors(&[(air::SYSTEM, air::NEWS_ECM, 0x1201, 2)]);
    let of = |channel| air::ca_of_channel(air::NEWS_ECM, channel);
    for (first, second, status) in [
        (of(0x0101), of(0x0102), GRANTED),
        (of(0x0102), of(0x0101), OTHERS),
        (none.clone(), of(0x0102), OTHERS),
        (of(0x0101), none, GRANTED),
    ] {
        let mut rig = Rig::ready();
        let session = rig.open(&air::pmt_by_component(9, &[first, second], 0x120));
        rig.carousel(air::NEWS_ECM, &air::news_ecm(4), 2000);
        assert_eq!(reason(&rig, session), status);
    }
}
