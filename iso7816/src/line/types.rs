// SPDX-License-Identifier: Apache-2.0
//! What goes into a card line and what comes out.
use crate::apdu::{ApduError, Command, Response};
use crate::atr::{Atr, AtrError, AtrPolicy};
use crate::emv::{NotBasic, Profile};
use crate::etu::{LineParams, USUAL_MAX_BAUD};
use crate::pps::PpsError;
use crate::t0::{T0Error, T0Policy};
use crate::t1::T1Error;
use crate::t14::T14Error;
use cam_types::Instant;
use core::fmt;
use core::time::Duration;

/// One thing that happened.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// Bring the card up by a cold reset, from whatever state the line is in. An exchange that is
    /// going on ends without a report.
    Activate,
    /// Send this command APDU. Only after [`Output::Ready`] and one at a time.
    Command {
        /// Cases 1 to 4 with short or extended lengths (on T=0 by ENVELOPE and GET RESPONSE); the
        /// octets of a T=14 frame on T=14.
        apdu: &'a [u8],
        /// Give the exchange up as [`Cause::Silent`] when no character came for so long, even if
        /// the protocol would wait longer.
        patience: Option<Duration>,
    },
    /// Ask the idle card for a sign of life. Only after [`Output::Ready`], and where
    /// [`CardLine::probes`](super::CardLine::probes) says so. Ends as a command does, with an empty
    /// [`Output::Response`]; or with [`Output::Failed`], which is usable where something has
    /// answered that need not be the same card.
    Probe,
    /// The reader received these octets, in any split, as a UART gives them: of a card with inverse
    /// convention they are still inverted and bit-reversed. The line takes care of that.
    Received(&'a [u8]),
    /// A character with a parity error was received. Goes before the `Received` that holds it, and
    /// nothing is polled between the two: were the card reset, the octets would be taken for its
    /// answer.
    Damaged,
    /// The reader has reset the card by itself, as [`Output::Activate`] wanted, and this is the
    /// answer to reset, whole and in logical form; empty when none came.
    Answered {
        /// TS to TCK.
        atr: &'a [u8],
        /// What the reader takes from now on.
        level: Level,
        /// T that the reader has agreed on with the card; PPS is then its business.
        agreed: Option<u8>,
    },
    /// Above characters: the answer to what was sent last, whole.
    Message(&'a [u8]),
    /// Above characters: the card did not answer what was sent last, in the time that it has.
    Unanswered {
        /// It did, but damaged.
        damaged: bool,
    },
    /// The card or the reader is gone.
    Gone(Gone),
    /// The instant in the last [`Output::Wait`] has passed. Too early does no harm.
    Timeout,
}

/// What is gone.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Gone {
    /// The card left the reader.
    Removed,
    /// The reader left the box.
    ReaderLost,
}

/// How a card is reset.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reset {
    /// With its power switched off before.
    Cold,
    /// With power and clock kept.
    Warm,
}

/// One thing to do. The driver gives one input, then polls until [`Output::Wait`].
#[derive(Clone, Copy)]
#[must_use]
pub enum Output<'a> {
    /// Throw received octets away, then reset the card with the initial parameters.
    Activate(Reset),
    /// Take the power off the card.
    Deactivate,
    /// From the next character on the line runs like this.
    Configure(LineParams),
    /// Send these octets, ready for a UART. Borrowed from the line's own buffer: an exchange
    /// allocates nothing.
    Transmit(&'a [u8]),
    /// The card is up and takes commands. Any session it had is gone.
    Ready(&'a Atr),
    /// The answer to the command: data and status word, or what T=14 puts in their place. Empty
    /// when the card has answered [`Input::Probe`].
    Response(&'a [u8]),
    /// The exchange, or the card, has failed. May come between exchanges. When
    /// [`LineError::recovering`] says so, the line resets the card by itself and ends with `Ready`
    /// or one more `Failed`.
    Failed(LineError),
    /// Nothing to do before this instant, or before more input.
    Wait(Option<Instant>),
}

/// What a reader takes to the card and brings back.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Level {
    /// Characters: every time and every procedure byte is ours.
    #[default]
    Characters,
    /// T=1 blocks, T=0 TPDUs and PPS, each whole. The reader keeps the times between characters
    /// and the waiting times, and says when the card did not answer.
    Tpdu,
    /// APDUs: the protocol is the reader's business.
    Apdu,
}

/// How a line treats its card.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Policy {
    /// The card's clock in Hz, as the reader gives it.
    pub clock_hz: u32,
    /// Octets of the longest command; a longer one is refused. Extended lengths need up to
    /// [`Lengths::MAX_COMMAND`](crate::apdu::Lengths::MAX_COMMAND).
    pub max_command: usize,
    /// Octets of the longest response, status word included; a longer one fails the exchange.
    /// Extended lengths need up to [`Lengths::MAX_RESPONSE`](crate::apdu::Lengths::MAX_RESPONSE).
    pub max_response: usize,
    /// What reader, kernel and scheduler may add to any waiting time.
    pub latency: Duration,
    /// How long the first character of the answer to reset may take.
    pub atr_start: Duration,
    /// No exchange takes longer, however often the card asks for time; or three times the card's WT
    /// or BWT where that is longer, for no card is given up before it has passed.
    pub exchange_limit: Duration,
    /// The highest bit rate that the reader can run.
    pub max_baud: u32,
    /// The UART divides this bit rate by whole numbers; `None` when it makes any rate. A rate more
    /// than 2 % off is not used.
    pub baud_base: Option<u32>,
    /// T to use when a card in negotiable mode offers it; `None` takes the card's first offer.
    pub protocol: Option<u8>,
    /// Which odd answers to reset are let pass.
    pub atr: AtrPolicy,
    /// Size of information fields that we offer on T=1.
    pub ifsd: u8,
    /// F and D of a card whose TA2 says that they are implicit; without them it is refused.
    pub implicit_rate: Option<(u16, u8)>,
    /// How long the power stays off between two attempts to bring a card up.
    pub power_off: Duration,
    /// What T=0 leaves to taste. Its profile is not looked at.
    pub t0: T0Policy,
    /// Whose rules hold where they differ.
    pub profile: Profile,
}

impl Policy {
    /// What suits most cards, at this card clock.
    pub const fn new(clock_hz: u32) -> Self {
        Self {
            clock_hz,
            max_command: Command::MAX_LEN,
            max_response: Response::MAX_LEN,
            latency: Duration::from_millis(40),
            atr_start: Duration::from_millis(250),
            exchange_limit: Duration::from_secs(60),
            max_baud: USUAL_MAX_BAUD,
            baud_base: None,
            protocol: None,
            atr: AtrPolicy::TOLERANT,
            ifsd: 254,
            implicit_rate: None,
            power_off: Duration::from_millis(10),
            t0: T0Policy {
                get_response_after_ok: false,
                vpp_procedure_bytes: false,
                profile: Profile::Iso,
            },
            profile: Profile::Iso,
        }
    }

    /// By the letter of EMV contact level 1, at this card clock.
    pub const fn emv(clock_hz: u32) -> Self {
        let iso = Self::new(clock_hz);
        let window = LineParams::initial(clock_hz).clocks(42_000);
        Self {
            atr: AtrPolicy::STRICT,
            atr_start: window.saturating_add(iso.latency),
            profile: Profile::EmvLevel1,
            ..iso
        }
    }
}

/// What failed, and whether the card may have executed the command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LineError {
    cause: Cause,
    executed: Executed,
    then: Then,
}

/// Whether the card has executed the command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Executed {
    /// Nothing of it went out.
    No,
    /// A part of it went out: only the card knows.
    Perhaps,
}

impl Executed {
    pub(crate) const fn when_sent(sent: bool) -> Self {
        if sent { Self::Perhaps } else { Self::No }
    }
}

/// What becomes of the line after a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Then {
    /// The next command may follow at once.
    Usable,
    /// The line resets the card by itself.
    Recovering,
    /// Nothing, until the next [`Input::Activate`].
    Down,
}

/// Why a line or an exchange failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// No answer to reset.
    Mute,
    /// The answer to reset is none.
    NotACard(AtrError),
    /// The card speaks only protocols that we do not.
    Protocol {
        /// T of its first offer.
        t: u8,
    },
    /// Specific mode with parameters that this reader cannot run or that TA2 leaves implicit.
    SpecificMode,
    /// The answer to reset is outside what EMV allows.
    NotBasic(NotBasic),
    /// The card did not agree to parameters, and did not come up without.
    Pps(PpsError),
    /// The card stopped answering inside an exchange.
    Silent,
    /// The card used up the time that the policy allows an exchange.
    OutOfTime,
    /// T=0: a character with a parity error.
    Damaged,
    /// T=0: this octet is no procedure byte.
    ProcedureByte(u8),
    /// Octets came behind the answer, or out of nowhere.
    Leftover,
    /// T=0: the card keeps announcing data (61xx) and sends none.
    Withheld,
    /// T=14: a parity error, or the checksum does not match.
    Checksum,
    /// T=1: blocks could not be exchanged without error, not even after RESYNCH.
    Blocks,
    /// T=1: RESYNCH was needed; the line is usable again, the exchange is lost.
    Resynchronised,
    /// T=1: the card gave the exchange up.
    Aborted,
    /// T=1: the sign of life did not come at once and alone: another card may be in.
    Doubtful,
    /// The response is longer than the policy allows.
    TooLong,
    /// The card left the reader.
    Removed,
    /// The reader left the box.
    ReaderLost,
    /// The command was not sent: the card is not up, or busy with another.
    NotReady,
    /// The command was not sent: it is not one.
    Command(ApduError),
}

impl LineError {
    pub(crate) const fn new(cause: Cause, executed: Executed, then: Then) -> Self {
        Self { cause, executed, then }
    }

    /// Why.
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// A part of the command went out, so that only the card knows whether it was executed.
    pub const fn may_have_executed(&self) -> bool {
        matches!(self.executed, Executed::Perhaps)
    }

    /// The line is resetting the card by itself.
    pub const fn recovering(&self) -> bool {
        matches!(self.then, Then::Recovering)
    }

    /// The card is still up: the next command may follow at once.
    pub const fn usable(&self) -> bool {
        matches!(self.then, Then::Usable)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mute => f.write_str("no answer to reset"),
            Self::NotACard(why) => write!(f, "{why}"),
            Self::Protocol { t } => write!(f, "card speaks T={t}, expected T=0, T=1 or T=14"),
            Self::SpecificMode => f.write_str("card insists on a rate this reader cannot run"),
            Self::NotBasic(why) => write!(f, "{why}"),
            Self::Pps(why) => write!(f, "{why}"),
            Self::Silent => f.write_str("card stopped answering"),
            Self::OutOfTime => f.write_str("card used up the time of the exchange"),
            Self::Damaged => f.write_str("character with a parity error"),
            Self::ProcedureByte(octet) => write!(f, "procedure byte {octet:02X} is not valid"),
            Self::Leftover => f.write_str("octets behind the answer"),
            Self::Withheld => f.write_str("card announces data and sends none"),
            Self::Checksum => f.write_str("answer is damaged"),
            Self::Blocks => f.write_str("blocks could not be exchanged without error"),
            Self::Resynchronised => f.write_str("exchange lost to a resynchronisation"),
            Self::Aborted => f.write_str("card aborted the exchange"),
            Self::Doubtful => f.write_str("sign of life is not beyond doubt"),
            Self::TooLong => f.write_str("response is longer than the limit"),
            Self::Removed => f.write_str("card removed"),
            Self::ReaderLost => f.write_str("reader lost"),
            Self::NotReady => f.write_str("card is not ready for a command"),
            Self::Command(why) => write!(f, "{why}"),
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        match self.executed {
            Executed::Perhaps => f.write_str("; the command may have been executed"),
            Executed::No => Ok(()),
        }
    }
}

impl core::error::Error for LineError {}

impl From<T1Error> for Cause {
    fn from(why: T1Error) -> Self {
        match why {
            T1Error::Silent => Self::Silent,
            T1Error::Blocks => Self::Blocks,
            T1Error::Resynchronised => Self::Resynchronised,
            T1Error::Aborted => Self::Aborted,
            T1Error::TooLong => Self::TooLong,
            T1Error::Doubtful => Self::Doubtful,
        }
    }
}

impl From<T0Error> for Cause {
    fn from(why: T0Error) -> Self {
        match why {
            T0Error::Silent => Self::Silent,
            T0Error::Damaged => Self::Damaged,
            T0Error::ProcedureByte(octet) => Self::ProcedureByte(octet),
            T0Error::Leftover => Self::Leftover,
            T0Error::Withheld => Self::Withheld,
            T0Error::TooLong => Self::TooLong,
            T0Error::Command(why) => Self::Command(why),
        }
    }
}

impl From<T14Error> for Cause {
    fn from(why: T14Error) -> Self {
        match why {
            T14Error::Silent => Self::Silent,
            T14Error::Damaged => Self::Checksum,
            T14Error::Leftover => Self::Leftover,
            T14Error::Command(why) => Self::Command(why),
        }
    }
}
