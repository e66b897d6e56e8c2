// SPDX-License-Identifier: Apache-2.0
//! Messages, suites and keys by the public API: one binary, whose modules are the files here.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod box_emm;
mod card;
mod commands;
mod dvs042;
mod ecm;
mod emm;
mod permissions;
mod primitives;
mod psi;
mod reasons;
mod report;
mod samples;
mod service_names;
mod spec_table;
mod transport;
mod values;
