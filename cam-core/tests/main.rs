// SPDX-License-Identifier: Apache-2.0
//! The engine by its two doors, in virtual time: one binary, whose modules are the files here.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod access_events;
mod anything;
mod ca_pmt;
mod card;
mod card_words;
mod carousel;
mod channels;
mod descrambler;
mod emms;
mod filters;
mod forged;
mod hot_path;
mod idle;
mod moments;
mod offers;
mod outputs;
mod purchases;
mod rates;
mod reports;
mod resync;
mod rig;
mod rights;
mod shared;
mod silent;
mod slow_card;
mod tables;
mod told;
mod turns;
mod unpaid;
mod watching;
