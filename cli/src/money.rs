//! What the money commands share: keys, durable state, and a terminal with a card in its reader.
pub mod args;
pub mod batch;
pub mod card;
pub mod fares;
pub mod journal;
pub mod keys;
pub mod pin;
pub mod port;
pub mod state;
pub mod table;
pub mod terminal;
