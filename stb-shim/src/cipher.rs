// SPDX-License-Identifier: Apache-2.0
//! The scrambling algorithms, as applied to the payload of one transport packet.
//!
//! Normative references:
//!  - ETSI ETR 289 (DVB-CSA: support in the transport stream)
//!  - ETSI TS 103 127 (DVB-CISSA version 1)
//!  - `docs/spec/scrambling.md`; `docs/spec/abi.md`, "Software descrambler"

use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt, InnerIvInit, KeyInit};
use cam_types::ControlWord;
use ecm_emm::dvs042::{Idsa, Scte52, Scte52Ivs};
use ecm_emm::scrambling::Algorithm;

/// One control word, ready for packets. It takes nothing from the heap, and its key schedule wipes
/// itself when dropped.
pub(crate) enum PayloadCipher {
    Csa2(dvb_csa::ControlWord),
    Cissa(Aes128),
    Idsa(Idsa),
    Scte52(Scte52),
}

impl PayloadCipher {
    /// CSA2 takes the first eight octets as they are: reducing the entropy of a control word is
    /// the scrambler's custom, not the cipher's.
    pub(crate) fn new(algorithm: Algorithm, cw: &ControlWord, ivs: &Scte52Ivs) -> Self {
        let octets = cw.expose();
        match algorithm {
            Algorithm::Csa2 => {
                let mut first = zeroize::Zeroizing::new([0; 8]);
                first.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
                Self::Csa2(dvb_csa::ControlWord::from_bytes(*first))
            }
            Algorithm::Cissa => Self::Cissa(Aes128::new(&Array::from(*octets))),
            Algorithm::Idsa => Self::Idsa(Idsa::idsa(cw)),
            Algorithm::Scte52 => Self::Scte52(Scte52::scte52(cw, ivs)),
        }
    }

    /// Descrambles the payload of one packet in place. A payload shorter than a block of CSA or
    /// CISSA was never scrambled; of a CISSA payload whole blocks only.
    pub(crate) fn descramble(&self, payload: &mut [u8]) {
        match self {
            Self::Csa2(cw) => dvb_csa::descramble(cw, payload),
            Self::Cissa(key) => {
                let (blocks, _clear) = Array::slice_as_chunks_mut(payload);
                let iv = Array::from(Algorithm::CISSA_IV);
                cbc::Decryptor::<&Aes128>::inner_iv_init(key, &iv).decrypt_blocks(blocks);
            }
            Self::Idsa(idsa) => idsa.descramble(payload),
            Self::Scte52(scte52) => scte52.descramble(payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: `tests/vectors/make-descramble.py`, by libdvbcsa 1.1.0 and Python's cryptography 48
    /// made them. A line is: algorithm, control word, scrambled payload, clear payload.
    const VECTORS: &str = include_str!("../tests/vectors/descramble.txt");

    fn octets(hex: &str) -> Vec<u8> {
        if hex == "-" {
            return Vec::new();
        }
        (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn payloads_come_out_as_other_implementations_scrambled_them() {
        let mut seen = 0;
        for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
            let mut fields = line.split(' ');
            let algorithm = match fields.next() {
                Some("csa2") => Algorithm::Csa2,
                Some("cissa") => Algorithm::Cissa,
                Some("idsa") => Algorithm::Idsa,
                Some("scte52") => Algorithm::Scte52,
                other => panic!("{other:?} is no algorithm"),
            };
            let mut cw = octets(fields.next().unwrap());
            cw.resize(16, 0);
            let mut payload = octets(fields.next().unwrap());
            let clear = octets(fields.next().unwrap());
            let cw = ControlWord::new(cw.try_into().unwrap());
            PayloadCipher::new(algorithm, &cw, &Scte52Ivs::default()).descramble(&mut payload);
            assert_eq!(payload, clear, "{line}");
            seen += 1;
        }
        assert_eq!(seen, Algorithm::ALL.len() * 22, "lengths 0 to 184 of each algorithm");
    }
}
