// SPDX-License-Identifier: Apache-2.0
//! Dialogues with the card up to the command that is glitched.

use super::Ready;
use crate::emm::memory_with_signature;
use crate::guesses::VERIFY;
use crate::purse::{DATE, GATE, TIME, dlk, psam};
use cam_types::{
    Aid, BcdDate, BcdTime, CasTime, ChannelId, EventId, Fen, Key, PackageId, TerminalId,
    TerminalSequence,
};
use ecm_emm::card::{INS_ECM, INS_EMM, INS_PURCHASE, INS_VERIFY, PinBlock, PurchaseRequest};
use ecm_emm::ecm::{Criteria, EcmBody};
use ecm_emm::emm::EmmCommand;
use ecm_emm::keys::pairing_keys;
use gp::scp03::Initialize;
use hex_literal::hex;
use system_tests::demo::*;
use system_tests::memory::Memory;
use vcard::{Card, Interface, Personalisation};
use wallet::formula::mac2_load;
use wallet::load::Load;
use wallet::psam::CardIdentity;
use wallet::purchase::Purchase;

/// The demo's card and file, changed.
pub(super) fn changed(changes: &[(&str, &str)]) -> Vec<u8> {
    let text = changes.iter().fold(file(""), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    let path = std::path::Path::new("card.toml");
    let perso = Personalisation::from_text(&text, path).unwrap_or_else(|e| panic!("{e}"));
    Card::personalise(&perso).unwrap().octets().to_vec()
}

pub(super) fn in_clear(memory: &[u8], make: impl FnOnce(&mut Card) -> Vec<u8>) -> Ready {
    let memory = Memory::new(memory);
    let mut card = powered(memory.store());
    let apdu = make(&mut card);
    Ready { memory, card, apdu }
}

pub(super) fn at_box(
    changes: &[(&str, &str)],
    make: impl FnOnce(&mut Card, &mut Stb) -> Vec<u8>,
) -> Ready {
    in_clear(&changed(changes), |card| {
        let mut stb = Stb::open(card);
        make(card, &mut stb)
    })
}

pub(super) fn ecm(changes: &[(&str, &str)], section: &[u8]) -> Ready {
    at_box(changes, |_, stb| stb.wrapped(INS_ECM, 0, 0, section))
}

/// Seconds before the card's clock.
pub(super) fn before(seconds: u32) -> CasTime {
    NOON.saturating_sub(DAY + DAY / 2 + seconds)
}

pub(super) fn body_at(time: CasTime) -> EcmBody {
    body(time, Criteria::default())
}

pub(super) fn packages(id: u16, body: EcmBody) -> Vec<u8> {
    let criteria = Criteria { packages: vec![PackageId::new(id)], ..Criteria::default() };
    seal_ecm(NEWS, &EcmBody { criteria, ..body })
}

/// What stands under the keystream changes as its ciphertext does: package 9 becomes 1.
pub(super) fn altered() -> Ready {
    let mut section = packages(9, body_at(NOON));
    *section.last_mut().unwrap() ^= 9 ^ 1;
    ecm(&[], &section)
}

/// The package ended yesterday.
pub(super) fn expired() -> Ready {
    let end = ("end = 2027-12-31T00:00:00Z", "end = 2026-11-30T12:00:00Z");
    ecm(&[end], &news(NOON))
}

/// One channel is kept, and the tokens are gone.
pub(super) fn crowd() -> Ready {
    at_box(&[("operator =", "channels = 1\noperator =")], |card, stb| {
        let of =
            |channel| packages(1, EcmBody { channel: ChannelId::new(channel), ..body_at(NOON) });
        for channel in 1..=25 {
            assert!(stb.ecm(card, &of(channel)).ecw.is_some(), "{channel}");
        }
        stb.wrapped(INS_ECM, 0, 0, &of(26))
    })
}

pub(super) fn purchase(
    stb: &mut Stb,
    sequence: u32,
    expected_price: Fen,
    event: EventId,
) -> Vec<u8> {
    let (section, mut data) = (cinema(event, NOON), Vec::new());
    let request = PurchaseRequest {
        terminal_sequence: TerminalSequence::new(sequence),
        terminal: TERMINAL,
        expected_price,
        flags: 0,
        section: &section,
    };
    request.emit(&mut data).unwrap();
    stb.wrapped(INS_PURCHASE, 0, 0, &data)
}

pub(super) fn verify(stb: &mut Stb, pin: &[u8]) -> Vec<u8> {
    stb.wrapped(INS_VERIFY, 0, 0, PinBlock::from_ascii(pin).unwrap().expose())
}

pub(super) fn topup(number: u16) -> EmmCommand {
    EmmCommand::Topup {
        number,
        amount: Fen::new(500),
        date: BcdDate(hex!("20261130")),
        time: BcdTime(hex!("080000")),
        agent: TerminalId::new(hex!("A00000000001")),
    }
}

pub(super) fn level(level: u16) -> EmmCommand {
    EmmCommand::EmmLevel { level, after: None }
}

/// A message behind others that were taken.
pub(super) fn behind(memory: &[u8], taken: &[Vec<u8>], section: &[u8]) -> Ready {
    in_clear(memory, |card| {
        info(card);
        for section in taken {
            assert_eq!(emm(card, section), ecm_emm::card::EmmResult::APPLIED);
        }
        [&[0x80, INS_EMM, 0, 0, section.len() as u8][..], section].concat()
    })
}

pub(super) fn message(section: &[u8]) -> Ready {
    behind(&memory(), &[], section)
}

pub(super) fn again(taken: &[Vec<u8>], section: &[u8]) -> Ready {
    behind(&memory(), taken, section)
}

pub(super) fn to_all(taken: &[Vec<u8>], section: &[u8]) -> Ready {
    behind(&memory_with_signature(), taken, section)
}

pub(super) fn initialize() -> Initialize {
    Initialize::new(pairing_keys(&Key::new(K_PAIR), STB), 0x3F, *b"hostrand")
}

/// EXTERNAL AUTHENTICATE, as the attacker makes it of the box's.
pub(super) fn authenticate(change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Ready {
    in_clear(&memory(), |card| {
        assert_eq!(select(card, Aid::CAS.octets()), 0x9000);
        let (answer, _) = send(card, &initialize().command());
        change(initialize().answer(&answer).unwrap().command().to_vec())
    })
}

pub(super) fn over_the_antenna(aid: Aid, apdu: &[u8]) -> Ready {
    in_clear(&memory(), |card| {
        card.power_on_at(Interface::Contactless);
        assert_eq!(select(card, aid.octets()), 0x9000);
        apdu.to_vec()
    })
}

pub(super) fn at_purse(card: &mut Card) {
    assert_eq!(select(card, Aid::PURSE.octets()), 0x9000);
}

/// DEBIT FOR PURCHASE, as the attacker makes it of the terminal's.
pub(super) fn debit(change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Ready {
    in_clear(&memory(), |card| {
        at_purse(card);
        let purchase = Purchase::new(1, Fen::new(350), GATE).unwrap();
        let initialized = purchase.command();
        let initialized = purchase.initialized(&card.transmit(&initialized).unwrap()).unwrap();
        let card_is = CardIdentity::default();
        let debiting = initialized.authorise(DATE, TIME, &card_is, &mut psam()).unwrap();
        change(debiting.command().to_vec())
    })
}

/// CREDIT FOR LOAD, as the attacker makes it of the host's.
pub(super) fn credit(change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Ready {
    in_clear(&memory(), |card| {
        at_purse(card);
        assert_eq!(send(card, &VERIFY).1, 0x9000);
        let order = Load::new(1, Fen::new(500), GATE).unwrap();
        let response = card.transmit(&order.command()).unwrap();
        let initialized = order.initialized(&response).unwrap();
        let session = dlk().session(initialized.random, initialized.online_sequence);
        let mac2 = mac2_load(&session, &initialized.transaction(DATE, TIME));
        change(initialized.credit(DATE, TIME, mac2).command().to_vec())
    })
}
