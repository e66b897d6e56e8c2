// SPDX-License-Identifier: Apache-2.0
//! The passbook at the card: byte for byte, by the terminal's flows, and cut at every write.
//!
//! The numbers are OpenSSL's, by the commands of `wallet/tests/passbook.rs`; 71A6AFDC is the first
//! random number here.

use crate::purse::{dpk, dtk};
use cam_types::{Aid, BcdDate, BcdTime, Fen, Secret, TerminalId, TerminalSequence};
use hex_literal::hex;
use proptest::prelude::*;
use std::path::Path;
use system_tests::demo::*;
use system_tests::memory::{CONTENTS, Cut, Memory};
use vcard::nvm::RamStore;
use vcard::{Card, Interface, Personalisation};
use wallet::formula::{mac2_load, mac2_overdraft};
use wallet::keys::{LoadKey, OverdraftKey, UnloadKey};
use wallet::load::Credit;
use wallet::passbook::overdraft::{OverdraftUpdate, Update};
use wallet::passbook::unload::{self, Unload};
use wallet::passbook::{self, OverdraftLimit};
use wallet::proof::Settlement;
use wallet::psam::{CardIdentity, SoftPsam};
use wallet::purchase::{Debit, Purchase};
use wallet::read::{balance, balance_command};
use wallet::{Account, LogRecord, Reason, TransactionType};

const TERMINAL: TerminalId = TerminalId::new(hex!("001122334455"));
const DATE: BcdDate = BcdDate(hex!("20261201"));
const TIME: BcdTime = BcdTime(hex!("200000"));
const VERIFY: [u8; 9] = hex!("00 20 00 00 04 40962718");

/// 50.00 of the holder's own and 20.00 of overdraft, beside the demo's purse of 100.00.
pub(crate) const PASSBOOK: &str = r#"
    [purse.passbook]
    balance = 5000
    overdraft_limit = 2000

    [[key]]
    role = "unload"
    suite = 1
    epoch = 1
    value = "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b8"

    [[key]]
    role = "overdraft"
    suite = 1
    epoch = 1
    value = "c1c2c3c4c5c6c7c8d1d2d3d4d5d6d7d8"
"#;

fn dulk() -> UnloadKey {
    UnloadKey::new(Secret::new(hex!("a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b8")))
}

fn duk() -> OverdraftKey {
    OverdraftKey::new(Secret::new(hex!("c1c2c3c4c5c6c7c8d1d2d3d4d5d6d7d8")))
}

fn dlk() -> LoadKey {
    LoadKey::new(Secret::new(hex!("0f1e2d3c4b5a69788796a5b4c3d2e1f0")))
}

fn text() -> String {
    format!("{}\n{PASSBOOK}", file(""))
}

fn image() -> Vec<u8> {
    let perso = Personalisation::from_text(&text(), Path::new("card.toml"));
    let perso = perso.unwrap_or_else(|error| panic!("{error}"));
    Card::personalise(&perso).unwrap_or_else(|error| panic!("{error}")).octets().to_vec()
}

/// The card with the purse selected and the PIN verified.
fn holder() -> Card {
    let mut card = powered(Box::new(RamStore::new(&image())));
    enter(&mut card);
    card
}

fn enter(card: &mut Card) {
    card.power_on();
    assert_eq!(select(card, Aid::PURSE.octets()), 0x9000);
    assert_eq!(send(card, &VERIFY).1, 0x9000);
}

fn drawable(card: &mut Card) -> u32 {
    balance(&card.transmit(&balance_command(Account::Passbook)).unwrap()).unwrap().fen()
}

fn newest(card: &mut Card) -> LogRecord {
    LogRecord::parse(&send(card, &LogRecord::read_command(1)).0).unwrap()
}

/// A transaction at a fresh card: INITIALIZE, commit, and what then is left and logged.
struct Dialogue {
    name: &'static str,
    initialize: (&'static [u8], &'static [u8]),
    commit: (&'static [u8], &'static [u8]),
    left: [u8; 4],
    record: [u8; 23],
}

const DIALOGUES: &[Dialogue] = &[
    Dialogue {
        name: "load",
        initialize: (
            &hex!("80 50 00 01 0B 01 000003E8 001122334455 10"),
            &hex!("00001B58 0000 01 00 71A6AFDC 2DC886BD 9000"),
        ),
        commit: (&hex!("80 52 00 00 0B 20261201 200000 BD83BA79 04"), &hex!("5D36CC81 9000")),
        left: hex!("00001F40"),
        record: hex!("0001 0007D0 000003E8 01 001122334455 20261201 200000"),
    },
    Dialogue {
        name: "unload",
        initialize: (
            &hex!("80 50 05 01 0B 01 00000BB8 001122334455 10"),
            &hex!("00001B58 0000 01 00 71A6AFDC 6F67E4A6 9000"),
        ),
        commit: (&hex!("80 54 03 00 0B 20261201 200000 83BFAE98 04"), &hex!("234296A1 9000")),
        left: hex!("00000FA0"),
        record: hex!("0001 0007D0 00000BB8 03 001122334455 20261201 200000"),
    },
    Dialogue {
        name: "cash withdrawal, into the overdraft",
        initialize: (
            &hex!("80 50 02 01 0B 01 00001770 001122334455 0F"),
            &hex!("00001B58 0000 0007D0 01 00 71A6AFDC 9000"),
        ),
        commit: (
            &hex!("80 54 01 00 0F 00000001 20261201 200000 405CC089 08"),
            &hex!("ABEB91E3 82ABA375 9000"),
        ),
        left: hex!("000003E8"),
        record: hex!("0001 0007D0 00001770 04 001122334455 20261201 200000"),
    },
    Dialogue {
        name: "purchase, into the overdraft",
        initialize: (
            &hex!("80 50 01 01 0B 01 00001770 001122334455 0F"),
            &hex!("00001B58 0000 0007D0 01 00 71A6AFDC 9000"),
        ),
        commit: (
            &hex!("80 54 01 00 0F 00000001 20261201 200000 FF7493EE 08"),
            &hex!("BC5D2981 82ABA375 9000"),
        ),
        left: hex!("000003E8"),
        record: hex!("0001 0007D0 00001770 05 001122334455 20261201 200000"),
    },
    Dialogue {
        name: "overdraft update",
        initialize: (
            &hex!("80 50 04 01 07 01 001122334455 13"),
            &hex!("00001B58 0000 0007D0 01 00 71A6AFDC 6521B770 9000"),
        ),
        commit: (
            &hex!("80 58 00 00 0E 0001F4 20261201 200000 46DED9D4 04"),
            &hex!("C8039EF0 9000"),
        ),
        left: hex!("0000157C"),
        record: hex!("0001 0001F4 000001F4 07 001122334455 20261201 200000"),
    },
];

#[test]
fn byte_for_byte() {
    for Dialogue { name, initialize, commit, left, record } in DIALOGUES {
        let mut card = holder();
        for (command, answer) in [initialize, commit] {
            assert_eq!(card.transmit(command).unwrap(), *answer, "{name}: {command:02X?}");
        }
        assert_eq!(send(&mut card, &hex!("80 5C 00 01 04")), (left.to_vec(), 0x9000), "{name}");
        let logged = send(&mut card, &LogRecord::read_command(1));
        assert_eq!(logged, (record.to_vec(), 0x9000), "{name}");
        // A commit is made once; and the purse has nothing to do with it.
        assert_eq!(send(&mut card, commit.0).1, 0x6901, "{name}");
        let status = card.status();
        let purse = (status.balance.fen(), status.offline_sequence, status.online_sequence);
        assert_eq!(purse, (10_000, 0, 0), "{name}");
    }
}

fn psam() -> SoftPsam {
    SoftPsam::new(TERMINAL, TerminalSequence::new(0)).with_key(1, dpk())
}

fn pay(card: &mut Card, purchase: Purchase) -> Result<u32, String> {
    let psam = &mut psam();
    let answer = card.transmit(&purchase.command()).unwrap();
    let initialized = purchase.initialized(&answer).map_err(|error| error.to_string())?;
    let debiting = initialized
        .authorise(DATE, TIME, &CardIdentity::default(), psam)
        .map_err(|error| error.to_string())?;
    let answer = card.transmit(&debiting.command()).unwrap();
    match debiting.finish(Some(&answer), psam) {
        Debit::Paid(receipt) => Ok(receipt.balance.fen()),
        other => Err(format!("{other:?}")),
    }
}

fn give_back(card: &mut Card, amount: u32) -> Result<u32, String> {
    let unload = Unload::new(1, Fen::new(amount), TERMINAL).map_err(|error| error.to_string())?;
    let answer = card.transmit(&unload.command()).unwrap();
    let initialized = unload.initialized(&answer).map_err(|error| error.to_string())?;
    assert!(initialized.is_from(&dulk()));
    let session = dulk().session(initialized.card().random, initialized.card().online_sequence);
    let mac2 = mac2_load(&session, &initialized.transaction(DATE, TIME));
    let unloading = initialized.debit(DATE, TIME, mac2);
    let mac3 = unloading.mac3(&dulk());
    let answer = card.transmit(&unloading.command()).unwrap();
    match unloading.finish(Some(&answer), mac3) {
        unload::Debit::Unloaded(receipt) => Ok(receipt.balance.fen()),
        other => Err(format!("{other:?}")),
    }
}

fn limit(card: &mut Card, limit: u32) -> Result<u32, Reason> {
    let limit = OverdraftLimit::new(Fen::new(limit)).unwrap();
    let update = OverdraftUpdate::new(1, limit, TERMINAL);
    let answer = card.transmit(&update.command()).unwrap();
    let initialized = update.initialized(&answer).unwrap();
    assert!(initialized.is_from(&duk()));
    let session = duk().session(initialized.random, initialized.online_sequence);
    let mac2 = mac2_overdraft(&session, &initialized.transaction(DATE, TIME));
    let updating = initialized.update(DATE, TIME, mac2);
    let answer = card.transmit(&updating.command()).unwrap();
    match updating.finish_checked(Some(&answer), &dtk()) {
        Update::Updated(receipt) => Ok(receipt.balance(&dtk()).unwrap().fen()),
        Update::Refused(refusal) => Err(refusal.reason),
        other => panic!("{other:?}"),
    }
}

/// One account through all that can happen to it; what can be drawn and the numbers agree at every
/// step.
#[test]
fn a_life_of_a_passbook() {
    let mut card = holder();
    assert_eq!(drawable(&mut card), 7000);
    let cash = |amount| passbook::cash_withdrawal(1, Fen::new(amount), TERMINAL).unwrap();
    let purchase = |amount| passbook::purchase(1, Fen::new(amount), TERMINAL).unwrap();
    assert_eq!(pay(&mut card, purchase(1500)), Ok(5500));
    assert_eq!(pay(&mut card, cash(1000)), Ok(4500));
    // Unload is of the holder's own 25.00, not of the overdraft.
    let refused = "balance does not cover the amount (SW=9401); no money has moved";
    assert_eq!(give_back(&mut card, 2501), Err(refused.to_owned()));
    assert_eq!(give_back(&mut card, 2500), Ok(2000));
    assert_eq!(limit(&mut card, 3000), Ok(3000));
    assert_eq!(pay(&mut card, cash(2600)), Ok(400));
    // 26.00 are overdrawn: the limit cannot go below.
    assert_eq!(limit(&mut card, 2599), Err(Reason::Funds));
    assert_eq!(limit(&mut card, 2600), Ok(0));
    assert!(pay(&mut card, purchase(1)).unwrap_err().contains("no money has moved"));
    let record = newest(&mut card);
    assert_eq!((record.sequence, record.overdraft), (3, hex!("000A28")));
    assert_eq!(record.transaction.kind, TransactionType::OVERDRAFT);
    // Paid back by a load.
    let load = passbook::load(1, Fen::new(2600), TERMINAL).unwrap();
    let answer = card.transmit(&load.command()).unwrap();
    let initialized = load.initialized(&answer).unwrap();
    let session = dlk().session(initialized.random, initialized.online_sequence);
    let mac2 = mac2_load(&session, &initialized.transaction(DATE, TIME));
    let crediting = initialized.credit(DATE, TIME, mac2);
    let answer = card.transmit(&crediting.command()).unwrap();
    let credit = crediting.finish_checked(Some(&answer), &dtk());
    assert!(matches!(credit, Credit::Loaded(receipt) if receipt.balance == Fen::new(2600)));
    assert_eq!(limit(&mut card, 0), Ok(0));
    let inspected = card.inspect().unwrap();
    assert_eq!(inspected.passbook, Some((Fen::ZERO, Fen::ZERO)));
    assert_eq!(inspected.status.balance, Fen::new(10_000));
}

/// Nothing of the passbook without the PIN, which the antenna does not take.
#[test]
fn the_pin_comes_first_everywhere() {
    let commands: [(&[u8], u16); 8] = [
        (&hex!("805C000104"), 0x9000),
        (&hex!("805000010B 01 00000001 001122334455 10"), 0x9000),
        (&hex!("805005010B 01 00000001 001122334455 10"), 0x9000),
        (&hex!("805002010B 01 00000001 001122334455 0F"), 0x9000),
        (&hex!("805001010B 01 00000001 001122334455 0F"), 0x9000),
        (&hex!("8050040107 01 001122334455 13"), 0x9000),
        (&hex!("805A000302 0001 08"), 0x9406),
        (&hex!("805A000702 0001 08"), 0x9406),
    ];
    for (command, with_pin) in commands {
        let mut card = holder();
        assert_eq!(send(&mut card, command).1, with_pin, "{command:02X?}");
        select(&mut card, Aid::PURSE.octets());
        assert_eq!(send(&mut card, command).1, 0x6982, "{command:02X?}: after SELECT");
        card.power_on_at(Interface::Contactless);
        select(&mut card, Aid::PURSE.octets());
        assert_eq!(send(&mut card, &VERIFY).1, 0x6985);
        assert_eq!(send(&mut card, command).1, 0x6982, "{command:02X?}: at the antenna");
        // A card without a passbook.
        let mut card = crate::purse::purse();
        assert_eq!(send(&mut card, &VERIFY).1, 0x9000);
        assert_eq!(send(&mut card, command).1, 0x6A86, "{command:02X?}: without");
    }
}

#[test]
fn refusals() {
    let mut card = holder();
    for (name, command, sw) in [
        ("commit without INITIALIZE", &hex!("805403000B 20261201 200000 00000000")[..], 0x6901),
        ("update without INITIALIZE", &hex!("805800000E 000001 20261201 200000 00000000"), 0x6901),
        ("unload of nothing", &hex!("805005010B 01 00000000 001122334455"), 0x6A80),
        ("cash of nothing", &hex!("805002010B 01 00000000 001122334455"), 0x6A80),
        ("load of nothing", &hex!("805000010B 01 00000000 001122334455"), 0x6A80),
        ("too much to unload", &hex!("805005010B 01 00001389 001122334455"), 0x9401),
        ("too much cash", &hex!("805002010B 01 00001B59 001122334455"), 0x9401),
        ("too much to load", &hex!("805000010B 01 FFFFFFFF 001122334455"), 0x6985),
        ("another key", &hex!("805005010B 02 00000001 001122334455"), 0x9403),
        ("another key for the limit", &hex!("8050040107 02 001122334455"), 0x9403),
        ("unload of the purse", &hex!("805005020B 01 00000001 001122334455"), 0x6A86),
        ("cash from the purse", &hex!("805002020B 01 00000001 001122334455"), 0x6A86),
        ("limit of the purse", &hex!("8050040207 01 001122334455"), 0x6A86),
        ("compound purchase", &hex!("805003010B 01 00000001 001122334455"), 0x6A86),
        ("an amount for the limit", &hex!("805004010B 01 00000001 001122334455"), 0x6700),
        ("a short commit", &hex!("805403000A 20261201 200000 000000"), 0x6700),
        ("a short limit", &hex!("805800000D 0001 20261201 200000 00000000"), 0x6700),
        ("another P2", &hex!("805403010B 20261201 200000 00000000"), 0x6A86),
        (
            "the reader's reading of withdrawal",
            &hex!("805405000F 00000001 20261201 200000 00000000"),
            0x6A86,
        ),
    ] {
        assert_eq!(send(&mut card, command), (vec![], sw), "{name}");
    }
    // What was begun for one is not committed as another; a wrong MAC ends it.
    let commits: [(&[u8], &[u8]); 4] = [
        (&hex!("805200000B 20261201 200000 00000000"), &[0x00, 0x01]),
        (&hex!("805403000B 20261201 200000 00000000"), &[0x05, 0x01]),
        (&hex!("805800000E 000001 20261201 200000 00000000"), &[0x04, 0x01]),
        (&hex!("805401000F 00000001 20261201 200000 00000000"), &[0x02, 0x01]),
    ];
    for (begin, (_, parameters)) in commits.iter().enumerate() {
        let [p1, p2] = **parameters else { panic!() };
        let mut initialize = vec![0x80, 0x50, p1, p2];
        initialize.extend(match p1 {
            0x04 => hex!("07 01 001122334455").to_vec(),
            _ => hex!("0B 01 00000001 001122334455").to_vec(),
        });
        for (end, (commit, _)) in commits.iter().enumerate() {
            assert_eq!(send(&mut card, &initialize).1, 0x9000);
            for nth in 0..2 {
                let expected = if begin == end && nth == 0 { 0x9302 } else { 0x6901 };
                assert_eq!(send(&mut card, commit).1, expected, "{begin} {end}");
            }
        }
    }
    assert_eq!(drawable(&mut card), 7000);
}

#[test]
fn the_file_says_what_is_wrong() {
    for (from, to, expected) in [
        (
            "overdraft_limit = 2000",
            "overdraft_limit = 16777216",
            "purse.passbook.overdraft_limit: is over",
        ),
        ("balance = 5000", "balance = 4294967295", "purse.passbook.balance: number out of range"),
        ("balance = 5000", "own = 5000", "purse.passbook.balance: is missing"),
        (
            "role = \"overdraft\"\n    suite = 1",
            "role = \"overdraft\"\n    suite = 2",
            "suite: a key of the PBOC purse is of suite 1",
        ),
    ] {
        let passbook = PASSBOOK.replacen(from, to, 1);
        assert_ne!(passbook, PASSBOOK, "{from}");
        let text = format!("{}\n{passbook}", file(""));
        let error = Personalisation::from_text(&text, Path::new("card.toml")).err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let mut without = powered(Box::new(RamStore::new(&memory())));
    select(&mut without, Aid::PURSE.octets());
    assert_eq!(send(&mut without, &hex!("00B0950801")).0, [0x02]);
    assert_eq!(send(&mut holder(), &hex!("00B0950801")).0, [0x03]);
}

/// A commit in its middle, at every page write × every torn content × every write of the recovery:
/// it has taken place or it has not, and the card proves which; the terminal that settles by itself
/// comes to the same.
#[test]
fn torn_commits_are_made_or_not() {
    let before = image();
    for (kind, begin, commit, after) in [
        (
            0x03,
            &hex!("80 50 05 01 0B 01 00000BB8 001122334455 10")[..],
            &hex!("80 54 03 00 0B 20261201 200000 83BFAE98 04")[..],
            4000,
        ),
        (
            0x04,
            &hex!("80 50 02 01 0B 01 00001770 001122334455 0F"),
            &hex!("80 54 01 00 0F 00000001 20261201 200000 405CC089 08"),
            1000,
        ),
        (
            0x07,
            &hex!("80 50 04 01 07 01 001122334455 13"),
            &hex!("80 58 00 00 0E 0001F4 20261201 200000 46DED9D4 04"),
            5500,
        ),
        (
            0x01,
            &hex!("80 50 00 01 0B 01 000003E8 001122334455 10"),
            &hex!("80 52 00 00 0B 20261201 200000 BD83BA79 04"),
            8000,
        ),
    ] {
        let [mut made, mut unmade] = [0, 0];
        for write in 0.. {
            let mut finished = false;
            for torn in CONTENTS {
                let chip = Memory::new(&before);
                let mut card = powered(chip.store());
                enter(&mut card);
                assert_eq!(send(&mut card, begin).1, 0x9000);
                chip.arm(Cut { after: write, torn: *torn });
                let answered = card.transmit(commit).is_ok();
                finished = !chip.mend();
                let cut = chip.octets();
                for again in 0.. {
                    let chip = Memory::new(&cut);
                    chip.arm(Cut { after: again, torn: *torn });
                    let recovered = Card::with_random(chip.store(), counting()).is_ok();
                    chip.mend();
                    let mut card = powered(chip.store());
                    enter(&mut card);
                    let left = drawable(&mut card);
                    let (_, proof) = send(&mut card, &[0x80, 0x5A, 0x00, kind, 0x02, 0, 1, 8]);
                    let (_, logged) = send(&mut card, &LogRecord::read_command(1));
                    let state = (left, proof, logged, card.status().balance.fen());
                    match state {
                        (7000, 0x9406, 0x6A83, 10_000) if !answered => unmade += 1,
                        (left, 0x9000, 0x9000, 10_000) if left == after => made += 1,
                        _ => panic!("{kind:02X} cut {write} {torn:?}, then {again}: {state:02X?}"),
                    }
                    if recovered {
                        break;
                    }
                }
            }
            if finished {
                break;
            }
        }
        assert!(made > 16 && unmade > 16, "{kind:02X}: {made} made, {unmade} not");
    }
}

/// The answer to DEBIT FOR UNLOAD is lost, or the command is: the host asks, and credits the
/// account once or not.
#[test]
fn a_lost_unload_is_settled() {
    for sent in [true, false] {
        let mut card = holder();
        let unload = Unload::new(1, Fen::new(3000), TERMINAL).unwrap();
        let answer = card.transmit(&unload.command()).unwrap();
        let initialized = unload.initialized(&answer).unwrap();
        let session = dulk().session(initialized.card().random, [0, 0]);
        let mac2 = mac2_load(&session, &initialized.transaction(DATE, TIME));
        let unloading = initialized.debit(DATE, TIME, mac2);
        let mac3 = unloading.mac3(&dulk());
        if sent {
            card.transmit(&unloading.command()).unwrap();
        }
        let unload::Debit::Unsettled(unsettled) = unloading.finish(None, mac3) else { panic!() };
        enter(&mut card);
        let mut settlement = Settlement::Ask(unsettled.inquire());
        while let Settlement::Ask(inquiry) = settlement {
            let answer = card.transmit(&inquiry.command()).unwrap();
            settlement = inquiry.answer(Some(&answer), |proof| proof.mac == mac3);
        }
        assert_eq!(matches!(settlement, Settlement::Made(_)), sent, "{settlement:?}");
        assert_eq!(matches!(settlement, Settlement::NotMade(_)), !sent);
        assert_eq!(drawable(&mut card), if sent { 4000 } else { 7000 });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes, there is an answer, and no money without a MAC.
    #[test]
    fn any_octets_are_answered(
        apdus in prop::collection::vec(
            (prop::sample::select(&[0x50_u8, 0x52, 0x54, 0x58, 0x5A, 0x5C]), 0..6_u8, 0..3_u8,
             prop::collection::vec(any::<u8>(), 0..20)), 1..30)
    ) {
        let mut card = holder();
        for (ins, p1, p2, data) in apdus {
            let mut apdu = vec![0x80, ins, p1, p2, data.len() as u8];
            apdu.extend(data);
            let response = card.transmit(&apdu).unwrap();
            prop_assert!(response.len() >= 2 && !response.ends_with(&[0x6F, 0x00]));
        }
        prop_assert_eq!(drawable(&mut card), 7000);
    }
}
