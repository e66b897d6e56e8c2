// SPDX-License-Identifier: Apache-2.0
//! The transport packet, by its length and its first octet: all that head-end and descrambler share
//! of it.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.3.2 (transport packet layer)

/// Octets of a transport packet.
pub const PACKET: usize = 188;
/// The first octet of every packet.
pub const SYNC: u8 = 0x47;
