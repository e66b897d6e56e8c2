// SPDX-License-Identifier: Apache-2.0
//! What the stream_type of a component says of it: whether it carries PES packets.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 table 2-34 (stream_type)

/// Whether components of this type carry PES packets. The others carry sections, or nothing for the
/// PES layer: they stay in clear.
pub const fn carries_pes(stream_type: u8) -> bool {
    !matches!(stream_type, 0x05 | 0x08 | 0x0A..=0x0E | 0x13 | 0x14 | 0x16..=0x19 | 0x86)
}
