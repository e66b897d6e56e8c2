// SPDX-License-Identifier: Apache-2.0
//! The card as a box, a terminal and an attacker see it: dialogues through its one door.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod absent;
mod capp;
mod ecm;
mod ecm_time;
mod emm;
mod every_row;
mod files;
mod forged;
mod fuzz;
mod held_back;
mod keys;
mod limits;
mod maintenance;
mod owned;
mod passbook;
mod personalise;
mod pin_uses;
mod psam;
mod purchase;
mod purse;
mod purse_pin;
mod readers;
mod report;
mod search;
mod sequences;
mod session;
mod shared_keys;
mod transcripts;
mod wallet_emm;
