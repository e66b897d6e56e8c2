// SPDX-License-Identifier: Apache-2.0
//! EMM: every command there and back, damage, sizes and keys that do not mix.

use crate::commands::{every_command, header, plaintext, sign, unique};
use crate::values::{epoch, event, fen, key, octets, operator, package, relabelled, suite, time};
use cam_types::{BcdDate, BcdTime, Epoch, OperatorId, Pseudonym, StbId, TerminalId};
use ecm_emm::ecm::Fingerprint;
use ecm_emm::emm::{
    Address, Emm, EmmBody, EmmCommand, EmmHeader, KeyDelivery, KeyTarget, MAX_EMM, Pairing,
    ResetNumber, Script, TimeStep, seal, seal_signed, tag,
};
use ecm_emm::keys::Role;
use ecm_emm::suite::{Suite, WrappedKey};
use ecm_emm::{EncodeError, OpenError};
use proptest::prelude::*;

fn target() -> impl Strategy<Value = KeyTarget> {
    any::<u8>().prop_filter_map("a key", |octet| KeyTarget::parse(octet).ok())
}

fn reset() -> impl Strategy<Value = ResetNumber> {
    any::<u16>().prop_filter_map("a number", ResetNumber::new)
}

fn delivery() -> impl Strategy<Value = KeyDelivery> {
    (target(), epoch(), suite(), any::<u8>(), octets(40), any::<[u8; 3]>(), time()).prop_map(
        |(target, epoch, suite, usage, wrapped, kcv, not_before)| {
            let purse =
                matches!(target, KeyTarget::Purchase | KeyTarget::Load | KeyTarget::PurseTac);
            let suite = if purse { KeyDelivery::PURSE_SUITE } else { suite.number() };
            let len = if suite == 3 { 40 } else { 24 };
            let wrapped = WrappedKey::from_slice(&wrapped[..len]).unwrap();
            KeyDelivery { target, epoch, suite, usage, wrapped, kcv, not_before }
        },
    )
}

fn rights() -> impl Strategy<Value = EmmCommand> {
    prop_oneof![
        (package(), time(), time(), any::<u16>(), prop::option::of(time())).prop_map(
            |(package, start, end, version, horizon)| EmmCommand::Grant {
                package,
                start,
                end,
                version,
                horizon
            }
        ),
        (package(), any::<u16>())
            .prop_map(|(package, version)| EmmCommand::Revoke { package, version }),
        (event(), any::<u8>(), time()).prop_map(|(event, tier, end)| EmmCommand::PpvGrant {
            event,
            tier,
            end
        }),
        (package(), octets(1..=32), time(), any::<u16>()).prop_map(
            |(base, bitmap, end, version)| EmmCommand::Bitmap { base, bitmap, end, version }
        ),
    ]
}

fn keys() -> impl Strategy<Value = EmmCommand> {
    prop_oneof![
        delivery().prop_map(EmmCommand::KeyDeliver),
        (target(), epoch(), epoch()).prop_map(|(target, epoch, floor)| EmmCommand::KeyActivate {
            target,
            epoch,
            floor
        }),
        (target(), epoch()).prop_map(|(target, epoch)| EmmCommand::KeyDestroy { target, epoch }),
        any::<u16>().prop_map(|mask| EmmCommand::SuiteAllow { role: Role::Service, mask }),
        (any::<u16>(), prop::option::of(reset()))
            .prop_map(|(level, after)| EmmCommand::EmmLevel { level, after }),
        (any::<u8>(), octets(64))
            .prop_map(|(epoch, key)| EmmCommand::SigKey { epoch, key: key.try_into().unwrap() }),
        (0..8_u8, any::<u32>(), suite(), epoch(), octets(40)).prop_map(
            |(index, group, suite, epoch, wrapped)| {
                let wrapped = WrappedKey::from_slice(&wrapped[..suite.key_len() + 8]).unwrap();
                EmmCommand::GroupAssign { index, group, suite, epoch, wrapped }
            }
        ),
    ]
}

fn wallet() -> impl Strategy<Value = EmmCommand> {
    prop_oneof![
        (any::<u16>(), fen(), any::<([u8; 4], [u8; 3], [u8; 6])>()).prop_map(
            |(number, amount, (date, time, agent))| EmmCommand::Topup {
                number,
                amount,
                date: BcdDate(date),
                time: BcdTime(time),
                agent: TerminalId::new(agent)
            }
        ),
        (event(), any::<u16>(), fen()).prop_map(|(event, sequence, amount)| EmmCommand::Refund {
            event,
            sequence,
            amount
        }),
        any::<bool>().prop_map(|blocked| EmmCommand::WalletBlock { blocked }),
    ]
}

fn others() -> impl Strategy<Value = EmmCommand> {
    prop_oneof![
        (any::<u16>(), any::<[u8; 24]>())
            .prop_map(|(flags, wrapped)| EmmCommand::PinReset { flags, wrapped }),
        (0..4_u8, any::<([u8; 8], [u8; 24], [u8; 24], [u8; 3])>()).prop_map(
            |(slot, (stb, k_pair, k_cw, kcv))| EmmCommand::Pair(Pairing {
                slot,
                stb: StbId::new(stb),
                k_pair,
                k_cw,
                kcv
            })
        ),
        prop::option::of(0..4_u8).prop_map(EmmCommand::Unpair),
        (1_u32.., any::<(bool, [u8; 8])>()).prop_map(|(number, (barred, stb))| {
            EmmCommand::BoxBar { number, barred, stb: StbId::new(stb) }
        }),
        (any::<u16>(), any::<u8>(), "\\PC{0,30}")
            .prop_map(|(id, attributes, text)| EmmCommand::Osd { id, attributes, text }),
        any::<(u8, u8)>()
            .prop_map(|(flags, seconds)| EmmCommand::Fingerprint(Fingerprint { flags, seconds })),
        any::<bool>().prop_map(|blocked| EmmCommand::CardState { blocked }),
        any::<([u8; 8], u16)>().prop_map(|(nonce, from)| EmmCommand::ReportRequest { nonce, from }),
        (time(), prop::option::of(reset())).prop_map(|(time, reset)| {
            let step = reset.map_or(TimeStep::Forward, TimeStep::Reset);
            EmmCommand::TimeSync { time, step }
        }),
        any::<[u8; 8]>().prop_map(EmmCommand::ReportAck),
        (any::<(u8, [u8; 3], [u8; 8], [u8; 8])>(), prop::collection::vec(octets(1..40), 0..4))
            .prop_map(|((target, sequence, host_challenge, host_cryptogram), apdus)| {
                let head = (target, sequence, host_challenge, host_cryptogram);
                let (target, sequence, host_challenge, host_cryptogram) = head;
                EmmCommand::Script(Script {
                    target,
                    sequence,
                    host_challenge,
                    host_cryptogram,
                    apdus,
                })
            }),
    ]
}

fn command() -> impl Strategy<Value = EmmCommand> {
    prop_oneof![rights(), keys(), wallet(), others()]
}

proptest! {
    #[test]
    fn every_command_comes_back(command in command()) {
        let plain = plaintext(core::slice::from_ref(&command));
        prop_assert_eq!(plain[0], command.tag());
        prop_assert_eq!(usize::from(plain[1]), plain.len() - 2);
        prop_assert_eq!(EmmCommand::parse(plain[0], &plain[2..]), Ok(command));
    }

    #[test]
    fn what_is_sealed_opens(
        suite in suite(), operator in operator(), epoch in epoch(), seq in 1_u32..,
        pseudonym in any::<[u8; 8]>(), commands in prop::collection::vec(rights(), 1..4),
    ) {
        let address = Address::Unique(Pseudonym::new(pseudonym));
        let role = Role::Individual;
        let header = EmmHeader { address, suite, operator, role, epoch, seq };
        let mut section = Vec::new();
        seal(&header, &commands, &key(suite, 1), &mut section).unwrap();
        prop_assert!(section.len() <= MAX_EMM);
        let emm = Emm::parse(&section).unwrap();
        prop_assert_eq!(emm.header, header);
        let body = emm.open(&key(suite, 1)).unwrap();
        prop_assert_eq!(&body.commands, &commands);
        prop_assert_eq!(&body.signature, &None);
        prop_assert_eq!(emm.open(&key(suite, 2)), Err(OpenError::Authentication));
    }

    #[test]
    fn noise_never_panics(section in octets(0..300), plain in octets(0..220), tag in any::<u8>(),
                          table in prop::sample::select(vec![0x82_u8, 0x84, 0x86, 0x8A])) {
        let _ = Emm::parse(&section);
        let _ = EmmCommand::parse(tag, &plain);
        for role in [Role::Individual, Role::Global] {
            let address = if role == Role::Global { Address::Global } else { Address::Shared(1) };
            let _ = EmmBody::parse(&header(address, role, 1), &[0; 13], &plain);
        }
        let mut framed = vec![table, 0x70, 0, 0x12];
        framed.extend(section);
        if let Ok(emm) = Emm::parse(&relabelled(framed)) {
            prop_assert!(emm.open(&key(emm.header.suite, 1)).is_err());
        }
    }

    #[test]
    fn what_parses_emits_back(tag in any::<u8>(), value in octets(0..80)) {
        if let Ok(command) = EmmCommand::parse(tag, &value) {
            let plain = plaintext(core::slice::from_ref(&command));
            prop_assert_eq!(plain[0], tag);
            prop_assert_eq!(&plain[2..], value);
        }
    }
}

/// T11: every flipped bit is refused, but for the three of octet 1 that are not looked at.
#[test]
fn every_flipped_bit() {
    for suite in Suite::ALL {
        for (address, role) in [
            (Address::Unique(Pseudonym::new([0xA1; 8])), Role::Individual),
            (Address::Shared(1), Role::Group),
            (Address::Global, Role::Global),
        ] {
            let header = EmmHeader { suite, ..header(address, role, 42) };
            let osd = EmmCommand::Osd { id: 1, attributes: 0, text: String::from("hello") };
            let mut good = Vec::new();
            seal(&header, &[osd], &key(suite, 1), &mut good).unwrap();
            for bit in 0..good.len() * 8 {
                let mut section = good.clone();
                section[bit / 8] ^= 0x80 >> (bit % 8);
                let opened = Emm::parse(&section).is_ok_and(|emm| emm.open(&key(suite, 1)).is_ok());
                assert_eq!(opened, matches!(bit, 9..=11), "bit {bit} of {suite:?} {role:?}");
            }
        }
    }
}

/// T11: every truncation and extension, with the old length and with one that fits.
#[test]
fn every_other_length() {
    let mut good = Vec::new();
    let key = key(Suite::Cmac128, 1);
    seal(
        &unique(Role::Individual),
        &[EmmCommand::EmmLevel { level: 1, after: None }],
        &key,
        &mut good,
    )
    .unwrap();
    let opens = |section: &[u8]| Emm::parse(section).is_ok_and(|emm| emm.open(&key).is_ok());
    assert!(opens(&good));
    for len in (0..=MAX_EMM + 10).filter(|len| *len != good.len()) {
        let mut section = good.clone();
        section.resize(len, 0);
        assert!(!opens(&section), "{len}");
        assert!(!opens(&relabelled(section)), "{len}, relabelled");
    }
}

/// Source: the sizes in the protocol's first plan.
#[test]
fn sizes() {
    let all = every_command();
    let find = |wanted: u8| all.iter().find(|command| command.tag() == wanted).unwrap().clone();
    let size = |role, commands: &[EmmCommand]| {
        let mut out = Vec::new();
        let header = unique(role);
        seal(&header, commands, &key(header.suite, 1), &mut out).unwrap();
        out.len()
    };
    let individual = |commands: &[EmmCommand]| size(Role::Individual, commands);
    let key_deliver = find(tag::KEY_DELIVER);
    assert_eq!(individual(core::slice::from_ref(&key_deliver)), 75);
    assert_eq!(individual(&[key_deliver.clone(), key_deliver.clone(), key_deliver.clone()]), 151);
    if let EmmCommand::KeyDeliver(delivery) = key_deliver {
        let long = KeyDelivery { suite: 3, wrapped: WrappedKey::Long([0; 40]), ..delivery };
        assert_eq!(individual(&[EmmCommand::KeyDeliver(long)]), 91);
    }
    assert_eq!(individual(&[find(tag::KEY_ACTIVATE)]), 44);
    assert_eq!(individual(&[find(tag::ENT_GRANT)]), 51);
    assert_eq!(individual(&vec![find(tag::ENT_GRANT); 8]), 149);
    if let EmmCommand::Grant { package, start, end, version, .. } = find(tag::ENT_GRANT) {
        let grant = EmmCommand::Grant { package, start, end, version, horizon: Some(end) };
        assert_eq!(individual(&vec![grant; 8]), 181);
    }
    assert_eq!(size(Role::Wallet, &[find(tag::WALLET_TOPUP)]), 58);
    assert_eq!(individual(&[find(tag::PAIR)]), 99);
    assert_eq!(individual(&[find(tag::PIN_RESET)]), 65);
    let osd = EmmCommand::Osd { id: 1, attributes: 0, text: "x".repeat(100) };
    assert_eq!(individual(&[osd]), 142);
    assert_eq!(size(Role::Recovery, &[find(tag::SIGKEY)]), 104);
    assert_eq!(individual(&[find(tag::REPORT_ACK)]), 47);
    let mut signed = Vec::new();
    let global = header(Address::Global, Role::Global, 1);
    let commands = [find(tag::KEY_ACTIVATE), find(tag::SUITE_ALLOW)];
    seal_signed(&global, &commands, sign, &key(global.suite, 1), &mut signed).unwrap();
    assert_eq!(signed.len(), 107);

    let too_long = EmmCommand::Osd { id: 1, attributes: 0, text: "x".repeat(198) };
    let mut out = Vec::new();
    let refused = seal(&unique(Role::Individual), &[too_long], &key(Suite::Cmac128, 1), &mut out);
    let expected = EncodeError::TooLong { message: "EMM", octets: 240, limit: 239 };
    assert_eq!((refused, out.len()), (Err(expected), 0));
}

/// T21: another suite, T23: another role, operator, epoch or number.
#[test]
fn keys_do_not_mix() {
    let mut good = Vec::new();
    let header = unique(Role::Individual);
    seal(
        &header,
        &[EmmCommand::EmmLevel { level: 1, after: None }],
        &key(Suite::Cmac128, 1),
        &mut good,
    )
    .unwrap();
    let emm = Emm::parse(&good).unwrap();
    assert_eq!(emm.open(&key(Suite::Hmac, 1)), Err(OpenError::Suite));
    for other in [
        EmmHeader { role: Role::Recovery, ..header },
        EmmHeader { operator: OperatorId::new(1), ..header },
        EmmHeader { epoch: Epoch::new(2), ..header },
        EmmHeader { seq: 43, ..header },
        EmmHeader { address: Address::Unique(Pseudonym::new([2; 8])), ..header },
    ] {
        let refused = Emm { header: other, sealed: emm.sealed }.open(&key(Suite::Cmac128, 1));
        assert_eq!(refused, Err(OpenError::Authentication), "{other:?}");
    }
}
