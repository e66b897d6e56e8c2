// SPDX-License-Identifier: Apache-2.0
//! Who may say what in an EMM, bodies that nobody may say, and the operator's signature.

use crate::commands::{every_command, forged, header, plaintext, sign, signer, unique};
use crate::spec_table::{SENDERS, rows};
use crate::values::key;
use cam_types::{CasTime, DecodeError, Epoch, Pseudonym};
use ecm_emm::emm::{
    Address, Emm, EmmCommand, EmmHeader, KeyTarget, PublicKey, Signing, TimeStep, may_deliver,
    permitted, role_permitted, seal, seal_signed, tag,
};
use ecm_emm::keys::Role;
use ecm_emm::{EncodeError, OpenError};
use p256::ecdsa::SigningKey;

const ROLES: [Role; 11] = [
    Role::Individual,
    Role::Group,
    Role::Global,
    Role::Recovery,
    Role::Service,
    Role::Signature,
    Role::Receipt,
    Role::Wallet,
    Role::WalletRecovery,
    Role::Tac,
    Role::Box,
];

/// T4: every role, table, signature and tag; what is not in the specification's table is refused.
#[test]
fn permissions() {
    let rows = rows();
    let column = |role, table_id, signing| {
        SENDERS.iter().position(|column| *column == (role, table_id, signing))
    };
    for role in ROLES {
        for table_id in 0..=0xFF {
            let known = column(role, table_id, Signing::Unsigned).is_some();
            assert_eq!(role_permitted(role, table_id), known, "{role:?} {table_id:02X}");
            for signing in [Signing::Unsigned, Signing::Signed] {
                let column = column(role, table_id, signing);
                for tag in 0..=0xFF {
                    let row = rows.iter().find(|row| row.tag == tag);
                    let allowed = row.zip(column).is_some_and(|(row, n)| row.senders[n]);
                    assert_eq!(
                        permitted(role, table_id, signing, tag),
                        allowed,
                        "{role:?} {table_id:02X} {signing:?} {tag:02X}"
                    );
                }
            }
        }
    }
}

#[test]
fn keys_that_a_role_may_deliver() {
    for (role, upper_halves) in [
        (Role::Individual, &[0, 1, 2, 3][..]),
        (Role::Recovery, &[0, 1, 2, 3, 4, 9]),
        (Role::Group, &[0]),
        (Role::Global, &[0, 2, 3]),
        (Role::Wallet, &[1, 5, 6, 7, 8]),
        (Role::WalletRecovery, &[1, 4, 5, 6, 7, 8]),
        (Role::Service, &[]),
        (Role::Box, &[]),
    ] {
        for octet in 0..=0xFF {
            let Ok(target) = KeyTarget::parse(octet) else { continue };
            assert_eq!(target.octet(), octet);
            let expected = upper_halves.contains(&(octet >> 4));
            assert_eq!(may_deliver(role, target), expected, "{role:?} {octet:02X}");
        }
    }
    let parsed = (0..=0xFF).filter(|octet| KeyTarget::parse(*octet).is_ok()).count();
    assert_eq!(parsed, 16 + 8 + 8);
}

/// T4: the same through the front door, with a good seal: PERMISSION, whatever the table_id says.
#[test]
fn a_sealed_message_is_judged_by_its_role() {
    for role in ROLES {
        for address in
            [Address::Unique(Pseudonym::new([1; 8])), Address::Shared(1), Address::Global]
        {
            for command in every_command() {
                let seq = if command.tag() == tag::TIME_SYNC { 0 } else { 42 };
                let header = header(address, role, seq);
                let key = key(header.suite, 1);
                let mut section = Vec::new();
                let sealed = seal(&header, core::slice::from_ref(&command), &key, &mut section);
                let target = command.key_target().is_none_or(|t| may_deliver(role, t));
                let expected =
                    permitted(role, header.table_id(), Signing::Unsigned, command.tag()) && target;
                assert_eq!(sealed.is_ok(), expected, "{header:?} {command:?}");
                if !expected {
                    section = forged(&header, &plaintext(core::slice::from_ref(&command)));
                }
                let opened = Emm::parse(&section).unwrap().open(&key);
                if expected {
                    assert_eq!(opened.unwrap().commands, [command]);
                } else {
                    assert_eq!(opened, Err(OpenError::Permission), "{header:?} {command:?}");
                }
            }
        }
    }
}

#[test]
fn bodies_that_no_card_takes() {
    let open = |header: &EmmHeader, plain: &[u8]| {
        Emm::parse(&forged(header, plain)).unwrap().open(&key(header.suite, 1))
    };
    let individual = unique(Role::Individual);
    let level = plaintext(&[EmmCommand::EmmLevel { level: 1, after: None }]);
    let sync =
        plaintext(&[EmmCommand::TimeSync { time: CasTime::new(1), step: TimeStep::Forward }]);
    let zero = EmmHeader { seq: 0, ..individual };
    assert!(open(&individual, &level).is_ok());
    assert!(open(&zero, &sync).is_ok());
    let number = |got| OpenError::Body(DecodeError::Invalid { field: "seq", got });
    assert_eq!(open(&zero, &level), Err(number(0)));
    assert_eq!(open(&individual, &sync), Err(number(42)));
    assert_eq!(open(&zero, &[sync.as_slice(), &sync].concat()), Err(number(0)));
    assert_eq!(open(&zero, &[sync.as_slice(), &level].concat()), Err(number(0)));
    let missing = OpenError::Body(DecodeError::Missing("command"));
    assert_eq!(open(&individual, &[]), Err(missing));
    for unknown in [0x00, 0x14, 0x26, 0x62, 0x80, 0x90, 0xFF] {
        let refused = OpenError::Body(DecodeError::Unknown { tag: unknown });
        assert_eq!(open(&individual, &[unknown, 0]), Err(refused));
    }
    for malformed in [
        &[0x24][..],
        &[0x24, 2, 0],
        &[0x24, 1, 0],
        &[0x24, 3, 0, 0, 0],
        &[0x32, 1, 2],
        &[0x51, 1, 4],
        &[0x70, 1, 2],
        &[0x60, 4, 0, 1, 0, 0xFF],
        &[0x13, 8, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x21, 5, 0x11, 0, 1, 0, 1],
        &[0x7E, 1, 0],
    ] {
        assert!(
            matches!(open(&individual, malformed), Err(OpenError::Body(_))),
            "{malformed:02X?}"
        );
    }
    let mut delivery = plaintext(&[every_command().swap_remove(4)]);
    delivery[5] = 1; // the purse's suite for a service key
    assert!(matches!(open(&individual, &delivery), Err(OpenError::Body(_))));
}

#[test]
fn the_operators_signature() {
    let (_, public) = signer();
    assert_eq!(PublicKey::from_octets(&public.octets()), Ok(public));
    assert!(PublicKey::from_octets(&[0xFF; 64]).is_err());
    let global = header(Address::Global, Role::Global, 9);
    let key = key(global.suite, 1);
    let commands = [EmmCommand::EmmLevel { level: 3, after: None }];
    let mut section = Vec::new();
    seal_signed(&global, &commands, sign, &key, &mut section).unwrap();
    let body = Emm::parse(&section).unwrap().open(&key).unwrap();
    assert_eq!(body.commands, commands);
    assert!(body.verify(&public));

    // Who holds only K_glb: the signature of one message under another.
    let signature = body.signature.as_ref().unwrap().octets;
    for (header, commands) in [
        (global, [EmmCommand::EmmLevel { level: 4, after: None }]),
        (EmmHeader { seq: 10, ..global }, [EmmCommand::EmmLevel { level: 3, after: None }]),
        (
            EmmHeader { epoch: Epoch::new(2), ..global },
            [EmmCommand::EmmLevel { level: 3, after: None }],
        ),
    ] {
        let mut copied = Vec::new();
        seal_signed(&header, &commands, |_| signature, &key, &mut copied).unwrap();
        assert!(!Emm::parse(&copied).unwrap().open(&key).unwrap().verify(&public));
    }
    for broken in [[0; 64], [0xFF; 64]] {
        let mut copied = Vec::new();
        seal_signed(&global, &commands, |_| broken, &key, &mut copied).unwrap();
        assert!(!Emm::parse(&copied).unwrap().open(&key).unwrap().verify(&public));
    }
    let other = SigningKey::from_slice(&[0x5B; 32]).unwrap();
    let point = other.verifying_key().to_sec1_point(false);
    let other = PublicKey::from_octets(&point.as_bytes()[1..].try_into().unwrap()).unwrap();
    assert!(!body.verify(&other));

    // Unsigned, the same commands are not permitted; nor does a signature help K_ind or K_grp.
    let mut out = Vec::new();
    let refused = Err(EncodeError::Invalid("a command of this EMM"));
    assert_eq!(seal(&global, &commands, &key, &mut out), refused);
    assert_eq!(seal_signed(&unique(Role::Individual), &commands, sign, &key, &mut out), refused);
    // Never the allowed suites of a recovery key, and nothing behind the signature.
    for role in [Role::Recovery, Role::WalletRecovery] {
        let allow = [EmmCommand::SuiteAllow { role, mask: 4 }];
        assert_eq!(seal_signed(&global, &allow, sign, &key, &mut out), refused);
    }
    let mut behind = plaintext(&commands);
    behind.extend([0x7E, 64]);
    behind.extend([0; 64]);
    behind.extend(plaintext(&commands));
    let opened = Emm::parse(&forged(&global, &behind)).unwrap().open(&key);
    assert!(matches!(opened, Err(OpenError::Body(DecodeError::Trailing { .. }))));
}
