// SPDX-License-Identifier: Apache-2.0
//! The key derivation and both ends of SCP03: one binary, whose modules are the files here.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod kdf;
mod published;
mod session;
