// SPDX-License-Identifier: Apache-2.0
//! The tables: which packets belong to a service, and how the broadcast announces its scrambling.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.4 (PAT, CAT, PMT), §2.6.16 (CA_descriptor)
//!  - ETSI EN 300 468 §6.2 (scrambling_descriptor)
//!
//! The PAT stays as it is. Each PMT is rewritten in its own packets: one version on, with our
//! descriptors behind those that were there. A damaged PMT and one that is not yet applicable stay
//! as they are.

use crate::carriage::{self, Unit};
use crate::files::schedule::{self, Schedule};
use crate::stream::{self, Packet};
use crate::stream_type;
use cam_types::{CaSystemId, DecodeError, Pid};
use ecm_emm::EncodeError;
use ecm_emm::ca_descriptor::{CaDescriptor, CaPrivate};
use ecm_emm::cat::Cat;
use ecm_emm::descriptor::{Descriptor, Descriptors};
use ecm_emm::pat::Pat;
use ecm_emm::pmt::Pmt;
use ecm_emm::section::LongSection;
use std::fmt;

/// A service as the source's tables describe it.
#[derive(Clone, Debug)]
pub struct Program {
    /// program_number.
    pub service: u16,
    /// Where its PMT is, as the PAT says.
    pub pmt_pid: Pid,
    /// The PID of its clock.
    pub pcr_pid: Pid,
    /// The PIDs of its components that are scrambled: those that carry PES packets.
    pub components: Vec<Pid>,
    units: Vec<Unit>,
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
    /// Finds a service. Its PMT must be the same from the first packet to the last; damaged ones,
    /// and those that are not yet applicable, are passed by.
    pub fn find(packets: &[Packet], service: u16) -> Result<Self, PsiError> {
        let programs = programs(packets)?;
        let services: Vec<u16> = programs.iter().map(|program| program.number).collect();
        let Some(program) = programs.iter().find(|p| p.number == service && service != 0) else {
            return Err(PsiError::NoService { service, services });
        };
        let pmt_pid = program.pid;
        if programs.iter().filter(|other| other.pid == pmt_pid).count() > 1 {
            return Err(PsiError::SharedPmt { service, pmt_pid });
        }
        let mut units = Vec::new();
        let mut known: Option<Vec<u8>> = None;
        let mut damage = None;
        for unit in carriage::units(packets, pmt_pid) {
            let packet = unit.packets.first().copied().unwrap_or_default();
            if unit.pointer != 0 {
                return Err(PsiError::PmtLayout { service, packet });
            }
            let found: Vec<&[u8]> = ecm_emm::section::sections(&unit.octets).collect();
            let mut ours = found.iter().filter(|section| {
                let section = LongSection::parse(section)
                    .inspect_err(|error| damage = damage.take().or(Some((packet, *error))));
                section.is_ok_and(|section| is_pmt_of(service, &section))
            });
            // Damaged, another table or not yet applicable: no receiver takes it for the service's
            // PMT.
            let Some(&section) = ours.next() else { continue };
            if found.len() != 1 {
                return Err(PsiError::PmtLayout { service, packet });
            }
            Pmt::parse(section).map_err(|error| PsiError::Pmt { service, packet, error })?;
            if known.as_ref().is_some_and(|known| known != section) {
                return Err(PsiError::PmtChanges { service, packet });
            }
            known = Some(section.to_vec());
            units.push(unit);
        }
        let section = known.ok_or(match damage {
            Some((packet, error)) => PsiError::Pmt { service, packet, error },
            None => PsiError::NoPmt { service, pmt_pid },
        })?;
        let pmt = Pmt::parse(&section).map_err(|error| PsiError::Pmt {
            service,
            packet: units
                .first()
                .and_then(|unit| unit.packets.first())
                .copied()
                .unwrap_or_default(),
            error,
        })?;
        let components = pmt
            .streams()
            .filter(|s| stream_type::carries_pes(s.stream_type))
            .map(|s| s.pid)
            .collect();
        Ok(Self { service, pmt_pid, pcr_pid: pmt.pcr_pid, components, units, section })
    }

    /// Rewrites every PMT of the service in place.
    pub fn announce(
        &self,
        packets: &mut [Packet],
        schedule: &Schedule,
        service: &schedule::Service,
        private: CaPrivate,
    ) -> Result<(), PsiError> {
        let section = self
            .announced(schedule, service, private)
            .map_err(|error| PsiError::NewPmt { service: self.service, error })?;
        for unit in &self.units {
            if section.len() > unit.octets.len() {
                return Err(PsiError::PmtTooLong {
                    service: self.service,
                    packet: unit.packets.first().copied().unwrap_or_default(),
                    needed: section.len(),
                    room: unit.octets.len(),
                });
            }
        }
        for unit in &self.units {
            unit.replace(packets, &section);
        }
        Ok(())
    }

    fn announced(
        &self,
        schedule: &Schedule,
        service: &schedule::Service,
        private: CaPrivate,
    ) -> Result<Vec<u8>, EncodeError> {
        let old = Pmt::parse(&self.section).map_err(|_| EncodeError::Invalid("PMT"))?;
        let mut descriptors = old.descriptors().octets().to_vec();
        ca_descriptor(schedule, service.ecm_pid, private, &mut descriptors)?;
        let mode = [service.scrambling.mode().0];
        Descriptor { tag: Descriptor::SCRAMBLING, data: &mode }.emit(&mut descriptors)?;
        let descriptors =
            Descriptors::parse(&descriptors).map_err(|_| EncodeError::Invalid("descriptor"))?;
        let mut section = Vec::new();
        Pmt { version: (old.version + 1) & 0x1F, descriptors, ..old }.emit(&mut section)?;
        Ok(section)
    }
}

fn is_pmt_of(service: u16, section: &LongSection<'_>) -> bool {
    section.table_id == Pmt::TABLE_ID && section.extension == service && section.current
}

/// The CAT that names our EMM stream.
pub fn cat(schedule: &Schedule, private: CaPrivate) -> Result<Vec<u8>, EncodeError> {
    let mut descriptors = Vec::new();
    ca_descriptor(schedule, schedule.emm_pid, private, &mut descriptors)?;
    let descriptors =
        Descriptors::parse(&descriptors).map_err(|_| EncodeError::Invalid("descriptor"))?;
    let mut section = Vec::new();
    Cat { version: 0, current: true, number: (0, 0), descriptors }.emit(&mut section)?;
    Ok(section)
}

fn ca_descriptor(
    schedule: &Schedule,
    pid: Pid,
    private: CaPrivate,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let system = CaSystemId::new(schedule.ca_system_id);
    CaDescriptor { system, pid, private: &private.octets() }.emit(out)
}

/// Refuses a component that is scrambled already, at either level (ETSI ETR 289 §5.1: never both).
pub fn check_clear(packets: &[Packet], components: &[Pid]) -> Result<(), PsiError> {
    for (index, packet) in packets.iter().enumerate() {
        let pid = stream::pid(packet);
        if !components.contains(&pid) {
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

/// Why the source's tables do not serve.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are named after what the text shows")]
pub enum PsiError {
    /// No good PAT section that is current on PID 0.
    NoPat,
    /// The PAT does not name the service.
    NoService { service: u16, services: Vec<u16> },
    /// Two services share one PMT PID.
    SharedPmt { service: u16, pmt_pid: Pid },
    /// The PID named by the PAT carries no current PMT of the service.
    NoPmt { service: u16, pmt_pid: Pid },
    /// A PMT that does not start its packet, or shares it.
    PmtLayout { service: u16, packet: usize },
    /// A PMT that cannot be read.
    Pmt { service: u16, packet: usize, error: DecodeError },
    /// A PMT that differs from those before it.
    PmtChanges { service: u16, packet: usize },
    /// The rewritten PMT cannot be built.
    NewPmt { service: u16, error: EncodeError },
    /// The rewritten PMT does not fit where the old one stood.
    PmtTooLong { service: u16, packet: usize, needed: usize, room: usize },
    /// A component is scrambled in the source.
    Scrambled { pid: Pid, packet: usize },
}

impl fmt::Display for PsiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPat => {
                f.write_str("no program association table that is current on PID 0x0000")
            }
            Self::NoService { service, services } => {
                write!(f, "service {service} is not in the PAT, which names {services:?}")
            }
            Self::SharedPmt { service, pmt_pid } => {
                write!(f, "PMT of service {service}: PID {pmt_pid} carries another service's too")
            }
            Self::NoPmt { service, pmt_pid } => {
                write!(f, "no current PMT of service {service} on PID {pmt_pid}")
            }
            Self::PmtLayout { service, packet } => write!(
                f,
                "PMT of service {service} at packet {packet} does not stand alone behind its \
                 packet's start: it cannot be rewritten in place"
            ),
            Self::Pmt { service, packet, error } => {
                write!(f, "PMT of service {service} at packet {packet}: {error}")
            }
            Self::PmtChanges { service, packet } => write!(
                f,
                "PMT of service {service} changes at packet {packet}: cut the stream there and \
                 package the parts one by one"
            ),
            Self::NewPmt { service, error } => write!(f, "PMT of service {service}: {error}"),
            Self::PmtTooLong { service, packet, needed, room } => write!(
                f,
                "PMT of service {service} needs {needed} octets with its CA_descriptor, the \
                 packets of the one at packet {packet} hold {room}"
            ),
            Self::Scrambled { pid, packet } => {
                write!(f, "PID {pid} is scrambled in the source already, at packet {packet}")
            }
        }
    }
}

impl std::error::Error for PsiError {}
