// SPDX-License-Identifier: Apache-2.0
//! Refusals on their way to the caller: one result, and its details for `stbcam_last_error`.

use crate::result::{
    STBCAM_E_AGAIN, STBCAM_E_ARG, STBCAM_E_BUSY, STBCAM_E_FULL, STBCAM_E_NO_CARD,
    STBCAM_E_NO_READER, STBCAM_E_NO_SESSION, STBCAM_E_NO_TXN, STBCAM_E_OFFER_EXPIRED,
    STBCAM_E_OUTCOME_UNKNOWN, STBCAM_E_OVERFLOW, STBCAM_E_PRICE_CHANGED,
    STBCAM_E_REQUEST_FORGOTTEN, STBCAM_E_REQUEST_REUSED, STBCAM_E_SECTION, STBCAM_E_SEQUENCE,
    STBCAM_E_STATE, STBCAM_E_TIMEOUT, stbcam_result_t, text_of,
};
use cam_core::{PinError, PurchaseError, ReportError, SessionError, TxnState};
use core::cell::{Cell, RefCell};
use stb_shim::cam::{SectionRefused, WaitEnded};
use stb_shim::reader::ReaderError;
use std::io;

/// Why a call was refused.
#[derive(Clone, Debug)]
pub(crate) struct Error {
    pub(crate) code: stbcam_result_t,
    pub(crate) sw: u16,
    pub(crate) card_result: u8,
    pub(crate) os_errno: i32,
    pub(crate) text: String,
}

pub(crate) type Result<T = ()> = core::result::Result<T, Error>;

thread_local! {
    static REPORTED: Cell<u64> = const { Cell::new(0) };
    static LAST: RefCell<Error> = const { RefCell::new(Error::NONE) };
}

/// The calling thread's last refusal.
pub(crate) fn last() -> Error {
    LAST.with_borrow(Clone::clone)
}

/// How many refusals the calling thread has had: tells a new one from an old one.
pub(crate) fn reported() -> u64 {
    REPORTED.get()
}

impl Error {
    /// Nothing was refused yet.
    const NONE: Self = Self { code: 0, sw: 0, card_result: 0, os_errno: 0, text: String::new() };

    pub(crate) fn new(code: stbcam_result_t, text: impl Into<String>) -> Self {
        Self { code, sw: 0, card_result: 0, os_errno: 0, text: text.into() }
    }

    /// A refusal that its result describes well enough.
    pub(crate) fn plain(code: stbcam_result_t) -> Self {
        Self::new(code, text_of(code).to_string_lossy())
    }

    pub(crate) fn argument(text: impl Into<String>) -> Self {
        Self::new(STBCAM_E_ARG, text)
    }

    /// Remembers this refusal for the calling thread and gives its result.
    pub(crate) fn report(self) -> stbcam_result_t {
        let code = self.code;
        REPORTED.set(REPORTED.get().wrapping_add(1));
        LAST.with_borrow_mut(|last| *last = self);
        code
    }
}

/// The refusal of a source that there is not.
pub(crate) fn no_source(got: u8) -> Error {
    Error::argument(format!("source is {got}, expected 0 to 15"))
}

impl From<SectionRefused> for Error {
    fn from(refused: SectionRefused) -> Self {
        match refused {
            SectionRefused::Source(got) => no_source(got),
            SectionRefused::Busy => {
                Self::new(STBCAM_E_BUSY, "another thread is offering a section of this source")
            }
            SectionRefused::Overflow => {
                Self::new(STBCAM_E_OVERFLOW, "the card has not kept up; the section is lost")
            }
            SectionRefused::Malformed { expected, got } => Self::new(
                STBCAM_E_SECTION,
                format!("the section has {got} octets, expected {expected} by its section_length"),
            ),
            SectionRefused::TooLong { limit, got } => Self::new(
                STBCAM_E_SECTION,
                format!("the section has {got} octets, expected at most {limit}"),
            ),
        }
    }
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        let code = match error {
            SessionError::Unknown => STBCAM_E_NO_SESSION,
            SessionError::Full { .. } => STBCAM_E_FULL,
            SessionError::Table(_)
            | SessionError::Next
            | SessionError::OtherProgramme { .. }
            | SessionError::ListManagement(_)
            | SessionError::Command(_) => STBCAM_E_SECTION,
            _ => STBCAM_E_STATE,
        };
        Self::new(code, error.to_string())
    }
}

impl From<PurchaseError> for Error {
    fn from(error: PurchaseError) -> Self {
        let code = match error {
            PurchaseError::NoOffer => STBCAM_E_OFFER_EXPIRED,
            PurchaseError::NoTransaction => STBCAM_E_NO_TXN,
            PurchaseError::PriceChanged { .. } => STBCAM_E_PRICE_CHANGED,
            PurchaseError::State(TxnState::Settling) => STBCAM_E_OUTCOME_UNKNOWN,
            PurchaseError::RequestReused => STBCAM_E_REQUEST_REUSED,
            PurchaseError::Forgotten => STBCAM_E_REQUEST_FORGOTTEN,
            PurchaseError::NumbersUsedUp => STBCAM_E_SEQUENCE,
            PurchaseError::PinFormat | PurchaseError::ForeignRequest => STBCAM_E_ARG,
            PurchaseError::NoCard => STBCAM_E_NO_CARD,
            PurchaseError::Unread => STBCAM_E_AGAIN,
            PurchaseError::Full => STBCAM_E_FULL,
            _ => STBCAM_E_STATE,
        };
        Self::new(code, error.to_string())
    }
}

impl From<PinError> for Error {
    fn from(error: PinError) -> Self {
        let code = match error {
            PinError::Format => STBCAM_E_ARG,
            PinError::NoCard => STBCAM_E_NO_CARD,
            PinError::Full { .. } => STBCAM_E_FULL,
            _ => STBCAM_E_STATE,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ReportError> for Error {
    fn from(error: ReportError) -> Self {
        let code = match error {
            ReportError::NoCard => STBCAM_E_NO_CARD,
            ReportError::NoAck { .. } => STBCAM_E_ARG,
            _ => STBCAM_E_STATE,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ReaderError> for Error {
    fn from(error: ReaderError) -> Self {
        let code = match error {
            ReaderError::Url { .. } => STBCAM_E_ARG,
            _ => STBCAM_E_NO_READER,
        };
        Self { os_errno: error.errno().unwrap_or(0), ..Self::new(code, error.to_string()) }
    }
}

impl From<WaitEnded> for Error {
    fn from(ended: WaitEnded) -> Self {
        match ended {
            WaitEnded::Timeout => Self::plain(STBCAM_E_TIMEOUT),
            WaitEnded::Stopped => Self::new(STBCAM_E_STATE, "the context is being closed"),
        }
    }
}

impl Error {
    /// The system refused `what`.
    pub(crate) fn system(code: stbcam_result_t, what: &str, error: &io::Error) -> Self {
        Self {
            os_errno: stb_shim::storage::errno(error).unwrap_or(0),
            ..Self::new(code, format!("{what}: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;
    use stb_shim::readers;
    use std::net::TcpListener;

    /// What the system has refused is told by its number, too.
    #[test]
    fn a_reader_that_the_system_refuses_has_its_errno() {
        let file = std::env::temp_dir().join(format!("stbcam-errno-{}", std::process::id()));
        std::fs::write(&file, b"").unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = format!("vpcd:{}", taken.local_addr().unwrap());
        for (url, errno) in [
            (format!("serial:{}.not", file.display()), Errno::ENOENT),
            (format!("serial:{}", file.display()), Errno::ENOTTY),
            (format!("iso7816:{}.not", file.display()), Errno::ENOENT),
            (format!("gempc:{}", file.display()), Errno::ENOTTY),
            ("serial:/".to_owned(), Errno::EISDIR),
            (taken, Errno::EADDRINUSE),
        ] {
            let error = Error::from(readers::open(&url).err().unwrap());
            assert_eq!((error.code, error.os_errno), (STBCAM_E_NO_READER, errno as i32), "{url}");
        }
        // The URL alone was wrong.
        let error = Error::from(readers::open("serial:/dev/null?color=red").err().unwrap());
        assert_eq!((error.code, error.os_errno), (STBCAM_E_ARG, 0));
        std::fs::remove_file(file).unwrap();
    }
}
