// SPDX-License-Identifier: Apache-2.0
//! A network by the rules of ATSC and SCTE: its names, its stream types, its algorithms.

use crate::support::{ecms, packaged, pid, schedule_with, source};
use cam_types::{ControlWord, Parity, Pid};
use ecm_emm::dvs042::Scte52Ivs;
use ecm_emm::pmt::{Pmt, Streams};
use ecm_emm::sdt::Sdt;
use ecm_emm::section::LongSection;
use ecm_emm::vct::Vct;
use headend::carriage;
use headend::inspect::inspect;
use headend::scrambler::{Algorithm, Scrambler};
use headend::stream::{self, Packetizer, Stream};

const NEWS_PMT: u16 = 0x1000;
const NEWS_VIDEO: u16 = 0x0100;
const NEWS_AUDIO: u16 = 0x0101;

/// A VCT of multiplex 1 with one channel: 7-1 and this name, in `multiplex`.
fn vct(table_id: u8, name: &str, multiplex: u8, program: u8, current: bool) -> Vec<u8> {
    let mut data = vec![0, 1];
    data.extend(name.encode_utf16().chain([0; 7]).take(7).flat_map(u16::to_be_bytes));
    data.extend([0xF0, 0x1C, 0x01, 0x04, 0, 0, 0, 0, 0, multiplex, 0, program]);
    data.extend([0x0D, 0xC2, 0, program, 0xFC, 0, 0xFC, 0]);
    let (number, last_number) = (0, 0);
    let section = LongSection {
        table_id,
        extension: 1,
        version: 0,
        current,
        number,
        last_number,
        data: &data,
    };
    let mut out = Vec::new();
    section.emit(&mut out).unwrap();
    out
}

/// The stream with these sections on the PID, one in each of its first null packets.
fn with(stream: &Stream, number: Pid, sections: &[Vec<u8>]) -> Stream {
    let mut stream = stream.clone();
    let mut packetizer = Packetizer::new(number);
    let nulls = stream.packets_mut().iter_mut().filter(|packet| stream::pid(packet) == Pid::NULL);
    for (packet, section) in nulls.zip(sections) {
        *packet = packetizer.packet(section, 0);
    }
    stream
}

/// The stream without its SDT.
fn without_sdt(stream: &Stream) -> Stream {
    let mut stream = stream.clone();
    let packets = stream.packets_mut();
    let null = *packets.iter().find(|packet| stream::pid(packet) == Pid::NULL).unwrap();
    packets.iter_mut().filter(|packet| stream::pid(packet) == Sdt::PID).for_each(|p| *p = null);
    stream
}

/// The SDT goes first; a VCT counts where it is current and speaks of this multiplex.
#[test]
fn services_are_named_by_the_sdt_and_else_by_the_vct() {
    let dvb = source();
    let atsc = without_sdt(&dvb);
    for table_id in [Vct::TERRESTRIAL, Vct::CABLE] {
        let ours = vct(table_id, "KNEWS", 1, 1, true);
        for (stream, section, named) in [
            (&dvb, &ours, "service 1 \"News\": PMT"),
            (&atsc, &ours, "service 1 \"KNEWS\" (7-1): PMT"),
            (
                &atsc,
                &vct(table_id, "A\nB\u{7}", 1, 1, true),
                "service 1 \"A\\nB\\u{7}\" (7-1): PMT",
            ),
            (&atsc, &vct(table_id, "KNEWS", 1, 1, false), "service 1: PMT"),
            (&atsc, &vct(table_id, "KNEWS", 2, 1, true), "service 1: PMT"),
            (&atsc, &vct(table_id, "KNEWS", 1, 9, true), "service 1: PMT"),
            (&atsc, &ours[..ours.len() - 1].to_vec(), "service 1: PMT"),
        ] {
            let shown = inspect(&with(stream, Vct::PID, std::slice::from_ref(section))).unwrap();
            assert!(shown.contains(named), "{named}: {shown}");
        }
    }
}

/// MGT and VCT go through as they are; a component of cue messages is none of those that are
/// scrambled, and nothing else stays in clear.
#[test]
fn tables_pass_and_cue_messages_are_never_scrambled() {
    let tables = [vct(0xC7, "", 1, 1, true), vct(Vct::CABLE, "KNEWS", 1, 1, true)];
    let cue = vec![0xFC, 0x30, 0x01, 0x00];
    let mut clear = with(&without_sdt(&source()), Vct::PID, &tables);
    clear = with(&clear, pid(0x0170), &[cue.clone(), cue.clone(), cue]);
    for carried in carriage::sections(source().packets(), pid(NEWS_PMT)) {
        assert_eq!(carried.packet, carried.end, "the source's PMT is in one packet");
        let old = Pmt::parse(&carried.section).unwrap();
        let mut streams = Vec::new();
        for (stream_type, number) in
            [(0x80, NEWS_VIDEO), (0x81, NEWS_AUDIO), (0x86, 0x0170), (0x95, 0x0171), (0x96, 0x0172)]
        {
            let descriptors = ecm_emm::descriptor::Descriptors::default();
            let stream = ecm_emm::pmt::Stream { stream_type, pid: pid(number), descriptors };
            stream.emit(&mut streams).unwrap();
        }
        let mut new = Vec::new();
        Pmt { streams: Streams::parse(&streams).unwrap(), ..old }.emit(&mut new).unwrap();
        let packet = &mut clear.packets_mut()[carried.packet];
        let counter = packet[3] & 0x0F;
        *packet = Packetizer::new(pid(NEWS_PMT)).packet(&new, 0);
        packet[3] = packet[3] & 0xF0 | counter;
    }
    let schedule = schedule_with("scrambling = \"cissa\"", "scrambling = \"scte52\"");
    let (result, report) = packaged(&clear, &schedule, &[]).unwrap();
    assert_eq!(report.services[0].pids, [NEWS_VIDEO, NEWS_AUDIO]);
    for number in [0x1FFB, 0x0170] {
        let of = |stream: &Stream| -> Vec<_> {
            let packets = stream.packets().iter().enumerate();
            packets
                .filter(|(_, p)| stream::pid(p).value() == number)
                .map(|(i, p)| (i, *p))
                .collect()
        };
        assert_eq!(of(&clear), of(&result));
        assert!(of(&result).len() >= 2);
    }
    let dark = |number| {
        let mut packets = result.packets().iter().filter(|p| stream::pid(p).value() == number);
        packets.all(|p| stream::payload(p).is_empty() || stream::scrambling_control(p) >= 2)
    };
    assert!(dark(NEWS_VIDEO) && dark(NEWS_AUDIO));
}

/// What the schedule says of the IVs is what scrambles: both, one for both, or zero.
#[test]
fn scte_52_is_scrambled_with_the_ivs_of_the_schedule() {
    let [long, short] = [[0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF], [0xFE; 8]];
    let source = source();
    for (lines, ivs) in [
        ("", Scte52Ivs::default()),
        ("scte52_iv = \"0123456789abcdef\"\n", Scte52Ivs::new(long, None)),
        (
            "scte52_iv = \"0123456789abcdef\"\nscte52_short_iv = \"fefefefefefefefe\"\n",
            Scte52Ivs::new(long, Some(short)),
        ),
    ] {
        let text = std::fs::read_to_string(crate::support::example("demo/schedule.toml")).unwrap();
        let text = text.replace("scrambling = \"cissa\"", "scrambling = \"scte52\"");
        let text = text.replace("ca_system_id", &format!("{lines}ca_system_id"));
        let schedule =
            headend::files::schedule::Schedule::parse(std::path::Path::new("x.toml"), &text)
                .unwrap();
        let (result, report) = packaged(&source, &schedule, &[]).unwrap();
        let service = &report.services[0];
        assert_eq!((service.algorithm.as_str(), service.too_short), ("SCTE-52", 0));
        let (opened, _) = ecms(&result, service.ecm_pid);
        let period = &service.crypto_periods[1];
        let cw: ControlWord =
            opened.iter().find(|ecm| ecm.cp_number == period.number).unwrap().cws()[0].clone();
        let scrambler = Scrambler::new(Algorithm::Scte52, &cw, &ivs);
        let mut short = 0;
        for index in period.first_packet..=period.last_packet {
            let mut packet = source.packets()[index];
            if service.pids.contains(&stream::pid(&packet).value()) {
                short += usize::from((1..8).contains(&stream::payload(&packet).len()));
                scrambler.packet(&mut packet, Parity::of_crypto_period(period.number));
                assert_eq!(packet, result.packets()[index], "{lines} packet {index}");
            }
        }
        assert!(short > 0);
    }
}
