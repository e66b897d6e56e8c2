// SPDX-License-Identifier: Apache-2.0
//! The dialogue with the card, one command at a time: its way from the reset to an open session,
//! and back.
//!
//! ```text
//! Absent ──activate──▶ Activating ──ATR──▶ Select ──▶ Info ──▶ Pair ──▶ Ready
//!    ▲                    ▲                  ▲                   │        │
//!    │ mute, removed      │ an exchange      │ the session       └──▶ Unpaired (EMMs only)
//!    └────────────────────┴ got no answer    └ is lost
//! ```
//!
//! What keeps failing is given up for a while (`setbacks.rs`). The dialogue knows how to ask and
//! not what for: the engine asks, is told what came of it, and draws the conclusions
//! (`engine/card.rs`).

mod idle;

use crate::card::exchange::{Answer, Exchange, Step};
use crate::card::pace::Pace;
use crate::card::setbacks::Setbacks;
use crate::card::silence::Silence;
use crate::{Absence, SignOfLife};
use alloc::boxed::Box;
use alloc::vec::Vec;
use cam_types::{Aid, Instant, Pseudonym, StatusWord, interindustry};
use core::time::Duration;
use ecm_emm::card::CLA;
use gp::scp03::{self, Initialize, ScpError};

/// See the module.
pub(crate) struct CardDialogue {
    link: Link,
    /// The last card that introduced itself, also while it is out.
    card: Option<Pseudonym>,
    /// What the card was asked last and has not answered.
    flight: Option<Flight>,
    handshake: Option<Handshake>,
    channel: Option<scp03::Session>,
    /// The command on the line; reused.
    command: Vec<u8>,
    /// The plain text of the last answer; reused.
    data: Vec<u8>,
    setbacks: Setbacks,
    last_exchange: Instant,
    /// [`crate::Config::idle_poll`]: the idle poll period.
    poll: Option<Duration>,
    /// How this card is asked when it is idle.
    sign_of_life: SignOfLife,
    /// The last sign of life may have been another card's.
    doubtful: bool,
    /// The next one lets an ECM go first that is due, until then.
    held: Option<Instant>,
    silence: Silence,
    pace: Pace,
}

impl CardDialogue {
    /// Octets of the longest command: header, Lc, 255 of data, Le. No answer has more data.
    const LONGEST: usize = 4 + 1 + 255 + 1;

    pub(crate) fn new(poll: Option<Duration>) -> Self {
        Self {
            link: Link::Absent { retry: poll.map(|_| Instant::default()) },
            card: None,
            flight: None,
            handshake: None,
            channel: None,
            command: Vec::with_capacity(Self::LONGEST),
            data: Vec::with_capacity(Self::LONGEST),
            setbacks: Setbacks::default(),
            last_exchange: Instant::default(),
            poll,
            sign_of_life: SignOfLife::default(),
            doubtful: false,
            held: None,
            silence: Silence::default(),
            pace: Pace::default(),
        }
    }

    /// There is no detect line: the card is polled.
    pub(crate) const fn polls(&self) -> bool {
        self.poll.is_some()
    }

    /// What the card is to be given next.
    pub(crate) fn next(&self, now: Instant) -> Next {
        if self.flight.is_some() {
            return Next::Nothing;
        }
        match self.link {
            Link::Absent { retry: Some(at) } if now >= at => Next::Activate,
            Link::Absent { .. } | Link::Activating => Next::Nothing,
            Link::Up(Stage::Select) => Next::Select,
            Link::Up(Stage::Unusable) if now >= self.another_look() => Next::Select,
            Link::Up(Stage::Unusable) => Next::Nothing,
            Link::Up(Stage::Info) => Next::Introduction,
            Link::Up(Stage::Pair) => Next::Channel,
            Link::Up(Stage::Unpaired) => Next::Unpaired,
            Link::Up(Stage::Ready) => Next::Session,
        }
    }

    /// When `next` will change by itself, or a sign of life is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.link {
            Link::Absent { retry } => retry,
            Link::Up(Stage::Unusable) if self.flight.is_none() => Some(self.another_look()),
            Link::Up(_) if self.flight.is_none() => self.poll_at().max(self.held),
            Link::Activating | Link::Up(_) => None,
        }
    }

    /// The card is in session and waits for a command.
    pub(crate) fn is_free(&self) -> bool {
        self.flight.is_none() && self.link == Link::Up(Stage::Ready)
    }

    fn poll_at(&self) -> Option<Instant> {
        self.poll.map(|idle| self.last_exchange.after(idle))
    }

    /// A card that was not ours is selected once more: it may have been a bad contact.
    fn another_look(&self) -> Instant {
        self.last_exchange.after(self.poll.unwrap_or(Setbacks::MAX_RETRY))
    }
}

/// The reader, and what keeps failing.
impl CardDialogue {
    /// The detect line says that a card is there. `true` if there was none.
    pub(crate) fn card_came(&mut self) -> bool {
        let absent = matches!(self.link, Link::Absent { .. });
        if absent {
            self.setbacks.forget();
        }
        absent
    }

    pub(crate) fn is_activating(&self) -> bool {
        self.link == Link::Activating
    }

    /// The card is being reset.
    pub(crate) fn activating(&mut self) {
        self.close_channel();
        self.link = Link::Activating;
    }

    /// The card answered to its reset.
    pub(crate) fn answered_to_reset(&mut self, now: Instant, sign_of_life: SignOfLife) {
        self.last_exchange = now;
        self.sign_of_life = sign_of_life;
        self.doubtful = false;
        self.silence.card_reset();
        self.pace.card_reset();
        self.select_anew();
    }

    /// There is no card. Gives the moment when the reader is tried again, if it is.
    pub(crate) fn absent(&mut self, now: Instant, why: Absence) -> Option<Instant> {
        self.setbacks.absent(now, why, self.polls()).map(|after| now.after(after))
    }

    /// The card is left alone, until then.
    pub(crate) fn leave(&mut self, retry: Option<Instant>) {
        self.close_channel();
        self.link = Link::Absent { retry };
    }

    /// Something was lost. Gives the moment until which a card that keeps failing is left alone.
    pub(crate) fn failed(&mut self, now: Instant) -> Option<Instant> {
        self.close_channel();
        self.setbacks.met(now).then(|| now.after(self.setbacks.wait()))
    }
}

/// What the keys of a silent card have to do with it.
impl CardDialogue {
    /// Looks at the time. `true` when the keys are to go now, for the card says nothing, and nobody
    /// would tell that it was pulled.
    pub(crate) fn falls_silent(&mut self, now: Instant) -> bool {
        self.polls() && self.is_busy() && self.silence.is_over(now)
    }

    /// When [`CardDialogue::falls_silent`] is next to be asked.
    pub(crate) fn silent_at(&self) -> Option<Instant> {
        self.silence.ends()
    }

    /// The keys went, and have neither come back nor been forgotten.
    pub(crate) const fn withholds_keys(&self) -> bool {
        self.silence.withholds()
    }

    /// The keys are back, or are forgotten.
    pub(crate) fn keys_settled(&mut self) {
        self.silence.settled();
    }

    /// The secure session is the one that the keys came in.
    pub(crate) const fn has_session(&self) -> bool {
        self.channel.is_some()
    }
}

/// From SELECT to an open session.
impl CardDialogue {
    /// The card has introduced itself.
    pub(crate) fn introduced(&mut self, card: Pseudonym) -> Identity {
        if self.is_introducing() {
            self.link = Link::Up(Stage::Pair);
        }
        if self.card.replace(card) == Some(card) { Identity::Same } else { Identity::Other }
    }

    /// The last card that introduced itself, also while it is out.
    pub(crate) fn card(&self) -> Option<Pseudonym> {
        self.card
    }

    /// The card has not introduced itself since it was selected.
    pub(crate) fn is_introducing(&self) -> bool {
        self.link == Link::Up(Stage::Info)
    }

    /// It is no card of this system.
    pub(crate) fn unusable(&mut self) {
        self.link = Link::Up(Stage::Unusable);
    }

    /// There is no pairing that opens a channel with it.
    pub(crate) fn unpaired(&mut self) {
        self.handshake = None;
        self.link = Link::Up(Stage::Unpaired);
    }

    /// A pairing did not open a channel. `true` if it is tried again.
    pub(crate) fn pairs_again(&mut self, now: Instant) -> bool {
        let again = !self.setbacks.met(now);
        if !again {
            self.setbacks.forget();
        }
        again
    }

    /// The session is over: begins again with SELECT, once the command on the line has its answer.
    /// Gives what that was for.
    pub(crate) fn start_over(&mut self, now: Instant) -> Option<Exchange> {
        self.select_anew();
        if self.is_probing() {
            return None; // it belongs to no session
        }
        let busy = self.flight.is_some();
        let lost = self.drop_flight(now);
        self.flight = busy.then_some(Flight::Forgotten);
        lost
    }

    fn select_anew(&mut self) {
        self.close_channel();
        self.link = Link::Up(Stage::Select);
    }

    fn close_channel(&mut self) {
        self.channel = None;
        self.handshake = None;
    }

    /// A step of the dialogue's own was answered.
    pub(crate) fn proceed(&mut self, step: Step, answer: Answer) -> Progress {
        match step {
            Step::Select => self.selected(answer),
            Step::Initialize => self.initialized(answer),
            Step::Authenticate => self.authenticated(answer),
        }
    }

    fn selected(&mut self, answer: Answer) -> Progress {
        match (answer, self.link) {
            (Ok(_), Link::Up(Stage::Select | Stage::Unusable)) => {
                self.link = Link::Up(Stage::Info);
                Progress::On
            }
            _ => Progress::Unusable,
        }
    }

    fn initialized(&mut self, answer: Answer) -> Progress {
        let Some(Handshake::Initialize(initialize)) = self.handshake.take() else {
            return Progress::On;
        };
        match answer.and_then(|_| initialize.answer(&self.data)) {
            Ok(open) => {
                self.command.clear();
                self.command.extend_from_slice(open.command());
                self.handshake = Some(Handshake::Open(Box::new(open)));
                self.launch(Exchange::Step(Step::Authenticate));
                Progress::Asked
            }
            Err(why) => Progress::Refused(why),
        }
    }

    fn authenticated(&mut self, answer: Answer) -> Progress {
        let Some(Handshake::Open(open)) = self.handshake.take() else { return Progress::On };
        match answer.and_then(|sw| open.finish(sw)) {
            Ok(channel) => {
                self.channel = Some(channel);
                self.link = Link::Up(Stage::Ready);
                Progress::Open
            }
            Err(why) => Progress::Refused(why),
        }
    }
}

/// Commands and their answers.
impl CardDialogue {
    /// SELECT of the CAS application goes out.
    pub(crate) fn select(&mut self) {
        self.command.clear();
        self.command.extend(interindustry::select(Aid::CAS.octets()));
        self.command.push(0x00);
        self.launch(Exchange::Step(Step::Select));
    }

    /// The secure channel's first command goes out.
    pub(crate) fn open(&mut self, initialize: Initialize) {
        self.command.clear();
        self.command.extend_from_slice(&initialize.command());
        self.handshake = Some(Handshake::Initialize(initialize));
        self.link = Link::Up(Stage::Pair);
        self.launch(Exchange::Step(Step::Initialize));
    }

    /// A command goes out, protected when there is a channel.
    pub(crate) fn ask(&mut self, exchange: Exchange, ins: u8, parameters: [u8; 2], data: &[u8]) {
        self.build(ins, parameters, data);
        self.launch(exchange);
    }

    fn build(&mut self, ins: u8, [p1, p2]: [u8; 2], data: &[u8]) {
        let Self { channel, command, .. } = self;
        let Some(channel) = channel else {
            command.clear();
            command.extend([CLA, ins, p1, p2]);
            if let Some(lc) = u8::try_from(data.len()).ok().filter(|lc| *lc > 0) {
                command.push(lc);
                command.extend_from_slice(data);
            }
            command.push(0x00);
            return;
        };
        // Every length is checked on its way in, and a session that is over is never used again:
        // what is left of an error is an empty command, which no card takes.
        if let Err(why) = channel.wrap(CLA, ins, p1, p2, data, command) {
            log::error!("command {ins:02X} could not be protected: {why}");
            command.clear();
            command.extend([CLA, ins, p1, p2, 0x00]);
        }
    }

    /// The command in the buffer goes out.
    fn launch(&mut self, exchange: Exchange) {
        if let [cla, ins, p1, p2, ..] = self.command.as_slice() {
            log::trace!("> {cla:02X} {ins:02X} {p1:02X} {p2:02X}, {} octets", self.command.len());
        }
        self.doubtful = false;
        self.fly(exchange);
    }

    fn fly(&mut self, exchange: Exchange) {
        self.flight = Some(Flight::Asked(exchange));
        self.held = None;
        self.silence.begin();
    }

    /// The command on the line.
    pub(crate) fn command(&self) -> &[u8] {
        &self.command
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.flight.is_some()
    }

    /// The exchange on the line will get no answer. Gives what it was for.
    pub(crate) fn drop_flight(&mut self, now: Instant) -> Option<Exchange> {
        let flight = self.flight.take()?;
        self.pace.over();
        self.last_exchange = now;
        self.silence.begin();
        match flight {
            Flight::Asked(exchange) => Some(exchange),
            Flight::Forgotten => None,
        }
    }

    /// The card's answer to the command on the line: its data is in [`CardDialogue::data`]. One
    /// that comes too late is for nobody.
    pub(crate) fn answered(&mut self, now: Instant, response: &[u8]) -> Option<(Exchange, Answer)> {
        self.silence.answered(now);
        if let Some(Flight::Asked(exchange)) = &self.flight {
            self.pace.answered(now, exchange, self.command.len() + response.len());
        }
        let exchange = self.drop_flight(now)?;
        let answer = self.unwrap(response);
        match answer {
            Ok(sw) => log::trace!("< {sw}"),
            Err(why) => log::trace!("< {why}"),
        }
        if answer.is_ok() && (self.channel.is_some() || self.link == Link::Up(Stage::Unpaired)) {
            self.setbacks.forget();
        }
        Some((exchange, answer))
    }

    fn unwrap(&mut self, response: &[u8]) -> Answer {
        if let Some(channel) = &mut self.channel {
            return channel.unwrap(response, &mut self.data);
        }
        let (data, sw) = response.split_last_chunk::<2>().ok_or(ScpError::Malformed("response"))?;
        self.data.clear();
        self.data.extend_from_slice(data);
        match StatusWord::from_be_bytes(*sw) {
            StatusWord::OK => Ok(StatusWord::OK),
            sw => Err(ScpError::Refused(sw)),
        }
    }

    /// The answer shows that the session is lost.
    pub(crate) fn is_lost_by(&self, answer: Answer) -> bool {
        match answer {
            Ok(_) => false,
            // Bare status words: no session, or none of the applet that was selected.
            Err(ScpError::Refused(sw)) => {
                let no_session = matches!(
                    sw,
                    StatusWord::SECURITY_STATUS
                        | StatusWord::SECURE_MESSAGING
                        | StatusWord::UNKNOWN_INS
                        | StatusWord::UNKNOWN_CLA
                );
                self.channel.is_some() && no_session
            }
            Err(_) => true,
        }
    }

    /// What follows every input: the time of a command that has just gone out begins.
    pub(crate) fn clock(&mut self, now: Instant) {
        if self.flight.is_some() {
            self.pace.out(now);
        }
    }

    /// How long exchanges take.
    pub(crate) const fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The data of the last answer.
    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The same, if this answer says that all is well.
    pub(crate) fn told(&self, answer: Answer) -> Option<&[u8]> {
        (answer == Ok(StatusWord::OK)).then_some(&self.data)
    }
}

/// What the card is to be given next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// Nothing: it is busy, or it is not time yet.
    Nothing,
    Activate,
    Select,
    /// CAS INFO: the card introduces itself.
    Introduction,
    /// The secure channel, by the pairing with this card.
    Channel,
    /// What a card takes that is not paired with this box.
    Unpaired,
    /// Whatever waits for a card in session.
    Session,
}

/// Whether it is the card that was there before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Identity {
    Same,
    Other,
}

/// What a step of the dialogue's own came to.
pub(crate) enum Progress {
    /// It goes on by itself.
    On,
    /// Another command of its own is on the line.
    Asked,
    /// The card does not have the application.
    Unusable,
    /// The secure channel is open.
    Open,
    /// The pairing does not open a channel.
    Refused(ScpError),
}

/// Where the card is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Link {
    /// No card; try again then.
    Absent { retry: Option<Instant> },
    /// `ActivateCard` is out.
    Activating,
    /// It takes commands.
    Up(Stage),
}

/// How far the dialogue has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Select,
    Info,
    Pair,
    Unpaired,
    /// Not a card of this system.
    Unusable,
    Ready,
}

/// A channel that is being opened.
enum Handshake {
    Initialize(Initialize),
    Open(Box<scp03::Open>),
}

/// What is on the line.
enum Flight {
    Asked(Exchange),
    /// Its session ended while it was on the line: the answer is for nobody.
    Forgotten,
}

#[cfg(test)]
mod tests;
