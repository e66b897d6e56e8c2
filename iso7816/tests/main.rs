// SPDX-License-Identifier: Apache-2.0
//! The card line and all below it by their public doors: one binary, whose modules are the files
//! here.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod activation;
mod atr;
mod card_rig;
mod dialogue;
mod emv;
mod gone;
mod levels;
mod limits;
mod line;
mod moments;
mod negotiation;
mod no_progress;
mod noise;
mod other_stacks;
mod pay_tv;
mod probe;
mod properties;
mod rig;
mod slow_card;
mod t0_dialogues;
mod t0_line;
mod t14;
mod t1_blocks;
mod t1_other_stacks;
mod t1_scenarios;
