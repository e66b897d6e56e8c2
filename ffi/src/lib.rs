// SPDX-License-Identifier: Apache-2.0
//! `libstbcam`: the C ABI of the conditional access module. `include/stbcam.h` is generated from
//! this crate and is the manual.
//!
//! Every function converts its arguments and makes one call; whatever is more belongs below.
#![allow(non_camel_case_types, reason = "types carry their C names")]

mod access;
mod callback;
mod config;
mod context;
mod diag;
mod error;
mod event;
mod event_payload;
mod event_queue;
mod guard;
mod host;
mod host_descrambler;
mod host_reader;
mod host_storage;
mod last_error;
mod log;
mod money;
mod operation;
mod purchase;
mod purchase_text;
mod reason;
mod registry;
mod report;
mod result;
mod size;
mod soft;
mod stats;
mod stream;
mod subscriber;
mod text;
mod types;
mod version;

/// What is given back to the heap is wiped. A test that counts has an allocator of its own.
#[cfg(not(feature = "counted"))]
#[global_allocator]
static ALLOCATOR: stb_shim::residue::WipingAllocator = stb_shim::residue::WipingAllocator;

pub use access::*;
pub use config::*;
pub use event::*;
pub use event_queue::*;
pub use host::*;
pub use last_error::*;
pub use money::*;
pub use operation::*;
pub use purchase::*;
pub use reason::*;
pub use report::*;
pub use result::*;
pub use soft::*;
pub use stats::*;
pub use stream::*;
pub use subscriber::*;
pub use types::*;
pub use version::*;
