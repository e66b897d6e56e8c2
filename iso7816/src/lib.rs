//! The contact interface of a card: APDU, answer to reset, PPS, T=0, T=1 and T=14 as machines without a
//! port or a clock.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006, ISO/IEC 7816-4
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod apdu;
pub mod atr;
pub mod emv;
pub mod etu;
pub mod line;
pub mod pps;
pub mod t0;
pub mod t1;
pub mod t14;
