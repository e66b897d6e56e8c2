//! What the commands do.
pub mod apdu;
pub mod atr;
pub mod line;
pub mod watch;
