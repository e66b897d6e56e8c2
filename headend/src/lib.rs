//! The head-end: makes ECMs and EMMs and packages a clear transport stream into a broadcast.

pub mod scrambler;
pub mod stream;
pub mod timebase;
