// SPDX-License-Identifier: Apache-2.0
//! What the card is asked, what comes of it, and what is lost when nothing does.

use crate::{Ticket, TxnId};
use cam_types::StatusWord;
use gp::scp03::ScpError;

/// What the card said, once the secure channel has taken its part off. The data is the dialogue's.
pub(crate) type Answer = Result<StatusWord, ScpError>;

/// A command that the card has not answered yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exchange {
    /// The dialogue's own.
    Step(Step),
    /// A sign of life, which is no command.
    Probe,
    Info,
    /// The section that the ECMs' room calls asked.
    Ecm,
    Emm,
    Rights,
    /// The highest number of this terminal in the card's log.
    Number,
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
}

/// A step of the card's way to an open session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Select,
    Initialize,
    Authenticate,
}

/// What was lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// An answer: the card is reset.
    Line,
    /// The secure session: it is opened again.
    Session,
}
