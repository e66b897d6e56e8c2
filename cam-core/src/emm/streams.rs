// SPDX-License-Identifier: Apache-2.0
//! Where EMMs of ours are, source by source, as the CATs say.

use alloc::vec::Vec;
use cam_types::{CaSystemId, Pid};
use ecm_emm::cat::Cat;

/// The EMM streams of every source.
#[derive(Debug, Default)]
pub(crate) struct EmmStreams {
    sources: Vec<Source>,
}

/// The CAT of one source, as far as its sections have come.
#[derive(Debug)]
struct Source {
    number: u8,
    pids: Vec<Pid>,
    fits: Fits,
    /// It was told that it does not fit, and it has not fitted since.
    told: bool,
}

/// Whether every EMM stream of ours that a CAT names is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fits {
    All,
    /// More are named than are served.
    Not,
}

impl EmmStreams {
    /// EMM streams of one source that are served, at most: more than the section of a CAT can name.
    pub(crate) const MAX: usize = 256;

    /// Takes a section of the CAT of `source`. [`Fits::Not`] once, until a whole CAT has fitted.
    pub(crate) fn take(&mut self, source: u8, cat: &Cat<'_>, ours: &[CaSystemId]) -> Fits {
        if !self.sources.iter().any(|of| of.number == source) {
            let new = Source { number: source, pids: Vec::new(), fits: Fits::All, told: false };
            self.sources.push(new);
        }
        let Some(source) = self.sources.iter_mut().find(|of| of.number == source) else {
            return Fits::All;
        };
        let (number, last_number) = cat.number;
        // The sections of a CAT after the first add to it.
        if number == 0 {
            source.pids.clear();
            source.fits = Fits::All;
        }
        for descriptor in cat.descriptors.ca_descriptors() {
            let is_ours = ours.contains(&descriptor.system) && descriptor.pid != Pid::NULL;
            if !is_ours || source.pids.contains(&descriptor.pid) {
                continue;
            }
            if source.pids.len() >= Self::MAX {
                source.fits = Fits::Not;
                break;
            }
            source.pids.push(descriptor.pid);
        }
        match source.fits {
            Fits::Not if !core::mem::replace(&mut source.told, true) => return Fits::Not,
            Fits::All if number == last_number => source.told = false,
            _ => {}
        }
        Fits::All
    }

    pub(crate) fn contains(&self, source: u8, pid: Pid) -> bool {
        self.sources.iter().any(|of| of.number == source && of.pids.contains(&pid))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, Pid)> + '_ {
        self.sources.iter().flat_map(|of| of.pids.iter().map(|pid| (of.number, *pid)))
    }
}
