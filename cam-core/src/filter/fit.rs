// SPDX-License-Identifier: Apache-2.0
//! Filters that are too many made fewer: those of one PID become one that passes more. That costs
//! sections, which are dropped in front of the ring, and no service.

use crate::Filter;
use crate::filter::Place;
use alloc::vec::Vec;
use ecm_emm::box_emm::BoxHeader;
use ecm_emm::ecm::EcmHeader;
use ecm_emm::emm::Address;

/// Which filters of a PID may be one, from what costs nothing to what costs most: ECMs and offers;
/// the two addresses of eight octets; the groups; all that is for many; everything.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Width {
    Ecms,
    Addresses,
    Groups,
    Many,
    Pid,
}

impl Width {
    const WIDER: [Self; 5] = [Self::Ecms, Self::Addresses, Self::Groups, Self::Many, Self::Pid];

    /// Filters with the same answer are one at this width; `None` stands alone.
    fn kind(self, filter: &Filter) -> Option<u8> {
        let [table_id, ..] = filter.matching;
        match table_id {
            _ if self == Self::Pid => Some(0),
            EcmHeader::EVEN | EcmHeader::OFFER if self >= Self::Ecms => Some(1),
            Address::UNIQUE | BoxHeader::TABLE_ID if self >= Self::Addresses => Some(2),
            Address::SHARED if self >= Self::Groups => Some(3),
            Address::GLOBAL if self >= Self::Many => Some(3),
            _ => None,
        }
    }

    fn of(self, filters: &[Ranked]) -> Vec<Ranked> {
        let mut out: Vec<(Option<u8>, Ranked)> = Vec::new();
        for new in filters {
            let kind = self.kind(&new.filter);
            match out.iter_mut().find(|(other, _)| kind.is_some() && *other == kind) {
                Some((_, one)) => one.filter.widen(&new.filter),
                None => out.push((kind, *new)),
            }
        }
        out.into_iter().map(|(_, one)| one).collect()
    }
}

/// A filter, and the first rank among those that it stands for.
#[derive(Clone, Copy)]
pub(crate) struct Ranked {
    pub(crate) rank: u8,
    pub(crate) filter: Filter,
}

/// The filters of one PID, by rank.
pub(crate) struct OfPlace {
    pub(crate) place: Place,
    /// One of them is for ECMs.
    pub(crate) urgent: bool,
    pub(crate) filters: Vec<Ranked>,
}

/// The filters by place, in the order in which places matter; not more than `limit` of them, or
/// one a place. What matters least is widened first.
pub(crate) fn fit(wanted: &[Filter], limit: usize) -> Vec<OfPlace> {
    let mut places = by_place(wanted);
    let mut count = wanted.len();
    let narrow: Vec<_> = places.iter().map(|of| of.filters.clone()).collect();
    for width in Width::WIDER {
        for (of, narrow) in places.iter_mut().zip(&narrow).rev() {
            if count <= limit {
                return places;
            }
            let wider = width.of(narrow);
            count = count + wider.len() - of.filters.len();
            of.filters = wider;
        }
    }
    places
}

fn by_place(wanted: &[Filter]) -> Vec<OfPlace> {
    let mut sorted: Vec<_> = wanted.iter().enumerate().collect();
    sorted.sort_by_key(|(at, filter)| (filter.place(), filter.rank(), *at));
    let mut places: Vec<(usize, OfPlace)> = Vec::new();
    for (at, filter) in sorted {
        let (place, urgent) = (filter.place(), filter.urgent);
        let ranked = Ranked { rank: filter.rank(), filter: *filter };
        match places.last_mut().filter(|(_, last)| last.place == place) {
            Some((_, last)) => last.filters.push(ranked),
            None => places.push((at, OfPlace { place, urgent, filters: Vec::from([ranked]) })),
        }
    }
    // As they came: sessions in their order, then EMM streams.
    places.sort_by_key(|(at, of)| (!of.urgent, *at));
    places.into_iter().map(|(_, of)| of).collect()
}
