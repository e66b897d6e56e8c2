// SPDX-License-Identifier: Apache-2.0
//! ECMs on their way to the card: which section of a stream goes, when it goes again, what was
//! refused before, whose turn it is, when all are asked again, how long each took, and whether ECMs
//! are on air at all.

pub(crate) mod air;
pub(crate) mod choice;
pub(crate) mod due;
pub(crate) mod hold;
mod latency;
pub(crate) mod memory;
pub(crate) mod question;
pub(crate) mod queue;
mod rounds;
