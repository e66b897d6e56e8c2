// SPDX-License-Identifier: Apache-2.0
//! The source's tables: which packets belong to a service, and when.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.4 (PAT, CAT, PMT)

pub mod announce;
pub mod cat;
mod error;
pub mod free_ca_mode;

pub use error::PsiError;

use crate::carriage;
use crate::stream::{self, Packet};
use crate::stream_type::carries_pes;
use cam_types::Pid;
use ecm_emm::pat::Pat;
use ecm_emm::pmt::Pmt;
use ecm_emm::section::LongSection;
use std::collections::BTreeSet;

/// A service as the source's tables describe it.
#[derive(Clone, Debug)]
pub struct Program {
    /// program_number.
    pub service: u16,
    /// Where its PMT is, as the PAT says.
    pub pmt_pid: Pid,
    /// Its PMTs: at least one, in their order.
    versions: Vec<Version>,
    /// The components of all of them.
    components: BTreeSet<Pid>,
}

/// What a service is from one PMT to the next.
#[derive(Clone, Debug)]
struct Version {
    /// The packet that its PMT begins in.
    from: usize,
    /// The PID of its clock.
    pcr_pid: Pid,
    /// PIDs of components that carry PES packets: those that are scrambled.
    components: Vec<Pid>,
    /// PIDs of the others.
    others: Vec<Pid>,
    section: Vec<u8>,
}

/// The programmes of the first PAT that is current, from all its sections.
pub fn programs(packets: &[Packet]) -> Result<Vec<ecm_emm::pat::Program>, PsiError> {
    let carried = carriage::sections(packets, Pid::PAT);
    let mut pats = carried
        .iter()
        .filter_map(|carried| Pat::parse(&carried.section).ok())
        .filter(|pat| pat.current);
    let first = pats.next().ok_or(PsiError::NoPat)?;
    let mut seen = vec![first.number.0];
    let mut programs = first.programs;
    for pat in pats {
        if pat.version == first.version && !seen.contains(&pat.number.0) {
            seen.push(pat.number.0);
            programs.extend(pat.programs);
        }
    }
    Ok(programs)
}

impl Program {
    /// Finds a service. Damaged PMTs, and those that are not yet applicable, are passed by.
    pub fn find(packets: &[Packet], service: u16) -> Result<Self, PsiError> {
        let programs = programs(packets)?;
        let services: Vec<u16> = programs.iter().map(|program| program.number).collect();
        let Some(program) = programs.iter().find(|p| p.number == service && service != 0) else {
            return Err(PsiError::NoService { service, services });
        };
        let pmt_pid = program.pid;
        check_place(packets, service, pmt_pid)?;
        let mut versions: Vec<Version> = Vec::new();
        let mut damage = None;
        for carried in carriage::sections(packets, pmt_pid) {
            let packet = carried.packet;
            let failed = |error| PsiError::Pmt { service, packet, error };
            match LongSection::parse(&carried.section) {
                Ok(section) if is_pmt_of(service, &section) => {}
                // Another table or not yet applicable: no receiver takes it for the service's PMT.
                Ok(_) => continue,
                Err(error) => {
                    damage = damage.or(Some(failed(error)));
                    continue;
                }
            }
            if versions.last().is_some_and(|last| last.section == carried.section) {
                continue;
            }
            let pmt = Pmt::parse(&carried.section).map_err(failed)?;
            let (components, others): (Vec<_>, Vec<_>) =
                pmt.streams().partition(|stream| carries_pes(stream.stream_type));
            let pids = |streams: Vec<ecm_emm::pmt::Stream<'_>>| {
                streams.into_iter().map(|stream| stream.pid).collect()
            };
            versions.push(Version {
                from: packet,
                pcr_pid: pmt.pcr_pid,
                components: pids(components),
                others: pids(others),
                section: carried.section,
            });
        }
        if versions.is_empty() {
            return Err(damage.unwrap_or(PsiError::NoPmt { service, pmt_pid }));
        }
        let all = versions.iter().flat_map(|version| version.components.iter().copied());
        let components = all.collect();
        Ok(Self { service, pmt_pid, versions, components })
    }

    /// What holds at a packet: the newest PMT that has begun, before the first one the first.
    fn at(&self, packet: usize) -> Option<&Version> {
        let begun = self.versions.partition_point(|version| version.from <= packet);
        self.versions.get(begun.saturating_sub(1))
    }

    /// The PID of its clock at a packet.
    pub fn pcr_pid(&self, packet: usize) -> Option<Pid> {
        self.at(packet).map(|version| version.pcr_pid)
    }

    /// Whether a PID is a component that carries PES packets: by the PMT that holds at this packet,
    /// or, where that one does not name it, by any other. A component may begin before its PMT and
    /// end behind it.
    pub fn has(&self, packet: usize, pid: Pid) -> bool {
        let Some(version) = self.at(packet) else { return false };
        version.components.contains(&pid)
            || self.components.contains(&pid) && !version.others.contains(&pid)
    }

    /// All its components that carry PES packets, from the first PMT to the last.
    pub const fn components(&self) -> &BTreeSet<Pid> {
        &self.components
    }
}

/// Refuses a PAT that sends the service's PMT elsewhere in mid-stream.
fn check_place(packets: &[Packet], service: u16, pmt_pid: Pid) -> Result<(), PsiError> {
    for carried in carriage::sections(packets, Pid::PAT) {
        let Ok(pat) = Pat::parse(&carried.section) else { continue };
        let moved = pat.programs.iter().find(|p| p.number == service && p.pid != pmt_pid);
        if let (true, Some(to)) = (pat.current, moved) {
            let places = [pmt_pid, to.pid];
            return Err(PsiError::PmtMoves { service, packet: carried.packet, places });
        }
    }
    Ok(())
}

fn is_pmt_of(service: u16, section: &LongSection<'_>) -> bool {
    section.table_id == Pmt::TABLE_ID && section.extension == service && section.current
}

/// Refuses a component that is scrambled already, at either level (ETSI ETR 289 §5.1: never both).
pub fn check_clear(
    packets: &[Packet],
    is_component: impl Fn(usize, Pid) -> bool,
) -> Result<(), PsiError> {
    for (index, packet) in packets.iter().enumerate() {
        let pid = stream::pid(packet);
        if stream::damaged(packet) || pid == Pid::NULL || !is_component(index, pid) {
            continue;
        }
        let pes_scrambled = stream::unit_start(packet)
            && matches!(*stream::payload(packet), [0, 0, 1, id, _, _, flags, ..]
                if has_pes_flags(id) && flags & 0xC0 == 0x80 && flags & 0x30 != 0);
        if stream::scrambling_control(packet) != 0 || pes_scrambled {
            return Err(PsiError::Scrambled { pid, packet: index });
        }
    }
    Ok(())
}

/// PES packets of these streams have no flags behind their length (ISO/IEC 13818-1 §2.4.3.7).
const fn has_pes_flags(stream_id: u8) -> bool {
    !matches!(stream_id, 0xBC | 0xBE | 0xBF | 0xF0..=0xF2 | 0xF8 | 0xFF)
}
