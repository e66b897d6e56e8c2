// SPDX-License-Identifier: Apache-2.0
//! The two doors of the engine: what its driver tells it, and what it wants done.
//!
//! Nothing here waits, and nothing is owned twice: an output borrows from the engine until the next
//! call.

use crate::{Event, ScramblingMode, SessionId, StoreId};
use cam_types::{Instant, Key, Parity, Pid};
use core::fmt;

/// What the driver tells the engine.
pub enum Input<'a> {
    /// A complete section of an ECM, offer or EMM stream.
    Section {
        /// The source (demultiplexer or tuner) that it came from.
        source: u8,
        /// The PID that it came on.
        pid: Pid,
        /// The whole section, from its table_id on.
        octets: &'a [u8],
    },
    /// A section of the conditional access table.
    Cat {
        /// The source (demultiplexer or tuner) that it came from.
        source: u8,
        /// The whole section, CRC included.
        section: &'a [u8],
    },
    /// The detect line says that a card is there. Not needed when the engine polls.
    CardPresent,
    /// The card answered to its reset and takes commands.
    CardReady {
        /// Its answer to reset.
        atr: &'a [u8],
        /// The transmission protocol, 0 or 1.
        protocol: u8,
        /// How it is asked for a sign of life when it is idle.
        sign_of_life: SignOfLife,
    },
    /// What came of the last [`Output::Probe`], where something has answered; else `Failed`.
    Probed(Probed),
    /// There is no card that takes commands.
    CardAbsent(Absence),
    /// The answer to the last [`Output::Command`], status word included.
    Response(&'a [u8]),
    /// The last [`Output::Command`] or [`Output::Probe`] got no answer.
    Failed {
        /// The card may have carried the command out all the same.
        may_have_executed: bool,
        /// Not one character came: the card may be gone.
        silent: bool,
    },
    /// What the descrambler made of the last [`Output::LoadLadder`].
    Ladder(Handover),
    /// What the descrambler made of the last [`Output::SetCw`] of this stream. Every one
    /// is answered, by a driver without a descrambler too: until then the session's access stays as
    /// it was told.
    Cw {
        /// Whose they were.
        session: SessionId,
        /// The ECM stream that they came by.
        ecm_pid: Pid,
        /// What became of them.
        handover: Handover,
    },
    /// This row is on durable storage.
    Stored(StoreId),
    /// This row could not be stored.
    StoreFailed(StoreId),
    /// The instant of the last [`Output::Wait`] has passed.
    Timeout,
}

/// What the descrambler made of keys that it was handed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Handover {
    /// It holds them.
    #[default]
    Taken,
    /// It does not: nothing is descrambled with them.
    Refused,
}

/// How an idle card is asked for a sign of life, where nothing detects it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SignOfLife {
    /// By a command that changes nothing.
    #[default]
    Command,
    /// By [`Output::Probe`]: the line has a question of its own, which costs less.
    Probe,
}

/// What a sign of life is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Probed {
    /// The card is there.
    Alive,
    /// A card is there, and need not be the one that was: the session has to tell.
    Doubtful,
}

/// Why there is no card.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Absence {
    /// It was pulled.
    Removed,
    /// It does not answer to its reset.
    Mute,
    /// What it answered is not an answer to reset.
    Unknown,
    /// The reader itself is gone.
    ReaderLost,
}

/// What the engine wants done.
#[must_use]
#[derive(Debug)]
pub enum Output<'a> {
    /// Reset the card (cold) and report `CardReady` or `CardAbsent`.
    ActivateCard,
    /// Send this command APDU and report `Response` or `Failed`. One at a time.
    Command {
        /// The command, borrowed from the engine's own buffer.
        apdu: &'a [u8],
    },
    /// Ask the card for a sign of life on the line itself, and report `Probed` or `Failed`. Only
    /// where `CardReady` has said [`SignOfLife::Probe`].
    Probe,
    /// Load the chip's key ladder: from now on control words come under this pairing slot's key.
    LoadLadder {
        /// The pairing slot, 0 to 3.
        pairing_slot: u8,
        /// The key of the ladder's second stage, under the chip's root key.
        ek2: &'a Key,
        /// The key of the ladder's first stage, under the second.
        ek1: &'a Key,
        /// The operator allows this box control words in the clear outside the ladder.
        clear_allowed: bool,
    },
    /// Hand an ECM's ECWs to the descrambler.
    SetCw(Ecw<'a>),
    /// Wipe the session's control words, at once.
    ClearCw {
        /// The session, which may be closed already.
        session: SessionId,
    },
    /// Make this row durable, then report `Stored`.
    Store {
        /// To report back.
        id: StoreId,
        /// One of [`crate::Engine::storage_keys`].
        key: &'a str,
        /// Replaces what was stored under this key.
        value: &'a [u8],
    },
    /// For the middleware.
    Event(Event),
    /// Nothing to do before this instant, or before more input.
    Wait(Option<Instant>),
}

/// The ECWs of an ECM: its two control words, encrypted for the descrambler's key ladder.
#[derive(Clone, Copy)]
pub struct Ecw<'a> {
    /// Whose they are.
    pub session: SessionId,
    /// The source (demultiplexer or tuner) of the session.
    pub source: u8,
    /// The ECM stream that they came by.
    pub ecm_pid: Pid,
    /// The elementary streams that they are for.
    pub es_pids: &'a [Pid],
    /// How packets are scrambled: as signalled, unless the length contradicts it.
    pub mode: ScramblingMode,
    /// The even ECW. CSA takes 8 octets after decryption.
    pub even: &'a [u8; 16],
    /// The odd ECW.
    pub odd: &'a [u8; 16],
    /// The crypto period on air; the other ECW belongs to the next one.
    pub crypto_period: u32,
    /// The parity that is on air.
    pub parity: Parity,
    /// Copy control information.
    pub cci: u8,
    /// They are for a trial.
    pub preview: bool,
}

impl fmt::Debug for Ecw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ecw")
            .field("session", &self.session)
            .field("ecm_pid", &self.ecm_pid)
            .field("crypto_period", &self.crypto_period)
            .finish_non_exhaustive()
    }
}
