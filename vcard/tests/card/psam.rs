// SPDX-License-Identifier: Apache-2.0
//! The secure module as a card: what it answers, what it pays for, what a cut leaves of it.
//!
//! The numbers are those of `wallet/tests/psam.rs`, and OpenSSL's by the same commands.

use cam_types::{Aid, BcdDate, BcdTime, Fen, TerminalId, TerminalSequence};
use hex_literal::hex;
use proptest::prelude::*;
use std::path::Path;
use system_tests::demo::*;
use system_tests::memory::{CONTENTS, Cut, Memory, Torn};
use vcard::nvm::RamStore;
use vcard::{Card, Personalisation};
use wallet::port::CardPort;
use wallet::psam::{CardIdentity, CardPsam, Psam, SamApplication, SamError};
use wallet::purchase::{Debit, Purchase, PurchaseError};

pub(crate) const DEMO: &str = include_str!("../../../examples/demo/psam.toml");
const TERMINAL: TerminalId = TerminalId::new(hex!("001122334455"));
const DATE: BcdDate = BcdDate(hex!("20261201"));
const TIME: BcdTime = BcdTime(hex!("200000"));

/// A card at a reader.
struct At<'a>(&'a mut Card);

impl CardPort for At<'_> {
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        self.0.transmit(command).ok()
    }
}

fn refused(text: &str) -> String {
    match Personalisation::from_text(text, Path::new("psam.toml")) {
        Ok(perso) => Card::personalise(&perso).err().map(|e| e.to_string()).unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

pub(crate) fn memory_of(text: &str) -> Vec<u8> {
    let perso = Personalisation::from_text(text, Path::new("psam.toml"));
    let perso = perso.unwrap_or_else(|error| panic!("{error}"));
    Card::personalise(&perso).unwrap_or_else(|error| panic!("{error}")).octets().to_vec()
}

fn root(text: &str) -> Card {
    powered(Box::new(RamStore::new(&memory_of(text))))
}

/// The module with its application selected.
fn module() -> Card {
    let mut card = root(DEMO);
    assert_eq!(send(&mut card, &hex!("00A4000002 1001 00")).1, 0x9000);
    card
}

/// INIT_SAM_FOR_PURCHASE for the numbers of `wallet/tests/psam.rs`.
pub(crate) const INIT: [u8; 34] =
    hex!("80 70 00 00 1C 584633C9 0007 00001000 06 20261201 200000 01 00 1122334455667788 08");

#[test]
fn the_files_of_the_root_say_what_it_is() {
    let mut card = root(DEMO);
    for (command, data, sw) in [
        (&hex!("00B096 00 06")[..], &hex!("001122334455")[..], 0x9000),
        (&hex!("00B096 04 00"), &hex!("4455"), 0x9000),
        (&hex!("00B096 00 07"), &[], 0x6C06),
        (&hex!("00B096 06 01"), &[], 0x6B00),
        (&hex!("00B095 00 0E"), &hex!("90000000000000000815 01 00 0000"), 0x9000),
        (&hex!("00B097 00 01"), &[], 0x6A82),
        (&hex!("00B000 00 01"), &[], 0x6A86),
        (&hex!("00A4000002 1002"), &[], 0x6A82),
        (&hex!("00A4010002 1001"), &[], 0x6A86),
    ] {
        assert_eq!(send(&mut card, command), (data.to_vec(), sw), "{command:02X?}");
    }
    for other in [Aid::CAS.octets(), Aid::PURSE.octets()] {
        assert_eq!(select(&mut card, other), 0x6A82, "a module is nothing else");
    }
    assert_eq!(select(&mut card, b"\xF0STBSAM\x01"), 0x9000);
    assert_eq!(send(&mut card, &hex!("80500000 08 0011223344556677")).1, 0x6D00);
    let mut purse = system_tests::demo::card();
    assert_eq!(select(&mut purse, b"\xF0STBSAM\x01"), 0x6A82);
    assert_eq!(send(&mut purse, &hex!("00B0960006")).1, 0x6D00);
    assert_eq!(send(&mut purse, &hex!("00A40000021001")).1, 0x6A86);
}

#[test]
fn a_purchase_is_started_and_credited() {
    let mut card = module();
    assert_eq!(send(&mut card, &INIT), (hex!("00000001 214E5139").to_vec(), 0x9000));
    assert_eq!(send(&mut card, &hex!("8072000004 00000000")).1, 0x9302);
    assert_eq!(send(&mut card, &hex!("8072000004 B30B352F")).1, 0x9000);
    assert_eq!(send(&mut card, &hex!("8072000004 B30B352F")).1, 0x6901);
    // The next number; its low half is in the session key.
    let (answer, _) = send(&mut card, &INIT);
    assert_eq!(answer[..4], hex!("00000002"));
    assert_ne!(answer[4..], hex!("214E5139"));
    // A reset ends the purchase and keeps the number.
    card.power_on();
    send(&mut card, &hex!("00A4000002 1001 00"));
    assert_eq!(send(&mut card, &hex!("8072000004 B30B352F")).1, 0x6901);
    assert_eq!(send(&mut card, &INIT).0[..4], hex!("00000003"));
}

#[test]
fn levels_and_the_code_of_a_mohurd_card() {
    let init = hex!("80 70 00 00 24 584633C9 0007 00001000 06 20261201 200000 01 00"
                    "1122334455667788 07550755FFFFFFFF 08");
    let mut card = module();
    assert_eq!(send(&mut card, &init).0, hex!("00000001 1CA0525C"));
    let mut card = module();
    assert_eq!(send(&mut card, &hex!("80CA000009 313233343536373839")).1, 0x9000);
    assert_eq!(send(&mut card, &init).0, hex!("00000001 E47CE0E9"));
}

#[test]
fn refusals() {
    let mut card = module();
    for (name, command, sw) in [
        (
            "no factor",
            &hex!("8070000014 584633C9 0007 00001000 06 20261201 200000 01 00")[..],
            0x6700,
        ),
        (
            "half a factor",
            &hex!("8070000018 584633C9 0007 00001000 06 20261201 200000 01 00 11223344"),
            0x6700,
        ),
        ("cut short", &hex!("8070000003 584633"), 0x6700),
        (
            "P1",
            &hex!("807001001C 584633C9 0007 00001000 06 20261201 200000 01 00 1122334455667788"),
            0x6A86,
        ),
        (
            "version",
            &hex!("807000001C 584633C9 0007 00001000 06 20261201 200000 02 00 1122334455667788"),
            0x9403,
        ),
        (
            "algorithm",
            &hex!("807000001C 584633C9 0007 00001000 06 20261201 200000 01 02 1122334455667788"),
            0x9403,
        ),
        ("no purchase", &hex!("8072000004 00000000"), 0x6901),
        ("a long MAC2", &hex!("8072000005 0000000000"), 0x6700),
        ("a short code", &hex!("80CA000008 3132333435363738"), 0x6700),
        ("no key delivered", &hex!("80FA000008 1122334455667788"), 0x6901),
        ("a purchase key for DES CRYPT", &hex!("801A220108 1122334455667788"), 0x6985),
        ("levels", &hex!("801A450108 1122334455667788"), 0x6700),
        ("no such key", &hex!("801A250208 1122334455667788"), 0x9403),
        ("a command of the purse", &hex!("805C000204"), 0x6D00),
    ] {
        assert_eq!(send(&mut card, command), (vec![], sw), "{name}");
    }
    assert_eq!(card.status().page_writes, 0, "what is refused counts nothing");
    let mut last = root(&DEMO.replace("terminal_sequence = 0", "terminal_sequence = 0xFFFFFFFF"));
    send(&mut last, &hex!("00A4000002 1001"));
    assert_eq!(send(&mut last, &INIT).1, 0x9402);
}

#[test]
fn wrong_mac2s_lock_it() {
    let mut card = module();
    send(&mut card, &INIT);
    // Nine wrong, one right: all ten are back.
    for _ in 0..9 {
        assert_eq!(send(&mut card, &hex!("8072000004 00000000")).1, 0x9302);
    }
    assert_eq!(send(&mut card, &hex!("8072000004 B30B352F")).1, 0x9000);
    for _ in 0..10 {
        send(&mut card, &INIT);
        assert_eq!(send(&mut card, &hex!("8072000004 00000000")).1, 0x9302);
    }
    assert_eq!(send(&mut card, &INIT).1, 0x6A81);
    card.power_on();
    assert_eq!(send(&mut card, &hex!("00B0960006")).1, 0x9000);
    assert_eq!(send(&mut card, &hex!("00A4000002 1001")).1, 0x9000);
    assert_eq!(send(&mut card, &INIT).1, 0x6A81);
}

/// The key is 3DES(master, F) ‖ 3DES(master, ¬F) = BE7251E3F82BA5E04EFDDC2D00C985D3; the MAC is
/// algorithm 3.
#[test]
fn des_crypt_encrypts_and_makes_macs() {
    let deliver = hex!("801A250108 1122334455667788");
    for (name, steps) in [
        (
            "encryption",
            &[(
                &hex!("80FA000010 84D60000081122334480000000000000")[..],
                &hex!("391A49016E3FDD22B32BE690145BA29F")[..],
            )][..],
        ),
        (
            "encryption in two",
            &[
                (&hex!("80FA020008 84D6000008112233"), &hex!("391A49016E3FDD22")),
                (&hex!("80FA000008 4480000000000000"), &hex!("B32BE690145BA29F")),
            ],
        ),
        (
            "MAC from zeros",
            &[(&hex!("80FA010010 84D60000081122334480000000000000"), &hex!("F3C75468"))],
        ),
        (
            "MAC from a vector",
            &[(
                &hex!("80FA050018 5D72B3FD00000000 84D60000081122334480000000000000"),
                &hex!("46363ADC"),
            )],
        ),
        (
            "MAC in two",
            &[
                (&hex!("80FA070010 5D72B3FD00000000 84D6000008112233"), &[]),
                (&hex!("80FA010008 4480000000000000"), &hex!("46363ADC")),
            ],
        ),
        (
            "MAC in three",
            &[
                (&hex!("80FA070010 5D72B3FD00000000 84D6000008112233"), &[]),
                (&hex!("80FA030008 4480000000000000"), &[]),
                (&hex!("80FA010008 0000000000000000"), &hex!("AAA28505")),
            ],
        ),
    ] {
        let mut card = module();
        assert_eq!(send(&mut card, &deliver), (vec![], 0x9000));
        for (command, answer) in steps {
            assert_eq!(send(&mut card, command), (answer.to_vec(), 0x9000), "{name}");
        }
        assert_eq!(send(&mut card, &hex!("80FA000008 1122334455667788")).1, 0x6901, "{name}");
    }
    for (name, command, sw) in [
        ("no block", &hex!("80FA0000")[..], 0x6700),
        ("half a block", &hex!("80FA000004 11223344"), 0x6700),
        ("a vector alone", &hex!("80FA050008 1122334455667788"), 0x6700),
        ("encryption from a vector", &hex!("80FA040008 1122334455667788"), 0x6A86),
        ("decryption", &hex!("80FA800008 1122334455667788"), 0x6A86),
    ] {
        let mut card = module();
        send(&mut card, &deliver);
        assert_eq!(send(&mut card, command).1, sw, "{name}");
        assert_eq!(send(&mut card, &hex!("80FA000008 1122334455667788")).1, 0x6901, "{name}");
    }
}

/// Both ends through readers: the terminal's flow, its module at one, the purse at the other.
#[test]
fn a_purse_pays_a_terminal_with_a_module() {
    let (mut purse, mut module) = (crate::purse::purse(), root(DEMO));
    let identity = CardIdentity::of_serial(hex!("90000000000000004711"));
    for n in 1..=3 {
        module.power_on();
        let mut psam = CardPsam::open(At(&mut module), &SamApplication::default()).unwrap();
        let terminal = psam.terminal().unwrap();
        let purchase = || Purchase::new(1, Fen::new(350), terminal).unwrap();
        let answer = purse.transmit(&purchase().command()).unwrap();
        let initialized = purchase().initialized(&answer).unwrap();
        let debiting = initialized.authorise(DATE, TIME, &identity, &mut psam).unwrap();
        let answer = purse.transmit(&debiting.command()).unwrap();
        let Debit::Paid(receipt) = debiting.finish(Some(&answer), &mut psam) else { panic!() };
        assert_eq!(
            (receipt.unchecked, receipt.terminal_sequence),
            (None, TerminalSequence::new(n))
        );
    }
    let module = module.inspect().unwrap().psam.unwrap();
    assert_eq!((module.terminal, module.sequence), (TERMINAL, TerminalSequence::new(3)));
    assert_eq!(module.keys, ["purchase: version 01", "maintenance: version 01"]);
}

/// A module that refuses, or is gone, before the debit and after it.
#[test]
fn a_module_that_fails_moves_no_money_and_undoes_none() {
    let mut purse = crate::purse::purse();
    let purchase = || Purchase::new(1, Fen::new(350), TERMINAL).unwrap();
    let identity = CardIdentity::of_serial(hex!("90000000000000004711"));
    let mut other = root(&DEMO.replacen("version = 1", "version = 2", 1));
    let mut psam = CardPsam::open(At(&mut other), &SamApplication::default()).unwrap();
    let answer = purse.transmit(&purchase().command()).unwrap();
    let refused =
        purchase().initialized(&answer).unwrap().authorise(DATE, TIME, &identity, &mut psam);
    let no_key = SamError::NoKey { version: 1, algorithm: 0 };
    assert_eq!(refused, Err(PurchaseError::Sam(no_key)));
    assert_eq!(crate::purse::balance(&mut purse), Fen::new(10_000));

    let mut module = root(DEMO);
    let mut psam = CardPsam::open(At(&mut module), &SamApplication::default()).unwrap();
    let answer = purse.transmit(&purchase().command()).unwrap();
    let debiting = purchase()
        .initialized(&answer)
        .unwrap()
        .authorise(DATE, TIME, &identity, &mut psam)
        .unwrap();
    let answer = purse.transmit(&debiting.command()).unwrap();
    psam.into_port().0.power_off();
    let mut psam = CardPsam::open(At(&mut other), &SamApplication::default()).unwrap();
    let Debit::Paid(receipt) = debiting.finish(Some(&answer), &mut psam) else { panic!() };
    assert!(receipt.unchecked.is_some());
    assert_eq!(crate::purse::balance(&mut purse), receipt.balance);
}

/// The module loses its power inside 80 70: the purchase has not begun for the card, and is made
/// again after a reset, under a number that was not used.
#[test]
fn a_module_that_dies_at_its_start_costs_a_number_and_no_money() {
    let identity = CardIdentity::of_serial(hex!("90000000000000004711"));
    let purchase = || Purchase::new(1, Fen::new(350), TERMINAL).unwrap();
    // The page of the journal, and the one that commits it.
    for after in 0..2 {
        let memory = Memory::new(&memory_of(DEMO));
        let (mut purse, mut module) = (crate::purse::purse(), powered(memory.store()));
        let mut psam = CardPsam::open(At(&mut module), &SamApplication::default()).unwrap();
        let answer = purse.transmit(&purchase().command()).unwrap();
        memory.arm(Cut { after, torn: CONTENTS[0] });
        let initialized = purchase().initialized(&answer).unwrap();
        let started = initialized.authorise(DATE, TIME, &identity, &mut psam);
        memory.mend();
        assert_eq!(started, Err(PurchaseError::Sam(SamError::NoAnswer)), "{after}");
        assert_eq!(crate::purse::balance(&mut purse), Fen::new(10_000));
        module.power_on();
        let mut psam = CardPsam::open(At(&mut module), &SamApplication::default()).unwrap();
        let answer = purse.transmit(&purchase().command()).unwrap();
        let initialized = purchase().initialized(&answer).unwrap();
        let debiting = initialized.authorise(DATE, TIME, &identity, &mut psam).unwrap();
        let answer = purse.transmit(&debiting.command()).unwrap();
        let Debit::Paid(receipt) = debiting.finish(Some(&answer), &mut psam) else { panic!() };
        assert_eq!((receipt.unchecked, receipt.balance), (None, Fen::new(9650)));
    }
}

/// The power cut at every page write, with every torn content, and at every write of the recovery:
/// a number whose MAC1 has left never comes again.
#[test]
fn no_cut_gives_a_terminal_sequence_twice() {
    let before = memory_of(DEMO);
    let start = |card: &mut Card| {
        card.transmit(&hex!("00A40000021001")).ok()?;
        let answer = card.transmit(&INIT).ok()?;
        let number = u32::from_be_bytes(*answer.first_chunk::<4>()?);
        (answer.len() == 10).then_some(number)
    };
    let (mut cases, mut gaps) = (0, 0);
    for after in 0.. {
        let mut done = false;
        for torn in CONTENTS {
            let memory = Memory::new(&before);
            let mut card = powered(memory.store());
            let mut given = vec![start(&mut card).unwrap()];
            memory.arm(Cut { after, torn: *torn });
            given.extend(start(&mut card));
            done = !memory.mend();
            let cut = memory.octets();
            for again in 0.. {
                let memory = Memory::new(&cut);
                memory.arm(Cut { after: again, torn: *torn });
                let recovered = Card::with_random(memory.store(), counting()).is_ok();
                memory.mend();
                let mut card = powered(memory.store());
                let next = start(&mut card).unwrap();
                assert!(
                    given.iter().all(|number| *number < next),
                    "{after} {torn:?} {again}: {next}"
                );
                gaps += usize::from(next == 3 && given.len() == 1);
                cases += 1;
                if recovered {
                    break;
                }
            }
        }
        if done {
            break;
        }
    }
    assert!(cases > 64 && gaps > 0, "{cases} cases, {gaps} gaps");
}

#[test]
fn errors_of_the_file_name_the_field() {
    let with = |from: &str, to: &str| {
        assert!(DEMO.contains(from), "{from}");
        DEMO.replacen(from, to, 1)
    };
    for (text, expected) in [
        (with("kind = \"psam\"", "kind = \"sam\""), "kind: expected one of: card, psam"),
        (with("serial", "number"), "serial: is missing"),
        (with("001122334455", "0011223344"), "terminal: has 5 octets, expected 6"),
        (with("mac_tries = 10", "mac_tries = 0"), "mac_tries: expected at least 1"),
        (with("mac_tries = 10", "pin = \"1234\""), "pin: unknown field"),
        (with("use = \"purchase\"", "use = \"load\""), "key[1].use: expected one of: purchase"),
        (with("use = \"maintenance\"", "use = \"purchase\""), "key[2].version: a key of this use"),
        (with("00112233445566778899aabbccddeeff", "00"), "key[1].value: has 1 octets, expected 16"),
    ] {
        let error = refused(&text);
        assert!(error.starts_with("psam.toml: ") && error.contains(expected), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_octets_are_answered(
        apdus in prop::collection::vec(
            (any::<bool>(), prop::sample::select(&[0x1A_u8, 0x70, 0x72, 0xB0, 0xCA, 0xFA, 0xA4]),
             any::<[u8; 2]>(), prop::collection::vec(any::<u8>(), 0..60)), 1..20)
    ) {
        let mut card = module();
        for (zeros, ins, [p1, p2], data) in apdus {
            let [p1, p2] = if zeros { [0, 0] } else { [p1, p2] };
            let mut apdu = vec![if ins == 0xB0 || ins == 0xA4 { 0x00 } else { 0x80 }, ins, p1, p2, data.len() as u8];
            apdu.extend(data);
            let response = card.transmit(&apdu).unwrap();
            prop_assert!(response.len() >= 2);
            prop_assert!(!response.ends_with(&[0x6F, 0x00]));
        }
    }
}

/// T15: the try is in memory before MAC2 is compared: a cut in the first write is as dear for the
/// right one as for a guess, and none behind it is free.
#[test]
fn no_cut_saves_a_guess_of_mac2() {
    let image = memory_of(DEMO);
    for mac2 in [hex!("00000000"), hex!("B30B352F")] {
        let memory = Memory::new(&image);
        let mut card = powered(memory.store());
        send(&mut card, &hex!("00A4000002 1001 00"));
        send(&mut card, &INIT);
        memory.arm(Cut { after: 0, torn: Torn::Old });
        let credit = [&hex!("8072000004")[..], &mac2].concat();
        assert!(card.transmit(&credit).is_err(), "{mac2:02X?}");
    }
    let memory = Memory::new(&image);
    for _ in 0..10 {
        let mut card = powered(memory.store());
        send(&mut card, &hex!("00A4000002 1001 00"));
        assert_eq!(send(&mut card, &INIT).1, 0x9000);
        memory.arm(Cut { after: 2, torn: Torn::Old });
        let _ = card.transmit(&hex!("8072000004 00000000"));
        memory.mend();
    }
    let mut card = powered(memory.store());
    send(&mut card, &hex!("00A4000002 1001 00"));
    assert_eq!(send(&mut card, &INIT).1, 0x6A81);
}
