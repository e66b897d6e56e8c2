//! The conditional access engine: sessions, ECM gate, EMM gate, card, purchases.
//!
//! [`Engine`] is a machine with two doors and no port, clock or thread: sections, the card's answers
//! and time come in through [`Engine::handle_input`] and the calls of the API, and everything that
//! it wants done comes out of [`Engine::poll_output`]. The driver's promise: *one input or call, then
//! `poll_output` until it says [`Output::Wait`].*
//!
//! Normative references:
//!  - ISO/IEC 13818-1 (PMT, CAT, CA_descriptor), ETSI ETR 289 (ECM, EMM, parity)
//!  - `docs/spec/ecm.md`, `docs/spec/emm.md`, `docs/spec/card.md` (this system's messages),
//!    `docs/spec/purchase.md` (money)
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod access;
mod air;
mod ca_pmt;
mod card;
mod config;
mod doors;
mod ecm;
mod ecm_gate;
mod ecm_memory;
mod emm;
mod emm_gate;
mod emm_streams;
mod engine;
mod event;
mod exchange;
mod filter;
mod ledger;
mod link;
mod mode;
mod names;
mod offer;
mod outbox;
mod pairing;
mod pay;
mod programme;
mod purchase;
mod report;
mod request;
mod review;
mod row;
mod scrambling;
mod session;
mod session_error;
mod settle;
mod stats;
mod stream;
mod turns;
mod watch;
mod yields;

pub use access::{Access, AccessState, Remedy};
pub use ca_pmt::{CaEnable, CaPmtReply};
pub use config::{Config, Entropy};
pub use doors::{Absence, ControlWords, Handover, Input, Output};
pub use ecm_emm::card::{
    AccessStatus, AckResult, RightRow as Right, SlotInfo as KeyVersion, WalletInfo as Wallet,
};
pub use engine::Engine;
pub use event::{Card, CardState, Event, PinAnswer, PinOutcome};
pub use filter::Filter;
pub use mode::ScramblingMode;
pub use names::{SessionId, StoreId, Ticket, TxnId};
pub use offer::{Offer, OfferId, OfferKind};
pub use purchase::{Outcome, PurchaseError, Receipt, Transaction, TxnState};
pub use report::ReportError;
pub use request::RequestId;
pub use session_error::SessionError;
pub use stats::Stats;
