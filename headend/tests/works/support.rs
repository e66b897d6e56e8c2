// SPDX-License-Identifier: Apache-2.0
//! The demo's files, small streams made to measure, and the rules that every result keeps.

use cam_types::{ControlWord, Pid};
use ecm_emm::dvs042::Scte52Ivs;
use ecm_emm::ecm::{ControlWords, Ecm, EcmBody};
use headend::carriage;
use headend::fault::{Fault, Faults};
use headend::files::operator::Operator;
use headend::files::schedule::Schedule;
use headend::report::Report;
use headend::sabotage::{SabotageError, package};
use headend::scrambler::{Algorithm, Scrambler};
use headend::stream::{self, Packet, Stream};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) const ECM_PIDS: [u16; 2] = [0x0140, 0x0141];

pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

pub(crate) fn operator() -> Operator {
    Operator::read(&example("demo/operator.toml")).unwrap()
}

pub(crate) fn schedule() -> Schedule {
    Schedule::read(&example("demo/schedule.toml")).unwrap()
}

/// The demo's schedule with a text exchanged; the text must be there.
pub(crate) fn schedule_with(from: &str, to: &str) -> Schedule {
    let text = std::fs::read_to_string(example("demo/schedule.toml")).unwrap();
    assert!(text.contains(from), "{from}");
    Schedule::parse(Path::new("schedule.toml"), &text.replace(from, to)).unwrap()
}

pub(crate) fn source() -> Stream {
    Stream::read(&example("media/two-services.ts")).unwrap()
}

pub(crate) fn packaged(
    source: &Stream,
    schedule: &Schedule,
    faults: &[Fault],
) -> Result<(Stream, Report), SabotageError> {
    let mut stream = source.clone();
    let report = package(&mut stream, schedule, &operator(), Faults(faults))?;
    Ok((stream, report))
}

pub(crate) fn pid(number: u16) -> Pid {
    Pid::new(number).unwrap()
}

/// Packet i of the result is packet i of the source, and what is new stood on a null packet. Tables
/// may differ.
pub(crate) fn misplaced(source: &Stream, result: &Stream, tables: &[u16]) -> Vec<usize> {
    assert_eq!(source.packets().len(), result.packets().len());
    let moved = |(before, after): (&Packet, &Packet)| {
        let number = stream::pid(before).value();
        if number == 0x1FFF || tables.contains(&number) {
            let new = stream::pid(after).value();
            let ours = matches!(new, 0x1FFF | 0x0001 | 0x0140 | 0x0141 | 0x0150);
            return !ours && !tables.contains(&new);
        }
        let payload = stream::payload_start(before);
        let same_header = before[..3] == after[..3]
            && before[3] & 0x3F == after[3] & 0x3F
            && before[4..payload] == after[4..payload];
        let scrambled = stream::scrambling_control(after) >= 2;
        !same_header || (!scrambled && before != after)
    };
    let pairs = source.packets().iter().zip(result.packets());
    pairs.enumerate().filter(|(_, pair)| moved(*pair)).map(|(index, _)| index).collect()
}

/// The packets whose continuity counter does not follow, on any PID but that of null packets.
pub(crate) fn discontinuities(stream: &Stream) -> Vec<usize> {
    let mut last = BTreeMap::new();
    let mut broken = Vec::new();
    for (index, packet) in stream.packets().iter().enumerate() {
        let number = stream::pid(packet);
        if number == Pid::NULL || !stream::has_payload(packet) {
            continue;
        }
        let now = stream::continuity(packet);
        if last.insert(number, now).is_some_and(|before: u8| (before + 1) & 0x0F != now) {
            broken.push(index);
        }
    }
    broken
}

/// An ECM on air that opens.
pub(crate) struct Opened {
    pub packet: usize,
    pub cp_number: u32,
    pub epoch: u16,
    pub body: EcmBody,
}

impl Opened {
    /// The current and the next control word.
    pub(crate) fn cws(&self) -> [ControlWord; 2] {
        let (even, odd) = self.body.cw.blocks().unwrap();
        if self.cp_number & 1 == 0 { [even, odd] } else { [odd, even] }
    }
}

/// The ECMs on a PID that open with the operator's keys, and how many do not.
pub(crate) fn ecms(stream: &Stream, number: u16) -> (Vec<Opened>, usize) {
    let operator = operator();
    let mut opened = Vec::new();
    let mut refused = 0;
    for carried in carriage::sections(stream.packets(), pid(number)) {
        let ecm = Ecm::parse(&carried.section).unwrap();
        let header = ecm.header;
        let key = operator.service_key(header.slot.value(), header.epoch.value()).unwrap();
        let key = operator.seal_key("", key.suite, &key.key).unwrap();
        match ecm.open(&key) {
            Ok(body) if body.cw != ControlWords::None => opened.push(Opened {
                packet: carried.packet,
                cp_number: header.cp_number,
                epoch: header.epoch.value(),
                body,
            }),
            Ok(_) => {}
            Err(_) => refused += 1,
        }
    }
    (opened, refused)
}

/// Scrambles the source again with what the ECMs on air say, and counts (right, wrong) packets.
pub(crate) fn scrambled_as_announced(
    source: &Stream,
    result: &Stream,
    ecms: &[Opened],
    components: &[u16],
    periods: &[headend::report::CryptoPeriod],
    algorithm: Algorithm,
) -> (usize, usize) {
    let mut cws = BTreeMap::new();
    for ecm in ecms {
        let [current, next] = ecm.cws();
        cws.insert(ecm.cp_number, current);
        cws.entry(ecm.cp_number.wrapping_add(1)).or_insert(next);
    }
    let (mut right, mut wrong) = (0, 0);
    for period in periods {
        let Some(cw) = cws.get(&period.number) else { continue };
        let scrambler = Scrambler::new(algorithm, cw, &Scte52Ivs::default());
        let parity = cam_types::Parity::of_crypto_period(period.number);
        for index in period.first_packet..=period.last_packet {
            let mut packet = source.packets()[index];
            if components.contains(&stream::pid(&packet).value()) {
                scrambler.packet(&mut packet, parity);
                match packet == result.packets()[index] {
                    true => right += 1,
                    false => wrong += 1,
                }
            }
        }
    }
    (right, wrong)
}
