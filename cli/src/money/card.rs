// SPDX-License-Identifier: Apache-2.0
//! A card in the reader, as the money commands ask it.
use super::args::PurseArgs;
use super::port::Port;
use crate::args::Common;
use crate::bench::{Bench, Wait};
use crate::failure::Failure;
use cam_types::Fen;
use stb_shim::slot::SlotError;
use stb_shim::sys::Waker;
use wallet::Profile;
use wallet::flow::till::Side;
use wallet::flow::{FlowError, Purse, Scheme};

/// A reader, and whose purses it takes.
pub(crate) struct Card<'a> {
    args: &'a PurseArgs,
    pub bench: Bench,
    pub never: Waker,
    profile: Profile,
}

/// Where the keys of a card come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CardKeys {
    /// Whoever holds masters makes them of the card's serial number, as its scheme says.
    FromMasters,
    /// They are here as they are, or none is wanted: the serial number does not count.
    AtHand,
}

impl<'a> Card<'a> {
    /// Opens the reader. Nothing is sent to the card.
    pub(crate) fn open(
        args: &'a PurseArgs,
        common: &Common,
        keys: CardKeys,
    ) -> Result<Self, Failure> {
        let bench = Bench::open(&args.reader.reader, common)?;
        let never = Waker::new().map_err(|error| format!("signals: {error}"))?;
        let levels = match keys {
            CardKeys::FromMasters => args.profile.levels,
            CardKeys::AtHand => &[],
        };
        let profile = Profile { levels, balance: args.balance_coding, ..args.profile };
        Ok(Self { args, bench, never, profile })
    }

    /// What one transaction may take, and what a purse may hold.
    pub(crate) fn limits(&mut self, limit: Option<Fen>, maximum: Option<Fen>) {
        self.profile.limit = limit.unwrap_or(self.profile.limit);
        self.profile.maximum = maximum.unwrap_or(self.profile.maximum);
    }

    pub(crate) fn scheme(&self) -> Scheme<'a> {
        Scheme { aid: &self.args.aid.0, profile: self.profile, uid: self.args.uid }
    }

    /// Brings the card up.
    pub(crate) fn bring_up(&mut self, wait: Wait) -> Result<(), Failure> {
        let brought = self.bench.bring_up(wait);
        brought.map(|_| ()).map_err(|error| self.not_up(&error))
    }

    /// Brings the next card up. Whether one has come: a signal ends the wait.
    pub(crate) fn next(&mut self, wait: Wait) -> Result<bool, Failure> {
        // The wait that the signal has ended may have been one before this.
        if self.bench.stop.is_stopped() {
            return Ok(false);
        }
        match self.bench.bring_up(wait) {
            Ok(_) => Ok(true),
            Err(_) if self.bench.stop.is_stopped() => Ok(false),
            Err(error) => Err(self.not_up(&error)),
        }
    }

    fn not_up(&mut self, error: &SlotError) -> Failure {
        Failure::Failed(format!("{}; no money has moved", self.bench.not_up(error)))
    }

    /// Lets `read` ask the purse of a card that is up. It moves no money.
    pub(crate) fn ask<T>(
        &mut self,
        read: impl FnOnce(&mut Purse<'_>) -> Result<T, FlowError>,
    ) -> Result<T, Failure> {
        let scheme = self.scheme();
        let mut port = Port::new(&mut self.bench, &self.never);
        let asked = Purse::open(&mut port, &scheme).and_then(|mut purse| read(&mut purse));
        asked.map_err(|error| failure(&error, port.failure))
    }

    /// Which side of the card the reader is at, by its answer to reset.
    pub(crate) fn side(&self) -> Side {
        self.bench.slot.line().atr().map_or(Side::Contact, |atr| Side::by_atr(atr.octets()))
    }
}

/// What ended a flow, with what the reader says of it.
pub(crate) fn failure(error: &FlowError, reader: Option<String>) -> Failure {
    let text = match reader {
        Some(reader) => format!("{error} ({reader})"),
        None => error.to_string(),
    };
    if error.is_refusal() { Failure::Declined(text) } else { Failure::Failed(text) }
}
