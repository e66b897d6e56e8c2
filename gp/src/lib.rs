//! GlobalPlatform: the SP 800-108 key derivation and SCP03, terminal and card.
//!
//! Normative references:
//!  - GlobalPlatform Card Specification, Amendment D (SCP03)
//!  - NIST SP 800-108 (KDF in counter mode), RFC 4493 (AES-CMAC)
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod cipher;
mod kdf;
pub mod scp03;

pub use kdf::{KdfError, kdf_cmac, kdf_input};
