// SPDX-License-Identifier: Apache-2.0
//! The host's end of the serial cable: commands, answers, and what to do when one is damaged.
//!
//! Normative references:
//!  - USB device class specification for integrated circuit cards (CCID), revision 1.1, clause 6
//!
//! Heads up:
//!  - A frame that the reader refused was not obeyed, and goes again as it is. A frame that it
//!    echoed whole was: it never goes again, for the card would get its command twice.
//!  - An answer that did not arrive is asked for by a refusal of ours: that repeats no command.
//!  - An answer with another sequence number belongs to a command that was given up.
use super::frame::{Frame, Frames, Header, LONGEST, LONGEST_DATA, REFUSAL};
use super::parameters::Parameters;
use cam_types::Instant;
use iso7816::line::Reset;
use iso7816::pps::Pps;
use std::time::Duration;
use zeroize::Zeroize;

mod command;
mod doors;

pub use doors::{Input, Output};

use command::{
    ABSENT, ANSWER, CARD_STATUS, COMMAND_STATUS, Command, DAMAGED, Echo, MORE_TIME, Pending,
};

/// The host of one reader. It owns no port and no clock.
#[derive(Debug)]
pub struct Host {
    frames: Frames,
    parameters: Parameters,
    /// Whether this reader echoes commands.
    echoes: bool,
    present: bool,
    powered: bool,
    /// Which voltage a card that stays mute is tried with.
    voltage: u8,
    pending: Option<Pending>,
    /// What follows the command that is out.
    next: Option<Command>,
    frame: [u8; LONGEST],
    frame_len: usize,
    transfer: [u8; LONGEST_DATA],
    transfer_len: usize,
    answer: [u8; LONGEST_DATA],
    answer_len: usize,
    send: Option<Send>,
    happened: Option<Happened>,
    /// The card has left, and nobody was told.
    left: bool,
    sequence: u8,
    /// When the line has been silent for so long that what is half there is given up.
    silent: Option<Instant>,
    /// When the reader was heard last.
    heard: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Send {
    Frame,
    Refusal,
}

#[derive(Clone, Copy, Debug)]
enum Happened {
    AnswerToReset,
    Message,
    Unanswered { damaged: bool },
    Dead,
}

impl Host {
    /// A host that knows nothing of its reader, which gives cards this clock in Hz.
    pub const fn new(clock_hz: u32) -> Self {
        Self {
            frames: Frames::new(),
            parameters: Parameters::new(clock_hz),
            echoes: false,
            present: false,
            powered: false,
            voltage: 0,
            pending: None,
            next: None,
            frame: [0; LONGEST],
            frame_len: 0,
            transfer: [0; LONGEST_DATA],
            transfer_len: 0,
            answer: [0; LONGEST_DATA],
            answer_len: 0,
            send: None,
            happened: None,
            left: false,
            sequence: 0,
            silent: None,
            heard: Instant::from_micros(0),
        }
    }

    /// One input; then [`Host::poll_output`] until it says [`Output::Wait`].
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Greet => self.start(now, Command::Firmware),
            Input::Activate(reset) => {
                self.give_up();
                self.left = false;
                if reset == Reset::Cold && self.powered {
                    self.next = Some(Command::PowerOn);
                    self.start(now, Command::PowerOff);
                } else {
                    self.start(now, Command::PowerOn);
                }
            }
            Input::Deactivate => {
                self.give_up();
                self.start(now, Command::PowerOff);
            }
            Input::Configure(line) => self.parameters.configure(line),
            Input::Transfer(octets) => self.transfer(now, octets),
            Input::Look if self.idle() && now.since(self.heard) >= LOOK => {
                self.start(now, Command::Status);
            }
            Input::Look => {}
            Input::Received(octets) => self.received(now, octets),
            Input::Timeout => self.timeout(now),
        }
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Output<'_> {
        if let Some(send) = self.send.take() {
            return Output::Send(match send {
                Send::Frame => self.frame.get(..self.frame_len).unwrap_or_default(),
                Send::Refusal => &REFUSAL,
            });
        }
        if std::mem::take(&mut self.left) {
            return Output::Removed;
        }
        if let Some(happened) = self.happened.take() {
            return match happened {
                Happened::AnswerToReset => Output::AnswerToReset,
                Happened::Message => Output::Message,
                Happened::Unanswered { damaged } => Output::Unanswered { damaged },
                Happened::Dead => Output::Dead,
            };
        }
        let deadline = self.pending.map(|pending| pending.deadline);
        let again = self.pending.and_then(|pending| pending.again);
        Output::Wait([self.silent, again, deadline].into_iter().flatten().min())
    }

    /// What the card answered.
    pub fn answer(&self) -> &[u8] {
        self.answer.get(..self.answer_len).unwrap_or_default()
    }

    /// The answer is not needed any more.
    pub fn forget_answer(&mut self) {
        if let Some(answer) = self.answer.get_mut(..self.answer_len) {
            answer.zeroize();
        }
        self.answer_len = 0;
    }

    /// A card is in, as far as the reader has told.
    pub const fn present(&self) -> bool {
        self.present
    }

    /// Nothing is going on.
    pub const fn idle(&self) -> bool {
        self.pending.is_none() && self.happened.is_none()
    }

    /// Whatever is going on: nobody waits for it any more.
    fn give_up(&mut self) {
        self.transfer.zeroize();
        (self.pending, self.next, self.happened) = (None, None, None);
    }

    fn transfer(&mut self, now: Instant, octets: &[u8]) {
        let Some(place) = self.transfer.get_mut(..octets.len()) else {
            self.happened = Some(Happened::Unanswered { damaged: false });
            return;
        };
        place.copy_from_slice(octets);
        self.transfer_len = octets.len();
        // PPS comes before the parameters that it agrees on.
        let ready = self.parameters.known || octets.first() == Some(&Pps::PPSS);
        match self.pending {
            // A look at the reader's status; what has to come before is seen to afterwards.
            Some(_) => self.next = Some(Command::Transfer),
            None if ready => self.start(now, Command::Transfer),
            None => {
                self.next = Some(Command::Transfer);
                self.start(now, Command::SetParameters);
            }
        }
    }

    /// The command after the one that was answered.
    fn go_on(&mut self, now: Instant) {
        let Some(next) = self.next else { return };
        let pps = self.transfer.first() == Some(&Pps::PPSS);
        if next == Command::Transfer && !self.parameters.known && !pps {
            self.start(now, Command::SetParameters);
        } else {
            self.next = None;
            self.start(now, next);
        }
    }

    fn start(&mut self, now: Instant, command: Command) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut own = [0; 3];
        let mut structure = [0; 7];
        let mut limit = LIMIT;
        let data: &[u8] = match command {
            Command::Firmware => &[0x02],
            Command::Asynchronous => &[0x01, 0x00, 0x01],
            Command::Status | Command::PowerOff => &[],
            Command::PowerOn => {
                limit = POWER_ON_LIMIT;
                self.powered = true;
                own = [1 + self.voltage, 0, 0];
                &[]
            }
            Command::SetParameters => {
                let (protocol, len) = self.parameters.emit(&mut structure);
                own = [protocol, 0, 0];
                structure.get(..len).unwrap_or_default()
            }
            Command::Transfer => {
                let block = self.transfer.get(..self.transfer_len).unwrap_or_default();
                let patience = self.parameters.patience(block);
                limit = patience.limit;
                own = [patience.bwi, 0, 0];
                block
            }
        };
        let header = Header { kind: command.kind(), slot: 0, sequence: self.sequence, own };
        self.frame_len = header.emit(data, &mut self.frame).unwrap_or(0);
        self.pending = Some(Pending::new(command, now, limit));
        self.send = Some(Send::Frame);
    }

    fn received(&mut self, now: Instant, octets: &[u8]) {
        self.heard = now;
        for part in octets.chunks(Frames::PUSH) {
            self.frames.push(part);
            self.take(now);
        }
        let noise = self.pending.is_some_and(|pending| pending.noise);
        self.silent = (noise || self.frames.pending()).then(|| now.after(SILENCE));
    }

    fn take(&mut self, now: Instant) {
        while let Some(frame) = self.frames.take() {
            match frame {
                Frame::Message(header) => self.message(now, header),
                Frame::Movement { present } => self.moved(present),
                Frame::Refusal => match self.pending {
                    Some(Pending { echo: Echo::Whole, .. }) | None => {}
                    Some(_) => self.repeat(now),
                },
                // What needs no card needs no more time either, or a port that babbles is no end.
                Frame::Time => {
                    if let Some(pending) = &mut self.pending
                        && pending.command.is_of_card()
                    {
                        pending.deadline = now.after(pending.limit);
                    }
                }
                Frame::Noise => {
                    if let Some(pending) = &mut self.pending {
                        pending.noise = true;
                    }
                }
            }
        }
    }

    fn message(&mut self, now: Instant, header: Header) {
        let Some(pending) = &mut self.pending else { return };
        if header.kind & ANSWER == 0 {
            if Some(self.frames.taken()) != self.frame.get(..self.frame_len) {
                // The reader gives back what it got, and that is not what it was sent.
                self.frames.doubt();
                pending.noise = true;
            } else {
                // A reader that refuses octets gives them back, and our frame may be among them.
                let echo = if self.frames.among() { Echo::Damaged } else { Echo::Whole };
                (pending.echo, pending.noise) = (echo, false);
                self.echoes = true;
            }
            return;
        }
        let ours = header.sequence == self.sequence && header.slot == 0;
        if ours && header.kind == pending.command.answer_kind() {
            let pending = *pending;
            self.answered(now, pending, header);
        } else if pending.asked > 0 {
            // Our refusal brought an older answer: the reader is still at work, or knows nothing of
            // this command.
            (pending.stale, pending.again) = (true, None);
            let certain = self.echoes && pending.echo == Echo::Nothing;
            if certain || pending.command != Command::Transfer {
                self.repeat(now);
            }
        }
    }

    fn answered(&mut self, now: Instant, pending: Pending, header: Header) {
        let [status, error, _] = header.own;
        if status & COMMAND_STATUS == MORE_TIME && pending.command.is_of_card() {
            let limit = pending.limit.saturating_mul(u32::from(error).max(1));
            self.pending = Some(Pending { deadline: now.after(limit), ..pending });
            return;
        }
        self.pending = None;
        let present = status & CARD_STATUS != ABSENT;
        let failed = status & COMMAND_STATUS != 0;
        if present != self.present {
            self.moved(present);
        }
        if failed && !present && pending.command.is_of_card() {
            self.left = true;
            self.next = None;
            return;
        }
        match pending.command {
            Command::Firmware => {
                log::info!("reader: {}", String::from_utf8_lossy(self.frames.data()));
                self.start(now, Command::Asynchronous);
            }
            // A reader that does not know it tells of movements with its next answer.
            Command::Asynchronous => self.start(now, Command::Status),
            Command::Status => {}
            Command::PowerOff => self.powered = false,
            Command::PowerOn => self.power_on(failed, error),
            Command::SetParameters if failed => {
                log::warn!("reader refuses the parameters of the card, error {error:02X}");
                self.next = None;
                self.happened = Some(Happened::Unanswered { damaged: false });
            }
            Command::SetParameters => self.parameters.known = true,
            Command::Transfer => {
                if let Some(block) = self.transfer.get_mut(..self.transfer_len) {
                    block.zeroize();
                }
                self.frame.zeroize();
                self.happened = Some(if failed {
                    log::debug!("reader: transfer failed, error {error:02X}");
                    Happened::Unanswered { damaged: DAMAGED.contains(&error) }
                } else {
                    self.keep_answer();
                    Happened::Message
                });
            }
        }
        if self.pending.is_none() {
            self.go_on(now);
        }
    }

    fn power_on(&mut self, failed: bool, error: u8) {
        self.answer_len = 0;
        if failed {
            log::debug!("reader: no answer to reset, error {error:02X}");
            // 5 V, 3 V, 1.8 V, and from the beginning.
            self.voltage = (self.voltage + 1) % 3;
            self.powered = false;
        } else {
            self.keep_answer();
        }
        self.parameters.answered(self.answer.get(..self.answer_len).unwrap_or_default());
        self.happened = Some(Happened::AnswerToReset);
    }

    fn keep_answer(&mut self) {
        let data = self.frames.data();
        self.answer_len = data.len();
        if let Some(place) = self.answer.get_mut(..data.len()) {
            place.copy_from_slice(data);
        }
    }

    /// A card came or left. One that came while we knew of another is not the same.
    fn moved(&mut self, present: bool) {
        if self.present && (!present || self.powered) {
            self.left = true;
            self.powered = false;
            self.voltage = 0;
            // The rest of a command that is out is about a card that is gone.
            if self.pending.is_some_and(|pending| pending.command.is_of_card()) {
                self.give_up();
            }
            self.next = None;
        }
        self.present = present;
    }

    fn timeout(&mut self, now: Instant) {
        if self.silent.is_some_and(|at| at <= now) {
            self.silent = None;
            while self.frames.pending() {
                self.frames.silence();
                if let Some(pending) = &mut self.pending {
                    pending.noise = true;
                }
                self.take(now);
            }
            if let Some(pending) = &mut self.pending
                && std::mem::take(&mut pending.noise)
            {
                if self.echoes && pending.echo == Echo::Nothing {
                    pending.echo = Echo::Damaged;
                } else {
                    self.ask(now);
                }
            }
        }
        let Some(pending) = &mut self.pending else { return };
        if pending.deadline <= now {
            if pending.asked >= TRIES {
                return self.fail();
            }
            pending.deadline = now.after(REPETITION);
            self.ask(now);
        } else if pending.again.take_if(|again| *again <= now).is_some() {
            self.ask(now);
        }
    }

    /// The reader may have the answer, but we have not.
    fn ask(&mut self, now: Instant) {
        let Some(pending) = &mut self.pending else { return };
        if pending.asked < TRIES {
            pending.asked += 1;
            pending.again = Some(now.after(REPETITION));
            self.send = Some(Send::Refusal);
        }
    }

    /// The frame did not arrive.
    fn repeat(&mut self, now: Instant) {
        let Some(pending) = &mut self.pending else { return };
        if pending.sent >= TRIES {
            return self.fail();
        }
        pending.sent += 1;
        (pending.asked, pending.again) = (0, None);
        (pending.noise, pending.echo) = (false, Echo::Nothing);
        pending.deadline = now.after(pending.limit);
        self.send = Some(Send::Frame);
    }

    /// The command has no answer. Of a reader that is still there the card line may want more.
    fn fail(&mut self) {
        let Some(pending) = self.pending else { return };
        self.give_up();
        let lives = pending.stale || pending.echo != Echo::Nothing;
        self.happened = Some(if lives && pending.command == Command::Transfer {
            Happened::Unanswered { damaged: true }
        } else {
            Happened::Dead
        });
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.frame.zeroize();
        self.transfer.zeroize();
        self.answer.zeroize();
    }
}

/// How often one frame is sent, and one answer asked for.
const TRIES: u8 = 3;
/// What needs no card. Longer than a reader waits for the rest of a frame.
const LIMIT: Duration = Duration::from_millis(1000);
/// A mute card takes the reader a second or two.
const POWER_ON_LIMIT: Duration = Duration::from_secs(3);
/// How soon an answer comes again.
const REPETITION: Duration = Duration::from_millis(300);
/// The reader sends a frame in one go; a USB adapter may hold octets back for 16 ms.
const SILENCE: Duration = Duration::from_millis(60);
/// How often an idle reader is looked at. It tells of movements by itself, but two octets get lost.
const LOOK: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
