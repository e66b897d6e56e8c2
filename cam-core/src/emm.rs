// SPDX-License-Identifier: Apache-2.0
//! EMMs on their way to the card: the streams that carry them, and which of them are news.

pub(crate) mod duplicates;
mod heard;
pub(crate) mod lane;
pub(crate) mod queue;
mod resting;
pub(crate) mod streams;
mod waiting;
