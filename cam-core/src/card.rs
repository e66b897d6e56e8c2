// SPDX-License-Identifier: Apache-2.0
//! The card as the engine knows it: how far the dialogue with it has come, the pairings that open
//! a session with it, and when denials are looked at again.

pub(crate) mod link;
pub(crate) mod pairing;
pub(crate) mod review;
