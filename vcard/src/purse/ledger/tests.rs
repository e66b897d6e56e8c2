// SPDX-License-Identifier: Apache-2.0
//! What ends the movement of money.

use super::*;
use crate::context::Context;
use crate::decide::Twice;
use crate::factory;
use crate::interface::Interface;
use crate::nvm::{Nvm, RamStore};
use crate::personalisation::Personalisation;
use crate::purse::{Purse, PurseRam};
use crate::random::Random;
use crate::stop::Stop;
use crate::vault::{self, Vault};
use cam_types::{BcdDate, BcdTime, TerminalId};
use hex_literal::hex;
use iso7816::apdu::{Command, StatusWord};
use wallet::TransactionType;

fn vault(prepare: impl FnOnce(&mut PurseStore)) -> Vault {
    let demo = include_str!("../../../../examples/demo/card.toml");
    let perso = Personalisation::from_text(demo, std::path::Path::new("card.toml")).unwrap();
    let mut objects = factory::objects(&perso).unwrap();
    prepare(objects.purse.get_mut(Context::PURSE).unwrap());
    let image = Nvm::image(&vault::store(&objects));
    Vault::open(Box::new(RamStore::new(&image))).map_err(|_| "unusable").unwrap()
}

fn sw(vault: &mut Vault, apdu: &[u8]) -> StatusWord {
    let mut random = Random::new(|octets| octets.fill(7));
    let mut ram = PurseRam { pin_verified: Twice::new(true), ..PurseRam::default() };
    let (interface, random) = (Twice::new(Interface::Contact), &mut random);
    let mut purse = Purse { vault, ram: &mut ram, interface, random };
    match purse.process(&Command::parse(apdu).unwrap()) {
        Ok(_) => StatusWord::OK,
        Err(Stop::Status(sw)) => sw,
        Err(Stop::PowerLost | Stop::Alarm) => panic!("mute"),
    }
}

/// Numbers end at FFFF: what would need another is refused before it begins, and by the ledger
/// itself.
#[test]
fn numbers_end() {
    const LOAD: &[u8] = &hex!("805000020B 01 00000001 001122334455");
    const PURCHASE: &[u8] = &hex!("805001020B 01 00000001 001122334455");
    const CAPP: &[u8] = &hex!("805003020B 01 00000000 001122334455");
    let exhausted = StatusWord::COUNTER_EXHAUSTED;
    let ok = StatusWord::OK;
    for (online, offline, expected) in [
        (0xFFFE, 0xFFFE, [ok, ok, ok]),
        (0xFFFF, 0xFFFE, [exhausted, ok, ok]),
        (0xFFFE, 0xFFFF, [ok, exhausted, exhausted]),
    ] {
        let mut vault = vault(|purse| {
            purse.money.purse.online_sequence = Guarded(online);
            purse.money.purse.offline_sequence = Guarded(offline);
        });
        let got = [LOAD, PURCHASE, CAPP].map(|apdu| sw(&mut vault, apdu));
        assert_eq!(got, expected, "{online:04X} {offline:04X}");
        let mut purse = vault.objects().purse.get(Context::PURSE).unwrap().clone();
        let transaction = Transaction {
            amount: Fen::new(1),
            kind: TransactionType::LOAD,
            terminal: TerminalId::default(),
            date: BcdDate::default(),
            time: BcdTime::default(),
        };
        let before = purse.money.purse.balance;
        let number = TerminalSequence::new(1);
        let received = purse.receive(transaction).map(|booked| booked.record.sequence);
        let paid = purse.pay(transaction, number, NO_MAC).map(|booked| booked.record.sequence);
        let last =
            |spent: u16| if spent == 0xFFFF { Err(NotBooked::Exhausted) } else { Ok(0xFFFF) };
        assert_eq!((received, paid), (last(online), last(offline)));
        // What is refused moves nothing.
        let moved = i64::from(received.is_ok()) - i64::from(paid.is_ok());
        assert_eq!(i64::from(purse.money.purse.balance.0.fen()), i64::from(before.0.fen()) + moved);
    }
}

/// Without a key for the code there is no transaction.
#[test]
fn no_code_no_money() {
    let mut vault = vault(|purse| {
        purse.tac = crate::keyring::KeyPair::empty();
        purse.tac2 = crate::keyring::KeyPair::empty();
    });
    let transaction = Transaction {
        amount: Fen::new(1),
        kind: TransactionType::PURCHASE,
        terminal: TerminalId::default(),
        date: BcdDate::default(),
        time: BcdTime::default(),
    };
    let before = vault::store(vault.objects());
    let refused = vault.change(|objects| {
        let purse = objects.purse.get_mut(Context::PURSE)?;
        Ok::<_, Stop>(purse.pay(transaction, TerminalSequence::new(1), NO_MAC)?)
    });
    assert_eq!(refused.err(), Some(Stop::Status(StatusWord::NO_KEY)));
    assert_eq!(vault::store(vault.objects()), before);
}
