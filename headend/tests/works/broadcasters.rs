// SPDX-License-Identifier: Apache-2.0
//! What broadcasters have: tables that change, that share their packets or their PID, that grow; a
//! CAT; components of two services; a clock that starts anew; damaged packets.

use crate::made::{
    AUDIO, Next, PMT, SCHEDULE, TICKS_PER_PACKET, VIDEO, alone, packed, pat, pmt, schedule,
    schedule_of, service, service_with, stream,
};
use crate::support::{discontinuities, ecms, packaged, pid, scrambled_as_announced};
use cam_types::Pid;
use ecm_emm::cat::Cat;
use ecm_emm::descriptor::{Descriptor, Descriptors};
use ecm_emm::pmt::Pmt;
use ecm_emm::section::LongSection;
use headend::carriage;
use headend::files::schedule::Schedule;
use headend::report::Report;
use headend::scrambler::Algorithm;
use headend::stream::{self as packet, Stream};

const SECONDS: usize = 5;
const PACKETS: usize = SECONDS * 1000;

fn nulls(place: usize) -> bool {
    place % 20 == 7
}

/// Tables of service 1 behind a PAT that names it.
fn one(tables: impl Fn(usize) -> Vec<Next>) -> Stream {
    stream(service_with(PACKETS, nulls, |place| {
        [alone(0, &pat(&[(1, PMT)])), tables(place)].concat()
    }))
}

/// Packages, and checks what holds whatever the source: counters follow, every component packet is
/// where it was and scrambled as the ECMs say, the PMTs are good.
fn sound(source: &Stream, schedule: &Schedule) -> (Stream, Report) {
    let (result, report) = packaged(source, schedule, &[]).map_err(|e| e.to_string()).unwrap();
    assert_eq!(source.packets().len(), result.packets().len());
    assert_eq!(discontinuities(&result), [0_usize; 0]);
    for (table, service) in schedule.service.iter().zip(&report.services) {
        let (opened, refused) = ecms(&result, table.ecm_pid.value());
        assert!(opened.len() >= SECONDS * 9 && refused == 0, "{} {refused}", opened.len());
        let periods = &service.crypto_periods;
        let (right, wrong) = scrambled_as_announced(
            source,
            &result,
            &opened,
            &service.pids,
            periods,
            Algorithm::Cissa,
        );
        assert!(right > SECONDS * 100 && wrong == 0, "{right} {wrong}");
    }
    for carried in carriage::sections(result.packets(), pid(PMT)) {
        let section = LongSection::parse(&carried.section).unwrap();
        if (section.table_id, section.extension) == (Pmt::TABLE_ID, 1) {
            assert!(Pmt::parse(&carried.section).unwrap().scrambling_mode().is_some());
        }
    }
    (result, report)
}

fn refusal(source: &Stream, schedule: &Schedule) -> String {
    packaged(source, schedule, &[]).map(|_| ()).unwrap_err().to_string()
}

/// The PMTs of a service in the result.
fn pmts(result: &Stream, service: u16) -> Vec<Vec<u8>> {
    let sections = carriage::sections(result.packets(), pid(PMT)).into_iter();
    sections
        .map(|carried| carried.section)
        .filter(|section| Pmt::parse(section).is_ok_and(|pmt| pmt.program_number == service))
        .collect()
}

const PLAIN: &[(u8, u16)] = &[(0x1B, VIDEO), (0x0F, AUDIO)];

#[test]
fn a_pmt_may_change_in_mid_stream() {
    let (first, second) = (pmt(1, 3, &[(0x1B, VIDEO)], 0), pmt(1, 4, PLAIN, 0));
    let source = one(|place| alone(PMT, if place < 2500 { &first } else { &second }));
    let (result, report) = sound(&source, &schedule());
    let versions: Vec<u8> =
        pmts(&result, 1).iter().map(|section| Pmt::parse(section).unwrap().version).collect();
    assert_eq!(versions, [[4; 25], [5; 25]].concat());
    // The audio that has begun before its PMT is not in clear.
    assert_eq!(report.services[0].pids, [VIDEO, AUDIO]);
}

/// A component that another version names as sections is scrambled while it carries PES packets.
#[test]
fn a_component_may_become_another() {
    let (first, second) = (pmt(1, 0, PLAIN, 0), pmt(1, 1, &[(0x1B, VIDEO), (0x05, AUDIO)], 0));
    let source = one(|place| alone(PMT, if place < 2500 { &first } else { &second }));
    let (result, _) = packaged(&source, &schedule(), &[]).map_err(|e| e.to_string()).unwrap();
    for (index, of) in result.packets().iter().enumerate() {
        if packet::pid(of) == pid(AUDIO) && !(2500..2510).contains(&index) {
            assert_eq!(packet::scrambling_control(of) >= 2, index < 2500, "{index}");
        }
    }
}

#[test]
fn one_pid_may_carry_the_pmts_of_several_services() {
    const OTHER: u16 = 0x0200;
    let (ours, theirs) = (pmt(1, 0, PLAIN, 40), pmt(2, 7, &[(0x1B, OTHER)], 60));
    for in_one_packet in [false, true] {
        let source = stream(service_with(PACKETS, nulls, |_| {
            let tables = match in_one_packet {
                true => packed(PMT, &[theirs.clone(), ours.clone()]),
                false => [alone(PMT, &theirs), alone(PMT, &ours)].concat(),
            };
            [alone(0, &pat(&[(2, PMT), (1, PMT)])), tables].concat()
        }));
        let (result, _) = sound(&source, &schedule());
        assert_eq!(pmts(&result, 1).len(), PACKETS / 100);
        assert_eq!(pmts(&result, 2), vec![theirs.clone(); PACKETS / 100]);
    }
}

/// Sections one behind the other, with a private table between: each PMT begins where it likes.
#[test]
fn a_pmt_need_not_begin_its_packet() {
    let private = LongSection {
        table_id: 0xC0,
        extension: 1,
        version: 0,
        current: true,
        number: 0,
        last_number: 0,
        data: &[0x5A; 90],
    };
    let mut other = Vec::new();
    private.emit(&mut other).unwrap();
    let ours = pmt(1, 0, PLAIN, 70);
    for order in [[&other, &ours, &other], [&ours, &other, &ours], [&ours, &ours, &other]] {
        let sections: Vec<Vec<u8>> = order.into_iter().cloned().collect();
        let (result, _) = sound(&one(|_| packed(PMT, &sections)), &schedule());
        let on_air = carriage::sections(result.packets(), pid(PMT));
        assert_eq!(on_air.len(), 3 * PACKETS / 100);
        for (carried, source) in on_air.iter().zip(order.iter().cycle()) {
            assert_eq!(carried.section == other, **source == other);
        }
    }
}

/// From 172 octets on the descriptors take one packet more at some lengths. The longest ones have
/// no room for them in a section.
#[test]
fn a_pmt_of_any_length_is_announced() {
    let bare = pmt(1, 0, PLAIN, 0).len();
    for length in (172..=184).chain([300, 354, 367, 368, 551, 735, 919, 1000, 1010]) {
        let table = pmt(1, 0, PLAIN, length - bare);
        assert_eq!(table.len(), length);
        let (result, _) = sound(&one(|_| alone(PMT, &table)), &schedule());
        let on_air = pmts(&result, 1);
        assert_eq!(on_air.len(), PACKETS / 100, "{length}");
        assert!(on_air.iter().all(|section| section.len() == length + 14), "{length}");
    }
    for length in [1011, 1021, 1024] {
        let table = pmt(1, 0, PLAIN, length - bare);
        let why = refusal(&one(|_| alone(PMT, &table)), &schedule());
        for part in ["PMT of service 1", "at most 1024 are allowed", "take descriptors out"] {
            assert!(why.contains(part), "{why}");
        }
    }
}

/// A clock reference or a discontinuity_indicator in a packet of the PMT stays where it is.
#[test]
fn the_adaptation_field_of_a_table_stays() {
    let table = pmt(1, 0, PLAIN, 0);
    let mut source = stream(service(PACKETS, nulls));
    let mut fields = 0;
    for of in source.packets_mut().iter_mut().filter(|of| packet::pid(of) == pid(PMT)) {
        of[3] |= 0x20;
        of[4..6].copy_from_slice(&[9, 0x00]);
        of[6..14].fill(0xFF);
        of[14] = 0;
        of[15..15 + table.len()].copy_from_slice(&table);
        of[15 + table.len()..].fill(0xFF);
        fields += 1;
    }
    let (result, _) = sound(&source, &schedule());
    let kept = result.packets().iter().filter(|of| packet::pid(of) == pid(PMT));
    assert_eq!(kept.filter(|of| of[3] & 0x20 != 0 && of[4] == 9).count(), fields);
    assert_eq!(pmts(&result, 1).len(), fields);
}

/// What the source's PMT says of another scrambling: CA_descriptors of a component stand in place
/// of the programme's, so ours is among them; two scrambling_descriptors are one too many.
#[test]
fn a_source_may_speak_of_another_scrambling() {
    let foreign = [0x09, 4, 0x18, 0x63, 0xE3, 0x21];
    let mut streams = Vec::new();
    for (stream_type, number, octets) in
        [(0x1B, VIDEO, &foreign[..]), (0x0F, AUDIO, &[]), (0x05, 0x0333, &foreign)]
    {
        let descriptors = Descriptors::parse(octets).unwrap();
        let stream = ecm_emm::pmt::Stream { stream_type, pid: pid(number), descriptors };
        stream.emit(&mut streams).unwrap();
    }
    let plain = pmt(1, 0, PLAIN, 0);
    let table = Pmt {
        descriptors: Descriptors::parse(&[0x65, 1, 0x02]).unwrap(),
        streams: ecm_emm::pmt::Streams::parse(&streams).unwrap(),
        ..Pmt::parse(&plain).unwrap()
    };
    let mut section = Vec::new();
    table.emit(&mut section).unwrap();
    let (result, _) = sound(&one(|_| alone(PMT, &section)), &schedule());
    let on_air = pmts(&result, 1);
    let pmt = Pmt::parse(&on_air[0]).unwrap();
    assert_eq!(pmt.scrambling_mode().map(|mode| mode.0), Some(0x10));
    let named = |descriptors: Descriptors<'_>| -> Vec<u16> {
        descriptors.ca_descriptors().map(|descriptor| descriptor.pid.value()).collect()
    };
    assert_eq!(named(pmt.descriptors()), [0x140]);
    let of_streams: Vec<_> = pmt.streams().map(|stream| named(stream.descriptors)).collect();
    assert_eq!(of_streams, [vec![0x321, 0x140], vec![], vec![0x321]]);
}

fn cat(version: u8, descriptors: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    for n in 0..descriptors {
        Descriptor { tag: 0x09, data: &[0x18, 0x63, 0xE3, n as u8] }.emit(&mut octets).unwrap();
    }
    let descriptors = Descriptors::parse(&octets).unwrap();
    let mut out = Vec::new();
    Cat { version, current: true, number: (0, 0), descriptors }.emit(&mut out).unwrap();
    out
}

/// The CATs of the result: version, number, last number and PIDs.
fn cats(result: &Stream) -> Vec<(u8, (u8, u8), Vec<u16>)> {
    let mut seen = Vec::new();
    for carried in carriage::sections(result.packets(), Pid::CAT) {
        let cat = Cat::parse(&carried.section).unwrap();
        let pids = cat.descriptors.ca_descriptors().map(|d| d.pid.value()).collect();
        let one = (cat.version, cat.number, pids);
        if seen.last() != Some(&one) {
            seen.push(one);
        }
    }
    seen
}

#[test]
fn a_cat_in_the_source_is_joined() {
    let table = pmt(1, 0, PLAIN, 0);
    let with = |cat: &dyn Fn(usize) -> Vec<u8>| {
        one(|place| [alone(PMT, &table), alone(1, &cat(place))].concat())
    };
    let (result, report) = sound(&with(&|_| cat(6, 2)), &schedule());
    assert_eq!(cats(&result), [(7, (0, 0), vec![0x300, 0x301, 0x150])]);
    assert!(report.cat.count >= SECONDS * 2);

    // In mid-stream, behind a damaged one.
    let changing = |place: usize| match place {
        2000 => {
            let mut damaged = cat(9, 1);
            damaged[10] ^= 1;
            damaged
        }
        place => cat(if place < 2500 { 31 } else { 0 }, if place < 2500 { 1 } else { 2 }),
    };
    let (result, _) = sound(&with(&changing), &schedule());
    let expected = [(0, (0, 0), vec![0x300, 0x150]), (1, (0, 0), vec![0x300, 0x301, 0x150])];
    assert_eq!(cats(&result), expected);

    // One that is full.
    let (result, _) = sound(&with(&|_| cat(0, 168)), &schedule());
    let found = cats(&result);
    assert_eq!((found[0].1, found[1].1, &found[1].2[..]), ((0, 1), (1, 1), &[0x150][..]));
}

/// Audio of both services: refused, in clear by choice, or under one ECM.
#[test]
fn a_component_of_two_services() {
    const OTHER: u16 = 0x0200;
    let (ours, theirs) = (pmt(1, 0, PLAIN, 0), pmt(2, 0, &[(0x1B, OTHER), (0x0F, AUDIO)], 0));
    let source = stream(service_with(PACKETS, nulls, |_| {
        let tables = [alone(PMT, &ours), alone(PMT + 1, &theirs)].concat();
        [alone(0, &pat(&[(1, PMT), (2, PMT + 1)])), tables].concat()
    }));
    let why = refusal(&source, &schedule());
    for part in ["0x0101 belongs to services 1 and 2", "also = [2]", "shared = \"clear\""] {
        assert!(why.contains(part), "{why}");
    }
    let with = |line: &str| schedule_of(&SCHEDULE.replace("free = true", line));
    let (result, report) = sound(&source, &with("free = true\nshared = \"clear\""));
    assert_eq!(report.services[0].pids, [VIDEO]);
    let clear = |of: &&packet::Packet| packet::pid(of) == pid(AUDIO);
    assert!(result.packets().iter().filter(clear).all(|of| packet::scrambling_control(of) == 0));

    let (result, report) = sound(&source, &with("free = true\nalso = [2]"));
    assert_eq!(report.services[0].pids, [VIDEO, AUDIO, OTHER]);
    let found = carriage::sections(result.packets(), pid(PMT + 1));
    let pmt = Pmt::parse(&found[0].section).unwrap();
    let named: Vec<u16> = pmt.descriptors().ca_descriptors().map(|d| d.pid.value()).collect();
    assert_eq!(named, [0x140]);
}

/// A clock that starts anew, announced or not, back or ahead: time goes on with the packets.
#[test]
fn a_clock_may_start_anew() {
    let hour = 3600 * 27_000_000;
    for (shift, announced) in [(hour, true), (hour, false), (1000 * 27_000_000 * 60, true)] {
        let next =
            service(PACKETS, nulls).into_iter().enumerate().map(|(place, next)| match next {
                Next::Clock(number, ..) if place >= 2510 => {
                    Next::Clock(number, shift, announced && place == 2510)
                }
                next => next,
            });
        let (_, report) = sound(&stream(next), &schedule());
        assert_eq!(report.clock_jumps, [2510]);
        let per_second = 27_000_000 / TICKS_PER_PACKET as usize;
        let starts: Vec<usize> =
            report.services[0].crypto_periods.iter().map(|period| period.first_packet).collect();
        assert_eq!(starts, [0, 10 + 2 * per_second, 10 + 4 * per_second]);
    }
}

/// A service without a clock of its own goes by another's.
#[test]
fn a_service_without_a_pcr_goes_by_the_clock_of_another() {
    let (ours, theirs) = (pmt(1, 0, &[(0x0F, AUDIO)], 0), pmt(2, 0, &[(0x1B, VIDEO)], 0));
    let mut without = LongSection::parse(&ours).unwrap();
    let data = [&[0xFF, 0xFF], &without.data[2..]].concat(); // PCR_PID
    without.data = &data;
    let mut table = Vec::new();
    without.emit(&mut table).unwrap();
    let source = stream(service_with(PACKETS, nulls, |_| {
        let tables = [alone(PMT, &table), alone(PMT + 1, &theirs)].concat();
        [alone(0, &pat(&[(1, PMT), (2, PMT + 1)])), tables].concat()
    }));
    let (_, report) = sound(&source, &schedule());
    assert_eq!((report.clock_pid, report.services[0].crypto_periods.len()), (VIDEO, 3));
}

/// A packet that says of itself that it is damaged is read for nothing.
#[test]
fn damaged_packets_are_no_reason_to_refuse() {
    let mut source = stream(service(PACKETS, nulls));
    for (index, of) in source.packets_mut().iter_mut().enumerate() {
        if index % 500 == 11 {
            of[1] |= 0x80; // of a component, with the mark of a scrambled one
            of[3] |= 0xC0;
        }
        if index % 500 == 10 {
            of[1] |= 0x80; // with a PCR of nowhere
            of[6] ^= 0x55;
        }
    }
    let (result, report) = packaged(&source, &schedule(), &[]).unwrap();
    assert_eq!(report.clock_jumps, [0_usize; 0]);
    assert_eq!(result.packets().len(), PACKETS);
}

/// What no broadcast can be made of is refused with what would do.
#[test]
fn a_source_without_a_clock_or_components_is_told_what_would_do() {
    let mut still = stream(service(PACKETS, nulls));
    for of in still.packets_mut().iter_mut().filter(|of| packet::pcr(of).is_some()) {
        of[5] &= !0x10; // PCR_flag
    }
    let sections = pmt(1, 0, &[(0x05, VIDEO)], 0);
    for (source, parts) in [
        (still, ["no PCR in the source", "any service's will do"]),
        (one(|_| alone(PMT, &sections)), ["no component that carries PES", "out of the schedule"]),
    ] {
        let why = refusal(&source, &schedule());
        assert!(parts.iter().all(|part| why.contains(part)), "{why}");
    }
}

#[test]
fn a_pid_that_is_taken_is_told_with_one_that_is_free() {
    let table = pmt(1, 0, PLAIN, 0);
    let source = one(|_| [alone(PMT, &table), alone(0x140, &table)].concat());
    let why = refusal(&source, &schedule());
    assert!(why.contains("ecm_pid 0x0140 is taken") && why.contains("0x0020 is free"), "{why}");
}

/// SDT and EIT say that a service is scrambled, of this stream and no other, in every section of
/// the table, one version on.
#[test]
fn service_information_says_that_a_service_is_scrambled() {
    let long = |table_id, extension, number: (u8, u8), data: &[u8]| {
        let mut out = Vec::new();
        let section = LongSection {
            table_id,
            extension,
            version: 31,
            current: true,
            number: number.0,
            last_number: number.1,
            data,
        };
        section.emit(&mut out).unwrap();
        out
    };
    let sdt = |of: u16| [0x12, 0x01, 0xFF, 0x00, of as u8, 0xFC, 0x80, 0x02, 0x48, 0x00];
    let event = [0, 1, 0, 1, 0, 0x4E, 0, 7, 0xEE, 0xEE, 0, 0, 0, 0, 1, 0, 0x80, 2, 0x4D, 0];
    let sections = [
        long(0x42, 1, (0, 1), &sdt(1)),
        long(0x42, 1, (1, 1), &sdt(2)),
        long(0x46, 1, (0, 0), &sdt(1)),
        long(0x4E, 1, (0, 1), &event),
        long(0x4E, 1, (1, 1), &event[..6]),
        long(0x4E, 2, (0, 0), &event),
        long(0x4F, 1, (0, 0), &event),
        long(0x50, 1, (0, 0), &[&event[..], &event[6..]].concat()),
    ];
    let table = pmt(1, 0, PLAIN, 0);
    let source = one(|_| {
        [alone(PMT, &table), packed(0x11, &sections[..3]), packed(0x12, &sections[3..])].concat()
    });
    let (result, _) = sound(&source, &schedule());
    let on_air = |number| {
        let found = carriage::sections(result.packets(), pid(number)).into_iter();
        found.map(|carried| carried.section).collect::<Vec<_>>()
    };
    let found = [&on_air(0x11)[..3], &on_air(0x12)[..5]].concat();
    for (place, (before, after)) in sections.iter().zip(&found).enumerate() {
        let (old, new) = (LongSection::parse(before).unwrap(), LongSection::parse(after).unwrap());
        let ours = [0, 1, 3, 4, 7].contains(&place);
        assert_eq!(new.version, if ours { 0 } else { 31 }, "{place}");
        let set: Vec<usize> =
            (0..old.data.len()).filter(|&at| old.data[at] ^ new.data[at] == 0x10).collect();
        let expected: &[usize] = match place {
            0 => &[6],
            3 => &[16],
            7 => &[16, 30],
            _ => &[],
        };
        assert_eq!(set, expected, "{place}");
        assert_eq!(old.data.iter().zip(new.data).filter(|(a, b)| a != b).count(), set.len());
    }
}
