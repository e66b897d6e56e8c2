// SPDX-License-Identifier: Apache-2.0
//! CA_PMT objects of an EN 50221 host: what each command and list management does, and the reply.

use crate::rig::card::OPERATOR;
use crate::rig::{Rig, air, config};
use cam_core::{CaPmtReply, Input, SessionId};
use cam_types::{CaSystemId, Pid};
use ecm_emm::ca_pmt::{CaInfo, CaPmt, CaStream, CommandId, ListManagement};
use ecm_emm::card::INS_ECM;
use ecm_emm::descriptor::Descriptors;

const OK: u8 = 1;
const MMI: u8 = 2;
const QUERY: u8 = 3;
const NOT_SELECTED: u8 = 4;

/// What the host sends: the programme's command with its CA_descriptors, and a command for each
/// component that has one of its own.
#[derive(Clone)]
struct Object {
    list: u8,
    number: u16,
    current: bool,
    command: Option<u8>,
    ca: Vec<u8>,
    components: Vec<Option<u8>>,
}

impl Object {
    fn octets(&self) -> Vec<u8> {
        let info = |command: u8, ca| CaInfo {
            command: CommandId(command),
            descriptors: Descriptors::parse(ca).unwrap(),
        };
        let streams = self.components.iter().zip(0x100..).map(|(command, pid)| CaStream {
            stream_type: 2,
            pid: Pid::from_field(pid),
            info: command.map(|command| info(command, &self.ca)),
        });
        let object = CaPmt {
            list_management: ListManagement(self.list),
            program_number: self.number,
            version: 0,
            current: self.current,
            program: self.command.map(|command| info(command, &self.ca)),
            streams: streams.collect(),
        };
        let mut out = Vec::new();
        object.emit(&mut out).unwrap();
        out
    }

    /// From ca_pmt_list_management on.
    fn body(&self) -> Vec<u8> {
        let octets = self.octets();
        assert!(octets[3] < 0x80, "the length has one octet");
        octets[4..].to_vec()
    }
}

/// A programme of two components on the ECM stream of the news.
fn object(list: u8, number: u16, command: u8) -> Object {
    let ca = air::ca_descriptors(&[(air::SYSTEM, air::NEWS_ECM, OPERATOR.value(), 2)]);
    let components = vec![None, None];
    Object { list, number, current: true, command: Some(command), ca, components }
}

fn give(rig: &mut Rig, object: &Object) -> Result<CaPmtReply, String> {
    let reply = rig.engine.ca_pmt(rig.now, 0, &object.octets()).map_err(|why| why.to_string());
    rig.drain();
    reply
}

fn number_of(reply: CaPmtReply) -> u8 {
    reply.ca_enable.map_or(0, |ca_enable| ca_enable as u8)
}

fn enable(rig: &mut Rig, object: &Object) -> u8 {
    number_of(give(rig, object).unwrap())
}

fn open(rig: &mut Rig, object: &Object) -> SessionId {
    give(rig, object).unwrap().session.unwrap()
}

/// The programmes that are open, by the sessions given.
fn standing(rig: &Rig, of: &[(u16, SessionId)]) -> Vec<u16> {
    of.iter().filter(|(_, id)| rig.engine.access(*id).is_some()).map(|(n, _)| *n).collect()
}

#[test]
fn the_object_comes_with_and_without_tag_and_length() {
    let mut rig = Rig::ready();
    let (only, update) = (object(3, 1, OK), object(5, 1, OK));
    let first = rig.engine.ca_pmt(rig.now, 0, &only.octets()).unwrap().session;
    assert!(first.is_some());
    assert_eq!(rig.engine.ca_pmt(rig.now, 0, &update.body()).unwrap().session, first);
    // Lengths of the other forms (EN 50221 §7).
    let body = update.body();
    for length in [vec![0x81, body.len() as u8], vec![0x83, 0, 0, body.len() as u8]] {
        let octets = [&[0x9F, 0x80, 0x32][..], &length, &body].concat();
        assert_eq!(rig.engine.ca_pmt(rig.now, 0, &octets).unwrap().session, first);
    }
}

/// What is not known, cut short or not applicable yet is refused by its name, and touches nothing.
#[test]
fn refusals_name_what_is_wrong_and_touch_nothing() {
    let mut rig = Rig::ready();
    let session = open(&mut rig, &object(3, 1, OK));
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(300);
    rig.take_events();
    let component =
        |command| Object { components: vec![None, Some(command)], ..object(3, 2, OK) }.octets();
    let good = object(3, 2, OK).octets();
    let mut tag = good.clone();
    tag[2] = 0x33;
    let mut length = good.clone();
    length[3] += 1;
    let next = Object { current: false, ..object(3, 2, OK) }.octets();
    let closing_next = Object { current: false, ..object(5, 1, NOT_SELECTED) }.octets();
    for (octets, named) in [
        (object(6, 2, OK).octets(), "ca_pmt_list_management 0x06"),
        (object(9, 2, OK).octets(), "ca_pmt_list_management 0x09"),
        (object(3, 2, 0).octets(), "ca_pmt_cmd_id 0x00"),
        (object(3, 2, 9).octets(), "ca_pmt_cmd_id 0x09"),
        (component(5), "ca_pmt_cmd_id 0x05"),
        (next, "current_next_indicator"),
        (closing_next, "current_next_indicator"),
        (tag, "ca_pmt_tag is 0x9F8033, expected 0x9F8032"),
        (length, "CA_PMT body is cut short: 27 octets expected, 26 there"),
        (good[..good.len() - 1].to_vec(), "CA_PMT body is cut short: 26 octets expected, 25 there"),
        ([&good[..], &[0]].concat(), "1 octets left over behind the CA_PMT"),
        ([&object(3, 2, OK).body()[..], &[0]].concat(), "5 octets expected, 1 there"),
        (object(3, 2, OK).body()[..5].to_vec(), "program_info_length"),
        (vec![0x9F, 0x80, 0x32, 0x85, 0, 0, 0, 0, 1, 3], "length_field"),
        (vec![0x9F, 0x80, 0x32, 0x80], "length_field"),
        (vec![], "ca_pmt_list_management"),
    ] {
        let why = rig.engine.ca_pmt(rig.now, 0, &octets).unwrap_err().to_string();
        assert!(why.contains(named), "{named}: {why}");
        rig.drain();
        assert!(rig.has_ecw(session), "{named}");
        assert_eq!(rig.take_events(), [], "{named}");
    }
}

/// EN 50221 §8.4.3.4: what each list management leaves of a list of 1 and 2, and what it opens.
#[test]
fn list_management() {
    for (list, number, left) in [
        (0, 1, &[1, 2][..]), // more, of a known programme
        (0, 3, &[1, 2, 3]),  // more
        (1, 2, &[2]),        // first
        (1, 3, &[3]),
        (2, 1, &[1, 2]), // last
        (2, 3, &[1, 2, 3]),
        (3, 1, &[1]), // only
        (3, 3, &[3]),
        (4, 1, &[1, 2]), // add, of a known programme: no second session
        (4, 3, &[1, 2, 3]),
        (5, 1, &[1, 2]),    // update
        (5, 3, &[1, 2, 3]), // update of an unknown programme: the host has chosen it
    ] {
        let mut rig = Rig::ready();
        let mut sessions: Vec<_> = [(1, 1), (2, 2)]
            .map(|(list, number)| (number, open(&mut rig, &object(list, number, OK))))
            .into();
        let own = rig.open(&air::cinema());
        let id = open(&mut rig, &object(list, number, OK));
        match sessions.iter().find(|(known, _)| *known == number) {
            Some((_, known)) => assert_eq!(id, *known, "list management {list} of {number}"),
            None => sessions.push((number, id)),
        }
        assert_eq!(standing(&rig, &sessions), left, "list management {list} of {number}");
        assert!(rig.engine.access(own).is_some(), "no list holds what a PMT opened");
        // Another source has a list of its own.
        let other = rig.engine.ca_pmt(rig.now, 1, &object(3, 9, OK).octets()).unwrap();
        assert!(other.session.is_some());
        assert_eq!(standing(&rig, &sessions), left);
    }
}

/// A component's own command goes before the programme's; what is not selected stays scrambled.
#[test]
fn commands_are_of_components() {
    const BOTH: &[u16] = &[0x100, 0x101];
    for (programme, components, served) in [
        (Some(OK), [None, None], BOTH),
        (Some(MMI), [None, None], BOTH), // the dialogue is the host's, by offers and PIN
        (Some(OK), [None, Some(NOT_SELECTED)], &[0x100]),
        (Some(NOT_SELECTED), [None, Some(OK)], &[0x101]),
        (Some(NOT_SELECTED), [Some(MMI), Some(OK)], BOTH),
        (None, [Some(OK), Some(NOT_SELECTED)], &[0x100]),
        (None, [Some(NOT_SELECTED), Some(OK)], &[0x101]),
        (Some(QUERY), [None, Some(OK)], &[0x101]),
        (Some(OK), [Some(QUERY), None], &[0x101]),
        (Some(NOT_SELECTED), [None, None], &[]),
        (None, [Some(NOT_SELECTED), Some(NOT_SELECTED)], &[]),
    ] {
        let mut rig = Rig::ready();
        // As the first object for the programme, and as a change of a session with other ones.
        for known in [None, Some(object(3, 1, OK))] {
            if let Some(known) = &known {
                open(&mut rig, known);
            }
            let object =
                Object { command: programme, components: components.into(), ..object(5, 1, OK) };
            let reply = give(&mut rig, &object).unwrap();
            rig.section(air::NEWS_ECM, &air::news_ecm(4));
            rig.run(300);
            let pids: Vec<u16> =
                rig.ecw.values().flat_map(|ecw| &ecw.es_pids).map(|p| p.value()).collect();
            assert_eq!(pids, served, "{programme:?} {components:?}");
            assert_eq!(reply.session.is_some(), !served.is_empty(), "{programme:?} {components:?}");
            give(&mut rig, &Object { list: 5, command: Some(NOT_SELECTED), ..object }).unwrap();
        }
    }
}

/// An object without components, as a host sends it to end its list: never "free to air".
#[test]
fn an_empty_programme_selects_nothing() {
    for command in [None, Some(OK), Some(MMI), Some(QUERY), Some(NOT_SELECTED)] {
        for (list, number, left) in
            [(3, 0, &[][..]), (1, 0, &[]), (5, 1, &[2]), (4, 0, &[1, 2]), (2, 2, &[1])]
        {
            let mut rig = Rig::ready();
            let sessions = [(1, 1), (2, 2)]
                .map(|(list, number)| (number, open(&mut rig, &object(list, number, OK))));
            let components = vec![];
            let object = Object { command, components, ..object(list, number, OK) };
            let reply = give(&mut rig, &object).unwrap();
            assert_eq!((reply.session, number_of(reply)), (None, 0), "nothing was selected");
            // Even an empty query is a question.
            let left = if command == Some(QUERY) { &[1, 2] } else { left };
            assert_eq!(standing(&rig, &sessions), left, "{command:?} {list} {number}");
        }
    }
}

/// A query asks: it opens, changes and closes nothing, whatever its list management.
#[test]
fn a_query_changes_nothing() {
    let mut rig = Rig::ready();
    let session = open(&mut rig, &object(3, 1, OK));
    rig.section(air::NEWS_ECM, &air::news_ecm(4));
    rig.run(300);
    rig.take_events();
    for list in 0..=5 {
        for number in [1, 2] {
            let reply = give(&mut rig, &object(list, number, QUERY)).unwrap();
            assert_eq!((reply.session, rig.take_events()), (None, vec![]), "{list} {number}");
            assert!(rig.has_ecw(session));
        }
    }
}

/// CA_enable of a query and of ok_descrambling, in every state of card and programme.
#[test]
fn ca_enable_says_how_the_programme_stands() {
    let clear = |list, command| Object { ca: vec![], ..object(list, 1, command) };
    let of = |system: u16, operator: u16, list, command| {
        let ca = [(CaSystemId::new(system), air::NEWS_ECM, operator, 2)];
        Object { ca: air::ca_descriptors(&ca), ..object(list, 1, command) }
    };
    let ours = |list, command| of(0x4AF0, OPERATOR.value(), list, command);
    let foreign = |list, command| of(0x0500, OPERATOR.value(), list, command);
    let other = |list, command| of(0x4AF0, 0x7777, list, command);
    let ready = Rig::ready;
    let starting = || Rig::new(config(air::stored_pairing()));
    let out = || {
        let mut rig = Rig::ready();
        rig.inserted = false;
        rig.input(Input::CardAbsent(cam_core::Absence::Removed));
        rig
    };
    type Make<'a> = &'a dyn Fn() -> Rig;
    type Ask<'a> = &'a dyn Fn(u8, u8) -> Object;
    for (state, make, ask, expected) in [
        ("no CA", &ready as Make, &clear as Ask, 0x01),
        ("no CA, card out", &out, &clear, 0x01),
        ("never asked", &ready, &ours, 0x01),
        ("foreign system", &ready, &foreign, 0x71),
        ("foreign system, card out", &out, &foreign, 0x71),
        ("other operator", &ready, &other, 0x71),
        ("starting", &starting, &ours, 0x73),
        ("starting, operator not known yet", &starting, &other, 0x73),
        ("card out", &out, &ours, 0x73),
    ] {
        let mut rig = make();
        assert_eq!(enable(&mut rig, &ask(3, QUERY)), expected, "{state}");
        assert_eq!(enable(&mut rig, &ask(3, OK)), expected, "{state}");
        assert_eq!(enable(&mut rig, &ask(5, MMI)), expected, "{state}");
        assert_eq!(enable(&mut rig, &ask(4, QUERY)), expected, "{state}, with a session");
    }
}

/// A query answers from the open session, whoever opened it.
#[test]
fn a_query_answers_from_the_session() {
    use crate::rig::card::key;
    for (what, section, expected) in [
        ("granted", air::ecm_with(1, 1, 4, &key(0x20), air::package(1)), 0x01),
        ("denied", air::ecm_with(1, 1, 4, &key(0x20), air::package(7)), 0x71),
        ("purchasable", air::ecm_with(2, 1, 4, &key(0x30), air::ppv(2001, 1200)), 0x02),
        ("no key", air::ecm_with(1, 9, 4, &key(0x66), air::package(1)), 0x73),
    ] {
        for by_pmt in [true, false] {
            let mut rig = Rig::ready();
            if by_pmt {
                rig.open(&air::news());
            } else {
                open(&mut rig, &object(3, 1, OK));
            }
            rig.section(air::NEWS_ECM, &section);
            rig.run(1500);
            assert!(rig.card.count(INS_ECM) > 0);
            assert_eq!(enable(&mut rig, &object(3, 1, QUERY)), expected, "{what}");
            let elsewhere = rig.engine.ca_pmt(rig.now, 1, &object(3, 1, QUERY).octets());
            assert_eq!(number_of(elsewhere.unwrap()), 0x01, "another source knows nothing of it");
            if !by_pmt {
                assert_eq!(enable(&mut rig, &object(5, 1, OK)), expected, "{what}");
            }
        }
    }
}

/// A component that cannot be served is told; a host that wants only the others leaves it out.
#[test]
fn a_component_left_out_is_in_ca_enable() {
    let of = |system: u16, operator: u16, suite| {
        let ecm_pid = Pid::from_field(0x0170);
        air::ca_descriptors(&[(CaSystemId::new(system), ecm_pid, operator, suite)])
    };
    for (what, ca, expected) in [
        ("foreign", of(0x0500, OPERATOR.value(), 2), 0x71),
        ("another operator's", of(0x4AF0, 0x7777, 2), 0x71),
        ("of another suite", of(0x4AF0, OPERATOR.value(), 3), 0x73),
    ] {
        let with = |list, command, second| {
            let served = object(list, 1, command);
            let info = |ca, command| CaInfo {
                command: CommandId(command),
                descriptors: Descriptors::parse(ca).unwrap(),
            };
            let stream = |pid, info| CaStream { stream_type: 2, pid: Pid::from_field(pid), info };
            let object = CaPmt {
                list_management: ListManagement(list),
                program_number: 1,
                version: 0,
                current: true,
                program: Some(info(&served.ca, command)),
                streams: vec![stream(0x100, None), stream(0x101, Some(info(&ca, second)))],
            };
            let mut out = Vec::new();
            object.emit(&mut out).unwrap();
            out
        };
        let ask = |rig: &mut Rig, octets: &[u8]| {
            let reply = rig.engine.ca_pmt(rig.now, 0, octets).unwrap();
            rig.drain();
            number_of(reply)
        };
        let mut rig = Rig::ready();
        assert_eq!(ask(&mut rig, &with(3, QUERY, QUERY)), expected, "{what}");
        assert_eq!(ask(&mut rig, &with(3, QUERY, NOT_SELECTED)), 0x01, "{what}, left out");
        assert_eq!(ask(&mut rig, &with(3, OK, OK)), expected, "{what}");
        assert_eq!(ask(&mut rig, &with(5, OK, NOT_SELECTED)), 0x01, "{what}, left out");
        // Without a card that is what is wrong.
        let mut rig = Rig::ready();
        rig.inserted = false;
        rig.input(Input::CardAbsent(cam_core::Absence::Removed));
        assert_eq!(ask(&mut rig, &with(3, QUERY, QUERY)), 0x73, "{what}, card out");
        assert_eq!(ask(&mut rig, &with(3, OK, OK)), 0x73, "{what}, card out");
    }
}

/// A list that is refused for want of room leaves the old one as it is; one whose predecessor makes
/// room is taken.
#[test]
fn a_new_list_needs_room_before_the_old_one_ends() {
    for list in [1, 3] {
        for listed in 0..3_u16 {
            let mut rig = Rig::ready();
            let mut sessions: Vec<(u16, SessionId)> = (1..=listed)
                .map(|number| (number, open(&mut rig, &object(4, number, OK))))
                .collect();
            let own = (1..).map_while(|n| {
                rig.engine.session_open(rig.now, 1, &air::pmt(n, air::CINEMA_ECM, None, 0x200)).ok()
            });
            let own: Vec<_> = own.collect();
            rig.drain();
            rig.take_events();
            let reply = give(&mut rig, &object(list, 9, OK));
            if listed == 0 {
                let refused = reply.unwrap_err();
                assert!(refused.contains("sessions are open: close one"), "{refused}");
                assert_eq!(rig.take_events(), []);
            } else {
                sessions.push((9, reply.unwrap().session.unwrap()));
                assert_eq!(standing(&rig, &sessions), [9]);
            }
            assert!(own.iter().all(|id| rig.engine.access(*id).is_some()));
        }
    }
}
