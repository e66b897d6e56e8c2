// SPDX-License-Identifier: Apache-2.0
//! Where sections of ours are: what the CAT says of EMMs, and the filters that are wanted.

use crate::emm::streams::{EmmStreams, Fits};
use crate::engine::Engine;
use crate::filter::{ecm_filters, emm_filters};
use crate::{Event, Filter};
use alloc::vec::Vec;
use ecm_emm::cat::Cat;

impl Engine {
    /// A section of the CAT: where EMMs of ours are.
    pub(crate) fn cat(&mut self, source: u8, section: &[u8]) {
        let cat = match Cat::parse(section) {
            Ok(cat) if cat.current => cat,
            Ok(_) => return,
            Err(why) => {
                log::warn!("malformed CAT: {why}");
                self.stats.table_malformed += 1;
                return;
            }
        };
        if self.emm_streams.take(source, &cat, &self.config.ca_system_ids) == Fits::Not {
            let served = EmmStreams::MAX;
            self.out.event(Event::EmmStreamsLeftOut { source, served });
        }
        self.filters.outdated();
    }

    /// Tells when other filters are wanted.
    pub(crate) fn publish_filters(&mut self) {
        if self.filters.take_outdated() && self.filters.set(self.wanted_filters()) {
            self.out.event(Event::Filters);
        }
    }

    fn wanted_filters(&self) -> Vec<Filter> {
        let mut filters = Vec::new();
        for session in self.sessions.iter() {
            for stream in session.streams() {
                ecm_filters(session.source(), stream.plan().ecm_pid, &mut filters);
            }
        }
        for (source, pid) in self.emm_streams.iter() {
            emm_filters(source, pid, self.config.stb_id, self.emm.addresses(), &mut filters);
        }
        filters
    }
}
