// SPDX-License-Identifier: Apache-2.0
//! The MAC under the derivation, and the derivation's own published values.

use cmac::{Cmac, KeyInit, Mac};
use gp::{KdfError, kdf_cmac};
use hex_literal::hex;

/// Source: RFC 4493 §4.
#[test]
fn rfc_4493() {
    let key = hex!("2b7e151628aed2a6abf7158809cf4f3c");
    let message = hex!(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    );
    for (len, mac) in [
        (0, hex!("bb1d6929e95937287fa37d129b756746")),
        (16, hex!("070a16b46b4d4144f79bdd9dd04a287c")),
        (40, hex!("dfa66747de9ae63030ca32611497c827")),
        (64, hex!("51f0bebf7e3b9d92fc49741779363cfe")),
    ] {
        let cmac = Cmac::<aes::Aes128>::new(&key.into()).chain_update(&message[..len]);
        assert_eq!(<[u8; 16]>::from(cmac.finalize().into_bytes()), mac, "{len}");
    }
}

/// Source: challenges of real cards under published static keys (i=70), pySim's test vectors.
#[test]
fn pseudo_random_challenges_of_real_cards() {
    let keys = gp::scp03::StaticKeys {
        enc: cam_types::Secret::new(hex!("000102030405060708090a0b0c0d0e0f")),
        mac: cam_types::Secret::new(hex!("101112131415161718191a1b1c1d1e1f")),
        dek: cam_types::Secret::new(hex!("202122232425262728292a2b2c2d2e2f")),
    };
    let aid = hex!("A0000005591010FFFFFFFF8900000100");
    for (host, answer) in [
        (
            hex!("8e1552d0513c60f3"),
            hex!("0000000000000000000030037030760cd2c47c1dd395065fe5ead8a9d7000001"),
        ),
        (
            hex!("b13e5f938fc108c4"),
            hex!("000000000000000000003003703eb51047495b249f66c484c1d2ef1948000002"),
        ),
        (
            hex!("fdf38259a1e0de44"),
            hex!("000000000000000000003003703b1aca81e821f219081cdc01c26b372d000003"),
        ),
    ] {
        let sequence = answer[29..].try_into().unwrap();
        let challenge =
            gp::scp03::card::Challenge::pseudo_random(&keys, &host, sequence, &aid).unwrap();
        assert_eq!(challenge.answer([0; 10], 0x30), answer);
    }
}

#[test]
fn lengths_that_cannot_be() {
    let mut out = [0; 16];
    for len in [0, 8, 15, 17, 33] {
        assert_eq!(kdf_cmac(&vec![0; len], 4, &[], &mut out), Err(KdfError::KeyLength(len)));
    }
    let mut long = vec![0; 4080];
    assert_eq!(kdf_cmac(&[0; 16], 4, &[], &mut long), Ok(()));
    let mut too_long = vec![0; 4081];
    let refused = Err(KdfError::OutputLength(4081));
    assert_eq!(kdf_cmac(&[0; 16], 4, &[], &mut too_long), refused);
}

/// The length is part of what is derived: a shorter key is not the front of a longer one.
#[test]
fn the_length_separates() {
    let (mut short, mut long) = ([0; 16], [0; 32]);
    kdf_cmac(&[1; 16], 0x41, b"context", &mut short).unwrap();
    kdf_cmac(&[1; 16], 0x41, b"context", &mut long).unwrap();
    assert_ne!(short, long[..16]);
}
