// SPDX-License-Identifier: Apache-2.0
//! What every stbcam crate shares: identifiers, money, time, status words, secrets and the octet
//! reader.
//!
//! A number that means something has a type here, so that a price is no event and a PID no length.
//! Each says its unit, its width and who gives it out, and knows its octets on the wire. [`Reader`]
//! takes received octets apart without running past their end, and its [`DecodeError`] names the
//! field that was missing or wrong. [`Secret`] never prints itself and is wiped when dropped.
//! [`Instant`] is a moment on the driver's clock: no crate from here to the engine reads one.
//!
//! ```
//! use cam_types::{DecodeError, EventId, Fen, Key, Pid, Reader};
//!
//! // An offer as a card might tell it: an event and its price.
//! let mut r = Reader::new(&[0x00, 0x00, 0x07, 0xD1, 0x00, 0x00, 0x04, 0xB5]);
//! let event = EventId::from_be_bytes(*r.array("event")?);
//! let price = Fen::from_be_bytes(*r.array("price")?);
//! r.finish("offer")?;
//! assert_eq!((event, price), (EventId::new(2001), Fen::new(1205)));
//! assert_eq!(price.to_string(), "12.05");
//!
//! // Sums of money are checked where they are formed; there is no `+`.
//! assert_eq!(Fen::new(1000).checked_sub(price), None);
//!
//! // What is cut short says where.
//! assert_eq!(Reader::new(&[0x00]).u16("service id"), Err(DecodeError::Missing("service id")));
//!
//! // A PID has 13 bits, and a key shows itself to nobody.
//! assert_eq!(Pid::new(0x2000), None);
//! assert!(!format!("{:?}", Key::new([0x42; 16])).contains("42"));
//! # Ok::<(), DecodeError>(())
//! ```
//!
//! Normative references:
//!  - ISO/IEC 13818-1 (PID), ETSI ETR 289 (parity, CA_system_id)
//!  - ISO/IEC 7816-4 (status words)
//!  - PBOC: amounts, terminal identifiers, dates and times of the purse
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "meter")]
extern crate std;

mod aid;
mod fen;
mod id;
mod instant;
pub mod interindustry;
mod judge;
#[cfg(feature = "meter")]
pub mod meter;
mod reader;
mod secret;
mod status_word;
mod time;
pub mod transport;

pub use aid::Aid;
pub use fen::{Fen, ParseFenError};
pub use id::{
    CaSystemId, CardId, ChannelId, Epoch, EventId, OperatorId, PackageId, Parity, Pid, Pseudonym,
    Slot, StbId, TerminalId, TerminalSequence,
};
pub use instant::Instant;
pub use judge::Judge;
pub use reader::{DecodeError, Reader};
pub use secret::{ControlWord, Key, Secret};
pub use status_word::StatusWord;
pub use time::{BcdDate, BcdTime, CasTime};
