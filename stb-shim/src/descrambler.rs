//! Where control words go: what a box's descrambler must do.

use cam_core::{ControlWords, SessionId};
use cam_types::Key;

/// What the box's descrambler must do. Called on the card thread, one call at a time.
pub trait Descrambler: Send {
    /// Loads the keys of a pairing into the key ladder.
    fn load_ladder(&mut self, keys: &LadderKeys<'_>);
    /// Takes the control words of a crypto period and the one after it. `period_ms` is the length
    /// of a crypto period as seen so far, 0 while it is not known.
    fn set_control_words(&mut self, words: &ControlWords<'_>, period_ms: u32);
    /// Wipes the control words of a session.
    fn clear(&mut self, session: SessionId);
}

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
    fn load_ladder(&mut self, _keys: &LadderKeys<'_>) {}

    fn set_control_words(&mut self, _words: &ControlWords<'_>, _period_ms: u32) {}

    fn clear(&mut self, _session: SessionId) {}
}
