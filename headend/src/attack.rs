// SPDX-License-Identifier: Apache-2.0
//! What the attacker of a schedule sends. It has recorded what was on air, and has no key.

use crate::carousel::{Item, Lane};
use crate::cw_source::RandomError;
use crate::emm::EmmError;
use crate::sender::Sender;
use ecm_emm::ecm::EcmHeader;
use ecm_emm::emm::EmmCommand;

/// An earlier entry octet by octet.
pub fn replay(of: &str, earlier: &[Item]) -> Option<(Vec<u8>, Lane)> {
    earlier.iter().find(|item| item.name == of).map(|item| (item.section.clone(), item.lane))
}

/// The header of this sender's EMM, and random octets where seal and command should be.
pub fn forged_emm(sender: &Sender, sequence: u32) -> Result<Vec<u8>, EmmError> {
    let mut section =
        sender.section(sequence, &[EmmCommand::EmmLevel { level: 0, after: None }])?;
    garble(section.get_mut(sender.header(sequence).aad_len()..).unwrap_or_default())?;
    Ok(section)
}

/// This ECM as that of the next crypto period, as far as it is in clear, and random octets where
/// the seal should be.
pub fn forged_ecm(mut ecm: Vec<u8>) -> Result<Vec<u8>, RandomError> {
    if let Some((header, sealed)) = ecm.split_first_chunk_mut::<{ EcmHeader::LEN }>() {
        let [table_id, .., n1, n2, n3, n4] = header;
        let next = u32::from_be_bytes([*n1, *n2, *n3, *n4]).wrapping_add(1);
        [*n1, *n2, *n3, *n4] = next.to_be_bytes();
        *table_id ^= EcmHeader::EVEN ^ EcmHeader::ODD;
        garble(sealed)?;
    }
    Ok(ecm)
}

fn garble(sealed: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(sealed).map_err(|_| RandomError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecm::compose;
    use crate::ecm::tests::input;
    use crate::scrambler::Algorithm;
    use ecm_emm::ecm::Ecm;

    #[test]
    fn a_forged_ecm_is_of_the_next_crypto_period_and_does_not_open() {
        let input = input(8, Algorithm::Cissa);
        let real = compose(&input).unwrap();
        let forged = forged_ecm(real.clone()).unwrap();
        let ecm = Ecm::parse(&forged).unwrap();
        assert_eq!((ecm.header.cp_number, forged.len()), (9, real.len()));
        assert!(ecm.open(&input.key).is_err());
    }
}
