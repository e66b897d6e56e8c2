// SPDX-License-Identifier: Apache-2.0
//! What goes into the host's machine and what comes out.
use cam_types::Instant;
use iso7816::etu::LineParams;
use iso7816::line::Reset;

/// What the host is told.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// Find out who the reader is and whether a card is in.
    Greet,
    /// Reset the card. Whatever is going on is given up.
    Activate(Reset),
    /// Take the card's power away. Whatever is going on is given up.
    Deactivate,
    /// The card's line runs like this.
    Configure(&'a LineParams),
    /// Send this block, TPDU or PPS request.
    Transfer(&'a [u8]),
    /// Make sure that the reader and the card are still there, unless something is going on.
    Look,
    /// The reader sent these octets, in any split.
    Received(&'a [u8]),
    /// The instant in the last [`Output::Wait`] has passed. Too early does no harm.
    Timeout,
}

/// What the host wants. One input, then `poll_output` until [`Output::Wait`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Output<'a> {
    /// Send these octets to the reader.
    Send(&'a [u8]),
    /// [`Host::answer`](super::Host::answer) is the answer to reset, or empty: the card is mute.
    AnswerToReset,
    /// [`Host::answer`](super::Host::answer) is the answer to the transfer.
    Message,
    /// The transfer has no answer.
    Unanswered {
        /// It has, but damaged.
        damaged: bool,
    },
    /// The card has left.
    Removed,
    /// The reader does not answer.
    Dead,
    /// Nothing to do before this instant, or before more input.
    Wait(Option<Instant>),
}
