// SPDX-License-Identifier: Apache-2.0
//! Faults that the demo's self-tests put on air: each breaks one promise of the broadcast.

use clap::ValueEnum;

/// A deliberate fault of the broadcast.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Fault {
    /// The third crypto period of the first CISSA service is scrambled under a control word that no
    /// ECM carries.
    WrongControlWord,
    /// No `key_deliver` goes on air.
    LostKeyUpdate,
    /// The last pay-per-view service has no ECM in its fifth crypto period.
    LostEcm,
    /// The ECMs of the first event say a price 1.00 above the schedule's.
    WrongPrice,
    /// One payload of the first service stays in clear on air.
    ClearPacket,
    /// No `forge_emm` and no `forge_ecm` goes on air.
    NoForgeries,
    /// No `replay` goes on air.
    NoReplay,
    /// What a `replay` repeats is sealed anew under a number of its own: the card takes it.
    FreshReplay,
    /// Two neighbouring packets change places.
    ShiftedPacket,
    /// In the fifth crypto period of the first service the old ECM stays until 0.5 s before its
    /// end: the next control word comes too late.
    LateNext,
}

/// The faults of one run: none in a broadcast that means well.
#[derive(Clone, Copy, Debug)]
pub struct Faults<'a>(pub &'a [Fault]);

impl Faults<'_> {
    /// This fault is wanted.
    pub fn has(self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// Their names on the command line.
    pub fn names(self) -> Vec<String> {
        let name = |fault: &Fault| Some(fault.to_possible_value()?.get_name().to_owned());
        self.0.iter().filter_map(name).collect()
    }
}
