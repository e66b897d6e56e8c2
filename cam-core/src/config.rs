// SPDX-License-Identifier: Apache-2.0
//! What the engine is told once, before its first input.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use cam_types::{CaSystemId, Key, StbId, TerminalId};
use core::time::Duration;

/// Where host challenges come from.
pub trait Entropy {
    /// Fills `octets` with unpredictable ones.
    fn fill(&mut self, octets: &mut [u8]);
}

/// What the engine is told once.
pub struct Config {
    /// The CA systems that are ours.
    pub ca_system_ids: Vec<CaSystemId>,
    /// The box, from its factory.
    pub stb_id: StbId,
    /// The box's own key, under which its pairings arrive.
    pub box_key: Key,
    /// The purse's name for this terminal.
    pub terminal: TerminalId,
    /// Sessions that are open at once, at most.
    pub max_sessions: usize,
    /// EMMs of each addressing that wait for the card, at most.
    pub emm_queue: usize,
    /// Section filters that the demultiplexers have for the engine, of all sources, at most.
    pub section_filters: usize,
    /// Events that wait for the driver, at most: what many calls between two of its turns make.
    /// What is more is counted, but for the answers to what the host has asked.
    pub event_queue: usize,
    /// The idle poll period, for a reader without a detect line: a card that was idle so long is
    /// asked for a sign of life, and the engine activates by itself. `None`: the driver reports the
    /// card's presence.
    pub idle_poll: Option<Duration>,
    /// Host challenges, and what tells request ids apart.
    pub entropy: Box<dyn Entropy + Send>,
    /// What the storage holds for [`crate::Engine::storage_keys`]; unknown rows are ignored.
    pub stored: Vec<(String, Vec<u8>)>,
}

impl Config {
    /// [`Config::max_sessions`] by default.
    pub const MAX_SESSIONS: usize = 16;
    /// [`Config::emm_queue`] by default.
    pub const EMM_QUEUE: usize = 64;
    /// [`Config::section_filters`] by default: more than are ever wanted.
    pub const SECTION_FILTERS: usize = 65_535;
    /// [`Config::event_queue`] by default.
    pub const EVENT_QUEUE: usize = 4096;
    /// The idle poll period by default: keys must go within a second after the card is pulled.
    const IDLE_POLL: Duration = Duration::from_millis(300);

    /// Everything that has a default takes it: our CA system, the numbers above, the idle poll
    /// of 300 ms, a terminal named after the box.
    pub fn new(stb_id: StbId, box_key: Key, entropy: Box<dyn Entropy + Send>) -> Self {
        let [_, _, terminal @ ..] = *stb_id.octets();
        Self {
            ca_system_ids: vec![CaSystemId::DEFAULT],
            stb_id,
            box_key,
            terminal: TerminalId::new(terminal),
            max_sessions: Self::MAX_SESSIONS,
            emm_queue: Self::EMM_QUEUE,
            section_filters: Self::SECTION_FILTERS,
            event_queue: Self::EVENT_QUEUE,
            idle_poll: Some(Self::IDLE_POLL),
            entropy,
            stored: Vec::new(),
        }
    }
}
