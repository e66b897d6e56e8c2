//! What every stbcam crate shares: identifiers, money, time, secrets and the octet reader.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 (PID), ETSI ETR 289 (parity, CA_system_id)
//!  - PBOC: amounts, terminal identifiers, dates and times of the purse
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "meter")]
extern crate std;

mod fen;
mod id;
mod instant;
#[cfg(feature = "meter")]
pub mod meter;
mod reader;
mod secret;
mod time;

pub use fen::{Fen, ParseFenError};
pub use id::{
    CaSystemId, CardId, ChannelId, Epoch, EventId, OperatorId, PackageId, Parity, Pid, Pseudonym,
    Slot, StbId, TerminalId, TerminalSequence,
};
pub use instant::Instant;
pub use reader::{DecodeError, Reader};
pub use secret::{ControlWord, Key, Secret};
pub use time::{BcdDate, BcdTime, CasTime};
