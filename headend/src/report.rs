// SPDX-License-Identifier: Apache-2.0
//! The packager's report: numbers and places, never a key, control word or PIN.

use crate::carousel::Carousel;
use crate::files::schedule::{self, Schedule};
use crate::framing::Framing;
use crate::multiplex::{CatLane, EcmLane};
use crate::period::Place;
use crate::timebase::TICKS_PER_MS;
use cam_types::{Parity, Pid};
use serde::Serialize;
use std::collections::BTreeSet;

/// What was packaged.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Packets of the stream.
    pub packets: usize,
    /// How the packets lay in the source's file.
    pub framing: Framing,
    /// Its bit rate.
    pub bits_per_second: u64,
    /// The PID of the clock: its first PCR is time 0.
    pub clock_pid: u16,
    /// Packets of the source with the first PCR of a clock that starts anew: time goes on there
    /// with the packets.
    pub clock_jumps: Vec<usize>,
    /// From the first PCR to the end.
    pub duration_ms: i64,
    /// The schedule's start, in seconds since 2000-01-01 UTC.
    pub start: u32,
    /// Length of a crypto period.
    pub crypto_period_s: u32,
    /// Null packets of the source that are taken now, and those that are left.
    pub nulls: Nulls,
    /// How often the CAT is on air.
    pub cat: Cat,
    /// Each scrambled service.
    pub services: Vec<Service>,
    /// Each entry of the carousel.
    pub emms: Vec<Emm>,
    /// The number for the next EMM: `next_sequence` of the operator file from now on.
    pub next_sequence: u32,
    /// Deliberate faults of this run.
    pub faults: Vec<String>,
}

/// What has become of the source's null packets.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Nulls {
    /// Replaced by ECMs, CAT, offers and EMMs.
    pub used: usize,
    /// Still there.
    pub left: usize,
    /// How many of them the source did not have: a higher bit rate made them.
    pub added: usize,
}

/// The CAT on air.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cat {
    /// How many times it was sent.
    pub count: usize,
    /// The longest time between two.
    pub worst_interval_ms: f64,
    /// When, from the schedule's start.
    pub at_ms: Vec<i64>,
}

/// A scrambled service.
#[derive(Clone, Debug, Serialize)]
pub struct Service {
    /// Its name in the schedule.
    pub name: String,
    /// program_number.
    pub service: u16,
    /// "DVB-CSA2", "DVB-CISSA", "ATIS-IDSA" or "SCTE-52".
    pub algorithm: String,
    /// PIDs of its components.
    pub pids: Vec<u16>,
    /// Where its ECMs are.
    pub ecm_pid: u16,
    /// Packets with a scrambled payload.
    pub scrambled: usize,
    /// Packets whose payload is shorter than the algorithm scrambles: in clear by rule.
    pub too_short: usize,
    /// Packets without a payload.
    pub no_payload: usize,
    /// Packets left in clear by a fault.
    pub left_clear: usize,
    /// In the order of time; the first begins with the stream.
    pub crypto_periods: Vec<CryptoPeriod>,
    /// The shortest time from the first ECM with a control word to its crypto period. The first
    /// crypto period does not count, nor one whose control word no ECM had.
    pub worst_next_lead_ms: Option<i64>,
    /// Crypto periods, after the first, whose control word no ECM had.
    pub never_announced: usize,
    /// What was sent of its ECMs, and how often.
    pub ecm: Ecm,
}

/// A crypto period of a service.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CryptoPeriod {
    /// cp_number.
    pub number: u32,
    /// "even" or "odd".
    pub parity: &'static str,
    /// The service key's generation.
    pub epoch: u16,
    /// The first packet of it, counted from 0 in the stream.
    pub first_packet: usize,
    /// The last packet of it.
    pub last_packet: usize,
    /// Start, from the schedule's start.
    pub from_ms: i64,
    /// End, from the schedule's start.
    pub to_ms: i64,
    /// The event on air.
    pub event: Option<u32>,
    /// Time from the first ECM with its control word to its start; none when no ECM had it.
    pub next_lead_ms: Option<i64>,
}

/// ECMs of a service.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ecm {
    /// How many are on air.
    pub count: usize,
    /// From the start of the stream to the first.
    pub first_ms: Option<i64>,
    /// The longest time between two.
    pub worst_interval_ms: f64,
    /// The mean time between two.
    pub mean_interval_ms: f64,
    /// The packets that carry them.
    pub packets: Vec<usize>,
    /// When, from the schedule's start.
    pub at_ms: Vec<i64>,
    /// The packets that carry offers.
    pub offer_packets: Vec<usize>,
}

/// An entry of the carousel.
#[derive(Clone, Debug, Serialize)]
pub struct Emm {
    /// Its name in the schedule.
    pub name: String,
    /// What its message does, by the name that the schedule has for it.
    pub kind: &'static str,
    /// Its number, if it has one of its own.
    pub sequence: Option<u32>,
    /// Octets of the section.
    pub octets: usize,
    /// The first packet of each time it was on air.
    pub packets: Vec<usize>,
    /// When, from the schedule's start.
    pub at_ms: Vec<i64>,
}

/// Packets of a service, counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// With a scrambled payload.
    pub scrambled: usize,
    /// With a payload shorter than a block.
    pub too_short: usize,
    /// Without a payload.
    pub no_payload: usize,
}

impl Service {
    /// What its crypto periods say of their control words' leads, all in all.
    pub fn sum_up_leads(&mut self) {
        let leads = self.crypto_periods.iter().skip(1).map(|period| period.next_lead_ms);
        self.worst_next_lead_ms = leads.clone().flatten().min();
        self.never_announced = leads.filter(Option::is_none).count();
    }
}

impl Report {
    /// Of a stream, before its parts are added.
    pub fn new(
        schedule: &Schedule,
        place: Place<'_>,
        packets: usize,
        clock: Pid,
        next_sequence: u32,
    ) -> Self {
        Self {
            packets,
            bits_per_second: place.time.bit_rate(),
            clock_pid: clock.value(),
            clock_jumps: place.time.jumps().to_vec(),
            duration_ms: milliseconds(place.time.ticks(packets)),
            start: schedule.start.0.seconds(),
            crypto_period_s: schedule.crypto_period_s,
            next_sequence,
            ..Self::default()
        }
    }

    /// The CAT on air.
    pub fn add_cat(&mut self, lane: &CatLane) {
        let at: Vec<i64> = lane.sent.iter().map(|&(_, at)| at).collect();
        self.cat = Cat {
            count: at.len(),
            worst_interval_ms: intervals(&at).0,
            at_ms: at.iter().copied().map(milliseconds).collect(),
        };
    }

    /// A service on air.
    pub fn add_service(
        &mut self,
        service: &schedule::Service,
        components: BTreeSet<Pid>,
        lane: &EcmLane<'_>,
        tally: Tally,
        place: Place<'_>,
    ) {
        let at: Vec<i64> = lane.sent.iter().map(|sent| sent.at).collect();
        let (worst_interval_ms, mean_interval_ms) = intervals(&at);
        let crypto_periods: Vec<CryptoPeriod> =
            (0..place.periods.count()).map(|period| crypto_period(lane, period, place)).collect();
        let mut service = Service {
            name: service.name.clone(),
            service: service.service,
            algorithm: service.scrambling.to_string(),
            pids: components.into_iter().map(Pid::value).collect(),
            ecm_pid: service.ecm_pid.value(),
            scrambled: tally.scrambled,
            too_short: tally.too_short,
            no_payload: tally.no_payload,
            left_clear: 0,
            crypto_periods,
            worst_next_lead_ms: None,
            never_announced: 0,
            ecm: Ecm {
                count: at.len(),
                first_ms: at.first().copied().map(milliseconds),
                worst_interval_ms,
                mean_interval_ms,
                packets: lane.sent.iter().map(|sent| sent.packet).collect(),
                at_ms: at.iter().copied().map(milliseconds).collect(),
                offer_packets: lane.offers.clone(),
            },
        };
        service.sum_up_leads();
        self.services.push(service);
    }

    /// The EMMs on air.
    pub fn add_carousel(&mut self, carousel: &Carousel, place: Place<'_>) {
        self.emms = carousel
            .items()
            .iter()
            .map(|item| Emm {
                name: item.name.clone(),
                kind: item.kind,
                sequence: item.sequence,
                octets: item.section.len(),
                packets: item.packets.clone(),
                at_ms: item.packets.iter().map(|&p| milliseconds(place.time.ticks(p))).collect(),
            })
            .collect();
    }
}

fn crypto_period(lane: &EcmLane<'_>, period: usize, place: Place<'_>) -> CryptoPeriod {
    let packets = place.periods.packets(period);
    let start = place.time.ticks(packets.start);
    let ahead = lane.sent.iter().find(|sent| sent.period == period || sent.period + 1 == period);
    CryptoPeriod {
        number: place.periods.number(period),
        parity: match place.periods.parity(period) {
            Parity::Even => "even",
            Parity::Odd => "odd",
        },
        epoch: lane.maker.epoch(period),
        first_packet: packets.start,
        last_packet: packets.end.saturating_sub(1),
        from_ms: milliseconds(start),
        to_ms: milliseconds(place.time.ticks(packets.end)),
        event: lane.maker.event(period).map(|event| event.id),
        next_lead_ms: ahead.map(|sent| milliseconds(start - sent.at)),
    }
}

/// Ticks in milliseconds, rounded down.
const fn milliseconds(ticks: i64) -> i64 {
    ticks.div_euclid(TICKS_PER_MS)
}

/// The longest and the mean time between neighbours, in milliseconds with two decimals.
fn intervals(at: &[i64]) -> (f64, f64) {
    let round = |ticks: f64| (ticks / TICKS_PER_MS as f64 * 100.0).round() / 100.0;
    let steps = at.iter().zip(at.iter().skip(1)).map(|(a, b)| b - a);
    let worst = steps.clone().max().unwrap_or(0);
    let mean = steps.clone().sum::<i64>() as f64 / steps.count().max(1) as f64;
    (round(worst as f64), round(mean))
}
