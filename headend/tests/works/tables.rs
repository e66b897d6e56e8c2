// SPDX-License-Identifier: Apache-2.0
//! Sources whose tables are not all alike: damaged ones, tables of tomorrow, other tables beside
//! them.

use crate::support::{packaged, pid, schedule, source};
use ecm_emm::pat::{Pat, Program};
use ecm_emm::pmt::Pmt;
use ecm_emm::section::LongSection;
use headend::carriage;
use headend::inspect::inspect;
use headend::psi;
use headend::stream::{self, Packetizer, Stream};

const SERVICE: u16 = 1;

/// The PMTs of the demo's first service, each in one packet.
fn pmt_packets(stream: &Stream) -> Vec<usize> {
    let programs = psi::programs(stream.packets()).unwrap();
    let program = programs.iter().find(|program| program.number == SERVICE).unwrap();
    let pmts = stream.packets().iter().enumerate();
    pmts.filter(|(_, packet)| stream::pid(packet) == program.pid).map(|(index, _)| index).collect()
}

/// Puts another section in a packet's place.
fn replace(stream: &mut Stream, index: usize, section: &[u8]) {
    let packet = &mut stream.packets_mut()[index];
    packet[5..].fill(0xFF);
    packet[5..5 + section.len()].copy_from_slice(section);
}

/// The section with other header fields and a good CRC.
fn changed(section: &[u8], change: impl Fn(&mut LongSection<'_>)) -> Vec<u8> {
    let mut fields = LongSection::parse(section).unwrap();
    change(&mut fields);
    let mut out = Vec::new();
    fields.emit(&mut out).unwrap();
    out
}

fn old_section(stream: &Stream) -> Vec<u8> {
    let first = stream.packets()[pmt_packets(stream)[0]];
    carriage::sections(&[first], stream::pid(&first))[0].section.clone()
}

/// What no receiver takes for the service's PMT is none for the head-end either: the PMTs around it
/// are rewritten, and it stays as it is.
#[test]
fn what_is_no_pmt_of_the_service_is_passed_by() {
    let clean = source();
    let old = old_section(&clean);
    let next = changed(&old, |section| {
        section.current = false;
        section.version = (section.version + 1) % 32;
    });
    let mut checksum = old.clone();
    *checksum.last_mut().unwrap() ^= 1;
    let mut length = old.clone();
    length[1] |= 0x03;
    let other_programme = changed(&old, |section| section.extension = 9);
    let other_table = changed(&old, |section| section.table_id = 0xC0);
    for (what, section) in [
        ("a next PMT", next),
        ("a bad CRC", checksum),
        ("a bad length", length),
        ("a PMT that the PAT does not name", other_programme),
        ("another table", other_table),
    ] {
        for place in [0, 1] {
            let mut stream = clean.clone();
            replace(&mut stream, pmt_packets(&clean)[place], &section);
            let (result, _) =
                packaged(&stream, &schedule(), &[]).map_err(|e| e.to_string()).unwrap();
            for (at, index) in pmt_packets(&clean).into_iter().enumerate() {
                let same = stream.packets()[index] == result.packets()[index];
                assert_eq!(same, at == place, "{what}: PMT {at}");
            }
            assert!(inspect(&result).unwrap().contains("scrambling mode"), "{what}");
        }
    }
}

#[test]
fn a_source_without_a_good_pmt_is_refused_by_what_is_wrong() {
    let clean = source();
    let old = old_section(&clean);
    let mut damaged = old.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for (section, everywhere, named) in [
        (damaged, true, &["checksum", "cut the stream around it"]),
        (
            changed(&old, |section| section.current = false),
            true,
            &["no current PMT of service 1", "take a longer cut, or another service"],
        ),
        (
            changed(&old, |section| section.last_number = 1),
            false,
            &["last_section_number", "at its multiplexer"],
        ),
    ] {
        let mut stream = clean.clone();
        for index in pmt_packets(&clean).into_iter().skip(if everywhere { 0 } else { 1 }) {
            replace(&mut stream, index, &section);
        }
        let why = packaged(&stream, &schedule(), &[]).map(|_| ()).unwrap_err().to_string();
        assert!(named.iter().all(|part| why.contains(part)), "{named:?}: {why}");
    }
}

/// Version 31 is followed by 0.
#[test]
fn the_version_wraps() {
    let mut stream = source();
    let last = changed(&old_section(&stream), |section| section.version = 31);
    for index in pmt_packets(&source()) {
        replace(&mut stream, index, &last);
    }
    let (result, _) = packaged(&stream, &schedule(), &[]).unwrap();
    assert_eq!(Pmt::parse(&old_section(&result)).unwrap().version, 0);
}

#[test]
fn the_pat_is_the_current_one_and_all_of_it() {
    const CURRENT: bool = true;
    const NEXT: bool = false;
    let pat = |version, current, number: (u8, u8), of: &[(u16, u16)]| {
        let programs = of.iter().map(|&(number, at)| Program { number, pid: pid(at) }).collect();
        let mut out = Vec::new();
        Pat { transport_stream_id: 1, version, current, number, programs }.emit(&mut out).unwrap();
        out
    };
    let next = pat(1, NEXT, (0, 0), &[(1, 0x300)]);
    let mut damaged = pat(0, CURRENT, (0, 0), &[(1, 0x300)]);
    *damaged.last_mut().unwrap() ^= 1;
    let whole = pat(0, CURRENT, (0, 0), &[(1, 0x100), (2, 0x200)]);
    let (first, second) =
        (pat(0, CURRENT, (0, 1), &[(1, 0x100)]), pat(0, CURRENT, (1, 1), &[(2, 0x200)]));
    let later = pat(1, CURRENT, (0, 0), &[(1, 0x300)]);
    for sections in [
        vec![&next, &whole],
        vec![&whole, &next],
        vec![&damaged, &whole],
        vec![&first, &second],
        vec![&second, &first],
        vec![&first, &first, &next, &second, &later],
    ] {
        let mut packetizer = Packetizer::new(cam_types::Pid::PAT);
        let packets: Vec<_> = sections.iter().map(|s| packetizer.packet(s, 0)).collect();
        let mut programs: Vec<_> =
            psi::programs(&packets).unwrap().iter().map(|p| (p.number, p.pid.value())).collect();
        programs.sort_unstable();
        assert_eq!(programs, [(1, 0x100), (2, 0x200)]);
    }
    for none in [&next, &damaged] {
        let packets = [Packetizer::new(cam_types::Pid::PAT).packet(none, 0)];
        assert!(psi::programs(&packets).is_err());
    }
}
