// SPDX-License-Identifier: Apache-2.0
//! SCTE 52 by its published examples, and both algorithms by what holds for any payload.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use cam_types::ControlWord;
use ecm_emm::dvs042::{Idsa, Scte52, Scte52Ivs};
use hex_literal::hex;
use proptest::prelude::*;

fn octets(text: &serde_json::Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn cw(octets: &[u8]) -> ControlWord {
    let mut cw = [0; 16];
    cw[..octets.len()].copy_from_slice(octets);
    ControlWord::new(cw)
}

/// Source: the examples in ANSI/SCTE 52, recomputed with independent code; the last one is computed
/// only.
#[test]
fn payloads_are_scrambled_as_in_the_examples_of_scte_52() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("vectors/scte52.json")).unwrap();
    let [iv, iv2]: [[u8; 8]; 2] = ["iv", "iv2"].map(|name| octets(&file[name]).try_into().unwrap());
    let key = cw(&octets(&file["key"]));
    let mut short = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let [name, plain, cipher] = ["name", "plain", "cipher"].map(|field| &vector[field]);
        let one = name.as_str().unwrap().contains("one whitener");
        let second = if one { None } else { Some(iv2) };
        let scte52 = Scte52::scte52(&key, &Scte52Ivs::new(iv, second));
        let mut payload = octets(plain);
        short += usize::from(payload.len() < 8);
        scte52.scramble(&mut payload);
        assert_eq!(payload, octets(cipher), "{name}");
        scte52.descramble(&mut payload);
        assert_eq!(payload, octets(plain), "{name}");
    }
    assert_eq!(short, 2, "both editions");
}

/// FIPS 197 appendix B, an independent AES and a formula in one line: the residue behind one block,
/// and a payload shorter than that.
#[test]
fn idsa_has_zero_vectors_and_the_same_ends() {
    let key = hex!("2b7e151628aed2a6abf7158809cf4f3c");
    let aes = Aes128::new(&key.into());
    let idsa = Idsa::idsa(&cw(&key));
    let clear = hex!("3243f6a8885a308d313198a2e0370734");
    let on_air = hex!("3925841d02dc09fbdc118597196a0b32");
    for residue in 0..16 {
        let mut payload = [&clear[..], &[0; 16][..residue]].concat();
        idsa.scramble(&mut payload);
        let mut mask = on_air.into();
        aes.encrypt_block(&mut mask);
        assert_eq!(payload, [&on_air[..], &mask[..residue]].concat());
        let mut alone = vec![0; residue];
        idsa.scramble(&mut alone);
        let mut mask = [0; 16].into();
        aes.encrypt_block(&mut mask);
        assert_eq!(alone, mask[..residue]);
    }
}

/// The lowest bit of each octet is a parity that DES does not look at.
#[test]
fn parity_bits_of_a_key_do_not_count() {
    let ivs = Scte52Ivs::default();
    let [mut even, mut odd] = [[0x5A; 30]; 2];
    Scte52::scte52(&cw(&hex!("0022446688aaccee")), &ivs).scramble(&mut even);
    Scte52::scte52(&cw(&hex!("0123456789abcdef")), &ivs).scramble(&mut odd);
    assert_eq!(even, odd);
    assert_ne!(even, [0x5A; 30]);
}

proptest! {
    #[test]
    fn what_is_scrambled_is_descrambled(
        key in any::<[u8; 16]>(), ivs in any::<([u8; 8], Option<[u8; 8]>)>(),
        clear in prop::collection::vec(any::<u8>(), 0..185),
    ) {
        let (cw, ivs) = (cw(&key), Scte52Ivs::new(ivs.0, ivs.1));
        let mut payload = clear.clone();
        let scte52 = Scte52::scte52(&cw, &ivs);
        scte52.scramble(&mut payload);
        prop_assert!(payload.len() < 8 || payload != clear);
        scte52.descramble(&mut payload);
        prop_assert_eq!(&payload, &clear);
        let idsa = Idsa::idsa(&cw);
        idsa.scramble(&mut payload);
        prop_assert!(payload.len() < 8 || payload != clear);
        idsa.descramble(&mut payload);
        prop_assert_eq!(&payload, &clear);
    }
}
