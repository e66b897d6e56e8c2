// SPDX-License-Identifier: Apache-2.0
//! Where control words come from: the system's random numbers, or a seed for runs that repeat; and
//! how many of their bits a scrambler leaves them.

use crate::scrambler::Algorithm;
use cam_types::{ControlWord, Key};
use serde::Deserialize;
use std::fmt;
use zeroize::Zeroizing;

/// The derivation constant of control words from a seed: outside the numbers of `docs/spec/emm.md`,
/// because a seed never leaves the head-end.
const FROM_SEED: u8 = 0x70;

/// A source of control words.
pub enum CwSource {
    /// The operating system's random numbers: what a broadcast uses.
    System,
    /// SP 800-108 under a seed, over service and crypto period: what a test uses.
    Seed(Key),
}

impl CwSource {
    /// The control word of a service in a crypto period. CSA2 and SCTE 52 take 8 octets of it.
    pub fn draw(
        &self,
        service: u16,
        cp_number: u32,
        algorithm: Algorithm,
    ) -> Result<ControlWord, RandomError> {
        let mut octets = Zeroizing::new([0; 16]);
        let Some(used) = octets.get_mut(..algorithm.cw_len()) else {
            return Err(RandomError);
        };
        match self {
            Self::System => getrandom::fill(used).map_err(|_| RandomError)?,
            Self::Seed(seed) => {
                let [s1, s2] = service.to_be_bytes();
                let [n1, n2, n3, n4] = cp_number.to_be_bytes();
                let context = [s1, s2, n1, n2, n3, n4];
                gp::kdf_cmac(seed.expose(), FROM_SEED, &context, used).map_err(|_| RandomError)?;
            }
        }
        Ok(ControlWord::new(*octets))
    }
}

/// How much of a DVB-CSA2 control word its scrambler uses.
///
/// Reducing is a custom of scramblers, not of the cipher: many compute octets 3 and 7 themselves,
/// after the ECMG was given the whole of it. Card, key ladder and box carry 8 octets as they are,
/// so whoever seals one must seal the one that scrambles.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Entropy {
    /// All 64 bits.
    #[default]
    Full,
    /// 48 bits: octet 3 is the sum of octets 0 to 2 modulo 256, octet 7 that of octets 4 to 6.
    Reduced,
}

impl Entropy {
    /// The control word as such a scrambler takes it.
    pub fn of(self, cw: &ControlWord) -> ControlWord {
        let mut octets = Zeroizing::new(*cw.expose());
        if self == Self::Reduced {
            let (halves, _) = octets.split_at_mut(8);
            for half in halves.as_chunks_mut::<4>().0 {
                let [a, b, c, sum] = half;
                *sum = a.wrapping_add(*b).wrapping_add(*c);
            }
        }
        ControlWord::new(*octets)
    }
}

/// Octets from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|_| RandomError)?;
    Ok(octets)
}

/// The operating system gives no random numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RandomError;

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system gives no random numbers")
    }
}

impl std::error::Error for RandomError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_separates() {
        let draw = |seed: u8, service, number| {
            CwSource::Seed(Key::new([seed; 16])).draw(service, number, Algorithm::Cissa).unwrap()
        };
        assert!(draw(1, 1, 1) == draw(1, 1, 1));
        for other in [draw(2, 1, 1), draw(1, 2, 1), draw(1, 1, 2)] {
            assert!(draw(1, 1, 1) != other);
        }
    }

    #[test]
    fn a_reduced_cw_has_sums_in_octets_3_and_7_and_nothing_else_changes() {
        let cw = |half: [u8; 8]| {
            let mut octets = [0; 16];
            octets[..8].copy_from_slice(&half);
            ControlWord::new(octets)
        };
        for (full, reduced) in [
            ([1, 2, 3, 0, 4, 5, 6, 0], [1, 2, 3, 6, 4, 5, 6, 15]),
            ([0xFF, 0xFF, 2, 9, 0x80, 0x80, 0, 9], [0xFF, 0xFF, 2, 0, 0x80, 0x80, 0, 0]),
        ] {
            assert!(Entropy::Reduced.of(&cw(full)) == cw(reduced));
            assert!(Entropy::Full.of(&cw(full)) == cw(full));
        }
    }

    #[test]
    fn cws_of_csa2_and_scte_52_have_64_bits() {
        for algorithm in [Algorithm::Csa2, Algorithm::Scte52] {
            let cw = CwSource::System.draw(1, 1, algorithm).unwrap();
            assert_eq!(cw.expose()[8..], [0; 8]);
            assert!(cw != CwSource::System.draw(1, 1, algorithm).unwrap());
        }
    }
}
