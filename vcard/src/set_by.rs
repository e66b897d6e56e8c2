// SPDX-License-Identifier: Apache-2.0
//! State that a message sets and another one takes back: an older message does not bring it back.

use crate::decide::decide;
use crate::message::Effect;
use crate::persist::{Guarded, persist};
use ecm_emm::card::EmmDetail;

/// The number of the message that set something; none since the factory.
///
/// A window only knows which numbers came. A message that was held back while the next one was
/// taken has a number that did not.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SetBy {
    number: Option<Guarded<u32>>,
}

persist!(SetBy { number: Option<Guarded<u32>> });

impl SetBy {
    /// The message of this number sets it: [`Effect::Stale`], and it is not to be touched, when a
    /// later one has.
    pub(crate) fn take(&mut self, number: u32) -> Effect {
        if !decide(|| self.number.is_none_or(|held| held.0 <= number)) {
            return Effect::Stale(EmmDetail::NONE);
        }
        self.number = Some(Guarded(number));
        Effect::Applied
    }
}
