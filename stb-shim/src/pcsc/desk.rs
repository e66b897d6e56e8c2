// SPDX-License-Identifier: Apache-2.0
//! The thread that speaks to pcscd, and where orders and answers lie.
use crate::reader::{ReaderError, Received, What};
use crate::sys::Waker;
use iso7816::line::{Level, Reset};
use pcsc::{
    Card, Context, Disposition, Error, MAX_BUFFER_SIZE_EXTENDED, Protocol, Protocols, ShareMode,
};
use std::ffi::CString;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroize;

/// What the thread is to do. The newest order counts: one that was not begun is dropped, and an
/// answer that comes too late is not told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    /// Reset the card, connect first if need be.
    Activate(Reset),
    /// Take a command to the card.
    Transmit,
    /// Switch the card off and let it go.
    Deactivate,
    /// The same, and then nothing more.
    End,
}

/// Between the card thread and the one that speaks to pcscd.
pub(super) struct Desk {
    papers: Mutex<Papers>,
    posted: Condvar,
    done: Waker,
}

struct Papers {
    order: Option<Order>,
    /// Of the newest order.
    number: u64,
    /// The command on the way there, its answer on the way back.
    octets: Vec<u8>,
    outcome: Option<Result<Outcome, ReaderError>>,
}

/// How an order ended, if the card and the reader are still there.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    what: What,
    damaged: bool,
}

impl Desk {
    pub(super) fn new() -> io::Result<Self> {
        let octets = Vec::with_capacity(1024);
        let papers = Papers { order: None, number: 0, octets, outcome: None };
        Ok(Self { papers: Mutex::new(papers), posted: Condvar::new(), done: Waker::new()? })
    }

    /// Signalled when there is something to collect.
    pub(super) const fn done(&self) -> &Waker {
        &self.done
    }

    /// Puts an order in the place of the one before.
    pub(super) fn post(&self, order: Order, octets: &[u8]) {
        let mut papers = self.papers();
        self.done.take();
        papers.number += 1;
        papers.order = Some(order);
        papers.outcome = None;
        papers.octets.zeroize();
        papers.octets.extend_from_slice(octets);
        drop(papers);
        self.posted.notify_one();
    }

    /// What came of the newest order, if it is done.
    pub(super) fn collect(&self, buf: &mut [u8]) -> Option<Result<Received, ReaderError>> {
        if !self.done.take() {
            return None;
        }
        let mut papers = self.papers();
        let outcome = papers.outcome.take()?;
        let received = outcome.map(|Outcome { what, damaged }| {
            let octets = papers.octets.len();
            match buf.get_mut(..octets) {
                Some(place) => {
                    place.copy_from_slice(&papers.octets);
                    Received { octets, what, damaged, ..Received::default() }
                }
                None => Received { damaged: true, what: What::Unanswered, ..Received::default() },
            }
        });
        papers.octets.zeroize();
        Some(received)
    }

    /// Waits for an order, and takes its octets for those of the one before.
    fn take(&self, octets: &mut Vec<u8>) -> (u64, Order) {
        let mut papers = self.papers();
        loop {
            if let Some(order) = papers.order.take() {
                octets.zeroize();
                std::mem::swap(octets, &mut papers.octets);
                return (papers.number, order);
            }
            papers = self.posted.wait(papers).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Puts an answer down, unless another order has come.
    fn answer(&self, number: u64, outcome: Result<Outcome, ReaderError>, octets: &[u8]) {
        let mut papers = self.papers();
        if papers.number == number {
            papers.octets.zeroize();
            papers.octets.extend_from_slice(octets);
            papers.outcome = Some(outcome);
            self.done.wake();
        }
    }

    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who speaks to pcscd.
pub(super) struct Clerk {
    context: Context,
    reader: CString,
    card: Option<Card>,
    command: Vec<u8>,
    answer: Vec<u8>,
    answered: usize,
}

impl Clerk {
    pub(super) fn new(context: Context, reader: CString) -> Self {
        let command = Vec::with_capacity(1024);
        let answer = vec![0; MAX_BUFFER_SIZE_EXTENDED];
        Self { context, reader, card: None, command, answer, answered: 0 }
    }

    /// Works until the end.
    pub(super) fn work(mut self, desk: &Desk) {
        loop {
            let (number, order) = desk.take(&mut self.command);
            self.answered = 0;
            let outcome = match order {
                Order::Activate(reset) => self.activate(reset),
                Order::Transmit => self.transmit(),
                Order::Deactivate => {
                    self.let_go();
                    continue;
                }
                Order::End => {
                    self.let_go();
                    desk.done.wake();
                    return;
                }
            };
            let answer = self.answer.get(..self.answered).unwrap_or(&[]);
            desk.answer(number, outcome, answer);
            self.answer.iter_mut().take(self.answered).for_each(Zeroize::zeroize);
        }
    }

    fn activate(&mut self, reset: Reset) -> Result<Outcome, ReaderError> {
        const MUTE: What = What::AnswerToReset { level: Level::Apdu, agreed: None };
        let what = match self.reset(reset) {
            Ok(Protocol::T1) => What::AnswerToReset { level: Level::Apdu, agreed: Some(1) },
            Ok(Protocol::T0) => What::AnswerToReset { level: Level::Tpdu, agreed: Some(0) },
            Ok(Protocol::RAW) => MUTE,
            Err(why) => {
                self.let_go();
                self.answered = 0;
                let silent = self.verdict("reset the card", why)?;
                log::info!("pcsc: no answer to reset: {silent}");
                MUTE
            }
        };
        Ok(Outcome { what, damaged: false })
    }

    /// Resets the card and asks what it said.
    fn reset(&mut self, reset: Reset) -> Result<Protocol, Error> {
        let (alone, protocols) = (ShareMode::Exclusive, Protocols::T0 | Protocols::T1);
        let disposition = match reset {
            Reset::Cold => Disposition::UnpowerCard,
            Reset::Warm => Disposition::ResetCard,
        };
        let card = match &mut self.card {
            Some(card) => card,
            // Who had it before may have left it in any state.
            none => none.insert(self.context.connect(&self.reader, alone, protocols)?),
        };
        card.reconnect(alone, protocols, disposition)?;
        let mut names = [0; 1024];
        let status = card.status2(&mut names, &mut self.answer)?;
        self.answered = status.atr().len();
        Ok(status.protocol2().unwrap_or(Protocol::RAW))
    }

    fn transmit(&mut self) -> Result<Outcome, ReaderError> {
        let Some(card) = &self.card else { return Err(ReaderError::Removed) };
        let told = card.transmit(&self.command, &mut self.answer).map(<[u8]>::len);
        self.command.zeroize();
        match told {
            Ok(octets) => {
                self.answered = octets;
                Ok(Outcome { what: What::Message, damaged: false })
            }
            Err(why) => {
                let silent = self.verdict("take a command to the card", why)?;
                log::info!("pcsc: no answer: {silent}");
                // More than there is room for was an answer, if not a readable one.
                let damaged = why == Error::InsufficientBuffer;
                Ok(Outcome { what: What::Unanswered, damaged })
            }
        }
    }

    fn let_go(&mut self) {
        let Some(card) = self.card.take() else { return };
        if let Err((card, why)) = card.disconnect(Disposition::UnpowerCard) {
            log::debug!("pcsc: cannot let the card go: {why}");
            // Tried again when it is dropped, which is all that is left.
            drop(card);
        }
    }

    /// What pcscd's refusal means: the card is silent, or somebody has left.
    fn verdict(&self, what: &'static str, why: Error) -> Result<Error, ReaderError> {
        let port = || self.reader.to_string_lossy().into_owned();
        match why {
            Error::RemovedCard | Error::NoSmartcard => Err(ReaderError::Removed),
            Error::UnresponsiveCard
            | Error::UnpoweredCard
            | Error::ResetCard
            | Error::NotTransacted
            | Error::Timeout
            | Error::ProtoMismatch
            | Error::InvalidAtr
            | Error::CommDataLost
            | Error::InsufficientBuffer => Ok(why),
            Error::ReaderUnavailable
            | Error::UnknownReader
            | Error::NoReadersAvailable
            | Error::NoService
            | Error::ServiceStopped
            | Error::InvalidHandle
            | Error::CommError
            | Error::InternalError => {
                log::warn!("pcsc: cannot {what}: {why}");
                Err(ReaderError::Lost { port: port() })
            }
            Error::SharingViolation => {
                let why = "another program uses it; end that, the card is needed alone";
                Err(ReaderError::Io { port: port(), what, why: io::Error::other(why) })
            }
            other => Err(ReaderError::Io { port: port(), what, why: io::Error::other(other) }),
        }
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.command.zeroize();
        self.answer.zeroize();
    }
}
