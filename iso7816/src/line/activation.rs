// SPDX-License-Identifier: Apache-2.0
//! From reset to the first command: answer to reset, choice of protocol and rate, PPS.
use super::queue::Out;
use super::rates::DEFAULT;
use super::types::{Executed, Then};
use super::{ATTEMPTS, CardLine, Cause, Level, LineError, Reset, State, put};
use crate::atr::{Atr, AtrError, AtrWarnings, Expect};
use crate::emv::{self, Profile};
use crate::etu::{Convention, LineParams, rate_codes};
use crate::pps::{Agreed, Pps, PpsError};
use cam_types::Instant;

/// Longest gap between two characters of PPS, in etu.
const INITIAL_WT: u64 = 9600;
/// The whole answer to reset, in etu: what EMV terminals allow. By gaps alone it could take half a
/// minute.
const WHOLE_ATR: u64 = 20_160;
/// Silence in etu after which an answer is believed to be over.
const SILENCE: u64 = 24;
/// Octets behind the answer to reset before the card counts as nonsense.
const MAX_TRAILING: u8 = 64;
/// Octets in front of TS that are passed over, in the window in which the answer has to begin.
pub(super) const MAX_NOISE: u8 = 64;
/// Room for an answer to reset with a few octets in front of it that look like TS.
pub(super) const ROOM: usize = Atr::MAX_LEN + 8;

/// Where the start has got to, with what has come.
#[derive(Clone, Debug)]
pub(super) struct Activation {
    step: Step,
    deadline: Instant,
    /// When the answer to reset has to be whole.
    end: Instant,
    reset: Reset,
    octets: [u8; ROOM],
    len: usize,
    pub(super) damaged: bool,
    trailing: u8,
    /// The first octet that came in front of TS, and how many there were.
    pub(super) noise: Option<(u8, u8)>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The power is off for a while before the next attempt.
    PowerOff,
    /// The driver is resetting the card; the first input after it tells the time.
    Resetting,
    /// The answer to reset is coming.
    Atr,
    /// It has come; nothing should follow.
    Quiet,
    /// The PPS request is out.
    Pps { request: Pps, protocol: u8, f: u16, d: u8 },
    /// The PPS response has come; nothing should follow.
    PpsQuiet { request: Pps, protocol: u8, f: u16, d: u8 },
}

impl Activation {
    const fn new(step: Step, deadline: Instant, reset: Reset) -> Self {
        Self {
            step,
            deadline,
            end: deadline,
            reset,
            octets: [0; ROOM],
            len: 0,
            damaged: false,
            trailing: 0,
            noise: None,
        }
    }

    /// The driver is about to reset the card.
    pub(super) const fn resetting(reset: Reset) -> Self {
        Self::new(Step::Resetting, Instant::from_micros(0), reset)
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn received(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&[])
    }

    /// Waits for the answer to reset, of which nothing has come: by which reset.
    pub(super) const fn awaits_atr(&self) -> Option<Reset> {
        match self.step {
            Step::Resetting | Step::Atr if self.len == 0 => Some(self.reset),
            _ => None,
        }
    }

    /// The PPS request is out.
    pub(super) const fn awaits_pps(&self) -> bool {
        matches!(self.step, Step::Pps { .. })
    }

    pub(super) fn push(&mut self, octet: u8) {
        match self.octets.get_mut(self.len) {
            Some(place) => {
                *place = octet;
                self.len += 1;
            }
            None => self.trailing = self.trailing.saturating_add(1),
        }
    }
}

impl CardLine {
    /// Resets the card and starts listening.
    pub(super) fn activate(&mut self, reset: Reset) {
        self.attempts = self.attempts.saturating_add(1);
        self.atr = None;
        self.mapped = false;
        self.params = LineParams::initial(self.policy.clock_hz);
        self.queue.drop_transmissions();
        self.queue.push(Out::Activate(reset));
        self.forget_level();
        self.state = State::Starting(Activation::resetting(reset));
    }

    /// This answer to reset was none; tries again while there are attempts.
    pub(super) fn again(&mut self, now: Instant, cause: Cause) {
        log::debug!("card line: {cause}, attempt {} of {ATTEMPTS}", self.attempts);
        if self.policy.profile == Profile::EmvLevel1 {
            // One warm reset for an answer that is wrong, none for no answer.
            let cold = matches!(&self.state, State::Starting(a) if a.reset == Reset::Cold);
            if cold && cause != Cause::Mute {
                return self.activate(Reset::Warm);
            }
        } else if self.attempts < ATTEMPTS {
            self.atr = None;
            self.queue.push(Out::Deactivate);
            let until = now.after(self.policy.power_off);
            self.state = State::Starting(Activation::new(Step::PowerOff, until, Reset::Cold));
            return;
        }
        self.give_up_start(cause);
    }

    fn give_up_start(&mut self, cause: Cause) {
        self.state = State::Down;
        self.atr = None;
        self.queue.push(Out::Deactivate);
        self.queue.push(Out::Failed(LineError::new(cause, Executed::No, Then::Down)));
    }

    pub(super) fn damaged_at_start(&mut self) {
        if let State::Starting(activation) = &mut self.state {
            activation.damaged = true;
        }
    }

    pub(super) fn received_at_start(&mut self, now: Instant, raw: u8) {
        let latency = self.policy.latency;
        let atr_gap = self.policy.profile.atr_gap_etu();
        let gap = self.params.etus(INITIAL_WT).saturating_add(latency);
        let atr_gap = self.params.etus(atr_gap).saturating_add(latency);
        let whole = self.params.etus(WHOLE_ATR).saturating_add(latency);
        let silence = self.params.etus(SILENCE);
        let State::Starting(activation) = &mut self.state else { return };
        let convention = if self.mapped { Convention::Inverse } else { Convention::Direct };
        let octet = convention.map(raw);
        match activation.step {
            Step::PowerOff => {}
            Step::Resetting | Step::Atr if activation.len == 0 => {
                if !matches!(octet, 0x3B | 0x03 | 0x3F) {
                    return self.noise(now, octet);
                }
                activation.step = Step::Atr;
                activation.end = now.after(whole);
                activation.deadline = now.after(atr_gap);
                match octet {
                    // 3F: the reader's hardware has decoded it; 03: a UART has not.
                    0x03 | 0x3F => {
                        activation.push(0x3F);
                        self.mapped = octet == 0x03;
                        // Even parity, which the UART expected, is wrong for a TS that is right.
                        activation.damaged &= !self.mapped;
                        self.params.convention = Convention::Inverse;
                        self.queue.push(Out::Configure(self.params));
                    }
                    _ => activation.push(octet),
                }
            }
            Step::Resetting | Step::Atr => {
                activation.push(octet);
                activation.deadline = now.after(atr_gap).min(activation.end);
                match Atr::expect(activation.received()) {
                    Expect::More(_) => {}
                    Expect::Complete(_) => {
                        activation.step = Step::Quiet;
                        activation.deadline = now.after(silence);
                    }
                    Expect::Overlong => self.again(now, Cause::NotACard(AtrError::Overlong)),
                }
            }
            Step::Quiet => {
                activation.trailing = activation.trailing.saturating_add(1);
                if activation.len < ROOM {
                    // It may be TCK, although there should be none, or what stood in front was.
                    activation.push(octet);
                }
                activation.deadline = now.after(silence);
                if activation.trailing > MAX_TRAILING {
                    let why = AtrError::Refused(AtrWarnings::TRAILING);
                    self.again(now, Cause::NotACard(why));
                }
            }
            Step::Pps { request, protocol, f, d } => {
                activation.push(octet);
                activation.deadline = now.after(gap);
                let pps0 = activation.received().get(1);
                if pps0.is_some_and(|pps0| Pps::len_by_pps0(*pps0) <= activation.len) {
                    activation.step = Step::PpsQuiet { request, protocol, f, d };
                    activation.deadline = now.after(silence);
                }
            }
            Step::PpsQuiet { .. } => {
                activation.push(octet);
                activation.deadline = now.after(silence);
                if activation.trailing > 0 {
                    self.refused(now, PpsError::Parameter);
                }
            }
        }
    }

    pub(super) fn timeout_at_start(&mut self, now: Instant) {
        let State::Starting(activation) = &mut self.state else { return };
        if now < activation.deadline {
            return;
        }
        let activation = activation.clone();
        match activation.step {
            Step::PowerOff => self.activate(Reset::Cold),
            Step::Resetting => {
                self.state = State::Starting(Activation {
                    step: Step::Atr,
                    deadline: now.after(self.policy.atr_start),
                    ..activation
                });
            }
            Step::Atr if activation.len == 0 => {
                let noise = activation.noise.map(|(ts, _)| Cause::NotACard(AtrError::Ts(ts)));
                self.again(now, noise.unwrap_or(Cause::Mute));
            }
            Step::Atr | Step::Quiet => self.answered(now, &activation),
            Step::Pps { .. } => self.refused(now, PpsError::Silent),
            Step::PpsQuiet { .. } => self.pps_answered(now, &activation),
        }
    }

    /// The response to PPS is over, whole or not.
    pub(super) fn pps_answered(&mut self, now: Instant, activation: &Activation) {
        let (Step::Pps { request, protocol, f, d } | Step::PpsQuiet { request, protocol, f, d }) =
            activation.step
        else {
            return;
        };
        if activation.damaged {
            return self.refused(now, PpsError::Parameter);
        }
        if activation.len == 0 {
            return self.refused(now, PpsError::Silent);
        }
        let agreed = Pps::parse(activation.received())
            .map_err(PpsError::Malformed)
            .and_then(|response| request.agree(&response));
        match agreed {
            Ok(Agreed::Requested) => self.start_protocol(now, protocol, (f, d)),
            Ok(Agreed::Default) => self.start_protocol(now, protocol, DEFAULT),
            Err(why) => self.refused(now, why),
        }
    }

    /// The answer to reset is over, whole or not.
    pub(super) fn answered(&mut self, now: Instant, activation: &Activation) {
        let read = Atr::parse(activation.received(), self.policy.atr);
        let behind = self.behind_noise(activation, &read);
        let mut atr = match behind.map_or(read, Ok) {
            Ok(atr) => atr,
            Err(why) => return self.again(now, Cause::NotACard(why)),
        };
        if activation.noise.is_some() {
            atr.warn(AtrWarnings::NOISE);
        }
        if activation.trailing > 1 && behind.is_none() {
            atr.warn(AtrWarnings::TRAILING);
        }
        if activation.damaged {
            // What was on its way when the UART learnt its parity is marked, whether damaged or
            // not; and so it is when the octets in front have taught it a wrong one.
            if !self.mapped && behind.is_none() {
                return self.again(now, Cause::NotACard(AtrError::Damaged));
            }
            atr.warn(AtrWarnings::PARITY);
        }
        if self.policy.clock_hz > atr.rate().2 {
            atr.warn(AtrWarnings::OVERCLOCKED);
        }
        let refused = atr.warnings().without(self.policy.atr.tolerate);
        if !refused.is_empty() {
            return self.again(now, Cause::NotACard(AtrError::Refused(refused)));
        }
        // A card that is like this is like this twice; a mishap on the line is not.
        if atr.doubtful() && self.doubted != Some(atr) && self.attempts < ATTEMPTS {
            self.doubted = Some(atr);
            return self.again(now, Cause::NotACard(AtrError::Refused(atr.warnings())));
        }
        if !atr.warnings().is_empty() {
            log::warn!("card line: answer to reset with {}", atr.warnings());
        }
        self.atr = Some(atr);
        if self.policy.profile == Profile::EmvLevel1 {
            return match emv::basic(&atr, activation.reset == Reset::Cold) {
                Ok(rate) if self.fits(rate.0, rate.1) => {
                    self.start_protocol(now, atr.first_protocol(), rate);
                }
                Ok(_) => self.give_up_start(Cause::SpecificMode),
                Err(why) => self.again(now, Cause::NotBasic(why)),
            };
        }
        let by_reader = self.level == Level::Apdu;
        match self.agreed.or(by_reader.then_some(atr.first_protocol())) {
            Some(protocol) => self.start_agreed(now, protocol, &atr),
            None => self.choose(now, &atr),
        }
    }

    /// The reader has negotiated by itself.
    fn start_agreed(&mut self, now: Instant, protocol: u8, atr: &Atr) {
        if !self.speaks(protocol) {
            return self.give_up_start(Cause::Protocol { t: protocol });
        }
        let (fi, di, _) = atr.rate();
        self.start_protocol(now, protocol, (fi, di));
    }

    /// Specific mode as it is, negotiable mode by PPS to the best rate.
    fn choose(&mut self, now: Instant, atr: &Atr) {
        let (fi, di, _) = atr.rate();
        if let Some(mode) = atr.specific_mode() {
            let rate = if mode.implicit { self.policy.implicit_rate } else { Some((fi, di)) };
            if let Some((f, d)) = rate
                && self.speaks(mode.protocol)
                && self.fits(f, d)
            {
                return self.start_protocol(now, mode.protocol, (f, d));
            }
            if mode.may_change && !self.asked_to_negotiate {
                self.asked_to_negotiate = true;
                return self.activate(Reset::Warm);
            }
            return self.give_up_start(if !self.speaks(mode.protocol) {
                Cause::Protocol { t: mode.protocol }
            } else {
                Cause::SpecificMode
            });
        }
        let first = atr.first_protocol();
        // A card that does not take PPS keeps to its first protocol.
        let choice = self.policy.protocol.filter(|_| !self.rates.refused());
        let wanted = choice.filter(|t| self.speaks(*t) && atr.offers(*t));
        let protocol = match wanted.or(self.speaks(first).then_some(first)) {
            Some(protocol) => protocol,
            None if atr.offers(0) => 0,
            None if atr.offers(1) => 1,
            None if self.speaks(14) && atr.offers(14) => 14,
            None => return self.give_up_start(Cause::Protocol { t: first }),
        };
        if protocol == 14 && first == 14 {
            // Cards of T=14 know no PPS.
            return if self.fits(fi, di) {
                self.start_protocol(now, protocol, (fi, di))
            } else {
                self.give_up_start(Cause::SpecificMode)
            };
        }
        let (f, d) = self.best_rate(fi, di);
        if (f, d) == DEFAULT && protocol == first {
            return self.start_protocol(now, protocol, DEFAULT);
        }
        let pps1 = ((f, d) != DEFAULT).then(|| rate_codes(f, d, atr.ta1()));
        let request = Pps { protocol, pps1, pps2: None, pps3: None };
        // N holds from here on; 255 shortens it only once the protocol runs.
        let guard_etu = atr.guard_etu(0, DEFAULT.0, DEFAULT.1);
        if self.params.guard_etu != guard_etu {
            self.params.guard_etu = guard_etu;
            self.queue.push(Out::Configure(self.params));
        }
        put(&mut self.wire, &request.emit(), self.mapped);
        self.queue.push(Out::Transmit);
        let wait = if self.level == Level::Characters {
            (self.params.etus(INITIAL_WT))
                .saturating_add(self.params.sending(self.wire.len()))
                .saturating_add(self.policy.latency)
        } else {
            self.policy.exchange_limit // the reader waits as long as PPS may take
        };
        let step = Step::Pps { request, protocol, f, d };
        self.state = State::Starting(Activation::new(step, now.after(wait), Reset::Cold));
    }

    /// PPS was not successful: the card needs a reset, and something slower next time.
    fn refused(&mut self, now: Instant, why: PpsError) {
        log::warn!("card line: {why}");
        // A refused PPS is no failed attempt to bring the card up, but it cannot go on for ever.
        if !self.rates.refused() {
            self.attempts = self.attempts.saturating_sub(1);
        }
        if let State::Starting(Activation {
            step: Step::Pps { f, d, .. } | Step::PpsQuiet { f, d, .. },
            ..
        }) = self.state
        {
            self.rates.refuse(LineParams { f, d, ..self.params });
        }
        self.again(now, Cause::Pps(why));
    }

    fn start_protocol(&mut self, now: Instant, protocol: u8, (f, d): (u16, u8)) {
        let Some(atr) = self.atr else { return };
        if self.level == Level::Apdu {
            self.protocol = protocol;
            return self.ready();
        }
        let guard_etu = atr.guard_etu(protocol, f, d);
        let params = LineParams { f, d, guard_etu, protocol, ..self.params };
        if params != self.params {
            self.params = params;
            self.queue.push(Out::Configure(params));
        }
        log::debug!("card line: T={protocol} at {} bit/s", params.baud());
        self.protocol = protocol;
        let wt = atr.waiting_time(protocol, &params);
        match protocol {
            1 => {
                self.t1.reset(params, atr.t1());
                self.state = State::Announcing { end: now.after(self.limit()) };
                self.t1.announce(now);
            }
            14 => {
                self.t14.reset(params, wt);
                self.ready();
            }
            _ => {
                let tolerance = self.policy.profile.wt_tolerance(&params);
                self.t0.reset(params, wt.saturating_add(tolerance));
                self.t0.exchange_whole(self.level == Level::Tpdu);
                self.ready();
            }
        }
    }
}
