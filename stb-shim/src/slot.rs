// SPDX-License-Identifier: Apache-2.0
//! A card on a reader: the card line, the reader that it runs on, and what passes between them.
use crate::clock;
use crate::reader::{Presence, Reader, ReaderError, Received, What};
use crate::readers;
use crate::sys::Waker;
use cam_types::Instant;
use iso7816::atr::Atr;
use iso7816::etu::LineParams;
use iso7816::line::{self, CardLine, Gone, LineError, Output, Policy, Reset};
use std::fmt;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// One card on one reader.
///
/// Whoever has nothing else to wait for calls [`Slot::activate`] and [`Slot::transmit`]. Whoever
/// has gives an input with [`Slot::feed`], takes steps until [`Step::Wait`], and listens.
pub struct Slot {
    reader: Option<Box<dyn Reader>>,
    line: CardLine,
    /// The line wants this reset; whoever takes the steps has been told.
    reset: Option<Reset>,
    /// The line has yet to be told of a reader or a card that is gone.
    gone: Option<Gone>,
    octets: Vec<u8>,
    observer: Option<Observer>,
}

/// Is shown everything that passes, with the time.
pub type Observer = Box<dyn FnMut(Instant, Seen<'_>) + Send>;

/// Something that has passed between terminal and card. Characters are shown as a UART sees them.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Seen<'a> {
    /// The card is being reset.
    Reset(Reset),
    /// The power goes off the card.
    Deactivated,
    /// From here on the line runs like this.
    Runs(LineParams),
    /// Characters, or a message, to the reader.
    Sent(&'a [u8]),
    /// Characters, or a message, from the reader.
    Received {
        /// What came.
        octets: &'a [u8],
        /// With a parity error somewhere, or unreadable.
        damaged: bool,
    },
    /// The card is up, with this answer to reset.
    Ready(&'a Atr),
    /// A command APDU begins its way.
    Command(&'a [u8]),
    /// Its response APDU is complete.
    Response(&'a [u8]),
    /// An exchange, or the card, has failed.
    Failed(&'a LineError),
    /// The reader has failed, or says that the card has left.
    ReaderFailed(&'a ReaderError),
}

/// What a step has done, or what there is to know.
#[must_use]
pub enum Step<'a> {
    /// The reader has done something.
    Moved,
    /// The next step resets the card.
    Resetting(Reset),
    /// The card is up and takes commands.
    Ready(&'a Atr),
    /// The answer to the command.
    Response(&'a [u8]),
    /// The exchange, or the card, has failed.
    Failed(LineError),
    /// The reader has failed or says that the card has left; what that means for the exchange
    /// follows.
    ReaderFailed(ReaderError),
    /// Nothing to do before this instant, or before more input.
    Wait(Option<Instant>),
}

impl Slot {
    /// Room for the longest message of a reader that takes TPDUs.
    const MESSAGE: usize = 512;

    /// Opens a reader ([`readers::open`]). The card is left alone until it is activated.
    pub fn open(url: &str) -> Result<Self, ReaderError> {
        let reader = readers::open(url)?;
        let policy = reader.capabilities().policy();
        Ok(Self::new(reader, policy))
    }

    /// A card in this reader.
    pub fn new(reader: Box<dyn Reader>, policy: Policy) -> Self {
        Self {
            reader: Some(reader),
            line: CardLine::new(policy),
            reset: None,
            gone: None,
            octets: vec![0; policy.max_response.max(Self::MESSAGE)],
            observer: None,
        }
    }

    /// Shows everything that passes to `observer` from now on.
    pub fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// The card line, to be asked: it is driven by the slot alone.
    pub const fn line(&self) -> &CardLine {
        &self.line
    }

    /// The reader; `None` when it is lost.
    pub fn reader(&mut self) -> Option<&mut (dyn Reader + 'static)> {
        self.reader.as_deref_mut()
    }

    /// What the reader waits for ([`Reader::descriptors`]); nothing when it is lost.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.reader.as_ref().map(|reader| reader.descriptors()).unwrap_or_default()
    }

    /// When the reader has something to do by itself ([`Reader::due`]).
    pub fn due(&self) -> Option<Instant> {
        self.reader.as_ref().and_then(|reader| reader.due())
    }

    /// Whether the reader sees a card come and leave.
    pub fn detects(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.capabilities().detect)
    }

    /// Takes the power off the card, whatever the line thinks of it.
    pub fn deactivate(&mut self) {
        if let Some(reader) = &mut self.reader {
            reader.deactivate();
        }
    }

    /// A reader that was lost is back.
    pub fn replace_reader(&mut self, reader: Box<dyn Reader>) {
        self.reader = Some(reader);
    }

    /// Resets the card and brings it up. The answer to reset is the result.
    pub fn activate(&mut self, waker: &Waker) -> Result<Atr, SlotError> {
        self.tell_gone();
        self.feed(line::Input::Activate);
        match self.run(waker)? {
            Done::Ready(atr) => Ok(atr),
            Done::Response(_) => Err(SlotError::Stopped),
        }
    }

    /// Sends a command and waits for its answer, data and status word. When the exchange fails the
    /// line may bring the card back by itself: it is up if it then has an answer to reset.
    pub fn transmit(
        &mut self,
        apdu: &[u8],
        patience: Option<Duration>,
        waker: &Waker,
    ) -> Result<Vec<u8>, SlotError> {
        self.tell_gone();
        self.feed(line::Input::Command { apdu, patience });
        match self.run(waker)? {
            Done::Response(response) => Ok(response),
            Done::Ready(_) => Err(SlotError::Stopped),
        }
    }

    /// Whether a card is in. A reader that fails here is lost.
    pub fn present(&mut self) -> Result<Presence, ReaderError> {
        let Some(reader) = &mut self.reader else { return Ok(Presence::Unknown) };
        reader.present().inspect_err(|error| self.reader_failed(error))
    }

    /// Gives the line one input. Take steps until [`Step::Wait`] afterwards.
    pub fn feed(&mut self, input: line::Input<'_>) {
        let now = clock::now();
        if let line::Input::Command { apdu, .. } = input {
            see(&mut self.observer, now, Seen::Command(apdu));
        }
        self.line.handle_input(now, input);
    }

    /// Does the next thing that the line wants.
    pub fn step(&mut self) -> Step<'_> {
        let now = clock::now();
        if let Some(gone) = self.gone.take() {
            self.line.handle_input(now, line::Input::Gone(gone));
        }
        let Self { reader, line, reset, gone, observer, .. } = self;
        let done = match (reset.take(), reader.as_deref_mut()) {
            (Some(kind), Some(reader)) => {
                see(observer, now, Seen::Reset(kind));
                reader.activate(kind)
            }
            (_, reader) => match (line.poll_output(), reader) {
                (Output::Wait(until), _) => return Step::Wait(until),
                (Output::Ready(atr), _) => {
                    see(observer, now, Seen::Ready(atr));
                    return Step::Ready(atr);
                }
                (Output::Response(response), _) => {
                    see(observer, now, Seen::Response(response));
                    return Step::Response(response);
                }
                (Output::Failed(error), _) => {
                    see(observer, now, Seen::Failed(&error));
                    return Step::Failed(error);
                }
                (Output::Deactivate, reader) => {
                    see(observer, now, Seen::Deactivated);
                    reader.into_iter().for_each(Reader::deactivate);
                    Ok(())
                }
                (Output::Activate(kind), Some(_)) => {
                    *reset = Some(kind);
                    return Step::Resetting(kind);
                }
                (Output::Configure(params), Some(reader)) => {
                    see(observer, now, Seen::Runs(params));
                    reader.configure(&params)
                }
                (Output::Transmit(octets), Some(reader)) => {
                    see(observer, now, Seen::Sent(octets));
                    reader.send(octets)
                }
                (Output::Activate(_) | Output::Configure(_) | Output::Transmit(_), None) => {
                    *gone = Some(Gone::ReaderLost);
                    Ok(())
                }
            },
        };
        match done {
            Ok(()) => Step::Moved,
            Err(error) => {
                see(observer, now, Seen::ReaderFailed(&error));
                *gone = Some(error.gone());
                if error.gone() == Gone::ReaderLost {
                    *reader = None;
                }
                Step::ReaderFailed(error)
            }
        }
    }

    /// Waits for the card, for the waker or for `until`, and gives the line what came. Whether the
    /// waker fired.
    pub fn listen(&mut self, until: Option<Instant>, waker: &Waker) -> Result<bool, ReaderError> {
        let received = match &mut self.reader {
            Some(reader) => reader.receive(&mut self.octets, until, waker),
            None => Ok(Received { woken: waker.wait(until), ..Received::default() }),
        };
        let received = received.inspect_err(|error| self.reader_failed(error))?;
        let now = clock::now();
        let octets = self.octets.get(..received.octets).unwrap_or(&[]);
        let damaged = received.damaged;
        if damaged || !octets.is_empty() {
            see(&mut self.observer, now, Seen::Received { octets, damaged });
        }
        if damaged && received.what == What::Characters {
            self.line.handle_input(now, line::Input::Damaged);
        }
        if let Some(input) = received.input(octets) {
            self.line.handle_input(now, input);
        } else if until.is_some_and(|until| until <= now) {
            self.line.handle_input(now, line::Input::Timeout);
        }
        Ok(received.woken)
    }

    fn reader_failed(&mut self, error: &ReaderError) {
        see(&mut self.observer, clock::now(), Seen::ReaderFailed(error));
        if error.gone() == Gone::ReaderLost {
            self.reader = None;
        }
        self.gone = Some(error.gone());
    }

    /// What [`Slot::present`] has found out is no answer to what follows.
    fn tell_gone(&mut self) {
        while self.gone.is_some() {
            while !matches!(self.step(), Step::Wait(_)) {}
        }
    }

    /// Until the card is up, has answered, or has failed for good.
    fn run(&mut self, waker: &Waker) -> Result<Done, SlotError> {
        let mut done = None;
        let mut failure = None;
        loop {
            let until = match self.step() {
                Step::Moved | Step::Resetting(_) => continue,
                Step::Ready(atr) => {
                    let atr = *atr;
                    done = Some(failure.take().map_or(Ok(Done::Ready(atr)), Err));
                    continue;
                }
                Step::Response(response) => {
                    done = Some(Ok(Done::Response(response.to_vec())));
                    continue;
                }
                Step::Failed(error) => {
                    let first = failure.take().unwrap_or(SlotError::Line(error));
                    if error.recovering() {
                        failure = Some(first);
                    } else {
                        done = Some(Err(first));
                    }
                    continue;
                }
                Step::ReaderFailed(error) => {
                    failure = Some(SlotError::Reader(error));
                    continue;
                }
                Step::Wait(until) => until,
            };
            if let Some(done) = done {
                return done;
            }
            // The line had nothing to lose.
            if let Some(error @ SlotError::Reader(_)) = failure {
                return Err(error);
            }
            match self.listen(until, waker) {
                Ok(true) => return Err(SlotError::Stopped),
                Ok(false) => {}
                Err(error) => failure = Some(SlotError::Reader(error)),
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.deactivate();
    }
}

fn see(observer: &mut Option<Observer>, now: Instant, seen: Seen<'_>) {
    if let Some(observer) = observer {
        observer(now, seen);
    }
}

enum Done {
    Ready(Atr),
    Response(Vec<u8>),
}

/// Why a card was not brought up, or a command not answered.
#[derive(Debug)]
#[non_exhaustive]
pub enum SlotError {
    /// The card line has failed.
    Line(LineError),
    /// The reader has failed, or says that the card has left.
    Reader(ReaderError),
    /// The waker fired before the end.
    Stopped,
}

impl fmt::Display for SlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(error) => write!(f, "{error}"),
            Self::Reader(error) => write!(f, "{error}"),
            Self::Stopped => f.write_str("stopped before the card had answered"),
        }
    }
}

impl std::error::Error for SlotError {}
