// SPDX-License-Identifier: Apache-2.0
//! The messages of the conditional access system: sections, CA descriptors, ECM, EMM and the card
//! commands that carry them; suites and keys that protect them. Parse and emit stand side by side.
//!
//! Head-end, box and card use the same codecs, so what one of them writes the others can read:
//!
//! - [`section`], [`descriptor`], [`pat`], [`pmt`], [`cat`], [`ca_descriptor`] and [`ca_pmt`] are
//!   of ISO/IEC 13818-1 and EN 50221: where a programme's ECMs are, and the operator's EMMs.
//! - [`sdt`] and [`vct`] have the names of services, where DVB rules and where ATSC and SCTE do.
//! - [`ecm`] and [`emm`] are this system's messages to the card, [`box_emm`] those to the box,
//!   [`report`] what the card tells the operator. Each has a header in clear and a sealed body.
//! - [`suite`] seals and opens them and wraps keys inside them; [`keys`] says what a key is for and
//!   derives a card's keys from a master's.
//! - [`card`] is the data of the card's commands and answers.
//! - [`scrambling`] names the ways of scrambling packets; [`dvs042`] is those that no crate has.
//!
//! A type that was parsed tells that its octets were well-formed and in range. Who sent it, only
//! the holder of the key can say: [`ecm::Ecm::open`], [`emm::Emm::open`]. What parses emits back to
//! the same octets, a tested property of every message; trailing octets are refused, but for the
//! elements that a newer card adds to its answers, and an error names the field and what would be
//! right.
//!
//! # An ECM, from the head-end to the card
//!
//! ```
//! use cam_types::{CasTime, ChannelId, Epoch, Key, OperatorId, PackageId, Secret, Slot};
//! use ecm_emm::OpenError;
//! use ecm_emm::ecm::{
//!     Cci, ControlWords, Criteria, Ecm, EcmBody, EcmHeader, EcmKind, Rating, Regions,
//! };
//! use ecm_emm::keys::KeyMaterial;
//! use ecm_emm::section::CaSection;
//! use ecm_emm::suite::{SealKey, Suite};
//!
//! // The head-end: two control words for the subscribers of package 1, under service key 1.
//! let service_key = SealKey::new(Suite::Cmac128, KeyMaterial::from(Key::new([0x20; 16])))?;
//! let header = EcmHeader {
//!     kind: EcmKind::Cw64,
//!     suite: Suite::Cmac128,
//!     operator: OperatorId::new(0x1201),
//!     slot: Slot::new(1),
//!     epoch: Epoch::new(1),
//!     cp_number: 3,
//! };
//! let body = EcmBody {
//!     channel: ChannelId::new(0x0101),
//!     time: CasTime::new(1000),
//!     cci: Cci(0),
//!     rating: Rating(0),
//!     regions: Regions::ALL,
//!     emm_floor: 0,
//!     cw: ControlWords::Cw64 { even: Secret::new([1; 8]), odd: Secret::new([2; 8]) },
//!     criteria: Criteria { packages: vec![PackageId::new(1)], ..Criteria::default() },
//! };
//! let mut section = Vec::new();
//! body.seal(&header, &service_key, &mut section)?;
//!
//! // The box sees a section of table 81, for an odd crypto period, and its header; no more.
//! assert_eq!(CaSection::parse(&section)?.table_id, EcmHeader::ODD);
//! let ecm = Ecm::parse(&section)?;
//! assert_eq!(ecm.header, header);
//!
//! // The card has the key, and gets back what was sealed.
//! assert_eq!(ecm.open(&service_key)?, body);
//!
//! // A forger does not: one octet changed, and nothing opens.
//! *section.last_mut().unwrap() ^= 1;
//! assert_eq!(Ecm::parse(&section)?.open(&service_key), Err(OpenError::Authentication));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Normative references:
//!  - ISO/IEC 13818-1 (PSI), ETSI ETR 289 (CA message section), EN 50221 (CA_PMT)
//!  - `docs/spec/ecm.md`, `docs/spec/emm.md` (this system's CA data), `docs/spec/card.md`
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod box_emm;
pub mod ca_descriptor;
pub mod ca_pmt;
pub mod card;
pub mod cat;
pub mod descriptor;
pub mod dvs042;
pub mod ecm;
mod element;
pub mod emm;
mod error;
pub mod keys;
mod number;
pub mod pat;
pub mod pmt;
pub mod report;
pub mod scrambling;
pub mod sdt;
pub mod section;
pub mod suite;
pub mod vct;

pub use error::{EncodeError, OpenError};
