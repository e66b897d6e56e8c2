// SPDX-License-Identifier: Apache-2.0
//! The commands of the host, the one that is out, and what their answers say of them.
use cam_types::Instant;
use std::time::Duration;

/// What the reader is asked to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Command {
    /// Who the reader is.
    Firmware,
    /// Card movements are to be told when they happen.
    Asynchronous,
    Status,
    PowerOff,
    PowerOn,
    SetParameters,
    Transfer,
}

/// The command that is out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub command: Command,
    pub echo: Echo,
    /// How long the reader may take, and until when.
    pub limit: Duration,
    pub deadline: Instant,
    /// Octets arrived damaged since the echo.
    pub noise: bool,
    /// How often the frame went out, and how often the answer was asked for.
    pub sent: u8,
    pub asked: u8,
    /// When to ask again.
    pub again: Option<Instant>,
    /// The reader has answered our asking, with something older.
    pub stale: bool,
}

/// What was seen of the reader's echo.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Echo {
    Nothing,
    /// It came damaged: whether the command arrived is not certain.
    Damaged,
    /// The command arrived.
    Whole,
}

impl Pending {
    /// Goes out now, and may take `limit` at most.
    pub(super) fn new(command: Command, now: Instant, limit: Duration) -> Self {
        Self {
            command,
            echo: Echo::Nothing,
            limit,
            deadline: now.after(limit),
            noise: false,
            sent: 1,
            asked: 0,
            again: None,
            stale: false,
        }
    }
}

impl Command {
    /// bMessageType.
    pub(super) const fn kind(self) -> u8 {
        match self {
            Self::Firmware | Self::Asynchronous => 0x6B,
            Self::Status => 0x65,
            Self::PowerOff => 0x63,
            Self::PowerOn => 0x62,
            Self::SetParameters => 0x61,
            Self::Transfer => 0x6F,
        }
    }

    /// bMessageType of its answer.
    pub(super) const fn answer_kind(self) -> u8 {
        match self {
            Self::PowerOn | Self::Transfer => 0x80,
            Self::Status | Self::PowerOff => 0x81,
            Self::SetParameters => 0x82,
            Self::Firmware | Self::Asynchronous => 0x83,
        }
    }

    /// It is about the card, not about the reader.
    pub(super) const fn is_of_card(self) -> bool {
        matches!(self, Self::PowerOn | Self::SetParameters | Self::Transfer)
    }
}

/// bMessageType of answers.
pub(super) const ANSWER: u8 = 0x80;
/// bStatus: bmICCStatus and bmCommandStatus.
pub(super) const CARD_STATUS: u8 = 0x03;
pub(super) const ABSENT: u8 = 0x02;
pub(super) const COMMAND_STATUS: u8 = 0xC0;
pub(super) const MORE_TIME: u8 = 0x80;
/// bError: wrong parity, overrun, procedure byte conflict.
pub(super) const DAMAGED: [u8; 3] = [0xFD, 0xFC, 0xF4];
