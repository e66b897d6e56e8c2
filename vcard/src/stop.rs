// SPDX-License-Identifier: Apache-2.0
//! How a command ends that has no answer of its own: refused, or cut off.

use crate::context::Violation;
use crate::nvm::NvmError;
use iso7816::apdu::StatusWord;

/// Why a command ended without an answer of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
    /// It was refused with this status word.
    Status(StatusWord),
    /// The power went away.
    PowerLost,
    /// A check has contradicted itself.
    Alarm,
}

impl From<StatusWord> for Stop {
    fn from(sw: StatusWord) -> Self {
        Self::Status(sw)
    }
}

impl From<Violation> for Stop {
    fn from(_: Violation) -> Self {
        Self::Status(StatusWord::SECURITY_STATUS)
    }
}

impl From<NvmError> for Stop {
    fn from(error: NvmError) -> Self {
        match error {
            // Nothing was written.
            NvmError::TooLarge { .. } => Self::Status(StatusWord::NO_ROOM),
            // Only the next boot knows what was written.
            NvmError::Store(_) | NvmError::WrongSize { .. } => Self::PowerLost,
        }
    }
}
