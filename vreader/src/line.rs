// SPDX-License-Identifier: Apache-2.0
//! The card's end of the line: answer to reset, PPS, T=1 and T=0 as machines without port or clock.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clauses 6 (operating procedure), 9 (PPS), 10 (T=0), 11 (T=1)

mod t0;
mod t1;

pub use t0::T0;
pub use t1::{T1, T1Params};

use cam_types::Instant;
use iso7816::atr::{Atr, AtrError, AtrPolicy};
use iso7816::etu::{LineParams, clock_rate_conversion, rate_adjustment};
use iso7816::pps::Pps;
use std::collections::VecDeque;

/// What a protocol machine is told.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The terminal sent these octets, in any split.
    Received(&'a [u8]),
    /// The terminal sent this octet, and it arrived with wrong parity.
    Damaged(u8),
    /// The operating system has answered the last [`Output::Execute`]: data and status word.
    Executed(&'a [u8]),
    /// The instant in the last [`Output::Wait`] has passed. Too early does no harm.
    Timeout,
}

/// What a machine wants. The driver gives one input, then polls until [`Output::Wait`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Output<'a> {
    /// Send these octets to the terminal.
    Transmit(&'a [u8]),
    /// What is sent and received from now on runs like this.
    Configure(LineParams),
    /// Let the operating system answer this command APDU.
    Execute(&'a [u8]),
    /// Nothing to do before this instant, or before more input.
    Wait(Option<Instant>),
}

/// How a card uses its line, beside what its answer to reset says.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The card gets this clock, in Hz.
    pub clock_hz: u32,
    /// Whether a command of this CLA and INS brings data, which a T=0 header does not say.
    pub takes_data: fn(cla: u8, ins: u8) -> bool,
    /// The longest information field that the card sends on T=1, however much the terminal takes.
    pub largest_field: u8,
    /// On T=1 the card believes a block when so many etu have passed behind it in silence: more
    /// than a character, and an octet too much is seen. 0 where octets come whole and without a
    /// pace.
    pub quiet_etu: u64,
}

impl Policy {
    /// Fields as long as the terminal takes them.
    pub const fn new(clock_hz: u32, takes_data: fn(u8, u8) -> bool) -> Self {
        Self { clock_hz, takes_data, largest_field: 254, quiet_etu: 0 }
    }
}

/// A fault of the card in its answer to one command, which the terminal has to live with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// T=0: so many NULL octets come before the answer.
    Nulls(u32),
    /// T=1: so often the card asks for this multiple of its waiting time before it answers.
    Wtx {
        /// How often.
        count: u32,
        /// The multiplier.
        times: u8,
    },
    /// T=1: the first block of the answer is wrong so many times.
    Wrong {
        /// What is wrong with it.
        how: Wrong,
        /// How often.
        count: u32,
    },
}

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wrong {
    /// The node address.
    Nad,
    /// The protocol control octet has a form that does not exist.
    Pcb,
    /// The length field, which says FF.
    Len,
    /// The send sequence number.
    Number,
    /// The error detection code.
    Edc,
    /// The block ends one octet early.
    Short,
    /// An octet follows the block.
    Long,
    /// A request that only a terminal may make: S(RESYNCH).
    Resynch,
}

/// The line of a card under power: from the answer to reset to the protocol that PPS chose.
#[derive(Debug)]
pub struct CardLine {
    policy: Policy,
    phase: Phase,
    actions: Actions,
}

#[derive(Debug)]
enum Phase {
    /// No power, or nothing that this card will answer before the next reset.
    Mute,
    /// The answer to reset is out; the first octet says whether PPS or a protocol follows.
    Answered { atr: Atr },
    /// A PPS request is coming in.
    Pps { atr: Atr, request: Vec<u8> },
    /// T=0.
    T0(T0),
    /// T=1.
    T1(T1),
}

impl CardLine {
    /// A line without power.
    pub fn new(policy: Policy) -> Self {
        Self { policy, phase: Phase::Mute, actions: Actions::default() }
    }

    /// Reset is released and the card answers with these octets, in logical form (TS is 3B or 3F).
    pub fn power_on(&mut self, octets: &[u8]) -> Result<(), AtrError> {
        self.power_off();
        let atr = Atr::parse(octets, AtrPolicy::TOLERANT)?;
        let initial = LineParams {
            convention: atr.convention(),
            ..LineParams::initial(self.policy.clock_hz)
        };
        self.actions.configure(initial);
        self.actions.transmit(octets);
        match atr.specific_mode() {
            Some(specific) => {
                let (f, d, _) = if specific.implicit { (372, 1, 0) } else { atr.rate() };
                self.begin(&atr, specific.protocol, f, d);
            }
            None => {
                let guard_etu = atr.guard_etu(atr.first_protocol(), 372, 1);
                self.actions.configure(LineParams { guard_etu, ..initial });
                self.phase = Phase::Answered { atr };
            }
        }
        Ok(())
    }

    /// Power is gone, or reset is active: the card is mute.
    pub fn power_off(&mut self) {
        self.phase = Phase::Mute;
        self.actions = Actions::default();
    }

    /// One input; then [`CardLine::poll_output`] until it says [`Output::Wait`].
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        let mut octets = match (input, &self.phase) {
            (Input::Received(octets), _) => octets,
            // 9: a PPS request with a wrong octet is not answered.
            (Input::Damaged(_), Phase::Answered { .. } | Phase::Pps { .. }) => {
                self.phase = Phase::Mute;
                return;
            }
            (input, _) => return self.protocol(now, input),
        };
        if let (Phase::Answered { atr }, Some(&first)) = (&self.phase, octets.first()) {
            let atr = *atr;
            if first == Pps::PPSS {
                self.phase = Phase::Pps { atr, request: Vec::new() };
            } else {
                self.begin(&atr, atr.first_protocol(), 372, 1);
            }
        }
        if let Phase::Pps { atr, request } = &mut self.phase {
            while let Some((&octet, rest)) = octets.split_first() {
                octets = rest;
                request.push(octet);
                if request.get(1).is_some_and(|&pps0| request.len() == Pps::len_by_pps0(pps0)) {
                    let (atr, request) = (*atr, std::mem::take(request));
                    self.select(&atr, &request);
                    break;
                }
            }
        }
        self.protocol(now, Input::Received(octets));
    }

    /// Makes trouble with the answer to the command that was last to be executed. Whether the
    /// protocol of the moment knows this kind.
    pub fn make(&mut self, trouble: Trouble) -> bool {
        match (&mut self.phase, trouble) {
            (Phase::T0(t0), Trouble::Nulls(count)) => t0.say_null(count),
            (Phase::T1(t1), Trouble::Wtx { count, times }) => t1.stall(count, times),
            (Phase::T1(t1), Trouble::Wrong { how, count }) => t1.spoil(how, count),
            _ => return false,
        }
        true
    }

    /// The card begins no earlier than so many etu after the terminal's last character began: the
    /// block guard time of T=1 (11.4.3), and one character time otherwise.
    pub const fn turn_etu(&self) -> u32 {
        match self.phase {
            Phase::T1(_) => 22,
            Phase::Mute | Phase::Answered { .. } | Phase::Pps { .. } | Phase::T0(_) => 12,
        }
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Output<'_> {
        if self.actions.queue.is_empty() {
            match &mut self.phase {
                Phase::T0(t0) => return t0.poll_output(),
                Phase::T1(t1) => return t1.poll_output(),
                Phase::Mute | Phase::Answered { .. } | Phase::Pps { .. } => {}
            }
        }
        self.actions.next(None)
    }

    fn protocol(&mut self, now: Instant, input: Input<'_>) {
        match &mut self.phase {
            Phase::T0(t0) => t0.handle_input(now, input),
            Phase::T1(t1) => t1.handle_input(now, input),
            Phase::Mute | Phase::Answered { .. } | Phase::Pps { .. } => {}
        }
    }

    /// 9.3: a good request is answered with what the card agrees to; any other with silence.
    fn select(&mut self, atr: &Atr, request: &[u8]) {
        self.phase = Phase::Mute;
        let Ok(request) = Pps::parse(request) else { return };
        if !atr.offers(request.protocol) {
            return;
        }
        let (fi, di, _) = atr.rate();
        let agreed = request.pps1.and_then(|pps1| {
            let (f, _) = clock_rate_conversion(pps1 >> 4)?;
            let d = rate_adjustment(pps1 & 0x0F)?;
            let possible = (fi.min(372)..=fi.max(372)).contains(&f) && d <= di;
            possible.then_some((pps1, f, d))
        });
        let (f, d) = agreed.map_or((372, 1), |(_, f, d)| (f, d));
        let response =
            Pps { pps1: agreed.map(|(pps1, _, _)| pps1), pps2: None, pps3: None, ..request };
        self.actions.transmit(&response.emit());
        self.begin(atr, request.protocol, f, d);
    }

    fn begin(&mut self, atr: &Atr, protocol: u8, f: u16, d: u8) {
        let line = LineParams {
            f,
            d,
            guard_etu: atr.guard_etu(protocol, f, d),
            convention: atr.convention(),
            clock_hz: self.policy.clock_hz,
            protocol,
        };
        self.actions.configure(line);
        self.phase = match protocol {
            0 => Phase::T0(T0::new(line.wt(atr.wi(), atr.rate().0), self.policy.takes_data)),
            1 => {
                let said = atr.t1();
                let (cwt, bwt) = (line.cwt(said.cwi), line.bwt(said.bwi));
                let largest_field = self.policy.largest_field;
                let quiet = line.etus(self.policy.quiet_etu);
                Phase::T1(T1::new(T1Params { edc: said.edc, cwt, bwt, largest_field, quiet }))
            }
            _ => Phase::Mute,
        };
    }
}

/// What a machine has decided and the driver has not fetched.
#[derive(Debug, Default)]
struct Actions {
    queue: VecDeque<Action>,
    current: Vec<u8>,
}

#[derive(Debug)]
enum Action {
    Transmit(Vec<u8>),
    Configure(LineParams),
    Execute(Vec<u8>),
}

impl Actions {
    fn transmit(&mut self, octets: &[u8]) {
        self.queue.push_back(Action::Transmit(octets.to_vec()));
    }

    fn configure(&mut self, line: LineParams) {
        self.queue.push_back(Action::Configure(line));
    }

    fn execute(&mut self, apdu: Vec<u8>) {
        self.queue.push_back(Action::Execute(apdu));
    }

    fn next(&mut self, deadline: Option<Instant>) -> Output<'_> {
        match self.queue.pop_front() {
            Some(Action::Transmit(octets)) => {
                self.current = octets;
                Output::Transmit(&self.current)
            }
            Some(Action::Execute(apdu)) => {
                self.current = apdu;
                Output::Execute(&self.current)
            }
            Some(Action::Configure(line)) => Output::Configure(line),
            None => Output::Wait(deadline),
        }
    }
}

#[cfg(test)]
mod tests;
