// SPDX-License-Identifier: Apache-2.0
//! The head-end as a whole, with the demo's files: one program, so that its parts share one support
//! of which nothing is left over.
#![allow(clippy::unwrap_used, reason = "a test fails where its helpers do")]

mod any_stream;
mod broadcasters;
mod cable;
mod command_line;
mod coverage;
mod demo;
mod emm;
mod forks;
mod framing;
mod gaps;
mod histories;
mod incoming;
mod made;
mod rate;
mod refused;
mod reporting;
mod state_file;
mod support;
mod tables;
mod verify;
