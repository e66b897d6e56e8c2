// SPDX-License-Identifier: Apache-2.0
//! The two doors of a protocol's machine: what T=0, T=1 and T=14 are told, and what they want done.
//! What one of them alone is told is a method of its own; what it wants done comes out here too.
use cam_types::Instant;
use core::mem;

/// What a machine is told.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// Send this command. Ignored while another exchange is going on.
    Command(&'a [u8]),
    /// The card sent these octets, in any split.
    Received(&'a [u8]),
    /// One of the octets that follow has a parity error.
    Damaged,
    /// The instant in the last [`Output::Wait`] has passed.
    Timeout,
}

/// What a machine wants done; `E` says why an exchange failed.
#[derive(Clone, Copy)]
#[must_use]
pub enum Output<'a, E> {
    /// Send these octets.
    Transmit(&'a [u8]),
    /// The exchange is over. The machine is ready for the next command.
    Response(&'a [u8]),
    /// The exchange has failed, or the card spoke when it should not.
    Failed(E),
    /// Nothing to do before this instant, or before more input.
    Wait(Option<Instant>),
}

/// An output that nobody has asked for yet, without the octets: these stand in the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Out<E> {
    Nothing,
    Transmit,
    Response,
    Failed(E),
}

impl<E> Out<E> {
    /// Gives it out, once.
    pub(crate) fn take<'a>(
        &mut self,
        tx: &'a [u8],
        response: &'a [u8],
        deadline: Option<Instant>,
    ) -> Output<'a, E> {
        match mem::replace(self, Self::Nothing) {
            Self::Nothing => Output::Wait(deadline),
            Self::Transmit => Output::Transmit(tx),
            Self::Response => Output::Response(response),
            Self::Failed(why) => Output::Failed(why),
        }
    }
}
