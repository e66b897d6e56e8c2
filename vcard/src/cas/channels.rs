// SPDX-License-Identifier: Apache-2.0
//! One card feeds one household: the channels that it serves, and what another one costs.
//!
//! Normative references:
//!  - `docs/spec/card.md`, 3.1, Channels

use crate::decide::{Twice, decide};
use cam_types::{CasTime, ChannelId};

/// Tokens after a reset.
const AT_RESET: u32 = 24;
/// Tokens at most.
const MOST: u32 = 64;
/// Seconds of the card's clock that bring a token.
const SECONDS: u32 = 2;

/// What was opened last, and how many others may be. Nothing of it outlives a reset.
#[derive(Clone)]
pub struct Channels {
    /// The one opened last stands last.
    kept: Vec<ChannelId>,
    tokens: Twice<u32>,
    /// Until when the seconds have been counted; none before the first channel.
    counted: Option<CasTime>,
}

/// A channel that may be opened now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Admitted {
    channel: ChannelId,
    /// What is left when it has been opened.
    tokens: u32,
    counted: CasTime,
}

impl Channels {
    /// After a reset.
    pub fn new() -> Self {
        Self { kept: Vec::new(), tokens: Twice::new(AT_RESET), counted: None }
    }

    /// Whether a card that keeps so many may open this channel, when its clock shows `now`. A
    /// refusal changes nothing, but that the first one begins the count as a channel does.
    pub fn admit(&mut self, keeps: u8, channel: ChannelId, now: CasTime) -> Option<Admitted> {
        let counted = *self.counted.get_or_insert(now);
        let earned = now.seconds().saturating_sub(counted.seconds()) / SECONDS;
        let tokens = self.tokens.get().saturating_add(earned).min(MOST);
        // A second that brought no token yet counts on.
        let counted = counted.saturating_add(earned.saturating_mul(SECONDS));
        let costs_nothing = || self.kept.contains(&channel) || self.kept.len() < keeps.into();
        let price = u32::from(!decide(costs_nothing));
        let tokens = tokens.checked_sub(price).filter(|_| decide(|| tokens >= price))?;
        Some(Admitted { channel, tokens, counted })
    }

    /// It was opened.
    pub fn opened(&mut self, keeps: u8, admitted: Admitted) {
        let Admitted { channel, tokens, counted } = admitted;
        self.kept.retain(|kept| *kept != channel);
        if self.kept.len() >= keeps.into() {
            self.kept.remove(0);
        }
        self.kept.push(channel);
        self.tokens.set(tokens);
        self.counted = Some(counted);
    }

    /// The operator has set the clock: the step is worth nothing.
    pub const fn clock_reset(&mut self) {
        self.counted = None;
    }
}
