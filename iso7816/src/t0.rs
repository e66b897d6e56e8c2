// SPDX-License-Identifier: Apache-2.0
//! The host's T=0 machine: TPDUs, procedure bytes, and how APDUs map to them.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clauses 10.3 (procedure bytes), 12.2 (mapping of APDUs)
//!
//! Heads up: T=0 has no check over its data. A damaged character is an error, octets behind the
//! status word are one, and so is every octet that is no procedure byte where one is due. But
//! behind a doubled data octet a data octet 60 reads as NULL, behind a lost one NULL reads as data,
//! and nobody can tell. Where it matters the application has to protect its data, as secure
//! messaging does.
//!
//! Extended lengths: with up to 255 octets of data a command goes out under its own INS, and more
//! than 256 octets of answer are fetched by GET RESPONSE. A longer command goes out in parts, as
//! the data of ENVELOPE commands; Lc tells the card where it ends, so no empty ENVELOPE follows. A
//! card that does not know ENVELOPE answers so, and that status word is the response.
mod error;
mod policy;
mod procedure;
mod tpdu;

pub use crate::doors::Input;
pub use error::T0Error;
pub use policy::T0Policy;

use crate::apdu::{ApduError, Lengths, StatusWord};
use crate::doors::{self, Out};
use crate::etu::{LineParams, USUAL_CLOCK_HZ};
use alloc::vec::Vec;
use cam_types::Instant;
use cam_types::interindustry::{
    INS_CHANGE_REFERENCE_DATA, INS_ENVELOPE, INS_GET_RESPONSE, INS_VERIFY,
};
use core::fmt;
use core::ops::Range;
use core::time::Duration;
use procedure::Procedure;
use tpdu::{Kind, Tpdu, p3_octet};
use zeroize::Zeroize;

/// Silence in etu after which a status word is believed to be the end.
const SILENCE: u64 = 24;

/// VERIFY and CHANGE REFERENCE DATA count tries: they are never sent a second time.
const NEVER_AGAIN: [u8; 2] = [INS_VERIFY, INS_CHANGE_REFERENCE_DATA];
/// GET RESPONSEs in a row that bring nothing but another 61xx. No card needs more than one, and
/// without a bound they would go on for as long as the exchange may last.
const EMPTY: u8 = 3;
/// Octets of data that one TPDU carries.
const MAX_DATA: usize = 255;
/// Octets of answer that one TPDU brings.
const MAX_ANSWER: usize = 256;

/// What the machine wants done.
pub type Output<'a> = doors::Output<'a, T0Error>;

/// The T=0 state machine. It owns no port and no clock: octets and time come in through
/// `handle_input`, and everything it wants done comes out of `poll_output`.
pub struct T0 {
    line: LineParams,
    wt: Duration,
    latency: Duration,
    policy: T0Policy,
    /// TPDUs pass whole: the reader deals with procedure bytes.
    whole: bool,
    state: State,
    /// CLA and INS of the command.
    cla: u8,
    ins: u8,
    max_response: usize,
    /// How much answer the caller wants; `None` when none.
    le: Option<usize>,
    /// The data of this TPDU inside `command`.
    data: Range<usize>,
    tpdu: Tpdu,
    /// GET RESPONSEs in a row without data.
    empty: u8,
    command: Vec<u8>,
    response: Vec<u8>,
    tx: [u8; 5 + MAX_DATA],
    tx_len: usize,
    deadline: Option<Instant>,
    out: Out<T0Error>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Idle,
    /// A procedure byte is due.
    Procedure,
    /// The reader has the whole TPDU.
    Whole,
    /// So many octets of the card's data are due before the next procedure byte.
    Data(usize),
    /// The card has asked for so many octets; the line turns round.
    Turning(usize),
    /// SW2 is due.
    Sw2(u8),
    /// The status word has come; nothing may follow.
    Ending(StatusWord),
}

impl T0 {
    /// A machine for commands of up to `max_command` octets and responses of up to `max_response`,
    /// status word included; [`T0::reset`] sets it to a card.
    pub fn new(
        max_command: usize,
        max_response: usize,
        latency: Duration,
        policy: T0Policy,
    ) -> Self {
        Self {
            line: LineParams::initial(USUAL_CLOCK_HZ),
            wt: Duration::from_secs(1),
            latency,
            policy,
            whole: false,
            state: State::Idle,
            cla: 0,
            ins: 0,
            max_response,
            le: None,
            data: 0..0,
            tpdu: Tpdu::default(),
            empty: 0,
            command: Vec::with_capacity(max_command),
            response: Vec::with_capacity(max_response.min(Lengths::MAX_RESPONSE) + MAX_ANSWER),
            tx: [0; 5 + MAX_DATA],
            tx_len: 0,
            deadline: None,
            out: Out::Nothing,
        }
    }

    /// A card that has just been reset speaks with these parameters; `wt` as
    /// [`LineParams::wt`] gives it.
    pub fn reset(&mut self, line: LineParams, wt: Duration) {
        self.line = line;
        self.wt = wt;
        self.finish(Out::Nothing);
        self.response.zeroize();
    }

    /// Whether TPDUs pass whole, to a reader that deals with procedure bytes and waiting times.
    /// Every [`Output::Transmit`] is then a TPDU and is answered by [`T0::message`].
    pub const fn exchange_whole(&mut self, whole: bool) {
        self.whole = whole;
    }

    /// Whether T=0 can carry this command.
    pub const fn check(apdu: &[u8]) -> Result<Lengths, ApduError> {
        match apdu {
            [0xFF, ..] => Err(ApduError::Class),
            [_, ins, ..] if matches!(*ins & 0xF0, 0x60 | 0x90) => {
                Err(ApduError::Instruction { ins: *ins })
            }
            _ => Lengths::parse(apdu),
        }
    }

    /// When the machine wants to hear `Timeout`, as in [`Output::Wait`].
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The response of the last exchange.
    pub fn response(&self) -> &[u8] {
        &self.response
    }

    /// Takes one input. Poll until `Wait` afterwards.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Command(apdu) if self.state == State::Idle => match Self::check(apdu) {
                Ok(lengths) => self.start(now, apdu, lengths),
                Err(why) => self.out = Out::Failed(T0Error::Command(why)),
            },
            Input::Command(_) => {}
            Input::Received(octets) => self.receive(now, octets),
            Input::Damaged if self.state == State::Idle => self.fail(T0Error::Leftover),
            Input::Damaged => self.fail(T0Error::Damaged),
            Input::Timeout if self.deadline.is_some_and(|deadline| now >= deadline) => {
                self.deadline = None;
                match self.state {
                    State::Idle => {}
                    State::Turning(count) => self.send_data(now, count),
                    State::Ending(sw) => self.ended(now, sw),
                    State::Procedure | State::Data(_) | State::Sw2(_) | State::Whole => {
                        self.fail(T0Error::Silent);
                    }
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

    fn start(&mut self, now: Instant, apdu: &[u8], lengths: Lengths) {
        let Some(([cla, ins, p1, p2], _)) = apdu.split_first_chunk() else { return };
        let Lengths { lc, le, extended } = lengths;
        self.response.zeroize();
        self.command.clear();
        self.command.extend_from_slice(apdu);
        (self.cla, self.ins) = (*cla, *ins);
        self.empty = 0;
        self.le = le.and_then(|le| usize::try_from(le).ok());
        if lc > MAX_DATA {
            return self.envelope(now, 0);
        }
        let before = if extended { 7 } else { 5 };
        // Case 4 sends the command without Le: the answer is fetched by GET RESPONSE.
        self.data = if lc > 0 { before..before + lc } else { 0..0 };
        let incoming = if lc > 0 { 0 } else { self.le.unwrap_or(0).min(MAX_ANSWER) };
        let p3 = if lc > 0 { lc } else { incoming };
        self.send_header(
            now,
            Tpdu {
                header: [*cla, *ins, *p1, *p2, p3_octet(p3)],
                outgoing: lc,
                incoming,
                ..Tpdu::default()
            },
        );
    }

    /// The part of a long command that begins here (cases 3E and 4E of clause 12.2).
    fn envelope(&mut self, now: Instant, from: usize) {
        self.data = from..self.command.len().min(from + MAX_DATA);
        let outgoing = self.data.len();
        let header = [self.transport_class(), INS_ENVELOPE, 0, 0, p3_octet(outgoing)];
        self.send_header(now, Tpdu { header, outgoing, kind: Kind::Envelope, ..Tpdu::default() });
    }

    fn send_header(&mut self, now: Instant, tpdu: Tpdu) {
        self.tpdu = tpdu;
        for (place, octet) in self.tx.iter_mut().zip(tpdu.header) {
            *place = octet;
        }
        if self.whole {
            let header = tpdu.header.len();
            self.tpdu.sent = tpdu.outgoing;
            let data = self.command.get(self.data.clone()).unwrap_or(&[]);
            let data = data.get(..tpdu.outgoing).unwrap_or(&[]);
            for (place, octet) in self.tx.iter_mut().skip(header).zip(data) {
                *place = *octet;
            }
            self.transmit(now, header + tpdu.outgoing);
            self.state = State::Whole;
            return;
        }
        self.transmit(now, tpdu.header.len());
    }

    fn send_data(&mut self, now: Instant, count: usize) {
        let from = self.data.start + self.tpdu.sent;
        let part = self.command.get(from..from + count).unwrap_or(&[]);
        for (place, octet) in self.tx.iter_mut().zip(part) {
            *place = *octet;
        }
        let len = part.len();
        self.tpdu.sent += count;
        self.transmit(now, len);
    }

    fn transmit(&mut self, now: Instant, len: usize) {
        self.tx_len = len;
        self.state = State::Procedure;
        self.wait_for_card(now.after(self.line.sending(len)));
        self.out = Out::Transmit;
    }

    fn wait_for_card(&mut self, from: Instant) {
        self.deadline = Some(from.after(self.wt.saturating_add(self.latency)));
    }

    fn receive(&mut self, now: Instant, octets: &[u8]) {
        for octet in octets {
            self.octet(now, *octet);
            if self.state == State::Idle {
                return; // failed: what else came is of no use
            }
        }
    }

    /// An input: the answer to the TPDU that went out whole, data and status word.
    pub fn message(&mut self, now: Instant, octets: &[u8]) {
        let Some((data, sw)) = octets.split_last_chunk() else {
            return self.fail(T0Error::Silent);
        };
        if self.state != State::Whole || data.len() > self.tpdu.incoming {
            return self.fail(T0Error::Leftover);
        }
        self.tpdu.got = data.len();
        let room = self.le.unwrap_or(0).saturating_sub(self.response.len());
        self.response.extend_from_slice(data.get(..room.min(data.len())).unwrap_or(&[]));
        self.ended(now, StatusWord::from_be_bytes(*sw));
    }

    fn octet(&mut self, now: Instant, octet: u8) {
        self.wait_for_card(now);
        match self.state {
            State::Idle | State::Ending(_) | State::Whole => self.fail(T0Error::Leftover),
            State::Turning(_) => self.fail(T0Error::ProcedureByte(octet)),
            State::Procedure => self.procedure(now, octet),
            State::Data(left) => {
                self.tpdu.got += 1;
                // More than the caller asked for (6Cxx with a bigger length) is dropped.
                if self.response.len() < self.le.unwrap_or(0) {
                    self.response.push(octet);
                }
                self.state = if left > 1 { State::Data(left - 1) } else { State::Procedure };
            }
            State::Sw2(sw1) => {
                let sw = StatusWord::from_be_bytes([sw1, octet]);
                self.state = State::Ending(sw);
                let silence = if self.goes_on_after(sw) {
                    self.turnaround()
                } else {
                    self.line.etus(SILENCE)
                };
                self.deadline = Some(now.after(silence));
            }
        }
    }

    fn turnaround(&self) -> Duration {
        self.line.etus(self.policy.profile.turnaround_etu())
    }

    /// Whether a header follows this status word at once. What could come behind SW2 by mistake is
    /// SW2 again: where that is no procedure byte of the next header, it fails the exchange then.
    fn goes_on_after(&self, sw: StatusWord) -> bool {
        let ins = match self.next(sw) {
            Next::GetResponse(_) => INS_GET_RESPONSE,
            Next::Envelope(_) => INS_ENVELOPE,
            Next::Correct(_) => self.tpdu.header[1],
            Next::Over => return false,
        };
        Procedure::of(sw.sw2(), ins, self.policy).is_none()
    }

    /// What the card wants next.
    fn procedure(&mut self, now: Instant, octet: u8) {
        let ins = self.tpdu.header[1];
        let to_send = self.tpdu.outgoing - self.tpdu.sent;
        let to_come = self.tpdu.incoming - self.tpdu.got;
        let count = match Procedure::of(octet, ins, self.policy) {
            // The waiting time starts again.
            Some(Procedure::Null) => return,
            Some(Procedure::Sw1) => {
                self.state = State::Sw2(octet);
                return;
            }
            Some(Procedure::All) => to_send.max(to_come),
            Some(Procedure::One) => 1,
            None => return self.fail(T0Error::ProcedureByte(octet)),
        };
        if to_send > 0 {
            self.state = State::Turning(count);
            self.deadline = Some(now.after(self.turnaround()));
        } else if to_come > 0 {
            self.state = State::Data(count);
        } else {
            self.fail(T0Error::ProcedureByte(octet));
        }
    }

    /// What a status word asks for (clause 12.2).
    fn next(&self, sw: StatusWord) -> Next {
        let room = self.le.map_or(0, |le| le.saturating_sub(self.response.len()));
        let fetched = self.tpdu.kind == Kind::GetResponse || self.tpdu.outgoing == 0;
        let enveloped = self.tpdu.kind == Kind::Envelope;
        if enveloped && self.data.end < self.command.len() {
            // Anything but 9000 in mid-command ends it.
            if sw == StatusWord::OK { Next::Envelope(self.data.end) } else { Next::Over }
        } else if let Some(waiting) = sw.more_data().filter(|_| room > 0) {
            Next::GetResponse(room.min(waiting.into()))
        } else if let Some(right) = sw.right_length()
            && self.tpdu.incoming > 0
            && self.tpdu.got == 0
            && !self.tpdu.corrected
            && !NEVER_AGAIN.contains(&self.ins)
        {
            Next::Correct(right.into())
        } else if sw == StatusWord::OK && self.policy.get_response_after_ok && !fetched && room > 0
        {
            Next::GetResponse(room.min(MAX_ANSWER))
        } else {
            Next::Over
        }
    }

    /// A TPDU has ended and nothing came behind it.
    fn ended(&mut self, now: Instant, sw: StatusWord) {
        match self.next(sw) {
            Next::GetResponse(_) if self.withheld() => return self.fail(T0Error::Withheld),
            Next::GetResponse(incoming) if self.fits(incoming) => {
                return self.get_response(now, incoming);
            }
            Next::GetResponse(_) => return self.fail(T0Error::TooLong),
            Next::Envelope(from) => return self.envelope(now, from),
            Next::Correct(incoming) => {
                let mut tpdu = Tpdu { incoming, corrected: true, ..self.tpdu };
                tpdu.header[4] = p3_octet(incoming);
                return self.send_header(now, tpdu);
            }
            Next::Over => {}
        }
        // An error has no data (ISO/IEC 7816-4 clause 5.6).
        if matches!(sw.sw1(), 0x64..=0x6F) {
            self.response.zeroize();
        }
        if !self.fits(0) {
            return self.fail(T0Error::TooLong);
        }
        self.response.extend_from_slice(&sw.to_be_bytes());
        self.finish(Out::Response);
    }

    /// The card says 61xx: once more, without having sent anything for the last one?
    fn withheld(&mut self) -> bool {
        let nothing = self.tpdu.kind == Kind::GetResponse && self.tpdu.got == 0;
        self.empty = if nothing { self.empty + 1 } else { 0 };
        self.empty >= EMPTY
    }

    /// Whether so many octets more and a status word are within the limit.
    fn fits(&self, octets: usize) -> bool {
        self.response.len() + octets + 2 <= self.max_response
    }

    /// GET RESPONSE and ENVELOPE go in the class of the command: cards of this house answer under
    /// 80 and 84, and a logical channel keeps its number. The chaining bit is not for them.
    const fn transport_class(&self) -> u8 {
        if self.cla & 0xE0 == 0 { self.cla & !0x10 } else { self.cla }
    }

    fn get_response(&mut self, now: Instant, incoming: usize) {
        let header = [self.transport_class(), INS_GET_RESPONSE, 0, 0, p3_octet(incoming)];
        self.send_header(
            now,
            Tpdu { header, incoming, kind: Kind::GetResponse, ..Tpdu::default() },
        );
    }

    fn fail(&mut self, why: T0Error) {
        self.finish(Out::Failed(why));
    }

    fn finish(&mut self, out: Out<T0Error>) {
        self.command.zeroize();
        self.tx.zeroize();
        self.state = State::Idle;
        self.deadline = None;
        self.out = out;
    }
}

/// Without what was sent and received: it may hold a PIN.
impl fmt::Debug for T0 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("T0").field("line", &self.line).finish_non_exhaustive()
    }
}

impl Drop for T0 {
    fn drop(&mut self) {
        self.finish(Out::Nothing);
        self.response.zeroize();
    }
}

/// What follows a TPDU.
enum Next {
    /// GET RESPONSE for so many octets.
    GetResponse(usize),
    /// The part of the command that begins here.
    Envelope(usize),
    /// The same command again, with this length.
    Correct(usize),
    /// Nothing: the exchange is over.
    Over,
}
