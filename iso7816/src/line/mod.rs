//! The card line: activation, protocol and recovery behind two doors.
mod types;

pub use types::{Cause, Gone, Input, LineError, Output, Policy, Reset};
