// SPDX-License-Identifier: Apache-2.0
//! What goes into the null packets: what tables have grown by, ECMs, the CAT, offers and EMMs.

use crate::carousel::{Carousel, Lane};
use crate::due::Due;
use crate::ecm::{EcmError, EcmMaker};
use crate::files::schedule::{Event, Schedule, Service};
use crate::period::Periods;
use crate::psi::cat::CatVersion;
use crate::stream::{self, Packet, Packetizer};
use crate::table_lane::{Slot, TableLane};
use crate::timebase::{TICKS_PER_MS, TICKS_PER_SECOND};
use cam_types::Pid;

/// The ECM stream of one service.
pub struct EcmLane<'a> {
    /// Makes its sections.
    pub maker: EcmMaker<'a>,
    /// Where and of which crypto period each ECM was on air.
    pub sent: Vec<Sent>,
    /// The packets with offers.
    pub offers: Vec<usize>,
    pending_offers: Vec<(&'a Event, Due)>,
    due: Due,
    packetizer: Packetizer,
    /// The section on air and its crypto period.
    section: Option<(usize, Vec<u8>)>,
    service: &'a Service,
    on_air: &'a OnAir<'a>,
}

/// Says which crypto period's ECM is on air at a moment, if any. Nothing takes the place of an ECM
/// that is not.
pub type OnAir<'a> = dyn Fn(Moment<'_>) -> Option<usize> + 'a;

/// A moment in the stream of a service's ECMs.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The service.
    pub service: &'a Service,
    /// The crypto period that it is in.
    pub period: usize,
    /// The moment itself, in ticks.
    pub now: i64,
    /// All crypto periods.
    pub periods: &'a Periods,
}

/// An ECM on air.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sent {
    /// The first packet of it, counted from 0 in the stream.
    pub packet: usize,
    /// When, in ticks.
    pub at: i64,
    /// The crypto period that the ECM is of.
    pub period: usize,
}

/// An offer is repeated so often.
const OFFER_PERIOD: i64 = TICKS_PER_SECOND;

impl<'a> EcmLane<'a> {
    /// Due every `period_ms`, its events offered as the schedule says.
    pub fn new(
        maker: EcmMaker<'a>,
        service: &'a Service,
        period_ms: u32,
        on_air: &'a OnAir<'a>,
    ) -> Self {
        let seconds = |s: u32| i64::from(s) * TICKS_PER_SECOND;
        let offer = |event: &'a Event| {
            let from = seconds(event.offer_from_s?);
            Some((event, Due::new(from, Some(OFFER_PERIOD), Some(seconds(event.from_s)))))
        };
        Self {
            maker,
            sent: Vec::new(),
            offers: Vec::new(),
            pending_offers: service.event.iter().filter_map(offer).collect(),
            due: Due::always(i64::from(period_ms) * TICKS_PER_MS),
            packetizer: Packetizer::new(service.ecm_pid),
            section: None,
            service,
            on_air,
        }
    }

    fn ecm(
        &mut self,
        now: i64,
        packet: usize,
        periods: &Periods,
    ) -> Result<Option<Packet>, EcmError> {
        if self.due.since(now).is_none() {
            return Ok(None);
        }
        let moment = Moment { service: self.service, period: periods.at(packet), now, periods };
        let Some(period) = (self.on_air)(moment) else { return Ok(None) };
        if self.section.as_ref().is_none_or(|(of, _)| *of != period) {
            self.section = Some((period, self.maker.ecm(period)?));
        }
        let Some((_, section)) = &self.section else { return Ok(None) };
        self.due.sent(now);
        self.sent.push(Sent { packet, at: now, period });
        Ok(Some(self.packetizer.packet(section, 0)))
    }

    fn offer(
        &mut self,
        now: i64,
        packet: usize,
        periods: &Periods,
    ) -> Result<Option<Packet>, EcmError> {
        let due = self.pending_offers.iter_mut().find(|(_, due)| due.since(now).is_some());
        let Some((event, due)) = due else { return Ok(None) };
        due.sent(now);
        let section = self.maker.offer(periods.at(packet), event)?;
        self.offers.push(packet);
        Ok(Some(self.packetizer.packet(&section, 0)))
    }
}

/// The CAT, over and over.
pub struct CatLane {
    versions: Vec<CatVersion>,
    /// A CAT that is on air in part: its version, section and part.
    unfinished: Option<(usize, usize, usize)>,
    due: Due,
    packetizer: Packetizer,
    /// Where and when it was on air.
    pub sent: Vec<(usize, i64)>,
}

impl CatLane {
    /// Due as often as the schedule says.
    pub fn new(versions: Vec<CatVersion>, schedule: &Schedule) -> Self {
        Self {
            versions,
            unfinished: None,
            due: Due::always(i64::from(schedule.cat_period_ms) * TICKS_PER_MS),
            packetizer: Packetizer::new(Pid::CAT),
            sent: Vec::new(),
        }
    }

    fn take(&mut self, now: i64, packet: usize) -> Option<Packet> {
        let (version, number, part) = match self.unfinished.take() {
            Some(next) => next,
            None => {
                self.due.since(now)?;
                self.due.sent(now);
                self.sent.push((packet, now));
                let begun = self.versions.partition_point(|version| version.from <= packet);
                (begun.saturating_sub(1), 0, 0)
            }
        };
        let sections = &self.versions.get(version)?.sections;
        let section = sections.get(number)?;
        if part + 1 < Packetizer::packets(section.len()) {
            self.unfinished = Some((version, number, part + 1));
        } else if number + 1 < sections.len() {
            self.unfinished = Some((version, number + 1, 0));
        }
        Some(self.packetizer.packet(section, part))
    }
}

/// Everything that waits for null packets.
pub struct Multiplex<'a> {
    /// Tables of the source that change.
    pub tables: Vec<TableLane>,
    /// The services' ECMs, in the schedule's order.
    pub ecms: Vec<EcmLane<'a>>,
    /// The CAT, which says where the EMMs are.
    pub cat: CatLane,
    /// The EMMs.
    pub carousel: Carousel,
    emm: Packetizer,
}

impl<'a> Multiplex<'a> {
    /// What is left of a table comes first, then ECMs, the CAT, and the carousel on `emm_pid`.
    pub const fn new(
        tables: Vec<TableLane>,
        ecms: Vec<EcmLane<'a>>,
        cat: CatLane,
        carousel: Carousel,
        emm_pid: Pid,
    ) -> Self {
        Self { tables, ecms, cat, carousel, emm: Packetizer::new(emm_pid) }
    }

    /// What becomes of a packet of the source: a table's is filled anew, a null packet and one that
    /// is needed no more are free. `None` leaves all others as they are.
    pub fn slot(&mut self, index: usize, source: &Packet) -> Option<Slot> {
        let pid = stream::pid(source);
        if pid == Pid::NULL || pid == Pid::CAT && !stream::damaged(source) {
            return Some(Slot::Free);
        }
        let lane = self.tables.iter_mut().find(|lane| lane.pid() == pid)?;
        Some(lane.own(index, source))
    }

    /// What takes the place of the free packet `packet`, if anything is due.
    pub fn take(
        &mut self,
        now: i64,
        packet: usize,
        periods: &Periods,
    ) -> Result<Option<Packet>, EcmError> {
        if let Some(taken) = self.tables.iter_mut().find_map(|lane| lane.behind(packet)) {
            return Ok(Some(taken));
        }
        for lane in &mut self.ecms {
            if let Some(taken) = lane.ecm(now, packet, periods)? {
                return Ok(Some(taken));
            }
        }
        if let Some(taken) = self.cat.take(now, packet) {
            return Ok(Some(taken));
        }
        for lane in &mut self.ecms {
            if let Some(taken) = lane.offer(now, packet, periods)? {
                return Ok(Some(taken));
            }
        }
        let Some(part) = self.carousel.take(now, packet) else { return Ok(None) };
        let packetizer = match part.lane {
            Lane::Emm => Some(&mut self.emm),
            Lane::Ecm(service) => self.ecms.get_mut(service).map(|lane| &mut lane.packetizer),
        };
        Ok(packetizer.map(|packetizer| packetizer.packet(part.section, part.part)))
    }
}
