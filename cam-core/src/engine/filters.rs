// SPDX-License-Identifier: Apache-2.0
//! Where sections of ours are: what the CAT says of EMMs, and the filters that are wanted.

use crate::emm::streams::{EmmStreams, Fits};
use crate::engine::Engine;
use crate::filter::{ecm_filters, emm_filters};
use crate::{Event, Filter};
use alloc::vec::Vec;
use cam_types::Instant;
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

    /// Tells when the box is to have other filters.
    pub(crate) fn publish_filters(&mut self, now: Instant) {
        let outdated = self.filters.take_outdated();
        let change = match outdated {
            true => self.filters.want(now, self.wanted_filters()),
            false => self.filters.keep_turns(now),
        };
        self.stats.filter_turns += u64::from(change.turn);
        if change.short {
            let (limit, pids) = (self.filters.limit(), self.filters.in_use().pids);
            log::warn!("{pids} PIDs take turns with {limit} section filters");
            self.out.event(Event::FiltersShort { limit, pids });
        }
        if change.others {
            self.out.event(Event::Filters);
        }
        if outdated || change.others {
            self.listen_where_filters_are(now);
        }
    }

    /// A stream that no filter reaches for the moment is not silent.
    fn listen_where_filters_are(&mut self, now: Instant) {
        let Self { sessions, filters, .. } = self;
        for session in sessions.iter_mut() {
            let source = session.source();
            for stream in session.streams_mut() {
                match filters.reaches((source, stream.plan().ecm_pid)) {
                    true => stream.reached(now),
                    false => stream.out_of_reach(now),
                }
            }
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
