// SPDX-License-Identifier: Apache-2.0
//! The card as a box, a terminal and an attacker see it: dialogues through its one door.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod absent;
mod barred;
mod capp;
mod channels;
mod ecm;
mod ecm_time;
mod emm;
mod every_row;
mod files;
mod flips;
mod floors;
mod forged;
mod fuzz;
mod glitches;
mod guesses;
mod held_back;
mod keys;
mod limits;
mod maintenance;
mod owned;
mod pairings;
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
mod small_steps;
mod transcripts;
mod wallet_emm;
