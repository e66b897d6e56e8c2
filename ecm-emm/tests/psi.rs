// SPDX-License-Identifier: Apache-2.0
//! PSI and CA_PMT: round trips, and the signalling of real broadcasts.

use crate::transport::sections_on;
use crate::values::{octets, pid};
use cam_types::{CaSystemId, ChannelId, DecodeError, OperatorId, Pid};
use ecm_emm::EncodeError;
use ecm_emm::box_emm::BoxEmm;
use ecm_emm::ca_descriptor::{CaDescriptor, CaPrivate};
use ecm_emm::ca_pmt::{CaInfo, CaPmt, CaStream, CommandId, ListManagement};
use ecm_emm::cat::Cat;
use ecm_emm::descriptor::{Descriptor, Descriptors};
use ecm_emm::ecm::{Ecm, EcmKind};
use ecm_emm::emm::Emm;
use ecm_emm::pat::{Pat, Program};
use ecm_emm::pmt::{Pmt, Stream, Streams};
use ecm_emm::scrambling::{Algorithm, ScramblingMode};
use ecm_emm::section::{CaSection, LongSection, sections};
use hex_literal::hex;
use proptest::prelude::*;

const ASTRA: &[u8] = include_bytes!("captures/astra_canalplus_psi_ecm_emm_test-011.ts");
const ARIB: &[u8] = include_bytes!("captures/arib_ecm_pid_1fff_test-101.ts");

/// What a capture's signalling names.
#[derive(Default)]
struct Signalling {
    pmts: usize,
    ca_descriptors: usize,
    ecm_pids: Vec<Pid>,
    emm_pids: Vec<Pid>,
}

fn walk(stream: &[u8]) -> Signalling {
    let mut found = Signalling::default();
    let mut programs = Vec::new();
    for section in sections_on(stream, Pid::PAT) {
        let pat = Pat::parse(&section).unwrap();
        assert_eq!(emitted(|out| pat.emit(out)), section);
        programs.extend(pat.programs.into_iter().filter(|program| program.number != 0));
    }
    assert!(!programs.is_empty());
    for section in sections_on(stream, Pid::CAT) {
        let cat = Cat::parse(&section).unwrap();
        assert_eq!(emitted(|out| cat.emit(out)), section);
        found.ca_descriptors += cat.descriptors.ca_descriptors().count();
        found.emm_pids.extend(cat.descriptors.ca_descriptors().map(|ca| ca.pid));
    }
    programs.sort_by_key(|program| (program.pid, program.number));
    programs.dedup();
    let mut pids: Vec<Pid> = programs.iter().map(|program| program.pid).collect();
    pids.dedup();
    for section in pids.iter().flat_map(|pid| sections_on(stream, *pid)) {
        if section[0] != Pmt::TABLE_ID {
            assert!(Pmt::parse(&section).is_err());
            continue;
        }
        let pmt = Pmt::parse(&section).unwrap();
        assert!(programs.iter().any(|program| program.number == pmt.program_number));
        assert_eq!(emitted(|out| pmt.emit(out)), section);
        found.pmts += 1;
        let levels = pmt.streams().map(|stream| stream.descriptors).chain([pmt.descriptors()]);
        for ca in levels.flat_map(|descriptors| descriptors.ca_descriptors().collect::<Vec<_>>()) {
            found.ca_descriptors += 1;
            found.ecm_pids.push(ca.pid);
        }
    }
    for pids in [&mut found.ecm_pids, &mut found.emm_pids] {
        pids.sort();
        pids.dedup();
    }
    found
}

fn emitted(emit: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) -> Vec<u8> {
    let mut out = Vec::new();
    emit(&mut out).unwrap();
    out
}

/// Every section on these PIDs: how many are short CA sections. None of them is ours.
fn foreign(stream: &[u8], pids: &[Pid]) -> (usize, usize, usize) {
    let (mut short, mut long, mut longest) = (0, 0, 0);
    for section in pids.iter().flat_map(|pid| sections_on(stream, *pid)) {
        match CaSection::parse(&section) {
            Ok(ca) => {
                short += 1;
                assert_eq!(ca.data.len() + 3, section.len());
            }
            Err(_) => long += usize::from(LongSection::parse(&section).is_ok()),
        }
        longest = longest.max(section.len());
        assert!(Ecm::parse(&section).is_err(), "{section:02X?}");
        assert!(Emm::parse(&section).is_err(), "{section:02X?}");
        assert!(BoxEmm::parse(&section).is_err(), "{section:02X?}");
    }
    (short, long, longest)
}

/// The capture's signalling names more ECM PIDs than it has ECMs of; the longest ECM has 384
/// octets.
#[test]
fn astra() {
    let found = walk(ASTRA);
    let cats = sections_on(ASTRA, Pid::CAT);
    let cat = Cat::parse(cats.last().unwrap()).unwrap();
    assert_eq!(cat.descriptors.ca_descriptors().count(), 14);
    assert!(found.pmts > 0);
    let with_sections =
        |pids: &[Pid]| pids.iter().filter(|pid| !sections_on(ASTRA, **pid).is_empty()).count();
    assert_eq!((found.ecm_pids.len(), found.emm_pids.len()), (51, 14));
    assert_eq!((found.pmts, found.ca_descriptors), (13, 79));
    assert_eq!((with_sections(&found.ecm_pids), with_sections(&found.emm_pids)), (29, 8));
    assert_eq!(foreign(ASTRA, &found.ecm_pids), (29, 0, 384));
    assert_eq!(foreign(ASTRA, &found.emm_pids), (94, 0, 183));
}

#[test]
fn arib() {
    let found = walk(ARIB);
    assert!(found.ecm_pids.contains(&Pid::NULL));
    assert!(found.ecm_pids.contains(&Pid::new(0x0121).unwrap()));
    let pids: Vec<Pid> = found.ecm_pids.iter().copied().filter(|pid| *pid != Pid::NULL).collect();
    assert_eq!(foreign(ARIB, &pids), (0, 0, 0));
}

/// An error says what is there and what would be right.
#[test]
fn errors_say_what_would_be_right() {
    let cat = sections_on(ASTRA, Pid::CAT).remove(0);
    let refused = |octets: &[u8], expected: &str| {
        let why = [
            Pat::parse(octets).map(drop),
            Pmt::parse(octets).map(drop),
            CaSection::parse(octets).map(drop),
        ];
        let why = why.map(|why| why.unwrap_err().to_string());
        assert_eq!(why.join("; "), expected);
    };
    refused(
        &cat,
        "table_id is 0x01, expected 0x00 (PAT); table_id is 0x01, expected 0x02 (PMT); \
         table_id is 0x01, expected 0x80 to 0x8F",
    );
    let told = |octets: &[u8]| Cat::parse(octets).unwrap_err().to_string();
    assert_eq!(told(&hex!("80 70 02 ABCD")), "table_id is 0x80, expected 0x01 (CAT)");
    assert_eq!(told(&hex!("01 30 02 ABCD")), "section_syntax_indicator is 0x00, expected 0x01");
    let section = told(&cat[..5]);
    assert!(section.starts_with("section body is cut short: "), "{section}");
    assert!(section.ends_with(" octets expected, 2 there"), "{section}");
    let mut damaged = cat;
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(
        told(&damaged),
        "checksum of the section does not match: it is damaged, a fresh copy is needed"
    );
}

/// Damage on the way: a flipped octet or a lost packet reaches nobody as a table.
#[test]
fn damaged_tables_are_refused() {
    let good = sections_on(ASTRA, Pid::CAT).remove(0);
    for at in 0..good.len() {
        let mut section = good.clone();
        section[at] ^= 0x5A;
        assert!(Cat::parse(&section).is_err(), "{at}");
        assert!(Cat::parse(&good[..at]).is_err(), "{at}");
    }
    assert!(Cat::parse(&[good.as_slice(), &[0xFF]].concat()).is_err());
}

#[test]
fn octet_1_of_short_sections() {
    for high in [0x00, 0x30, 0x40, 0x70] {
        let section = [0x80, high, 2, 0xAB, 0xCD];
        let ca = CaSection { table_id: 0x80, data: &[0xAB, 0xCD] };
        assert_eq!(CaSection::parse(&section), Ok(ca));
    }
    for (section, refused) in [
        (&hex!("80 F0 02 ABCD")[..], "SSI 1"),
        (&hex!("7F 70 02 ABCD"), "table_id"),
        (&hex!("90 70 02 ABCD"), "table_id"),
        (&hex!("80 70 03 ABCD"), "short"),
        (&hex!("80 70 01 ABCD"), "long"),
        (&hex!("80 70"), "header"),
        (&[], "nothing"),
    ] {
        assert!(CaSection::parse(section).is_err(), "{refused}");
    }
    let longest = vec![0; 4093];
    let section = emitted(|out| CaSection { table_id: 0x80, data: &longest }.emit(out));
    assert!(CaSection::parse(&section).is_ok());
    let mut too_long = section.clone();
    too_long[2] = 0xFE;
    too_long.push(0);
    assert!(CaSection::parse(&too_long).is_err());
    let longer = vec![0; 4094];
    assert!(CaSection { table_id: 0x80, data: &longer }.emit(&mut Vec::new()).is_err());
}

#[test]
fn sections_one_behind_the_other() {
    let packet = hex!("80 70 01 AA 81 30 02 BBCC 82 70 05 DD FFFF");
    let found: Vec<&[u8]> = sections(&packet).collect();
    assert_eq!(found, [&hex!("80 70 01 AA")[..], &hex!("81 30 02 BBCC")]);
    assert_eq!(sections(&hex!("80 70 00 FF FFFF")).count(), 1);
    assert_eq!(sections(&[]).count(), 0);
}

#[test]
fn our_ca_descriptor() {
    let private = CaPrivate { operator: OperatorId::new(0x1201), suite: 2, channel: None };
    assert_eq!(private.octets(), hex!("1201 02"));
    assert_eq!(CaPrivate::parse(&private.octets()), Ok(private));
    let of_channel = CaPrivate { channel: Some(ChannelId::new(0x0103)), ..private };
    assert_eq!(of_channel.octets(), hex!("1201 02 0103"));
    for (octets, found) in [
        (&hex!("1201 02 0103")[..], of_channel),
        (&hex!("1201 02 0103 99"), of_channel),
        (&hex!("1201 02 0000"), private),
        (&hex!("1201 02 01"), private),
    ] {
        assert_eq!(CaPrivate::parse(octets), Ok(found));
    }
    assert_eq!(CaPrivate::parse(&hex!("1201 09 77")).map(|private| private.suite), Ok(9));
    assert_eq!(CaPrivate::parse(&hex!("1201")), Err(DecodeError::Missing("suite")));
    let ca = CaDescriptor {
        system: CaSystemId::new(0x4AF0),
        pid: Pid::new(0x0140).unwrap(),
        private: &private.octets(),
    };
    assert_eq!(emitted(|out| ca.emit(out)), hex!("09 07 4AF0 E140 120102"));
    // Reserved bits of real descriptors are not reliable.
    let parsed = CaDescriptor::parse(&hex!("4AF0 0140 120102")).unwrap();
    assert_eq!((parsed.pid, parsed.private), (ca.pid, ca.private));
    let descriptors = hex!("65 01 10 09 01 00 09 04 4AF0 FFFF");
    let descriptors = Descriptors::parse(&descriptors).unwrap();
    assert_eq!(descriptors.ca_descriptors().map(|ca| ca.pid).collect::<Vec<_>>(), [Pid::NULL]);
    assert_eq!(descriptors.scrambling_mode(), Some(ScramblingMode::CISSA));
    assert!(Descriptors::parse(&hex!("65 02 10")).is_err());
    assert!(Descriptors::parse(&hex!("65")).is_err());
}

fn loop_of_descriptors() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((any::<u8>(), octets(0..20)), 0..5).prop_map(|descriptors| {
        let mut out = Vec::new();
        for (tag, data) in &descriptors {
            Descriptor { tag: *tag, data }.emit(&mut out).unwrap();
        }
        out
    })
}

proptest! {
    #[test]
    fn pat_comes_back(
        head in any::<(u16, bool, (u8, u8))>(), version in 0..32_u8,
        programs in prop::collection::vec((any::<u16>(), pid()), 0..40),
    ) {
        let (transport_stream_id, current, number) = head;
        let programs = programs.into_iter().map(|(number, pid)| Program { number, pid }).collect();
        let pat = Pat { transport_stream_id, version, current, number, programs };
        let section = emitted(|out| pat.emit(out));
        prop_assert_eq!(Pat::parse(&section), Ok(pat));
    }

    #[test]
    fn cat_and_pmt_come_back(
        (program_number, current, number) in any::<(u16, bool, (u8, u8))>(), version in 0..32_u8,
        pcr_pid in pid(), descriptors in loop_of_descriptors(),
        streams in prop::collection::vec((any::<u8>(), pid(), loop_of_descriptors()), 0..4),
    ) {
        let descriptors = Descriptors::parse(&descriptors).unwrap();
        let cat = Cat { version, current, number, descriptors };
        let section = emitted(|out| cat.emit(out));
        prop_assert_eq!(Cat::parse(&section), Ok(cat));

        let mut octets = Vec::new();
        for (stream_type, pid, descriptors) in &streams {
            let descriptors = Descriptors::parse(descriptors).unwrap();
            let stream = Stream { stream_type: *stream_type, pid: *pid, descriptors };
            stream.emit(&mut octets).unwrap();
        }
        let list = Streams::parse(&octets).unwrap();
        let pmt = Pmt { program_number, version, current, pcr_pid, descriptors, streams: list };
        let section = emitted(|out| pmt.emit(out));
        prop_assert_eq!(Pmt::parse(&section), Ok(pmt));
        let got: Vec<_> = pmt.streams().map(|s| (s.stream_type, s.pid, s.descriptors.octets().to_vec())).collect();
        prop_assert_eq!(got, streams);
    }

    #[test]
    fn ca_pmt_comes_back(
        head in any::<(u8, u16, bool)>(), version in 0..32_u8,
        program in prop::option::of((any::<u8>(), loop_of_descriptors())),
        streams in prop::collection::vec((any::<u8>(), pid(), prop::option::of((any::<u8>(), loop_of_descriptors()))), 0..8),
    ) {
        fn info(level: &Option<(u8, Vec<u8>)>) -> Option<CaInfo<'_>> {
            level.as_ref().map(|(command, descriptors)| CaInfo {
                command: CommandId(*command),
                descriptors: Descriptors::parse(descriptors).unwrap(),
            })
        }
        let (list_management, program_number, current) = head;
        let streams = streams.iter().map(|(stream_type, pid, level)| CaStream {
            stream_type: *stream_type, pid: *pid, info: info(level),
        }).collect();
        let ca_pmt = CaPmt {
            list_management: ListManagement(list_management), program_number, version, current,
            program: info(&program), streams,
        };
        let object = emitted(|out| ca_pmt.emit(out));
        prop_assert_eq!(CaPmt::parse(&object), Ok(ca_pmt.clone()));
        // From ca_pmt_list_management on, behind tag and length: the same, unless that begins as a
        // tag.
        let head = 4 + match object[3] { 0x81 => 1, 0x82 => 2, _ => 0 };
        let bare = CaPmt::parse(&object[head..]);
        prop_assert_eq!(bare == Ok(ca_pmt), list_management != CaPmt::TAG[0]);
        prop_assert!(CaPmt::parse(&object[..object.len() - 1]).is_err());
        prop_assert!(CaPmt::parse(&[object.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn noise_never_panics(noise in octets(0..100), table_id in any::<u8>()) {
        let _ = CaSection::parse(&noise);
        let _ = LongSection::parse(&noise);
        let _ = CaPmt::parse(&noise);
        let _ = CaPmt::parse_body(&noise);
        let _ = CaDescriptor::parse(&noise);
        let _ = sections(&noise).count();
        // Behind a good CRC, too.
        let long = LongSection {
            table_id, extension: 1, version: 1, current: true, number: 0, last_number: 0, data: &noise,
        };
        let section = emitted(|out| long.emit(out));
        prop_assert_eq!(LongSection::parse(&section), Ok(long));
        let _ = (Pat::parse(&section), Cat::parse(&section), Pmt::parse(&section));
    }
}

/// What a mode says of its control words is what its algorithm takes.
#[test]
fn modes_and_algorithms_agree() {
    let computed = [0x01, 0x02, 0x10, 0x70, 0xDE].map(ScramblingMode);
    assert!(Algorithm::ALL.iter().all(|algorithm| computed.contains(&algorithm.mode())));
    for mode in (0..=0xFF).map(ScramblingMode) {
        assert_eq!(mode.algorithm().is_some(), computed.contains(&mode), "{mode:?}");
        let Some(algorithm) = mode.algorithm() else { continue };
        assert_eq!(algorithm.mode().algorithm(), Some(algorithm));
        let (kind, others) = match algorithm.cw_len() {
            8 => (EcmKind::Cw64, EcmKind::Cw128),
            _ => (EcmKind::Cw128, EcmKind::Cw64),
        };
        assert_eq!(ScramblingMode::of(Some(mode), kind), mode);
        let default = if kind == EcmKind::Cw64 { Algorithm::Csa2 } else { Algorithm::Cissa };
        assert_eq!(ScramblingMode::of(None, kind), default.mode());
        assert_ne!(ScramblingMode::of(Some(mode), others), mode);
    }
}
