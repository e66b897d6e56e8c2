// SPDX-License-Identifier: Apache-2.0
//! The reader as the terminal's flows see it.
use crate::bench::Bench;
use stb_shim::slot::Slot;
use stb_shim::sys::Waker;
use wallet::port::CardPort;

/// A card at a reader of the bench.
///
/// A signal does not end an exchange: a command that has been sent is answered or fails, both
/// within a bounded time.
pub(crate) struct Port<'a> {
    slot: &'a mut Slot,
    never: &'a Waker,
    /// Why the last command was not answered.
    pub failure: Option<String>,
}

impl<'a> Port<'a> {
    pub(crate) const fn new(bench: &'a mut Bench, never: &'a Waker) -> Self {
        Self { slot: &mut bench.slot, never, failure: None }
    }
}

impl CardPort for Port<'_> {
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        match self.slot.transmit(command, None, self.never) {
            Ok(response) => Some(response),
            Err(error) => {
                self.failure = Some(error.to_string());
                None
            }
        }
    }
}

/// The same of a reader that is the PSAM's.
pub(crate) struct OwnPort {
    bench: Bench,
    never: Waker,
}

impl OwnPort {
    pub(crate) const fn new(bench: Bench, never: Waker) -> Self {
        Self { bench, never }
    }
}

impl CardPort for OwnPort {
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        Port::new(&mut self.bench, &self.never).transmit(command)
    }
}
