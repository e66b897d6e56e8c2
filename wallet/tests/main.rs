// SPDX-License-Identifier: Apache-2.0
//! The terminal's side of the purse by its public API: one binary, whose modules are the files
//! here.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod card;
mod cards;
mod compound;
mod flows;
mod passbook;
mod properties;
mod psam;
mod psam_card;
mod public_vectors;
mod read;
mod refusals;
mod schemes;
mod secure_messaging;
mod terminal;
mod transcripts;
