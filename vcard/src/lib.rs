//! The virtual card: a smart card's operating system, its security domains and its journalled
//! memory.
//!
//! It takes command APDUs and gives responses; what it can be put into is `vreader`.
#![forbid(unsafe_code)]

pub mod atr;
mod binary;
pub mod card;
mod cas;
mod cos;
mod delivery;
mod factory;
pub mod fault;
pub mod firewall;
mod inspect;
mod isd;
mod keyring;
pub mod nvm;
mod persist;
pub mod personalisation;
mod pin;
mod psam;
mod purse;
mod vault;

pub use card::{Card, CardError, Image, PowerLost, Status};
pub use cos::{Interface, Random};
pub use fault::Fault;
pub use inspect::{Inspection, PsamInspection};
pub use nvm::{Cut, Durability};
pub use personalisation::{Personalisation, PersonalisationError};
