// SPDX-License-Identifier: Apache-2.0
//! The section filters that the demultiplexer is asked for.
//!
//! Normative references:
//!  - ETSI ETR 289 (table_ids of ECM and EMM), `docs/spec/emm.md`, 2 (addresses)

use alloc::vec::Vec;
use cam_types::{Pid, Pseudonym, StbId};
use ecm_emm::box_emm::BoxHeader;
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

/// The filters as they were published last.
#[derive(Default)]
pub(crate) struct Filters {
    published: Vec<Filter>,
    version: u64,
    /// Sessions, tables or addresses have changed since.
    outdated: bool,
}

impl Filters {
    pub(crate) fn published(&self) -> &[Filter] {
        &self.published
    }

    /// How often they have become others.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// What they are made of has changed.
    pub(crate) fn outdated(&mut self) {
        self.outdated = true;
    }

    pub(crate) fn take_outdated(&mut self) -> bool {
        core::mem::take(&mut self.outdated)
    }

    /// Takes those wanted now. `true` when they are others.
    pub(crate) fn set(&mut self, wanted: Vec<Filter>) -> bool {
        let new = wanted != self.published;
        self.published = wanted;
        self.version += u64::from(new);
        new
    }
}

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
