// SPDX-License-Identifier: Apache-2.0
//! The primitives under the suites, against their standards.

use aes_kw::{KeyInit, KwAes128, KwAes256, KwpAes192};
use aes_siv::siv::Aes128Siv;
use hex_literal::hex;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Source: RFC 3394 §4.1 and §4.6.
#[test]
fn rfc_3394() {
    let kek = hex!("000102030405060708090a0b0c0d0e0f");
    let data = hex!("00112233445566778899aabbccddeeff");
    let wrapped = hex!("1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5");
    let mut out = [0; 24];
    assert_eq!(KwAes128::new(&kek.into()).wrap_key(&data, &mut out).unwrap(), wrapped);

    let kek = hex!("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    let data = hex!("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f");
    let wrapped = hex!(
        "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326
         cbc7f0e71a99f43bfb988b9b7a02dd21"
    );
    let mut out = [0; 40];
    assert_eq!(KwAes256::new(&kek.into()).wrap_key(&data, &mut out).unwrap(), wrapped);
}

/// Source: RFC 5649 §6.
#[test]
fn rfc_5649() {
    let kek = hex!("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8");
    let kwp = KwpAes192::new(&kek.into());
    for (key, wrapped) in [
        (
            &hex!("c37b7e6492584340bed12207808941155068f738")[..],
            &hex!("138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a")[..],
        ),
        (&hex!("466f7250617369"), &hex!("afbeb0f07dfbf5419200f2ccb50bb24f")),
    ] {
        let mut out = [0; 32];
        assert_eq!(kwp.wrap_key(key, &mut out).unwrap(), wrapped);
        let mut out = [0; 24];
        assert_eq!(kwp.unwrap_key(wrapped, &mut out).unwrap(), key);
    }
}

/// Source: RFC 5297 A.1 and A.2.
#[test]
fn rfc_5297() {
    let key = hex!("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    let ad = hex!("101112131415161718191a1b1c1d1e1f2021222324252627");
    let sealed = hex!("85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c");
    let plain = hex!("112233445566778899aabbccddee");
    assert_eq!(Aes128Siv::new(&key.into()).encrypt([ad], &plain).unwrap(), sealed);

    let key = hex!("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f");
    let headers: [&[u8]; 3] = [
        &hex!(
            "00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa9988
             7766554433221100"
        ),
        &hex!("102030405060708090a0"),
        &hex!("09f911029d74e35bd84156c5635688c0"),
    ];
    let plain = b"this is some plaintext to encrypt using SIV-AES";
    let sealed = hex!(
        "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17
         dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d"
    );
    assert_eq!(Aes128Siv::new(&key.into()).encrypt(headers, plain).unwrap(), sealed);
}

/// Source: RFC 4231 §4.2 to §4.7, without the truncated one.
#[test]
fn rfc_4231() {
    let counting: Vec<u8> = (1..=25).collect();
    let vectors: [(&[u8], &[u8], [u8; 32]); 5] = [
        (
            &[0x0B; 20],
            b"Hi There",
            hex!("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            hex!("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ),
        (
            &[0xAA; 20],
            &[0xDD; 50],
            hex!("773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        ),
        (
            &counting,
            &[0xCD; 50],
            hex!("82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        ),
        (
            &[0xAA; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            hex!("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        ),
    ];
    for (key, data, mac) in vectors {
        let hmac = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(data);
        assert_eq!(<[u8; 32]>::from(hmac.finalize().into_bytes()), mac);
    }
}
