//! What the commands do.
pub mod apdu;
pub mod atr;
pub mod gate;
pub mod line;
pub mod till;
pub mod wallet;
pub mod watch;
