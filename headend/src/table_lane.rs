// SPDX-License-Identifier: Apache-2.0
//! A PID of tables whose sections are rewritten: they go out again in the PID's own packets, and
//! what has become longer than those follows in null packets.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.4.1 (pointer_field), §2.4.3.3 (continuity_counter)

use crate::carriage::{Carried, Piece};
use crate::stream::{self, HEADER, Packet};
use cam_types::Pid;
use cam_types::transport::PACKET;
use std::collections::VecDeque;

/// The sections of a PID on their way out.
#[derive(Clone, Debug)]
pub struct TableLane {
    pid: Pid,
    waiting: VecDeque<Item>,
    /// The section on air and how much of it has been.
    current: Option<(Item, usize)>,
    /// The counter of the next packet; the first one is the source's.
    continuity: Option<u8>,
}

#[derive(Clone, Debug)]
struct Item {
    carried: Carried,
    /// Nothing may follow it in its packet: its length is wrong.
    torn: bool,
}

/// What becomes of a packet of the source on the lane's PID.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Slot {
    /// It carries this now.
    Taken(Packet),
    /// It is not needed any more.
    Free,
}

impl TableLane {
    /// All that is on the PID, rewritten.
    pub fn new(pid: Pid, pieces: Vec<Piece>) -> Self {
        let waiting = pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Whole(carried) => Item { carried, torn: false },
                Piece::Torn(carried) => Item { carried, torn: true },
            })
            .collect();
        Self { pid, waiting, current: None, continuity: None }
    }

    /// The PID.
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Fills a packet of the source on this PID. Its adaptation field stays.
    pub fn own(&mut self, index: usize, source: &Packet) -> Slot {
        if stream::damaged(source) {
            return Slot::Taken(*source);
        }
        let next = *self.continuity.get_or_insert(stream::continuity(source));
        let start = stream::payload_start(source);
        let mut packet = *source;
        if start >= PACKET {
            stream::count(&mut packet, next.wrapping_sub(1)); // no payload, no step
            return Slot::Taken(packet);
        }
        if let Some(taken) = self.fill(index, packet, start) {
            return Slot::Taken(taken);
        }
        if start == HEADER {
            return Slot::Free;
        }
        stream::keep_adaptation_field(&mut packet);
        stream::count(&mut packet, next.wrapping_sub(1));
        Slot::Taken(packet)
    }

    /// Takes a null packet, if a section has had all its own packets and is not out yet.
    pub fn behind(&mut self, index: usize) -> Option<Packet> {
        let (current, first) = (self.current.as_ref().map(|(item, _)| item), self.waiting.front());
        let late = current.or(first)?.carried.end < index;
        let packet = stream::empty_packet(self.pid);
        if late { self.fill(index, packet, HEADER) } else { None }
    }

    fn is_due(&self, index: usize) -> bool {
        self.waiting.front().is_some_and(|item| item.carried.packet <= index)
    }

    /// The next section. A repetition that is late gives way to the one behind it.
    fn next(&mut self, index: usize) -> Option<Item> {
        let mut item = self.waiting.pop_front()?;
        while item.carried.end < index
            && self.is_due(index)
            && self.waiting.front().is_some_and(|n| n.carried.section == item.carried.section)
        {
            item = self.waiting.pop_front()?;
        }
        Some(item)
    }

    fn fill(&mut self, index: usize, mut packet: Packet, start: usize) -> Option<Packet> {
        if self.current.is_none() && !self.is_due(index) {
            return None;
        }
        let room = PACKET - start;
        let mut payload = Vec::with_capacity(room);
        let (mut begins, mut torn) = (false, false);
        if let Some((item, from)) = self.current.take() {
            let rest = item.carried.section.get(from..).unwrap_or_default();
            begins = rest.len() + 1 < room && self.is_due(index);
            if begins {
                payload.push(rest.len() as u8); // shorter than a packet
            }
            let part = rest.len().min(room);
            payload.extend(rest.iter().take(part));
            if part < rest.len() {
                self.current = Some((item, from + part));
            }
        } else if self.is_due(index) {
            begins = true;
            payload.push(0);
        }
        while begins && !torn && payload.len() < room && self.is_due(index) {
            let Some(item) = self.next(index) else { break };
            torn = item.torn;
            let part = item.carried.section.len().min(room - payload.len());
            payload.extend(item.carried.section.iter().take(part));
            if part < item.carried.section.len() {
                self.current = Some((item, part));
            }
        }
        payload.resize(room, 0xFF);
        for (to, from) in packet.iter_mut().skip(start).zip(payload) {
            *to = from;
        }
        stream::mark_unit_start(&mut packet, begins);
        let continuity = self.continuity.get_or_insert(0);
        stream::count(&mut packet, *continuity);
        *continuity = (*continuity + 1) & 0x0F;
        Some(packet)
    }
}
