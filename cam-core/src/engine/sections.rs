// SPDX-License-Identifier: Apache-2.0
//! Dispatch of sections: by its table_id a section is an ECM, an offer or an EMM, and goes there.
//!
//! Normative references:
//!  - ETSI ETR 289 (table_ids of ECM and EMM), `docs/spec/ecm.md`, `docs/spec/emm.md`

use crate::engine::Engine;
use cam_types::{Instant, Pid};
use ecm_emm::box_emm::BoxHeader;
use ecm_emm::ecm::EcmHeader;
use ecm_emm::emm::Address;

impl Engine {
    /// A section of any stream that a filter was wanted for.
    pub(crate) fn section(&mut self, now: Instant, source: u8, pid: Pid, section: &[u8]) {
        match section.first().copied() {
            Some(EcmHeader::EVEN | EcmHeader::ODD | EcmHeader::OFFER) => {
                self.ecm_section(now, source, pid, section);
            }
            Some(Address::UNIQUE | Address::SHARED | Address::GLOBAL | BoxHeader::TABLE_ID)
                if self.emm_streams.contains(source, pid) =>
            {
                self.emm_section(now, section);
            }
            _ if self.emm_streams.contains(source, pid) => self.stats.emm_malformed += 1,
            _ if self.sessions.streams_on(source, pid).next().is_some() => {
                self.stats.ecm_malformed += 1;
            }
            _ => {}
        }
    }
}
