// SPDX-License-Identifier: Apache-2.0
//! The sealed samples, and what an independent program (Python `cryptography` 48) computed for the
//! other suites.

use cam_types::{
    CardId, CasTime, ChannelId, ControlWord, Epoch, EventId, Fen, Key, OperatorId, PackageId,
    Pseudonym, Secret, Slot, StbId,
};
use ecm_emm::ecm::{Cci, ControlWords, Criteria, Ecm, EcmBody, EcmHeader, Ppv, Rating, Regions};
use ecm_emm::emm::{Address, Emm, EmmCommand, EmmHeader, KeyDelivery, KeyTarget, seal};
use ecm_emm::keys::{KeyContext, KeyMaterial, Role, card_key, pairing_keys};
use ecm_emm::suite::{SealKey, Suite, WrappedKey};
use hex_literal::hex;

fn sample(name: &str) -> Vec<u8> {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("vectors/ca-suite2-samples.json")).unwrap();
    let text = file[name].as_str().unwrap();
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// The key that counts up from 00.
fn key(suite: Suite) -> SealKey {
    let octets: Vec<u8> = (0..suite.key_len() as u8).collect();
    SealKey::new(suite, KeyMaterial::from_slice(&octets).unwrap()).unwrap()
}

fn ecm_body() -> EcmBody {
    EcmBody {
        channel: ChannelId::new(0x0301),
        time: CasTime::new(0x2FAF_0800),
        cci: Cci(0x0F),
        rating: Rating(0),
        regions: Regions::ALL,
        emm_floor: 0,
        cw: ControlWords::Cw128 {
            even: ControlWord::new(hex!("e0e1e2e3e4e5e6e7e8e9eaebecedeeef")),
            odd: ControlWord::new(hex!("d0d1d2d3d4d5d6d7d8d9dadbdcdddedf")),
        },
        criteria: Criteria {
            packages: (1..=4).map(PackageId::new).collect(),
            ppv: Some(Ppv {
                event: EventId::new(0xA000_0001),
                price: Fen::new(1500),
                tier: 1,
                start: CasTime::new(0x2FAF_0800),
                end: CasTime::new(0x2FAF_2420),
                preview_s: 30,
            }),
            ..Criteria::default()
        },
    }
}

#[test]
fn the_ecm_opens() {
    let section = sample("ecm");
    let ecm = Ecm::parse(&section).unwrap();
    assert_eq!(ecm.header.key_context().octets(), sample("kdf_ctx_ecm").as_slice());
    assert_eq!(ecm.header.table_id(), EcmHeader::EVEN);
    let mut plain = Vec::new();
    let context = ecm.header.key_context();
    key(Suite::Cmac128).open(&context, &ecm.aad, ecm.sealed, &mut plain).unwrap();
    assert_eq!(plain, sample("ecm_plain"));
    assert_eq!(ecm.open(&key(Suite::Cmac128)), Ok(ecm_body()));
}

#[test]
fn the_ecm_seals_to_the_same_octets() {
    let section = sample("ecm");
    let header = Ecm::parse(&section).unwrap().header;
    let mut out = Vec::new();
    ecm_body().seal(&header, &key(Suite::Cmac128), &mut out).unwrap();
    assert_eq!(out, section);
}

#[test]
fn the_emm_opens_and_seals_to_the_same_octets() {
    let section = sample("emm");
    let emm = Emm::parse(&section).unwrap();
    assert_eq!(
        emm.header,
        EmmHeader {
            address: Address::Unique(Pseudonym::new(hex!("1000751200000001"))),
            suite: Suite::Cmac128,
            operator: OperatorId::new(0x0102),
            role: Role::Individual,
            epoch: Epoch::new(1),
            seq: 42,
        }
    );
    let sender = key(Suite::Cmac128);
    let body = emm.open(&sender).unwrap();
    let wrapped = WrappedKey::from_slice(&sample("wrapped_zero_key")).unwrap();
    let delivery = KeyDelivery {
        target: KeyTarget::Service(Slot::new(1)),
        epoch: Epoch::new(8),
        suite: 2,
        usage: 1,
        wrapped,
        kcv: [0; 3],
        not_before: CasTime::new(0),
    };
    assert_eq!(body.commands, [EmmCommand::KeyDeliver(delivery)]);
    let zero = KeyMaterial::from(Key::new([0; 16]));
    assert_eq!(sender.wrap(&emm.header.key_context(), &zero), wrapped);
    assert_eq!(sender.unwrap(&emm.header.key_context(), &wrapped), Ok(zero));
    let mut out = Vec::new();
    seal(&emm.header, &body.commands, &sender, &mut out).unwrap();
    assert_eq!(out, section);
}

/// Suites 3 and 5 over the sample's plaintext: the values of the protocol's first plan, and the
/// whole ciphertext of suite 5 as the independent program gave it.
#[test]
fn the_other_suites() {
    for (suite, tag, start) in [
        (Suite::Cmac256, hex!("27c278eff49f130ee7e76b23820da3a7"), hex!("656d3a10b49be1df")),
        (Suite::Hmac, hex!("f131415a59f668e3713e08fb3b902d44"), hex!("d4fd46189a115e57")),
    ] {
        let mut out = Vec::new();
        let header = EcmHeader { suite, ..Ecm::parse(&sample("ecm")).unwrap().header };
        ecm_body().seal(&header, &key(suite), &mut out).unwrap();
        assert_eq!(out[3], 0x10 | suite.number());
        assert_eq!(out[13..29], tag);
        assert_eq!(out[29..37], start);
        assert_eq!(Ecm::parse(&out).unwrap().open(&key(suite)), Ok(ecm_body()));
        if suite == Suite::Hmac {
            let ciphertext = hex!(
                "d4fd46189a115e57a9dc49bc7f076e537d2804b2146a7adc3a28a140bfccf524c05e380c
                 fa299996073dc2d24018756d25aff53ae2e5d4a64e5258f210c01f8e0e2046a19f97b255285d"
            );
            assert_eq!(out[29..], ciphertext);
        }
    }
}

/// Source: Python `cryptography` 48, keys that count up from 00.
#[test]
fn check_values() {
    for (suite, kcv) in [
        (Suite::Cmac128, hex!("c35280")),
        (Suite::Cmac256, hex!("75e208")),
        (Suite::Hmac, hex!("0a36db")),
    ] {
        assert_eq!(key(suite).kcv(), kcv, "{suite:?}");
    }
}

/// Source: Python `cryptography` 48, `aes_key_wrap_with_padding` of zeros under role 11, operator
/// 0102, epoch 1.
#[test]
fn wrapped_keys() {
    let context = KeyContext::new(Role::Individual, OperatorId::new(0x0102), Epoch::new(1));
    let long = KeyMaterial::Bits256(Secret::new([0; 32]));
    let wrapped = key(Suite::Cmac256).wrap(&context, &long);
    assert_eq!(
        wrapped.octets(),
        hex!(
            "0e303dfcc92e6fee8041a8bfb025da6a807d4329728e4bb5
             bb5433152e47a24bb2a77ee1c44c11ae"
        )
    );
    assert_eq!(key(Suite::Cmac256).unwrap(&context, &wrapped), Ok(long));
    let short = KeyMaterial::from(Key::new([0; 16]));
    let wrapped = key(Suite::Hmac).wrap(&context, &short);
    assert_eq!(wrapped.octets(), hex!("ab7b98e15e22c58c61a7e89394f58d428396d36dd5452513"));
    assert_eq!(key(Suite::Hmac).unwrap(&context, &wrapped), Ok(short));
}

/// Source: Python `cryptography` 48.
#[test]
fn derived_keys() {
    let card = CardId::new(hex!("0102030405060708"));
    for (suite, expected) in [
        (Suite::Cmac128, hex!("7c93219ae89059bfaeea0cd1fcd305bb")),
        (Suite::Hmac, hex!("6456afd2b0753da51a002f28ae1ed2a9")),
    ] {
        let derived =
            card_key(&key(suite), Role::Individual, OperatorId::new(0x1201), card, Epoch::new(1));
        assert_eq!(derived.suite(), suite);
        assert_eq!(derived.material().expose(), expected);
    }
    let k_pair = Key::new(core::array::from_fn(|i| 0x80 + i as u8));
    let set = pairing_keys(&k_pair, StbId::new(*b"STB00001"));
    assert_eq!(set.enc, Key::new(hex!("aa830d52b77e91efb82031bc75fee701")));
    assert_eq!(set.mac, Key::new(hex!("87b33ae327d1e08095b9aaf00f8aaf71")));
    assert_eq!(set.dek, Key::new(hex!("b6ec5c074dac17e46908b9ef60f17306")));
}
