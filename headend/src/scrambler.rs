// SPDX-License-Identifier: Apache-2.0
//! Scrambling of payloads: DVB-CSA2, DVB-CISSA version 1, IDSA and SCTE 52.
//!
//! Normative references:
//!  - ETSI ETR 289 §5.1 (what is scrambled, transport_scrambling_control)
//!  - ETSI TS 103 127 (CISSA: AES-128 in CBC, fixed IV, whole blocks, residue in clear)
//!  - `docs/spec/scrambling.md`
//!
//! A payload shorter than a block of CSA2 or CISSA stays as it is. Its packet carries the mark of
//! the crypto period all the same, as scramblers in the field do: a descrambler leaves such a
//! payload alone and clears the mark.

use crate::stream::{self, Packet};
use aes::Aes128;
use aes::cipher::{BlockModeEncrypt, InnerIvInit, KeyInit};
use cam_types::{ControlWord, Parity};
use ecm_emm::dvs042::{Idsa, Scte52, Scte52Ivs};

pub use ecm_emm::scrambling::Algorithm;

/// One control word, ready for work.
pub enum Scrambler {
    /// With its key schedules.
    Csa2(dvb_csa::ControlWord),
    /// With its round keys.
    Cissa(Box<Aes128>),
    /// With its round keys.
    Idsa(Box<Idsa>),
    /// With its round keys and the network's initialisation vectors.
    Scte52(Scte52),
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scrambled {
    /// Its payload is scrambled.
    Yes,
    /// Its payload is shorter than the algorithm scrambles, and stays in clear by rule.
    TooShort,
    /// It has no payload at all, and no mark.
    NoPayload,
}

impl Scrambler {
    /// CSA2 takes the first 64 bits of the control word as they are: whoever drew it has reduced
    /// it, or not ([`crate::cw_source::Entropy`]). `ivs` are for SCTE 52 alone.
    pub fn new(algorithm: Algorithm, cw: &ControlWord, ivs: &Scte52Ivs) -> Self {
        let octets = cw.expose();
        match algorithm {
            Algorithm::Csa2 => {
                let [a, b, c, d, e, f, g, h, ..] = *octets;
                Self::Csa2(dvb_csa::ControlWord::from_bytes([a, b, c, d, e, f, g, h]))
            }
            Algorithm::Cissa => Self::Cissa(Box::new(Aes128::new(octets.into()))),
            Algorithm::Idsa => Self::Idsa(Box::new(Idsa::idsa(cw))),
            Algorithm::Scte52 => Self::Scte52(Scte52::scte52(cw, ivs)),
        }
    }

    /// Scrambles a payload in place.
    pub fn payload(&self, payload: &mut [u8]) {
        match self {
            Self::Csa2(cw) => dvb_csa::scramble(cw, payload),
            Self::Cissa(cipher) => {
                let mut chain =
                    cbc::Encryptor::<&Aes128>::inner_iv_init(cipher, (&Algorithm::CISSA_IV).into());
                let (blocks, _residue) = payload.as_chunks_mut::<16>();
                for block in blocks {
                    chain.encrypt_block(block.into());
                }
            }
            Self::Idsa(idsa) => idsa.scramble(payload),
            Self::Scte52(scte52) => scte52.scramble(payload),
        }
    }

    /// Scrambles a packet of the given crypto period's parity. Header and adaptation field stay.
    pub fn packet(&self, packet: &mut Packet, parity: Parity) -> Scrambled {
        let payload = stream::payload_mut(packet);
        let octets = payload.len();
        if octets == 0 {
            return Scrambled::NoPayload;
        }
        self.payload(payload);
        stream::mark_scrambled(packet, parity);
        if octets < self.algorithm().shortest() { Scrambled::TooShort } else { Scrambled::Yes }
    }

    const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Csa2(_) => Algorithm::Csa2,
            Self::Cissa(_) => Algorithm::Cissa,
            Self::Idsa(_) => Algorithm::Idsa,
            Self::Scte52(_) => Algorithm::Scte52,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cam_types::transport::PACKET;

    /// Source: `tests/vectors/scrambling.txt`: libdvbcsa 1.1.0 of Debian 12 by way of ctypes, and
    /// OpenSSL `enc -aes-128-cbc -nopad` over the whole blocks with the residue appended; OpenSSL
    /// through Python's cryptography for the others.
    const VECTORS: &str = include_str!("../tests/vectors/scrambling.txt");

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn payloads_scramble_as_independent_implementations_say() {
        let names = ["csa2", "cissa", "idsa", "scte52"];
        let mut rows = [0; 4];
        for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
            let [name, key, clear, scrambled] =
                line.split_whitespace().collect::<Vec<_>>().try_into().unwrap();
            let place = names.iter().position(|known| *known == name).unwrap();
            rows[place] += 1;
            let algorithm = Algorithm::ALL[place];
            let mut cw = [0; 16];
            cw[..algorithm.cw_len()].copy_from_slice(&octets(key));
            let mut payload = octets(clear);
            let ivs = Scte52Ivs::default();
            Scrambler::new(algorithm, &ControlWord::new(cw), &ivs).payload(&mut payload);
            assert_eq!(payload, octets(scrambled), "{name} {} octets", payload.len());
        }
        assert_eq!(rows, [60; 4]);
    }

    /// Each packet of a payload carries the mark, and what the algorithm does not scramble stays.
    #[test]
    fn short_payloads_stay_in_clear_under_the_mark() {
        for algorithm in Algorithm::ALL {
            let cw = ControlWord::new([7; 16]);
            let scrambler = Scrambler::new(algorithm, &cw, &Scte52Ivs::default());
            for octets in 0..=184 {
                let mut packet = [0x55; PACKET];
                packet[..4].copy_from_slice(&[0x47, 0x01, 0x00, 0x35]);
                match octets {
                    184 => packet[3] = 0x15,
                    _ => packet[4] = u8::try_from(183 - octets).unwrap(),
                }
                let before = packet;
                let result = scrambler.packet(&mut packet, Parity::Odd);
                let start = stream::payload_start(&before);
                let expected = match octets {
                    0 => Scrambled::NoPayload,
                    n if n < algorithm.shortest() => Scrambled::TooShort,
                    _ => Scrambled::Yes,
                };
                assert_eq!(result, expected, "{algorithm} {octets}");
                assert_eq!(packet[4..start], before[4..start]);
                assert_eq!(packet[start..] != before[start..], result == Scrambled::Yes);
                assert_eq!(stream::scrambling_control(&packet), if octets == 0 { 0 } else { 3 });
            }
        }
    }
}
