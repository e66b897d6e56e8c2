//! The card's answer to reset.
//!
//! Normative references:
//!  - ISO/IEC 7816-3, clause 8

/// Historical octets: the name of the card.
const NAME: &[u8; 6] = b"STBCAM";

/// T=1, direct convention, up to 9600 etu × 2.33 (TA1 18), no extra guard time, IFSC 254,
/// BWI 1 (200 ms), CWI 5, LRC.
pub fn t1() -> Vec<u8> {
    let mut atr = vec![0x3B, 0xD6, 0x18, 0xFF, 0x81, 0x31, 0xFE, 0x15];
    atr.extend_from_slice(NAME);
    let tck = atr.iter().skip(1).fold(0, |sum, octet| sum ^ octet);
    atr.push(tck);
    atr
}

/// T=0, direct convention, TA1 18, WI 2 (200 ms at the default rate).
pub fn t0() -> Vec<u8> {
    let mut atr = vec![0x3B, 0x96, 0x18, 0x40, 0x02];
    atr.extend_from_slice(NAME);
    atr
}
