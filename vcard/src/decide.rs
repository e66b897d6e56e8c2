// SPDX-License-Identifier: Apache-2.0
//! A check that decides is made twice, and a contradiction silences the card.
//!
//! Normative references:
//!  - `docs/spec/card.md`, 4.1

use cam_types::Judge;
use std::cell::Cell;
use std::hint::black_box;

/// The answers have no bit in common; what is neither is none.
const YES: u8 = 0xA5;
const NO: u8 = 0x5A;
/// Where nothing was computed.
const UNSET: u8 = 0x00;

/// What a glitch does to one evaluation of a check, or to one reading of volatile memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Glitch {
    /// The evaluation answers the contrary.
    Inverted,
    /// It is jumped over, and nothing is computed.
    Skipped,
    /// It is jumped over, and the answer of the evaluation before stands.
    Stale,
    /// Two evaluations one after the other answer the contrary. No single glitch does that: it
    /// shows what a check is good for.
    Both,
    /// The reading has this bit turned over.
    Flipped(u8),
}

/// What the checks of one card have come to, and the glitch that a test has ordered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    evaluations: u32,
    readings: u32,
    /// With the number that it hits.
    glitch: Option<(u32, Glitch)>,
    /// The last answer.
    last: u8,
    alarm: bool,
}

thread_local! {
    /// That of the card at work on this thread: its hardware, which every check reaches.
    static WATCH: Cell<Watch> = const { Cell::new(Watch::NEW) };
}

impl Watch {
    const NEW: Self = Self { evaluations: 0, readings: 0, glitch: None, last: UNSET, alarm: false };

    /// Counts from here, and glitches evaluation or reading `number`, from 1.
    pub(crate) const fn order(&mut self, number: u32, glitch: Glitch) {
        *self = Self { glitch: Some((number, glitch)), ..Self::NEW };
    }

    /// Evaluations and readings so far.
    pub(crate) const fn counted(&self) -> (u32, u32) {
        (self.evaluations, self.readings)
    }

    /// A reset: what has happened is forgotten.
    pub(crate) const fn reset(&mut self) {
        self.alarm = false;
    }

    /// The card is to be mute.
    pub(crate) const fn is_alarmed(&self) -> bool {
        self.alarm
    }

    /// The card works.
    pub(crate) fn over<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let outer = WATCH.replace(*self);
        let done = work();
        *self = WATCH.replace(outer);
        done
    }

    /// What happens to the evaluation that begins.
    fn evaluation(&mut self) -> Option<Glitch> {
        self.evaluations = self.evaluations.wrapping_add(1);
        let (number, glitch) = self.glitch?;
        let is_hit = match glitch {
            Glitch::Flipped(_) => false,
            Glitch::Both => self.evaluations.wrapping_sub(number) < 2,
            _ => self.evaluations == number,
        };
        is_hit.then_some(glitch)
    }

    /// The bits that the reading has wrong.
    fn reading(&mut self) -> u32 {
        self.readings = self.readings.wrapping_add(1);
        match self.glitch {
            Some((number, Glitch::Flipped(bit))) if number == self.readings => 1 << (bit & 31),
            _ => 0,
        }
    }
}

fn with<T>(change: impl FnOnce(&mut Watch) -> T) -> T {
    let mut watch = WATCH.get();
    let result = change(&mut watch);
    WATCH.set(watch);
    result
}

/// Whether this holds, asked twice. A contradiction denies, and is an alarm.
pub(crate) fn decide(check: impl Fn() -> bool) -> bool {
    match (evaluate(&check), evaluate(&check)) {
        (YES, YES) => true,
        (NO, NO) => false,
        _ => {
            alarm();
            false
        }
    }
}

/// For who verifies elsewhere.
pub(crate) const JUDGE: Judge = Judge::new(|check| decide(check));

/// Nothing may be written any more, and nothing answered.
pub(crate) fn alarm() {
    with(|watch| watch.alarm = true);
}

/// There was a contradiction since the reset.
pub(crate) fn is_alarmed() -> bool {
    WATCH.get().alarm
}

/// The compiler may not know that two looks see the same.
fn evaluate(check: &dyn Fn() -> bool) -> u8 {
    let answer = match with(Watch::evaluation) {
        None => honest(check),
        Some(Glitch::Inverted | Glitch::Both) => honest(check) ^ YES ^ NO,
        Some(Glitch::Stale) => WATCH.get().last,
        Some(Glitch::Skipped | Glitch::Flipped(_)) => UNSET,
    };
    with(|watch| watch.last = answer);
    black_box(answer)
}

fn honest(check: &dyn Fn() -> bool) -> u8 {
    if black_box(check)() { YES } else { NO }
}

/// A value in volatile memory, with its complement. A contradiction is an alarm.
#[derive(Clone, Copy)]
pub(crate) struct Twice<T> {
    value: T,
    complement: u32,
}

/// What can stand twice.
pub(crate) trait Bits: Copy {
    /// Its bits.
    fn bits(self) -> u32;
    /// What these bits say, right or wrong.
    fn of(bits: u32) -> Self;
}

impl<T: Bits> Twice<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value, complement: !value.bits() }
    }

    pub(crate) fn get(&self) -> T {
        let read = self.value.bits() ^ with(Watch::reading);
        if read != !black_box(self.complement) {
            alarm();
        }
        T::of(read)
    }

    pub(crate) fn set(&mut self, value: T) {
        *self = Self::new(value);
    }
}

impl<T: Bits + Default> Default for Twice<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl Bits for u32 {
    fn bits(self) -> u32 {
        self
    }

    fn of(bits: u32) -> Self {
        bits
    }
}

impl Bits for bool {
    fn bits(self) -> u32 {
        u32::from(if self { YES } else { NO })
    }

    fn of(bits: u32) -> Self {
        bits == u32::from(YES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarmed(read: impl FnOnce() -> u32) -> bool {
        let mut watch = Watch::default();
        watch.over(read);
        watch.is_alarmed()
    }

    /// T25: whichever bit of a value or its complement has turned over in memory.
    #[test]
    fn a_flipped_bit_of_either_copy_is_an_alarm() {
        for value in [0, 849_441_600, u32::MAX] {
            let sound = Twice::new(value);
            assert!(!alarmed(|| sound.get()));
            for bit in 0..32 {
                let flipped = Twice { value: value ^ 1 << bit, ..sound };
                assert!(alarmed(|| flipped.get()), "{value:08X}, bit {bit}");
                let flipped = Twice { complement: sound.complement ^ 1 << bit, ..sound };
                assert!(alarmed(|| flipped.get()), "{value:08X}, bit {bit} of the complement");
            }
        }
    }

    /// A check that sees two things denies, whichever it saw first.
    #[test]
    fn two_answers_deny_and_are_an_alarm() {
        for first in [true, false] {
            let looks = Cell::new(first);
            let mut watch = Watch::default();
            assert!(!watch.over(|| decide(|| looks.replace(!first))));
            assert!(watch.is_alarmed());
        }
    }
}
