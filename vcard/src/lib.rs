//! The virtual card: a smart card's operating system, its security domains and its journalled memory,
//! served on a pseudo terminal as a serial reader would serve it.
#![deny(unsafe_code)]

pub mod atr;
pub mod card;
pub mod control;
pub mod fault;
pub mod inserted;
pub mod line;
pub mod link;
pub mod nvm;
pub mod os;
pub mod pace;
pub mod personalisation;
pub mod pty;
pub mod record;
pub mod serve;
#[expect(unsafe_code, reason = "the terminal ioctls that nix does not wrap")]
mod sys;

pub use card::{Card, CardError, Image, Inspection, PowerLost, Status};
pub use fault::Fault;
pub use nvm::{Cut, Durability};
pub use personalisation::{Personalisation, PersonalisationError};
