// SPDX-License-Identifier: Apache-2.0
//! What the stream_type of a component says of it: whether it carries PES packets, and its name.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 table 2-34 (stream_type)
//!  - `docs/spec/scrambling.md` §5 (those of ATSC and SCTE)

/// Whether components of this type carry PES packets. The others carry sections, or nothing for the
/// PES layer: they stay in clear.
pub const fn carries_pes(stream_type: u8) -> bool {
    !matches!(
        stream_type,
        0x05 | 0x08 | 0x0A..=0x0E | 0x13 | 0x14 | 0x16..=0x19 | CUES | A90_SECTIONS | A90_DATA
    )
}

/// splice_info_sections of SCTE 35. Whoever inserts advertisements must see them.
const CUES: u8 = 0x86;
/// Data Service Table and Network Resources Table of ATSC A/90.
const A90_SECTIONS: u8 = 0x95;
/// Data beside them.
const A90_DATA: u8 = 0x96;

/// What ATSC and SCTE have given out behind 7F, and the commonest of MPEG.
pub const fn name(stream_type: u8) -> Option<&'static str> {
    Some(match stream_type {
        0x01 => "MPEG-1 video",
        0x02 => "MPEG-2 video",
        0x03 => "MPEG-1 audio",
        0x04 => "MPEG-2 audio",
        0x05 => "private sections",
        0x06 => "private PES packets",
        0x0F => "AAC audio, ADTS",
        0x11 => "AAC audio, LATM",
        0x1B => "H.264 video",
        0x24 => "HEVC video",
        0x80 => "DigiCipher II video",
        0x81 => "AC-3 audio",
        CUES => "cue messages",
        0x87 => "E-AC-3 audio",
        A90_SECTIONS => "A/90 sections",
        A90_DATA => "A/90 data",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures and sound of ATSC and SCTE are scrambled; cue messages and data sections never are.
    #[test]
    fn types_of_atsc_and_scte_are_known() {
        for (stream_type, known, scrambled) in [
            (0x1B, "H.264 video", true),
            (0x80, "DigiCipher II video", true),
            (0x81, "AC-3 audio", true),
            (0x86, "cue messages", false),
            (0x87, "E-AC-3 audio", true),
            (0x95, "A/90 sections", false),
            (0x96, "A/90 data", false),
            (0x05, "private sections", false),
        ] {
            assert_eq!(name(stream_type), Some(known));
            assert_eq!(carries_pes(stream_type), scrambled, "{stream_type:02X}");
        }
        assert_eq!((name(0xFF), carries_pes(0xFF)), (None, true));
    }
}
