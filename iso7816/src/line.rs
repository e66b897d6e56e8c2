// SPDX-License-Identifier: Apache-2.0
//! The card line: activation, protocol and recovery behind two doors.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clause 6 (activation, resets), 8 (answer to reset), 9 (PPS)
//!
//! Heads up:
//!  - No command is ever sent a second time after a failure: only the caller knows whether that is
//!    safe. What T=1 repeats inside an exchange the card tells apart by sequence numbers.
//!  - The convention is decoded here, in both directions. A reader only takes its parity from it.
mod activation;
mod carrier;
mod level;
mod noise;
mod queue;
mod rates;
mod types;

pub use types::{Cause, Gone, Input, Level, LineError, Output, Policy, Reset};

use crate::apdu::ApduError;
use crate::atr::Atr;
use crate::doors;
use crate::emv::Profile;
use crate::etu::{Convention, LineParams};
use crate::t0::{T0, T0Policy};
use crate::t1::T1;
use crate::t14::T14;
use activation::Activation;
use alloc::vec::Vec;
use cam_types::Instant;
use carrier::Carrier;
use core::fmt;
use core::time::Duration;
use queue::{Out, Queue};
use rates::Rates;
use types::{Executed, Then};
use zeroize::Zeroize;

/// Resets in a row before a card is given up.
const ATTEMPTS: u8 = 3;
/// Octets that are sent at one time, at most: a T=14 command.
const WIRE: usize = 2 + T14::MAX_COMMAND;
/// Exchanges in a row that may fail before a slower rate is tried.
const FAILURES_AT_RATE: u8 = 2;
/// Waiting times of the card that an exchange has in any case: one for each attempt of T=1.
const LIMIT_IN_WAITS: u32 = 3;

/// One card on one reader. It owns no port and no clock: octets and time come in through
/// [`CardLine::handle_input`], and everything it wants done comes out of
/// [`CardLine::poll_output`].
pub struct CardLine {
    policy: Policy,
    level: Level,
    /// T that the reader has agreed on with the card by itself.
    agreed: Option<u8>,
    state: State,
    params: LineParams,
    /// The reader gives raw octets of a card with inverse convention.
    mapped: bool,
    atr: Option<Atr>,
    /// An answer to reset that looked like a mishap; believed when it comes again.
    doubted: Option<Atr>,
    /// Resets in a row without a card that came up.
    attempts: u8,
    /// The card in specific mode was reset once to look for negotiable mode.
    asked_to_negotiate: bool,
    rates: Rates,
    /// Exchanges in a row that failed.
    failures: u8,
    t0: T0,
    t1: T1,
    t14: T14,
    protocol: u8,
    wire: Vec<u8>,
    /// What a reader that takes APDUs brought back last.
    answer: Vec<u8>,
    queue: Queue,
}

#[derive(Clone, Debug)]
enum State {
    /// No card, or none that works.
    Down,
    /// Between reset and the first command.
    Starting(Activation),
    /// T=1 is offering its IFSD, until this instant at the latest.
    Announcing { end: Instant },
    /// Ready for a command.
    Ready,
    /// T=1 is asking for a sign of life, until this instant at the latest.
    Probing { end: Instant },
    /// A command is out.
    Exchange(Exchange),
}

/// The times of one exchange that no protocol knows.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    /// No exchange takes longer.
    end: Instant,
    patience: Option<Duration>,
    /// When the patience ends.
    silent: Option<Instant>,
    /// A character has come since we sent last: what we send now may take its time.
    heard: bool,
    /// T=0: a header has gone out.
    sent: bool,
}

impl CardLine {
    /// A line without a card; [`Input::Activate`] looks for one.
    pub fn new(policy: Policy) -> Self {
        let max_response = policy.max_response;
        Self {
            policy,
            level: Level::Characters,
            agreed: None,
            state: State::Down,
            params: LineParams::initial(policy.clock_hz),
            mapped: false,
            atr: None,
            doubted: None,
            attempts: 0,
            asked_to_negotiate: false,
            rates: Rates::default(),
            failures: 0,
            t0: T0::new(
                policy.max_command,
                max_response,
                policy.latency,
                T0Policy { profile: policy.profile, ..policy.t0 },
            ),
            t1: T1::new(
                policy.max_command,
                max_response,
                policy.latency,
                policy.ifsd,
                policy.profile,
            ),
            t14: T14::new(policy.latency),
            protocol: 0,
            wire: Vec::with_capacity(policy.max_command.max(WIRE)),
            answer: Vec::with_capacity(max_response),
            queue: Queue::default(),
        }
    }

    /// The card's answer to reset, while it is up.
    pub const fn atr(&self) -> Option<&Atr> {
        self.atr.as_ref()
    }

    /// How the line runs at this moment.
    pub const fn params(&self) -> LineParams {
        self.params
    }

    /// T of the protocol in use.
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Takes one input. Poll until `Wait` afterwards.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Activate => {
                self.attempts = 0;
                self.asked_to_negotiate = false;
                self.doubted = None;
                self.rates = Rates::default();
                self.failures = 0;
                self.activate(Reset::Cold);
            }
            Input::Command { apdu, patience } => self.command(now, apdu, patience),
            Input::Probe => self.probe(now),
            Input::Gone(gone) => self.gone(gone),
            Input::Received(octets) => self.received(now, octets),
            Input::Damaged => match self.state {
                State::Down => {}
                State::Starting(_) => self.damaged_at_start(),
                _ => self.tell(now, doors::Input::Damaged),
            },
            Input::Answered { atr, level, agreed } => {
                self.answered_whole(now, atr, level, agreed);
            }
            Input::Message(octets) => self.message(now, octets),
            Input::Unanswered { damaged } => self.unanswered(now, damaged),
            Input::Timeout => self.timeout(now),
        }
        self.pump(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output<'_> {
        let Some(out) = self.queue.pop() else { return Output::Wait(self.deadline()) };
        match (out, &self.atr) {
            (Out::Activate(reset), _) => Output::Activate(reset),
            (Out::Deactivate, _) => Output::Deactivate,
            (Out::Configure(params), _) => Output::Configure(params),
            (Out::Transmit, _) => Output::Transmit(&self.wire),
            (Out::Ready, Some(atr)) => Output::Ready(atr),
            (Out::Ready, None) => Output::Wait(self.deadline()),
            (Out::Response, _) => Output::Response(self.response()),
            (Out::Failed(error), _) => Output::Failed(error),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let protocol = match &self.state {
            State::Down => return None,
            State::Starting(activation) => return Some(activation.deadline()),
            _ => self.carrier_deadline(),
        };
        let exchange = match &self.state {
            State::Exchange(exchange) => exchange,
            State::Announcing { end } | State::Probing { end } => {
                return Some(protocol.map_or(*end, |at| at.min(*end)));
            }
            _ => return protocol,
        };
        let patience = exchange.silent.filter(|_| !self.extended());
        [protocol, patience, Some(exchange.end)].into_iter().flatten().min()
    }

    /// Whether the card can be asked for a sign of life by less than a command: [`Input::Probe`].
    pub fn probes(&self) -> bool {
        self.carrier() == Carrier::T1 && self.t1.probes()
    }

    fn probe(&mut self, now: Instant) {
        if !matches!(self.state, State::Ready) || !self.probes() {
            return self.refuse(Cause::NotReady);
        }
        self.state = State::Probing { end: now.after(self.limit()) };
        self.t1.probe(now);
    }

    /// [`Policy::exchange_limit`], where the card's waiting time does not ask for more.
    fn limit(&self) -> Duration {
        let wait = self.atr.map(|atr| atr.waiting_time(self.protocol, &self.params));
        let waits = wait.map_or(Duration::ZERO, |wait| wait.saturating_mul(LIMIT_IN_WAITS));
        self.policy.exchange_limit.max(waits)
    }

    fn refuse(&mut self, cause: Cause) {
        let then = match self.state {
            State::Down => Then::Down,
            State::Ready => Then::Usable,
            _ => Then::Recovering,
        };
        self.queue.push(Out::Failed(LineError::new(cause, Executed::No, then)));
    }

    fn command(&mut self, now: Instant, apdu: &[u8], patience: Option<Duration>) {
        if !matches!(self.state, State::Ready) {
            return self.refuse(Cause::NotReady);
        }
        let limit = self.policy.max_command;
        let checked = if apdu.len() > limit {
            Err(ApduError::TooLong { octets: apdu.len(), limit })
        } else {
            self.check(apdu)
        };
        if let Err(why) = checked {
            return self.refuse(Cause::Command(why));
        }
        let end = now.after(self.limit());
        let silent = patience.map(|patience| now.after(patience));
        self.state = State::Exchange(Exchange { end, patience, silent, heard: true, sent: false });
        self.carry(now, apdu);
    }

    fn received(&mut self, now: Instant, octets: &[u8]) {
        if self.queue.resets() {
            return; // they came before the reset
        }
        let convention = if self.mapped { Convention::Inverse } else { Convention::Direct };
        // In chunks, so that mapping them needs no more than a small buffer.
        let mut chunk = [0; 64];
        for part in octets.chunks(chunk.len()) {
            if matches!(self.state, State::Starting(_)) {
                // TS itself decides what the octets behind it mean.
                for octet in part {
                    self.received_at_start(now, *octet);
                    if self.queue.resets() {
                        return; // the rest came before the reset
                    }
                }
                continue;
            }
            let logical = chunk.get_mut(..part.len()).unwrap_or_default();
            for (place, octet) in logical.iter_mut().zip(part) {
                *place = convention.map(*octet);
            }
            if let State::Exchange(exchange) = &mut self.state {
                exchange.silent = exchange.patience.map(|patience| now.after(patience));
                exchange.heard = true;
            }
            if !matches!(self.state, State::Down) {
                self.tell(now, doors::Input::Received(logical));
            }
            self.pump(now);
            if self.queue.resets() {
                break; // the rest came before the reset
            }
        }
        chunk.zeroize();
    }

    fn timeout(&mut self, now: Instant) {
        match &self.state {
            State::Down => return,
            State::Starting(_) => return self.timeout_at_start(now),
            State::Announcing { end } if now >= *end => return self.again(now, Cause::OutOfTime),
            State::Exchange(Exchange { end, .. }) | State::Probing { end } if now >= *end => {
                return self.recover(Cause::OutOfTime);
            }
            State::Exchange(Exchange { silent: Some(silent), .. })
                if now >= *silent && !self.extended() =>
            {
                return self.recover(Cause::Silent);
            }
            _ => {}
        }
        self.hear_nothing(now);
    }

    /// The exchange has failed, the card has not.
    fn usable(&mut self, cause: Cause, executed: Executed) {
        self.state = State::Ready;
        self.queue.push(Out::Failed(LineError::new(cause, executed, Then::Usable)));
    }

    /// Sends what is on the wire buffer.
    fn transmit(&mut self, now: Instant) {
        let sending = self.params.sending(self.wire.len());
        if let State::Exchange(exchange) = &mut self.state {
            exchange.sent = true;
            // Repeating a block that nobody answers does not prolong the patience.
            if core::mem::replace(&mut exchange.heard, false) {
                exchange.silent =
                    exchange.patience.map(|patience| now.after(sending.saturating_add(patience)));
            }
        }
        self.queue.push(Out::Transmit);
    }

    fn responded(&mut self) {
        self.failures = 0;
        self.wire.zeroize();
        self.state = State::Ready;
        self.queue.push(Out::Response);
    }

    fn ready(&mut self) {
        self.attempts = 0;
        self.state = State::Ready;
        self.queue.push(Out::Ready);
    }

    /// Whether the card has executed the command of the exchange that is going on.
    fn executed(&self) -> Executed {
        match &self.state {
            State::Exchange(_) if self.carrier() == Carrier::T1 => {
                Executed::when_sent(self.t1.command_sent())
            }
            State::Exchange(exchange) => Executed::when_sent(exchange.sent),
            _ => Executed::No,
        }
    }

    /// Reports the failure, then brings the card back by a warm reset. EMV wants it switched off.
    fn recover(&mut self, cause: Cause) {
        if self.policy.profile == Profile::EmvLevel1 {
            return self.give_up(cause, self.executed());
        }
        let error = LineError::new(cause, self.executed(), Then::Recovering);
        log::warn!("card line: {error}; resetting the card");
        self.queue.push(Out::Failed(error));
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_AT_RATE {
            self.failures = 0;
            self.rates.slower(self.params);
        }
        self.attempts = 0;
        self.activate(Reset::Warm);
    }

    fn gone(&mut self, gone: Gone) {
        if matches!(self.state, State::Down) {
            return;
        }
        let cause = match gone {
            Gone::Removed => Cause::Removed,
            Gone::ReaderLost => Cause::ReaderLost,
        };
        self.give_up(cause, self.executed());
    }

    /// Takes the power off and waits to be activated again.
    fn give_up(&mut self, cause: Cause, executed: Executed) {
        self.state = State::Down;
        self.atr = None;
        self.wire.zeroize();
        self.queue.clear();
        if cause != Cause::ReaderLost {
            self.queue.push(Out::Deactivate);
        }
        self.queue.push(Out::Failed(LineError::new(cause, executed, Then::Down)));
    }
}

/// Without what was sent and received: it may hold a PIN.
impl fmt::Debug for CardLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("CardLine");
        out.field("protocol", &self.protocol).field("params", &self.params).finish_non_exhaustive()
    }
}

/// Puts logical octets on the wire buffer as a UART sends them.
fn put(wire: &mut Vec<u8>, octets: &[u8], mapped: bool) {
    let convention = if mapped { Convention::Inverse } else { Convention::Direct };
    wire.zeroize();
    wire.extend(octets.iter().map(|octet| convention.map(*octet)));
}

impl Drop for CardLine {
    fn drop(&mut self) {
        self.wire.zeroize();
        self.answer.zeroize();
    }
}
