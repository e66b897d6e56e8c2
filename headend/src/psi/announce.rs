// SPDX-License-Identifier: Apache-2.0
//! How the tables announce what is scrambled.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.4.8 (PMT), §2.6.16 (CA_descriptor)
//!  - ETSI EN 300 468 §6.2 (scrambling_descriptor)
//!
//! The PAT stays as it is. Each current PMT of a scheduled service goes one version on, with our
//! descriptors behind those that were there. A damaged PMT and one that is not yet applicable stay
//! as they are, and so does what else is on their PIDs.

use super::{Program, PsiError, free_ca_mode, is_pmt_of};
use crate::carriage::{self, Carried, Piece};
use crate::files::schedule::{Schedule, Service};
use crate::stream::Packet;
use crate::stream_type::carries_pes;
use crate::table_lane::TableLane;
use cam_types::{CaSystemId, Pid};
use ecm_emm::EncodeError;
use ecm_emm::ca_descriptor::{CaDescriptor, CaPrivate};
use ecm_emm::descriptor::{Descriptor, Descriptors};
use ecm_emm::pmt::{Pmt, Stream, Streams};
use ecm_emm::section::LongSection;

/// A service of the source that is scrambled, and what its PMT says of that.
#[derive(Clone, Copy, Debug)]
pub struct Announced<'a> {
    /// The service.
    pub program: &'a Program,
    /// Its table in the schedule.
    pub service: &'a Service,
    /// Of its CA_descriptor.
    pub private: CaPrivate,
}

/// The PIDs whose tables change.
pub fn lanes(
    packets: &[Packet],
    schedule: &Schedule,
    services: &[Announced<'_>],
) -> Result<Vec<TableLane>, PsiError> {
    let mut lanes = Vec::new();
    let mut pids: Vec<Pid> = Vec::new();
    for announced in services {
        if !pids.contains(&announced.program.pmt_pid) {
            pids.push(announced.program.pmt_pid);
        }
    }
    for pid in pids {
        let mut pieces = carriage::pieces(packets, pid);
        for piece in &mut pieces {
            let Piece::Whole(carried) = piece else { continue };
            for announced in services.iter().filter(|service| service.program.pmt_pid == pid) {
                announced.rewrite(carried, schedule)?;
            }
        }
        lanes.push(TableLane::new(pid, pieces));
    }
    let scrambled: Vec<u16> = services.iter().map(|service| service.program.service).collect();
    for pid in [free_ca_mode::SDT_PID, free_ca_mode::EIT_PID] {
        if lanes.iter().any(|lane: &TableLane| lane.pid() == pid) {
            continue; // a PMT is there: no service information
        }
        let mut pieces = carriage::pieces(packets, pid);
        if free_ca_mode::set(&mut pieces, &scrambled) {
            lanes.push(TableLane::new(pid, pieces));
        }
    }
    Ok(lanes)
}

impl Announced<'_> {
    /// Puts the announcement into a section if it is a PMT of the service.
    fn rewrite(&self, carried: &mut Carried, schedule: &Schedule) -> Result<(), PsiError> {
        let service = self.program.service;
        let ours = LongSection::parse(&carried.section).is_ok_and(|s| is_pmt_of(service, &s));
        if ours {
            let packet = carried.packet;
            carried.section = self
                .section(&carried.section, schedule)
                .map_err(|error| PsiError::NewPmt { service, packet, error })?;
        }
        Ok(())
    }

    fn section(&self, old: &[u8], schedule: &Schedule) -> Result<Vec<u8>, EncodeError> {
        let old = Pmt::parse(old).map_err(|_| EncodeError::Invalid("PMT"))?;
        let ours =
            |out: &mut Vec<u8>| ca_descriptor(schedule, self.service.ecm_pid, self.private, out);
        let mut descriptors = Vec::new();
        // The source is in clear: what it says of a scrambling mode is of another time.
        let mut kept = old.descriptors.iter().filter(|d| d.tag != Descriptor::SCRAMBLING);
        kept.try_for_each(|descriptor| descriptor.emit(&mut descriptors))?;
        ours(&mut descriptors)?;
        let mode = [self.service.scrambling.mode().0];
        Descriptor { tag: Descriptor::SCRAMBLING, data: &mode }.emit(&mut descriptors)?;

        let mut streams = Vec::new();
        for stream in old.streams() {
            let mut own = stream.descriptors.octets().to_vec();
            // They stand in place of the programme's.
            let names_another = stream.descriptors.ca_descriptors().next().is_some();
            if names_another && carries_pes(stream.stream_type) {
                ours(&mut own)?;
            }
            Stream { descriptors: parsed(&own)?, ..stream }.emit(&mut streams)?;
        }
        let streams = Streams::parse(&streams).map_err(|_| EncodeError::Invalid("PMT"))?;
        let mut section = Vec::new();
        let version = (old.version + 1) & 0x1F;
        Pmt { version, descriptors: parsed(&descriptors)?, streams, ..old }.emit(&mut section)?;
        Ok(section)
    }
}

fn parsed(octets: &[u8]) -> Result<Descriptors<'_>, EncodeError> {
    Descriptors::parse(octets).map_err(|_| EncodeError::Invalid("descriptor"))
}

/// Appends our descriptor that names `pid`.
pub(super) fn ca_descriptor(
    schedule: &Schedule,
    pid: Pid,
    private: CaPrivate,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let system = CaSystemId::new(schedule.ca_system_id);
    CaDescriptor { system, pid, private: &private.octets() }.emit(out)
}
