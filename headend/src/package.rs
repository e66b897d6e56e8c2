// SPDX-License-Identifier: Apache-2.0
//! The packager: a clear transport stream in, a scrambled broadcast out.
//!
//! Packet i of the result is packet i of the source. A PMT is rewritten in its own packets, a
//! payload of a scheduled service is scrambled, a null packet may become an ECM, a CAT, an offer or
//! an EMM; nothing else changes.

use crate::carousel::Carousel;
use crate::carousel::entries::{CarouselError, Works};
use crate::coverage::{self, Gap};
use crate::ecm::{EcmError, EcmMaker};
use crate::emm::Senders;
use crate::files::FileError;
use crate::files::operator::Operator;
use crate::files::schedule::Schedule;
use crate::multiplex::{CatLane, EcmLane, Moment, Multiplex, OnAir};
use crate::period::{Periods, Place};
use crate::psi::{self, Program, PsiError};
use crate::report::{Report, Tally};
use crate::scrambler::{Scrambled, Scrambler};
use crate::stream::{self, Packet, Stream};
use crate::timebase::{ClockError, Timebase};
use cam_types::{ChannelId, OperatorId, Pid};
use ecm_emm::EncodeError;
use ecm_emm::ca_descriptor::CaPrivate;
use std::fmt;

/// Packages `stream` in place, with the ECM of each crypto period on air during it. What boxes could
/// not open all the time is refused.
pub fn package(
    stream: &mut Stream,
    schedule: &Schedule,
    operator: &Operator,
) -> Result<Report, PackageError> {
    let report =
        package_with(stream, schedule, operator, &|moment: Moment<'_>| Some(moment.period))?;
    coverage::check(&report, schedule)?;
    Ok(report)
}

/// The same with ECMs on air as `on_air` says.
pub fn package_with(
    stream: &mut Stream,
    schedule: &Schedule,
    operator: &Operator,
    on_air: &OnAir<'_>,
) -> Result<Report, PackageError> {
    let packets = stream.packets_mut();
    let programs = survey(packets, schedule)?;
    let clock = first_clock(packets, &programs).ok_or(PackageError::NoClock)?;
    let time = Timebase::read(packets, clock)?;
    let start = schedule.start.0;
    let periods = Periods::new(&time, packets.len(), start, schedule.crypto_period_s);
    let place = Place { time: &time, periods: &periods };

    let mut lanes = Vec::new();
    for (program, service) in programs.iter().zip(&schedule.service) {
        let maker = EcmMaker::new(schedule, service, operator, &periods)?;
        let suite = maker.suite()?.number();
        let private = CaPrivate {
            operator: OperatorId::new(operator.operator),
            suite,
            channel: Some(ChannelId::new(service.channel)),
        };
        program.announce(packets, schedule, service, private)?;
        lanes.push(EcmLane::new(maker, service, schedule.ecm_period_ms, on_air));
    }
    let private = CaPrivate {
        operator: OperatorId::new(operator.operator),
        suite: operator.suite,
        channel: None,
    };
    let cat = CatLane::new(psi::cat(schedule, private).map_err(PackageError::Cat)?, schedule);
    let makers: Vec<&EcmMaker<'_>> = lanes.iter().map(|lane| &lane.maker).collect();
    let senders = Senders::new(operator);
    let works = Works { senders, ecms: &makers, periods: &periods, schedule };
    let (items, next_sequence) = works.carousel(&schedule.emm, operator.next_sequence)?;
    let mut multiplex = Multiplex::new(lanes, cat, Carousel::new(items), schedule.emm_pid);

    let mut tallies = vec![Tally::default(); programs.len()];
    let mut nulls = crate::report::Nulls::default();
    for (index, packet) in packets.iter_mut().enumerate() {
        if stream::pid(packet) == Pid::NULL {
            match multiplex.take(time.ticks(index), index, &periods)? {
                Some(new) => {
                    *packet = new;
                    nulls.used += 1;
                }
                None => nulls.left += 1,
            }
        }
    }
    for ((program, tally), lane) in programs.iter().zip(&mut tallies).zip(&multiplex.ecms) {
        scramble(packets, program, &lane.maker, &periods, tally)?;
    }
    let mut report = Report::new(schedule, place, packets.len(), clock, next_sequence);
    report.nulls = nulls;
    report.add_cat(&multiplex.cat);
    for ((lane, tally), (program, service)) in
        multiplex.ecms.iter().zip(&tallies).zip(programs.iter().zip(&schedule.service))
    {
        report.add_service(service, program, lane, *tally, place);
    }
    report.add_carousel(&multiplex.carousel, place);
    Ok(report)
}

/// Checks that the source can be packaged, and finds the schedule's services in it.
fn survey(packets: &[Packet], schedule: &Schedule) -> Result<Vec<Program>, PackageError> {
    let mut programs: Vec<Program> = Vec::new();
    for service in &schedule.service {
        let program = Program::find(packets, service.service)?;
        if program.components.is_empty() {
            return Err(PackageError::NoComponents { service: service.service });
        }
        psi::check_clear(packets, &program.components)?;
        programs.push(program);
    }
    for other in psi::programs(packets)? {
        // Services that the schedule does not name may be anything, as long as they share nothing.
        let Ok(other) = Program::find(packets, other.number) else { continue };
        for ours in programs.iter().filter(|ours| ours.service != other.service) {
            if let Some(&pid) = ours.components.iter().find(|pid| other.components.contains(pid)) {
                let services = [ours.service, other.service];
                return Err(PackageError::SharedComponent { pid, services });
            }
        }
    }
    let streams = schedule.service.iter().map(|s| ("ecm_pid", s.ecm_pid));
    for (field, pid) in streams.chain([("emm_pid", schedule.emm_pid), ("the CAT's PID", Pid::CAT)])
    {
        if let Some(packet) = packets.iter().position(|packet| stream::pid(packet) == pid) {
            return Err(PackageError::PidTaken { field, pid, packet });
        }
    }
    if !packets.iter().any(|packet| stream::pid(packet) == Pid::NULL) {
        return Err(PackageError::NoNullPackets);
    }
    Ok(programs)
}

/// The PCR PID, of the scheduled services, whose clock comes first: its first PCR is the start.
fn first_clock(packets: &[Packet], programs: &[Program]) -> Option<Pid> {
    packets
        .iter()
        .filter(|packet| stream::pcr(packet).is_some())
        .map(stream::pid)
        .find(|pid| programs.iter().any(|program| program.pcr_pid == *pid))
}

/// Scrambles the payloads of a service.
fn scramble(
    packets: &mut [Packet],
    program: &Program,
    maker: &EcmMaker<'_>,
    periods: &Periods,
    tally: &mut Tally,
) -> Result<(), PackageError> {
    let algorithm = maker.algorithm();
    for period in 0..periods.count() {
        let cw = maker.cw(period).ok_or(EcmError::NoPeriod)?;
        let scrambler = Scrambler::new(algorithm, cw);
        let parity = periods.parity(period);
        for packet in packets.get_mut(periods.packets(period)).unwrap_or_default() {
            if !program.components.contains(&stream::pid(packet)) {
                continue;
            }
            match scrambler.packet(packet, parity) {
                Scrambled::Yes => tally.scrambled += 1,
                Scrambled::TooShort => tally.too_short += 1,
                Scrambled::NoPayload => tally.no_payload += 1,
            }
        }
    }
    Ok(())
}

/// Why a stream was not packaged.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are named after what the text shows")]
pub enum PackageError {
    /// The source's tables.
    Psi(PsiError),
    /// No PCR of a scheduled service.
    NoClock,
    /// The source's clock.
    Clock(ClockError),
    /// The files, or an ECM that cannot be made.
    Ecm(EcmError),
    /// An EMM that cannot be made.
    Emm(CarouselError),
    /// The CAT cannot be built.
    Cat(EncodeError),
    /// A service without a component that carries PES packets.
    NoComponents { service: u16 },
    /// A component of two services.
    SharedComponent { pid: Pid, services: [u16; 2] },
    /// A PID that the broadcast needs is in the source.
    PidTaken { field: &'static str, pid: Pid, packet: usize },
    /// Nowhere to put ECMs.
    NoNullPackets,
    /// Too few null packets: boxes would be in the dark.
    Dark { gap: Gap, bit_rate: u64 },
}

impl From<PsiError> for PackageError {
    fn from(error: PsiError) -> Self {
        Self::Psi(error)
    }
}

impl From<ClockError> for PackageError {
    fn from(error: ClockError) -> Self {
        Self::Clock(error)
    }
}

impl From<EcmError> for PackageError {
    fn from(error: EcmError) -> Self {
        Self::Ecm(error)
    }
}

impl From<CarouselError> for PackageError {
    fn from(error: CarouselError) -> Self {
        Self::Emm(error)
    }
}

impl From<FileError> for PackageError {
    fn from(error: FileError) -> Self {
        Self::Ecm(EcmError::File(error))
    }
}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Psi(error) => error.fmt(f),
            Self::NoClock => f.write_str("no PCR on the PCR PID of any scheduled service"),
            Self::Clock(error) => error.fmt(f),
            Self::Ecm(error) => error.fmt(f),
            Self::Emm(error) => error.fmt(f),
            Self::Cat(error) => write!(f, "CAT: {error}"),
            Self::NoComponents { service } => {
                write!(f, "service {service} has no component that carries PES packets")
            }
            Self::SharedComponent { pid, services: [a, b] } => {
                write!(f, "PID {pid} belongs to services {a} and {b}: it cannot be scrambled twice")
            }
            Self::PidTaken { field, pid, packet } => {
                write!(f, "{field} {pid} is taken in the source, first at packet {packet}")
            }
            Self::NoNullPackets => f.write_str(
                "no null packets in the source: nowhere to put ECMs. --bit-rate raises the rate and \
                 makes room",
            ),
            Self::Dark { gap, bit_rate } => {
                write!(f, "{gap}: too few null packets there. --bit-rate {bit_rate} makes room")
            }
        }
    }
}

impl std::error::Error for PackageError {}
