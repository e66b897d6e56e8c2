// SPDX-License-Identifier: Apache-2.0
//! How packets carry sections: they are found with the packets that they begin in.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.4.1 (pointer_field), §2.4.4 (stuffing)

use crate::stream::{self, Packet};
use cam_types::Pid;

/// A section and the packet that its first octet is in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Carried {
    /// The packet's place in the stream.
    pub packet: usize,
    /// The whole section.
    pub section: Vec<u8>,
}

/// All whole sections on a PID, in their order.
pub fn sections(packets: &[Packet], pid: Pid) -> Vec<Carried> {
    let mut found = Vec::new();
    let mut open: Option<Open> = None;
    for (index, packet) in packets.iter().enumerate() {
        if stream::pid(packet) != pid {
            continue;
        }
        let payload = stream::payload(packet);
        if !stream::unit_start(packet) {
            if let Some(open) = &mut open {
                open.take(payload, &mut found);
            }
            continue;
        }
        let Some((&pointer, payload)) = payload.split_first() else { continue };
        let Some((end, start)) = payload.split_at_checked(pointer.into()) else {
            open = None;
            continue;
        };
        if let Some(open) = &mut open {
            open.take(end, &mut found);
        }
        let mut next = Open { packet: index, octets: Vec::new() };
        next.take(start, &mut found);
        open = Some(next);
    }
    found
}

/// Sections that have started.
struct Open {
    packet: usize,
    octets: Vec<u8>,
}

impl Open {
    fn take(&mut self, octets: &[u8], found: &mut Vec<Carried>) {
        self.octets.extend_from_slice(octets);
        let whole: usize = ecm_emm::section::sections(&self.octets)
            .map(|section| {
                found.push(Carried { packet: self.packet, section: section.to_vec() });
                section.len()
            })
            .sum();
        self.octets.drain(..whole);
    }
}

/// The packets from one payload_unit_start_indicator to the next, and what they carry.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Unit {
    /// The packets; the first one has the indicator.
    pub packets: Vec<usize>,
    /// Their payloads behind the pointer_field.
    pub octets: Vec<u8>,
    /// The pointer_field.
    pub pointer: u8,
}

/// The units on a PID. What comes before the first indicator belongs to none.
pub fn units(packets: &[Packet], pid: Pid) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for (index, packet) in packets.iter().enumerate() {
        if stream::pid(packet) != pid {
            continue;
        }
        let mut payload = stream::payload(packet);
        if stream::unit_start(packet) {
            let Some((&pointer, rest)) = payload.split_first() else { continue };
            units.push(Unit { pointer, ..Unit::default() });
            payload = rest;
        }
        if let Some(unit) = units.last_mut()
            && !payload.is_empty()
        {
            unit.packets.push(index);
            unit.octets.extend_from_slice(payload);
        }
    }
    units
}

impl Unit {
    /// Puts another section into the unit's packets; `section` must not be longer than `octets`.
    pub fn replace(&self, packets: &mut [Packet], section: &[u8]) {
        let mut octets = section.iter().copied();
        for (place, &index) in self.packets.iter().enumerate() {
            let Some(packet) = packets.get_mut(index) else { continue };
            let behind_pointer = usize::from(place == 0);
            for octet in stream::payload_mut(packet).iter_mut().skip(behind_pointer) {
                *octet = octets.next().unwrap_or(0xFF);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Packetizer;

    fn section(len: usize) -> Vec<u8> {
        let length = u8::try_from(len - 3).unwrap();
        [0x82, 0x70, length].into_iter().chain((3..len).map(|n| n as u8)).collect()
    }

    #[test]
    fn sections_come_back_out_of_their_packets() {
        let pid = Pid::new(0x150).unwrap();
        let other = Pid::new(0x151).unwrap();
        let (mut ours, mut theirs) = (Packetizer::new(pid), Packetizer::new(other));
        let (long, short) = (section(250), section(40));
        let packets = [
            ours.packet(&long, 1), // its start is not in the file
            ours.packet(&long, 0),
            theirs.packet(&short, 0),
            ours.packet(&long, 1),
            ours.packet(&short, 0),
            ours.packet(&long, 0), // its end is not in the file
        ];
        let carried = |packet, section: &Vec<u8>| Carried { packet, section: section.clone() };
        assert_eq!(sections(&packets, pid), [carried(1, &long), carried(4, &short)]);
        assert_eq!(sections(&packets, other), [carried(2, &short)]);
        let units = units(&packets, pid);
        assert_eq!(
            units.iter().map(|unit| &unit.packets[..]).collect::<Vec<_>>(),
            [&[1, 3][..], &[4], &[5]]
        );
    }

    #[test]
    fn a_pointer_field_parts_the_end_of_one_section_from_the_start_of_the_next() {
        let pid = Pid::new(0x150).unwrap();
        let (first, second) = (section(200), section(30));
        let mut packetizer = Packetizer::new(pid);
        let head = packetizer.packet(&first, 0);
        let mut tail = packetizer.packet(&[], 0);
        let joined = [&[17][..], &first[183..], &second, &second].concat();
        tail[4..4 + joined.len()].copy_from_slice(&joined);
        let found = sections(&[head, tail], pid);
        assert_eq!(found.iter().map(|c| c.packet).collect::<Vec<_>>(), [0, 1, 1]);
        assert_eq!(found[0].section, first);
        assert_eq!(found[2].section, second);
    }

    #[test]
    fn a_unit_takes_a_section_of_the_same_room() {
        let pid = Pid::new(0x150).unwrap();
        let mut packetizer = Packetizer::new(pid);
        let old = section(250);
        let mut packets = [packetizer.packet(&old, 0), packetizer.packet(&old, 1)];
        let new = section(200);
        units(&packets, pid)[0].replace(&mut packets, &new);
        assert_eq!(sections(&packets, pid), [Carried { packet: 0, section: new }]);
        assert!(packets[1][4 + 17..].iter().all(|&octet| octet == 0xFF));
    }
}
