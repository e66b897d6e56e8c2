// SPDX-License-Identifier: Apache-2.0
//! What a journey costs.

use alloc::vec::Vec;
use cam_types::Fen;
use core::fmt;

/// A stop of the network.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Station(pub u16);

impl fmt::Display for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "station {}", self.0)
    }
}

/// Fares by pairs of stations, both ways, and for every other pair by the number of stops.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FareTable {
    pairs: Vec<(Station, Station, Fen)>,
    /// The greatest number of stops and its fare, ascending.
    bands: Vec<(u16, Fen)>,
}

impl FareTable {
    /// A table of these pairs and bands.
    pub fn new(pairs: Vec<(Station, Station, Fen)>, mut bands: Vec<(u16, Fen)>) -> Self {
        bands.sort_unstable();
        Self { pairs, bands }
    }

    /// What the way from `entry` to `exit` costs; `None` when the table does not say.
    pub fn fare(&self, entry: Station, exit: Station) -> Option<Fen> {
        let pair = self
            .pairs
            .iter()
            .find(|(a, b, _)| (*a, *b) == (entry, exit) || (*b, *a) == (entry, exit));
        let stops = entry.0.abs_diff(exit.0);
        let band = || self.bands.iter().find(|(most, _)| stops <= *most).map(|(_, fare)| *fare);
        pair.map(|(_, _, fare)| *fare).or_else(band)
    }

    /// The least that a journey may cost: who has less does not come in.
    pub fn least(&self) -> Fen {
        let pairs = self.pairs.iter().map(|(_, _, fare)| *fare);
        pairs.chain(self.bands.iter().map(|(_, fare)| *fare)).min().unwrap_or(Fen::ZERO)
    }
}
