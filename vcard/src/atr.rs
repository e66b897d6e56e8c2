// SPDX-License-Identifier: Apache-2.0
//! The card's answer to reset.
//!
//! Normative references:
//!  - ISO/IEC 7816-3, clause 8
//!  - PC/SC part 3, clause 3.1.3.2.3 (what a reader makes up for a contactless card)

use iso7816::etu::Convention;
use iso7816::t1::Edc;

/// What an answer to reset of one protocol says. Octets that would only repeat a default are left
/// out where the standard allows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Profile {
    /// TS.
    pub convention: Convention,
    /// T, 0 or 1.
    pub protocol: u8,
    /// TA1: Fi and Di.
    pub ta1: u8,
    /// TC1: extra guard time; 255 asks for the shortest.
    pub guard: u8,
    /// TA2: the card begins with this protocol at the rate of TA1, and takes no PPS.
    pub specific: bool,
    /// TC2, T=0: the waiting time.
    pub wi: u8,
    /// TA3, T=1: the longest information field that the card takes.
    pub ifsc: u8,
    /// Upper half of TB3, T=1: the block waiting time.
    pub bwi: u8,
    /// Lower half of TB3, T=1: the character waiting time.
    pub cwi: u8,
    /// TC3, T=1: the error detection code.
    pub edc: Edc,
    /// Up to 15 historical octets.
    pub historical: Vec<u8>,
}

impl Profile {
    /// T=1, direct convention, up to 9600 etu × 2.33 (TA1 18), no extra guard time, IFSC 254,
    /// BWI 2, CWI 5, LRC. 400 ms: a machine that is busy for a moment has no card that is gone, and
    /// two of them are less than the second after which keys go.
    pub fn t1() -> Self {
        Self {
            convention: Convention::Direct,
            protocol: 1,
            ta1: 0x18,
            guard: 0xFF,
            specific: false,
            wi: 2,
            ifsc: 254,
            bwi: 2,
            cwi: 5,
            edc: Edc::Lrc,
            historical: NAME.to_vec(),
        }
    }

    /// T=0, direct convention, TA1 18, WI 2 (200 ms at the default rate).
    pub fn t0() -> Self {
        Self { protocol: 0, guard: 0, ..Self::t1() }
    }

    /// The octets, TS first, TCK last where there is one.
    pub fn emit(&self) -> Vec<u8> {
        let mut historical = self.historical.clone();
        historical.truncate(15);
        let ts = if self.convention == Convention::Inverse { 0x3F } else { 0x3B };
        let guard = if self.guard == 0 { 0x00 } else { 0x40 };
        let mut atr = vec![ts, 0x90 | guard | historical.len() as u8, self.ta1];
        if self.guard != 0 {
            atr.push(self.guard);
        }
        let mut td1 = self.protocol & 0x0F;
        let mut level2 = Vec::new();
        if self.specific {
            td1 |= 0x10;
            level2.push(0x80 | self.protocol & 0x0F);
        }
        if self.protocol == 0 {
            td1 |= 0x40;
            level2.push(self.wi);
        } else {
            td1 |= 0x80;
            let crc = self.edc == Edc::Crc;
            level2.push(if crc { 0x71 } else { 0x31 });
            level2.extend([self.ifsc, self.bwi << 4 | self.cwi & 0x0F]);
            level2.extend(crc.then_some(0x01));
        }
        atr.push(td1);
        atr.append(&mut level2);
        atr.append(&mut historical);
        if self.protocol != 0 {
            atr.push(check(&atr));
        }
        atr
    }
}

/// The answer to reset of [`Profile::t1`].
pub fn t1() -> Vec<u8> {
    Profile::t1().emit()
}

/// The answer to reset of [`Profile::t0`].
pub fn t0() -> Vec<u8> {
    Profile::t0().emit()
}

/// What a PC/SC reader would make up for this card on its contactless side.
pub fn contactless() -> Vec<u8> {
    let mut atr = vec![0x3B, 0x80 | NAME.len() as u8, 0x80, 0x01];
    atr.extend_from_slice(NAME);
    atr.push(check(&atr));
    atr
}

/// Historical octets: the name of the card.
const NAME: &[u8; 6] = b"STBCAM";

/// TCK.
fn check(atr: &[u8]) -> u8 {
    atr.iter().skip(1).fold(0, |sum, octet| sum ^ octet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use iso7816::atr::{Atr, AtrPolicy};

    #[test]
    fn profiles() {
        let bare = |profile: Profile| Profile { historical: Vec::new(), ..profile }.emit();
        let table: &[(Vec<u8>, &[u8])] = &[
            (t1(), &hex!("3B D6 18 FF 81 31 FE 25 53544243414D 50")),
            (t0(), &hex!("3B 96 18 40 02 53544243414D")),
            (contactless(), &hex!("3B 86 80 01 53544243414D 0D")),
            (
                bare(Profile { ta1: 0x95, specific: true, ..Profile::t0() }),
                &hex!("3B 90 95 50 80 02"),
            ),
            (
                bare(Profile { edc: Edc::Crc, guard: 0, ifsc: 32, ..Profile::t1() }),
                &hex!("3B 90 18 81 71 20 25 01 7C"),
            ),
            (
                bare(Profile { convention: Convention::Inverse, guard: 3, wi: 9, ..Profile::t0() }),
                &hex!("3F D0 18 03 40 09"),
            ),
        ];
        for (atr, octets) in table {
            assert_eq!(atr, octets, "{atr:02X?}");
            assert!(Atr::parse(atr, AtrPolicy::STRICT).is_ok(), "{atr:02X?}");
        }
    }
}
