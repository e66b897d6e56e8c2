// SPDX-License-Identifier: Apache-2.0
//! Collects the octets of one block.
use super::{Block, BlockError, Edc, Fault, MAX_BLOCK};
use zeroize::Zeroize;

/// The block that is coming in.
pub(super) struct Reception {
    octets: [u8; MAX_BLOCK],
    len: usize,
    state: State,
}

/// How far it has got.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// Octets are missing.
    Open { damaged: bool },
    /// All have come; nothing may follow.
    Whole,
    /// It is spoilt: wait until the card is silent.
    Spoilt(Fault),
}

impl Reception {
    pub(super) const fn new() -> Self {
        Self { octets: [0; MAX_BLOCK], len: 0, state: State::Open { damaged: false } }
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    /// Not one octet has come.
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Expects a new block.
    pub(super) fn restart(&mut self) {
        self.len = 0;
        self.state = State::Open { damaged: false };
    }

    pub(super) fn wipe(&mut self) {
        self.octets.zeroize();
        self.restart();
    }

    /// One of the octets to come has a parity error.
    pub(super) fn damage(&mut self) {
        match &mut self.state {
            State::Open { damaged } => *damaged = true,
            State::Whole => self.state = State::Spoilt(Fault::Edc),
            State::Spoilt(_) => {}
        }
    }

    /// What came cannot be used: wait until the card is silent.
    pub(super) fn spoil(&mut self, fault: Fault) {
        self.state = State::Spoilt(fault);
    }

    /// Takes the next octets.
    pub(super) fn push(&mut self, octets: &[u8], edc: Edc) {
        for octet in octets {
            match self.state {
                State::Spoilt(_) => return,
                State::Whole => self.state = State::Spoilt(Fault::Other),
                State::Open { damaged } => {
                    if let Some(place) = self.octets.get_mut(self.len) {
                        *place = *octet;
                        self.len += 1;
                    }
                    match Block::len_by_prologue(self.received(), edc) {
                        // LEN is FF, so nobody knows where the block ends.
                        Some(len) if len > 3 + 254 + edc.len() => {
                            self.state = State::Spoilt(Fault::Other);
                        }
                        Some(len) if len == self.len && damaged => {
                            self.state = State::Spoilt(Fault::Edc);
                        }
                        Some(len) if len == self.len => self.state = State::Whole,
                        _ => {}
                    }
                }
            }
        }
    }

    /// An I-block that ends a chain: by the look of it, nothing of ours has to follow.
    pub(super) fn is_last_of_chain(&self) -> bool {
        self.received().get(1).is_some_and(|pcb| pcb & 0xA0 == 0)
    }

    fn received(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&[])
    }

    /// Reads the block, which is whole.
    pub(super) fn block(&self, edc: Edc) -> Result<Block<'_>, BlockError> {
        Block::parse(self.received(), edc)
    }
}
