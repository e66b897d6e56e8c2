// SPDX-License-Identifier: Apache-2.0
//! The contact interface of a card: APDU, answer to reset, PPS, T=0, T=1 and T=14 as machines
//! without a port or a clock.
//!
//! - [`apdu`] has commands and responses, with short and extended lengths; [`atr`]
//!   the answer to reset, strictly or tolerantly; [`pps`] the agreement on another rate; [`etu`]
//!   what all times are counted in.
//! - [`t0`], [`t1`] and [`t14`] are the host's ends of the three protocols. The block codec of T=1
//!   serves the card's end too.
//! - [`line::CardLine`] composes them: from activation through PPS to exchanges, with recovery, at
//!   whatever level a reader takes part (characters, TPDUs or whole APDUs). It is what a driver
//!   usually wants.
//! - [`emv`] is what EMV Level 1 has otherwise.
//!
//! # Two doors
//!
//! Every machine is driven alike. `handle_input` tells it one thing that happened, and when;
//! then `poll_output` is called until it says `Wait`. So the driver alone reads a clock or a port,
//! and a test moves the time by hand. An output borrows from the machine's own buffer: an exchange
//! allocates nothing. A command that the card may have executed is never sent again.
//!
//! # An exchange by T=1
//!
//! ```
//! use cam_types::Instant;
//! use core::time::Duration;
//! use hex_literal::hex;
//! use iso7816::atr::{Atr, AtrPolicy};
//! use iso7816::emv::Profile;
//! use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
//! use iso7816::t1::{Block, Edc, Input, Output, T1};
//!
//! // What the card said to its reset: T=1, information fields of 32 octets, LRC.
//! let atr = Atr::parse(&hex!("3B 80 81 31 20 4D 5D"), AtrPolicy::STRICT)?;
//! assert_eq!((atr.first_protocol(), atr.t1().ifsc, atr.t1().edc), (1, 32, Edc::Lrc));
//!
//! let latency = Duration::from_millis(20);
//! let mut t1 = T1::new(264, 264, latency, 32, Profile::Iso);
//! t1.reset(LineParams::initial(USUAL_CLOCK_HZ), atr.t1());
//!
//! // The driver: what the card has to say, and what time it is.
//! let mut from_card: Option<Vec<u8>> = None;
//! let mut now = Instant::from_micros(0);
//! let command = hex!("80 32 00 00");
//! t1.handle_input(now, Input::Command(&command));
//! let response = loop {
//!     match t1.poll_output() {
//!         Output::Transmit(block) => {
//!             assert_eq!(block, hex!("00 00 04 80320000 B6"));
//!             // This card answers every command with 9000.
//!             let answer = Block::I { ns: false, more: false, inf: &[0x90, 0x00] };
//!             let mut octets = vec![0; 6];
//!             answer.emit(Edc::Lrc, &mut octets);
//!             from_card = Some(octets);
//!         }
//!         Output::Wait(deadline) => match from_card.take() {
//!             Some(octets) => t1.handle_input(now, Input::Received(&octets)),
//!             // A block is believed when nothing follows it.
//!             None => {
//!                 now = deadline.expect("an exchange ends");
//!                 t1.handle_input(now, Input::Timeout);
//!             }
//!         },
//!         Output::Response(response) => break response.to_vec(),
//!         Output::Failed(why) => panic!("{why}"),
//!     }
//! };
//! assert_eq!(response, [0x90, 0x00]);
//! assert!(now.since(Instant::from_micros(0)) < Duration::from_millis(100));
//! # Ok::<(), iso7816::atr::AtrError>(())
//! ```
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006, ISO/IEC 7816-4; `docs/conformance/iso7816.md` has what is asked of a
//!    host, line by line, and the tests that prove it
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod apdu;
pub mod atr;
pub mod doors;
pub mod emv;
pub mod etu;
pub mod line;
pub mod pps;
pub mod t0;
pub mod t1;
pub mod t14;
