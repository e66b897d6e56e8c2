// SPDX-License-Identifier: Apache-2.0
//! `stbcam card watch`: what becomes of card and reader, as it happens.
use crate::args::{Common, ReaderArgs};
use crate::bench::{Bench, QUESTION, no_card};
use crate::failure::Failure;
use crate::record::{CardState, ReaderState, Record};
use crate::trace::seconds;
use cam_types::Instant;
use iso7816::line::Gone;
use stb_shim::clock;
use stb_shim::reader::{Presence, ReaderError};
use stb_shim::readers;
use stb_shim::slot::SlotError;
use std::io;
use std::time::Duration;

/// How often a detect line is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often a card is asked whether it is still there, where no detect line tells.
const ASK: Duration = Duration::from_millis(400);
/// How often a card that is not up, and a reader that is not there, are tried.
const RETRY: Duration = Duration::from_secs(1);

pub(super) fn run(args: &ReaderArgs, common: &Common) -> Result<(), Failure> {
    let bench = Bench::open(&args.reader, common)?;
    let start = clock::now();
    let url = &args.reader;
    let mut watch = Watch { bench, common, url, start, card: None, next: start };
    watch.say_reader(ReaderState::Watching, Some(args.reader.clone()))?;
    while !watch.bench.stop.is_stopped() {
        watch.turn()?;
        let next = watch.next;
        watch.bench.stop.waker.wait(Some(next));
    }
    Ok(())
}

struct Watch<'a> {
    bench: Bench,
    common: &'a Common,
    url: &'a str,
    start: Instant,
    /// What was said of the card last.
    card: Option<CardState>,
    /// When there is something to do.
    next: Instant,
}

impl Watch<'_> {
    fn turn(&mut self) -> io::Result<()> {
        if self.bench.slot.reader().is_none() {
            return self.reopen();
        }
        if !self.bench.slot.detects() {
            return self.ask();
        }
        let presence = self.bench.slot.present();
        self.pause(LOOK);
        match presence {
            Err(error) => self.reader_failed(&error),
            Ok(Presence::Absent) if self.card.is_none() => self.card_is(CardState::Absent, None),
            Ok(Presence::Absent) if !self.is_out() => self.card_is(CardState::Removed, None),
            Ok(Presence::Present) if self.card.is_none() || self.is_out() => {
                self.card_is(CardState::Inserted, None)?;
                self.bring_up()
            }
            // Contacts bounce while a card is pushed in.
            Ok(Presence::Present) if self.card != Some(CardState::Up) => self.bring_up(),
            Ok(_) => Ok(()),
        }
    }

    fn is_out(&self) -> bool {
        matches!(self.card, Some(CardState::Absent | CardState::Removed))
    }

    /// No detect line: the card itself has to tell.
    fn ask(&mut self) -> io::Result<()> {
        if self.card != Some(CardState::Up) {
            return self.bring_up();
        }
        self.pause(ASK);
        match self.bench.slot.transmit(&QUESTION, None, &self.bench.stop.waker) {
            Ok(_) | Err(SlotError::Stopped) => Ok(()),
            Err(SlotError::Reader(error)) => self.reader_failed(&error),
            // The line has reset the card, and it has come back: perhaps another one.
            Err(error) if self.bench.slot.line().atr().is_some() => {
                self.card_is(CardState::Up, Some(error.to_string()))
            }
            Err(_) => self.card_is(CardState::Mute, None),
        }
    }

    fn bring_up(&mut self) -> io::Result<()> {
        self.pause(RETRY);
        let error = match self.bench.activate() {
            Ok(_) => {
                self.pause(ASK);
                return self.card_is(CardState::Up, None);
            }
            Err(SlotError::Stopped) => return Ok(()),
            Err(SlotError::Reader(error)) => return self.reader_failed(&error),
            Err(error) => error,
        };
        let mute = no_card(&error) && self.bench.heard().is_empty();
        let state = if mute { CardState::Mute } else { CardState::Unknown };
        if self.card == Some(state) {
            return Ok(());
        }
        let why = (!mute).then(|| self.bench.not_up(&error));
        self.card_is(state, why)
    }

    fn reader_failed(&mut self, error: &ReaderError) -> io::Result<()> {
        if error.gone() == Gone::Removed {
            let why = (!matches!(error, ReaderError::Removed)).then(|| error.to_string());
            return self.card_is(CardState::Removed, why);
        }
        self.card = None;
        self.say_reader(ReaderState::Unplugged, Some(error.to_string()))
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.pause(RETRY);
        let Ok(reader) = readers::open(self.url) else { return Ok(()) };
        self.bench.slot.replace_reader(reader);
        self.next = clock::now();
        self.say_reader(ReaderState::Replugged, None)
    }

    fn pause(&mut self, time: Duration) {
        self.next = clock::now().after(time);
    }

    fn card_is(&mut self, state: CardState, why: Option<String>) -> io::Result<()> {
        self.card = Some(state);
        let atr = self.bench.slot.line().atr().filter(|_| state == CardState::Up);
        self.common.out().say(&Record::card(self.now(), state, atr, why))
    }

    fn say_reader(&self, state: ReaderState, why: Option<String>) -> io::Result<()> {
        self.common.out().say(&Record::Reader { t: self.now(), state, why })
    }

    fn now(&self) -> f64 {
        seconds(clock::now().since(self.start))
    }
}
