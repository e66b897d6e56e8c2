// SPDX-License-Identifier: Apache-2.0
//! The tables of a broadcast, for tests that watch it through the library.

use crate::demo::OPERATOR;
use cam_types::{CaSystemId, Pid};
use ecm_emm::ca_descriptor::{CaDescriptor, CaPrivate};
use ecm_emm::cat::Cat;
use ecm_emm::descriptor::{Descriptor, Descriptors};
use ecm_emm::pmt::{Pmt, Stream, Streams};
use ecm_emm::scrambling::ScramblingMode;

/// A PMT with one video stream, whose ECMs are the card's operator's.
pub fn pmt(number: u16, ecm_pid: Pid, video: Pid, mode: Option<ScramblingMode>) -> Vec<u8> {
    let private = CaPrivate { operator: OPERATOR, suite: 2, channel: None }.octets();
    let system = CaSystemId::DEFAULT;
    let mut descriptors = Vec::new();
    CaDescriptor { system, pid: ecm_pid, private: &private }.emit(&mut descriptors).unwrap();
    if let Some(mode) = mode {
        let scrambling = Descriptor { tag: Descriptor::SCRAMBLING, data: &[mode.0] };
        scrambling.emit(&mut descriptors).unwrap();
    }
    let mut streams = Vec::new();
    let stream = Stream { stream_type: 2, pid: video, descriptors: Descriptors::default() };
    stream.emit(&mut streams).unwrap();
    let pmt = Pmt {
        program_number: number,
        version: 0,
        current: true,
        pcr_pid: video,
        descriptors: Descriptors::parse(&descriptors).unwrap(),
        streams: Streams::parse(&streams).unwrap(),
    };
    let mut section = Vec::new();
    pmt.emit(&mut section).unwrap();
    section
}

/// A CAT that names the PID of the card's operator's EMMs.
pub fn cat(emm_pid: Pid) -> Vec<u8> {
    let private = CaPrivate { operator: OPERATOR, suite: 2, channel: None }.octets();
    let mut descriptors = Vec::new();
    let system = CaSystemId::DEFAULT;
    CaDescriptor { system, pid: emm_pid, private: &private }.emit(&mut descriptors).unwrap();
    let descriptors = Descriptors::parse(&descriptors).unwrap();
    let cat = Cat { version: 0, current: true, number: (0, 0), descriptors };
    let mut section = Vec::new();
    cat.emit(&mut section).unwrap();
    section
}
