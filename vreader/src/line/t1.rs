// SPDX-License-Identifier: Apache-2.0
//! T=1, the card's end.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clause 11, above all 11.6.3 (rules for error-free operation and error
//!    handling). The block codec is `iso7816::t1`.
//!
//! Read before changing it: the card only ever answers. It sends exactly one block for each block
//! that it got, valid or not, so the terminal's waiting times drive every recovery; only the
//! terminal may ask for S(RESYNCH). After three answers in a row to invalid blocks the card stays
//! silent until a valid one comes (rule 7.4.3).

use super::{Actions, Input, Output, Wrong};
use cam_types::Instant;
use iso7816::apdu::Command;
use iso7816::t1::{Block, Edc, Fault, INITIAL_IFS, MAX_BLOCK, Supervisory};
use std::ops::Range;
use std::time::Duration;

/// What the answer to reset said about T=1, in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct T1Params {
    /// The error detection code of every block.
    pub edc: Edc,
    /// The longest pause inside a block of the terminal.
    pub cwt: Duration,
    /// The terminal gives a block up after this time.
    pub bwt: Duration,
    /// The longest information field that the card sends.
    pub largest_field: u8,
    /// A block is believed when nothing has followed it for so long.
    pub quiet: Duration,
}

/// The T=1 machine of a card.
#[derive(Debug)]
pub struct T1 {
    params: T1Params,
    /// The information field size that the terminal takes.
    ifsd: u8,
    /// N(S) that the next I-block of the terminal must carry.
    expected: bool,
    /// N(S) of the card's next I-block.
    next: bool,
    /// The block that is coming in, with what follows it, and when it counts as over.
    received: Vec<u8>,
    over: Option<Instant>,
    /// The command so far.
    command: Vec<u8>,
    answer: Vec<u8>,
    /// The I-block of the card that the terminal has not acknowledged, as a part of the answer.
    unacknowledged: Option<Range<usize>>,
    last: Sent,
    /// Answers in a row to invalid blocks.
    refusals: u8,
    /// Answers of the operating system that a RESYNCH has made void.
    void: u32,
    /// One octet of the block that is coming in had wrong parity.
    damaged: bool,
    /// So often the card asks for time before the next answer, and for how much.
    stalls: (u32, u8),
    /// The next I-block is wrong in this way, so many times.
    spoiled: Option<(Wrong, u32)>,
    state: State,
    actions: Actions,
}

/// What the card sent last, as far as an R-block may ask for it again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sent {
    Nothing,
    Information,
    Ready,
    Request(Supervisory),
    Response(Supervisory),
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum State {
    /// The terminal has the line: a command or the rest of one, or the acknowledgement of the
    /// answer's last block, which is the next command.
    Listening,
    /// The operating system works. At this moment the terminal is asked for more time.
    Executing { ask: Instant },
    /// The terminal was asked for more time; its answer may have come meanwhile.
    Stalling(Work),
    /// A block of a chain was sent; the terminal asks for the next.
    Answering,
    /// The terminal was told to give its chain up.
    Aborting,
}

/// What the operating system does while the terminal is asked for time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Work {
    Going,
    /// The answer is there.
    Done,
}

impl T1 {
    /// The machine as it is after the answer to reset or PPS.
    pub fn new(params: T1Params) -> Self {
        Self {
            params,
            ifsd: INITIAL_IFS,
            expected: false,
            next: false,
            received: Vec::new(),
            over: None,
            command: Vec::new(),
            answer: Vec::new(),
            unacknowledged: None,
            last: Sent::Nothing,
            refusals: 0,
            void: 0,
            damaged: false,
            stalls: (0, GRANT),
            spoiled: None,
            state: State::Listening,
            actions: Actions::default(),
        }
    }

    /// One input; then [`T1::poll_output`] until it says [`Output::Wait`].
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Received(octets) => self.receive(now, octets),
            Input::Damaged(octet) => {
                self.damaged = true;
                self.receive(now, &[octet]);
            }
            Input::Executed(response) => self.executed(response),
            Input::Timeout => self.timeout(now),
        }
    }

    /// The next answer comes after so many requests for more time.
    pub(super) const fn stall(&mut self, count: u32, times: u8) {
        self.stalls = (count, times);
    }

    /// The next answer begins with a block that is wrong.
    pub(super) const fn spoil(&mut self, how: Wrong, count: u32) {
        self.spoiled = Some((how, count));
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Output<'_> {
        let deadline = match self.state {
            State::Executing { ask } => Some(self.over.map_or(ask, |over| over.min(ask))),
            _ => self.over,
        };
        self.actions.next(deadline)
    }

    fn receive(&mut self, now: Instant, octets: &[u8]) {
        for &octet in octets {
            if self.received.len() <= MAX_BLOCK {
                self.received.push(octet);
            }
        }
        let whole = Block::len_by_prologue(&self.received, self.params.edc)
            .is_some_and(|len| self.received.len() >= len);
        let silence =
            if whole { self.params.quiet } else { self.params.cwt.saturating_add(CLOCK_SLACK) };
        self.over = (!self.received.is_empty()).then(|| now.after(silence));
        if whole && silence.is_zero() {
            self.block_over(now);
        }
    }

    /// What has come is a block, or none: one that was cut short, or that does not end where it
    /// says.
    fn block_over(&mut self, now: Instant) {
        self.over = None;
        let block = std::mem::take(&mut self.received);
        let damaged = std::mem::take(&mut self.damaged);
        let said = Block::len_by_prologue(&block, self.params.edc);
        match Block::parse(&block, self.params.edc) {
            _ if damaged => self.invalid(Fault::Edc),
            _ if said != Some(block.len()) => self.invalid(Fault::Other),
            Ok(block) => {
                self.refusals = 0;
                self.block(now, block);
            }
            Err(error) => self.invalid(error.fault()),
        }
    }

    fn timeout(&mut self, now: Instant) {
        if self.over.is_some_and(|over| over <= now) {
            self.block_over(now);
        }
        if let State::Executing { ask } = self.state
            && ask <= now
        {
            self.ask_for_time(Work::Going);
        }
    }

    fn block(&mut self, now: Instant, block: Block<'_>) {
        match (self.state.clone(), block) {
            (_, Block::S { response: false, kind: Supervisory::Resynch }) => self.resynch(),
            // Rule 3: the terminal grants the time.
            (State::Stalling(work), Block::S { response: true, kind: Supervisory::Wtx(times) })
                if times == self.asked() =>
            {
                if self.stalls.0 > 0 {
                    self.stalls.0 -= 1;
                }
                match work {
                    Work::Done if self.stalls.0 > 0 => self.ask_for_time(Work::Done),
                    Work::Done => {
                        self.stalls.1 = GRANT;
                        self.send_answer(0);
                    }
                    Work::Going => self.executing(now),
                }
            }
            // The terminal did not get the request, or something else than the request.
            (State::Stalling(work), _) => self.ask_for_time(work),
            // The terminal has waited too long: it is told that the card is at work.
            (State::Executing { .. }, _) => self.ask_for_time(Work::Going),
            // Rule 9: the chain of the terminal is gone; the terminal may send.
            (State::Aborting, Block::S { response: true, kind: Supervisory::Abort }) => {
                self.state = State::Listening;
                self.send_ready(Fault::None);
            }
            (State::Aborting, _) => self.abort(),
            // Rule 4.
            (_, Block::S { response: false, kind: kind @ Supervisory::Ifs(size) }) => {
                self.ifsd = size;
                self.send_response(kind);
            }
            // Rule 9: whichever chain there was is given up.
            (_, Block::S { response: false, kind: kind @ Supervisory::Abort }) => {
                self.command.clear();
                self.answer.clear();
                self.unacknowledged = None;
                self.state = State::Listening;
                self.send_response(kind);
            }
            (State::Listening, Block::I { ns, more, inf }) if ns == self.expected => {
                self.information(now, more, inf);
            }
            // Rule 2.2: the terminal acknowledges a block of the chain by asking for the next.
            (State::Answering, Block::R { nr, .. }) if nr == self.next => {
                let from = self.unacknowledged.take().map_or(0, |sent| sent.end);
                self.send_answer(from);
            }
            (State::Listening | State::Answering, Block::R { nr, .. }) => self.repeat(nr),
            _ => self.invalid(Fault::Other),
        }
    }

    /// Rules 1 and 2.1: an I-block with the right number.
    fn information(&mut self, now: Instant, more: bool, inf: &[u8]) {
        self.expected = !self.expected;
        self.unacknowledged = None;
        self.command.extend_from_slice(inf);
        if !more {
            self.actions.execute(std::mem::take(&mut self.command));
            self.executing(now);
        } else if self.command.len() > Command::MAX_LEN {
            self.command.clear();
            self.abort();
        } else {
            self.send_ready(Fault::None);
        }
    }

    /// Rule 7.2: an R-block asks for a block again.
    fn repeat(&mut self, nr: bool) {
        let sent_number = !self.next;
        match (self.unacknowledged.clone(), self.last) {
            (Some(part), _) if nr == sent_number => self.send_part(part),
            (_, Sent::Request(kind)) => self.send_request(kind),
            (_, Sent::Response(kind)) => self.send_response(kind),
            // The terminal asks for what the card has not sent: its own block did not arrive.
            (_, Sent::Nothing | Sent::Information | Sent::Ready) => self.send_ready(Fault::None),
        }
    }

    /// Rules 7.1 to 7.3: an invalid block.
    fn invalid(&mut self, fault: Fault) {
        if self.refusals == REFUSALS {
            return;
        }
        self.refusals += 1;
        match self.state {
            State::Executing { .. } => self.ask_for_time(Work::Going),
            State::Stalling(work) => self.ask_for_time(work),
            State::Aborting => self.abort(),
            State::Listening | State::Answering => self.send_ready(fault),
        }
    }

    /// Rule 6: everything starts over. What the operating system still works on is nobody's.
    fn resynch(&mut self) {
        if matches!(self.state, State::Executing { .. } | State::Stalling(Work::Going)) {
            self.void += 1;
        }
        let actions = std::mem::take(&mut self.actions);
        *self = Self { void: self.void, actions, ..Self::new(self.params) };
        self.send_response(Supervisory::Resynch);
    }

    fn executing(&mut self, now: Instant) {
        self.state = State::Executing { ask: now.after(self.params.bwt / 2) };
    }

    fn executed(&mut self, response: &[u8]) {
        if self.void > 0 {
            self.void -= 1;
            return;
        }
        match self.state {
            State::Executing { .. } if self.stalls.0 > 0 => {
                self.answer = response.to_vec();
                self.ask_for_time(Work::Done);
            }
            State::Executing { .. } => {
                self.answer = response.to_vec();
                self.send_answer(0);
            }
            State::Stalling(Work::Going) => {
                self.answer = response.to_vec();
                self.state = State::Stalling(Work::Done);
            }
            // Nobody asked.
            _ => {}
        }
    }

    fn ask_for_time(&mut self, work: Work) {
        self.state = State::Stalling(work);
        self.send_request(Supervisory::Wtx(self.asked()));
    }

    /// The multiplier that the card asks for.
    const fn asked(&self) -> u8 {
        if self.stalls.0 > 0 { self.stalls.1 } else { GRANT }
    }

    fn abort(&mut self) {
        self.state = State::Aborting;
        self.send_request(Supervisory::Abort);
    }

    /// Sends the part of the answer that begins here.
    fn send_answer(&mut self, from: usize) {
        let to =
            self.answer.len().min(from + usize::from(self.ifsd.min(self.params.largest_field)));
        self.next = !self.next;
        self.state = if to < self.answer.len() { State::Answering } else { State::Listening };
        self.send_part(from..to);
    }

    fn send_part(&mut self, part: Range<usize>) {
        let more = part.end < self.answer.len();
        let mut out = [0; MAX_BLOCK];
        let inf = self.answer.get(part.clone()).unwrap_or_default();
        let len = Block::I { ns: !self.next, more, inf }.emit(self.params.edc, &mut out);
        match self.spoiled.take() {
            Some((how, count)) if count > 0 => {
                self.spoiled = Some((how, count - 1));
                let sound = len.and_then(|len| out.get(..len)).unwrap_or_default();
                self.actions.transmit(&how.spoil(sound, self.params.edc));
            }
            _ => self.transmit(len, &out),
        }
        self.unacknowledged = Some(part);
        self.last = Sent::Information;
    }

    fn send_ready(&mut self, fault: Fault) {
        let mut out = [0; MAX_BLOCK];
        let len = Block::R { nr: self.expected, fault }.emit(self.params.edc, &mut out);
        self.transmit(len, &out);
        self.last = Sent::Ready;
    }

    fn send_request(&mut self, kind: Supervisory) {
        self.send_supervisory(Block::S { response: false, kind }, Sent::Request(kind));
    }

    fn send_response(&mut self, kind: Supervisory) {
        self.send_supervisory(Block::S { response: true, kind }, Sent::Response(kind));
    }

    fn send_supervisory(&mut self, block: Block<'_>, sent: Sent) {
        let mut out = [0; MAX_BLOCK];
        let len = block.emit(self.params.edc, &mut out);
        self.transmit(len, &out);
        self.last = sent;
    }

    fn transmit(&mut self, len: Option<usize>, out: &[u8]) {
        self.actions.transmit(len.and_then(|len| out.get(..len)).unwrap_or_default());
    }
}

impl Wrong {
    /// The block with this wrong, and right otherwise.
    fn spoil(self, block: &[u8], edc: Edc) -> Vec<u8> {
        let body = block.get(..block.len().saturating_sub(edc.len())).unwrap_or_default();
        let mut wrong = body.to_vec();
        match (self, wrong.first_chunk_mut::<3>()) {
            (Self::Nad, Some(prologue)) => prologue[0] ^= 0x21,
            (Self::Pcb, Some(prologue)) => prologue[1] = 0x8F,
            (Self::Len, Some(prologue)) => prologue[2] = 0xFF,
            (Self::Number, Some(prologue)) => prologue[1] ^= 0x40,
            (Self::Resynch, _) => wrong = vec![0x00, 0xC0, 0x00],
            _ => {}
        }
        match edc {
            Edc::Lrc => wrong.push(wrong.iter().fold(0, |sum, octet| sum ^ octet)),
            Edc::Crc => wrong.extend(CRC.checksum(&wrong).to_le_bytes()),
        }
        match self {
            Self::Edc => {
                if let Some(last) = wrong.last_mut() {
                    *last ^= 0x01;
                }
            }
            Self::Short => {
                wrong.pop();
            }
            Self::Long => wrong.push(0x00),
            _ => {}
        }
        wrong
    }
}

/// The code of ISO/IEC 13239.
const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC);
/// The card asks for one block waiting time more, as often as it needs it.
const GRANT: u8 = 1;
/// Answers to invalid blocks in a row.
const REFUSALS: u8 = 3;
/// A terminal is a process on a shared machine: its octets may come later than those of a UART.
const CLOCK_SLACK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
