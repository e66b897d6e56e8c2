// SPDX-License-Identifier: Apache-2.0
//! Who may work with whom, and until when: head-end, box and card in virtual time.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod names;
mod pairing;
mod withheld;
