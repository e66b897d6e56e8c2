//! The virtual card: a smart card's operating system, its security domains and its journalled memory,
//! served on a pseudo terminal as a serial reader would serve it.
#![deny(unsafe_code)]

pub mod aid;
pub mod atr;
mod binary;
pub mod card;
mod cas;
pub mod context;
pub mod control;
mod cos;
mod delivery;
mod factory;
pub mod fault;
pub mod firewall;
pub mod gempc;
pub mod inserted;
mod inspect;
mod interface;
mod isd;
mod keyring;
pub mod line;
pub mod link;
mod message;
pub mod nvm;
pub mod os;
pub mod pace;
mod persist;
pub mod personalisation;
mod pin;
mod psam;
pub mod pty;
mod purse;
mod random;
pub mod record;
pub mod script;
pub mod serve;
mod stop;
#[expect(unsafe_code, reason = "the terminal ioctls that nix does not wrap")]
mod sys;
mod vault;
pub mod vpcd;

pub use card::{Card, CardError, Image, PowerLost};
pub use fault::Fault;
pub use inspect::{Inspection, PsamInspection, Status};
pub use interface::Interface;
pub use nvm::{Cut, Durability};
pub use personalisation::{Personalisation, PersonalisationError};
pub use random::Random;
