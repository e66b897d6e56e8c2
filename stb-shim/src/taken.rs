// SPDX-License-Identifier: Apache-2.0
//! What the card thread does at the moment: an output of the engine, with octets of its own.
//!
//! An output borrows from the engine, which is behind a lock that nobody holds while the card is
//! spoken to. So the card thread takes one output at a time under the lock, copies here what it
//! borrows, and works on the copy.

use cam_core::{Ecw, Output};
use cam_types::{Key, Pid};

/// What the output that was taken last borrows. Reused: once warm nothing is allocated for an ECM.
#[derive(Default)]
pub(crate) struct Taken {
    octets: Vec<u8>,
    row: String,
    /// EK2 and EK1; wiped as soon as the next output is asked for.
    ladder: Option<(Key, Key)>,
    es_pids: Vec<Pid>,
    /// The two of an ECM.
    ecw: ([u8; 16], [u8; 16]),
}

impl Taken {
    /// The same output, borrowed from here.
    pub(crate) fn take(&mut self, output: Output<'_>) -> Output<'_> {
        self.ladder = None;
        match output {
            Output::ActivateCard => Output::ActivateCard,
            Output::Command { apdu } => Output::Command { apdu: self.copy(apdu) },
            Output::Probe => Output::Probe,
            Output::LoadLadder { pairing_slot, ek2, ek1, clear_allowed } => {
                let (ek2, ek1) = self.ladder.insert((ek2.clone(), ek1.clone()));
                Output::LoadLadder { pairing_slot, ek2, ek1, clear_allowed }
            }
            Output::SetCw(ecw) => Output::SetCw(self.copy_ecw(&ecw)),
            Output::ClearCw { session } => Output::ClearCw { session },
            Output::Store { id, key, value } => {
                key.clone_into(&mut self.row);
                value.clone_into(&mut self.octets);
                Output::Store { id, key: &self.row, value: &self.octets }
            }
            Output::Event(event) => Output::Event(event),
            Output::Wait(until) => Output::Wait(until),
        }
    }

    fn copy(&mut self, octets: &[u8]) -> &[u8] {
        octets.clone_into(&mut self.octets);
        &self.octets
    }

    fn copy_ecw(&mut self, ecw: &Ecw<'_>) -> Ecw<'_> {
        ecw.es_pids.clone_into(&mut self.es_pids);
        self.ecw = (*ecw.even, *ecw.odd);
        Ecw {
            session: ecw.session,
            source: ecw.source,
            ecm_pid: ecw.ecm_pid,
            es_pids: &self.es_pids,
            mode: ecw.mode,
            even: &self.ecw.0,
            odd: &self.ecw.1,
            crypto_period: ecw.crypto_period,
            parity: ecw.parity,
            cci: ecw.cci,
            preview: ecw.preview,
        }
    }
}
