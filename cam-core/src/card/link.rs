// SPDX-License-Identifier: Apache-2.0
//! What the engine remembers of its dialogue with the card: how far it is, what was asked last,
//! what is to be asked and read again. `engine/card.rs` says how one state follows another.

use crate::{Ticket, TxnId};
use alloc::boxed::Box;
use alloc::vec::Vec;
use cam_types::Instant;
use ecm_emm::card::RightRow;
use gp::scp03;

/// Where the card is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Link {
    /// No card; try again then.
    Absent { retry: Option<Instant> },
    /// `ActivateCard` is out.
    Activating,
    /// It takes commands.
    Up(Stage),
}

/// How far the dialogue has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    Select,
    Info,
    Pair,
    Unpaired,
    /// Not a card of this system.
    Unusable,
    Ready,
}

/// A command that the card has not answered yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exchange {
    Select,
    Info,
    Initialize,
    Authenticate,
    /// The section in `Engine::asked`.
    Ecm,
    Emm,
    Rights,
    Balance,
    /// VERIFY for its own sake.
    Verify(Ticket),
    /// VERIFY for a purchase.
    VerifyFor(TxnId),
    Purchase(TxnId),
    Query(TxnId),
    /// A page of a report.
    Report,
    /// The head-end's acknowledgement.
    Ack,
    /// QUERY of a purchase that was paid: it may have been refunded.
    Review(TxnId),
    /// Its session ended while it was on the line: the answer is for nobody.
    Forgotten,
}

/// A channel that is being opened.
pub(crate) enum Handshake {
    Initialize(scp03::Initialize),
    Open(Box<scp03::Open>),
}

/// What is to be read from the card when nothing else is to do.
#[derive(Default)]
pub(crate) struct Refresh {
    pub(crate) info: bool,
    pub(crate) balance: bool,
    /// The index of the next row of rights.
    pub(crate) rights: Option<u8>,
    pub(crate) rows: Vec<RightRow>,
    /// The pairings or the card have changed: an unpaired card is tried again.
    pub(crate) pair: bool,
    /// What is read next, if it is wanted.
    pub(crate) next: Part,
}

/// What is read back from the card.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Part {
    #[default]
    Info,
    Balance,
    Rights,
}

impl Part {
    pub(crate) const fn following(self) -> Self {
        match self {
            Self::Info => Self::Balance,
            Self::Balance => Self::Rights,
            Self::Rights => Self::Info,
        }
    }
}

impl Refresh {
    pub(crate) fn all(&mut self) {
        self.info = true;
        self.state();
    }

    /// Money and rights.
    pub(crate) fn state(&mut self) {
        self.balance = true;
        self.rights = Some(0);
        self.rows.clear();
    }
}

/// What was lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// An answer: the card is reset.
    Line,
    /// The secure session: it is opened again.
    Session,
}
