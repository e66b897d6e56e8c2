// SPDX-License-Identifier: Apache-2.0
//! What the money commands share: keys, durable state, and a terminal with a card in its reader.
pub(crate) mod args;
pub(crate) mod batch;
pub(crate) mod card;
pub(crate) mod fares;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod pin;
pub(crate) mod port;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod terminal;
pub(crate) mod verdict;
