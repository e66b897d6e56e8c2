// SPDX-License-Identifier: Apache-2.0
//! Boxes with fewer section filters than are wanted: one filter, two, four, exactly enough.

use crate::rig::card::{CARD, GROUP, OPERATOR, STB, key};
use crate::rig::{Rig, air, config};
use cam_core::{Event, Filter, SessionId};
use cam_types::{PackageId, Pid};
use ecm_emm::card::AccessStatus;
use ecm_emm::cat::Cat;
use ecm_emm::descriptor::Descriptors;
use ecm_emm::ecm::Criteria;
use ecm_emm::emm::{Address, EmmCommand};

/// The usual crypto period, and how often its ECM comes.
const PERIOD_MS: u64 = 10_000;
const ECM_MS: u64 = 100;

fn ecm_pid(service: u16) -> Pid {
    Pid::from_field(0x200 + service)
}

fn emm_pid(number: u16) -> Pid {
    Pid::from_field(0x300 + number)
}

/// A box with so many filters, and a card in session.
fn rig(filters: usize) -> Rig {
    let mut few = config(air::stored_pairing());
    few.section_filters = filters;
    let mut rig = Rig::new(few);
    rig.run(1000);
    rig.take_events();
    rig
}

fn open(rig: &mut Rig, service: u16) -> SessionId {
    rig.open(&air::pmt(service + 1, ecm_pid(service), Some(0x10), 0x100 + 0x10 * service))
}

/// So many EMM streams.
fn tune_emms(rig: &mut Rig, count: u16) {
    let of: Vec<_> = (0..count).map(|n| (air::SYSTEM, emm_pid(n), OPERATOR.value(), 2)).collect();
    let descriptors = air::ca_descriptors(&of);
    let descriptors = Descriptors::parse(&descriptors).unwrap();
    let mut section = Vec::new();
    Cat { version: 0, current: true, number: (0, 0), descriptors }.emit(&mut section).unwrap();
    rig.input(cam_core::Input::Cat { source: 0, section: &section });
}

fn ecm(service: u16, period: u32) -> Vec<u8> {
    let packages = vec![PackageId::new(1), PackageId::new(100 + service)];
    air::ecm_with(1, 1, period, &key(0x20), Criteria { packages, ..Criteria::default() })
}

fn message() -> EmmCommand {
    EmmCommand::Osd { id: 1, attributes: 0, text: "hello".into() }
}

/// What the box's filters let through.
fn on_air(rig: &mut Rig, pid: Pid, section: &[u8]) {
    if rig.engine.filters().iter().any(|filter| filter.pid == pid && filter.passes(section)) {
        rig.section(pid, section);
    }
}

/// Lets the services' ECMs come for some crypto periods. Each stream must have the control words of
/// each period before it ends: those of the next one are in them.
fn watch(rig: &mut Rig, sessions: &[(u16, SessionId)], periods: std::ops::Range<u32>) {
    watch_for(PERIOD_MS, rig, sessions, periods);
}

fn watch_for(
    period_ms: u64,
    rig: &mut Rig,
    sessions: &[(u16, SessionId)],
    periods: std::ops::Range<u32>,
) {
    for period in periods {
        let ecms: Vec<_> = sessions.iter().map(|(service, _)| ecm(*service, period)).collect();
        for ms in (0..period_ms).step_by(ECM_MS as usize) {
            for ((service, session), ecm) in sessions.iter().zip(&ecms) {
                on_air(rig, ecm_pid(*service), ecm);
                let has = rig.period(*session);
                assert!(ms < period_ms - 500 || has == Some(period), "{service}: {has:?}");
                let reason = rig.engine.access(*session).unwrap().reason;
                assert_ne!(reason, AccessStatus::NO_ECM, "service {service}, {ms} ms");
            }
            rig.run(ECM_MS);
        }
    }
}

fn told_short(rig: &mut Rig) -> usize {
    let events = rig.take_events();
    events.iter().filter(|event| matches!(event, Event::FiltersShort { .. })).count()
}

/// As many as the constants say, and that is what the box is asked for when it has them.
#[test]
fn exactly_enough() {
    let mut rig = rig(65_535);
    open(&mut rig, 0);
    assert_eq!(rig.engine.wanted().len(), Filter::PER_ECM_STREAM);
    open(&mut rig, 1);
    tune_emms(&mut rig, 2);
    assert_eq!(rig.engine.wanted().len(), 2 * Filter::PER_ECM_STREAM + 2 * 4, "one group");
    assert_eq!(rig.engine.filters(), rig.engine.wanted());
    let ranks: Vec<_> = rig.engine.filters().iter().map(|filter| filter.matching[0]).collect();
    assert_eq!(ranks, [0x80, 0x80, 0x82, 0x82, 0x8A, 0x8A, 0x84, 0x86, 0x84, 0x86, 0x88, 0x88]);
    let full = rig.engine.filter_use();
    assert_eq!((full.wanted, full.pids, full.set, full.in_turns), (12, 4, 12, false));
}

/// As long as there is one for each PID nothing is missed; no more are asked for than are there.
#[test]
fn filters_are_widened_before_any_is_left_out() {
    let wanted_by = |section: &[u8], pid: Pid, filters: &[Filter]| {
        filters.iter().any(|filter| filter.pid == pid && filter.passes(section))
    };
    let box_message = [&[0x8A, 0x70, 90][..], STB.octets(), &[0; 82]].concat();
    let mut passed_before = usize::MAX;
    for limit in 4..=12 {
        let mut rig = rig(limit);
        open(&mut rig, 0);
        open(&mut rig, 1);
        tune_emms(&mut rig, 2);
        let filters = rig.engine.filters().to_vec();
        assert!(filters.len() <= limit, "{limit}: {}", filters.len());
        let mut ours = vec![(ecm_pid(0), ecm(0, 4)), (ecm_pid(1), ecm(1, 5))];
        ours.push((ecm_pid(0), air::offer(1, 7, 500)));
        for n in 0..2 {
            ours.push((emm_pid(n), box_message.clone()));
            for to in [Address::Unique(CARD), Address::Shared(GROUP), Address::Global] {
                ours.push((emm_pid(n), air::emm_to(to, 7, &[message()])));
            }
        }
        for (pid, section) in &ours {
            assert!(wanted_by(section, *pid, &filters), "{limit} filters, {section:02X?}");
        }
        // The fewer filters, the more of others' sections: with enough of them none.
        let others = (0..=255u8).flat_map(|octet| {
            [0x82u8, 0x84, 0x8A].map(|table| [&[table, 0x70, 60][..], &[octet; 60]].concat())
        });
        let passed = others.filter(|other| wanted_by(other, emm_pid(0), &filters)).count();
        assert!(passed <= passed_before, "{limit} filters");
        passed_before = passed;
        assert_eq!(told_short(&mut rig), 0);
        assert!(!rig.engine.filter_use().in_turns);
    }
    assert!(passed_before <= 2, "only those that happen to have an address of ours");
}

/// One filter for a programme and the EMMs: control words in every period, and rights that come.
#[test]
fn one_filter_serves_a_programme_and_its_emms() {
    let mut rig = rig(1);
    let session = open(&mut rig, 0);
    assert_eq!(told_short(&mut rig), 0);
    tune_emms(&mut rig, 1);
    watch(&mut rig, &[(0, session)], 4..8);
    // Each comes in one place of a carousel that keeps step with the seconds.
    let mut seconds = 0;
    while rig.engine.stats().emm_applied[0] < 8 {
        for tenth in 0..10 {
            on_air(&mut rig, ecm_pid(0), &ecm(0, 8));
            if tenth == 5 {
                on_air(&mut rig, emm_pid(0), &air::emm(1 + seconds % 8, &[message()]));
            }
            rig.run(100);
        }
        seconds += 1;
        assert!(seconds < 300, "{:?}", rig.engine.stats().emm_applied);
    }
    assert_eq!(told_short(&mut rig), 1);
    assert!(rig.engine.stats().filter_turns > 10);
    // A second PID less, and all is as it was.
    rig.engine.session_close(rig.now, session).unwrap();
    rig.drain();
    assert!(!rig.engine.filter_use().in_turns);
    open(&mut rig, 0);
    assert_eq!(told_short(&mut rig), 1, "it is news again");
}

#[test]
fn services_take_turns_fairly() {
    for (filters, services, period_ms) in [
        (1, 2, 10_000),
        (1, 6, 10_000),
        (2, 3, 10_000),
        (2, 15, 10_000),
        (4, 5, 10_000),
        (4, 16, 10_000),
        (1, 3, 5000),
        (2, 6, 5000),
        (4, 13, 5000),
    ] {
        let mut rig = rig(filters);
        tune_emms(&mut rig, 1);
        let sessions: Vec<_> =
            (0..services).map(|service| (service, open(&mut rig, service))).collect();
        assert_eq!(rig.engine.filters().len(), filters);
        watch_for(period_ms, &mut rig, &sessions, 4..12);
        assert_eq!(rig.engine.wanted().len(), 2 * usize::from(services) + 4);
    }
}

/// While four are recorded, a fifth is watched: its control words come as soon as ever.
#[test]
fn a_zap_goes_first() {
    for filters in [1, 2, 4] {
        let mut rig = rig(filters);
        tune_emms(&mut rig, 1);
        let mut sessions: Vec<_> =
            (0..4).map(|service| (service, open(&mut rig, service))).collect();
        watch(&mut rig, &sessions, 4..5);
        for zap in 4..12 {
            let session = open(&mut rig, zap);
            for _ in 0..3 {
                on_air(&mut rig, ecm_pid(zap), &ecm(zap, 5));
                rig.run(ECM_MS);
            }
            assert!(rig.has_ecw(session), "{filters} filters, service {zap}");
            rig.engine.session_close(rig.now, session).unwrap();
            rig.drain();
        }
        sessions.truncate(3);
        watch(&mut rig, &sessions, 5..6);
    }
}

/// Many EMM streams behind few filters: ECMs lose nothing, each EMM stream is heard, also where its
/// carousel keeps step with a minute.
#[test]
fn emm_streams_take_turns() {
    let mut rig = rig(2);
    let session = open(&mut rig, 0);
    tune_emms(&mut rig, 6);
    let ecm = ecm(0, 4);
    for second in 0..1800_u64 {
        on_air(&mut rig, ecm_pid(0), &ecm);
        for n in 0..6 {
            if second % 20 == u64::from(3 * n) {
                on_air(&mut rig, emm_pid(n), &air::emm(u32::from(n) + 1, &[message()]));
            }
        }
        let reached = rig.engine.filters().iter().any(|filter| filter.pid == ecm_pid(0));
        assert!(reached, "the ECM stream keeps its filter");
        rig.run(1000);
    }
    assert!(rig.has_ecw(session));
    assert_eq!(rig.engine.stats().emm_applied[0], 6);
    assert!(rig.engine.stats().emm_dup[0] > 6, "again and again");
}

/// With turns too, a stream without ECMs is told: after three seconds that somebody listened.
#[test]
fn a_silent_stream_is_told_in_its_own_time() {
    let mut rig = rig(1);
    let sessions = [open(&mut rig, 0), open(&mut rig, 1)];
    for _ in 0..200 {
        on_air(&mut rig, ecm_pid(0), &ecm(0, 4));
        rig.run(ECM_MS);
    }
    let [heard, silent] = sessions.map(|session| rig.engine.access(session).unwrap().reason);
    assert_eq!(silent, AccessStatus::NO_ECM);
    assert_ne!(heard, AccessStatus::NO_ECM);
}

/// A second session of a stream that waits for its turn waits as well.
#[test]
fn a_second_session_of_a_stream_is_not_silent() {
    let mut rig = rig(1);
    tune_emms(&mut rig, 1);
    let mut sessions: Vec<_> = (0..6).map(|service| (service, open(&mut rig, service))).collect();
    watch(&mut rig, &sessions, 4..5);
    sessions.extend((0..6).map(|service| (service, open(&mut rig, service))));
    watch(&mut rig, &sessions, 5..7);
}

/// A host that asks late finds what stands; turns end by time alone.
#[test]
fn turns_end_by_time() {
    let mut rig = rig(1);
    open(&mut rig, 0);
    open(&mut rig, 1);
    let before = rig.engine.filters().to_vec();
    rig.take_events();
    for turn in 1..=4 {
        rig.run(1000);
        assert_eq!(rig.engine.filters() == before, turn % 2 == 0, "turn {turn}");
        let told = rig.take_events().iter().filter(|event| **event == Event::Filters).count();
        assert_eq!(told, 1);
    }
}
