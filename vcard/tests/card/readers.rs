// SPDX-License-Identifier: Apache-2.0
//! What terminals that others made ask of a card, and what it answers them.

use crate::purse::{DATE, GATE, TIME, balance, psam, purse};
use cam_types::{Aid, Fen, Secret};
use hex_literal::hex;
use system_tests::demo::*;
use vcard::nvm::RamStore;
use vcard::{Card, Cut, Fault, Interface, Personalisation};
use wallet::Profile;
use wallet::cipher::triple_des_encrypt;
use wallet::compound::{CompoundPurchase, Update};
use wallet::flow::{Held, Order, Purse, Scheme};
use wallet::port::CardPort;
use wallet::psam::CardIdentity;
use wallet::purchase::{Debit, Debiting, Purchase};

/// The demo's card with more in its table of the purse, and more tables.
fn card_with(purse: &str, tables: &str) -> Card {
    card_of(purse, tables).unwrap_or_else(|error| panic!("{error}"))
}

fn card_of(purse: &str, tables: &str) -> Result<Card, String> {
    let text = file("").replacen("[purse]\n", &format!("[purse]\n{purse}\n"), 1);
    let text = format!("{text}\n{tables}\n");
    let place = std::path::Path::new("card.toml");
    let perso = Personalisation::from_text(&text, place).map_err(|error| error.to_string())?;
    let image = Card::personalise(&perso).map_err(|error| error.to_string())?;
    let mut card = powered(Box::new(RamStore::new(image.octets())));
    assert_eq!(select(&mut card, Aid::PURSE.octets()), 0x9000);
    Ok(card)
}

#[test]
fn a_balance_in_parts() {
    let mut card = purse();
    for (p1, expected) in [(0, 10_000_u32), (1, 0), (2, 0), (3, 10_000)] {
        let (data, sw) = send(&mut card, &[0x80, 0x5C, p1, 0x02, 0x04]);
        assert_eq!((data, sw), (expected.to_be_bytes().to_vec(), 0x9000), "P1 {p1:02X}");
    }
    assert_eq!(send(&mut card, &hex!("805C040204")).1, 0x6A86);
    // An overdraft counts where there is one: the passbook's, behind the PIN.
    let passbook = "[purse.passbook]\nbalance = 500\noverdraft_limit = 800";
    let mut card = card_with("", passbook);
    assert_eq!(send(&mut card, &hex!("805C010104")).1, 0x6982);
    assert_eq!(send(&mut card, &hex!("0020000004 40962718")).1, 0x9000);
    for (p1, expected) in [(0, 1300_u32), (1, 800), (2, 0), (3, 500)] {
        let (data, _) = send(&mut card, &[0x80, 0x5C, p1, 0x01, 0x04]);
        assert_eq!(data, expected.to_be_bytes(), "P1 {p1:02X}");
    }
}

/// A gate's ring of records (SFI 1E, as T-Union cards have it), a second file with tags, and one of
/// single records.
const FILES: &str = "
[[purse.record]]
sfi = 0x1E
content = \"010101\"
[[purse.record]]
sfi = 0x1E
content = \"020202\"
[[purse.record]]
sfi = 0x1E
content = \"030303\"
[[purse.record]]
sfi = 0x19
tag = 0xAA
value = \"0000\"
[[purse.record]]
sfi = 0x07
tag = 0x21
value = \"00\"
";

#[test]
fn record_files_of_other_schemes() {
    let mut card = card_with("", FILES);
    let read = |card: &mut Card, p1, p2| send(card, &[0x00, 0xB2, p1, p2, 0x00]);
    assert_eq!(read(&mut card, 1, 0xF4), (hex!("010101").to_vec(), 0x9000));
    assert_eq!(read(&mut card, 4, 0xF4).1, 0x6A83);
    assert_eq!(read(&mut card, 0xAA, 0xC8), (hex!("AA020000").to_vec(), 0x9000));
    assert_eq!(read(&mut card, 1, 0x3C), (hex!("210100").to_vec(), 0x9000));
    assert_eq!(read(&mut card, 0x21, 0xB8).0.len(), 32, "the file 17 has a 21 of its own");
    let fci = send(&mut card, &hex!("00A4000002 001E 00"));
    assert_eq!(fci, (hex!("6F0E 80020009 820106 8302001E 8801F0").to_vec(), 0x9000));
    // Two in front of the ring by P1 00, one by its tag, one that says its tag itself.
    let updates: [&[u8]; 4] = [
        &hex!("80DC00F003 0A0A0A"),
        &hex!("80DC00F003 0B0B0B"),
        &hex!("80DCAAC804 AA021111"),
        &hex!("80DC003803 210177"),
    ];
    let compound = CompoundPurchase::new(1, Fen::new(300), GATE);
    let answer = card.transmit(&compound.command()).unwrap();
    let first = Update::with_parameters(0x00, 0xF0, &updates[0][5..]).unwrap();
    let updating = compound.initialized(&answer).unwrap().update(first);
    assert_eq!(updating.command(), updates[0]);
    let mut updated = updating.updated(&card.transmit(updates[0]).unwrap());
    for update in &updates[1..] {
        let [_, _, p1, p2, _, record @ ..] = *update else { panic!() };
        let next = Update::with_parameters(*p1, *p2, record).unwrap();
        let updating = updated.unwrap().update(next);
        let answer = card.transmit(&updating.command()).unwrap();
        updated = updating.updated(&answer);
    }
    assert_eq!(read(&mut card, 1, 0xF4).0, hex!("010101"), "nothing is written yet");
    let mut psam = psam();
    let debiting = updated.unwrap().authorise(DATE, TIME, &CardIdentity::default(), &mut psam);
    let debiting = debiting.unwrap();
    let answer = card.transmit(&debiting.command()).unwrap();
    assert!(matches!(debiting.finish(Some(&answer), &mut psam), Debit::Paid(_)));
    for (number, content) in (1..).zip([hex!("0B0B0B"), hex!("0A0A0A"), hex!("010101")]) {
        assert_eq!(read(&mut card, number, 0xF4).0, content);
    }
    assert_eq!(read(&mut card, 1, 0xCC).0, hex!("AA021111"));
    assert_eq!(read(&mut card, 1, 0x3C).0, hex!("210177"));
    // All of them are there after a reset.
    card.power_on();
    select(&mut card, Aid::PURSE.octets());
    assert_eq!(read(&mut card, 1, 0xF4).0, hex!("0B0B0B"));
}

/// A terminal cannot have the card keep more than its files hold.
#[test]
fn updates_without_end_end() {
    let mut card = card_with("", FILES);
    send(&mut card, &CompoundPurchase::new(1, Fen::ZERO, GATE).command());
    let push = hex!("80DC00F003 0A0A0A");
    let ends: Vec<u16> = (0..5).map(|_| send(&mut card, &push).1).collect();
    assert_eq!(ends, [0x9000, 0x9000, 0x9000, 0x6A84, 0x6A84]);
    assert_eq!(send(&mut card, &hex!("80DC00F002 0A0A")).1, 0x6700);
    assert_eq!(send(&mut card, &hex!("80DC00F004 0A0A0A0A")).1, 0x6A84);
    assert_eq!(send(&mut card, &hex!("80DC00B803 230100")).1, 0x6A83, "no record says so");
}

#[test]
fn files_that_a_card_cannot_have() {
    for (tables, part) in [
        ("sfi = 0x18\ntag = 1\nvalue = \"00\"", "purse.record[3].sfi: expected 0x01 to 0x1E"),
        ("sfi = 0x1F\ntag = 1\nvalue = \"00\"", "expected 0x01 to 0x1E"),
        ("sfi = 0x17\ncontent = \"00\"", "either tags and values or contents"),
        ("tag = 0x21\nvalue = \"00\"", "a record of this tag is there already"),
        ("tag = 0\nvalue = \"00\"", "names no record"),
        ("sfi = 1\ncontent = \"\"", "content: a record has 1 to 62 octets"),
        (
            "sfi = 1\ncontent = \"00\"\n[[purse.record]]\nsfi = 1\ncontent = \"0000\"",
            "of one length",
        ),
    ] {
        let error = card_of("", &format!("[[purse.record]]\n{tables}")).err().unwrap();
        assert!(error.contains(part), "{tables}: {error}");
    }
    let many = "[[purse.record]]\nsfi = 1\ncontent = \"00\"\n".repeat(15);
    assert!(card_of("", &many).err().unwrap().contains("has room for 16 records"));
}

#[test]
fn directories_and_selects() {
    for interface in [Interface::Contact, Interface::Contactless] {
        let mut card = card();
        card.power_on_at(interface);
        let (fci, sw) =
            send(&mut card, &[&hex!("00A404000E")[..], b"2PAY.SYS.DDF01", &[0]].concat());
        let entry = hex!("4F09 A00000000386980701 5005 5055525345 870101");
        assert_eq!(sw, 0x9000);
        assert!(fci.starts_with(&hex!("6F2C 840E")) && fci.ends_with(&entry), "{fci:02X?}");
        assert_eq!(send(&mut card, &hex!("805C000204")).1, 0x6D00);
        let (_, sw) = send(&mut card, &[&hex!("00A404000E")[..], b"1PAY.SYS.DDF01", &[0]].concat());
        assert_eq!(sw, 0x9000);
        let (record, sw) = send(&mut card, &hex!("00B2010C00"));
        assert_eq!((&record[..4], sw), (&hex!("7014 6112")[..], 0x9000));
        assert_eq!(send(&mut card, &hex!("00B2020C00")).1, 0x6A83);
        // Without control information, as P2 says.
        let by_name = [&hex!("00A4040C09")[..], Aid::PURSE.octets()].concat();
        assert_eq!(send(&mut card, &by_name), (Vec::new(), 0x9000));
        assert_eq!(send(&mut card, &hex!("00A4000C02 0015")), (Vec::new(), 0x9000));
        assert_eq!(send(&mut card, &hex!("00B0000A0A")).0, hex!("90000000000000004711"));
        // The root, from the purse too; it has no files of the purse.
        let (fci, sw) = send(&mut card, &hex!("00A4000002 3F00 00"));
        assert_eq!((fci[0], sw), (0x6F, 0x9000));
        assert_eq!(send(&mut card, &hex!("00A4000002 0015 00")).1, 0x6A86);
        // Without a name it is meant too (ISO/IEC 7816-4).
        for root in [&hex!("00A4000000")[..], &hex!("00A40000"), &hex!("00A4000C")] {
            assert_eq!(send(&mut card, &by_name).1, 0x9000);
            assert_eq!(send(&mut card, root).1, 0x9000, "{root:02X?}");
            assert_eq!(send(&mut card, &hex!("805C000204")).1 & 0xF000, 0x6000, "no purse");
        }
    }
}

/// READ RECORD as far as ISO/IEC 7816-4 goes: first, last, next, previous, the current one, and all
/// from one on.
#[test]
fn records_in_every_mode() {
    let mut card = card_with("", FILES);
    let read = |card: &mut Card, p1, p2| send(card, &[0x00, 0xB2, p1, p2, 0x00]);
    let [one, two, three] = [hex!("010101"), hex!("020202"), hex!("030303")];
    let gone = (Vec::new(), 0x6A83);
    let ok = |records: &[[u8; 3]]| (records.concat(), 0x9000);
    for (p1, p2, expected) in [
        (0, 0xF4, gone.clone()), // No record is the current one.
        (0, 0xF2, ok(&[one])),
        (0, 0xF2, ok(&[two])),
        (2, 0xF4, ok(&[two])), // A number moves nothing.
        (0, 0xF4, ok(&[two])),
        (0, 0xF2, ok(&[three])),
        (0, 0xF2, gone.clone()),
        (0, 0xF3, ok(&[two])),
        (0, 0x03, ok(&[one])), // The file is the current one.
        (0, 0x03, gone.clone()),
        (0, 0xF1, ok(&[three])),
        (0, 0xF0, ok(&[one])),
        (2, 0xF5, ok(&[two, three])),
        (2, 0xF6, ok(&[three, two])),
        (0, 0xF5, ok(&[one, two, three])),
        (4, 0xF5, gone.clone()),
        (1, 0xF7, (Vec::new(), 0x6A86)),
        (9, 0xF0, (Vec::new(), 0x6981)), // There are no tags.
    ] {
        assert_eq!(read(&mut card, p1, p2), expected, "{p1:02X} {p2:02X}");
    }
    assert_eq!(send(&mut card, &hex!("00B202F506")).0.len(), 6);
    assert_eq!(send(&mut card, &hex!("00B202F503")).1, 0x6C06);
    assert_eq!(read(&mut card, 1, 0xC5).1, 0x6A83, "an empty log");
}

/// T=1 and the antenna carry Le to the card, and it is the most that comes back. What would be cut
/// is not carried out.
#[test]
fn never_more_than_was_asked_for() {
    let mut card = purse();
    assert_eq!(send(&mut card, &hex!("805C000201")), (Vec::new(), 0x6C04));
    let select = [&hex!("00A4040009")[..], Aid::PURSE.octets(), &[5]].concat();
    assert_eq!(send(&mut card, &select), (Vec::new(), 0x6C37));
    let initialize = hex!("80 50 01 02 0B 01 00000001 001122334455");
    assert_eq!(send(&mut card, &[&initialize[..], &[0x0E]].concat()), (Vec::new(), 0x6C0F));
    let mut psam = psam();
    let debiting = debiting(&mut card, 350, &mut psam);
    let mut command = debiting.command();
    command[20] = 0x04;
    assert_eq!(send(&mut card, &command), (Vec::new(), 0x6C08));
    assert_eq!(balance(&mut card), Fen::new(10_000));
    assert_eq!(send(&mut card, &debiting.command()).0.len(), 8);
    assert_eq!(balance(&mut card), Fen::new(9_650));
    assert_eq!(send(&mut card, &hex!("805A000602000104")).1, 0x6C08);
    let mut module = module();
    assert_eq!(send(&mut module, &hex!("00B0960005")).1, 0x9000);
    assert_eq!(send(&mut module, &hex!("00B0960007")).1, 0x6C06);
}

fn module() -> Card {
    let text = include_str!("../../../examples/demo/psam.toml");
    let perso = Personalisation::from_text(text, std::path::Path::new("psam.toml")).unwrap();
    let image = Card::personalise(&perso).unwrap();
    powered(Box::new(RamStore::new(image.octets())))
}

fn debiting(card: &mut Card, amount: u32, psam: &mut wallet::psam::SoftPsam) -> Debiting {
    let purchase = Purchase::new(1, Fen::new(amount), GATE).unwrap();
    let answer = card.transmit(&purchase.command()).unwrap();
    let initialized = purchase.initialized(&answer).unwrap();
    initialized.authorise(DATE, TIME, &CardIdentity::default(), psam).unwrap()
}

/// Documents have numbers of 16, 18 and 32 characters, and the file is as long.
#[test]
fn numbers_of_documents() {
    for (number, room) in
        [("1234567890", 16), ("11010519491231002X", 18), ("GA12345678901234567", 32)]
    {
        let holder =
            format!("[purse.holder]\nname = \"LI LEI\"\nid_number = \"{number}\"\nid_type = 5");
        let mut card = card_with("", &holder);
        assert_eq!(send(&mut card, &hex!("0020000004 40962718")).1, 0x9000);
        let (data, sw) = send(&mut card, &hex!("00B0960000"));
        assert_eq!((data.len(), sw), (23 + room, 0x9000), "{number}");
        assert_eq!(&data[22..22 + number.len()], number.as_bytes());
        assert_eq!(data.last(), Some(&5));
    }
    let error = card_of("", &format!("[purse.holder]\nid_number = \"{}\"", "1".repeat(33)));
    assert!(error.err().unwrap().contains("at most 32 are allowed"));
}

/// What gates of some schemes ask for: a code that MAC1 covers, and a proof of the terminal's.
#[test]
fn a_card_of_another_profile() {
    let dack = hex!("8a8b8c8d8e8f90919293949596979899");
    let key = "[[key]]\nrole = \"external-authentication\"\nsuite = 1\nepoch = 1\nvalue = \"8a8b8c8d8e8f90919293949596979899\"";
    let mut plain = purse();
    assert_eq!(send(&mut plain, &hex!("80CA000009")).1, 0x6D00);
    assert_eq!(send(&mut plain, &hex!("0082000008 0000000000000000")).1, 0x6D00);
    let mut card = card_with("authentication_code = \"010203040506070809\"", key);
    assert_eq!(send(&mut card, &hex!("80CA000009")).0, hex!("010203040506070809"));
    assert_eq!(send(&mut card, &hex!("80CA000004")).1, 0x6C09);
    // The terminal's answer to the challenge: 4 octets and zeros, once.
    let answer = |card: &mut Card| {
        let (challenge, _) = send(card, &hex!("0084000004"));
        let block = [&challenge[..], &[0; 4]].concat().try_into().unwrap();
        let cryptogram = triple_des_encrypt(&Secret::new(dack), block);
        [&hex!("0082000008")[..], &cryptogram].concat()
    };
    let right = answer(&mut card);
    assert_eq!(send(&mut card, &right).1, 0x9000);
    assert_eq!(send(&mut card, &right).1, 0x6985, "a challenge serves once");
    let mut wrong = answer(&mut card);
    wrong[6] ^= 1;
    assert_eq!(send(&mut card, &wrong).1, 0x6300);
    // MAC1 without the code is not this card's; the flow of the profile has it.
    let mut psam = psam();
    let debiting = debiting(&mut card, 350, &mut psam);
    assert_eq!(send(&mut card, &debiting.command()).1, 0x9302);
    card.power_on();
    let profile = Profile { levels: &[], ..Profile::MOHURD };
    let scheme = Scheme { aid: Aid::PURSE.octets(), profile, uid: None };
    let mut port = Port(&mut card);
    let mut purse = Purse::open(&mut port, &scheme).unwrap();
    let order = Order { key_index: 1, amount: Fen::new(350), date: DATE, time: TIME };
    let debiting = purse.purchase(&order, &mut psam).unwrap();
    let Debit::Paid(receipt) = purse.debit(debiting, &mut psam) else { panic!("not paid") };
    assert_eq!(purse.holds(receipt.balance), Held::AsExpected);
}

struct Port<'a>(&'a mut Card);

impl CardPort for Port<'_> {
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        self.0.transmit(command).ok()
    }
}

/// The hand at the card's power hits a terminal's DEBIT as it does a programme's, and counts it.
#[test]
fn debits_of_terminals_are_cut_and_counted() {
    for (cut, left) in [(Cut::BeforeCommit, 10_000), (Cut::AfterCommit, 9_650)] {
        let mut card = purse();
        let mut psam = psam();
        assert_eq!(card.status().debits, 0);
        let debiting = debiting(&mut card, 350, &mut psam);
        card.arm_cut(cut);
        assert!(card.transmit(&debiting.command()).is_err(), "{cut:?}");
        card.power_on();
        select(&mut card, Aid::PURSE.octets());
        assert_eq!(balance(&mut card), Fen::new(left));
        assert_eq!(card.status().debits, u32::from(left != 10_000));
    }
}

/// A card that takes more than it says: its codes are right, its balance is not.
#[test]
fn a_wrong_subtraction_is_noticed() {
    let mut card = purse();
    card.set_fault(Fault::WrongSubtraction);
    let profile = Profile { levels: &[], ..Profile::PBOC };
    let scheme = Scheme { aid: Aid::PURSE.octets(), profile, uid: None };
    let mut psam = psam();
    let mut port = Port(&mut card);
    let mut purse = Purse::open(&mut port, &scheme).unwrap();
    let order = Order { key_index: 1, amount: Fen::new(350), date: DATE, time: TIME };
    let debiting = purse.purchase(&order, &mut psam).unwrap();
    let Debit::Paid(receipt) = purse.debit(debiting, &mut psam) else { panic!("not paid") };
    assert_eq!(receipt.balance, Fen::new(9_650));
    assert_eq!(purse.holds(receipt.balance), Held::Other(Fen::new(9_649)));
    assert_eq!(receipt.unchecked, None, "MAC2 is right");
}
