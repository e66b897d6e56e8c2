// SPDX-License-Identifier: Apache-2.0
//! Purchases as the host sees them: their states, outcomes and receipts, and why a step is refused.
//!
//! Normative references:
//!  - `docs/spec/purchase.md`, 4 (the states of a purchase)

pub(crate) mod error;
pub(crate) mod ledger;
pub(crate) mod offer;
pub(crate) mod outcome;
pub(crate) mod purse;
pub(crate) mod request;
mod row;
