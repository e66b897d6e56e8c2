// SPDX-License-Identifier: Apache-2.0
//! The few outputs that one input can lead to, in order.
use super::types::{LineError, Reset};
use crate::etu::LineParams;

#[derive(Clone, Copy, Debug)]
pub(super) enum Out {
    Activate(Reset),
    Deactivate,
    Configure(LineParams),
    Transmit,
    Ready,
    Response,
    Failed(LineError),
}

/// First in, first out; of fixed size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Queue {
    outs: [Option<Out>; 8],
}

impl Queue {
    /// Appends. A driver that polls until `Wait` never fills it; were it full, the newest is lost.
    pub(super) fn push(&mut self, out: Out) {
        if let Some(place) = self.outs.iter_mut().find(|place| place.is_none()) {
            *place = Some(out);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Out> {
        let first = self.outs.first_mut()?.take();
        self.outs.rotate_left(1);
        first
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The card is about to be reset: what came before means nothing.
    pub(super) fn resets(&self) -> bool {
        self.outs.iter().flatten().any(|out| matches!(out, Out::Activate(_)))
    }

    /// What was going to be sent makes no sense any more.
    pub(super) fn drop_transmissions(&mut self) {
        let kept = self.outs;
        self.clear();
        for out in kept.into_iter().flatten() {
            if !matches!(out, Out::Transmit | Out::Configure(_) | Out::Activate(_)) {
                self.push(out);
            }
        }
    }
}
