// SPDX-License-Identifier: Apache-2.0
//! Whether a source can be packaged, and what the schedule's services are in it.

use super::PackageError;
use crate::files::schedule::{Schedule, Service, Shared};
use crate::psi::{self, Program};
use crate::stream::{self, Packet};
use crate::timebase::Timebase;
use cam_types::Pid;
use std::collections::BTreeSet;

/// The services of one table of the schedule: what is scrambled under one control word.
pub(crate) struct Group {
    /// `service`, then those of `also`.
    pub(crate) programs: Vec<Program>,
    /// Components that stay in clear, because another service has them too.
    clear: Vec<Pid>,
}

impl Group {
    fn find(packets: &[Packet], service: &Service) -> Result<Self, PackageError> {
        let find = |number| Ok(Program::find(packets, number)?);
        let programs = service.numbers().map(find).collect::<Result<_, PackageError>>()?;
        Ok(Self { programs, clear: Vec::new() })
    }

    /// Whether a PID is scrambled at a packet.
    pub(crate) fn scrambles(&self, packet: usize, pid: Pid) -> bool {
        !self.clear.contains(&pid) && self.programs.iter().any(|program| program.has(packet, pid))
    }

    /// All that is ever scrambled.
    pub(crate) fn components(&self) -> BTreeSet<Pid> {
        let all = self.programs.iter().flat_map(Program::components).copied();
        all.filter(|pid| !self.clear.contains(pid)).collect()
    }
}

/// The schedule's services in the source, its time, and the PID where the clock begins.
pub(crate) fn survey(
    packets: &[Packet],
    schedule: &Schedule,
) -> Result<(Vec<Group>, Timebase, Pid), PackageError> {
    let mut groups = Vec::new();
    for service in &schedule.service {
        groups.push(Group::find(packets, service)?);
    }
    share(packets, schedule, &mut groups)?;
    for (group, service) in groups.iter().zip(&schedule.service) {
        if group.components().is_empty() {
            return Err(PackageError::NoComponents { service: service.service });
        }
        psi::check_clear(packets, |packet, pid| group.scrambles(packet, pid))?;
    }
    check_free(packets, schedule)?;
    let (clock, program) = first_clock(packets, &groups).ok_or(PackageError::NoClock)?;
    let pid_at = |packet| program.map_or(Some(clock), |program| program.pcr_pid(packet));
    let time = Timebase::read(packets, pid_at)?;
    Ok((groups, time, clock))
}

/// Finds components of two services that are not under one ECM: what the schedule does not leave in
/// clear is refused.
fn share(
    packets: &[Packet],
    schedule: &Schedule,
    groups: &mut [Group],
) -> Result<(), PackageError> {
    let mut others = Vec::new();
    for other in psi::programs(packets)? {
        // Services that the schedule does not name may be anything.
        others.extend(Program::find(packets, other.number));
    }
    for (group, service) in groups.iter_mut().zip(&schedule.service) {
        let foreign = |other: &&Program| service.numbers().all(|number| number != other.service);
        for other in others.iter().filter(foreign) {
            let theirs = other.components();
            let shared: Vec<Pid> = group.components().intersection(theirs).copied().collect();
            match (service.shared, shared.first()) {
                (None, Some(&pid)) => {
                    let services = [service.service, other.service];
                    return Err(PackageError::SharedComponent { pid, services });
                }
                (None, None) => {}
                (Some(Shared::Clear), _) => group.clear.extend(shared),
            }
        }
    }
    Ok(())
}

/// Refuses PIDs of the schedule that are in the source.
fn check_free(packets: &[Packet], schedule: &Schedule) -> Result<(), PackageError> {
    let mut used: Vec<Pid> = schedule.service.iter().map(|service| service.ecm_pid).collect();
    used.push(schedule.emm_pid);
    let fields = schedule.service.iter().map(|service| ("ecm_pid", service.ecm_pid));
    for (field, pid) in fields.chain([("emm_pid", schedule.emm_pid)]) {
        if let Some(packet) = packets.iter().position(|packet| stream::pid(packet) == pid) {
            used.extend(packets.iter().map(stream::pid));
            // Below are the PIDs of service information, the last one is that of null packets.
            let mut candidates = (0x0020..0x1FFF).map(Pid::from_field);
            let free = candidates.find(|candidate| !used.contains(candidate));
            return Err(PackageError::PidTaken { field, pid, packet, free });
        }
    }
    Ok(())
}

/// The scheduled service whose clock comes first: its first PCR is the start. Where none of them
/// has a clock, that of another service: the first one in the stream.
fn first_clock<'a>(packets: &[Packet], groups: &'a [Group]) -> Option<(Pid, Option<&'a Program>)> {
    let programs = || groups.iter().flat_map(|group| &group.programs);
    let pcrs = || {
        let packets = packets.iter().enumerate();
        packets.filter(|(_, packet)| stream::pcr(packet).is_some() && !stream::damaged(packet))
    };
    let ours = pcrs().find_map(|(index, packet)| {
        let pid = stream::pid(packet);
        let program = programs().find(|program| program.pcr_pid(index) == Some(pid))?;
        Some((pid, Some(program)))
    });
    ours.or_else(|| pcrs().next().map(|(_, packet)| (stream::pid(packet), None)))
}
