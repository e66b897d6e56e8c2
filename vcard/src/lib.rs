// SPDX-License-Identifier: Apache-2.0
//! The virtual card: a smart card's operating system, its security domains and its journalled
//! memory.
//!
//! It takes command APDUs and gives responses; what it can be put into is `vreader`.
#![forbid(unsafe_code)]

pub mod atr;
mod binary;
pub mod card;
mod cas;
pub mod context;
mod cos;
mod decide;
mod delivery;
mod factory;
pub mod fault;
pub mod firewall;
mod inspect;
mod interface;
mod isd;
mod keyring;
mod message;
pub mod nvm;
mod persist;
pub mod personalisation;
mod pin;
mod psam;
mod purse;
mod random;
mod set_by;
mod stop;
mod vault;

pub use card::{Card, CardError, Image, PowerLost};
pub use decide::Glitch;
pub use fault::Fault;
pub use inspect::{Inspection, PsamInspection, Status};
pub use interface::Interface;
pub use nvm::{Cut, Durability};
pub use personalisation::{Personalisation, PersonalisationError};
pub use random::Random;
