// SPDX-License-Identifier: Apache-2.0
//! The attacks that have to fail, and the good cases: each up to its last command.

use super::dialogues::*;
use super::{Gain, Ready};
use crate::emm::{signed, signing_key};
use crate::guesses::VERIFY;
use crate::held_back::pair;
use crate::maintenance::{challenge, damk};
use crate::psam::{DEMO, INIT, memory_of};
use crate::purse::GATE;
use cam_types::{Aid, EventId, Fen, Pseudonym, StbId};
use ecm_emm::card::{INS_ECM, INS_INFO};
use ecm_emm::ecm::{EcmBody, Rating};
use ecm_emm::emm::{Address, EmmCommand, TimeStep};
use hex_literal::hex;
use p256::ecdsa::SigningKey;
use system_tests::demo::*;
use wallet::load::Load;
use wallet::purchase::Purchase;
use wallet::secure_messaging::{ChallengeLength, Order};

/// What it is, the dialogue up to the command, and what two wrong looks would give.
pub(super) type Case = (&'static str, fn() -> Ready, Gain);

pub(super) const CASES: &[Case] = &[
    // ---- ECM
    ("a package opens", || ecm(&[], &news(NOON)), Gain::None),
    ("a package that is not held", || ecm(&[], &packages(9, body_at(NOON))), Gain::None),
    ("a package changed in the ciphertext", altered, Gain::Words),
    ("an ECM older than the clock", || ecm(&[], &news(before(700))), Gain::Words),
    (
        "an ECM of a time far ahead",
        || ecm(&[], &news(before(0).saturating_add(201 * DAY))),
        Gain::Words,
    ),
    ("a right that has ended", expired, Gain::None),
    (
        "another channel than expected",
        || at_box(&[], |_, stb| stb.wrapped(INS_ECM, 0x02, 0x02, &news(NOON))),
        Gain::Words,
    ),
    (
        "an EMM level that is not reached",
        || ecm(&[], &packages(1, EcmBody { emm_floor: 9, ..body_at(NOON) })),
        Gain::Words,
    ),
    (
        "a rating over the limit",
        || {
            let rated = EcmBody { rating: Rating(10), ..body_at(NOON) };
            ecm(&[("operator =", "rating_limit = 9\noperator =")], &packages(1, rated))
        },
        Gain::Words,
    ),
    ("a blocked card", || ecm(&[("\"active\"", "\"blocked\"")], &news(NOON)), Gain::Words),
    (
        "an expired card",
        || ecm(&[("operator =", "expires = 2026-12-01T00:00:00Z\noperator =")], &news(NOON)),
        Gain::Words,
    ),
    (
        "a card of another operator",
        || ecm(&[("operator = 0x1201", "operator = 0x1202")], &news(NOON)),
        Gain::None,
    ),
    ("a channel more than a household has", crowd, Gain::Words),
    (
        "a session's command with another MAC",
        || {
            at_box(&[], |_, stb| {
                let mut apdu = stb.wrapped(INS_ECM, 0, 0, &news(NOON));
                let mac = 4 + usize::from(apdu[4]);
                apdu[mac] ^= 1;
                apdu
            })
        },
        Gain::Success,
    ),
    (
        "an ECM without a session",
        || {
            in_clear(&memory(), |_| {
                [&[0x80, INS_ECM, 0, 0, news(NOON).len() as u8][..], &news(NOON)].concat()
            })
        },
        Gain::None,
    ),
    // ---- PURCHASE and PIN
    (
        "a purchase",
        || {
            at_box(&[], |card, stb| {
                stb.verify(card, PIN).unwrap();
                purchase(stb, 1, PRICE, EVENT)
            })
        },
        Gain::None,
    ),
    (
        "a purchase without the PIN",
        || at_box(&[], |_, stb| purchase(stb, 1, PRICE, EVENT)),
        Gain::None,
    ),
    (
        "another price than the one seen",
        || {
            at_box(&[], |card, stb| {
                stb.verify(card, PIN).unwrap();
                purchase(stb, 1, Fen::new(1), EVENT)
            })
        },
        Gain::Pages,
    ),
    (
        "more than there is",
        || {
            at_box(&[("balance = 10000", "balance = 1000")], |card, stb| {
                stb.verify(card, PIN).unwrap();
                purchase(stb, 1, PRICE, EVENT)
            })
        },
        Gain::None,
    ),
    (
        "a number below the last one",
        || {
            at_box(&[], |card, stb| {
                stb.buy(card, 5, &cinema(EVENT, NOON)).unwrap();
                stb.verify(card, PIN).unwrap();
                purchase(stb, 4, PRICE, EventId::new(2002))
            })
        },
        Gain::Pages,
    ),
    (
        "a request that was paid",
        || {
            at_box(&[], |card, stb| {
                stb.buy(card, 5, &cinema(EVENT, NOON)).unwrap();
                stb.verify(card, PIN).unwrap();
                purchase(stb, 5, PRICE, EVENT)
            })
        },
        Gain::None,
    ),
    (
        "a programme that is owned",
        || {
            at_box(&[], |card, stb| {
                stb.buy(card, 5, &cinema(EVENT, NOON)).unwrap();
                stb.verify(card, PIN).unwrap();
                purchase(stb, 6, PRICE, EVENT)
            })
        },
        Gain::Pages,
    ),
    ("a PIN", || at_box(&[], |_, stb| verify(stb, PIN)), Gain::None),
    ("a wrong PIN", || at_box(&[], |_, stb| verify(stb, WRONG_PIN)), Gain::Answer),
    (
        "a PIN without tries",
        || {
            at_box(&[], |card, stb| {
                for _ in 0..3 {
                    stb.verify(card, WRONG_PIN).unwrap();
                }
                verify(stb, PIN)
            })
        },
        Gain::None,
    ),
    // ---- EMM
    ("a top-up", || message(&TO_PURSE.seal(1, &[topup(1)])), Gain::None),
    (
        "a changed message",
        || {
            let mut section = TO_CARD.seal(1, &[EmmCommand::CardState { blocked: true }]);
            *section.last_mut().unwrap() ^= 1;
            message(&section)
        },
        Gain::Pages,
    ),
    (
        "a changed top-up",
        || {
            let mut section = TO_PURSE.seal(1, &[topup(1)]);
            *section.last_mut().unwrap() ^= 1;
            message(&section)
        },
        Gain::Pages,
    ),
    (
        "another card's message",
        || {
            let other = Pseudonym::new([0x11; 8]);
            let sender = Sender { address: Address::Unique(other), ..TO_CARD };
            message(&sender.seal(1, &[EmmCommand::CardState { blocked: true }]))
        },
        Gain::Pages,
    ),
    (
        "what a group may not say",
        || {
            let mut plain = Vec::new();
            EmmCommand::CardState { blocked: true }.emit(&mut plain).unwrap();
            message(&raw(TO_GROUP, 1, &plain))
        },
        Gain::None,
    ),
    (
        "a message that was taken",
        || {
            let section = TO_CARD.seal(1, &[EmmCommand::CardState { blocked: true }]);
            again(std::slice::from_ref(&section), &section)
        },
        Gain::None,
    ),
    (
        "a top-up in another message",
        || again(&[TO_PURSE.seal(1, &[topup(1)])], &TO_PURSE.seal(2, &[topup(1)])),
        Gain::Pages,
    ),
    (
        "a state that a later message took back",
        || {
            let state = |blocked| [EmmCommand::CardState { blocked }];
            again(&[TO_CARD.seal(5, &state(true))], &TO_CARD.seal(4, &state(false)))
        },
        Gain::Pages,
    ),
    (
        "a clock set back",
        || {
            let sync = |time| [EmmCommand::TimeSync { time, step: TimeStep::Forward }];
            again(
                &[TO_CARD.seal(0, &sync(NOON.saturating_add(2 * DAY)))],
                &TO_CARD.seal(0, &sync(NOON.saturating_add(DAY))),
            )
        },
        Gain::Answer,
    ),
    (
        "a forged signature",
        || {
            let forger = SigningKey::from_slice(&[0x43; 32]).unwrap();
            to_all(&[], &signed(6, &[level(9)], &forger))
        },
        Gain::Pages,
    ),
    ("a signed message", || to_all(&[], &signed(6, &[level(9)], &signing_key())), Gain::None),
    (
        "a pairing with a barred box",
        || {
            let stb = StbId::new(*b"STB00002");
            let bar = EmmCommand::BoxBar { number: 7, barred: true, stb };
            to_all(&[signed(1, &[bar], &signing_key())], &TO_CARD.seal(9, &[pair(1)]))
        },
        Gain::Pages,
    ),
    // ---- sessions and interfaces
    ("a session", || authenticate(|apdu| apdu), Gain::None),
    (
        "another cryptogram",
        || {
            authenticate(|mut apdu| {
                apdu[6] ^= 1;
                apdu
            })
        },
        Gain::None,
    ),
    (
        "another MAC of EXTERNAL AUTHENTICATE",
        || {
            authenticate(|mut apdu| {
                *apdu.last_mut().unwrap() ^= 1;
                apdu
            })
        },
        Gain::Success,
    ),
    (
        "a session of less than level 33",
        || {
            authenticate(|mut apdu| {
                apdu[2] = 0x13;
                apdu
            })
        },
        Gain::None,
    ),
    (
        "a barred box",
        || {
            in_clear(&memory(), |card| {
                info(card);
                let bar = EmmCommand::BoxBar { number: 7, barred: true, stb: STB };
                emm(card, &TO_CARD.seal(9, &[bar]));
                initialize().command()
            })
        },
        Gain::Success,
    ),
    (
        "conditional access over the antenna",
        || over_the_antenna(Aid::CAS, &[0x80, INS_INFO, 0, 0, 0]),
        Gain::Success,
    ),
    ("a PIN over the antenna", || over_the_antenna(Aid::PURSE, &VERIFY), Gain::Success),
    (
        "a blocked card's purse",
        || {
            in_clear(&memory(), |card| {
                at_purse(card);
                let challenge = challenge(card, ChallengeLength::Four);
                assert_eq!(send(card, &Order::BlockCard.command(&damk(), challenge)).1, 0x9000);
                [&hex!("00A4040009")[..], Aid::PURSE.octets()].concat()
            })
        },
        Gain::Success,
    ),
    // ---- the purse
    ("a debit", || debit(|apdu| apdu), Gain::None),
    (
        "a debit with another MAC1",
        || {
            debit(|mut apdu| {
                apdu[17] ^= 1;
                apdu
            })
        },
        Gain::Success,
    ),
    (
        "more than terminals take without the PIN",
        || {
            in_clear(&memory(), |card| {
                at_purse(card);
                Purchase::new(1, Fen::new(6000), GATE).unwrap().command()
            })
        },
        Gain::Success,
    ),
    (
        "a purchase of more than there is",
        || {
            in_clear(&memory(), |card| {
                at_purse(card);
                assert_eq!(send(card, &VERIFY).1, 0x9000);
                Purchase::new(1, Fen::new(10_001), GATE).unwrap().command()
            })
        },
        Gain::Success,
    ),
    (
        "a load without the PIN",
        || {
            in_clear(&memory(), |card| {
                at_purse(card);
                Load::new(1, Fen::new(500), GATE).unwrap().command()
            })
        },
        Gain::Success,
    ),
    ("a load", || credit(|apdu| apdu), Gain::None),
    (
        "a load with another MAC2",
        || {
            credit(|mut apdu| {
                apdu[15] ^= 1;
                apdu
            })
        },
        Gain::Success,
    ),
    (
        "a forged order of the issuer",
        || {
            in_clear(&memory(), |card| {
                at_purse(card);
                let challenge = challenge(card, ChallengeLength::Four);
                let mut apdu = Order::Block.command(&damk(), challenge);
                *apdu.last_mut().unwrap() ^= 1;
                apdu
            })
        },
        Gain::Success,
    ),
    (
        "a terminal's module with another MAC2",
        || {
            in_clear(&memory_of(DEMO), |card| {
                assert_eq!(send(card, &hex!("00A4000002 1001 00")).1, 0x9000);
                assert_eq!(send(card, &INIT).1, 0x9000);
                hex!("80720000 04 00000000").to_vec()
            })
        },
        Gain::Success,
    ),
];
