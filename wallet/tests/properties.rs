// SPDX-License-Identifier: Apache-2.0
//! Whatever the card says: no flow panics, and no answer but the right one ends a commit.

use cam_types::{Aid, BcdDate, BcdTime, Fen, Secret, StatusWord, TerminalId, TerminalSequence};
use hex_literal::hex;
use proptest::prelude::*;
use wallet::card::{ApplicationData, AuthenticationCode};
use wallet::compound::{CompoundPurchase, Update};
use wallet::formula::{mac2_load, mac2_purchase, tac_load};
use wallet::keys::{LoadKey, PurchaseKey, TacKey};
use wallet::load::{Credit, Crediting, Load};
use wallet::pin::{Pin, PinAnswer, Verify};
use wallet::proof::{Evidence, Settlement, Unsettled};
use wallet::psam::{CardIdentity, SoftPsam};
use wallet::purchase::{Debit, Debiting};
use wallet::read::{LogReading, balance};
use wallet::secure_messaging::{ChallengeLength, Order};
use wallet::select::Select;
use wallet::{LogRecord, Mac, Refusal, Transaction, TransactionType};

const KEY: [u8; 16] = hex!("00112233445566778899AABBCCDDEEFF");
const TERMINAL: TerminalId = TerminalId::new(hex!("001122334455"));
const DATE: BcdDate = BcdDate(hex!("20161216"));
const TIME: BcdTime = BcdTime(hex!("134600"));
const PRICE: Fen = Fen::new(350);
const INITIALIZED: [u8; 17] = hex!("00002000 00FE 000000 01 00 584633C9 9000");

/// The same debit each time, by a purchase that also writes a record.
fn debiting() -> (Debiting, SoftPsam) {
    let mut psam = SoftPsam::new(TERMINAL, TerminalSequence::new(0))
        .with_key(1, PurchaseKey::new(Secret::new(KEY)));
    let debiting = CompoundPurchase::new(1, PRICE, TERMINAL)
        .initialized(&INITIALIZED)
        .unwrap()
        .update(Update::by_number(0x17, 1, &[1]).unwrap())
        .updated(&hex!("9000"))
        .unwrap()
        .authorise(DATE, TIME, &CardIdentity::default(), &mut psam)
        .unwrap();
    (debiting, psam)
}

fn debited() -> Vec<u8> {
    let (random, sequence) = (hex!("584633C9"), hex!("00FE"));
    let session =
        PurchaseKey::new(Secret::new(KEY)).session(random, sequence, TerminalSequence::new(1));
    let Mac(mac2) = mac2_purchase(&session, PRICE);
    [&hex!("8AF270DC")[..], &mac2, &hex!("9000")].concat()
}

fn load() -> Load {
    Load::new(1, PRICE, TERMINAL).unwrap()
}

fn crediting() -> Crediting {
    let initialized =
        load().initialized(&hex!("00002000 00FE 01 00 C903814D 03976C22 9000")).unwrap();
    let key = LoadKey::new(Secret::new(KEY));
    let session = key.session(initialized.random, initialized.online_sequence);
    let mac2 = mac2_load(&session, &initialized.transaction(DATE, TIME));
    initialized.credit(DATE, TIME, mac2)
}

fn tac_key() -> TacKey {
    TacKey::new(Secret::new(hex!("13579BDF02468ACE1122446688AACCEE")))
}

fn credited() -> Vec<u8> {
    let transaction = Transaction {
        amount: PRICE,
        kind: TransactionType::LOAD,
        terminal: TERMINAL,
        date: DATE,
        time: TIME,
    };
    let sum = Fen::new(0x2000).checked_add(PRICE).unwrap();
    let Mac(tac) = tac_load(&tac_key().fold(), sum, hex!("00FE"), &transaction);
    [&tac[..], &hex!("9000")].concat()
}

fn unsettled() -> Unsettled {
    let (debiting, mut psam) = debiting();
    let Debit::Unsettled(unsettled) = debiting.finish(None, &mut psam) else { panic!("settled") };
    unsettled
}

fn status() -> impl Strategy<Value = [u8; 2]> {
    let known = vec![
        0x9000, 0x6581, 0x6700, 0x6901, 0x6982, 0x6985, 0x6A81, 0x6A83, 0x6C08, 0x63C2, 0x9302,
        0x9401, 0x9406_u16,
    ];
    prop_oneof![prop::sample::select(known).prop_map(u16::to_be_bytes), any::<[u8; 2]>()]
}

/// Data of any length, most often of one that some answer has, and a status word, or its half.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![Just(0), Just(4), Just(8), Just(15), Just(16), Just(23), 0..300_usize];
    let data = length.prop_flat_map(|length| prop::collection::vec(any::<u8>(), length));
    (data, status(), 0..=2_usize).prop_map(|(mut data, status, cut)| {
        data.extend(&status[..2 - cut % 2]);
        data
    })
}

/// An answer to a commit on a bad line: lost, cut, longer, with wrong octets, or something else.
fn damaged(right: Vec<u8>) -> impl Strategy<Value = Option<Vec<u8>>> {
    let (cut, longer, flipped) = (right.clone(), right.clone(), right.clone());
    prop_oneof![
        Just(None),
        Just(Some(right.clone())),
        (0..right.len()).prop_map(move |length| Some(cut[..length].to_vec())),
        prop::collection::vec(any::<u8>(), 1..9)
            .prop_map(move |more| Some([longer.clone(), more].concat())),
        (0..right.len(), 1..=255_u8).prop_map(move |(place, mask)| {
            let mut octets = flipped.clone();
            octets[place] ^= mask;
            Some(octets)
        }),
        answer().prop_map(Some),
        status().prop_map(|status| Some(status.to_vec())),
    ]
}

/// What a commit must be after `response`: a refusal is a known status word and nothing else.
fn refusal(response: Option<&[u8]>) -> Option<Refusal> {
    let status: [u8; 2] = response?.try_into().ok()?;
    Refusal::of_commit(StatusWord(u16::from_be_bytes(status)))
}

proptest! {
    #[test]
    fn whatever_a_card_says_nothing_panics(response in answer(), octets in prop::collection::vec(any::<u8>(), 0..64)) {
        for response in [&response, &octets] {
            let _ = Select::new(Aid::PURSE.octets()).answer(response);
            let _ = ApplicationData::answer(response);
            let _ = AuthenticationCode::answer(response);
            let _ = balance(response);
            let _ = LogReading::new().answer(response);
            let _ = load().initialized(response);
            let _ = CompoundPurchase::new(1, PRICE, TERMINAL).initialized(response);
            let updating = CompoundPurchase::new(1, PRICE, TERMINAL)
                .initialized(&INITIALIZED)
                .unwrap()
                .update(Update::by_number(0x17, 1, &[1]).unwrap());
            let _ = updating.updated(response);
            let _ = ChallengeLength::Four.answer(response);
            let _ = ChallengeLength::Eight.answer(response);
            let _ = Order::Block.answer(Some(response));
            let _ = Unsettled::parse(response);
        }
    }

    #[test]
    fn file_control_information_of_any_kind_is_read(octets in prop::collection::vec(
        prop::sample::select(vec![0x6F, 0x84, 0xA5, 0x9F, 0x0C, 0x00, 0x01, 0x03, 0x1E, 0x81, 0xFF]),
        0..40,
    )) {
        let mut response = octets;
        response.extend([0x90, 0x00]);
        let _ = Select::new(Aid::PURSE.octets()).answer(&response);
    }

    #[test]
    fn a_debit_ends_by_the_right_answer_or_a_refusal(response in damaged(debited())) {
        let (debiting, mut psam) = debiting();
        let response = response.as_deref();
        let right = debited();
        let debit = debiting.finish(response, &mut psam);
        match (response, refusal(response)) {
            // The TAC is the acquirer's to check.
            (Some([_, _, _, _, rest @ ..]), _) if *rest == right[4..] => {
                prop_assert!(matches!(debit, Debit::Paid(_)));
            }
            (_, Some(refusal)) => prop_assert_eq!(debit, Debit::Refused(refusal)),
            _ => prop_assert_eq!(debit, Debit::Unsettled(unsettled())),
        }
    }

    #[test]
    fn a_credit_ends_by_the_right_answer_or_a_refusal(response in damaged(credited())) {
        let response = response.as_deref();
        let credit = crediting().finish_checked(response, &tac_key());
        match refusal(response) {
            _ if response == Some(&credited()) => prop_assert!(matches!(credit, Credit::Loaded(_))),
            Some(refusal) => prop_assert_eq!(credit, Credit::Refused(refusal)),
            None => prop_assert!(matches!(credit, Credit::Unsettled(_))),
        }
    }

    /// Nothing is made that neither a proof nor the log shows, and nothing is not made but by the
    /// card's own counter.
    #[test]
    fn a_settlement_has_its_reason(answers in prop::collection::vec(prop_oneof![
        answer(),
        status().prop_map(Vec::from),
        Just(INITIALIZED.to_vec()),
        Just(hex!("00001EA2 00FF 000000 01 00 584633C9 9000").to_vec()),
        Just(hex!("00000000 8AF270DC 9000").to_vec()),
        Just(hex!("00FF 000000 0000015E 09 001122334455 20161216 134600 9000").to_vec()),
    ], 12)) {
        let mut settlement = Settlement::Ask(unsettled().inquire());
        let mut heard = Vec::new();
        let no_record = hex!("6A83").to_vec();
        for answer in answers.iter().chain([&no_record]) {
            let Settlement::Ask(inquiry) = settlement else { break };
            heard.push(answer);
            settlement = inquiry.answer(Some(answer), |proof| proof.check_mac(|_| false));
        }
        let last = heard.last().unwrap();
        match settlement {
            Settlement::Made(made) => {
                prop_assert!(matches!(made.evidence, Evidence::Log(_)), "{:?}", made);
                let record = LogRecord::parse(&last[..LogRecord::LEN]).unwrap();
                prop_assert_eq!(record.transaction, unsettled().transaction);
                prop_assert!(heard.len() > 3);
            }
            Settlement::NotMade(_) => {
                prop_assert_eq!(heard.len(), 3);
                prop_assert!(last.len() == 17 && last[4..6] == hex!("00FE"));
            }
            Settlement::Ask(_) => prop_assert!(false, "questions without end"),
            Settlement::NoAnswer(kept) | Settlement::Refused(kept, _) | Settlement::MovedOn(kept) | Settlement::NotShown(kept) => {
                prop_assert_eq!(kept, unsettled());
            }
        }
    }

    /// A PIN is right by 9000 alone, and an answer that cannot be read is never a reason to go on.
    #[test]
    fn a_pin_is_right_by_9000_alone(response in answer()) {
        let pin = Pin::from_digits("1234").unwrap();
        let answer = Verify::new(0, &pin).answer(Some(&response));
        prop_assert_eq!(answer == PinAnswer::Right, response == hex!("9000"));
    }

    #[test]
    fn what_is_parsed_is_emitted(
        record: [u8; LogRecord::LEN],
        kept in prop::collection::vec(any::<u8>(), Unsettled::LEN),
    ) {
        let mut emitted = Vec::new();
        LogRecord::parse(&record).unwrap().emit(&mut emitted);
        prop_assert_eq!(emitted, record);
        let emitted = Unsettled::parse(&kept).unwrap().octets();
        prop_assert_eq!(emitted, kept);
    }
}
