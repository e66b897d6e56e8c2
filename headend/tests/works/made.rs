// SPDX-License-Identifier: Apache-2.0
//! Sources made to measure: packets of 1 ms, a clock, components and tables where a test wants
//! them.

use crate::support::pid;
use cam_types::Pid;
use cam_types::transport::PACKET;
use ecm_emm::descriptor::{Descriptor, Descriptors};
use ecm_emm::pat::{Pat, Program};
use ecm_emm::pmt::{self, Pmt, Streams};
use headend::files::schedule::Schedule;
use headend::stream::{Packet, Stream};
use std::collections::BTreeMap;
use std::path::Path;

pub(crate) const PMT: u16 = 0x1000;
pub(crate) const VIDEO: u16 = 0x0100;
pub(crate) const AUDIO: u16 = 0x0101;
/// Each packet lasts a millisecond: 1,504,000 bit/s.
pub(crate) const TICKS_PER_PACKET: u64 = 27_000;

/// What comes next in a source.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    Null,
    /// A full packet of a component.
    Of(u16),
    /// The same with a PCR of its place, shifted by so many ticks, and perhaps announced as new.
    Clock(u16, u64, bool),
    /// The octets behind the header of a packet of sections, to be stuffed, and whether one begins.
    Sections(u16, bool, Vec<u8>),
}

/// A packet's place and its counter by PID.
pub(crate) fn stream(next: impl IntoIterator<Item = Next>) -> Stream {
    let mut counters: BTreeMap<u16, u8> = BTreeMap::new();
    let mut packets = Vec::new();
    for (index, next) in next.into_iter().enumerate() {
        let mut packet: Packet = [index as u8 & 0x7F | 1; PACKET];
        let (number, start) = match &next {
            Next::Null => (0x1FFF, false),
            Next::Of(number) | Next::Clock(number, ..) => (*number, false),
            Next::Sections(number, start, _) => (*number, *start),
        };
        let counter = counters.entry(number).or_default();
        let [high, low] = number.to_be_bytes();
        packet[..3].copy_from_slice(&[0x47, high | if start { 0x40 } else { 0 }, low]);
        packet[3] = 0x10 | *counter;
        *counter = (*counter + 1) & 0x0F;
        match next {
            Next::Clock(_, shift, anew) => {
                packet[3] |= 0x20;
                packet[4..6].copy_from_slice(&[7, 0x10 | if anew { 0x80 } else { 0 }]);
                let ticks = (index as u64 + 100) * TICKS_PER_PACKET + shift;
                write_pcr(&mut packet, ticks);
            }
            Next::Sections(_, _, octets) => {
                packet[4..].fill(0xFF);
                packet[4..4 + octets.len()].copy_from_slice(&octets);
            }
            Next::Null | Next::Of(_) => {}
        }
        packets.push(packet);
    }
    Stream::parse(packets.as_flattened()).unwrap()
}

fn write_pcr(packet: &mut Packet, ticks: u64) {
    let base = ticks / 300 % (1 << 33);
    packet[6..10].copy_from_slice(&u32::try_from(base >> 1).unwrap().to_be_bytes());
    packet[10] = ((base & 1) as u8) << 7 | 0x7E | ((ticks % 300) >> 8) as u8;
    packet[11] = (ticks % 300) as u8;
}

/// The packets of a section that begins a packet of its own.
pub(crate) fn alone(number: u16, section: &[u8]) -> Vec<Next> {
    let (first, rest) = section.split_at(section.len().min(183));
    let first = [&[0], first].concat();
    std::iter::once(Next::Sections(number, true, first))
        .chain(rest.chunks(184).map(|part| Next::Sections(number, false, part.to_vec())))
        .collect()
}

/// Sections one behind the other, as multiplexers pack them; the last packet is stuffed.
pub(crate) fn packed(number: u16, sections: &[Vec<u8>]) -> Vec<Next> {
    let all = sections.concat();
    let mut starts: Vec<usize> = vec![0];
    starts.extend(sections.iter().scan(0, |end, section| {
        *end += section.len();
        Some(*end)
    }));
    starts.pop();
    let (mut at, mut next) = (0, Vec::new());
    while at < all.len() {
        // With a pointer_field there is one octet less.
        let start = starts.iter().find(|&&start| (at..at + 183).contains(&start));
        let end = (at + if start.is_some() { 183 } else { 184 }).min(all.len());
        let pointer = start.map(|start| (start - at) as u8);
        let octets = pointer.into_iter().chain(all[at..end].iter().copied()).collect();
        next.push(Next::Sections(number, start.is_some(), octets));
        at = end;
    }
    next
}

pub(crate) fn pat(programs: &[(u16, u16)]) -> Vec<u8> {
    let programs = programs.iter().map(|&(number, at)| Program { number, pid: pid(at) }).collect();
    let mut out = Vec::new();
    let table = Pat { transport_stream_id: 1, version: 0, current: true, number: (0, 0), programs };
    table.emit(&mut out).unwrap();
    out
}

/// A PMT with these components (stream_type and PID) and so many octets of private descriptors.
pub(crate) fn pmt(service: u16, version: u8, components: &[(u8, u16)], private: usize) -> Vec<u8> {
    let mut streams = Vec::new();
    for &(stream_type, number) in components {
        let descriptors = Descriptors::default();
        pmt::Stream { stream_type, pid: pid(number), descriptors }.emit(&mut streams).unwrap();
    }
    let mut descriptors = Vec::new();
    let mut left = private;
    while left >= 2 {
        let data = vec![0xAB; (left - 2).min(255)];
        left -= data.len() + 2;
        Descriptor { tag: 0x80, data: &data }.emit(&mut descriptors).unwrap();
    }
    let mut out = Vec::new();
    let table = Pmt {
        program_number: service,
        version,
        current: true,
        pcr_pid: pid(VIDEO),
        descriptors: Descriptors::parse(&descriptors).unwrap(),
        streams: Streams::parse(&streams).unwrap(),
    };
    table.emit(&mut out).unwrap();
    out
}

/// A service of video and audio, with PAT and PMT each 100 ms, a PCR each 20 ms and these nulls.
pub(crate) fn service(packets: usize, is_null: impl Fn(usize) -> bool) -> Vec<Next> {
    let table = pmt(1, 0, &[(0x1B, VIDEO), (0x0F, AUDIO)], 0);
    service_with(packets, is_null, |_| {
        [alone(Pid::PAT.value(), &pat(&[(1, PMT)])), alone(PMT, &table)].concat()
    })
}

/// The same with these tables each 100 ms.
pub(crate) fn service_with(
    packets: usize,
    is_null: impl Fn(usize) -> bool,
    tables: impl Fn(usize) -> Vec<Next>,
) -> Vec<Next> {
    let mut next = Vec::new();
    let mut waiting: Vec<Next> = Vec::new();
    while next.len() < packets {
        let place = next.len();
        if place % 100 == 0 {
            waiting.extend(tables(place));
        }
        next.push(match place {
            place if place % 20 == 10 => Next::Clock(VIDEO, 0, false),
            place if is_null(place) => Next::Null,
            _ if !waiting.is_empty() => waiting.remove(0),
            place if place % 5 == 4 => Next::Of(AUDIO),
            _ => Next::Of(VIDEO),
        });
    }
    next
}

/// One service of DVB-CISSA with an ECM each 100 ms, in crypto periods of 2 s.
pub(crate) const SCHEDULE: &str = r#"
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
scrambling = "cissa"
ecm_pid = 0x0140
free = true
"#;

pub(crate) fn schedule_of(text: &str) -> Schedule {
    Schedule::parse(Path::new("schedule.toml"), text).unwrap()
}

pub(crate) fn schedule() -> Schedule {
    schedule_of(SCHEDULE)
}
