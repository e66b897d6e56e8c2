// SPDX-License-Identifier: Apache-2.0
//! Sources whose tables are not all alike: damaged ones, tables of tomorrow, other tables beside
//! them.

use crate::support::{packaged, pid, schedule, source};
use ecm_emm::pat::{Pat, Program};
use ecm_emm::pmt::Pmt;
use ecm_emm::section::LongSection;
use headend::carriage::{self, Unit};
use headend::inspect::inspect;
use headend::psi;
use headend::stream::{Packetizer, Stream};

const SERVICE: u16 = 1;

fn pmt_units(stream: &Stream) -> Vec<Unit> {
    let programs = psi::programs(stream.packets()).unwrap();
    let program = programs.iter().find(|program| program.number == SERVICE).unwrap();
    carriage::units(stream.packets(), program.pid)
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
    let units = pmt_units(stream);
    ecm_emm::section::sections(&units[0].octets).next().unwrap().to_vec()
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
            pmt_units(&clean)[place].replace(stream.packets_mut(), &section);
            let (result, _) =
                packaged(&stream, &schedule(), &[]).map_err(|e| e.to_string()).unwrap();
            for (at, unit) in pmt_units(&result).iter().enumerate() {
                let before: Vec<_> = unit.packets.iter().map(|&i| stream.packets()[i]).collect();
                let after: Vec<_> = unit.packets.iter().map(|&i| result.packets()[i]).collect();
                assert_eq!(before == after, at == place, "{what}: PMT {at}");
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
    let version = |n| move |section: &mut LongSection<'_>| section.version = n;
    for (section, everywhere, named) in [
        (damaged, true, "checksum"),
        (changed(&old, |section| section.current = false), true, "no current PMT of service 1"),
        (changed(&old, |section| section.last_number = 1), false, "last_section_number"),
        (changed(&old, version(7)), false, "changes at packet"),
    ] {
        let mut stream = clean.clone();
        for unit in pmt_units(&clean).iter().skip(if everywhere { 0 } else { 1 }) {
            unit.replace(stream.packets_mut(), &section);
        }
        let why = packaged(&stream, &schedule(), &[]).map(|_| ()).unwrap_err().to_string();
        assert!(why.contains(named), "{named}: {why}");
    }
}

/// Version 31 is followed by 0.
#[test]
fn the_version_wraps() {
    let mut stream = source();
    let last = changed(&old_section(&stream), |section| section.version = 31);
    for unit in pmt_units(&source()) {
        unit.replace(stream.packets_mut(), &last);
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
