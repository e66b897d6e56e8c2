// SPDX-License-Identifier: Apache-2.0
//! Why a job was not done, and the exit status that says so.
use stb_shim::reader::ReaderError;
use std::io;

/// Why a job was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// It did not work.
    Failed(String),
    /// The card's last answer was an error, and has been shown.
    Refused,
    /// Card, host or terminal said no. No money has moved.
    Declined(String),
    /// Money may have moved: only the card knows.
    Unsettled(String),
    /// An earlier transaction had to be settled first. No money has moved by this one.
    Earlier(String),
}

impl Failure {
    /// What it says; the exit status is documented in `--help`.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Refused => "",
            Self::Usage(why)
            | Self::Failed(why)
            | Self::Declined(why)
            | Self::Unsettled(why)
            | Self::Earlier(why) => why,
        }
    }

    pub(crate) const fn status(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused | Self::Declined(_) => 3,
            Self::Unsettled(_) => 4,
            Self::Earlier(_) => 5,
        }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl From<ReaderError> for Failure {
    fn from(why: ReaderError) -> Self {
        Self::Failed(why.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(why: io::Error) -> Self {
        Self::Failed(format!("standard output: {why}"))
    }
}
