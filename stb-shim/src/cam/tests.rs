// SPDX-License-Identifier: Apache-2.0
//! Sections on their way to the card thread: which are taken, which go first, and what is lost.
use super::*;
use cam_core::{Config, Entropy};
use cam_types::{CaSystemId, Key, OperatorId, StbId};
use ecm_emm::ca_descriptor::{CaDescriptor, CaPrivate};
use ecm_emm::cat::Cat;
use ecm_emm::descriptor::Descriptors;
use ecm_emm::pmt::{Pmt, Stream, Streams};

const ECM: Pid = Pid::from_field(0x140);
const EMM: Pid = Pid::from_field(0x150);
const RING: usize = 65_536;

struct Zeros;

impl Entropy for Zeros {
    fn fill(&mut self, octets: &mut [u8]) {
        octets.fill(0);
    }
}

fn ours(pid: Pid) -> Vec<u8> {
    let private = CaPrivate { operator: OperatorId::new(0x1201), suite: 2, channel: None }.octets();
    let mut out = Vec::new();
    let descriptor = CaDescriptor { system: CaSystemId::DEFAULT, pid, private: &private };
    descriptor.emit(&mut out).unwrap();
    out
}

fn pmt() -> Vec<u8> {
    let descriptors = ours(ECM);
    let mut streams = Vec::new();
    let (pid, none) = (Pid::from_field(0x100), Descriptors::default());
    Stream { stream_type: 0x1B, pid, descriptors: none }.emit(&mut streams).unwrap();
    let pmt = Pmt {
        program_number: 1,
        version: 0,
        current: true,
        pcr_pid: pid,
        descriptors: Descriptors::parse(&descriptors).unwrap(),
        streams: Streams::parse(&streams).unwrap(),
    };
    let mut out = Vec::new();
    pmt.emit(&mut out).unwrap();
    out
}

/// A source with one programme and one EMM stream; no card has introduced itself.
fn cam(source: u8) -> Cam {
    let config = Config::new(StbId::new(*b"STB00001"), Key::new([0; 16]), Box::new(Zeros));
    let cam = Cam::new(Engine::new(config), RING, 16).unwrap();
    tune(&cam, source);
    cam
}

pub(crate) fn tune(cam: &Cam, source: u8) {
    let descriptors = ours(EMM);
    let descriptors = Descriptors::parse(&descriptors).unwrap();
    let mut section = Vec::new();
    Cat { version: 0, current: true, number: (0, 0), descriptors }.emit(&mut section).unwrap();
    cam.call(|engine, now| {
        engine.session_open(now, source, &pmt()).unwrap();
        engine.handle_input(now, Input::Cat { source, section: &section });
    });
}

fn section(table_id: u8, address: &[u8]) -> Vec<u8> {
    let body = [address, &[7; 80]].concat();
    [&[table_id, 0x70, body.len() as u8][..], &body].concat()
}

/// An EMM to the box.
fn emm() -> Vec<u8> {
    section(0x8A, b"STB00001")
}

pub(crate) fn offer_emm(cam: &Cam) -> Result<(), SectionRefused> {
    cam.section(0, EMM, &emm())
}

#[test]
fn a_crowd_of_emms_costs_no_ecm() {
    let cam = cam(0);
    let results: Vec<_> = (0..1500).map(|_| cam.section(0, EMM, &emm())).collect();
    assert_eq!(results.last(), Some(&Err(SectionRefused::Overflow)));
    let lost = cam.line_stats().sections_lost;
    assert_eq!(lost, results.iter().filter(|result| result.is_err()).count() as u64);
    assert_eq!(cam.section(0, ECM, &section(0x80, &[])), Ok(()), "it has room of its own");
    assert_eq!(cam.section(0, ECM, &section(0x81, &[])), Ok(()));
    let mut octets = Vec::new();
    for expected in [(ECM, 0x80), (ECM, 0x81), (EMM, 0x8A)] {
        let (source, pid) = cam.next_section(&mut octets).unwrap();
        assert_eq!((source, (pid, octets[0])), (0, expected), "ECMs go first");
    }
}

/// 1,500 sections for others, between them what is for us.
#[test]
fn what_nobody_wants_takes_no_room() {
    let cam = cam(0);
    let for_others = [
        (EMM, section(0x8A, b"STB00002")),
        (EMM, section(0x82, &[1; 8])),
        (EMM, section(0x80, &[])),
        (ECM, section(0x82, &[1; 8])),
        (Pid::from_field(0x141), section(0x80, &[])),
    ];
    for n in 0..1500 {
        for (pid, octets) in &for_others {
            assert_eq!(cam.section(0, *pid, octets), Ok(()));
        }
        if n % 300 == 0 {
            assert_eq!(cam.section(0, EMM, &emm()), Ok(()));
        }
    }
    assert_eq!(cam.section(1, EMM, &emm()), Ok(()), "another source");
    let line = cam.line_stats();
    assert_eq!((line.sections_unwanted, line.sections_lost), (7501, 0));
    let mut octets = Vec::new();
    let taken = std::iter::from_fn(|| cam.next_section(&mut octets)).count();
    assert_eq!(taken, 5);
}

/// What is wanted holds from the return of the call that made it so.
#[test]
fn what_is_wanted_follows_the_sessions() {
    let cam = cam(0);
    let ecm = section(0x80, &[]);
    let mut octets = Vec::new();
    for _ in 0..3 {
        let session = cam.call(|engine, now| engine.session_open(now, 3, &pmt())).unwrap();
        assert_eq!(cam.section(3, ECM, &ecm), Ok(()));
        assert_eq!(cam.next_section(&mut octets), Some((3, ECM)));
        cam.call(|engine, now| engine.session_close(now, session)).unwrap();
        assert_eq!(cam.section(3, ECM, &ecm), Ok(()));
        assert_eq!(cam.next_section(&mut octets), None);
    }
}

/// A source that is never empty leaves the others their turns.
#[test]
fn sources_take_turns() {
    let cam = cam(0);
    tune(&cam, 5);
    tune(&cam, 15);
    for source in [0, 0, 0, 0, 5, 5, 15] {
        assert_eq!(cam.section(source, EMM, &emm()), Ok(()));
    }
    let mut octets = Vec::new();
    let order: Vec<_> =
        std::iter::from_fn(|| cam.next_section(&mut octets)).map(|(source, _)| source).collect();
    assert_eq!(order, [0, 5, 15, 0, 5, 0, 0]);
}

/// Demultiplexers offer while the list changes: whatever is wanted all the time is taken.
#[test]
fn nothing_wanted_is_dropped_while_the_list_changes() {
    let cam = cam(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let session = cam.call(|engine, now| engine.session_open(now, 1, &pmt())).unwrap();
                cam.call(|engine, now| engine.session_close(now, session)).unwrap();
            }
        });
        let mut octets = Vec::new();
        for n in 0..20_000 {
            assert_eq!(cam.section(0, EMM, &emm()), Ok(()));
            assert_eq!(cam.next_section(&mut octets), Some((0, EMM)), "number {n}");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(cam.line_stats().sections_unwanted, 0);
}
