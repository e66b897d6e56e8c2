// SPDX-License-Identifier: Apache-2.0
//! A card reader on a serial cable that speaks CCID: GemPC Twin framing, TPDU level.
//!
//! Normative references:
//!  - USB device class specification for integrated circuit cards (CCID), revision 1.1, clause 6
//!  - the framing as the open driver `libccidtwin` knows it
//!
//! The machine stands between two lines. On one it answers the host's commands, one at a time, and
//! echoes each before it answers, as this reader does. On the other it is the terminal of a card:
//! it switches the power, sends the characters of a T=0 command, a T=1 block or a PPS request, and
//! knows where the card's answer ends. It owns no port and no clock.

mod error;
mod exchange;
pub mod frame;

use cam_types::Instant;
use exchange::{Exchange, Progress};
use frame::{Frame, Frames, HEADER};
use iso7816::atr::{Atr, AtrPolicy, Expect};
use iso7816::etu::{LineParams, clock_rate_conversion, rate_adjustment};
use iso7816::pps::Pps;
use iso7816::t1::Edc;
use std::collections::VecDeque;
use std::time::Duration;

/// What the reader is told.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The host sent these octets, in any split.
    Host(&'a [u8]),
    /// The card sent this octet, in logical form.
    Card {
        /// As the card meant it, whatever the convention on the line.
        octet: u8,
        /// Its parity was wrong.
        damaged: bool,
    },
    /// A card was put in.
    Inserted,
    /// The card was pulled.
    Removed,
    /// The instant in the last [`Output::Wait`] has passed. Too early does no harm.
    Timeout,
}

/// What the reader wants. One input, then `poll_output` until [`Output::Wait`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub enum Output {
    /// Send these octets to the host.
    ToHost(Vec<u8>),
    /// Send these octets to the card, at the speed of [`GemPc::line`].
    ToCard(Vec<u8>),
    /// Reset the card, or give it power, and release reset.
    PowerOn,
    /// Take the card's power away.
    PowerOff,
    /// Nothing to do before this instant, or before more input.
    Wait(Option<Instant>),
}

/// Whether there is a card in the reader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// The slot is empty.
    Absent,
    /// A card is in it.
    Present,
}

/// The reader.
#[derive(Debug)]
pub struct GemPc {
    initial: LineParams,
    line: LineParams,
    frames: Frames,
    /// A frame that is not complete by then is refused.
    cut_short: Option<Instant>,
    presence: Presence,
    /// The host was told that card movements wait for its next command.
    synchronous: bool,
    /// A movement that the host does not know of.
    moved: bool,
    power: Power,
    parameters: Parameters,
    /// The command that waits for the card, and until when.
    pending: Option<(Header, Option<Instant>)>,
    last_answer: Vec<u8>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum Power {
    Off,
    /// The answer to reset is coming in.
    Starting {
        atr: Vec<u8>,
        damaged: bool,
    },
    /// The card has answered. No exchange so far: PPS is possible.
    On {
        fresh: bool,
        exchange: Option<Exchange>,
    },
}

/// What a command's header says beside its length.
#[derive(Clone, Copy, Debug)]
struct Header {
    kind: u8,
    slot: u8,
    sequence: u8,
    /// Three octets that every command uses in its own way.
    own: [u8; 3],
}

/// The protocol data structure of SetParameters.
#[derive(Clone, Debug)]
struct Parameters {
    protocol: u8,
    data: Vec<u8>,
}

impl GemPc {
    /// A reader without power at the card, to which it gives this clock, in Hz.
    pub fn new(clock_hz: u32, presence: Presence) -> Self {
        let initial = LineParams::initial(clock_hz);
        Self {
            initial,
            line: initial,
            frames: Frames::default(),
            cut_short: None,
            presence,
            synchronous: false,
            moved: false,
            power: Power::Off,
            parameters: Parameters::t0(),
            pending: None,
            last_answer: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// How the reader runs the card's line now.
    pub const fn line(&self) -> &LineParams {
        &self.line
    }

    /// One input; then [`GemPc::poll_output`] until it says [`Output::Wait`].
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Host(octets) => self.host(now, octets),
            Input::Card { octet, damaged } => self.card(now, octet, damaged),
            Input::Inserted => self.movement(Presence::Present),
            Input::Removed => self.movement(Presence::Absent),
            Input::Timeout => self.timeout(now),
        }
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Output {
        let deadline = self.pending.and_then(|(_, deadline)| deadline);
        self.outputs.pop_front().unwrap_or_else(|| {
            Output::Wait(match (self.cut_short, deadline) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            })
        })
    }

    fn host(&mut self, now: Instant, octets: &[u8]) {
        self.frames.push(octets);
        while let Some(frame) = self.frames.take() {
            match frame {
                Frame::Message(message) => {
                    self.outputs.push_back(Output::ToHost(frame::emit(&message)));
                    self.command(now, &message);
                }
                Frame::Damaged(raw) => self.refuse(raw),
                Frame::Again => self.outputs.push_back(Output::ToHost(self.last_answer.clone())),
            }
        }
        self.cut_short = self.frames.begun().then(|| now.after(FRAME_GAP));
    }

    fn refuse(&mut self, raw: Vec<u8>) {
        self.outputs.push_back(Output::ToHost(raw));
        self.outputs.push_back(Output::ToHost(frame::REFUSAL.to_vec()));
    }

    fn command(&mut self, now: Instant, message: &[u8]) {
        let Some((header, data)) = message.split_first_chunk::<HEADER>() else { return };
        let &[kind, _, _, _, _, slot, sequence, a, b, c] = header;
        let header = Header { kind, slot, sequence, own: [a, b, c] };
        if self.pending.is_some() {
            // The host has given the command before up.
            self.pending = None;
            if let Power::On { exchange, .. } = &mut self.power {
                *exchange = None;
            }
        }
        if slot != 0 {
            return self.fail(header, error::SLOT);
        }
        match kind {
            POWER_ON | TRANSFER if self.presence == Presence::Absent => {
                self.fail(header, error::MUTE)
            }
            POWER_ON => {
                self.line = self.initial;
                self.power = Power::Starting { atr: Vec::new(), damaged: false };
                self.pending = Some((header, Some(now.after(RESET_PATIENCE))));
                self.outputs.push_back(Output::PowerOn);
            }
            POWER_OFF => {
                self.power_off();
                self.answer(header, &[]);
            }
            SLOT_STATUS | CLOCK => self.answer(header, &[]),
            TRANSFER => self.transfer(now, header, data),
            GET_PARAMETERS => self.answer_parameters(header),
            RESET_PARAMETERS => {
                self.parameters = Parameters::t0();
                self.line = self.initial;
                self.answer_parameters(header);
            }
            SET_PARAMETERS => self.set_parameters(header, data),
            ESCAPE => self.escape(header, data),
            _ => self.fail(header, error::UNSUPPORTED),
        }
    }

    fn transfer(&mut self, now: Instant, header: Header, data: &[u8]) {
        let (line, bwi) = (self.line, header.own[0]);
        let Power::On { fresh, exchange } = &mut self.power else {
            return self.fail(header, error::MUTE);
        };
        let begun = if *fresh && data.first() == Some(&Pps::PPSS) {
            Some(Exchange::pps(data, line.etus(9600).saturating_add(SLACK)))
        } else if self.parameters.protocol == 1 {
            let (edc, bwt, cwt) = self.parameters.t1(&line);
            let bwt = bwt.saturating_mul(u32::from(bwi.max(1)));
            let sending = line.sending(data.len());
            Some(Exchange::t1(data, edc, sending.saturating_add(bwt), cwt))
        } else {
            let wt = self.parameters.wt(&line);
            Exchange::t0(data, wt.saturating_add(line.sending(data.len())))
        };
        *fresh = false;
        let Some((begun, octets)) = begun else { return self.fail(header, error::LENGTH) };
        self.pending = Some((header, Some(now.after(begun.first))));
        *exchange = Some(begun);
        self.outputs.push_back(Output::ToCard(octets));
    }

    fn set_parameters(&mut self, header: Header, data: &[u8]) {
        let parameters = Parameters { protocol: header.own[0], data: data.to_vec() };
        let expected = match parameters.protocol {
            0 => 5,
            1 => 7,
            _ => return self.fail(header, PROTOCOL_FIELD),
        };
        if data.len() != expected {
            return self.fail(header, error::LENGTH);
        }
        let findex = data.first().copied().unwrap_or(DEFAULT_RATE);
        let rate = (clock_rate_conversion(findex >> 4), rate_adjustment(findex & 0x0F));
        let (Some((f, _)), Some(d)) = rate else { return self.fail(header, RATE_FIELD) };
        let guard_etu = match data.get(2) {
            Some(0xFF) if parameters.protocol == 1 => 11,
            Some(0xFF) | None => 12,
            Some(n) => 12 + u16::from(*n),
        };
        self.line = LineParams { f, d, guard_etu, ..self.line };
        self.parameters = parameters;
        self.answer_parameters(header);
    }

    fn escape(&mut self, header: Header, data: &[u8]) {
        match *data {
            [0x02] => self.answer(header, FIRMWARE),
            [0x01, mode @ (0x00 | 0x01), 0x01] => {
                self.synchronous = mode == 0x01;
                self.answer(header, &[]);
            }
            _ => self.fail(header, error::UNSUPPORTED),
        }
    }

    fn card(&mut self, now: Instant, octet: u8, parity: bool) {
        let Some((header, deadline)) = &mut self.pending else { return };
        let header = *header;
        match &mut self.power {
            Power::Off | Power::On { exchange: None, .. } => {}
            Power::Starting { atr, damaged } => {
                atr.push(octet);
                *damaged |= parity;
                *deadline = Some(now.after(self.initial.etus(9600).saturating_add(SLACK)));
                match Atr::expect(atr) {
                    Expect::More(_) => {}
                    Expect::Complete(_) if !*damaged => self.started(header),
                    Expect::Complete(_) | Expect::Overlong => self.mute(header, error::PARITY),
                }
            }
            Power::On { exchange: Some(exchange), .. } => {
                *deadline = Some(now.after(exchange.next));
                let progress = exchange.octet(octet, parity);
                self.progress(header, progress);
            }
        }
    }

    fn started(&mut self, header: Header) {
        let power = std::mem::replace(&mut self.power, Power::Off);
        let Power::Starting { atr: octets, .. } = power else { return };
        let Ok(atr) = Atr::parse(&octets, AtrPolicy::TOLERANT) else {
            return self.mute(header, error::PARITY);
        };
        self.line.convention = atr.convention();
        self.parameters = Parameters::t0();
        if let Some(specific) = atr.specific_mode() {
            let (f, d, _) = atr.rate();
            let protocol = specific.protocol;
            self.line = LineParams { f, d, guard_etu: atr.guard_etu(protocol, f, d), ..self.line };
        }
        self.power = Power::On { fresh: true, exchange: None };
        self.answer(header, &octets);
    }

    fn progress(&mut self, header: Header, progress: Progress) {
        match progress {
            Progress::More => return,
            // CCID over a cable: one octet from 80 to FF asks the host for more time.
            Progress::Null => return self.outputs.push_back(Output::ToHost(vec![TIME_REQUEST])),
            Progress::Send(octets) => return self.outputs.push_back(Output::ToCard(octets)),
            Progress::Done(answer) => self.answer(header, &answer),
            Progress::Failed(error) => self.fail(header, error),
        }
        if let Power::On { exchange, .. } = &mut self.power {
            *exchange = None;
        }
    }

    fn timeout(&mut self, now: Instant) {
        if self.cut_short.is_some_and(|at| at <= now) {
            self.cut_short = None;
            let raw = self.frames.forget();
            self.refuse(raw);
        }
        if let Some((header, Some(deadline))) = self.pending
            && deadline <= now
        {
            match &mut self.power {
                Power::On { exchange: Some(exchange), .. } => {
                    let progress = exchange.silence();
                    self.progress(header, progress);
                }
                _ => self.mute(header, error::MUTE),
            }
        }
    }

    fn movement(&mut self, presence: Presence) {
        if presence == self.presence {
            return;
        }
        self.presence = presence;
        self.moved = true;
        self.power = Power::Off;
        if !self.synchronous {
            self.tell_movement();
        }
        if let Some((header, _)) = self.pending {
            self.fail(header, error::MUTE);
        }
    }

    fn tell_movement(&mut self) {
        if std::mem::take(&mut self.moved) {
            let state = match self.presence {
                Presence::Absent => 0x02,
                Presence::Present => 0x03,
            };
            self.outputs.push_back(Output::ToHost(vec![MOVEMENT, state]));
        }
    }

    fn mute(&mut self, header: Header, error: u8) {
        self.power_off();
        self.fail(header, error);
    }

    fn power_off(&mut self) {
        self.power = Power::Off;
        self.line = self.initial;
        self.parameters = Parameters::t0();
        self.outputs.push_back(Output::PowerOff);
    }

    fn answer_parameters(&mut self, header: Header) {
        let Parameters { protocol, data } = self.parameters.clone();
        self.reply(header, 0, 0, protocol, &data);
    }

    fn answer(&mut self, header: Header, data: &[u8]) {
        self.reply(header, 0, 0, 0, data);
    }

    fn fail(&mut self, header: Header, error: u8) {
        self.reply(header, FAILED, error, 0, &[]);
    }

    fn reply(&mut self, header: Header, failed: u8, error: u8, own: u8, data: &[u8]) {
        self.pending = None;
        let kind = match header.kind {
            POWER_ON | TRANSFER => DATA_BLOCK,
            GET_PARAMETERS | RESET_PARAMETERS | SET_PARAMETERS => PARAMETERS,
            ESCAPE => ESCAPED,
            _ => STATUS,
        };
        let status = match (&self.power, self.presence) {
            (_, Presence::Absent) => 2,
            (Power::On { .. }, Presence::Present) => 0,
            (Power::Off | Power::Starting { .. }, Presence::Present) => 1,
        };
        let mut message = vec![kind];
        message.extend((data.len() as u32).to_le_bytes());
        message.extend([header.slot, header.sequence, status | failed, error, own]);
        message.extend_from_slice(data);
        self.tell_movement();
        self.last_answer = frame::emit(&message);
        self.outputs.push_back(Output::ToHost(self.last_answer.clone()));
    }
}

impl Parameters {
    /// What holds after the answer to reset until the host sets something.
    fn t0() -> Self {
        Self { protocol: 0, data: vec![DEFAULT_RATE, 0x00, 0x00, 10, 0x00] }
    }

    fn octet(&self, at: usize) -> u8 {
        self.data.get(at).copied().unwrap_or(0)
    }

    fn wt(&self, line: &LineParams) -> Duration {
        line.wt(self.octet(3).max(1), line.f).saturating_add(SLACK)
    }

    /// Error detection code, block and character waiting time.
    fn t1(&self, line: &LineParams) -> (Edc, Duration, Duration) {
        let edc = if self.octet(1) & 0x01 == 0 { Edc::Lrc } else { Edc::Crc };
        let (bwi, cwi) = (self.octet(3) >> 4, self.octet(3) & 0x0F);
        (edc, line.bwt(bwi).saturating_add(SLACK), line.cwt(cwi).saturating_add(SLACK))
    }
}

const SET_PARAMETERS: u8 = 0x61;
const POWER_ON: u8 = 0x62;
const POWER_OFF: u8 = 0x63;
const SLOT_STATUS: u8 = 0x65;
const ESCAPE: u8 = 0x6B;
const GET_PARAMETERS: u8 = 0x6C;
const RESET_PARAMETERS: u8 = 0x6D;
const CLOCK: u8 = 0x6E;
const TRANSFER: u8 = 0x6F;
const DATA_BLOCK: u8 = 0x80;
const STATUS: u8 = 0x81;
const PARAMETERS: u8 = 0x82;
const ESCAPED: u8 = 0x83;
/// bmCommandStatus: failed.
const FAILED: u8 = 0x40;
/// An error names the octet of the message that is wrong.
const PROTOCOL_FIELD: u8 = 7;
const RATE_FIELD: u8 = 10;
const DEFAULT_RATE: u8 = 0x11;
const MOVEMENT: u8 = 0x50;
const TIME_REQUEST: u8 = 0x80;
/// What the escape command 02 tells.
const FIRMWARE: &[u8] = b"vcard GemPC Twin";
/// Card and reader are processes on a shared machine: their octets come later than on a wire.
const SLACK: Duration = Duration::from_millis(60);
/// A card answers within 40,000 clock cycles, which is 10 ms.
const RESET_PATIENCE: Duration = Duration::from_millis(500);
/// The host sends a frame in one go.
const FRAME_GAP: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
