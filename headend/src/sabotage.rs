// SPDX-License-Identifier: Apache-2.0
//! Broadcasts that break a promise on purpose: what faults do to the schedule before the packager,
//! and to stream and report behind it.

mod ecm;
mod emm;

use self::ecm::Disturbance;
use crate::cw_source::CwSource;
use crate::ecm::EcmError;
use crate::fault::{Fault, Faults};
use crate::files::operator::Operator;
use crate::files::schedule::{self, Schedule};
use crate::multiplex::Moment;
use crate::package::{self, PackageError};
use crate::report::{Report, Service};
use crate::scrambler::{Algorithm, Scrambler};
use crate::stream::{self, Packet, Stream};
use cam_types::{Fen, Parity};
use ecm_emm::dvs042::Scte52Ivs;
use std::fmt;

/// The crypto period, counted from 0, that is broken where a fault breaks one.
const THIRD: usize = 2;

/// Packages `stream` in place and breaks what these faults want.
pub fn package(
    stream: &mut Stream,
    schedule: &Schedule,
    operator: &Operator,
    faults: Faults<'_>,
) -> Result<Report, SabotageError> {
    if faults.0.is_empty() {
        return Ok(package::package(stream, schedule, operator)?);
    }
    let source = stream.clone();
    let mut wanted = schedule.clone();
    if faults.has(Fault::WrongPrice) {
        overprice(&mut wanted);
    }
    emm::change(&mut wanted.emm, faults);
    let disturbance = Disturbance::of(schedule, faults);
    let on_air = |moment: Moment<'_>| disturbance.on_air(moment);
    let mut report = package::package_with(stream, &wanted, operator, &on_air)?;
    check(schedule, &report, faults)?;
    report.emms.retain(|emm| !emm::silenced(emm.kind, faults));
    let (source, packets) = (source.packets(), stream.packets_mut());
    if faults.has(Fault::WrongControlWord) {
        let services = schedule.service.iter().zip(&mut report.services);
        for (_, service) in services.filter(|(s, _)| is_cissa(s)).take(1) {
            wrong_cw(source, packets, service).map_err(PackageError::Ecm)?;
        }
    }
    if faults.has(Fault::ClearPacket)
        && let (Some(first), Some(service)) =
            (schedule.service.first(), report.services.first_mut())
    {
        leave_clear(source, packets, service, first.scrambling);
    }
    if faults.has(Fault::ShiftedPacket) {
        shift(packets, &report.services);
    }
    report.faults = faults.names();
    Ok(report)
}

/// A fault that finds nothing to break would make a test of it worthless.
fn check(schedule: &Schedule, report: &Report, faults: Faults<'_>) -> Result<(), SabotageError> {
    let periods = report.services.first().map_or(0, |service| service.crypto_periods.len());
    let sells = schedule.service.iter().any(|service| !service.event.is_empty());
    let sends = |kinds: &[&str]| schedule.emm.iter().any(|e| kinds.contains(&e.message.kind()));
    for fault in faults.0 {
        let has_object = match fault {
            Fault::WrongControlWord => periods > THIRD && schedule.service.iter().any(is_cissa),
            Fault::LostEcm => periods > 4 && sells,
            Fault::WrongPrice => sells,
            Fault::ClearPacket => periods > THIRD,
            Fault::LateNext => periods > 4,
            Fault::LostKeyUpdate => sends(&["key_deliver"]),
            Fault::NoForgeries => sends(&["forge_emm", "forge_ecm"]),
            Fault::NoReplay | Fault::FreshReplay => sends(&["replay"]),
            Fault::ShiftedPacket => true,
        };
        if !has_object {
            return Err(SabotageError::IdleFault { fault: Faults(&[*fault]).names().concat() });
        }
    }
    Ok(())
}

/// Why nothing was broken as it was wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the field is named after what the text shows")]
pub enum SabotageError {
    /// The packager's own reasons.
    Package(PackageError),
    /// A fault that finds nothing to break.
    IdleFault { fault: String },
}

impl From<PackageError> for SabotageError {
    fn from(error: PackageError) -> Self {
        Self::Package(error)
    }
}

impl fmt::Display for SabotageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(error) => error.fmt(f),
            Self::IdleFault { fault } => {
                write!(f, "--fault {fault} finds nothing to break in this stream and schedule")
            }
        }
    }
}

impl std::error::Error for SabotageError {}

fn is_cissa(service: &schedule::Service) -> bool {
    service.scrambling == Algorithm::Cissa
}

/// The first event costs 1.00 more.
fn overprice(schedule: &mut Schedule) {
    let event = schedule.service.iter_mut().find_map(|service| service.event.first_mut());
    if let Some(event) = event {
        event.price = event.price.checked_add(Fen::new(100)).unwrap_or(event.price);
    }
}

/// Scrambles the third crypto period again, under a control word that no ECM carries.
fn wrong_cw(
    source: &[Packet],
    packets: &mut [Packet],
    service: &mut Service,
) -> Result<(), EcmError> {
    let Some(period) = service.crypto_periods.get_mut(THIRD) else { return Ok(()) };
    let cw = CwSource::System.draw(service.service, period.number, Algorithm::Cissa)?;
    let scrambler = Scrambler::new(Algorithm::Cissa, &cw, &Scte52Ivs::default());
    let parity = Parity::of_crypto_period(period.number);
    for place in period.first_packet..=period.last_packet {
        if let (Some(source), Some(packet)) = (source.get(place), packets.get_mut(place))
            && service.pids.contains(&stream::pid(source).value())
        {
            *packet = *source;
            scrambler.packet(packet, parity);
        }
    }
    period.next_lead_ms = None;
    service.sum_up_leads();
    Ok(())
}

/// One payload of the third crypto period goes on air as it came.
fn leave_clear(
    source: &[Packet],
    packets: &mut [Packet],
    service: &mut Service,
    algorithm: Algorithm,
) {
    let Some(period) = service.crypto_periods.get(THIRD) else { return };
    let scrambled = |packet: &Packet| {
        service.pids.contains(&stream::pid(packet).value())
            && stream::payload(packet).len() >= algorithm.shortest()
    };
    let pairs = source.iter().zip(packets).skip(period.first_packet);
    let mut third = pairs.take(period.last_packet + 1 - period.first_packet);
    if let Some((source, packet)) = third.find(|(source, _)| scrambled(source)) {
        *packet = *source;
        service.scrambled -= 1;
        service.left_clear += 1;
    }
}

/// Exchanges two neighbours, components of the services, in the middle of the file.
fn shift(packets: &mut [Packet], services: &[Service]) {
    let component = |packet: &Packet| {
        let pid = stream::pid(packet).value();
        services.iter().any(|service| service.pids.contains(&pid)).then_some(pid)
    };
    let middle = packets.len() / 2;
    let place = packets.windows(2).skip(middle).position(|pair| match pair {
        [a, b] => {
            let (a, b) = (component(a), component(b));
            a.is_some() && b.is_some() && a != b
        }
        _ => false,
    });
    if let Some(place) = place {
        packets.swap(middle + place, middle + place + 1);
    }
}
