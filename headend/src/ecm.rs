// SPDX-License-Identifier: Apache-2.0
//! An ECM from plain values: no schedule, no file, no clock. Who knows them may be the schedule
//! ([`EcmMaker`]) or a scrambler that asks.
//!
//! Normative references:
//!  - ETSI ETR 289 (table_id 80 and 81 change with the message)
//!  - `docs/spec/ecm.md`

mod maker;

pub use maker::{EcmError, EcmMaker};

use crate::scrambler::Algorithm;
use cam_types::{ControlWord, Epoch, OperatorId, Parity, Secret, Slot};
use ecm_emm::EncodeError;
use ecm_emm::ecm::{ControlWords, EcmBody, EcmHeader};
use ecm_emm::suite::SealKey;
use zeroize::Zeroizing;

/// Everything that an ECM or an offer is made of.
#[derive(Clone, Debug)]
pub struct EcmInput {
    /// Whose service it is.
    pub operator: OperatorId,
    /// Which of the operator's service keys seals it.
    pub slot: Slot,
    /// The generation of that key.
    pub epoch: Epoch,
    /// The key itself.
    pub key: SealKey,
    /// The number of the crypto period.
    pub cp_number: u32,
    /// What is sealed: channel, time, control words, criteria. An offer has no control words.
    pub body: EcmBody,
}

/// The section, from table_id to the last octet.
pub fn compose(input: &EcmInput) -> Result<Vec<u8>, EncodeError> {
    let header = EcmHeader {
        kind: input.body.cw.kind(),
        suite: input.key.suite(),
        operator: input.operator,
        slot: input.slot,
        epoch: input.epoch,
        cp_number: input.cp_number,
    };
    let mut section = Vec::new();
    input.body.seal(&header, &input.key, &mut section)?;
    Ok(section)
}

/// The control word of a crypto period and the next one, as its ECM carries them: by parity, and as
/// long as the algorithm wants them.
pub fn by_parity(
    algorithm: Algorithm,
    cp_number: u32,
    current: &ControlWord,
    next: &ControlWord,
) -> ControlWords {
    let (even, odd) = match Parity::of_crypto_period(cp_number) {
        Parity::Even => (current, next),
        Parity::Odd => (next, current),
    };
    match algorithm {
        Algorithm::Csa2 | Algorithm::Scte52 => {
            ControlWords::Cw64 { even: half(even), odd: half(odd) }
        }
        Algorithm::Cissa | Algorithm::Idsa => {
            ControlWords::Cw128 { even: even.clone(), odd: odd.clone() }
        }
    }
}

/// The 64 bits of a control word that CSA2 and SCTE 52 use.
fn half(cw: &ControlWord) -> Secret<8> {
    let mut octets = Zeroizing::new([0; 8]);
    octets.copy_from_slice(&cw.expose()[..8]);
    Secret::new(*octets)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use cam_types::{CasTime, ChannelId};
    use ecm_emm::ecm::{Cci, Criteria, Ecm, Rating, Regions};
    use ecm_emm::keys::KeyMaterial;
    use ecm_emm::suite::Suite;

    pub(crate) fn input(cp_number: u32, algorithm: Algorithm) -> EcmInput {
        let [current, next] = [[1; 16], [2; 16]].map(ControlWord::new);
        EcmInput {
            operator: OperatorId::new(1),
            slot: Slot::new(2),
            epoch: Epoch::new(3),
            key: SealKey::new(Suite::Cmac128, KeyMaterial::Bits128(Secret::new([4; 16]))).unwrap(),
            cp_number,
            body: EcmBody {
                channel: ChannelId::new(5),
                time: CasTime::new(6),
                cci: Cci(0),
                rating: Rating(0),
                regions: Regions(0xFFFF),
                emm_floor: 0,
                cw: by_parity(algorithm, cp_number, &current, &next),
                criteria: Criteria { free: true, ..Criteria::default() },
            },
        }
    }

    #[test]
    fn an_ecm_of_plain_values_opens_and_says_them() {
        for (cp_number, algorithm, table_id, even) in [
            (8, Algorithm::Cissa, EcmHeader::EVEN, 1),
            (9, Algorithm::Cissa, EcmHeader::ODD, 2),
            (9, Algorithm::Csa2, EcmHeader::ODD, 2),
            (8, Algorithm::Idsa, EcmHeader::EVEN, 1),
            (9, Algorithm::Scte52, EcmHeader::ODD, 2),
        ] {
            let input = input(cp_number, algorithm);
            let section = compose(&input).unwrap();
            let ecm = Ecm::parse(&section).unwrap();
            assert_eq!((section[0], ecm.header.cp_number), (table_id, cp_number));
            let body = ecm.open(&input.key).unwrap();
            assert_eq!(body.cw.blocks().unwrap().0.expose()[..8], [even; 8]);
            assert_eq!(body, input.body);
        }
    }
}
