// SPDX-License-Identifier: Apache-2.0
//! The section filters that the demultiplexer is asked for.
//!
//! Normative references:
//!  - ETSI ETR 289 (table_ids of ECM and EMM), `docs/spec/emm.md`, 2 (addresses)
//!  - `docs/spec/abi.md`, Section filters (their number)

pub(crate) mod fit;
pub(crate) mod published;
pub(crate) mod turns;

use alloc::vec::Vec;
use cam_types::{Pid, Pseudonym, StbId};
use ecm_emm::box_emm::BoxHeader;
use ecm_emm::card::CardInfo;
use ecm_emm::ecm::EcmHeader;
use ecm_emm::emm::Address;

/// A section filter that the library wants set now.
///
/// `matching[0]` is the table_id; `matching[1..]` compares from octet 3 of the section on (the rule
/// of DVB demultiplexers: the length is not compared).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Filter {
    /// The source (demultiplexer or tuner), by the host's number, 0 to 15.
    pub source: u8,
    /// The PID to filter.
    pub pid: Pid,
    /// How many octets of `matching` and `mask` count.
    pub depth: u8,
    /// ECMs: do not let them wait.
    pub urgent: bool,
    /// What the octets must be.
    pub matching: [u8; 16],
    /// Which bits of them are compared.
    pub mask: [u8; 16],
}

impl Filter {
    /// Filters of one ECM stream, at most: ECMs of both parities, offers.
    pub const PER_ECM_STREAM: usize = 2;
    /// Filters of one EMM stream, at most: to the card, to the box, to each of its groups, to all.
    pub const PER_EMM_STREAM: usize = 3 + CardInfo::MAX_GROUPS;

    /// The section passes this filter. What the demultiplexer does in hardware, for tests and for
    /// hosts without one.
    pub fn passes(&self, section: &[u8]) -> bool {
        let compared = section.iter().take(1).chain(section.iter().skip(3));
        let wanted = self.matching.iter().zip(&self.mask).take(self.depth.into());
        let mut count = 0;
        let same = compared
            .zip(wanted)
            .inspect(|_| count += 1)
            .all(|(octet, (want, mask))| (octet ^ want) & mask == 0);
        same && count == usize::from(self.depth)
    }

    /// Which filters come first: where there is room for some only, the first ones are the ones
    /// to set.
    pub(crate) fn rank(&self) -> u8 {
        let [table_id, ..] = self.matching;
        match table_id {
            _ if self.urgent => 0,
            Address::UNIQUE => 1,
            BoxHeader::TABLE_ID => 2,
            Address::SHARED | Address::GLOBAL => 3,
            _ => 4,
        }
    }

    /// The demultiplexer and the PID.
    pub(crate) fn place(&self) -> Place {
        (self.source, self.pid)
    }

    /// Passes what this one passes, and what the other one does: of the same place.
    pub(crate) fn widen(&mut self, other: &Self) {
        self.urgent |= other.urgent;
        self.depth = self.depth.min(other.depth);
        let octets = self.matching.iter_mut().zip(&mut self.mask);
        let others = other.matching.iter().zip(&other.mask);
        for (at, ((matching, mask), (match_too, mask_too))) in (0..).zip(octets.zip(others)) {
            let counts = if at < self.depth { 0xFF } else { 0 };
            *mask &= mask_too & !(*matching ^ match_too) & counts;
            *matching &= *mask;
        }
        // An octet of which no bit is compared would only ask for its being there.
        let compared = self.mask.iter().rposition(|mask| *mask != 0).map_or(0, |last| last + 1);
        self.depth = compared.max(1) as u8;
    }

    fn new(source: u8, pid: Pid, table_id: u8, mask: u8, address: &[u8]) -> Self {
        let mut filter =
            Self { source, pid, depth: 1, urgent: false, matching: [0; 16], mask: [0; 16] };
        let octets = core::iter::once((table_id, mask)).chain(address.iter().map(|a| (*a, 0xFF)));
        let places = filter.matching.iter_mut().zip(filter.mask.iter_mut());
        for ((matching, mask), (octet, octet_mask)) in places.zip(octets) {
            (*matching, *mask) = (octet, octet_mask);
        }
        filter.depth = (1 + address.len()).min(16) as u8;
        filter
    }
}

/// Where a filter is: the source, and the PID there.
pub(crate) type Place = (u8, Pid);

/// ECMs of both parities, and offers.
pub(crate) fn ecm_filters(source: u8, pid: Pid, filters: &mut Vec<Filter>) {
    let but_parity = !(EcmHeader::EVEN ^ EcmHeader::ODD);
    let ecms = Filter::new(source, pid, EcmHeader::EVEN, but_parity, &[]);
    push(filters, Filter { urgent: true, ..ecms });
    push(filters, Filter::new(source, pid, EcmHeader::OFFER, 0xFF, &[]));
}

/// EMMs to the box, and to the card as far as its pseudonym and groups are known.
pub(crate) fn emm_filters(
    source: u8,
    pid: Pid,
    stb: StbId,
    card: Option<(Pseudonym, &[u32])>,
    filters: &mut Vec<Filter>,
) {
    push(filters, Filter::new(source, pid, BoxHeader::TABLE_ID, 0xFF, stb.octets()));
    let Some((pseudonym, groups)) = card else { return };
    push(filters, Filter::new(source, pid, Address::UNIQUE, 0xFF, pseudonym.octets()));
    for group in groups {
        push(filters, Filter::new(source, pid, Address::SHARED, 0xFF, &group.to_be_bytes()));
    }
    push(filters, Filter::new(source, pid, Address::GLOBAL, 0xFF, &[]));
}

/// Two sessions on one ECM stream want one filter.
fn push(filters: &mut Vec<Filter>, filter: Filter) {
    if !filters.contains(&filter) {
        filters.push(filter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever passes one of two filters passes both of them made one.
    #[test]
    fn a_widened_filter_passes_what_each_did() {
        let mut filters = Vec::new();
        ecm_filters(0, Pid::CAT, &mut filters);
        let card = Pseudonym::new([0x12, 2, 3, 4, 5, 6, 7, 8]);
        let groups = [0x0102_0304, 0x0102_0305];
        emm_filters(0, Pid::CAT, StbId::new([9; 8]), Some((card, &groups)), &mut filters);
        let section = |filter: &Filter| {
            let [table_id, address @ ..] = filter.matching;
            [&[table_id, 0x70, 15][..], &address].concat()
        };
        for one in &filters {
            for other in &filters {
                let mut both = *one;
                both.widen(other);
                assert!(both.passes(&section(one)) && both.passes(&section(other)), "{both:?}");
                assert_eq!(both.urgent, one.urgent || other.urgent);
                assert!(both.depth <= one.depth.min(other.depth));
            }
        }
        let [groups, rest] = [filters.get(4), filters.get(5)].map(Option::unwrap);
        let mut both = *groups;
        both.widen(rest);
        assert_eq!(both.mask[..6], [0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0], "they differ in one bit");
    }

    #[test]
    fn the_address_is_compared_from_octet_3_on() {
        let mut filters = Vec::new();
        let card = Pseudonym::new([1, 2, 3, 4, 5, 6, 7, 8]);
        emm_filters(0, Pid::CAT, StbId::new([9; 8]), Some((card, &[1])), &mut filters);
        let passes = |section: &[u8]| filters.iter().any(|filter| filter.passes(section));
        for (section, expected) in [
            (&[0x82, 0x70, 9, 1, 2, 3, 4, 5, 6, 7, 8, 0][..], true),
            (&[0x82, 0x70, 9, 1, 2, 3, 4, 5, 6, 7, 9, 0], false),
            (&[0x82, 0x70, 4, 1, 2, 3, 4], false),
            (&[0x84, 0x70, 5, 0, 0, 0, 1, 0], true),
            (&[0x84, 0x70, 5, 0, 0, 0, 2, 0], false),
            (&[0x86, 0x70, 1, 7], true),
            (&[0x8A, 0x70, 8, 9, 9, 9, 9, 9, 9, 9, 9], true),
            (&[], false),
        ] {
            assert_eq!(passes(section), expected, "{section:02X?}");
        }
    }
}
