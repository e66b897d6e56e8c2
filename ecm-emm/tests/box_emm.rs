// SPDX-License-Identifier: Apache-2.0
//! Messages to the box.

use crate::values::{key, octets, relabelled};
use cam_types::{Epoch, Key, OperatorId, Pseudonym, StbId};
use ecm_emm::box_emm::{BoxCommand, BoxEmm, BoxHeader, BoxPairing, seal};
use ecm_emm::emm::Emm;
use ecm_emm::keys::KeyMaterial;
use ecm_emm::suite::{SealKey, Suite, WrappedKey};
use ecm_emm::{EncodeError, OpenError};
use proptest::prelude::*;

fn header() -> BoxHeader {
    BoxHeader {
        stb: StbId::new(*b"STB00001"),
        suite: Suite::Cmac128,
        operator: OperatorId::new(0x1201),
        epoch: Epoch::new(1),
        seq: 1,
    }
}

fn pairing() -> (Key, BoxPairing) {
    let k_pair = Key::new([0x80; 16]);
    let sealer = SealKey::new(Suite::Cmac128, KeyMaterial::from(k_pair.clone())).unwrap();
    let wrapped = key(Suite::Cmac128, 6).wrap(&header().key_context(), sealer.material());
    let WrappedKey::Short(wrapped) = wrapped else { panic!("a key of 128 bits") };
    let pairing = BoxPairing {
        card: Pseudonym::new([0xA1; 8]),
        slot: 0,
        clear_cw_allowed: false,
        k_pair: wrapped,
        ek2: [2; 16],
        ek1: [1; 16],
        kcv: sealer.kcv(),
    };
    (k_pair, pairing)
}

#[test]
fn a_pairing_comes_back() {
    let (k_pair, pairing) = pairing();
    let k_box = key(Suite::Cmac128, 6);
    let unpair = BoxCommand::Unpair(Pseudonym::new([1; 8]));
    let commands = [BoxCommand::Pair(pairing.clone()), unpair];
    let mut section = Vec::new();
    seal(&header(), &commands, &k_box, &mut section).unwrap();
    assert_eq!(section.len(), 37 + 71 + 10);
    let message = BoxEmm::parse(&section).unwrap();
    assert_eq!(message.header, header());
    assert_eq!(message.open(&k_box).unwrap(), commands);
    assert_eq!(pairing.session_key(&header(), &k_box), Ok(k_pair));
    assert_eq!(message.open(&key(Suite::Cmac128, 7)), Err(OpenError::Authentication));
    assert_eq!(message.open(&key(Suite::Hmac, 6)), Err(OpenError::Suite));
    assert!(Emm::parse(&section).is_err());

    let wrong = BoxPairing { kcv: [0; 3], ..pairing.clone() };
    assert_eq!(wrong.session_key(&header(), &k_box), Err(OpenError::Authentication));
    let later = BoxHeader { epoch: Epoch::new(2), ..header() };
    assert_eq!(pairing.session_key(&later, &k_box), Err(OpenError::Authentication));
}

#[test]
fn every_flipped_bit_and_every_other_length() {
    let (_, pairing) = pairing();
    let k_box = key(Suite::Cmac128, 6);
    let mut good = Vec::new();
    seal(&header(), &[BoxCommand::Pair(pairing)], &k_box, &mut good).unwrap();
    let opens =
        |section: &[u8]| BoxEmm::parse(section).is_ok_and(|box_emm| box_emm.open(&k_box).is_ok());
    for bit in 0..good.len() * 8 {
        let mut section = good.clone();
        section[bit / 8] ^= 0x80 >> (bit % 8);
        assert_eq!(opens(&section), matches!(bit, 9..=11), "{bit}");
    }
    for len in (0..250).filter(|len| *len != good.len()) {
        let mut section = good.clone();
        section.resize(len, 0);
        assert!(!opens(&section) && !opens(&relabelled(section)), "{len}");
    }
}

#[test]
fn what_would_be_refused_is_not_sealed() {
    let (_, pairing) = pairing();
    let k_box = key(Suite::Cmac128, 6);
    let mut out = Vec::new();
    let invalid = Err(EncodeError::Invalid("a command to the box"));
    assert_eq!(seal(&header(), &[], &k_box, &mut out), invalid);
    let slot = BoxCommand::Pair(BoxPairing { slot: 4, ..pairing });
    assert_eq!(seal(&header(), &[slot], &k_box, &mut out), invalid);
    assert!(out.is_empty());
}

proptest! {
    #[test]
    fn noise_never_panics(noise in octets(0..260)) {
        let mut framed = vec![BoxHeader::TABLE_ID, 0x70, 0];
        framed.extend(noise);
        if let Ok(message) = BoxEmm::parse(&relabelled(framed)) {
            prop_assert!(message.open(&key(message.header.suite, 6)).is_err());
        }
    }

    /// Behind a good seal the commands may still be anything.
    #[test]
    fn noise_behind_the_seal(plain in octets(0..150)) {
        let k_box = key(Suite::Cmac128, 6);
        let mut good = Vec::new();
        let unpair = BoxCommand::Unpair(Pseudonym::new([1; 8]));
        seal(&header(), &[unpair], &k_box, &mut good).unwrap();
        let mut aad = good[..BoxHeader::LEN].to_vec();
        aad.extend(vec![0; 16 + plain.len()]);
        let mut section = relabelled(aad);
        section.truncate(BoxHeader::LEN);
        let aad = section.clone();
        k_box.seal(&header().key_context(), &aad, &plain, &mut section);
        let _ = BoxEmm::parse(&section).unwrap().open(&k_box);
    }
}
