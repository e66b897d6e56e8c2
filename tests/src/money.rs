// SPDX-License-Identifier: Apache-2.0
//! What money takes: the nominal card, the flows that are measured on it, and the antenna's frames.

pub mod antenna;
pub mod flows;
pub mod nominal;
pub mod set_top_box;
