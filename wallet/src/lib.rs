//! The PBOC purse as a terminal sees it: load, purchase, compound purchase, proof, log, PIN, and the MACs and TACs
//! around them.
//!
//! Normative references:
//!  - PBOC electronic purse (JR/T 0025), as `docs/spec/purse.md` states it
//!
//! The formulas in [`formula`] serve both ends: a terminal or host that checks, and a purse that makes.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod card;
pub mod cipher;
mod commit;
pub mod compound;
pub mod flow;
pub mod formula;
pub mod keys;
pub mod load;
pub mod mac;
pub mod met;
mod overdraft_limit;
pub mod passbook;
pub mod pin;
pub mod port;
pub mod profile;
pub mod proof;
pub mod psam;
pub mod purchase;
pub mod read;
pub mod record;
pub mod refusal;
mod response;
pub mod secure_messaging;
pub mod select;
mod transaction;
mod unsettled;

pub use mac::Mac;
pub use met::Met;
pub use profile::Profile;
pub use record::LogRecord;
pub use refusal::{Reason, Refusal};
pub use transaction::{Account, PurseStatus, Transaction, TransactionType};

/// The purse application of our card.
pub const PURSE_AID: [u8; 9] = [0xA0, 0x00, 0x00, 0x00, 0x03, 0x86, 0x98, 0x07, 0x01];
