// SPDX-License-Identifier: Apache-2.0
//! What PMTs say and what is made of it: scrambling mode, tables of tomorrow, other systems and
//! operators, more streams than are served.

use crate::rig::card::{OPERATOR, key, slot};
use crate::rig::{Rig, air, config};
use cam_core::{AccessState, AccessStatus, Event, Input, Remedy, SessionId};
use cam_types::{CaSystemId, CasTime, ChannelId, Epoch, Pid, Secret};
use ecm_emm::ca_descriptor::CaDescriptor;
use ecm_emm::cat::Cat;
use ecm_emm::descriptor::Descriptors;
use ecm_emm::ecm::{Cci, ControlWords, EcmBody, EcmHeader, EcmKind, Rating, Regions};
use ecm_emm::pmt::{Pmt, Stream, Streams};
use ecm_emm::section::LongSection;
use ecm_emm::suite::Suite;

/// An ECM of the news with control words of 8 octets.
fn ecm64(period: u32) -> Vec<u8> {
    let header = EcmHeader {
        kind: EcmKind::Cw64,
        suite: Suite::Cmac128,
        operator: OPERATOR,
        slot: slot(1),
        epoch: Epoch::new(1),
        cp_number: period,
    };
    let cw = || Secret::new([0x5A; 8]);
    let body = EcmBody {
        channel: ChannelId::new(0x0101),
        time: CasTime::new(1000 + period),
        cci: Cci(0),
        rating: Rating(0),
        regions: Regions::ALL,
        emm_floor: 0,
        cw: ControlWords::Cw64 { even: cw(), odd: cw() },
        criteria: air::package(1),
    };
    let mut out = Vec::new();
    body.seal(&header, &key(0x20), &mut out).unwrap();
    out
}

/// The same PMT with other header fields.
fn changed(pmt: &[u8], change: impl Fn(&mut LongSection<'_>)) -> Vec<u8> {
    let mut section = LongSection::parse(pmt).unwrap();
    change(&mut section);
    let mut out = Vec::new();
    section.emit(&mut out).unwrap();
    out
}

/// A PMT whose components have CA_descriptors of their own.
fn pmt_by_component(programme: &[u8], components: &[Vec<u8>]) -> Vec<u8> {
    let mut streams = Vec::new();
    for (ca, pid) in components.iter().zip(0x100..) {
        let descriptors = Descriptors::parse(ca).unwrap();
        let stream = Stream { stream_type: 3, pid: Pid::from_field(pid), descriptors };
        stream.emit(&mut streams).unwrap();
    }
    let pmt = Pmt {
        program_number: 1,
        version: 0,
        current: true,
        pcr_pid: Pid::from_field(0x100),
        descriptors: Descriptors::parse(programme).unwrap(),
        streams: Streams::parse(&streams).unwrap(),
    };
    let mut out = Vec::new();
    pmt.emit(&mut out).unwrap();
    out
}

fn ca(system: CaSystemId, pid: Pid, private: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    CaDescriptor { system, pid, private }.emit(&mut out).unwrap();
    out
}

fn shown(rig: &Rig, session: SessionId) -> (AccessState, AccessStatus) {
    let access = rig.engine.access(session).unwrap();
    (access.state, access.reason)
}

/// What was told of scrambling modes: signalled and used.
fn told(rig: &mut Rig) -> Vec<(u8, u8)> {
    let events = rig.take_events().into_iter();
    events
        .filter_map(|event| match event {
            Event::ModeDisagrees { signalled, used, .. } => Some((signalled.0, used.0)),
            _ => None,
        })
        .collect()
}

/// The scrambling_descriptor counts where its mode has control words as long as the ECM's, or of a
/// length that nobody knows; else the length says CSA2 or CISSA, and that is told.
#[test]
fn the_mode_follows_the_length_of_the_cws() {
    for (signalled, by_8, by_16) in [
        (None, 0x02, 0x10),
        (Some(0x01), 0x01, 0x10), // CSA1
        (Some(0x02), 0x02, 0x10), // CSA2
        (Some(0x03), 0x02, 0x03), // CSA3
        (Some(0x04), 0x02, 0x04),
        (Some(0x05), 0x02, 0x05),
        (Some(0x10), 0x02, 0x10), // CISSA
        (Some(0x1F), 0x02, 0x1F),
        (Some(0x70), 0x02, 0x70), // IDSA
        (Some(0x71), 0x02, 0x71), // ATIS
        (Some(0x7F), 0x02, 0x7F),
        (Some(0xDE), 0xDE, 0x10), // SCTE 52
        (Some(0x00), 0x00, 0x00), // of a length that is not known
        (Some(0xDD), 0xDD, 0xDD),
        (Some(0x06), 0x06, 0x06),
        (Some(0x20), 0x20, 0x20),
        (Some(0xFF), 0xFF, 0xFF),
    ] {
        for (ecm, used) in [(ecm64(4), by_8), (air::news_ecm(4), by_16)] {
            let mut rig = Rig::ready();
            let session = rig.open(&air::pmt(1, air::NEWS_ECM, signalled, 0x100));
            rig.section(air::NEWS_ECM, &ecm);
            rig.run(300);
            let ecw = &rig.ecw[&(session.0, air::NEWS_ECM)];
            assert_eq!(ecw.mode, used, "{signalled:02X?}");
            let disagrees = signalled.filter(|mode| *mode != used);
            let expected: Vec<_> = disagrees.map(|mode| (mode, used)).into_iter().collect();
            assert_eq!(told(&mut rig), expected, "{signalled:02X?}");
        }
    }
}

#[test]
fn a_mode_that_disagrees_is_told_once_for_each_change() {
    let mut rig = Rig::ready();
    let session = rig.open(&air::pmt(1, air::NEWS_ECM, Some(2), 0x100));
    for period in 4..7 {
        rig.section(air::NEWS_ECM, &air::news_ecm(period));
        rig.run(300);
    }
    assert_eq!(told(&mut rig), [(2, 0x10)]);
    for (ecm, expected) in
        [(ecm64(7), &[][..]), (air::news_ecm(8), &[(2, 0x10)]), (air::news_ecm(9), &[])]
    {
        rig.section(air::NEWS_ECM, &ecm);
        rig.run(300);
        assert_eq!(told(&mut rig), expected);
    }
    // Another mode in the PMT: the descrambler gets the ECWs again, as they are used now.
    for (signalled, used, expected) in
        [(0x01, 0x10, &[(1, 0x10)][..]), (0x11, 0x11, &[]), (0x01, 0x10, &[(1, 0x10)])]
    {
        let pmt = air::pmt(1, air::NEWS_ECM, Some(signalled), 0x100);
        rig.engine.session_update(rig.now, session, &pmt).unwrap();
        rig.drain();
        assert_eq!(rig.ecw[&(session.0, air::NEWS_ECM)].mode, used);
        assert_eq!(told(&mut rig), expected);
    }
}

/// current_next_indicator 0: the table is not yet applicable.
#[test]
fn a_next_table_is_refused_and_touches_nothing() {
    let mut rig = Rig::ready();
    let next = changed(&air::pmt(1, air::CINEMA_ECM, Some(0x10), 0x200), |s| s.current = false);
    let refused = rig.engine.session_open(rig.now, 0, &next).unwrap_err().to_string();
    assert!(refused.contains("current_next_indicator"), "{refused}");
    let session = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(300);
    let (ecw, filters) = (rig.ecw.clone(), rig.engine.filters().to_vec());
    let refused = rig.engine.session_update(rig.now, session, &next).unwrap_err().to_string();
    assert!(refused.contains("current_next_indicator"), "{refused}");
    rig.drain();
    assert_eq!((&rig.ecw, rig.engine.filters()), (&ecw, filters.as_slice()));
    assert_eq!(rig.engine.stats().table_malformed, 0, "it is well formed");
    // The same table once it is current.
    let current = changed(&next, |section| section.current = true);
    rig.engine.session_update(rig.now, session, &current).unwrap();
    rig.drain();
    assert!(!rig.has_ecw(session));
}

fn cat(number: (u8, u8), pids: std::ops::Range<u16>) -> Vec<u8> {
    let mut out = Vec::new();
    with_cat(number, pids, |cat| cat.emit(&mut out).unwrap());
    out
}

/// The same of tomorrow.
fn next_cat(number: (u8, u8), pids: std::ops::Range<u16>) -> Vec<u8> {
    let mut out = Vec::new();
    with_cat(number, pids, |cat| Cat { current: false, ..cat }.emit(&mut out).unwrap());
    out
}

fn with_cat(number: (u8, u8), pids: std::ops::Range<u16>, emit: impl FnOnce(Cat<'_>)) {
    let descriptors: Vec<u8> =
        pids.flat_map(|pid| ca(air::SYSTEM, Pid::from_field(pid), &[])).collect();
    let descriptors = Descriptors::parse(&descriptors).unwrap();
    emit(Cat { version: 0, current: true, number, descriptors });
}

/// The CAT: its sections add up, those of tomorrow and damaged ones change nothing, and every EMM
/// stream that one section can name is served.
#[test]
fn the_cat_is_read_as_it_stands() {
    let mut damaged = cat((0, 0), 0x300..0x301);
    *damaged.last_mut().unwrap() ^= 1;
    let mut rig = Rig::new(config(air::stored_pairing()));
    for (section, expected) in [
        (cat((0, 1), 0x150..0x152), vec![0x150, 0x151]),
        (cat((1, 1), 0x152..0x153), vec![0x150, 0x151, 0x152]),
        (next_cat((0, 0), 0x300..0x301), vec![0x150, 0x151, 0x152]),
        (damaged, vec![0x150, 0x151, 0x152]),
        (cat((0, 0), 0x400..0x4A8), (0x400..0x4A8).collect()),
    ] {
        rig.input(Input::Cat { source: 0, section: &section });
        let wanted: Vec<u16> = rig.engine.filters().iter().map(|f| f.pid.value()).collect();
        assert_eq!(wanted, expected);
    }
}

/// More EMM streams than are served are told once, and are nothing to another source.
#[test]
fn too_many_emm_streams_of_a_source_are_told_once() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    let long = [cat((0, 1), 0x400..0x4A8), cat((1, 1), 0x500..0x5A8)];
    let short = [cat((0, 0), 0x400..0x4A8)];
    let wanted = |rig: &Rig, source| {
        let of_source = rig.engine.filters().iter().filter(|filter| filter.source == source);
        of_source.map(|filter| filter.pid).collect::<std::collections::BTreeSet<_>>().len()
    };
    for (source, sections, told, streams) in [
        (1, &long[..], &[1][..], 256),
        (2, &short, &[], 168),
        (1, &long, &[], 256),
        (3, &long, &[3], 256),
        (1, &short, &[], 168),
        (1, &long, &[1], 256),
    ] {
        for section in sections {
            rig.input(Input::Cat { source, section });
        }
        assert_eq!(wanted(&rig, source), streams, "source {source}");
        let left_out: Vec<u8> = rig
            .take_events()
            .into_iter()
            .filter_map(|event| match event {
                Event::EmmStreamsLeftOut { source, served: 256 } => Some(source),
                _ => None,
            })
            .collect();
        assert_eq!(left_out, told, "source {source}");
    }
    assert_eq!(wanted(&rig, 2), 168, "what another source has stays");
}

/// What is no PMT of the session's programme is refused by name and touches nothing.
#[test]
fn another_table_is_refused_and_touches_nothing() {
    let mut rig = Rig::ready();
    let session = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(300);
    let mut damaged = air::news();
    *damaged.last_mut().unwrap() ^= 1;
    for (octets, named) in [
        (air::cinema(), "programme 2"),
        (damaged, "checksum of the section does not match: it is damaged"),
        (changed(&air::news(), |s| s.number = 1), "section_number is 0x01, expected 0x00"),
        (
            changed(&air::news(), |s| s.last_number = 1),
            "last_section_number is 0x01, expected 0x00",
        ),
        (air::cat(), "table_id is 0x01, expected 0x02"),
        (air::news_ecm(4), "table_id is 0x80, expected 0x02"),
        (air::news()[..20].to_vec(), "octets expected, 17 there"),
        (vec![], "table_id"),
    ] {
        let why = rig.engine.session_update(rig.now, session, &octets).unwrap_err().to_string();
        assert!(why.contains(named), "{named}: {why}");
        rig.drain();
        assert!(rig.has_ecw(session), "{named}");
    }
    assert_eq!(rig.engine.stats().table_malformed, 7, "another programme's is well formed");
    // A version is only a number: the same one with other streams, and one that wrapped.
    for (version, es) in [(0, 0x200), (31, 0x300), (0, 0x400)] {
        let pmt = air::pmt(1, air::NEWS_ECM, Some(0x10), es);
        let pmt = changed(&pmt, |section| section.version = version);
        rig.engine.session_update(rig.now, session, &pmt).unwrap();
        rig.drain();
        assert_eq!(rig.ecw[&(session.0, air::NEWS_ECM)].es_pids[0], Pid::from_field(es));
    }
}

/// Another CA system and another operator are different reasons, and neither is said of a card that
/// nobody knows yet.
#[test]
fn foreign_systems_and_operators() {
    let private = |operator: u16, suite: u8| [&operator.to_be_bytes()[..], &[suite]].concat();
    let mine = private(OPERATOR.value(), 2);
    let foreign = ca(CaSystemId::new(0x0500), air::NEWS_ECM, &mine);
    let ours = |private: &[u8]| ca(air::SYSTEM, air::NEWS_ECM, private);
    let denied = |reason| (AccessState::Denied, reason);
    let pending = (AccessState::Pending, AccessStatus::PENDING);
    let clear = (AccessState::Clear, AccessStatus::CLEAR);
    let another = denied(AccessStatus::UNKNOWN_OPERATOR);
    let no_key = (AccessState::Technical, AccessStatus::NO_KEY);
    for (what, ca, expected, early) in [
        ("no CA", vec![], clear, clear),
        (
            "another system",
            foreign.clone(),
            denied(AccessStatus::FOREIGN_SYSTEM),
            denied(AccessStatus::FOREIGN_SYSTEM),
        ),
        ("another operator", ours(&private(0x7777, 2)), another, pending),
        ("another suite", ours(&private(OPERATOR.value(), 3)), no_key, pending),
        ("a suite that no card can have", ours(&private(OPERATOR.value(), 16)), no_key, pending),
        ("both", [foreign, ours(&private(0x7777, 2))].concat(), another, pending),
        ("ours", ours(&mine), pending, pending),
        ("ours, of a later version", ours(&[&mine[..], &[9, 9]].concat()), pending, pending),
        ("without private data", ours(&[]), pending, pending),
        ("private data cut short", ours(&mine[..2]), pending, pending),
        ("no stream", ca(air::SYSTEM, Pid::NULL, &mine), clear, clear),
    ] {
        let mut rig = Rig::ready();
        let pmt = air::pmt_of(1, &ca, None, 0x100);
        let session = rig.open(&pmt);
        assert_eq!(shown(&rig, session), expected, "{what}");
        // The session is there before the card.
        let mut rig = Rig::new(config(air::stored_pairing()));
        let session = rig.open(&pmt);
        let access = rig.engine.access(session).unwrap();
        if early == pending {
            assert_eq!(access.reason, rig.engine.card().reason, "{what}");
        } else {
            assert_eq!(shown(&rig, session), early, "{what}");
        }
        assert_eq!(access.operator, None, "{what}: no card, no operator");
        rig.run(1000);
        assert_eq!(shown(&rig, session), expected, "{what}, after the card");
    }
}

/// A component that cannot be served is told, the worst of them; the others are served all the
/// same.
#[test]
fn a_component_left_out_is_told_and_the_others_keep_their_keys() {
    use AccessStatus as Reason;
    let private = |operator: u16, suite: u8| [&operator.to_be_bytes()[..], &[suite]].concat();
    let mine = private(OPERATOR.value(), 2);
    let foreign = CaSystemId::new(0x0500);
    let of = |system, private: &[u8]| ca(system, Pid::from_field(0x0170), private);
    let others = of(foreign, &mine);
    let other_operator = of(air::SYSTEM, &private(0x7777, 2));
    let other_suite = of(air::SYSTEM, &private(OPERATOR.value(), 3));
    let served = ca(air::SYSTEM, air::NEWS_ECM, &mine);
    let no_stream = ca(foreign, Pid::NULL, &mine);
    let granted = Reason::GRANTED_SUBSCRIPTION;
    for (what, components, expected) in [
        ("foreign", vec![others.clone()], Reason::FOREIGN_SYSTEM),
        ("another operator's", vec![other_operator.clone()], Reason::UNKNOWN_OPERATOR),
        ("of another suite", vec![other_suite.clone()], Reason::NO_KEY),
        (
            "the worst of all",
            vec![other_suite.clone(), others.clone(), other_operator.clone()],
            Reason::FOREIGN_SYSTEM,
        ),
        ("the worse of two", vec![other_suite, other_operator.clone()], Reason::UNKNOWN_OPERATOR),
        ("foreign without a stream", vec![no_stream.clone()], granted),
        ("ours too", vec![[others.clone(), served.clone()].concat()], granted),
        ("ours has no stream", vec![[no_stream, others].concat()], Reason::FOREIGN_SYSTEM),
        ("with the programme's", vec![vec![]], granted),
    ] {
        let pmt =
            pmt_by_component(&served, &[&components[..], std::slice::from_ref(&served)].concat());
        let mut rig = Rig::new(config(air::stored_pairing()));
        rig.inserted = false;
        let session = rig.open(&pmt);
        rig.run(300);
        let card = rig.engine.card().reason;
        assert_eq!(card, Reason::NO_CARD);
        assert_eq!(shown(&rig, session).1, card, "{what}: without a card that is what is wrong");
        rig.inserted = true;
        rig.run(1200);
        let pending = if expected == granted { Reason::PENDING } else { expected };
        assert_eq!(shown(&rig, session).1, pending, "{what}, before the first ECM");
        let rated = air::rated_ecm(1, 1, 4, &key(0x20), air::package(1), 3);
        rig.section(air::NEWS_ECM, &rated);
        rig.run(300);
        assert_eq!(shown(&rig, session).1, expected, "{what}");
        let access = rig.engine.access(session).unwrap();
        assert!(access.crypto_period.is_some(), "{what}: the keys stay");
        assert_eq!(access.rating, 3, "{what}: what the card says of the served ones");
        let component = Pid::from_field(0x100 + components.len() as u16);
        let ecw = &rig.ecw[&(session.0, air::NEWS_ECM)];
        assert!(ecw.es_pids.contains(&component), "{what}");
        let remedy = match expected {
            Reason::NO_KEY => Remedy::Emm,
            _ if expected == granted => Remedy::None,
            _ => Remedy::Technician,
        };
        assert_eq!(access.remedy, remedy, "{what}");
        // A refusal of what is served goes before it: that is what the subscriber can change.
        let denied = air::ecm_with(1, 1, 6, &key(0x20), air::package(7));
        rig.section(air::NEWS_ECM, &denied);
        rig.run(300);
        assert_eq!(shown(&rig, session).1, Reason::NO_RIGHT, "{what}");
        // It ends with the PMT that ends it.
        rig.section(air::NEWS_ECM, &air::news_ecm(8));
        rig.run(300);
        rig.engine.session_update(rig.now, session, &air::news()).unwrap();
        rig.drain();
        assert_eq!(shown(&rig, session).1, granted, "{what}");
    }
}

/// A descriptor of ours without private data serves any operator and suite, but one that names the
/// card's goes before it, wherever they stand.
#[test]
fn a_descriptor_that_names_the_operator_goes_first() {
    let any = Pid::from_field(0x0160);
    let mine = [&OPERATOR.value().to_be_bytes()[..], &[2]].concat();
    let other = [&0x7777_u16.to_be_bytes()[..], &[2]].concat();
    let named = ca(air::SYSTEM, air::NEWS_ECM, &mine);
    let others = ca(air::SYSTEM, air::NEWS_ECM, &other);
    for private in [&[][..], &mine[..1], &mine[..2]] {
        let nameless = ca(air::SYSTEM, any, private);
        for (ca, chosen, operator) in [
            ([nameless.clone(), named.clone()], air::NEWS_ECM, Some(OPERATOR)),
            ([named.clone(), nameless.clone()], air::NEWS_ECM, Some(OPERATOR)),
            ([nameless.clone(), others.clone()], any, None),
            ([others.clone(), nameless.clone()], any, None),
        ] {
            let mut rig = Rig::ready();
            let session = rig.open(&air::pmt_of(1, &ca.concat(), None, 0x100));
            rig.section(chosen, &air::news_ecm(4));
            rig.run(300);
            assert!(rig.ecw.contains_key(&(session.0, chosen)), "{private:02X?}");
            assert_eq!(rig.engine.access(session).unwrap().operator, operator);
        }
    }
}

/// The first section that arrived before the card is not lost when the card names its operator.
#[test]
fn the_card_finds_the_section_that_waits_for_it() {
    let mut rig = Rig::new(config(air::stored_pairing()));
    let session = rig.open(&air::news());
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(1500);
    assert!(rig.has_ecw(session));
}

/// More ECM streams than are served: the served ones keep their keys, and it is told.
#[test]
fn too_many_ecm_streams_are_told() {
    let private = [&OPERATOR.value().to_be_bytes()[..], &[2]].concat();
    let streams = |count: u16| {
        let pids = (0..count).map(|n| Pid::from_field(0x0800 + n));
        let components: Vec<_> = pids.map(|pid| ca(air::SYSTEM, pid, &private)).collect();
        pmt_by_component(&[], &components)
    };
    for (count, expected) in [
        (9, AccessStatus::GRANTED_SUBSCRIPTION),
        (16, AccessStatus::GRANTED_SUBSCRIPTION),
        (17, AccessStatus::TOO_MANY_STREAMS),
        (60, AccessStatus::TOO_MANY_STREAMS),
    ] {
        let mut rig = Rig::ready();
        let session = rig.open(&streams(count));
        for _ in 0..5 {
            for n in 0..count {
                rig.section(Pid::from_field(0x0800 + n), &air::news_ecm(4 + 2 * u32::from(n)));
            }
            rig.run(1000);
        }
        assert_eq!(rig.ecw.len(), usize::from(count.min(16)));
        assert_eq!(rig.engine.filters().len(), 2 * usize::from(count.min(16)), "bounded");
        let access = rig.engine.access(session).unwrap();
        assert_eq!(access.reason, expected, "{count}");
        if expected == AccessStatus::TOO_MANY_STREAMS {
            assert_eq!((access.state, access.remedy), (AccessState::Technical, Remedy::Technician));
            assert!(access.crypto_period.is_some(), "the keys stay");
            // A refusal of what is served goes before it: that is what the subscriber can change.
            rig.section(
                Pid::from_field(0x0800),
                &air::ecm_with(1, 1, 6, &key(0x20), air::package(7)),
            );
            rig.run(300);
            assert_eq!(shown(&rig, session).1, AccessStatus::NO_RIGHT);
            // It ends with the PMT that ends it.
            rig.engine.session_update(rig.now, session, &air::news()).unwrap();
            assert_eq!(shown(&rig, session).1, AccessStatus::PENDING);
        }
    }
}

/// Every component that a PMT section can name is served.
#[test]
fn a_pmt_full_of_components_is_served() {
    let private = [&OPERATOR.value().to_be_bytes()[..], &[2]].concat();
    let programme = ca(air::SYSTEM, air::NEWS_ECM, &private);
    for count in [64, 65, 198] {
        let pmt = pmt_by_component(&programme, &vec![vec![]; count]);
        assert!(pmt.len() <= 1024);
        let mut rig = Rig::ready();
        let session = rig.open(&pmt);
        rig.section(air::NEWS_ECM, &air::news_ecm(4));
        rig.run(300);
        assert_eq!(rig.ecw[&(session.0, air::NEWS_ECM)].es_pids.len(), count);
        assert_eq!(shown(&rig, session).0, AccessState::Granted);
    }
}
