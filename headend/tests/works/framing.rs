// SPDX-License-Identifier: Apache-2.0
//! How packets lie in a file: 188, 192 or 204 octets each, cut anywhere, with octets lost.

use crate::made::{service, stream};
use cam_types::transport::PACKET;
use headend::framing::Lost;
use headend::stream::{Packet, Stream};
use proptest::prelude::*;

const PACKETS: usize = 60;

fn packets() -> Vec<Packet> {
    stream(service(PACKETS, |place| place % 10 == 7)).packets().to_vec()
}

/// Each packet with so many octets before and behind it.
fn framed(packets: &[Packet], before: usize, behind: usize) -> Vec<u8> {
    let framed = packets.iter().enumerate().flat_map(|(index, packet)| {
        // An arrival time or a Reed-Solomon code may look like anything, a sync octet too.
        let octets = [[index as u8; 16], [0x47; 16]][index % 2];
        [&octets[..before], packet, &octets[..behind]].concat()
    });
    framed.collect()
}

#[test]
fn packets_of_188_192_and_204_octets_are_taken_wherever_the_file_is_cut() {
    let all = packets();
    for (before, behind) in [(0, 0), (4, 0), (0, 16)] {
        let whole = framed(&all, before, behind);
        let size = before + PACKET + behind;
        for head in 0..size {
            for tail in [0, 1, 100, 187] {
                let octets = &whole[head..whole.len() - tail];
                let taken = Stream::parse(octets).map_err(|e| format!("{head} {tail}: {e}"));
                let taken = taken.unwrap();
                let first = usize::from(head > before);
                let last = all.len() - usize::from(tail > behind);
                assert!(taken.packets() == &all[first..last], "{size} {head} {tail}");
                assert_eq!(taken.framing().size, size);
                assert_eq!(taken.framing().lost, []);
            }
        }
    }
}

#[test]
fn a_damaged_sync_octet_costs_no_packet() {
    let all = packets();
    for (before, behind) in [(0, 0), (4, 0), (0, 16)] {
        let size = before + PACKET + behind;
        for place in [0, 1, 30, PACKETS - 1] {
            let mut octets = framed(&all, before, behind);
            octets[place * size + before] = 0x46;
            let taken = Stream::parse(&octets).unwrap();
            assert!(taken.packets() == all, "{size} {place}");
            assert_eq!(taken.framing().repaired, [place]);
        }
    }
}

/// Octets that are missing, or too many: the packet that they were of is lost, and told.
#[test]
fn octets_lost_cost_the_packet_that_they_were_of() {
    let all = packets();
    for (before, behind) in [(0, 0), (4, 0), (0, 16)] {
        let size = before + PACKET + behind;
        let whole = framed(&all, before, behind);
        let at = 30 * size;
        let shorter = [&whole[..at + 50], &whole[at + 51..]].concat();
        let longer = [&whole[..at + 50], &[0x00; 7][..], &whole[at + 50..]].concat();
        for octets in [shorter, longer] {
            let taken = Stream::parse(&octets).unwrap();
            // What follows the damage is whole; what it hit is not told from a good packet.
            assert!(taken.packets()[..30] == all[..30], "{size}");
            assert!(taken.packets()[taken.packets().len() - 29..] == all[31..], "{size}");
            assert!([59, 60].contains(&taken.packets().len()), "{size}");
            assert!(matches!(taken.framing().lost[..], [Lost { packet: 30 | 31, .. }]));
        }
    }
}

proptest! {
    #[test]
    fn any_damage_ends(
        hits in prop::collection::vec((0..PACKETS * 192, any::<u8>()), 0..80),
        cut in 0..PACKETS * 192,
    ) {
        let mut octets = framed(&packets(), 4, 0);
        for (at, octet) in hits {
            octets[at] = octet;
        }
        octets.drain(cut..(cut + 300).min(PACKETS * 192));
        if let Ok(taken) = Stream::parse(&octets) {
            prop_assert!(taken.packets().len() <= PACKETS);
            prop_assert!(taken.packets().iter().all(|packet| packet[0] == 0x47));
        }
    }
}
