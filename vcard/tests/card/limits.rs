// SPDX-License-Identifier: Apache-2.0
//! Small amounts without the PIN: so much at once, and so much until the PIN is verified.

use crate::purse::{DATE, GATE, TIME, psam};
use cam_types::{Aid, Fen};
use hex_literal::hex;
use system_tests::demo::*;
use vcard::nvm::RamStore;
use vcard::{Card, Interface};
use wallet::psam::{CardIdentity, SoftPsam};
use wallet::purchase::{Debit, Purchase};

/// A card with these limits and 1,000.00 in it.
fn limited(limits: &str) -> Card {
    let file = file("").replace("balance = 10000", "balance = 100000").replace(
        "terminal_pin_free_per_purchase = 5000\nterminal_pin_free_total = 20000\n",
        limits,
    );
    let perso = vcard::Personalisation::from_text(&file, std::path::Path::new("card.toml"));
    let image = Card::personalise(&perso.unwrap()).unwrap();
    powered(Box::new(RamStore::new(image.octets())))
}

fn at(card: &mut Card, interface: Interface) {
    card.power_on_at(interface);
    assert_eq!(select(card, Aid::PURSE.octets()), 0x9000);
}

/// 9000, or how INITIALIZE was refused.
fn pay(card: &mut Card, psam: &mut SoftPsam, amount: u32) -> u16 {
    let purchase = Purchase::new(1, Fen::new(amount), GATE).unwrap();
    let response = card.transmit(&purchase.command()).unwrap();
    let [.., high, low] = response[..] else { panic!("{response:02X?}") };
    let Ok(initialized) = purchase.initialized(&response) else {
        return u16::from_be_bytes([high, low]);
    };
    let debiting = initialized.authorise(DATE, TIME, &CardIdentity::default(), psam).unwrap();
    let response = card.transmit(&debiting.command()).unwrap();
    assert!(matches!(debiting.finish(Some(&response), psam), Debit::Paid(_)));
    0x9000
}

fn verify(card: &mut Card) {
    assert_eq!(send(card, &hex!("0020000004 40962718")).1, 0x9000);
}

const LIMITS: &str = "terminal_pin_free_per_purchase = 5000\nterminal_pin_free_total = 12000\n";

#[test]
fn small_amounts_up_to_a_sum() {
    let mut card = limited(LIMITS);
    let psam = &mut psam();
    at(&mut card, Interface::Contactless);
    assert_eq!(pay(&mut card, psam, 5001), 0x6982, "too much at once");
    assert_eq!(pay(&mut card, psam, 5000), 0x9000);
    // The contacts are no way around it.
    at(&mut card, Interface::Contact);
    assert_eq!(pay(&mut card, psam, 5001), 0x6982);
    assert_eq!(pay(&mut card, psam, 5000), 0x9000);
    at(&mut card, Interface::Contactless);
    assert_eq!(pay(&mut card, psam, 2001), 0x6982, "too much together");
    assert_eq!(pay(&mut card, psam, 2000), 0x9000);
    assert_eq!(pay(&mut card, psam, 1), 0x6982);
    assert_eq!(send(&mut card, &hex!("805003020B 01 00000000 001122334455")).1, 0x9000, "entry");
    assert_eq!(pay(&mut card, psam, 100_001), 0x9401, "the balance is looked at first");

    // With the PIN, any amount; and small ones are free again.
    at(&mut card, Interface::Contact);
    verify(&mut card);
    assert_eq!(pay(&mut card, psam, 30_000), 0x9000);
    at(&mut card, Interface::Contactless);
    assert_eq!(pay(&mut card, psam, 5001), 0x6982);
    assert_eq!(pay(&mut card, psam, 5000), 0x9000);
    assert_eq!(pay(&mut card, psam, 5000), 0x9000);
    assert_eq!(pay(&mut card, psam, 5000), 0x6982);
    assert_eq!(card.status().balance, Fen::new(48_000));
}

/// The PIN at the box is the same PIN.
#[test]
fn the_pin_at_the_box_counts() {
    let mut card = limited(LIMITS);
    let psam = &mut psam();
    at(&mut card, Interface::Contactless);
    for _ in 0..2 {
        assert_eq!(pay(&mut card, psam, 5000), 0x9000);
    }
    assert_eq!(pay(&mut card, psam, 5000), 0x6982);
    card.power_on();
    let mut stb = Stb::open(&mut card);
    assert!(!stb.verify(&mut card, WRONG_PIN).unwrap().right);
    at(&mut card, Interface::Contactless);
    assert_eq!(pay(&mut card, psam, 5000), 0x6982, "a wrong one is none");
    card.power_on();
    let mut stb = Stb::open(&mut card);
    assert!(stb.verify(&mut card, PIN).unwrap().right);
    at(&mut card, Interface::Contactless);
    assert_eq!(pay(&mut card, psam, 5000), 0x9000);
}

#[test]
fn no_limits_and_limits_of_nothing() {
    let psam = &mut psam();
    let mut card = limited("");
    at(&mut card, Interface::Contactless);
    assert_eq!(pay(&mut card, psam, 100_000), 0x9000, "PBOC's plain purse");
    for limits in ["terminal_pin_free_per_purchase = 0\n", "terminal_pin_free_total = 0\n"] {
        let mut card = limited(limits);
        at(&mut card, Interface::Contact);
        assert_eq!(pay(&mut card, psam, 1), 0x6982, "{limits}");
        verify(&mut card);
        assert_eq!(pay(&mut card, psam, 1), 0x9000, "{limits}");
    }
}
