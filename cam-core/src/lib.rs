// SPDX-License-Identifier: Apache-2.0
//! The conditional access engine: sessions, which ECMs and EMMs go to the card, purchases.
//!
//! [`Engine`] is a machine with two doors and no port, clock or thread: sections, the card's
//! answers and time come in through [`Engine::handle_input`] and the calls of the API, and
//! everything that it wants done comes out of [`Engine::poll_output`]. The driver's promise: *one
//! input or call, then `poll_output` until it says [`Output::Wait`].* What comes in between, from
//! another thread or as the result of an output, is taken as well. `stb-shim` drives it on a box,
//! with a reader, a storage and a descrambler; a test drives it by hand.
//!
//! - A session is one programme that is watched or recorded: [`Engine::session_open`] takes its
//!   PMT, [`Engine::ca_pmt`] the objects of a middleware that speaks EN 50221. [`Engine::filters`]
//!   says which sections are wanted, [`Engine::access`] whether it may be watched and if not, why
//!   not and who can change it.
//! - An ECM is chosen (whose, known, newer, most likely to be genuine, card free) and goes to the
//!   card once, for every session that has it. The card gives the control words out
//!   encrypted for the box's key ladder, as [`Ecw`]; the engine never sees one in the clear.
//! - EMMs queue (address, repetitions, room) and go to the card as they are.
//! - A purchase is named by a [`RequestId`], is on durable storage before it is sent, and ends in
//!   an [`Outcome`]: when the answer is lost the card is asked, which alone knows.
//! - The card's secure channel is opened by the pairing that arrived on air; what is lost is
//!   opened again, and what keeps failing is left alone for a while.
//!
//! # A card comes
//!
//! One without a pairing for this box: it takes EMMs, and the engine says what it needs.
//!
//! ```
//! use cam_core::{
//!     AccessStatus, CardState, Config, Engine, Entropy, Event, Input, Output, SignOfLife,
//! };
//! use cam_types::{Instant, Key, OperatorId, Pseudonym, StbId};
//! use ecm_emm::card::{CardInfo, OperatorInfo};
//!
//! struct Dice;
//! impl Entropy for Dice {
//!     fn fill(&mut self, octets: &mut [u8]) {
//!         octets.fill(4); // a box asks its random number generator
//!     }
//! }
//!
//! let config = Config::new(StbId::new(*b"STB00001"), Key::new([0x60; 16]), Box::new(Dice));
//! let mut engine = Engine::new(config);
//! let now = Instant::from_micros(0);
//! let info = CardInfo {
//!     version: 0x0102,
//!     pseudonym: Pseudonym::new([0xA1; 8]),
//!     operators: vec![OperatorInfo {
//!         operator: OperatorId::new(0x1201),
//!         suites_allowed: 0x04,
//!         emm_level: 0,
//!     }],
//!     ..CardInfo::default()
//! };
//!
//! // The driver: what the engine wants done is done, and its result is the next input.
//! let (mut events, mut commands) = (Vec::new(), 0);
//! let mut result: Option<Vec<u8>> = None;
//! loop {
//!     match engine.poll_output() {
//!         // The reader resets the card, and it answers.
//!         Output::ActivateCard => result = Some(Vec::new()),
//!         Output::Command { apdu, .. } => {
//!             let mut response = Vec::new();
//!             match apdu[..2] {
//!                 [0x00, 0xA4] => {} // SELECT
//!                 [0x80, 0x32] => info.emit(&mut response)?, // CAS INFO
//!                 _ => panic!("{apdu:02X?}"),
//!             }
//!             response.extend([0x90, 0x00]);
//!             commands += 1;
//!             result = Some(response);
//!         }
//!         Output::Event(event) => events.push(event),
//!         Output::Wait(_) => match result.take() {
//!             Some(none) if none.is_empty() => {
//!                 let sign_of_life = SignOfLife::Command;
//!                 let atr = &[0x3B, 0x00];
//!                 engine.handle_input(now, Input::CardReady { atr, protocol: 0, sign_of_life });
//!             }
//!             Some(response) => engine.handle_input(now, Input::Response(&response)),
//!             None => break,
//!         },
//!         other => panic!("{other:?}"),
//!     }
//! }
//! assert_eq!((engine.card().state, commands), (CardState::Unpaired, 2));
//! assert_eq!(engine.card().operator, None, "outside a session nobody vouches for it");
//! let reason = AccessStatus::NOT_PAIRED;
//! assert!(events.contains(&Event::Card { state: CardState::Unpaired, reason }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Normative references:
//!  - ISO/IEC 13818-1 (PMT, CAT, CA_descriptor), ETSI ETR 289 (ECM, EMM, parity)
//!  - `docs/spec/ecm.md`, `docs/spec/emm.md`, `docs/spec/card.md` (this system's messages),
//!    `docs/spec/purchase.md` (money)
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod card;
mod config;
mod doors;
mod ecm;
mod emm;
mod engine;
mod event;
mod filter;
mod names;
mod outbox;
mod pause;
mod pin;
mod purchase;
mod report;
mod session;
mod stats;

pub use card::{Card, CardState};
pub use config::{Config, Entropy};
pub use doors::{Absence, Ecw, Handover, Input, Output, Probed, SignOfLife};
pub use ecm_emm::card::{
    AccessState, AccessStatus, AckResult, Remedy, RightRow as Right, SlotInfo as KeyVersion,
    WalletInfo as Wallet,
};
pub use ecm_emm::scrambling::ScramblingMode;
pub use engine::Engine;
pub use engine::ca_pmt::{CaEnable, CaPmtReply};
pub use event::Event;
pub use filter::Filter;
pub use filter::published::FilterUse;
pub use names::{SessionId, StoreId, Ticket, TxnId};
pub use pin::error::PinError;
pub use pin::outcome::{PinAnswer, PinOutcome};
pub use purchase::error::PurchaseError;
pub use purchase::offer::{Offer, OfferId, OfferKind};
pub use purchase::outcome::{Outcome, Receipt, Transaction, TxnState};
pub use purchase::request::RequestId;
pub use report::ReportError;
pub use session::access::Access;
pub use session::error::SessionError;
pub use stats::Stats;
