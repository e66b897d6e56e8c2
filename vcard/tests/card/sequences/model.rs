// SPDX-License-Identifier: Apache-2.0
//! What a card may do, in a few lines: which precondition each effect needs. Written from
//! `docs/spec/card.md` 2, 3 and `purchase.md` 3, and from nothing of the card's code.

use super::chip::Moment;

/// What is said to the card.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Letter {
    Select,
    Initialize,
    /// EXTERNAL AUTHENTICATE, right for the newest challenge that the card gave.
    Prove,
    /// Right for the challenge before, or with a wrong octet where there was none.
    ProveWrongly,
    Ecm,
    VerifyRight,
    VerifyWrong,
    Purchase,
    Reset,
    /// The power goes in the next command: at a write, or behind its answer when it writes nothing.
    Cut,
}

pub(super) const LETTERS: [Letter; 10] = [
    Letter::Select,
    Letter::Initialize,
    Letter::Prove,
    Letter::ProveWrongly,
    Letter::Ecm,
    Letter::VerifyRight,
    Letter::VerifyWrong,
    Letter::Purchase,
    Letter::Reset,
    Letter::Cut,
];

/// What comes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Said {
    /// A bare status word.
    Status(u16),
    /// To an ECM: with control words, or without.
    Words(bool),
    /// To VERIFY: right or not, and tries.
    Pin(bool, u8),
    /// To PURCHASE: the result.
    Result(u8),
}

const TRIES: u8 = 3;

const PAID: u8 = 0x01;
const DONE: u8 = 0x02;
const PIN_REQUIRED: u8 = 0x18;

/// What a card holds, what was said to it since the last reset, and what the box has heard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Model {
    selected: bool,
    challenged: bool,
    session: bool,
    pin: bool,
    pub(super) tries: u8,
    /// So many events were paid: that of request n of this terminal is the nth.
    pub(super) paid: u32,
    /// Of so many the box was told.
    told: u32,
}

impl Model {
    pub(super) const fn new() -> Self {
        Self {
            selected: false,
            challenged: false,
            session: false,
            pin: false,
            tries: TRIES,
            paid: 0,
            told: 0,
        }
    }

    /// The request that PURCHASE asks: the next one, or once more the last.
    pub(super) const fn request(&self, once_more: bool) -> u32 {
        if once_more { self.told } else { self.told + 1 }
    }

    /// There is something to ask once more.
    pub(super) const fn was_told(&self) -> bool {
        self.told > 0
    }

    pub(super) const fn reset(&self) -> Self {
        let Self { tries, paid, told, .. } = *self;
        Self { tries, paid, told, ..Self::new() }
    }

    const fn session_over(&mut self) {
        (self.challenged, self.session, self.pin) = (false, false, false);
    }

    /// One command, `wrapped` when the box has had a session; the answer.
    pub(super) fn hear(&mut self, letter: Letter, wrapped: bool, once_more: bool) -> Said {
        match letter {
            Letter::Select => {
                self.session_over();
                self.selected = true;
                Said::Status(0x9000)
            }
            Letter::Initialize => {
                self.session_over();
                self.challenged = self.selected;
                Said::Status(if self.selected { 0x9000 } else { 0x6A88 })
            }
            Letter::Prove | Letter::ProveWrongly => {
                let challenged = self.challenged;
                self.session_over();
                self.session = challenged && letter == Letter::Prove;
                Said::Status(match (challenged, self.session) {
                    (false, _) => 0x6985,
                    (true, false) => 0x6300,
                    (true, true) => 0x9000,
                })
            }
            _ if !self.session => {
                Said::Status(if self.selected || wrapped { 0x6982 } else { 0x6D00 })
            }
            Letter::Ecm => Said::Words(self.paid > 0),
            Letter::VerifyRight | Letter::VerifyWrong if self.tries == 0 => {
                self.pin = false;
                Said::Status(0x6983)
            }
            Letter::VerifyRight => {
                (self.pin, self.tries) = (true, TRIES);
                Said::Pin(true, TRIES)
            }
            Letter::VerifyWrong => {
                (self.pin, self.tries) = (false, self.tries - 1);
                Said::Pin(false, self.tries)
            }
            Letter::Purchase => self.purchase(once_more),
            Letter::Reset | Letter::Cut => unreachable!("these are no commands"),
        }
    }

    fn purchase(&mut self, once_more: bool) -> Said {
        let request = self.request(once_more);
        if request <= self.paid {
            self.told = request;
            return Said::Result(DONE);
        }
        if !std::mem::take(&mut self.pin) {
            return Said::Result(PIN_REQUIRED);
        }
        (self.paid, self.told) = (request, request);
        Said::Result(PAID)
    }

    /// What is left when the power went in this command, whose answer nobody heard; `None` when it
    /// could not go there.
    pub(super) fn torn(&self, letter: Letter, wrapped: bool, moment: Moment) -> Option<Self> {
        let mut whole = self.clone();
        let said = whole.hear(letter, wrapped, false);
        let mut left = self.reset();
        match (said, moment) {
            // The clock is stored with some ECMs, and nothing else.
            (Said::Words(_), Moment::Before | Moment::Behind(1)) => {}
            (Said::Pin(..) | Said::Result(PAID), Moment::Before) => {}
            // The try is gone before anything is compared.
            (Said::Pin(..), Moment::Behind(1)) => left.tries = self.tries - 1,
            (Said::Pin(true, tries), Moment::Behind(2)) => left.tries = tries,
            (Said::Result(PAID), Moment::Behind(1)) => left.paid = whole.paid,
            _ => return None,
        }
        Some(left)
    }
}
