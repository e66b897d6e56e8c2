// SPDX-License-Identifier: Apache-2.0
//! Properties: whatever the source looks like, the packager keeps its rules or says why not.

use crate::support::{
    self, discontinuities, ecms, misplaced, packaged, pid, scrambled_as_announced,
};
use cam_types::Pid;
use cam_types::transport::PACKET;
use ecm_emm::descriptor::{Descriptor, Descriptors};
use ecm_emm::pat::{Pat, Program};
use ecm_emm::pmt::{Pmt, Streams};
use headend::carriage;
use headend::files::schedule::Schedule;
use headend::package::PackageError;
use headend::sabotage::SabotageError;
use headend::scrambler::Algorithm;
use headend::stream::{self, Packet, Packetizer, Stream};
use proptest::prelude::*;
use std::path::Path;

const PMT: u16 = 0x1000;
const VIDEO: u16 = 0x0100;
const AUDIO: u16 = 0x0101;
/// Each packet lasts 10 ms.
const TICKS_PER_PACKET: u64 = 270_000;
const SCHEDULE: &str = r#"
start = 2026-12-01T12:00:00Z
ca_system_id = 0x4AF0
crypto_period_s = 2
emm_pid = 0x0150
[[service]]
name = "News"
service = 1
channel = 1
slot = 1
epoch = 1
scrambling = "ALGORITHM"
ecm_pid = 0x0140
free = true
[[emm]]
name = "level"
kind = "emm_level"
card = "0102030405060708"
level = 1
from_ms = 300
period_ms = 50
[[emm]]
name = "message"
kind = "osd"
card = "0102030405060708"
id = 1
text = "a message that does not fit one packet: the quick brown fox jumps over the lazy dog, and the quick brown fox jumps over the lazy dog once more, and over the dog, and over it again: and again"
from_ms = 100
period_ms = 170
"#;

/// What a packet of the source is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Null,
    /// Of a component on this PID, with this many octets of payload and perhaps a PCR.
    Component(u16, usize),
    Other,
    Pmt,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(Kind::Null),
        5 => (0..=184_usize).prop_map(|octets| Kind::Component(VIDEO, octets)),
        2 => prop_oneof![Just(184_usize), 0..20_usize]
            .prop_map(|octets| Kind::Component(AUDIO, octets)),
        1 => Just(Kind::Other),
        1 => Just(Kind::Pmt),
    ]
}

fn component(number: u16, octets: usize, counter: u8, ticks: Option<u64>, fill: u8) -> Packet {
    let mut packet = [fill; PACKET];
    let [high, low] = number.to_be_bytes();
    // A PCR takes 8 octets of adaptation field.
    let octets = if ticks.is_some() { octets.min(176) } else { octets };
    let payload = if octets == 0 { 0x20 } else { 0x10 };
    packet[..4].copy_from_slice(&[0x47, high, low, payload | counter & 0x0F]);
    if octets < 184 {
        packet[3] |= 0x20;
        packet[4] = (183 - octets) as u8;
        if let Some(flags) = packet.get_mut(5).filter(|_| octets < 183) {
            *flags = 0;
        }
    }
    if let Some(ticks) = ticks {
        let base = ticks / 300;
        packet[5] = 0x10;
        packet[6..10].copy_from_slice(&u32::try_from(base >> 1).unwrap().to_be_bytes());
        packet[10] = ((base & 1) as u8) << 7 | 0x7E;
        packet[11] = (ticks % 300) as u8;
    }
    packet
}

/// A stream of these packets behind PAT and PMT, with a PCR in each fifth video packet.
fn build(kinds: &[Kind], private: usize) -> Stream {
    let mut pat = Vec::new();
    let programs = vec![Program { number: 1, pid: pid(PMT) }];
    let table = Pat { transport_stream_id: 1, version: 0, current: true, number: (0, 0), programs };
    table.emit(&mut pat).unwrap();
    let mut streams = Vec::new();
    for (stream_type, number) in [(0x1B, VIDEO), (0x0F, AUDIO)] {
        let descriptors = Descriptors::default();
        let stream = ecm_emm::pmt::Stream { stream_type, pid: pid(number), descriptors };
        stream.emit(&mut streams).unwrap();
    }
    let mut descriptors = Vec::new();
    Descriptor { tag: 0x80, data: &vec![0xAB; private] }.emit(&mut descriptors).unwrap();
    let mut pmt = Vec::new();
    let table = Pmt {
        program_number: 1,
        version: 31,
        current: true,
        pcr_pid: pid(VIDEO),
        descriptors: Descriptors::parse(&descriptors).unwrap(),
        streams: Streams::parse(&streams).unwrap(),
    };
    table.emit(&mut pmt).unwrap();

    let (mut pats, mut pmts) = (Packetizer::new(Pid::PAT), Packetizer::new(pid(PMT)));
    let mut nulls = Packetizer::new(Pid::NULL);
    let mut others = Packetizer::new(pid(0x11));
    let mut packets = vec![pats.packet(&pat, 0)];
    let mut part = 0;
    let mut counters = [0_u8; 2];
    let mut videos = 0;
    let start = [Kind::Pmt; 3].into_iter().chain([Kind::Component(VIDEO, 184), Kind::Null]);
    let end = [Kind::Component(VIDEO, 100); 6];
    for (index, kind) in start.chain(kinds.iter().copied()).chain(end).enumerate() {
        packets.push(match kind {
            Kind::Null => nulls.packet(&[], 1),
            Kind::Other => others.packet(&[0x42, 0xF0, 0], 0),
            Kind::Pmt => {
                let packet = pmts.packet(&pmt, part);
                part = (part + 1) % Packetizer::packets(pmt.len());
                packet
            }
            Kind::Component(number, octets) => {
                let counter = &mut counters[usize::from(number == AUDIO)];
                let with_pcr = number == VIDEO && videos % 5 == 0;
                videos += usize::from(number == VIDEO);
                let ticks = with_pcr.then(|| (index as u64 + 100) * TICKS_PER_PACKET);
                let packet = component(number, octets, *counter, ticks, index as u8 & 0x7F | 1);
                *counter = counter.wrapping_add(u8::from(stream::has_payload(&packet)));
                packet
            }
        });
    }
    Stream::parse(packets.as_flattened()).unwrap()
}

fn schedule(algorithm: Algorithm) -> Schedule {
    let name = match algorithm {
        Algorithm::Csa2 => "csa2",
        Algorithm::Cissa => "cissa",
        Algorithm::Idsa => "idsa",
        Algorithm::Scte52 => "scte52",
    };
    Schedule::parse(Path::new("schedule.toml"), &SCHEDULE.replace("ALGORITHM", name)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_for_any_source(
        kinds in prop::collection::vec(kind(), 50..900),
        private in 0..255_usize,
        algorithm in prop::sample::select(Algorithm::ALL.as_slice()),
    ) {
        let source = build(&kinds, private);
        let (result, report) = match packaged(&source, &schedule(algorithm), &[]) {
            Ok(done) => done,
            // Chance has left too few null packets.
            Err(SabotageError::Package(PackageError::Dark(_))) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert_eq!(misplaced(&source, &result, &[PMT]), [0_usize; 0]);
        prop_assert_eq!(discontinuities(&result), [0_usize; 0]);

        // The clock starts at the first video packet: the fifth packet of the file.
        let first_pcr = 4;
        let mut due = first_pcr;
        let mut expected = Vec::new();
        for (index, packet) in source.packets().iter().enumerate() {
            let free = [Pid::NULL, pid(PMT)].contains(&stream::pid(packet))
                && stream::pid(&result.packets()[index]) != pid(PMT);
            if free && index >= due {
                expected.push(index);
                due += (index - due) / 10 * 10 + 10;
            }
        }
        let service = &report.services[0];
        prop_assert_eq!(&service.ecm.packets, &expected);

        for (n, period) in service.crypto_periods.iter().enumerate().skip(1) {
            prop_assert_eq!(period.first_packet, first_pcr + n * 200);
        }
        let (ecms, refused) = ecms(&result, 0x0140);
        prop_assert_eq!((ecms.len(), refused), (expected.len(), 0));
        let (_, wrong) = scrambled_as_announced(
            &source, &result, &ecms, &[VIDEO, AUDIO], &service.crypto_periods, algorithm,
        );
        prop_assert_eq!(wrong, 0);
        for (before, after) in source.packets().iter().zip(result.packets()) {
            let number = stream::pid(before).value();
            if number == VIDEO || number == AUDIO {
                let octets = stream::payload(before).len();
                let changed = stream::payload(before) != stream::payload(after);
                // Of few octets a stream of pseudo-random ones may be zero.
                let by_chance = algorithm.shortest() <= octets && octets < 8;
                prop_assert!(by_chance || changed == (octets >= algorithm.shortest()));
                prop_assert_eq!(
                    stream::scrambling_control(after) >= 2,
                    !stream::payload(before).is_empty()
                );
            }
        }
        for carried in carriage::sections(result.packets(), pid(0x0150)) {
            prop_assert!(ecm_emm::emm::Emm::parse(&carried.section).is_ok());
        }
        for carried in carriage::sections(result.packets(), pid(PMT)) {
            prop_assert_eq!(Pmt::parse(&carried.section).map(|pmt| pmt.version), Ok(0));
        }
    }

    #[test]
    fn damage_is_refused_or_packaged_but_never_a_panic(
        hits in prop::collection::vec((0..300 * PACKET, any::<u8>()), 1..60),
    ) {
        let source = support::source();
        let mut octets = source.octets()[..300 * PACKET].to_vec();
        for (at, octet) in hits {
            octets[at] = octet;
        }
        if let Ok(damaged) = Stream::parse(&octets) {
            let _ = headend::inspect::inspect(&damaged);
            let mut raised = damaged.clone();
            if let Ok(added) = headend::rate::raise(&mut raised, &support::schedule(), 1_000_000) {
                prop_assert_eq!(damaged.packets().len() + added, raised.packets().len());
            }
            if let Ok((result, _)) = packaged(&damaged, &support::schedule(), &[]) {
                prop_assert!(result.packets().len() <= 300);
            }
        }
    }

    #[test]
    fn any_octets_are_no_reason_to_panic(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
        if let Ok(stream) = Stream::parse(&octets) {
            let _ = headend::inspect::inspect(&stream);
        }
        let text = String::from_utf8_lossy(&octets);
        let _ = Schedule::parse(Path::new("x.toml"), &text);
    }
}
