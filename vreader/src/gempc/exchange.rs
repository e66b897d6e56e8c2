// SPDX-License-Identifier: Apache-2.0
//! One exchange between reader and card: the characters of a T=0 command, of a T=1 block or of PPS.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clauses 9, 10.3 and 11.3
//!
//! What the card's answer means is the host's business: this is a TPDU-level reader. It knows only
//! where an answer ends.

use crate::gempc::error;
use iso7816::pps::Pps;
use iso7816::t1::{Block, Edc};
use std::time::Duration;

/// An exchange that the card has not finished.
#[derive(Debug)]
pub(super) struct Exchange {
    kind: Kind,
    answer: Vec<u8>,
    /// An octet of the answer had wrong parity.
    damaged: bool,
    /// The card may be silent for so long before its first octet, and between two.
    pub(super) first: Duration,
    pub(super) next: Duration,
}

#[derive(Debug)]
enum Kind {
    /// A PPS response.
    Pps,
    /// T=0: the next octet of the card is a procedure octet, unless so many octets of data come.
    T0 { ins: u8, to_send: Vec<u8>, to_come: usize, announced: usize, sw1: bool },
    /// T=1.
    T1 { edc: Edc },
}

/// What an octet of the card has led to.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Progress {
    /// More octets are to come.
    More,
    /// T=0: the card is at work.
    Null,
    /// T=0: the card takes these octets now.
    Send(Vec<u8>),
    /// The card's answer is there.
    Done(Vec<u8>),
    /// There is none: a CCID error.
    Failed(u8),
}

impl Exchange {
    /// Begins with what the host sends: the exchange, and the octets to send at once.
    pub(super) fn pps(request: &[u8], patience: Duration) -> (Self, Vec<u8>) {
        (Self::new(Kind::Pps, patience, patience), request.to_vec())
    }

    pub(super) fn t1(block: &[u8], edc: Edc, bwt: Duration, cwt: Duration) -> (Self, Vec<u8>) {
        (Self::new(Kind::T1 { edc }, bwt, cwt), block.to_vec())
    }

    /// `None` when the octets are no command.
    pub(super) fn t0(tpdu: &[u8], wt: Duration) -> Option<(Self, Vec<u8>)> {
        let mut header = tpdu.get(..tpdu.len().min(5))?.to_vec();
        let [_, ins, _, _, p3 @ ..] = header.as_slice() else { return None };
        let (ins, p3) = (*ins, p3.first().copied());
        let to_send = tpdu.get(5..).unwrap_or_default().to_vec();
        let to_come = match p3 {
            None => 0,
            Some(_) if !to_send.is_empty() => 0,
            Some(0) => 256,
            Some(le) => usize::from(le),
        };
        if p3.is_none() {
            header.push(0);
        }
        let kind = Kind::T0 { ins, to_send, to_come, announced: 0, sw1: false };
        Some((Self::new(kind, wt, wt), header))
    }

    const fn new(kind: Kind, first: Duration, next: Duration) -> Self {
        Self { kind, answer: Vec::new(), damaged: false, first, next }
    }

    /// An octet of the card.
    pub(super) fn octet(&mut self, octet: u8, damaged: bool) -> Progress {
        self.damaged |= damaged;
        match &mut self.kind {
            Kind::Pps => {
                self.answer.push(octet);
                let len = self.answer.get(1).map(|&pps0| Pps::len_by_pps0(pps0));
                if len == Some(self.answer.len()) { self.done() } else { Progress::More }
            }
            Kind::T1 { edc } => {
                self.answer.push(octet);
                let len = Block::len_by_prologue(&self.answer, *edc);
                if len == Some(self.answer.len()) { self.done() } else { Progress::More }
            }
            Kind::T0 { .. } if self.damaged => Progress::Failed(error::PARITY),
            Kind::T0 { sw1: true, .. } => {
                self.answer.push(octet);
                self.done()
            }
            Kind::T0 { to_come, announced, .. } if *announced > 0 => {
                self.answer.push(octet);
                *announced -= 1;
                *to_come -= 1;
                Progress::More
            }
            Kind::T0 { ins, to_send, to_come, announced, sw1 } => match octet {
                0x60 => Progress::Null,
                sw if matches!(sw >> 4, 0x6 | 0x9) => {
                    self.answer.push(sw);
                    *sw1 = true;
                    Progress::More
                }
                ack if ack == *ins || ack == !*ins => {
                    let one = ack == !*ins;
                    if !to_send.is_empty() {
                        let now = if one { 1 } else { to_send.len() };
                        Progress::Send(to_send.drain(..now).collect())
                    } else if *to_come > 0 {
                        *announced = if one { 1 } else { *to_come };
                        Progress::More
                    } else {
                        Progress::Failed(error::PROCEDURE)
                    }
                }
                _ => Progress::Failed(error::PROCEDURE),
            },
        }
    }

    /// The card has not gone on in time. Part of a block is given to the host, who sees that it
    /// is none.
    pub(super) fn silence(&mut self) -> Progress {
        match self.kind {
            Kind::T1 { .. } if !self.answer.is_empty() => self.done(),
            _ => Progress::Failed(error::MUTE),
        }
    }

    fn done(&mut self) -> Progress {
        if self.damaged {
            Progress::Failed(error::PARITY)
        } else {
            Progress::Done(std::mem::take(&mut self.answer))
        }
    }
}
