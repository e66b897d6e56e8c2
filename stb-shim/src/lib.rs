// SPDX-License-Identifier: Apache-2.0
//! What touches the box: card reader, section rings, card thread, storage, and, for boxes and
//! hosts without one in hardware, a key ladder and a descrambler in software.
//!
//! `unsafe` lives in `sys` and `residue` alone.
#![deny(unsafe_code)]

pub mod cam;
pub mod cipher;
pub mod clock;
pub mod descrambler;
pub mod driver;
pub mod due;
pub mod events;
pub mod gempc;
pub mod iso_uart;
pub mod ladder;
#[cfg(feature = "pcsc")]
pub mod pcsc;
mod period;
mod port;
pub mod reader;
pub mod readers;
mod refusals;
pub mod residue;
pub mod ring;
pub mod serial;
pub mod slot;
pub mod soft_descrambler;
mod source;
pub mod storage;
pub mod sys;
mod taken;
pub mod threads;
pub mod url;
pub mod vpcd;
mod wanted;
