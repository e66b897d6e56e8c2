// SPDX-License-Identifier: Apache-2.0
//! The packager: a clear transport stream in, a scrambled broadcast out.
//!
//! Packet i of the result is packet i of the source. A PMT is rewritten in its own packets, and
//! what does not fit follows in null packets; the SDT and the EIT are marked; a payload of a
//! scheduled service is scrambled; a null packet, or one of the source's CAT, may become an ECM, a
//! CAT, an offer or an EMM; nothing else changes.

mod error;
pub(crate) mod survey;

pub use error::PackageError;

use self::survey::{Group, survey};
use crate::carousel::Carousel;
use crate::carousel::entries::Works;
use crate::coverage;
use crate::ecm::{EcmError, EcmMaker};
use crate::emm::Senders;
use crate::files::operator::Operator;
use crate::files::schedule::Schedule;
use crate::multiplex::{CatLane, EcmLane, Moment, Multiplex, OnAir};
use crate::period::{Periods, Place};
use crate::psi;
use crate::psi::announce::{self, Announced};
use crate::report::{Report, Tally};
use crate::scrambler::{Scrambled, Scrambler};
use crate::stream::{self, Packet, Stream};
use crate::table_lane::Slot;
use cam_types::{ChannelId, OperatorId, Pid};
use ecm_emm::ca_descriptor::CaPrivate;
use ecm_emm::dvs042::Scte52Ivs;

/// Packages `stream` in place, with the ECM of each crypto period on air during it. What boxes
/// could not open all the time is refused.
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
    let framing = stream.framing().clone();
    let packets = stream.packets_mut();
    let (groups, time, clock) = survey(packets, schedule)?;
    let start = schedule.start.0;
    let periods = Periods::new(&time, packets.len(), start, schedule.crypto_period_s);
    let place = Place { time: &time, periods: &periods };

    let mut lanes = Vec::new();
    let mut announced = Vec::new();
    let of_operator = OperatorId::new(operator.operator);
    for (group, service) in groups.iter().zip(&schedule.service) {
        let maker = EcmMaker::new(schedule, service, operator, &periods)?;
        let suite = maker.suite()?.number();
        let channel = Some(ChannelId::new(service.channel));
        let private = CaPrivate { operator: of_operator, suite, channel };
        let of_group = |program| Announced { program, service, private };
        announced.extend(group.programs.iter().map(of_group));
        lanes.push(EcmLane::new(maker, service, schedule.ecm_period_ms, on_air));
    }
    let tables = announce::lanes(packets, schedule, &announced)?;
    let private = CaPrivate { operator: of_operator, suite: operator.suite, channel: None };
    let cat = CatLane::new(psi::cat::versions(packets, schedule, private)?, schedule);
    let makers: Vec<&EcmMaker<'_>> = lanes.iter().map(|lane| &lane.maker).collect();
    let senders = Senders::new(operator);
    let works = Works { senders, ecms: &makers, periods: &periods, schedule };
    let (items, next_sequence) = works.carousel(&schedule.emm, operator.next_sequence)?;
    let carousel = Carousel::new(items);
    let mut multiplex = Multiplex::new(tables, lanes, cat, carousel, schedule.emm_pid);

    let mut tallies = vec![Tally::default(); groups.len()];
    let mut nulls = crate::report::Nulls::default();
    for (index, packet) in packets.iter_mut().enumerate() {
        match multiplex.slot(index, packet) {
            None => {}
            Some(Slot::Taken(new)) => *packet = new,
            Some(Slot::Free) => match multiplex.take(time.ticks(index), index, &periods)? {
                Some(new) => {
                    *packet = new;
                    nulls.used += 1;
                }
                None => {
                    *packet = stream::empty_packet(Pid::NULL);
                    nulls.left += 1;
                }
            },
        }
    }
    for ((group, tally), lane) in groups.iter().zip(&mut tallies).zip(&multiplex.ecms) {
        scramble(packets, group, &lane.maker, &periods, &schedule.scte52_ivs(), tally)?;
    }
    let mut report = Report::new(schedule, place, packets.len(), clock, next_sequence);
    report.framing = framing;
    report.nulls = nulls;
    report.add_cat(&multiplex.cat);
    for ((lane, tally), (group, service)) in
        multiplex.ecms.iter().zip(&tallies).zip(groups.iter().zip(&schedule.service))
    {
        report.add_service(service, group.components(), lane, *tally, place);
    }
    report.add_carousel(&multiplex.carousel, place);
    Ok(report)
}

/// Scrambles the payloads of a service.
fn scramble(
    packets: &mut [Packet],
    group: &Group,
    maker: &EcmMaker<'_>,
    periods: &Periods,
    ivs: &Scte52Ivs,
    tally: &mut Tally,
) -> Result<(), PackageError> {
    let algorithm = maker.algorithm();
    for period in 0..periods.count() {
        let cw = maker.cw(period).ok_or(EcmError::NoPeriod)?;
        let scrambler = Scrambler::new(algorithm, cw, ivs);
        let parity = periods.parity(period);
        let range = periods.packets(period);
        let places = range.clone();
        for (index, packet) in places.zip(packets.get_mut(range).unwrap_or_default()) {
            if !group.scrambles(index, stream::pid(packet)) {
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
