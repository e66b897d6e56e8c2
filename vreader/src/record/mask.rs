// SPDX-License-Identifier: Apache-2.0
//! What a recording does not show: the data of a command that may carry a PIN in clear.
//!
//! It follows the line by what passes there, as somebody would who reads the recording: the answer
//! to reset and PPS say the protocol, the protocol says which octets are a command's. Where it
//! cannot tell, it hides.

use super::party::Party;
use cam_types::interindustry::carries_secret_in_clear;
use iso7816::atr::{Atr, AtrPolicy};
use iso7816::t1::Edc;

/// CLA INS P1 P2 and what says how long the data is.
const HEADER: usize = 5;

/// What is known of the line so far.
#[derive(Debug)]
pub(super) enum Mask {
    /// Whole commands, no line.
    Commands,
    /// The answer to reset comes, or nothing yet.
    Answer(Vec<u8>),
    /// PPS comes behind it.
    Pps {
        edc: Edc,
        request: Vec<u8>,
    },
    T0(T0),
    T1(T1),
}

impl Mask {
    pub(super) const fn line() -> Self {
        Self::Answer(Vec::new())
    }

    /// Whether each of these octets is hidden.
    pub(super) fn hides(&mut self, party: Party, octets: &[u8]) -> Vec<bool> {
        if matches!(self, Self::Commands) {
            let secret = party == Party::Terminal && secret(octets);
            return (0..octets.len()).map(|at| secret && at >= HEADER).collect();
        }
        if party == Party::Reset && octets.is_empty() {
            *self = Self::line();
        }
        octets.iter().map(|octet| self.octet(party, *octet)).collect()
    }

    fn octet(&mut self, party: Party, octet: u8) -> bool {
        match (party, &mut *self) {
            (Party::Reset, Self::Answer(answer)) => {
                // 33 octets at most; one that never ends is none.
                if answer.len() < 64 {
                    answer.push(octet);
                }
                false
            }
            (Party::Reset, _) => {
                *self = Self::Answer(vec![octet]);
                false
            }
            (Party::Card, Self::Answer(_) | Self::Pps { .. } | Self::Commands) => false,
            (Party::Card, Self::T0(t0)) => {
                t0.card(octet);
                false
            }
            (Party::Card, Self::T1(t1)) => {
                t1.block.clear();
                false
            }
            (Party::Terminal, Self::Answer(answer)) => {
                // Without power there is no command.
                if answer.is_empty() {
                    return false;
                }
                let Ok(atr) = Atr::parse(answer, AtrPolicy::default()) else { return true };
                let edc = atr.t1().edc;
                let (protocol, pps) = match atr.specific_mode() {
                    Some(specific) => (specific.protocol, false),
                    None => (atr.first_protocol(), true),
                };
                *self = if pps && octet == PPSS {
                    Self::Pps { edc, request: Vec::new() }
                } else {
                    Self::of(protocol, edc)
                };
                self.octet(party, octet)
            }
            (Party::Terminal, Self::Pps { edc, request }) => {
                request.push(octet);
                // PPS1 to PPS3 are there when their bits say so, PCK always.
                if let [_, pps0, ..] = **request
                    && request.len() == 3 + (pps0 >> 4 & 7).count_ones() as usize
                {
                    *self = Self::of(pps0 & 0x0F, *edc);
                }
                false
            }
            (Party::Terminal, Self::T0(t0)) => t0.terminal(octet),
            (Party::Terminal, Self::T1(t1)) => t1.terminal(octet),
            (Party::Terminal, Self::Commands) => true,
        }
    }

    fn of(protocol: u8, edc: Edc) -> Self {
        match protocol {
            0 => Self::T0(T0::default()),
            1 => Self::T1(T1 { edc, ..T1::default() }),
            // No card of ours speaks another.
            _ => Self::line(),
        }
    }
}

const PPSS: u8 = 0xFF;

fn secret(command: &[u8]) -> bool {
    matches!(*command, [cla, ins, ..] if carries_secret_in_clear(cla, ins))
}

/// T=0: where the command is that passes.
#[derive(Debug, Default)]
pub(super) struct T0 {
    header: Vec<u8>,
    /// Octets of an answer that may pass until the card says what comes next.
    may_pass: usize,
    /// Of the answer, what has not passed yet.
    left: usize,
    /// The terminal has sent data: it is no answer that passes.
    incoming: bool,
    /// SW1 has passed.
    ending: bool,
}

impl T0 {
    fn terminal(&mut self, octet: u8) -> bool {
        if self.header.len() == HEADER {
            self.incoming = true;
            return secret(&self.header);
        }
        self.header.push(octet);
        if self.header.len() == HEADER {
            self.left = if octet == 0 { 256 } else { usize::from(octet) };
        }
        false
    }

    /// What the card sends says where the command ends.
    fn card(&mut self, octet: u8) {
        let [_, ins, _, _, _] = *self.header else { return };
        if self.ending {
            *self = Self::default();
        } else if self.may_pass > 0 && !self.incoming {
            self.may_pass -= 1;
            self.left = self.left.saturating_sub(1);
        } else if octet == ins {
            self.may_pass = self.left;
        } else if octet == !ins {
            self.may_pass = 1;
        } else if octet != NULL && matches!(octet >> 4, 6 | 9) {
            self.ending = true;
        }
    }
}

/// The procedure byte that asks for time.
const NULL: u8 = 0x60;

/// T=1: the terminal's block that passes, and the command that it is a part of.
#[derive(Debug, Default)]
pub(super) struct T1 {
    edc: Edc,
    /// The block's octets so far. The card speaks between two, or the next one follows at once.
    block: Vec<u8>,
    hidden: bool,
    /// The last I-block: N(S), and whether more was to follow.
    last: Option<(u8, bool)>,
    /// This one goes on with the last one's command, or is the last one again.
    goes_on: bool,
}

impl T1 {
    fn terminal(&mut self, octet: u8) -> bool {
        self.block.push(octet);
        let (len, i_block) = match *self.block {
            [_, pcb, ..] => (self.block.len(), pcb & 0x80 == 0),
            _ => return false,
        };
        match *self.block {
            [_, pcb] if i_block => {
                let number = pcb & 0x40;
                self.goes_on = self.last.is_some_and(|(last, more)| more || last == number);
                self.hidden &= self.goes_on;
                self.last = Some((number, pcb & 0x20 != 0));
            }
            // RESYNCH or ABORT: the command is given up.
            [_, pcb] if pcb & 0xC0 == 0xC0 && matches!(pcb & 0x1F, 0 | 2) => {
                (self.last, self.hidden) = (None, false);
            }
            [_, _, _, ref command @ ..] if i_block && !self.goes_on && command.len() == 2 => {
                self.hidden = secret(command);
            }
            _ => {}
        }
        let data = self.block.get(2).map(|data| usize::from(*data));
        if data.is_some_and(|data| len >= PROLOGUE + data + self.edc.len()) {
            self.block.clear();
        }
        // The epilogue too: of few octets it would tell one.
        let first = if self.goes_on { PROLOGUE } else { PROLOGUE + HEADER };
        self.hidden && i_block && len > first
    }
}

/// NAD PCB LEN.
const PROLOGUE: usize = 3;

#[cfg(test)]
mod tests;
