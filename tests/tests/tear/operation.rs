// SPDX-License-Identifier: Apache-2.0
//! Something that moves money, the terminal's own recovery, and the judgement over both.

use crate::account::Account;
use system_tests::demo::memory;
use system_tests::desk::Desk;

/// How far a terminal has come, by its own knowledge.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Attempt {
    /// Nothing that moves money has been sent.
    Unsent,
    /// It was sent, and no answer came; what the terminal has written down of it before.
    Lost(Vec<u8>),
    /// The card has said that it is done.
    Made,
}

/// Something that moves money once.
pub(crate) trait Operation: Sync {
    fn name(&self) -> &'static str;

    /// The card's memory before it: the demo's.
    fn before(&self) -> Vec<u8> {
        memory()
    }

    /// The terminal does it at a card that has just been reset. Each round is one request of its
    /// own.
    fn attempt(&self, desk: &mut dyn Desk, round: u32) -> Attempt;

    /// The terminal finds out what became of a lost answer, at a card that has just been reset:
    /// made or not.
    fn settle(&self, desk: &mut dyn Desk, lost: &[u8]) -> Result<bool, String>;

    /// How often the card has done it.
    fn count(&self, account: &Account) -> usize;

    /// What else must hold when it is done, or is not.
    fn inspect(&self, _account: &Account, _done: bool) -> Result<(), String> {
        Ok(())
    }
}

/// Settles what is open, asks the card whether it agrees, and tries again what was not made: in the
/// end it is made exactly once. What the terminal found, or what cannot be.
pub(crate) fn judge(
    operation: &dyn Operation,
    desk: &mut dyn Desk,
    attempt: &Attempt,
) -> Result<&'static str, String> {
    if !desk.reset() {
        return Err("mute".to_owned());
    }
    let made = match attempt {
        Attempt::Unsent => false,
        Attempt::Lost(lost) => operation.settle(desk, lost)?,
        Attempt::Made => true,
    };
    let look = |desk: &mut dyn Desk, times: usize| {
        let account = Account::of(desk.card())?;
        match operation.count(&account) {
            count if count == times => operation.inspect(&account, times == 1),
            count => {
                Err(format!("the terminal knows of {times}, the card has done it {count} times"))
            }
        }
    };
    look(desk, made.into())?;
    if !made {
        if !desk.reset() {
            return Err("mute after settling".to_owned());
        }
        let again = operation.attempt(desk, 1);
        if again != Attempt::Made {
            return Err(format!("tried again in vain: {again:?}"));
        }
        look(desk, 1)?;
    }
    Ok(match (made, attempt) {
        (true, Attempt::Lost(_)) => "settled as made",
        (true, _) => "made",
        (false, Attempt::Lost(_)) => "settled as not made",
        (false, _) => "not sent",
    })
}
