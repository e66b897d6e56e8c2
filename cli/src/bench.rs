// SPDX-License-Identifier: Apache-2.0
//! A reader at the bench: opened, watched by the trace, stopped by a signal.
use crate::args::Common;
use crate::failure::Failure;
use crate::hex;
use crate::trace::Trace;
use cam_types::interindustry::INS_GET_RESPONSE;
use iso7816::apdu::Lengths;
use iso7816::atr::{Atr, AtrPolicy};
use iso7816::etu::{Convention, LineParams};
use iso7816::line::{Cause, Gone, Policy};
use nix::sys::signal::{SigSet, Signal};
use stb_shim::clock;
use stb_shim::reader::Presence;
use stb_shim::readers;
use stb_shim::slot::{Seen, Slot, SlotError};
use stb_shim::sys::Waker;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// GET RESPONSE: nothing waits, so that it changes nothing, and any answer will do.
pub(crate) const QUESTION: [u8; 5] = [0x00, INS_GET_RESPONSE, 0x00, 0x00, 0x00];

/// Whether SIGINT or SIGTERM has come.
#[derive(Clone)]
pub(crate) struct Stop {
    stopped: Arc<AtomicBool>,
    /// Ends any wait when one comes.
    pub waker: Waker,
}

impl Stop {
    /// From here on signals end waits instead of the process, so that the card is switched off.
    pub(crate) fn on_signals() -> Result<Self, Failure> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGINT);
        signals.thread_block().map_err(|error| format!("signals: {error}"))?;
        let waker = Waker::new().map_err(|error| format!("signals: {error}"))?;
        let stop = Self { stopped: Arc::default(), waker };
        let told = stop.clone();
        let wait = move || {
            // Only signals of the set end this wait.
            let _ = signals.wait();
            told.stopped.store(true, Ordering::SeqCst);
            told.waker.wake();
            // Who asks twice does not want to wait for the card.
            let _ = signals.wait();
            std::process::exit(1);
        };
        let thread = std::thread::Builder::new().name("signals".into()).spawn(wait);
        thread.map(|_| stop).map_err(|error| Failure::Failed(format!("signals: {error}")))
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

/// What to do when no card answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wait {
    /// Say so.
    Never,
    /// Look again and again, until one answers or a signal comes.
    ForCard,
}

impl From<bool> for Wait {
    /// As `--wait` is given.
    fn from(given: bool) -> Self {
        if given { Self::ForCard } else { Self::Never }
    }
}

/// A card on a reader.
pub(crate) struct Bench {
    pub slot: Slot,
    pub stop: Stop,
    pub clock_hz: u32,
    /// What the card has sent since it was reset, as a UART sees it, until it was up.
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Bench {
    /// Octets of an answer to reset that are kept to be shown.
    const HEARD: usize = 64;
    /// How often a card is looked for.
    const RETRY: Duration = Duration::from_millis(500);
    /// How often a card that is to leave is looked for.
    const LOOK: Duration = Duration::from_millis(200);

    pub(crate) fn open(url: &str, common: &Common) -> Result<Self, Failure> {
        Self::with(url, common.trace()?, Stop::on_signals()?)
    }

    /// A second reader beside this one. Its exchanges are in no trace.
    pub(crate) fn beside(&self, url: &str) -> Result<Self, Failure> {
        Self::with(url, None, self.stop.clone())
    }

    fn with(url: &str, mut trace: Option<Trace>, stop: Stop) -> Result<Self, Failure> {
        let reader = readers::open(url)?;
        let capabilities = reader.capabilities();
        let policy = Policy {
            max_command: Lengths::MAX_COMMAND,
            max_response: Lengths::MAX_RESPONSE,
            ..capabilities.policy()
        };
        let mut slot = Slot::new(reader, policy);
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = heard.clone();
        let mut up = false;
        slot.observe(Box::new(move |at, seen| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            match &seen {
                Seen::Reset(_) => {
                    kept.clear();
                    up = false;
                }
                Seen::Sent(_) | Seen::Ready(_) => up = true,
                Seen::Received { octets, .. } if !up => {
                    let room = Self::HEARD.saturating_sub(kept.len());
                    kept.extend(octets.iter().take(room));
                }
                _ => {}
            }
            if let Some(trace) = &mut trace {
                trace.see(at, &seen);
            }
        }));
        Ok(Self { slot, stop, clock_hz: capabilities.clock_hz, heard })
    }

    /// Brings the card up.
    pub(crate) fn activate(&mut self) -> Result<Atr, SlotError> {
        self.slot.activate(&self.stop.waker)
    }

    /// Brings the card up, or waits for one.
    pub(crate) fn bring_up(&mut self, wait: Wait) -> Result<Atr, SlotError> {
        loop {
            match self.activate() {
                Err(error) if wait == Wait::ForCard && no_card(&error) => {}
                done => return done,
            }
            if self.stop.waker.wait(Some(clock::now().after(Self::RETRY))) {
                return Err(SlotError::Stopped);
            }
        }
    }

    /// Waits until the card has left, or a signal comes.
    pub(crate) fn wait_gone(&mut self) {
        while !self.stop.is_stopped() && self.slot.reader().is_some() {
            let gone = match self.slot.detects() {
                true => !matches!(self.slot.present(), Ok(Presence::Present)),
                // Silence for the card's own time, or another card that has come in between.
                false => self.slot.transmit(&QUESTION, None, &self.stop.waker).is_err(),
            };
            if gone {
                return;
            }
            self.stop.waker.wait(Some(clock::now().after(Self::LOOK)));
        }
    }

    /// What came as an answer to the last reset, in logical octets.
    pub(crate) fn heard(&self) -> Vec<u8> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match heard.first() {
            Some(0x03) => heard.iter().map(|octet| Convention::Inverse.map(*octet)).collect(),
            _ => heard.clone(),
        }
    }

    /// Why the card is not up, and what may help.
    pub(crate) fn not_up(&mut self, error: &SlotError) -> String {
        let heard = self.heard();
        if no_card(error) && heard.is_empty() {
            return match self.slot.present() {
                Ok(Presence::Absent) => "no card is in; insert one, or give --wait".into(),
                _ => format!(
                    "{error}; is a card in, and do reset and clock in the reader's address fit it?"
                ),
            };
        }
        let SlotError::Line(line) = error else { return error.to_string() };
        match line.cause() {
            Cause::SpecificMode => {
                let rate = Atr::parse(&heard, AtrPolicy::TOLERANT).map(|atr| {
                    let (f, d, _) = atr.rate();
                    LineParams { f, d, ..LineParams::initial(self.clock_hz) }
                });
                let rate = rate.map(|rate| format!(", {}", crate::explain::rate(&rate)));
                format!(
                    "{error}{}; `stbcam line test` shows what it can run",
                    rate.unwrap_or_default()
                )
            }
            _ if heard.is_empty() => error.to_string(),
            _ => format!("{error}; the card sent {}", hex::text(&heard)),
        }
    }
}

/// Whether that is how a slot without a card behaves.
pub(crate) fn no_card(error: &SlotError) -> bool {
    match error {
        SlotError::Line(error) => error.cause() == Cause::Mute,
        SlotError::Reader(error) => error.gone() == Gone::Removed,
        _ => false,
    }
}
