// SPDX-License-Identifier: Apache-2.0
//! The testbed: what tests put between and around the crates, each fixture once.
//!
//! A test stands here when it puts several crates together; `vcard`, `vreader` and `cli` take the
//! testbed for tests that have to stand with them: Cargo builds a program for the tests of its own
//! package only.
#![allow(missing_docs, reason = "a fixture is read in the test beside it")]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

pub mod card_thread;
pub mod demo;
pub mod desk;
pub mod entropy;
pub mod flood;
pub mod memory;
#[cfg(feature = "meter")]
pub mod money;
pub mod paced_box;
pub mod paced_line;
pub mod plain;
pub mod served;
pub mod slot;
pub mod small;
pub mod stb;
pub mod stbcam;
pub mod tables;
pub mod terminal;
pub mod wire;
