// SPDX-License-Identifier: Apache-2.0
//! Everything secret that card, box or head-end compares with what somebody sends.
//!
//! Each attempt begins with a card of its own, out of the same memory: what the one before left
//! behind shows in no count. The first two are no product: an exit at the first difference, and
//! what `==` makes of slices. Who counts or times has to find the first one.
//!
//! A seal (SIV) is no comparison of fixed octets: under another tag the same body opens to another
//! plaintext, which has another tag all through, so that an exit at the first difference would not
//! show there. What its kinds hold is that the rest of a refusal does not depend on the place.

use crate::attempts::{Attempt, Place};
use cam_types::{Aid, BcdDate, BcdTime, Epoch, Fen, Key, Secret, TerminalId, TerminalSequence};
use ecm_emm::card::{
    AckResult, EcmAnswer, EmmResult, INS_ACK, INS_ECM, INS_EMM, INS_VERIFY, PinAnswer, PinBlock,
    VERIFY_PURCHASE,
};
use ecm_emm::ecm::EcmHeader;
use ecm_emm::keys::{KeyContext, KeyMaterial, Role, pairing_keys};
use ecm_emm::report::{Ack, ReportHeader};
use ecm_emm::suite::{SealKey, Suite};
use gp::scp03::card::Challenge;
use gp::scp03::{Initialize, Level};
use hex_literal::hex;
use std::hint::black_box;
use std::path::Path;
use std::sync::LazyLock;
use system_tests::demo::*;
use vcard::nvm::RamStore;
use vcard::{Card, Personalisation};
use wallet::formula::mac2_load;
use wallet::keys::{LoadKey, PurchaseKey};
use wallet::load::Load;
use wallet::pin::ReloadKey;
use wallet::psam::{CardIdentity, SoftPsam};
use wallet::purchase::Purchase;

/// A secret of one kind.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// At how many places it can be wrong.
    pub(crate) places: usize,
    pub(crate) attempt: fn(Place) -> Attempt,
}

/// The name of the comparison that has to be found.
pub(crate) const PLANTED: &str = "planted: an early exit";

pub(crate) const KINDS: &[Kind] = &[
    Kind { name: PLANTED, places: 16, attempt: early_exit },
    Kind { name: "planted: == of slices", places: 16, attempt: slices },
    Kind { name: "a seal of suite 1", places: 16, attempt: |place| sealed(Suite::ALL[0], place) },
    Kind { name: "a seal of suite 2", places: 16, attempt: |place| sealed(Suite::ALL[1], place) },
    Kind { name: "a seal of suite 3", places: 16, attempt: |place| sealed(Suite::ALL[2], place) },
    Kind { name: "ECM at the card: seal", places: 16, attempt: ecm_seal },
    Kind { name: "EMM at the card: seal", places: 16, attempt: emm_seal },
    Kind { name: "ACK at the card: seal", places: 16, attempt: ack_seal },
    Kind { name: "ACK at the card: receipt", places: 8, attempt: ack_receipt },
    Kind { name: "a command's C-MAC", places: 8, attempt: command_mac },
    Kind {
        name: "EXTERNAL AUTHENTICATE, 8",
        places: 16,
        attempt: |place| external(place, Width::Eight),
    },
    Kind {
        name: "EXTERNAL AUTHENTICATE, 16",
        places: 32,
        attempt: |place| external(place, Width::Sixteen),
    },
    Kind {
        name: "card cryptogram, 8",
        places: 8,
        attempt: |place| cryptogram(place, Width::Eight),
    },
    Kind {
        name: "card cryptogram, 16",
        places: 16,
        attempt: |place| cryptogram(place, Width::Sixteen),
    },
    Kind { name: "an answer's R-MAC", places: 8, attempt: answer_mac },
    Kind { name: "PIN in a session", places: 8, attempt: pin_in_session },
    Kind { name: "PIN at the purse", places: 8, attempt: pin_at_purse },
    Kind { name: "DEBIT: MAC1", places: 4, attempt: debit_mac1 },
    Kind { name: "CREDIT FOR LOAD: MAC2", places: 4, attempt: load_mac2 },
    Kind { name: "load at the host: MAC1", places: 4, attempt: load_mac1 },
    Kind { name: "PIN RELOAD: MAC", places: 4, attempt: reload_mac },
    Kind { name: "secure module: MAC2", places: 4, attempt: module_mac2 },
];

const DATE: BcdDate = BcdDate(hex!("20261201"));
const TIME: BcdTime = BcdTime(hex!("200000"));
const GATE: TerminalId = TerminalId::new(hex!("001122334455"));
const DPK: [u8; 16] = hex!("616387a00bd54711468a910d848aae69");
const DLK: [u8; 16] = hex!("0f1e2d3c4b5a69788796a5b4c3d2e1f0");
const DRPK: [u8; 16] = hex!("6a6b6c6d6e6f70717273747576777879");

static DEMO: LazyLock<Vec<u8>> = LazyLock::new(memory);
static MODULE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let text = include_str!("../../../../examples/demo/psam.toml");
    let file = Personalisation::from_text(text, Path::new("psam.toml"));
    Card::personalise(&file.unwrap_or_else(|error| panic!("{error}"))).unwrap().octets().to_vec()
});

fn early_exit(place: Place) -> Attempt {
    let (right, mut given) = ([0x5A_u8; 16], [0x5A_u8; 16]);
    place.spoil(&mut given);
    Attempt::check(move || {
        right.iter().zip(&given).all(|(right, given)| black_box(*right) == black_box(*given))
    })
}

fn slices(place: Place) -> Attempt {
    let (right, mut given) = (vec![0x5A_u8; 16], vec![0x5A_u8; 16]);
    place.spoil(&mut given);
    Attempt::check(move || black_box(&right[..]) == black_box(&given[..]))
}

// ---- seals -----------------------------------------------------------------------------------

fn sealed(suite: Suite, place: Place) -> Attempt {
    let octets = [0x71; 32];
    let material = KeyMaterial::from_slice(&octets[..suite.key_len()]).unwrap();
    let key = SealKey::new(suite, material).unwrap();
    let context = KeyContext::new(Role::Individual, OPERATOR, Epoch::new(1));
    let mut message = Vec::new();
    key.seal(&context, b"header", &[0x33; 48], &mut message);
    place.spoil(&mut message[..16]);
    let mut plain = Vec::with_capacity(64);
    Attempt::check(move || key.open(&context, b"header", &message, &mut plain).is_ok())
}

fn fresh() -> Card {
    powered(Box::new(RamStore::new(&DEMO)))
}

/// A command in the clear, and what the data of its answer says.
fn in_clear(mut card: Card, apdu: Vec<u8>, says: fn(&[u8]) -> bool) -> Attempt {
    Attempt::new(
        move || card.transmit(&apdu).unwrap(),
        move |answer| answer.ends_with(&[0x90, 0x00]) && says(&answer[..answer.len() - 2]),
    )
}

/// A command in a session.
fn in_session(mut card: Card, mut stb: Stb, apdu: Vec<u8>, says: fn(&[u8]) -> bool) -> Attempt {
    Attempt::new(
        move || card.transmit(&apdu).unwrap(),
        move |answer| stb.verify_answer(answer).is_ok_and(|data| says(&data)),
    )
}

fn ecm_seal(place: Place) -> Attempt {
    let mut card = fresh();
    let mut stb = Stb::open(&mut card);
    let mut section = news(NOON);
    place.spoil(&mut section[EcmHeader::LEN..][..16]);
    let apdu = stb.wrapped(INS_ECM, 0, 0, &section);
    in_session(card, stb, apdu, |data| EcmAnswer::parse(data).unwrap().ecw.is_some())
}

fn emm_seal(place: Place) -> Attempt {
    let mut card = fresh();
    select(&mut card, Aid::CAS.octets());
    let mut section = TO_CARD.seal(1, &[TO_CARD.delivery(news_target(), 2, 2, NEWS_2)]);
    place.spoil(&mut section[TO_CARD.header(1).aad_len()..][..16]);
    in_clear(card, with_data([0x80, INS_EMM, 0, 0], &section), |data| {
        EmmResult::parse(data).unwrap() == EmmResult::APPLIED
    })
}

fn with_data(header: [u8; 4], data: &[u8]) -> Vec<u8> {
    [&header[..], &[data.len() as u8], data].concat()
}

/// The receipt of its only purchase, and a card that has made it.
fn with_a_purchase() -> (Card, [u8; 8]) {
    let mut card = fresh();
    let mut stb = Stb::open(&mut card);
    let paid = stb.buy(&mut card, 1, &cinema(EVENT, NOON)).unwrap();
    select(&mut card, Aid::CAS.octets());
    (card, paid.receipt)
}

fn ack(card: Card, chain: [u8; 8], seal: Place) -> Attempt {
    let mut message = Vec::new();
    Ack { chain }.seal(&REPORT_HEADER, &key(K_RCP), &mut message).unwrap();
    seal.spoil(&mut message[ReportHeader::LEN..][..16]);
    in_clear(card, with_data([0x80, INS_ACK, 0, 0], &message), |data| {
        AckResult::parse(data).unwrap() == AckResult::FREED
    })
}

fn ack_seal(place: Place) -> Attempt {
    let (card, receipt) = with_a_purchase();
    ack(card, receipt, place)
}

fn ack_receipt(place: Place) -> Attempt {
    let (card, mut receipt) = with_a_purchase();
    place.spoil(&mut receipt);
    ack(card, receipt, Place::Nowhere)
}

// ---- the session -------------------------------------------------------------------------------

/// How long challenges, cryptograms and MACs are.
#[derive(Clone, Copy)]
enum Width {
    Eight,
    Sixteen,
}

fn initialize(width: Width) -> Initialize {
    let keys = pairing_keys(&Key::new(K_PAIR), STB);
    match width {
        Width::Eight => Initialize::new(keys, 0x3F, *b"hostrand"),
        Width::Sixteen => Initialize::wide(keys, 0x3F, Level::FULL, *b"a host's chances"),
    }
}

/// The card's end of a session, as the card has it; both widths, of which a box uses one.
fn challenge(width: Width) -> Challenge {
    let keys = pairing_keys(&Key::new(K_PAIR), STB);
    match width {
        Width::Eight => Challenge::random(&keys, b"hostrand", &[0xC5; 8]).unwrap(),
        Width::Sixteen => Challenge::random(&keys, b"a host's chances", &[0xC5; 16]).unwrap(),
    }
}

fn external(place: Place, width: Width) -> Attempt {
    let mut challenge = Some(challenge(width));
    let answer = challenge.as_ref().unwrap().answer([0; 10], 0x3F);
    let mut apdu = initialize(width).answer(&answer).unwrap().command().to_vec();
    let header = [apdu[0], apdu[1], apdu[2], apdu[3]];
    place.spoil(&mut apdu[5..]);
    Attempt::check(move || {
        challenge.take().is_some_and(|it| it.authenticate(header, &apdu[5..]).is_ok())
    })
}

fn cryptogram(place: Place, width: Width) -> Attempt {
    let mut answer = challenge(width).answer([0; 10], 0x3F);
    let len = (answer.len() - 13) / 2;
    place.spoil(&mut answer[13 + len..]);
    let mut initialize = Some(initialize(width));
    Attempt::check(move || initialize.take().is_some_and(|it| it.answer(&answer).is_ok()))
}

fn command_mac(place: Place) -> Attempt {
    let mut card = fresh();
    let mut stb = Stb::open(&mut card);
    let mut apdu = stb.wrapped(INS_ECM, 0, 0, &news(NOON));
    let lc = usize::from(apdu[4]);
    place.spoil(&mut apdu[5 + lc - 8..][..8]);
    in_session(card, stb, apdu, |_| true)
}

fn answer_mac(place: Place) -> Attempt {
    let mut card = fresh();
    let mut stb = Stb::open(&mut card);
    let mut answer = card.transmit(&stb.wrapped(INS_ECM, 0, 0, &news(NOON))).unwrap();
    let mac = answer.len() - 2 - 8;
    place.spoil(&mut answer[mac..][..8]);
    Attempt::check(move || stb.verify_answer(&answer).is_ok())
}

// ---- PIN ---------------------------------------------------------------------------------------

/// A PIN with one digit another.
fn digits(place: Place) -> Vec<u8> {
    let mut pin = PIN.to_vec();
    if let Place::At(digit) = place {
        pin[digit] = if pin[digit] == b'9' { b'8' } else { pin[digit] + 1 };
    }
    pin
}

fn pin_in_session(place: Place) -> Attempt {
    let mut card = fresh();
    let mut stb = Stb::open(&mut card);
    let block = PinBlock::from_ascii(&digits(place)).unwrap();
    let apdu = stb.wrapped(INS_VERIFY, 0, VERIFY_PURCHASE, block.expose());
    in_session(card, stb, apdu, |data| PinAnswer::parse(data).unwrap().right)
}

/// VERIFY at the purse.
fn verify(place: Place) -> Vec<u8> {
    let octets: Vec<u8> =
        digits(place).as_chunks::<2>().0.iter().map(|[a, b]| a << 4 | b & 0x0F).collect();
    with_data([0x00, 0x20, 0x00, 0x00], &octets)
}

fn purse() -> Card {
    let mut card = fresh();
    assert_eq!(select(&mut card, Aid::PURSE.octets()), 0x9000);
    card
}

fn pin_at_purse(place: Place) -> Attempt {
    in_clear(purse(), verify(place), <[u8]>::is_empty)
}

// ---- purse -------------------------------------------------------------------------------------

fn debit_mac1(place: Place) -> Attempt {
    let mut card = purse();
    let purchase = || Purchase::new(1, Fen::new(350), GATE).unwrap();
    let answer = card.transmit(&purchase().command()).unwrap();
    let key = PurchaseKey::new(Secret::new(DPK));
    let mut psam = SoftPsam::new(GATE, TerminalSequence::new(0)).with_key(1, key);
    let initialized = purchase().initialized(&answer).unwrap();
    let debiting = initialized.authorise(DATE, TIME, &CardIdentity::default(), &mut psam).unwrap();
    let mut apdu = debiting.command();
    place.spoil(&mut apdu[5 + 11..][..4]);
    in_clear(card, apdu, |data| data.len() == 8)
}

fn load() -> Load {
    Load::new(1, Fen::new(500), GATE).unwrap()
}

/// A purse whose PIN is right, and its answer to INITIALIZE FOR LOAD.
fn loading() -> (Card, Vec<u8>) {
    let mut card = purse();
    assert_eq!(send(&mut card, &verify(Place::Nowhere)).1, 0x9000);
    let answer = card.transmit(&load().command()).unwrap();
    (card, answer)
}

fn load_mac2(place: Place) -> Attempt {
    let (card, answer) = loading();
    let initialized = load().initialized(&answer).unwrap();
    let session =
        LoadKey::new(Secret::new(DLK)).session(initialized.random, initialized.online_sequence);
    let mac2 = mac2_load(&session, &initialized.transaction(DATE, TIME));
    let mut apdu = initialized.credit(DATE, TIME, mac2).command();
    place.spoil(&mut apdu[5 + 7..][..4]);
    in_clear(card, apdu, |data| data.len() == 4)
}

fn load_mac1(place: Place) -> Attempt {
    let (_, mut answer) = loading();
    let mac1 = answer.len() - 2 - 4;
    place.spoil(&mut answer[mac1..][..4]);
    let initialized = load().initialized(&answer).unwrap();
    let key = LoadKey::new(Secret::new(DLK));
    Attempt::check(move || initialized.is_from(&key))
}

fn reload_mac(place: Place) -> Attempt {
    let new = hex!("1234");
    let mut mac = ReloadKey::new(&Key::new(DRPK)).mac(&new).0;
    place.spoil(&mut mac);
    let apdu = with_data([0x80, 0x5E, 0x00, 0x00], &[&new[..], &mac].concat());
    in_clear(purse(), apdu, <[u8]>::is_empty)
}

/// The numbers of `wallet/tests/psam.rs`.
fn module_mac2(place: Place) -> Attempt {
    let mut card = powered(Box::new(RamStore::new(&MODULE)));
    assert_eq!(send(&mut card, &hex!("00A4000002 1001 00")).1, 0x9000);
    let init = hex!("80 70 00 00 1C 584633C9 0007 00001000 06 20261201 200000 01 00"
                    "1122334455667788 08");
    assert_eq!(send(&mut card, &init).1, 0x9000);
    let mut mac2 = hex!("B30B352F");
    place.spoil(&mut mac2);
    in_clear(card, with_data([0x80, 0x72, 0x00, 0x00], &mac2), <[u8]>::is_empty)
}
