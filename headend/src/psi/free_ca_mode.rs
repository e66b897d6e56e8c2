// SPDX-License-Identifier: Apache-2.0
//! free_CA_mode: the service information says that a service, and each of its events, is scrambled.
//!
//! Normative references:
//!  - ETSI EN 300 468 §5.2.3 (SDT), §5.2.4 (EIT)
//!
//! Only the tables of this transport stream ("actual") change. A table goes one version on, in all
//! its sections, if the mark changes in one of them.

use crate::carriage::Piece;
use cam_types::Pid;
use ecm_emm::section::LongSection;
use std::collections::BTreeSet;

/// Where the SDT is.
pub const SDT_PID: Pid = Pid::from_field(0x0011);
/// Where the EIT is.
pub const EIT_PID: Pid = Pid::from_field(0x0012);
/// free_CA_mode, in the octet of the length's first four bits.
const FREE_CA_MODE: u8 = 0x10;

/// Marks these services; says whether anything has changed.
pub fn set(pieces: &mut [Piece], services: &[u16]) -> bool {
    let tables: BTreeSet<(u8, u16)> = pieces
        .iter()
        .filter_map(|piece| {
            let (section, data) = marked(piece, services)?;
            (data != section.data).then_some((section.table_id, section.extension))
        })
        .collect();
    for piece in pieces.iter_mut() {
        let Some((section, data)) = marked(piece, services) else { continue };
        if !tables.contains(&(section.table_id, section.extension)) {
            continue;
        }
        let mut octets = Vec::new();
        let next = LongSection { version: (section.version + 1) & 0x1F, data: &data, ..section };
        let emitted = next.emit(&mut octets);
        if let (Ok(()), Piece::Whole(carried)) = (emitted, piece) {
            carried.section = octets;
        }
    }
    !tables.is_empty()
}

/// The section, if it is of a table that names services of this stream, and its marked data.
fn marked<'a>(piece: &'a Piece, services: &[u16]) -> Option<(LongSection<'a>, Vec<u8>)> {
    let Piece::Whole(carried) = piece else { return None };
    let section = LongSection::parse(&carried.section).ok()?;
    let mut data = section.data.to_vec();
    match section.table_id {
        // original_network_id, reserved; service_id, flags, lengths with free_CA_mode.
        0x42 => entries(&mut data, 3, 3, |entry| services.contains(&number(entry))),
        // transport_stream_id, original_network_id, two numbers; event_id, time, duration, lengths.
        0x4E | 0x50..=0x5F if services.contains(&section.extension) => {
            entries(&mut data, 6, 10, |_| true)
        }
        _ => None,
    }?;
    Some((section, data))
}

/// The entry's first field: service_id.
fn number(entry: &[u8]) -> u16 {
    entry.first_chunk().map_or(0, |octets| u16::from_be_bytes(*octets))
}

/// Marks entries that are `wanted`, each with its length at `length_at`; nothing for loops that are
/// not well formed.
fn entries(
    data: &mut [u8],
    skip: usize,
    length_at: usize,
    wanted: impl Fn(&[u8]) -> bool,
) -> Option<()> {
    let mut rest = data.get_mut(skip..)?;
    while !rest.is_empty() {
        let (head, descriptors) = rest.split_at_mut_checked(length_at + 2)?;
        let is_wanted = wanted(head);
        let [.., high, low] = head else { return None };
        let length = usize::from(u16::from_be_bytes([*high & 0x0F, *low]));
        if is_wanted {
            *high |= FREE_CA_MODE;
        }
        rest = descriptors.get_mut(length..)?;
    }
    Some(())
}
