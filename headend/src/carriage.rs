// SPDX-License-Identifier: Apache-2.0
//! How packets carry sections: they are found with the packets that they begin and end in.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.4.1 (pointer_field), §2.4.4 (stuffing), §2.4.3.3 (continuity_counter,
//!    a packet sent twice)

use crate::stream::{self, Packet};
use cam_types::Pid;

/// A section, or the part of one that has arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Carried {
    /// The packet that its first octet is in, by its place in the stream.
    pub packet: usize,
    /// The packet that its last octet is in.
    pub end: usize,
    /// Its octets.
    pub section: Vec<u8>,
}

/// All whole sections on a PID, in their order.
pub fn sections(packets: &[Packet], pid: Pid) -> Vec<Carried> {
    pieces(packets, pid).into_iter().filter_map(Piece::whole).collect()
}

/// What is found on a PID of sections.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// A section.
    Whole(Carried),
    /// What begins like a section and is none when the next one begins: its length is wrong.
    Torn(Carried),
}

impl Piece {
    fn whole(self) -> Option<Carried> {
        match self {
            Self::Whole(carried) => Some(carried),
            Self::Torn(_) => None,
        }
    }
}

/// All that is on a PID, in its order. What packets are missing of, and what damaged packets carry,
/// is left out: no receiver takes it.
pub fn pieces(packets: &[Packet], pid: Pid) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut open: Option<Open> = None;
    let mut last: Option<&Packet> = None;
    for (index, packet) in packets.iter().enumerate() {
        let carries = stream::pid(packet) == pid && stream::has_payload(packet);
        if !carries || stream::damaged(packet) {
            continue;
        }
        if let Some(last) = last.replace(packet) {
            if stream::repeats(packet, last) {
                continue;
            }
            if !stream::follows(packet, last) {
                open = None;
            }
        }
        let payload = stream::payload(packet);
        if !stream::unit_start(packet) {
            if let Some(open) = &mut open {
                open.take(index, payload, &mut found);
            }
            continue;
        }
        let Some((&pointer, payload)) = payload.split_first() else { continue };
        let Some((end, start)) = payload.split_at_checked(pointer.into()) else {
            open = None;
            continue;
        };
        if let Some(mut open) = open.take() {
            open.take(index, end, &mut found);
            open.tear(&mut found);
        }
        let mut next = Open { packet: index, end: index, octets: Vec::new() };
        next.take(index, start, &mut found);
        open = Some(next);
    }
    found
}

/// Sections that have started.
struct Open {
    packet: usize,
    end: usize,
    octets: Vec<u8>,
}

impl Open {
    fn take(&mut self, index: usize, octets: &[u8], found: &mut Vec<Piece>) {
        if self.octets.is_empty() {
            self.packet = index;
        }
        if !octets.is_empty() {
            self.end = index;
        }
        self.octets.extend_from_slice(octets);
        let mut whole = 0;
        for section in ecm_emm::section::sections(&self.octets) {
            let section = section.to_vec();
            whole += section.len();
            found.push(Piece::Whole(Carried { packet: self.packet, end: index, section }));
            self.packet = index;
        }
        self.octets.drain(..whole);
        // Stuffing up to the packet's end.
        if self.octets.first() == Some(&0xFF) {
            self.octets.clear();
        }
    }

    fn tear(self, found: &mut Vec<Piece>) {
        if !self.octets.is_empty() {
            let Self { packet, end, octets } = self;
            found.push(Piece::Torn(Carried { packet, end, section: octets }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Packetizer;

    const PID: u16 = 0x150;

    fn section(len: usize) -> Vec<u8> {
        let length = u8::try_from(len - 3).unwrap();
        [0x82, 0x70, length].into_iter().chain((3..len).map(|n| n as u8)).collect()
    }

    fn pid() -> Pid {
        Pid::new(PID).unwrap()
    }

    fn found(packets: &[Packet]) -> Vec<(usize, usize, usize)> {
        let found = sections(packets, pid()).into_iter();
        found.map(|c| (c.packet, c.end, c.section.len())).collect()
    }

    #[test]
    fn sections_come_back_out_of_their_packets() {
        let other = Pid::new(0x151).unwrap();
        let (mut ours, mut theirs) = (Packetizer::new(pid()), Packetizer::new(other));
        let (long, short) = (section(250), section(40));
        let packets = [
            ours.packet(&long, 1), // its start is not in the file
            ours.packet(&long, 0),
            theirs.packet(&short, 0),
            ours.packet(&long, 1),
            ours.packet(&short, 0),
            ours.packet(&long, 0), // its end is not in the file
        ];
        assert_eq!(found(&packets), [(1, 3, 250), (4, 4, 40)]);
        let theirs = Carried { packet: 2, end: 2, section: short };
        assert_eq!(sections(&packets, other), [theirs]);
    }

    #[test]
    fn a_pointer_field_parts_the_end_of_one_section_from_the_start_of_the_next() {
        let (first, second) = (section(200), section(30));
        let mut packetizer = Packetizer::new(pid());
        let head = packetizer.packet(&first, 0);
        let mut tail = packetizer.packet(&[], 0);
        let joined = [&[17][..], &first[183..], &second, &second].concat();
        tail[4..4 + joined.len()].copy_from_slice(&joined);
        assert_eq!(found(&[head, tail]), [(0, 1, 200), (1, 1, 30), (1, 1, 30)]);
    }

    /// A packet that is sent twice is one; a lost one costs its section, and a damaged one too.
    #[test]
    fn what_a_receiver_leaves_out_is_left_out() {
        let long = section(250);
        let mut packetizer = Packetizer::new(pid());
        let parts: Vec<Packet> = (0..6).map(|n| packetizer.packet(&long, n & 1)).collect();
        let mut damaged = parts[1];
        damaged[1] |= 0x80;
        for (packets, expected) in [
            (vec![parts[0], parts[0], parts[1], parts[1]], vec![(0, 2, 250)]),
            (vec![parts[0], parts[3], parts[4], parts[5]], vec![(2, 3, 250)]),
            (vec![parts[0], damaged, parts[2], parts[3]], vec![(2, 3, 250)]),
            (vec![parts[0], damaged, parts[1]], vec![(0, 2, 250)]),
        ] {
            assert_eq!(found(&packets), expected);
        }
    }

    #[test]
    fn a_section_with_a_wrong_length_is_torn_by_the_next() {
        let mut wrong = section(40);
        wrong[1] = 0x7F;
        let mut packetizer = Packetizer::new(pid());
        let packets = [packetizer.packet(&wrong, 0), packetizer.packet(&section(30), 0)];
        let pieces = pieces(&packets, pid());
        assert!(matches!(&pieces[..], [Piece::Torn(torn), Piece::Whole(whole)]
            if torn.section.len() == 183 && (torn.end, whole.packet) == (0, 1)));
    }
}
