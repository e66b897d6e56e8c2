// SPDX-License-Identifier: Apache-2.0
//! The PBOC purse as a terminal sees it: load, purchase, compound purchase, proof, log, PIN, and
//! the MACs and TACs around them.
//!
//! - A transaction is a straight line of types that consume each other: [`purchase::Purchase`]
//!   becomes `Initialized`, that `Debiting`, and that ends in one of three ways, paid, refused or
//!   [`Unsettled`](proof::Unsettled). Debiting twice, or before initializing, does not compile.
//!   [`load`], [`compound`] and [`passbook`] are built alike.
//! - A lost answer is an outcome with a name: [`proof`] settles it by asking the card, which alone
//!   knows. Persist the `intent()` before the command goes out, and nothing is paid twice.
//! - [`psam`] is the seam to the terminal's secure module, [`port`] the one to the card. Neither a
//!   key nor a reader is anywhere else.
//! - [`flow`] puts the steps together as kiosk, gate and till need them.
//! - [`formula`], [`keys`] and [`mac`] serve both ends: a terminal or host that checks, and a purse
//!   that makes.
//! - [`refusal`] says what a status word means at which step, and whether money may have moved.
//!
//! Amounts are [`Fen`](cam_types::Fen): a sum is checked where it is formed.
//!
//! # A purchase
//!
//! Key, random number and TAC are those of a transaction that a real card made; here its part is
//! played by its formulas.
//!
//! ```
//! use cam_types::{BcdDate, BcdTime, Fen, Secret, TerminalId, TerminalSequence};
//! use hex_literal::hex;
//! use wallet::Mac;
//! use wallet::formula::mac2_purchase;
//! use wallet::keys::PurchaseKey;
//! use wallet::psam::{CardIdentity, SoftPsam};
//! use wallet::purchase::{Debit, Purchase};
//!
//! let key = PurchaseKey::new(Secret::new(hex!("00112233445566778899AABBCCDDEEFF")));
//! let terminal = TerminalId::new(hex!("001122334455"));
//! let mut psam = SoftPsam::new(terminal, TerminalSequence::new(0)).with_key(1, key.clone());
//!
//! // What the real card's MAC2 was, at its terminal's number 0.
//! let session = key.session(hex!("584633C9"), [0, 0], TerminalSequence::new(0));
//! assert_eq!(mac2_purchase(&session, Fen::new(1)), Mac(hex!("66B54A6B")));
//!
//! // INITIALIZE FOR PURCHASE of 0.01. The card: 81.92, its first transaction, a random number.
//! let purchase = Purchase::new(1, Fen::new(1), terminal)?;
//! assert_eq!(purchase.command(), hex!("80 50 01 02 0B 01 00000001 001122334455 0F"));
//! let answer = hex!("00002000 0000 000000 01 00 584633C9 9000");
//! let initialized = purchase.initialized(&answer)?;
//!
//! // The secure module makes MAC1; what may happen from here on is kept first.
//! let (date, time) = (BcdDate(hex!("20161216")), BcdTime(hex!("134600")));
//! let debiting = initialized.authorise(date, time, &CardIdentity::default(), &mut psam)?;
//! let intent = debiting.intent();
//! assert_eq!(debiting.command()[..9], hex!("80 54 01 00 0F 00000001"));
//!
//! // DEBIT FOR PURCHASE: the card answers TAC and MAC2, which the module checks.
//! let session = key.session(hex!("584633C9"), [0, 0], TerminalSequence::new(1));
//! let mac2 = mac2_purchase(&session, Fen::new(1));
//! let answer = [&hex!("8AF270DC")[..], &mac2.0, &hex!("9000")].concat();
//! let debit = debiting.finish(Some(&answer), &mut psam);
//! let Debit::Paid(receipt) = debit else { panic!("{debit:?}") };
//! assert_eq!(receipt.balance.to_string(), "81.91");
//! assert_eq!((receipt.tac, receipt.unchecked), (Mac(hex!("8AF270DC")), None));
//!
//! // Had the answer been lost, what was kept would ask the card: GET TRANSACTION PROVE.
//! let question = wallet::proof::Unsettled::parse(&intent)?.inquire();
//! assert_eq!(question.command(), hex!("80 5A 00 06 02 0001 08"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Normative references:
//!  - PBOC electronic purse (JR/T 0025), as `docs/spec/purse.md` states it
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod balance;
pub mod card;
pub mod cipher;
pub mod command;
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

pub use balance::BalanceCoding;
pub use mac::Mac;
pub use met::Met;
pub use profile::Profile;
pub use record::LogRecord;
pub use refusal::{Reason, Refusal};
pub use transaction::{Account, Transaction, TransactionType};
