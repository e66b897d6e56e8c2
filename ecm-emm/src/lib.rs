//! The messages of the conditional access system: sections, CA descriptors, ECM, EMM and the card
//! commands that carry them; suites and keys that protect them. Parse and emit stand side by side.
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
pub mod ecm;
pub mod emm;
mod error;
pub mod keys;
pub mod pat;
pub mod pmt;
pub mod report;
pub mod section;
pub mod suite;

pub use error::{EncodeError, OpenError};
