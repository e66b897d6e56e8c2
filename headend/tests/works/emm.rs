// SPDX-License-Identifier: Apache-2.0
//! EMMs and pairings: what the card and the box read is what the engineer wrote.

use crate::support;
use cam_types::{CardId, Epoch, OperatorId, Pseudonym, StbId};
use ecm_emm::box_emm::{BoxCommand, BoxEmm};
use ecm_emm::emm::{
    Address, Emm, EmmBody, EmmCommand, KeyTarget, PublicKey, ResetNumber, TimeStep,
};
use ecm_emm::keys::{KeyMaterial, Role, card_key};
use ecm_emm::suite::{SealKey, Suite, WrappedKey};
use headend::emm::{EmmError, Senders};
use headend::files::operator::Operator;
use headend::message::Message;
use headend::message::kind::Occasion;
use headend::sender::Sender;
use hex_literal::hex;
use std::path::Path;

const CARD: &str = "card = \"0102030405060708\"\n";

fn make(operator: &Operator, text: &str) -> Result<Vec<u8>, EmmError> {
    let message = Message::parse(Path::new("message.toml"), text).unwrap();
    let occasion =
        Occasion { sequence: 77, time: cam_types::CasTime::new(5), folder: Path::new("") };
    message.section(Senders::new(operator), occasion)
}

/// The card's own key, derived here as `docs/spec/emm.md` says and not by the operator file's code.
fn k_ind() -> SealKey {
    let master = KeyMaterial::from_slice(&hex!("101112131415161718191a1b1c1d1e1f")).unwrap();
    let master = SealKey::new(Suite::Cmac128, master).unwrap();
    let (operator, card) = (OperatorId::new(0x1201), CardId::new(hex!("0102030405060708")));
    card_key(&master, Role::Individual, operator, card, Epoch::new(1))
}

fn seal_key(octets: &[u8]) -> SealKey {
    SealKey::new(Suite::Cmac128, KeyMaterial::from_slice(octets).unwrap()).unwrap()
}

fn opened(section: &[u8], key: &SealKey) -> EmmBody {
    Emm::parse(section).unwrap().open(key).unwrap()
}

/// What a server would ask for: no file and no schedule stands behind it.
#[test]
fn a_message_is_made_of_plain_values() {
    let sender = Sender {
        operator: OperatorId::new(0x1201),
        address: Address::Unique(Pseudonym::new([7; 8])),
        role: Role::Individual,
        epoch: Epoch::new(1),
        key: k_ind(),
    };
    let commands =
        [EmmCommand::EmmLevel { level: 3, after: None }, EmmCommand::CardState { blocked: true }];
    let section = sender.section(9, &commands).unwrap();
    assert_eq!(Emm::parse(&section).unwrap().header, sender.header(9));
    assert_eq!(opened(&section, &k_ind()).commands, commands);
}

#[test]
fn the_card_reads_what_was_written() {
    let operator = support::operator();
    for (text, tag, seq) in [
        ("kind=\"revoke\"\npackage=1\nversion=3", 0x11, 77),
        ("kind=\"ppv_grant\"\nevent=9\ntier=1\nend=2027-01-01T00:00:00Z", 0x12, 77),
        ("kind=\"key_activate\"\nslot=1\nepoch=2\nfloor=2", 0x21, 77),
        ("kind=\"key_destroy\"\nslot=1\nepoch=1", 0x22, 77),
        ("kind=\"emm_level\"\nlevel=4", 0x24, 77),
        ("kind=\"box_bar\"\nbox=\"5354423030303031\"\nbarred=true\nnumber=1", 0x52, 77),
        ("kind=\"unpair\"", 0x51, 77),
        ("kind=\"unpair\"\nslot=3", 0x51, 77),
        ("kind=\"time_sync\"", 0x72, 0),
        ("kind=\"card_state\"\nblocked=true", 0x70, 77),
        ("kind=\"report_request\"\nnonce=\"0102030405060708\"", 0x71, 77),
        ("kind=\"report_ack\"\nreceipt=\"0102030405060708\"", 0x74, 77),
        ("kind=\"osd\"\nid=1\ntext=\"hello\"", 0x60, 77),
    ] {
        let section = make(&operator, &format!("{text}\n{CARD}")).unwrap();
        let emm = Emm::parse(&section).unwrap();
        let pseudonym = Pseudonym::new(hex!("a1b2c3d4e5f60718"));
        assert_eq!(emm.header.address, Address::Unique(pseudonym), "{text}");
        assert_eq!((emm.header.seq, emm.header.role), (seq, Role::Individual), "{text}");
        let body = opened(&section, &k_ind());
        assert_eq!(body.commands.iter().map(EmmCommand::tag).collect::<Vec<_>>(), [tag], "{text}");
        assert!(section.len() <= 183);
    }
}

#[test]
fn a_refund_goes_to_the_purse_under_its_own_key() {
    let text = "kind=\"refund\"\nevent=2001\nsequence=1\namount=\"12.00\"\n";
    let section = make(&support::operator(), &format!("{text}{CARD}")).unwrap();
    assert_eq!(Emm::parse(&section).unwrap().header.role, Role::Wallet);
    let key = seal_key(&hex!("d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"));
    let amount = cam_types::Fen::new(1200);
    let event = cam_types::EventId::new(2001);
    let refund = EmmCommand::Refund { event, sequence: 1, amount };
    assert_eq!(opened(&section, &key).commands, [refund]);
}

#[test]
fn a_delivered_key_is_the_operators() {
    let text = "kind=\"key_deliver\"\nslot=1\nepoch=2\nnot_before=2026-12-01T12:00:15Z\n";
    let section = make(&support::operator(), &format!("{text}{CARD}")).unwrap();
    assert_eq!(section.len(), 75);
    let header = Emm::parse(&section).unwrap().header;
    let [EmmCommand::KeyDeliver(delivery)] = &opened(&section, &k_ind()).commands[..] else {
        panic!("not a KEY_DELIVER")
    };
    let key = k_ind().unwrap(&header.key_context(), &delivery.wrapped).unwrap();
    assert_eq!(key.expose(), hex!("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"));
    assert_eq!(delivery.target, KeyTarget::Service(cam_types::Slot::new(1)));
    assert_eq!(delivery.not_before.seconds(), 849_441_615);
    assert_eq!(delivery.kcv, seal_key(key.expose()).kcv());
}

#[test]
fn a_new_pin_travels_wrapped() {
    let text = format!("kind=\"pin_reset\"\npin=\"40962718\"\n{CARD}");
    let section = make(&support::operator(), &text).unwrap();
    let header = Emm::parse(&section).unwrap().header;
    let [EmmCommand::PinReset { wrapped, .. }] = &opened(&section, &k_ind()).commands[..] else {
        panic!("not a PIN_RESET")
    };
    let block = k_ind().unwrap(&header.key_context(), &WrappedKey::Short(*wrapped)).unwrap();
    assert_eq!(block.expose(), hex!("2840962718ffffff 0000000000000000"));
    for pin in ["\"409a\"", "40962718", "[4, 0]"] {
        let text = format!("kind=\"pin_reset\"\npin={pin}\n{CARD}");
        let error = Message::parse(Path::new("m.toml"), &text).unwrap_err().to_string();
        assert!(error.starts_with("m.toml: field `pin`: "), "{error}");
        assert!(!error.contains("40"), "{error}");
    }
}

#[test]
fn groups_and_all_cards_have_keys_of_their_own() {
    let operator = support::operator();
    let text = "kind=\"grant\"\ngroup=\"00000001\"\npackage=1\nstart=2026-12-01T00:00:00Z\n\
                end=2027-03-01T00:00:00Z\nversion=0";
    let section = make(&operator, text).unwrap();
    assert_eq!(Emm::parse(&section).unwrap().header.address, Address::Shared(1));
    opened(&section, &seal_key(&hex!("404142434445464748494a4b4c4d4e4f")));
    let section = make(&operator, "kind=\"osd\"\nid=7\ntext=\"hello\"").unwrap();
    assert_eq!(Emm::parse(&section).unwrap().header.address, Address::Global);
    opened(&section, &seal_key(&hex!("505152535455565758595a5b5c5d5e5f")));
}

#[test]
fn a_time_for_all_cards_is_signed() {
    let (operator, public) = signing_operator();
    let section = make(&operator, "kind=\"time_sync\"\ntime=2026-12-01T12:00:00Z").unwrap();
    let body = opened(&section, &seal_key(&hex!("505152535455565758595a5b5c5d5e5f")));
    assert!(body.verify(&public));
    assert_eq!(
        make(&support::operator(), "kind=\"time_sync\"\ntime=2026-12-01T12:00:00Z"),
        Err(EmmError::Missing("[signing_key]"))
    );
}

#[test]
fn what_the_operator_file_does_not_know_is_named() {
    let operator = support::operator();
    for (text, error) in [
        (
            "kind=\"emm_level\"\ncard=\"0000000000000000\"\nlevel=1",
            "no [[card]] for 0000000000000000",
        ),
        (
            &format!("kind=\"key_deliver\"\nslot=3\nepoch=1\n{CARD}"),
            "no [[service_key]] for slot 3, epoch 1",
        ),
        ("kind=\"key_deliver\"\nslot=1\nepoch=1", "name either `card` or `group`"),
        (
            &format!("kind=\"pair\"\nbox=\"0000000000000000\"\n{CARD}"),
            "no [[pairing]] for 0102030405060708",
        ),
        (&format!("kind=\"forge_emm\"\n{CARD}"), "by a schedule only"),
        ("kind=\"raw\"\nfile=\"/nonexistent\"", "/nonexistent: No such file"),
    ] {
        let got = make(&operator, text).unwrap_err().to_string();
        assert!(got.contains(error), "{got}");
    }
}

#[test]
fn both_halves_of_a_pairing_say_the_same() {
    let operator = support::operator();
    let ids = format!("box=\"5354423030303031\"\n{CARD}");
    let card_half = make(&operator, &format!("kind=\"pair\"\n{ids}")).unwrap();
    let box_half = make(&operator, &format!("kind=\"box_pair\"\n{ids}")).unwrap();
    assert_eq!(card_half.len(), 99);
    assert_eq!(box_half, make(&operator, &format!("kind=\"box_pair\"\n{ids}")).unwrap());

    let header = Emm::parse(&card_half).unwrap().header;
    assert_eq!(header.seq, 1);
    let [EmmCommand::Pair(pair)] = &opened(&card_half, &k_ind()).commands[..] else {
        panic!("not a PAIR")
    };
    let unwrapped = |wrapped: [u8; 24]| {
        let key = k_ind().unwrap(&header.key_context(), &WrappedKey::Short(wrapped)).unwrap();
        key.expose().to_vec()
    };
    let (k_pair, k_cw) = (unwrapped(pair.k_pair), unwrapped(pair.k_cw));
    assert_eq!(k_pair, hex!("808182838485868788898a8b8c8d8e8f"));
    assert_eq!(k_cw, hex!("909192939495969798999a9b9c9d9e9f"));
    assert_eq!((pair.slot, pair.stb), (0, StbId::new(*b"STB00001")));

    let k_box = seal_key(&hex!("606162636465666768696a6b6c6d6e6f"));
    let message = BoxEmm::parse(&box_half).unwrap();
    let [BoxCommand::Pair(pairing)] = &message.open(&k_box).unwrap()[..] else {
        panic!("not a BOX_PAIR")
    };
    let session = pairing.session_key(&message.header, &k_box).unwrap();
    assert_eq!(session.expose()[..], k_pair);
    let decrypt = |key: &[u8], block: [u8; 16]| {
        use aes::cipher::{BlockCipherDecrypt, KeyInit};
        let mut block = block.into();
        aes::Aes128::new_from_slice(key).unwrap().decrypt_block(&mut block);
        <[u8; 16]>::from(block)
    };
    let k2 = decrypt(&hex!("707172737475767778797a7b7c7d7e7f"), pairing.ek2);
    assert_eq!(decrypt(&k2, pairing.ek1)[..], k_cw);
}

fn signing_operator() -> (Operator, PublicKey) {
    let text = std::fs::read_to_string(support::example("demo/operator.toml")).unwrap();
    let signing = "[signing_key]\nepoch = 1\n\
                   key = \"c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721\"\n";
    let operator = Operator::parse(Path::new("o.toml"), &format!("{text}\n{signing}")).unwrap();
    // Source: RFC 6979, A.2.5: the public key of this private key.
    let public = PublicKey::from_octets(&hex!(
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
    ));
    (operator, public.unwrap())
}

/// T4: a key for a group goes signed and without a number, or it is not made.
#[test]
fn a_groups_key_is_signed() {
    let text = "kind=\"key_deliver\"\ngroup=\"00000001\"\nslot=1\nepoch=2\n";
    let (operator, public) = signing_operator();
    let section = make(&operator, text).unwrap();
    assert_eq!(section.len(), 137);
    let emm = Emm::parse(&section).unwrap();
    assert_eq!((emm.header.address, emm.header.seq), (Address::Shared(1), 0));
    let k_grp = seal_key(&hex!("404142434445464748494a4b4c4d4e4f"));
    assert!(opened(&section, &k_grp).verify(&public));
    let message = Message::parse(Path::new("m.toml"), text).unwrap();
    assert!(!message.takes_number());
    assert_eq!(make(&support::operator(), text), Err(EmmError::Missing("[signing_key]")));
}

/// T35: a RESET goes out with its number, and a level that waits for it with the same.
#[test]
fn a_reset_and_the_level_behind_it_have_a_number() {
    let (operator, public) = signing_operator();
    let k_glb = seal_key(&hex!("505152535455565758595a5b5c5d5e5f"));
    let number = ResetNumber::new(3).unwrap();
    for (text, expected) in [
        (
            "kind=\"time_sync\"\ntime=2026-12-01T12:00:00Z\nreset=3\n",
            EmmCommand::TimeSync {
                time: cam_types::CasTime::new(849_441_600),
                step: TimeStep::Reset(number),
            },
        ),
        (
            "kind=\"emm_level\"\nlevel=4\nafter_reset=3\n",
            EmmCommand::EmmLevel { level: 4, after: Some(number) },
        ),
    ] {
        let body = opened(&make(&operator, text).unwrap(), &k_glb);
        assert_eq!(body.commands, std::slice::from_ref(&expected), "{text}");
        assert!(body.verify(&public), "{text}");
        let body = opened(&make(&operator, &format!("{text}{CARD}")).unwrap(), &k_ind());
        assert_eq!(body.commands, [expected], "{text}");
        let zero = text.replace("reset=3", "reset=0");
        let error = Message::parse(Path::new("m.toml"), &zero).unwrap_err().to_string();
        assert!(error.contains("numbers start at 1, got 0"), "{error}");
    }
}
