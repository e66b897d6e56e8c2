// SPDX-License-Identifier: Apache-2.0
//! The head-end: makes ECMs and EMMs and packages a clear transport stream into a broadcast.

pub mod attack;
pub mod carousel;
pub mod carriage;
pub mod cli;
pub mod cw_source;
pub mod due;
pub mod ecm;
pub mod emm;
pub mod fault;
pub mod files;
pub mod inspect;
pub mod message;
pub mod multiplex;
pub mod package;
pub mod pairing;
pub mod period;
pub mod psi;
pub mod report;
pub mod run;
pub mod sabotage;
pub mod scrambler;
pub mod sender;
pub mod stream;
pub mod timebase;
pub mod verify;
