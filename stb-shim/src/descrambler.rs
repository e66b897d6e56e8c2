// SPDX-License-Identifier: Apache-2.0
//! Where control words go: what a box's descrambler must do.

use cam_core::{Ecw, SessionId};
use cam_types::Key;
use std::fmt;

/// What the box's descrambler must do. Called on the card thread, one call at a time.
pub trait Descrambler: Send {
    /// Loads the keys of a pairing into the key ladder. While it refuses them it is handed no
    /// control words, and is asked again before the next.
    fn load_ladder(&mut self, keys: &LadderKeys<'_>) -> Result<(), Refused>;
    /// Takes the ECWs of a crypto period and the one after it. `period_ms` is the length
    /// of a crypto period as seen so far, 0 while it is not known.
    fn set_cw(&mut self, ecw: &Ecw<'_>, period_ms: u32) -> Result<(), Refused>;
    /// Wipes the control words of a session.
    fn clear(&mut self, session: SessionId);
}

/// Why a descrambler did not take what it was handed, and what would work; a text for a log or a
/// support engineer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// The encrypted keys of a pairing, for a three-step key ladder.
pub struct LadderKeys<'a> {
    /// The pairing slot of the card, 0 to 3.
    pub pairing_slot: u8,
    /// The second stage's key, encrypted under the chip's root key.
    pub ek2: &'a Key,
    /// The first stage's key, encrypted under the second stage's.
    pub ek1: &'a Key,
    /// The operator allows this box control words outside the ladder.
    pub clear_allowed: bool,
}

/// A descrambler that is somewhere else: keys are thrown away. For a box that wants rights and
/// purchases only.
pub struct NoDescrambler;

impl Descrambler for NoDescrambler {
    fn load_ladder(&mut self, _keys: &LadderKeys<'_>) -> Result<(), Refused> {
        Ok(())
    }

    fn set_cw(&mut self, _ecw: &Ecw<'_>, _period_ms: u32) -> Result<(), Refused> {
        Ok(())
    }

    fn clear(&mut self, _session: SessionId) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soft_descrambler::SoftDescrambler;
    use cam_core::ScramblingMode;
    use cam_types::{Parity, Pid};
    use std::sync::Arc;

    /// The software descrambler says which mode it does not know, and which it does.
    #[test]
    fn an_unknown_mode_is_refused_by_its_number() {
        let mut software = Arc::new(SoftDescrambler::new(&Key::new([0x70; 16])));
        let mut ecw = Ecw {
            session: SessionId(1),
            source: 0,
            ecm_pid: Pid::from_field(0x140),
            es_pids: &[Pid::from_field(0x100)],
            mode: ScramblingMode::CSA2,
            even: &[1; 16],
            odd: &[2; 16],
            crypto_period: 4,
            parity: Parity::Even,
            cci: 0,
            preview: false,
        };
        let mut set =
            |ecw: &Ecw<'_>| Descrambler::set_cw(&mut software, ecw, 0).map_err(|Refused(why)| why);
        let why = set(&ecw).unwrap_err();
        assert!(why.contains("no pairing"), "{why}");
        for mode in [0x00, 0x03, 0x11, 0x71, 0xDD, 0xFF] {
            ecw.mode = ScramblingMode(mode);
            let why = set(&ecw).unwrap_err();
            assert!(
                why.contains(&format!("0x{mode:02X} ")) && why.contains("0x10, 0x70 and 0xDE"),
                "{why}"
            );
        }
        let (ek2, ek1) = (Key::new([2; 16]), Key::new([1; 16]));
        let keys = LadderKeys { pairing_slot: 0, ek2: &ek2, ek1: &ek1, clear_allowed: false };
        assert_eq!(Descrambler::load_ladder(&mut software, &keys), Ok(()));
        for mode in [0x01, 0x02, 0x10, 0x70, 0xDE].map(ScramblingMode) {
            ecw.mode = mode;
            assert_eq!(Descrambler::set_cw(&mut software, &ecw, 0), Ok(()));
        }
    }
}
