// SPDX-License-Identifier: Apache-2.0
//! The EMM carousel: sections that go on air by the schedule, and where they stood.

pub mod entries;

use crate::due::Due;
use crate::stream::Packetizer;

/// Where an entry's packets go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lane {
    /// The EMM PID.
    Emm,
    /// The ECM PID of a service, by its place in the schedule: an attacker's ECM.
    Ecm(usize),
}

/// An entry of the carousel with its section made.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its name in the schedule.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// Its number, if it has one of its own.
    pub sequence: Option<u32>,
    /// From table_id to the last octet, sealed.
    pub section: Vec<u8>,
    /// Where it goes.
    pub lane: Lane,
    /// When.
    pub due: Due,
    /// The first packet of each time that it was on air.
    pub packets: Vec<usize>,
}

/// The entries, in the schedule's order.
#[derive(Clone, Debug, Default)]
pub struct Carousel {
    items: Vec<Item>,
    /// A section that is on air in part: the entry and its next part.
    unfinished: Option<(usize, usize)>,
}

/// One packet's worth of a section.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part<'a> {
    /// Where it goes.
    pub lane: Lane,
    /// The whole section.
    pub section: &'a [u8],
    /// Which part of it.
    pub part: usize,
}

impl Carousel {
    /// With these entries.
    pub const fn new(items: Vec<Item>) -> Self {
        Self { items, unfinished: None }
    }

    /// The entries and where they stood.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// What goes into a free packet, if anything is due: the rest of a section that has begun, then
    /// the entry that has waited longest.
    pub fn take(&mut self, now: i64, packet: usize) -> Option<Part<'_>> {
        let (entry, part) = match self.unfinished.take() {
            Some(next) => next,
            None => (self.longest_due(now)?, 0),
        };
        let item = self.items.get_mut(entry)?;
        if part == 0 {
            item.due.sent(now);
            item.packets.push(packet);
        }
        if part + 1 < Packetizer::packets(item.section.len()) {
            self.unfinished = Some((entry, part + 1));
        }
        Some(Part { lane: item.lane, section: &item.section, part })
    }

    fn longest_due(&self, now: i64) -> Option<usize> {
        let due = |(entry, item): (usize, &Item)| Some((item.due.since(now)?, entry));
        self.items.iter().enumerate().filter_map(due).min().map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(octets: u8, from: i64, period: Option<i64>) -> Item {
        Item {
            name: octets.to_string(),
            kind: "raw",
            sequence: None,
            section: vec![octets; octets.into()],
            lane: Lane::Emm,
            due: Due::new(from, period, None),
            packets: Vec::new(),
        }
    }

    #[test]
    fn who_waited_longest_goes_first_and_sections_stay_whole() {
        let mut carousel = Carousel::new(vec![
            item(100, 10, Some(100)),
            item(200, 5, None), // takes two packets
            item(30, 10, None),
        ]);
        let mut seen = Vec::new();
        for (packet, now) in [(0, 0), (1, 10), (2, 11), (3, 12), (4, 13), (5, 14), (6, 111)] {
            let taken = carousel.take(now, packet);
            seen.push(taken.map_or((0, 0), |part| (part.section.len(), part.part)));
        }
        assert_eq!(seen, [(0, 0), (200, 0), (200, 1), (100, 0), (30, 0), (0, 0), (100, 0)]);
        let packets: Vec<&[usize]> = carousel.items().iter().map(|i| &i.packets[..]).collect();
        assert_eq!(packets, [&[3, 6][..], &[1], &[4]]);
    }
}
