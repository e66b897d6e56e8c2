// SPDX-License-Identifier: Apache-2.0
//! The personalisation file: what it makes, and what is wrong with it when it makes nothing.

use ecm_emm::emm::EmmCommand;
use ecm_emm::keys::{Role, card_key};
use hex_literal::hex;
use std::path::{Path, PathBuf};
use system_tests::demo::*;
use vcard::{Card, Durability, Personalisation};

const DEMO: &str = include_str!("../../../examples/demo/card.toml");

fn refused(text: &str) -> String {
    match Personalisation::from_text(text, Path::new("somewhere/card.toml")) {
        Ok(perso) => Card::personalise(&perso).err().map(|e| e.to_string()).unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

/// Every error names the file and the field, and none shows a value of the file.
#[test]
fn errors_name_file_and_field() {
    let with = |from: &str, to: &str| {
        assert!(DEMO.contains(from), "{from}");
        DEMO.replacen(from, to, 1)
    };
    let again = "[[key]]\nrole = \"individual\"\nsuite = 2\nepoch = 1\nvalue = \
        \"8acbae1a01fb6754ff5491664bd245d4\"\n";
    for (text, expected) in [
        (with("card_id", "card_number"), "card_id: is missing"),
        (format!("colour = 7\n{DEMO}"), "colour: unknown field"),
        (with("pin_tries = 3", "pin_tries = 16"), "pin_tries: is 16, at most 15 is allowed"),
        (with("\"40962718\"", "\"4096271\\u0038x\""), "pin: a PIN is made of digits"),
        (with("\"40962718\"", "\"123\""), "pin: a PIN has 4 to 12 digits, got 3"),
        (with("8acbae1a01", "8acbae1a"), "key[1].value: has 15 octets, expected 16"),
        (with("8acbae1a01", "8acbae1axx"), "key[1].value: is not hexadecimal"),
        (
            with("role = \"individual\"", "role = \"king\""),
            "key[1].role: expected one of: individual",
        ),
        (with("suite = 3", "suite = 2"), "key[8].suite: a recovery key is of suite 3"),
        (with("index = 1\n", "index = 16\n"), "key[4].index: is 16, at most 15 is allowed"),
        (format!("{DEMO}\n{again}"), "key[16].epoch: this generation is there already"),
        (with("\"pin-reload\"", "\"pin-unblock\""), "key[15].role: this key is there already"),
        (
            with("role = \"maintenance\"\nsuite = 1", "role = \"maintenance\"\nsuite = 2"),
            "key[13].suite: a key of the PBOC purse is of suite 1",
        ),
        (with("kvn = 0x30", "kvn = 0x20"), "key_set[1].kvn: expected 0x30"),
        (
            with("now = 2026-11-30T00:00:00Z", "now = 2026-11-30"),
            "clock.now: expected a time in UTC",
        ),
        (with("now = 2026-11-30T00:00:00Z", "now = 1999-11-30T00:00:00Z"), "clock.now: expected"),
        (with("end = 2027", "end = 2025"), "right[1].end: expected a time after `start`"),
        (with("balance = 10000", "balance = -1"), "purse.balance: number out of range"),
        (with("[purse]", "[wallet]"), "purse.serial: is missing"),
        (with("valid_from = 2026-01-01", "valid_from = 2026"), "purse.valid_from: expected a day"),
        (
            format!("{DEMO}\n[purse.holder]\nname = \"a name of twenty-one c\""),
            "purse.holder.name: has 22 octets, at most 20 are allowed",
        ),
        (with("tag = 0x22", "tag = 0x21"), "purse.record[2].tag: a record of this tag is there"),
        (
            with("tag = 0x22\nvalue = \"", &format!("tag = 0x22\nvalue = \"{}", "00".repeat(45))),
            "purse.record[2].value: a record's value has at most 60 octets",
        ),
        (with("operator = 0x1201", "operator = 0x1201 0x"), "line 9:"),
        (format!("factory_emm = [\"none.emm\"]\n{DEMO}"), "factory_emm: none.emm: No such file"),
    ] {
        let error = refused(&text);
        assert!(error.starts_with("somewhere/card.toml: "), "{error}");
        assert!(error.contains(expected), "{error}\nexpected: {expected}");
        for secret in ["40962718", "8acbae1a", "fb6754ff"] {
            assert!(!error.contains(secret), "{error}");
        }
    }
    let missing = Personalisation::from_file(Path::new("/nonexistent/card.toml"));
    assert!(missing.err().unwrap().to_string().starts_with("/nonexistent/card.toml: No such file"));
}

/// What says a thing twice or contradicts itself makes no card, and the field is named.
#[test]
fn what_contradicts_itself_makes_no_card() {
    let with = |from: &str, to: &str| {
        assert!(DEMO.contains(from), "{from}");
        DEMO.replacen(from, to, 1)
    };
    let and = |more: &str| format!("{DEMO}\n{more}");
    let pairing = |slot: u8, stb: u8| {
        let (stb, key) = (digits(&[stb; 8]), digits(&[7; 16]));
        format!(
            "[[pairing]]\nslot = {slot}\nstb_id = \"{stb}\"\nk_pair = \"{key}\"\nk_cw = \"{key}\"\n"
        )
    };
    let group =
        |index: u8, address: &str| format!("[[group]]\nindex = {index}\naddress = \"{address}\"\n");
    let set = |kvn: u8| {
        let key = digits(&[8; 16]);
        format!("[[key_set]]\nkvn = {kvn}\nenc = \"{key}\"\nmac = \"{key}\"\ndek = \"{key}\"\n")
    };
    let right = "[[right]]\npackage = 1\nslot = 1\nstart = 2028-01-01T00:00:00Z\n\
                 end = 2029-01-01T00:00:00Z\n";
    let limits = |limits: &str| with("balance = 10000", &format!("balance = 10000\n{limits}"));
    let pin_free = "pin_free_per_purchase = 0\npin_free_per_day = 0";
    // What lies just beside each of them makes a card.
    for text in [
        and(&(pairing(0, 1) + &pairing(3, 2))),
        and(&(group(1, "00000002") + &group(7, "00000003"))),
        and(&(set(0x31) + &set(0x32))),
        and(&right.replace("slot = 1", "slot = 2")),
        with("pin_tries = 3", "pin_tries = 1"),
        limits("balance_limit = 10000"),
        limits("balance_limit = 0"),
        with("valid_until = 2036-12-31", "valid_until = 2026-01-01"),
        with(pin_free, "pin_free_per_purchase = 5\npin_free_per_day = 5"),
    ] {
        assert_eq!(refused(&text), "", "{text}");
    }
    for (text, expected) in [
        (and(&(pairing(0, 1) + &pairing(0, 2))), "pairing[2].slot: another pairing has this slot"),
        (and(&group(0, "00000002")), "group[2].index: another group has this index"),
        (and(&group(1, "00000001")), "group[2].address: another index has this address"),
        (and(&set(0x30)), "key_set[2].kvn: another set has this version"),
        (and(right), "right[2].package: this package has a right of this slot already"),
        (with("pin_tries = 3", "pin_tries = 0"), "pin_tries: is 0, counted from 1"),
        (
            with("sync = 2026-11-30T00:00:00Z", "sync = 2026-11-30T00:00:01Z"),
            "clock.sync: is later than `now`",
        ),
        (
            with("state =", "expires = 2026-11-30T00:00:00Z\nstate ="),
            "expires: expected a time after `clock.now`",
        ),
        (
            with("valid_until = 2036-12-31", "valid_until = 2025-12-31"),
            "purse.valid_until: is before `valid_from`",
        ),
        (limits("balance_limit = 9999"), "purse.balance: is over `balance_limit`"),
        (
            with(pin_free, "pin_free_per_purchase = 6\npin_free_per_day = 5"),
            "purse.pin_free_per_purchase: is over `pin_free_per_day`",
        ),
        (
            with("terminal_pin_free_per_purchase = 5000", "terminal_pin_free_per_purchase = 20001"),
            "purse.terminal_pin_free_per_purchase: is over `terminal_pin_free_total`",
        ),
        (with("a1b2c3d4e5f60718", "0102030405060708"), "pseudonym: is the card's number"),
        (
            with("90000000000000004711", "01020304050607084711"),
            "purse.serial: has the card's number in it",
        ),
        (with("90000000000000004711", "90a1b2c3d4e5f6071811"), "purse.serial: has the pseudonym"),
    ] {
        let error = refused(&text);
        let expected = format!("somewhere/card.toml: {expected}");
        assert!(error.starts_with(&expected), "{error}\nexpected: {expected}");
    }
}

fn digits(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The demo's K_ind is the operator's master key derived for this card.
#[test]
fn the_demo_card_has_the_key_that_the_head_end_derives() {
    let master = key(hex!("101112131415161718191a1b1c1d1e1f"));
    let card = cam_types::CardId::new(hex!("0102030405060708"));
    let epoch = cam_types::Epoch::new(1);
    assert_eq!(card_key(&master, Role::Individual, OPERATOR, card, epoch), key(K_IND));
}

/// Personalise, serve, be killed, be inspected: the memory is a file that its owner alone can read.
#[test]
fn a_card_lives_in_its_file() {
    use std::os::unix::fs::PermissionsExt;
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("a-card-in-a-file");
    std::fs::create_dir_all(&directory).unwrap();
    let (emm_file, memory) = (directory.join("level.emm"), directory.join("card.nvm"));
    std::fs::write(&emm_file, TO_CARD.seal(9, &[EmmCommand::EmmLevel { level: 4, after: None }]))
        .unwrap();
    let toml = directory.join("card.toml");
    std::fs::write(&toml, format!("factory_emm = [\"level.emm\"]\n{DEMO}")).unwrap();
    let perso = Personalisation::from_file(&toml).unwrap_or_else(|e| panic!("{e}"));
    Card::personalise(&perso).unwrap().write_to(&memory).unwrap();
    assert_eq!(memory.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let mut card = Card::open_file(&memory, Durability::Process).unwrap();
    let busy = Card::open_file(&memory, Durability::Process).err().unwrap();
    assert!(busy.to_string().contains("another process"), "{busy}");
    card.power_on();
    assert_eq!(info(&mut card).operators[0].emm_level, 4);
    assert_eq!(
        emm(&mut card, &TO_CARD.seal(10, &[EmmCommand::EmmLevel { level: 5, after: None }]))
            .outcome
            .0,
        0
    );
    drop(card);
    let mut card = Card::open_file(&memory, Durability::Host).unwrap();
    let inspection = card.inspect().unwrap();
    assert!(inspection.keys[0].contains("newest EMM 10"), "{:?}", inspection.keys);
    assert_eq!(inspection.rights, ["package 1, slot 1: 2026-01-01 to 2027-12-31"]);

    // A factory EMM that the card would not take is an error of the file.
    std::fs::write(&emm_file, [0x82, 0x70, 0x00]).unwrap();
    let perso = Personalisation::from_file(&toml).unwrap_or_else(|e| panic!("{e}"));
    let error = Card::personalise(&perso).err().unwrap().to_string();
    assert!(error.contains("factory_emm: level.emm: the card says refused, malformed"), "{error}");
}

#[test]
fn a_file_that_is_no_memory_is_refused() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no-card.nvm");
    for (octets, expected) in [
        (vec![0; 100], "memory of 0 pages"),
        (memory()[128..].to_vec(), "pages, a card's has"),
        (vec![0; memory().len()], "the memory is damaged"),
    ] {
        std::fs::write(&path, octets).unwrap();
        let error = Card::open_file(&path, Durability::Process).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// T25: one flipped bit in balance, counter or right is noticed; the card stays mute.
#[test]
fn a_flipped_bit_in_money_or_rights_is_noticed() {
    let genuine = memory();
    let at = genuine.windows(8).position(|w| w == hex!("00002710 FFFFD8EF")).unwrap();
    for bit in 0..64 {
        let mut flipped = genuine.clone();
        flipped[at + bit / 8] ^= 1 << (bit % 8);
        let store = Box::new(vcard::nvm::RamStore::new(&flipped));
        assert!(Card::with_random(store, counting()).is_err(), "bit {bit}");
    }
}
