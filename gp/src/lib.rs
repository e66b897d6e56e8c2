// SPDX-License-Identifier: Apache-2.0
//! GlobalPlatform: the SP 800-108 key derivation and SCP03, terminal and card.
//!
//! Two ends speak SCP03 in this project: the set-top box with its card, and a card's issuer with
//! its security domain. Both ends of the protocol stand here, so that they share what they must
//! agree on and are tested against each other; the engine, the message formats and the virtual
//! card need no more of each other for it.
//!
//! - [`kdf_cmac`] is the derivation, in SCP03's layout and for keys of any AES length;
//!   [`kdf_input`] is that layout for whoever brings another PRF.
//! - [`scp03`] is the terminal's end: [`Initialize`](scp03::Initialize) becomes
//!   [`Open`](scp03::Open) by the card's answer, and that a [`Session`](scp03::Session) by its
//!   status word. Each step is taken once.
//! - [`scp03::card`] is the card's end: a [`Challenge`](scp03::card::Challenge) becomes a
//!   [`Session`](scp03::card::Session).
//! - [`cipher`] is AES, wiped when dropped.
//!
//! Nothing here is random and nothing is sent: challenges come in, octets go out. A session ends at
//! its first error, for good, at either end.
//!
//! # A session
//!
//! Keys, challenge and session key are those of a real card (pySim's test vectors); then a command
//! goes through, and comes back as it was.
//!
//! ```
//! use cam_types::{Secret, StatusWord};
//! use gp::kdf_cmac;
//! use gp::scp03::{Initialize, StaticKeys, card};
//! use hex_literal::hex;
//!
//! let keys = StaticKeys {
//!     enc: Secret::new(hex!("000102030405060708090a0b0c0d0e0f")),
//!     mac: Secret::new(hex!("101112131415161718191a1b1c1d1e1f")),
//!     dek: Secret::new(hex!("202122232425262728292a2b2c2d2e2f")),
//! };
//! // S-ENC: derivation constant 04 over both challenges.
//! let (host, of_card) = (hex!("8e1552d0513c60f3"), hex!("30760cd2c47c1dd3"));
//! let mut s_enc = [0; 16];
//! kdf_cmac(keys.enc.expose(), 0x04, &[host, of_card].concat(), &mut s_enc)?;
//! assert_eq!(s_enc, hex!("ee54985e150155e021725489f717d645"));
//!
//! // INITIALIZE UPDATE and EXTERNAL AUTHENTICATE: each shows the other that it has the keys.
//! let initialize = Initialize::new(keys.clone(), 0x30, host);
//! assert_eq!(initialize.command(), hex!("80 50 30 00 08 8e1552d0513c60f3 00"));
//! let challenge = card::Challenge::random(&keys, &host, &of_card)?;
//! let open = initialize.answer(&challenge.answer([0; 10], 0x30))?;
//! let [cla, ins, p1, p2, _lc, data @ ..] = open.command() else { unreachable!() };
//! let mut card = challenge.authenticate([*cla, *ins, *p1, *p2], data)?;
//! let mut terminal = open.finish(StatusWord::OK)?;
//!
//! // A command: CLA says that it is protected, and the card reads what was sent.
//! let (mut apdu, mut plain) = (Vec::new(), Vec::new());
//! terminal.wrap(0x80, 0x34, 0x01, 0x02, b"a section", &mut apdu)?;
//! let [0x84, 0x34, p1, p2, lc, rest @ ..] = &apdu[..] else { panic!("{apdu:02X?}") };
//! card.unwrap([0x84, 0x34, *p1, *p2], &rest[..usize::from(*lc)], &mut plain)?;
//! assert_eq!(plain, b"a section");
//!
//! // The answer: one octet of it changed, and the session is over.
//! let mut response = Vec::new();
//! card.wrap(b"granted", StatusWord::OK, &mut response)?;
//! response[0] ^= 1;
//! assert!(terminal.unwrap(&response, &mut plain).is_err());
//! assert!(terminal.is_over() && plain.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Normative references:
//!  - GlobalPlatform Card Specification, Amendment D (SCP03)
//!  - NIST SP 800-108 (KDF in counter mode), RFC 4493 (AES-CMAC)
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod cipher;
mod kdf;
pub mod scp03;

pub use kdf::{KdfError, kdf_cmac, kdf_input};
