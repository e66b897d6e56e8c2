// SPDX-License-Identifier: Apache-2.0
//! What is guessed: codes of four octets, and how often the card compares one.

use crate::maintenance::{challenge, damk};
use crate::passbook::PASSBOOK;
use crate::purse::{DATE, GATE, TIME, dlk};
use crate::purse_pin::drpk;
use cam_types::{Aid, Fen};
use hex_literal::hex;
use system_tests::demo::*;
use system_tests::memory::{CONTENTS, Cut, Memory, Torn};
use vcard::{Card, Interface};
use wallet::formula::mac2_load;
use wallet::load::Load;
use wallet::pin::Pin;
use wallet::secure_messaging::{ChallengeLength, Order};

pub(crate) const VERIFY: [u8; 9] = hex!("0020000004 40962718");

fn at(card: &mut Card, interface: Interface) {
    card.power_on_at(interface);
    assert_eq!(select(card, Aid::PURSE.octets()), 0x9000);
}

/// At the contacts with the PIN, over the antenna without.
fn agreed(card: &mut Card, interface: Interface) {
    at(card, interface);
    if interface == Interface::Contact {
        assert_eq!(send(card, &VERIFY).1, 0x9000);
    }
}

/// A load: INITIALIZE, and CREDIT with the right MAC2 or a guess. The status word that ended it.
fn load(card: &mut Card, guess: Option<[u8; 4]>) -> u16 {
    let order = Load::new(1, Fen::new(500), GATE).unwrap();
    let (mut response, sw) = send(card, &order.command());
    if sw != 0x9000 {
        return sw;
    }
    response.extend(sw.to_be_bytes());
    let initialized = order.initialized(&response).unwrap();
    let session = dlk().session(initialized.random, initialized.online_sequence);
    let mac2 = mac2_load(&session, &initialized.transaction(DATE, TIME));
    let mut credit = initialized.credit(DATE, TIME, mac2).command();
    if let Some(guess) = guess {
        credit[12..16].copy_from_slice(&guess);
    }
    send(card, &credit).1
}

fn guess(card: &mut Card) -> u16 {
    load(card, Some([0; 4]))
}

fn order(card: &mut Card, order: Order) -> u16 {
    let challenge = challenge(card, ChallengeLength::Four);
    send(card, &order.command(&damk(), challenge)).1
}

fn forged(card: &mut Card) -> u16 {
    let challenge = challenge(card, ChallengeLength::Four);
    let mut apdu = Order::Block.command(&damk(), challenge);
    *apdu.last_mut().unwrap() ^= 1;
    send(card, &apdu).1
}

/// A MAC2 is compared once for each INITIALIZE, right behind a wrong one or not.
#[test]
fn a_wrong_mac2_ends_the_initialize() {
    let mut card = card();
    agreed(&mut card, Interface::Contact);
    assert_eq!(guess(&mut card), 0x9302);
    assert_eq!(send(&mut card, &hex!("805200000B 20261201 200000 00000000")).1, 0x6901);
    assert_eq!(load(&mut card, None), 0x9000);
}

/// T34: over the antenna fifteen, whatever lies between them; then the PIN at the contacts.
#[test]
fn the_antenna_has_fifteen_guesses_until_the_pin() {
    for at_the_box in [false, true] {
        let mut card = card();
        for n in 0..15 {
            at(&mut card, Interface::Contactless);
            assert_eq!(guess(&mut card), 0x9302, "{n}");
        }
        for _ in 0..3 {
            at(&mut card, Interface::Contactless);
            assert_eq!(guess(&mut card), 0x6985);
            assert_eq!(load(&mut card, None), 0x6985, "the host's own");
        }
        // A gate's purchases go on.
        let purchase = hex!("805001020B 01 00000001 001122334455");
        assert_eq!(send(&mut card, &purchase).1, 0x9000);
        // Nobody has ended loading at the contacts.
        agreed_by_a_wrong_pin(&mut card);
        at(&mut card, Interface::Contactless);
        assert_eq!(load(&mut card, None), 0x6985, "a wrong PIN opens nothing");
        if at_the_box {
            card.power_on();
            let mut stb = Stb::open(&mut card);
            assert!(stb.verify(&mut card, PIN).unwrap().right);
        } else {
            agreed(&mut card, Interface::Contact);
            assert_eq!(load(&mut card, None), 0x9000);
        }
        at(&mut card, Interface::Contactless);
        assert_eq!(load(&mut card, None), 0x9000);
    }
}

fn agreed_by_a_wrong_pin(card: &mut Card) {
    at(card, Interface::Contact);
    assert_eq!(send(card, &hex!("0020000004 11112222")).1, 0x63C2);
    assert_eq!(guess(card), 0x6982);
}

/// At the contacts fifteen, behind the PIN; then the issuer.
#[test]
fn the_contacts_have_fifteen_guesses_until_the_issuer_unblocks() {
    let mut card = card();
    for n in 0..15 {
        agreed(&mut card, Interface::Contact);
        assert_eq!(guess(&mut card), 0x9302, "{n}");
    }
    for _ in 0..2 {
        agreed(&mut card, Interface::Contact);
        assert_eq!(load(&mut card, None), 0x6985, "the PIN does not open it");
    }
    at(&mut card, Interface::Contactless);
    assert_eq!(load(&mut card, None), 0x9000, "each side has its own");
    agreed(&mut card, Interface::Contact);
    assert_eq!(load(&mut card, None), 0x6985, "nor does a load on the other side");
    assert_eq!(order(&mut card, Order::Unblock), 0x9000);
    assert_eq!(order(&mut card, Order::Unblock), 0x6985, "nothing is blocked any more");
    assert_eq!(load(&mut card, None), 0x9000);
}

/// A credit gives back the tries of its side, and a reset or SELECT gives none.
#[test]
fn a_credit_gives_the_tries_back() {
    for interface in [Interface::Contact, Interface::Contactless] {
        let mut card = card();
        for _ in 0..3 {
            agreed(&mut card, interface);
            for _ in 0..14 {
                assert_eq!(guess(&mut card), 0x9302);
            }
            assert_eq!(load(&mut card, None), 0x9000);
        }
    }
}

/// T15: whoever cuts the power at any write of a CREDIT compares no more than fifteen times.
#[test]
fn cuts_save_no_guess_of_a_mac2() {
    for after in 0..6 {
        for torn in CONTENTS {
            let memory = Memory::new(&memory());
            let mut compared = 0;
            for _ in 0..40 {
                let mut card = powered(memory.store());
                at(&mut card, Interface::Contactless);
                let order = Load::new(1, Fen::new(500), GATE).unwrap();
                if send(&mut card, &order.command()).1 != 0x9000 {
                    break;
                }
                memory.arm(Cut { after, torn: *torn });
                let wrong = hex!("805200000B 20261201 200000 00000000");
                compared += usize::from(card.transmit(&wrong).is_ok());
                memory.mend();
            }
            assert!(compared <= 15, "cut {after} {torn:?}: {compared} answers");
        }
    }
}

/// A guess may be at another time of day as well: it is a guess of the same INITIALIZE.
#[test]
fn every_host_mac2_of_the_passbook_is_counted() {
    let text = format!("{}\n{PASSBOOK}", file(""));
    let path = std::path::Path::new("card.toml");
    let perso = vcard::Personalisation::from_text(&text, path).unwrap_or_else(|e| panic!("{e}"));
    let image = Card::personalise(&perso).unwrap_or_else(|e| panic!("{e}"));
    let commands: [(&[u8], &[u8]); 3] = [
        (
            &hex!("805000010B 01 00000001 001122334455"),
            &hex!("805200000B 20261201 200000 00000000"),
        ),
        (
            &hex!("805005010B 01 00000001 001122334455"),
            &hex!("805403000B 20261201 200000 00000000"),
        ),
        (&hex!("8050040107 01 001122334455"), &hex!("805800000E 000001 20261201 200000 00000000")),
    ];
    let store = vcard::nvm::RamStore::new(image.octets());
    let mut card = powered(Box::new(store));
    for (initialize, commit) in commands.iter().cycle().take(15) {
        agreed(&mut card, Interface::Contact);
        assert_eq!(send(&mut card, initialize).1, 0x9000);
        assert_eq!(send(&mut card, commit).1, 0x9302);
    }
    for (initialize, _) in commands {
        agreed(&mut card, Interface::Contact);
        assert_eq!(send(&mut card, initialize).1, 0x6985);
    }
    assert_eq!(load(&mut card, None), 0x6985);
}

/// T15: the try is in memory before the MAC is compared: up to the first write a right one and a
/// wrong one are alike, so a cut there tells nothing.
#[test]
fn a_cut_before_the_count_tells_nothing_of_a_protected_commands_mac() {
    for right in [false, true] {
        let memory = Memory::new(&memory());
        let mut card = powered(memory.store());
        select(&mut card, Aid::PURSE.octets());
        let challenge = challenge(&mut card, ChallengeLength::Eight);
        // Beyond the file: with the right MAC it is refused, and changes nothing.
        let mut apdu = damk().secure(challenge, hex!("04D6951E"), &[0]);
        *apdu.last_mut().unwrap() ^= u8::from(!right);
        memory.arm(Cut { after: 0, torn: Torn::Old });
        assert!(card.transmit(&apdu).is_err(), "right: {right}");
    }
}

/// Fifteen cut tries end the purse, as three wrong ones do; fourteen and a right one do not.
#[test]
fn cut_tries_of_protected_commands_are_counted() {
    for (cuts, then) in [(14, 0x9000), (15, 0x9303)] {
        let memory = Memory::new(&memory());
        for _ in 0..cuts {
            let mut card = powered(memory.store());
            select(&mut card, Aid::PURSE.octets());
            let challenge = challenge(&mut card, ChallengeLength::Eight);
            // In the write behind the one that counted it.
            memory.arm(Cut { after: 2, torn: Torn::Old });
            assert!(card.transmit(&Order::Block.command(&damk(), challenge)).is_err());
            memory.mend();
        }
        let mut card = powered(memory.store());
        select(&mut card, Aid::PURSE.octets());
        assert_eq!(order(&mut card, Order::Block), then, "{cuts}");
    }
}

/// A recorded PIN RELOAD is right as often as it is played: it gives back no guess of another MAC.
#[test]
fn a_recorded_reload_makes_no_guess_free() {
    let mut card = card();
    at(&mut card, Interface::Contact);
    let reload = drpk().reload(0, &Pin::from_digits("40962718").unwrap());
    assert_eq!(send(&mut card, &reload).1, 0x9000);
    assert_eq!(forged(&mut card), 0x6988);
    assert_eq!(send(&mut card, &reload).1, 0x9000);
    assert_eq!(forged(&mut card), 0x6988);
    assert_eq!(send(&mut card, &reload).1, 0x9000);
    assert_eq!(forged(&mut card), 0x9303, "the third in a row");
}

/// A MAC1 as well is compared once for each INITIALIZE, and is not counted: nobody ends riding in
/// passing.
#[test]
fn a_wrong_mac1_ends_the_initialize_and_nothing_else() {
    let mut card = card();
    at(&mut card, Interface::Contactless);
    let writes = card.status().page_writes;
    let debit = hex!("805401000F 00000001 20261201 200000 00000000");
    for _ in 0..50 {
        assert_eq!(send(&mut card, &hex!("805001020B 01 00000001 001122334455")).1, 0x9000);
        assert_eq!(send(&mut card, &debit).1, 0x9302);
        assert_eq!(send(&mut card, &debit).1, 0x6901);
    }
    assert_eq!(card.status().page_writes, writes);
}
