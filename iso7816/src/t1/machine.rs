// SPDX-License-Identifier: Apache-2.0
//! The host's T=1 machine.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clause 11.6 (rules 1 to 9 and their error handling, 11.6.3.2)
//!
//! Heads up, for other stacks have got these wrong:
//!  - After RESYNCH the exchange has failed. Its tail is never sent, whatever was acknowledged.
//!  - A block is believed only when nothing followed it for a block guard time: a doubled octet
//!    can leave a valid block and one octet over.
//!  - The card may ask for time or for another IFSC in the middle of either chain.
mod probe;
mod recovery;
mod sending;

use super::reception::{Reception, State};
use super::{Block, Fault, INITIAL_IFS, Input, MAX_BLOCK, Output, Supervisory, T1Error, T1Params};
use crate::doors::Out;
use crate::emv::Profile;
use crate::etu::{LineParams, USUAL_CLOCK_HZ};
use alloc::vec::Vec;
use cam_types::Instant;
use core::fmt;
use core::mem;
use core::ops::Range;
use core::time::Duration;
use zeroize::Zeroize;

/// Attempts in total before something stronger is tried (rules 6.4, 7.4).
const ATTEMPTS: u8 = 3;
/// Requests that ask for no time, and chained blocks without octets, until an octet of the exchange
/// has passed. Without a bound they would go on for as long as the exchange may last.
const IDLE: u8 = 3;
/// The silence in etu behind the last character of a block after which it is believed: so long that
/// one more character would have been seen.
const SILENCE: u64 = 22;
/// The same before a block of ours, which so keeps to the block guard time of 22 etu between
/// leading edges and hardly more.
const SILENCE_BEFORE_OURS: u64 = 13;

/// The T=1 state machine. It owns no port and no clock: octets and time come in through
/// `handle_input`, and everything it wants done comes out of `poll_output`.
pub struct T1 {
    params: T1Params,
    line: LineParams,
    latency: Duration,
    profile: Profile,
    /// IFSD that we offer, and the one agreed.
    offer: u8,
    ifsd: u8,
    ifsc: u8,
    /// The offer is still to be made.
    offer_due: bool,
    /// The card has taken an offer of ours since its reset.
    knows_ifs: bool,
    /// An octet has come since the last exchange, of a card that was asked nothing.
    stray: bool,
    /// N(S) of our I-block in flight or next, and the N(S) expected from the card.
    ns: bool,
    nr: bool,
    phase: Phase,
    last: Last,
    /// Failed attempts since the last progress.
    tries: u8,
    /// Waiting times in a row in which not one octet came ([`SILENCES`]).
    silences: u8,
    /// Since the command was given, a block of either side has arrived wrong.
    noisy: bool,
    /// What has kept the line busy since the last octet of command or response ([`IDLE`]).
    idle: u8,
    /// No valid block has come since reset.
    fresh: bool,
    /// A character has come since the command was given.
    heard: bool,
    /// The whole command has been sent.
    complete: bool,
    /// Block waiting times granted for the next block.
    wtx: u8,
    max_response: usize,
    command: Vec<u8>,
    response: Vec<u8>,
    tx: [u8; MAX_BLOCK],
    tx_len: usize,
    rx: Reception,
    deadline: Option<Instant>,
    out: Out<T1Error>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Phase {
    Idle,
    /// S(IFS request) is out.
    Announcing(Behind),
    /// S(IFS request) with this size is out, for a sign of life.
    Probing(u8),
    /// The I-block with this part of the command is out.
    Sending(Range<usize>),
    /// The card's chain goes on.
    Receiving,
    /// S(RESYNCH request) is out.
    Resynchronising,
    /// S(ABORT request) is out, for a chain that is too long.
    Aborting,
    /// We have answered the card's S(ABORT request).
    Aborted,
}

/// What follows our offer of an information field size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Behind {
    Nothing,
    /// The command that is in the buffer.
    Command,
}

/// The kind of the block last sent: it decides how an invalid answer is answered (rule 7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Last {
    I,
    R,
    Request,
    /// With the block waiting times that it grants.
    Response {
        grants: u8,
        repeated: bool,
    },
}

impl T1 {
    /// A machine with room for such commands and responses; [`T1::reset`] sets it to a card.
    pub fn new(
        max_command: usize,
        max_response: usize,
        latency: Duration,
        offer: u8,
        profile: Profile,
    ) -> Self {
        Self {
            params: T1Params::default(),
            line: LineParams::initial(USUAL_CLOCK_HZ),
            latency,
            profile,
            offer: offer.clamp(1, 254),
            ifsd: INITIAL_IFS,
            ifsc: INITIAL_IFS,
            offer_due: true,
            knows_ifs: false,
            stray: false,
            ns: false,
            nr: false,
            phase: Phase::Idle,
            last: Last::I,
            tries: 0,
            silences: 0,
            noisy: false,
            idle: 0,
            fresh: true,
            heard: false,
            complete: false,
            wtx: 1,
            max_response,
            command: Vec::with_capacity(max_command),
            response: Vec::with_capacity(max_response),
            tx: [0; MAX_BLOCK],
            tx_len: 0,
            rx: Reception::new(),
            deadline: None,
            out: Out::Nothing,
        }
    }

    /// A card that has just been reset speaks with these parameters.
    pub fn reset(&mut self, line: LineParams, params: T1Params) {
        self.params = T1Params { ifsc: params.ifsc.clamp(1, 254), ..params };
        self.line = line;
        self.start_over();
        self.knows_ifs = false;
        self.stray = false;
        self.fresh = true;
        self.phase = Phase::Idle;
        self.deadline = None;
        self.out = Out::Nothing;
        self.wipe();
        self.response.zeroize();
    }

    /// Sequence numbers and sizes as they are after reset and after RESYNCH.
    fn start_over(&mut self) {
        self.ns = false;
        self.nr = false;
        self.ifsc = self.params.ifsc;
        self.ifsd = INITIAL_IFS;
        self.offer_due = self.offer != INITIAL_IFS;
    }

    /// The last block of the command has gone out, so that the card may have executed it.
    pub const fn command_sent(&self) -> bool {
        self.complete
    }

    /// The card has asked for more time, and silence is to be expected.
    pub const fn extended(&self) -> bool {
        self.wtx > 1
    }

    /// When the machine wants to hear `Timeout`, as in [`Output::Wait`].
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The response of the last exchange.
    pub fn response(&self) -> &[u8] {
        &self.response
    }

    /// An input: our IFSD is to be offered now. Ignored while an exchange is going on. Ends as a
    /// command does, with an empty [`Output::Response`] or [`Output::Failed`].
    pub fn announce(&mut self, now: Instant) {
        if self.phase == Phase::Idle {
            self.begin();
            if self.offer_due {
                self.send_offer(now, Behind::Nothing);
            } else {
                self.finish(Out::Response);
            }
        }
    }

    /// The information fields that the card may send have so many octets at most: what was offered,
    /// or 32 when it did not go along.
    pub const fn ifsd(&self) -> u8 {
        self.ifsd
    }

    /// Takes one input. Poll until `Wait` afterwards.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Command(apdu) if self.phase == Phase::Idle => {
                self.begin();
                self.stray = false;
                self.command.clear();
                self.command.extend_from_slice(apdu);
                if self.offer_due {
                    self.send_offer(now, Behind::Command);
                } else {
                    self.send_chain(now, 0);
                }
            }
            Input::Command(_) => {}
            Input::Received(octets) => self.receive(now, octets),
            Input::Damaged if self.phase != Phase::Idle => {
                self.silences = 0;
                self.rx.damage();
            }
            Input::Damaged => self.stray = true,
            Input::Timeout if self.deadline.is_some_and(|deadline| now >= deadline) => {
                self.deadline = None;
                match self.rx.state() {
                    State::Whole => self.evaluate(now),
                    State::Spoilt(fault) => self.invalid(now, fault),
                    State::Open { damaged: true } => self.invalid(now, Fault::Edc),
                    State::Open { .. } if self.rx.is_empty() => self.unheard(now),
                    State::Open { damaged: false } => self.invalid(now, Fault::Other),
                }
            }
            Input::Timeout => {}
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output<'_> {
        let tx = self.tx.get(..self.tx_len).unwrap_or(&[]);
        self.out.take(tx, &self.response, self.deadline)
    }

    fn begin(&mut self) {
        self.response.zeroize();
        self.tries = 0;
        self.silences = 0;
        self.noisy = false;
        self.idle = 0;
        self.heard = false;
        self.complete = false;
    }

    fn wipe(&mut self) {
        self.command.zeroize();
        self.tx.zeroize();
        self.rx.wipe();
    }

    fn finish(&mut self, out: Out<T1Error>) {
        self.wipe();
        self.phase = Phase::Idle;
        self.deadline = None;
        self.out = out;
    }

    fn receive(&mut self, now: Instant, octets: &[u8]) {
        if self.phase == Phase::Idle || octets.is_empty() {
            self.stray |= !octets.is_empty();
            return;
        }
        self.heard = true;
        self.silences = 0;
        self.wtx = 1;
        self.rx.push(octets, self.params.edc);
        let silence = match self.rx.state() {
            State::Whole if self.rx.is_last_of_chain() => self.line.etus(SILENCE),
            State::Whole => self.line.etus(SILENCE_BEFORE_OURS),
            _ => self.end_of_block(),
        };
        self.deadline = Some(now.after(silence));
    }

    /// The silence after which the card is not inside a block.
    fn end_of_block(&self) -> Duration {
        (self.line.cwt(self.params.cwi))
            .saturating_add(self.profile.cwt_tolerance(&self.line))
            .saturating_add(self.latency)
    }

    /// A whole block has come, and nothing behind it.
    fn evaluate(&mut self, now: Instant) {
        let mut rx = mem::replace(&mut self.rx, Reception::new()); // the machine changes meanwhile
        match rx.block(self.params.edc) {
            Ok(Block::I { inf, .. }) if inf.len() > usize::from(self.ifsd) => {
                self.invalid(now, Fault::Other);
            }
            Ok(block) => self.block(now, block),
            // The end was where LEN said, but LEN may be what was damaged: let the card finish.
            Err(why) => {
                self.rx.spoil(why.fault());
                self.deadline = Some(now.after(self.end_of_block()));
            }
        }
        rx.wipe();
    }

    fn block(&mut self, now: Instant, block: Block<'_>) {
        let fresh = mem::replace(&mut self.fresh, false);
        match (self.phase.clone(), block) {
            (Phase::Announcing(behind), Block::S { response: true, kind })
                if kind == Supervisory::Ifs(self.offer) =>
            {
                self.ifsd = self.offer;
                self.knows_ifs = true;
                self.offer_over(now, behind);
            }
            (Phase::Probing(size), Block::S { response: true, kind })
                if kind == Supervisory::Ifs(size) =>
            {
                self.answered_probe(size);
            }
            (Phase::Resynchronising, Block::S { response: true, kind: Supervisory::Resynch }) => {
                self.start_over();
                self.finish(Out::Failed(T1Error::Resynchronised));
            }
            (Phase::Aborting, Block::S { response: true, kind: Supervisory::Abort }) => {
                self.finish(Out::Failed(T1Error::TooLong));
            }
            // After a request of ours only its response will do (rule 7.3).
            (
                Phase::Announcing(_) | Phase::Probing(_) | Phase::Resynchronising | Phase::Aborting,
                _,
            ) => {
                self.fresh = fresh;
                self.invalid(now, Fault::Other);
            }
            (_, Block::S { response: false, kind }) => self.request(now, kind),
            (Phase::Sending(part), Block::R { nr, .. }) => self.acknowledged(now, part, nr),
            // Rule 2.2: I(·,0) is answered by an I-block, which acknowledges it.
            (Phase::Sending(part), Block::I { ns, more, inf })
                if ns == self.nr && part.end == self.command.len() =>
            {
                self.ns = !self.ns;
                self.accept(now, more, inf);
            }
            (Phase::Receiving, Block::I { ns, more, inf }) if ns == self.nr => {
                self.accept(now, more, inf);
            }
            // The card wants the block again that we sent last, but for an I-block of ours.
            (Phase::Receiving, Block::R { .. }) if self.response_unheard() => {
                self.repeat_response(now);
            }
            (Phase::Aborted, Block::R { fault: Fault::Edc | Fault::Other, .. })
                if self.response_unheard() =>
            {
                self.repeat_response(now);
            }
            // Rule 9: the card says who goes on. Whoever it is, the exchange is over.
            (Phase::Aborted, Block::R { nr, .. }) => {
                self.ns = nr;
                self.finish(Out::Failed(T1Error::Aborted));
            }
            (Phase::Aborted, Block::I { ns, more: false, .. }) if ns == self.nr => {
                self.nr = !self.nr;
                self.ns = !self.ns;
                self.finish(Out::Failed(T1Error::Aborted));
            }
            _ => self.invalid(now, Fault::Other),
        }
    }

    /// The card asks for something. Only we may ask for RESYNCH.
    fn request(&mut self, now: Instant, kind: Supervisory) {
        if !matches!(kind, Supervisory::Wtx(_)) && self.idles() {
            return self.invalid(now, Fault::Other);
        }
        match kind {
            Supervisory::Resynch => return self.invalid(now, Fault::Other),
            Supervisory::Ifs(ifsc) => self.ifsc = ifsc,
            Supervisory::Abort if self.profile == Profile::EmvLevel1 => return self.fail(),
            Supervisory::Abort => self.phase = Phase::Aborted,
            Supervisory::Wtx(times) => self.wtx = times,
        }
        self.tries = 0;
        let last = Last::Response { grants: self.wtx, repeated: false };
        self.transmit(now, Block::S { response: true, kind }, last);
    }

    /// The line was busy for nothing: `true` if once too often.
    const fn idles(&mut self) -> bool {
        self.idle = self.idle.saturating_add(1);
        self.idle > IDLE
    }

    /// R(N(R)) while `part` of the command is out.
    fn acknowledged(&mut self, now: Instant, part: Range<usize>, nr: bool) {
        if nr != self.ns && part.end < self.command.len() {
            // Rule 5: the card has this part and wants the next.
            self.ns = !self.ns;
            self.idle = 0;
            return self.send_chain(now, part.end);
        }
        self.noisy = true;
        if self.response_unheard() {
            // It is our S(response) that got lost.
            self.repeat_response(now);
        } else if nr == self.ns {
            // Rule 6.2: the card asks for the same part again.
            self.tries += 1;
            if self.tries < ATTEMPTS { self.send_again(now, part) } else { self.give_up(now) }
        } else {
            self.invalid(now, Fault::Other);
        }
    }

    /// A part of the response, in sequence.
    fn accept(&mut self, now: Instant, more: bool, inf: &[u8]) {
        if !inf.is_empty() {
            self.idle = 0;
        } else if more && self.idles() {
            return self.give_up(now);
        }
        self.nr = !self.nr;
        self.tries = 0;
        let fits = self.response.len() + inf.len() <= self.max_response;
        match (more, fits) {
            (false, true) => {
                self.response.extend_from_slice(inf);
                self.finish(Out::Response);
            }
            (true, true) => {
                self.response.extend_from_slice(inf);
                self.phase = Phase::Receiving;
                self.send_r(now, Fault::None);
            }
            (false, false) => self.finish(Out::Failed(T1Error::TooLong)),
            (true, false) if self.profile == Profile::EmvLevel1 => self.fail(),
            (true, false) => {
                self.phase = Phase::Aborting;
                let block = Block::S { response: false, kind: Supervisory::Abort };
                self.transmit(now, block, Last::Request);
            }
        }
    }
}

/// Without what was sent and received: it may hold a PIN.
impl fmt::Debug for T1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("T1").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Drop for T1 {
    fn drop(&mut self) {
        self.wipe();
        self.response.zeroize();
    }
}
