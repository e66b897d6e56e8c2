// SPDX-License-Identifier: Apache-2.0
//! The PURCHASE command: paid once, refused with a reason, or settled by asking again.

use cam_types::{CasTime, EventId, Fen, Key, OperatorId, PackageId, TerminalSequence};
use cmac::{Cmac, Mac as _};
use ecm_emm::card::{
    AccessStatus, EcmAnswer, HighestNumber, INS_PURCHASE, INS_RIGHTS, PurchaseResult,
    PurchaseState, RIGHTS_NUMBER,
};
use ecm_emm::ecm::{Criteria, EcmBody, Ppt, Ppv};
use ecm_emm::emm::EmmCommand;
use ecm_emm::keys::{KeyContext, Role, constant};
use hex_literal::hex;
use system_tests::demo::*;
use vcard::nvm::RamStore;
use vcard::{Card, Cut, Fault};
use wallet::formula::tac_purchase;
use wallet::keys::TacKey;
use wallet::{Mac, Transaction, TransactionType};

/// What a package opens now is sold all the same when it is over before the event begins.
#[test]
fn a_package_does_not_outlive_itself() {
    for (days, result) in [(1, PurchaseResult::NO_OFFER), (4000, PurchaseResult::PAID)] {
        let mut card = card();
        let mut stb = Stb::open(&mut card);
        let start = NOON.saturating_add(days * DAY);
        let event = Ppv { start, end: start.saturating_add(3600), ..ppv(EVENT, NOON) };
        let packages = vec![PackageId::new(1)];
        let criteria = Criteria { packages, ppv: Some(event), ..Criteria::default() };
        let section = seal_ecm(NEWS, &body(NOON, criteria));
        assert_eq!(stb.buy(&mut card, 1, &section).unwrap().result, result, "{days}");
    }
}

#[test]
fn the_right_pin_buys_the_event_once() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let section = cinema(EVENT, NOON);
    let paid = stb.buy(&mut card, 1, &section).unwrap();
    assert_eq!((paid.result, paid.state), (PurchaseResult::PAID, PurchaseState::PAID));
    assert_eq!((paid.amount, paid.balance), (PRICE, Fen::new(8800)));
    assert_eq!(paid.offline_sequence, 1);
    // The card's time, UTC+8.
    assert_eq!((paid.date.0, paid.time.0), (hex!("20261201"), hex!("200000")));

    let answer = stb.ecm(&mut card, &section);
    assert_eq!((answer.status, answer.flags), (AccessStatus::GRANTED_EVENT, EcmAnswer::OWNED));

    // The same request again, whatever else it says; and another one for what is owned.
    let commits = card.status().commits;
    for (sequence, price, section, result) in [
        (1, PRICE, section.clone(), PurchaseResult::DONE),
        (1, Fen::new(1), cinema(EventId::new(2002), NOON), PurchaseResult::DONE),
        (1, Fen::ZERO, Vec::new(), PurchaseResult::DONE),
        (2, PRICE, section.clone(), PurchaseResult::OWNED),
    ] {
        let again = stb.purchase(&mut card, sequence, price, &section).unwrap();
        assert_eq!(again, ecm_emm::card::PurchaseAnswer { result, ..paid });
    }
    let none = stb.query(&mut card, 7);
    assert_eq!((none.result, none.balance), (PurchaseResult::NONE, Fen::new(8800)));
    assert_eq!(card.status().commits, commits);
}

/// T29: a box learns in the session which number of its own the log holds, and no other terminal's.
#[test]
fn the_log_tells_the_highest_number_of_a_terminal() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let highest = |stb: &mut Stb, card: &mut Card, terminal: &[u8]| {
        stb.send(card, INS_RIGHTS, RIGHTS_NUMBER, terminal)
            .map(|data| HighestNumber::parse(&data).unwrap().0.map(TerminalSequence::value))
    };
    assert_eq!(highest(&mut stb, &mut card, TERMINAL.octets()), Ok(None));
    for (n, event) in [(7, EVENT), (0xFFFF_FFF0, EventId::new(2002))] {
        assert_eq!(
            stb.buy(&mut card, n, &cinema(event, NOON)).unwrap().result,
            PurchaseResult::PAID
        );
        let commits = card.status().commits;
        assert_eq!(highest(&mut stb, &mut card, TERMINAL.octets()), Ok(Some(n)));
        assert_eq!(highest(&mut stb, &mut card, b"000000"), Ok(None));
        assert_eq!(card.status().commits, commits);
    }
    for (data, sw) in [(&[][..], 0x6A80), (&TERMINAL.octets()[..5], 0x6A80), (&[0; 7], 0x6A80)] {
        assert_eq!(highest(&mut stb, &mut card, data), Err(Failed::Status(sw)));
    }
    let mut clear = vec![0x80, INS_RIGHTS, 0, RIGHTS_NUMBER, 6];
    clear.extend(TERMINAL.octets());
    assert_eq!(send(&mut card, &clear).1, 0x6982);
}

/// The transaction code is PBOC's, the receipt is chained: both recompute outside of the card.
#[test]
fn code_and_receipt_recompute() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let mut previous = [0; 8];
    for (n, event) in [(1_u32, EVENT), (2, EventId::new(2002))] {
        let paid = stb.buy(&mut card, n, &cinema(event, NOON)).unwrap();
        let transaction = Transaction {
            amount: PRICE,
            kind: TransactionType::COMPOUND,
            terminal: TERMINAL,
            date: paid.date,
            time: paid.time,
        };
        let dtk = TacKey::new(Key::new(hex!("13579bdf02468ace1122446688aaccee")));
        let sequence = TerminalSequence::new(n);
        assert_eq!(Mac(paid.tac), tac_purchase(&dtk.fold(), &transaction, sequence));

        let context = KeyContext::new(Role::Receipt, OPERATOR, cam_types::Epoch::new(1));
        let k_rcp = key(K_RCP);
        let k_rcp = k_rcp.derived_key(constant::RECEIPT, &context);
        let mut fields = hex!("0102030405060708 1201").to_vec();
        wallet::LogRecord { sequence: paid.offline_sequence, overdraft: [0; 3], transaction }
            .emit(&mut fields);
        fields.extend(n.to_be_bytes());
        fields.extend(event.to_be_bytes());
        fields.push(1);
        fields.extend(paid.balance.to_be_bytes());
        fields.extend(previous);
        let mac = <Cmac<aes::Aes128> as cmac::KeyInit>::new(k_rcp.expose().into())
            .chain_update(&fields)
            .finalize()
            .into_bytes();
        assert_eq!(paid.receipt, mac[..8]);
        previous = paid.receipt;
    }
}

struct Row {
    name: &'static str,
    section: Vec<u8>,
    price: Fen,
    pin: bool,
    result: PurchaseResult,
}

fn event_body(ppv: Ppv, time: CasTime) -> EcmBody {
    body(time, Criteria { ppv: Some(ppv), ..Criteria::default() })
}

fn sealed(ppv: Ppv, time: CasTime) -> Vec<u8> {
    seal_ecm(CINEMA_SERVICE, &event_body(ppv, time))
}

/// T10, T11, T29: every refusal, in the card's order; none moves money or writes.
#[test]
fn every_refusal_has_its_reason() {
    let row =
        |name, section: Vec<u8>, result| Row { name, section, price: PRICE, pin: true, result };
    let genuine = cinema(EVENT, NOON);
    let mut forged = genuine.clone();
    *forged.last_mut().unwrap() ^= 1;
    let event = ppv(EVENT, NOON);
    let mut other_operator = genuine.clone();
    other_operator[5] ^= 1;
    assert_ne!(OPERATOR, OperatorId::new(0x1200));
    let open = |packages: &[u16], free| {
        let packages = packages.iter().copied().map(PackageId::new).collect();
        body(NOON, Criteria { packages, free, ppv: Some(event), ..Criteria::default() })
    };
    let rows = [
        row("cut short", genuine[..30].to_vec(), PurchaseResult::MALFORMED),
        row("forged", forged, PurchaseResult::AUTHENTICATION),
        row("another operator", other_operator, PurchaseResult::NO_KEY),
        row(
            "no such generation",
            seal_ecm(Service { epoch: 9, ..CINEMA_SERVICE }, &event_body(event, NOON)),
            PurchaseResult::NO_KEY,
        ),
        row("old ECM", sealed(event, NOON.saturating_sub(3 * DAY)), PurchaseResult::CLOCK),
        row("far future", sealed(event, NOON.saturating_add(300 * DAY)), PurchaseResult::CLOCK),
        row("after the event", sealed(event, NOON.saturating_add(3600)), PurchaseResult::WINDOW),
        row("no offer", news(NOON), PurchaseResult::NO_OFFER),
        row("price 0", sealed(Ppv { price: Fen::ZERO, ..event }, NOON), PurchaseResult::NO_OFFER),
        row("open by a package", seal_ecm(NEWS, &open(&[1], false)), PurchaseResult::NO_OFFER),
        row(
            "open for nothing",
            seal_ecm(CINEMA_SERVICE, &open(&[], true)),
            PurchaseResult::NO_OFFER,
        ),
        row(
            "not to be watched here",
            seal_ecm(
                CINEMA_SERVICE,
                &EcmBody { regions: ecm_emm::ecm::Regions(2), ..event_body(event, NOON) },
            ),
            PurchaseResult::NO_OFFER,
        ),
        row(
            "rights behind",
            seal_ecm(CINEMA_SERVICE, &EcmBody { emm_floor: 1, ..event_body(event, NOON) }),
            PurchaseResult::NO_OFFER,
        ),
        Row { price: Fen::new(1199), ..row("lower price", genuine.clone(), PurchaseResult::PRICE) },
        Row {
            price: Fen::new(1201),
            ..row("higher price", genuine.clone(), PurchaseResult::PRICE)
        },
        Row { pin: false, ..row("no PIN", genuine.clone(), PurchaseResult::PIN_REQUIRED) },
        Row {
            price: Fen::new(10_001),
            ..row(
                "too dear",
                sealed(Ppv { price: Fen::new(10_001), ..event }, NOON),
                PurchaseResult::FUNDS,
            )
        },
    ];
    for row in rows {
        let mut card = card();
        let mut stb = Stb::open(&mut card);
        if row.pin {
            stb.verify(&mut card, PIN).unwrap();
        }
        let commits = card.status().commits;
        let answer = stb.purchase(&mut card, 1, row.price, &row.section).unwrap();
        assert_eq!(answer.result, row.result, "{}", row.name);
        assert_eq!(answer.balance, Fen::new(10_000), "{}", row.name);
        assert_eq!(card.status().commits, commits, "{}", row.name);
    }
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let answer = stb.send(&mut card, INS_PURCHASE, 0, &[1, 2, 3]).unwrap();
    assert_eq!(answer[0], PurchaseResult::MALFORMED.0);
}

/// T29: one PIN, one purchase; and none from another session.
#[test]
fn a_pin_counts_for_one_purchase() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let result = |stb: &mut Stb, card: &mut Card, n, section: &[u8]| {
        stb.purchase(card, n, PRICE, section).unwrap().result
    };
    let (first, second) = (cinema(EVENT, NOON), cinema(EventId::new(2002), NOON));
    assert_eq!(stb.buy(&mut card, 1, &first).unwrap().result, PurchaseResult::PAID);
    assert_eq!(result(&mut stb, &mut card, 2, &second), PurchaseResult::PIN_REQUIRED);
    // Asking for what is owned or known does not use it up; a refusal does.
    stb.verify(&mut card, PIN).unwrap();
    assert_eq!(result(&mut stb, &mut card, 3, &first), PurchaseResult::OWNED);
    assert_eq!(result(&mut stb, &mut card, 1, &first), PurchaseResult::DONE);
    assert_eq!(result(&mut stb, &mut card, 4, &second), PurchaseResult::PAID);
    stb.verify(&mut card, PIN).unwrap();
    assert_eq!(
        stb.purchase(&mut card, 5, Fen::new(1), &cinema(EventId::new(2003), NOON)).unwrap().result,
        PurchaseResult::PRICE
    );
    assert_eq!(
        result(&mut stb, &mut card, 6, &cinema(EventId::new(2003), NOON)),
        PurchaseResult::PIN_REQUIRED
    );
    // A right PIN, then a wrong one; a right PIN, then a new session.
    stb.verify(&mut card, PIN).unwrap();
    stb.verify(&mut card, WRONG_PIN).unwrap();
    assert_eq!(
        result(&mut stb, &mut card, 7, &cinema(EventId::new(2003), NOON)),
        PurchaseResult::PIN_REQUIRED
    );
    stb.verify(&mut card, PIN).unwrap();
    let mut stb = Stb::open(&mut card);
    assert_eq!(
        result(&mut stb, &mut card, 8, &cinema(EventId::new(2003), NOON)),
        PurchaseResult::PIN_REQUIRED
    );
}

#[test]
fn small_amounts_need_no_pin_up_to_a_limit_a_day() {
    let text = include_str!("../../../examples/demo/card.toml")
        .replace("pin_free_per_purchase = 0", "pin_free_per_purchase = 1200")
        .replace("pin_free_per_day = 0", "pin_free_per_day = 3000");
    let pairing = "[[pairing]]\nslot = 0\nstb_id = \"5354423030303031\"\n\
        k_pair = \"808182838485868788898a8b8c8d8e8f\"\nk_cw = \"909192939495969798999a9b9c9d9e9f\"";
    let path = std::path::Path::new("card.toml");
    let perso = vcard::Personalisation::from_text(&format!("{text}\n{pairing}"), path).unwrap();
    let memory = Card::personalise(&perso).unwrap();
    let mut card = powered(Box::new(RamStore::new(memory.octets())));
    let mut stb = Stb::open(&mut card);
    assert_eq!(stb.ecm(&mut card, &cinema(EVENT, NOON)).flags, 0);
    for (n, time, expected) in [
        (1, NOON, PurchaseResult::PAID),
        (2, NOON, PurchaseResult::PAID),
        (3, NOON, PurchaseResult::PIN_REQUIRED),
        (4, NOON.saturating_add(DAY), PurchaseResult::PAID),
    ] {
        let event = ppv(EventId::new(3000 + n), time);
        let answer = stb.purchase(&mut card, n, PRICE, &sealed(event, time)).unwrap();
        assert_eq!(answer.result, expected, "{n}");
    }
}

#[test]
fn an_offer_is_bought_before_the_event_begins() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let early = NOON.saturating_sub(7200);
    let paid = stb.buy(&mut card, 1, &cinema_offer(EVENT, early)).unwrap();
    assert_eq!(paid.result, PurchaseResult::PAID);
    let before = stb.ecm(&mut card, &cinema(EVENT, early)).status;
    assert_eq!(before, AccessStatus::NOT_YET_VALID, "the right begins with the event");
    assert_eq!(stb.ecm(&mut card, &cinema(EVENT, NOON)).status, AccessStatus::GRANTED_EVENT);
}

#[test]
fn slices_of_time_add_up() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let ecm = |second| {
        let ppt = Some(Ppt { event: EVENT, price: PRICE, slice_s: 600 });
        let criteria = Criteria { ppt, ..Criteria::default() };
        seal_ecm(CINEMA_SERVICE, &body(NOON.saturating_add(second), criteria))
    };
    for (n, second, expected, status) in [
        (1, 0, PurchaseResult::PAID, AccessStatus::GRANTED_TIME),
        (2, 300, PurchaseResult::OWNED, AccessStatus::GRANTED_TIME),
        (3, 540, PurchaseResult::PAID, AccessStatus::GRANTED_TIME),
        (4, 1100, PurchaseResult::OWNED, AccessStatus::GRANTED_TIME),
    ] {
        assert_eq!(stb.buy(&mut card, n, &ecm(second)).unwrap().result, expected, "{n}");
        assert_eq!(stb.ecm(&mut card, &ecm(second)).status, status, "{n}");
    }
    assert_eq!(stb.ecm(&mut card, &ecm(1200)).status, AccessStatus::PURCHASABLE);
    assert_eq!(stb.wallet(&mut card).balance, Fen::new(7600));
}

/// Records stay until the head-end acknowledges them; a full log sells nothing.
#[test]
fn a_full_log_refuses_until_it_is_acknowledged() {
    let text = include_str!("../../../examples/demo/card.toml")
        .replace("balance = 10000", "balance = 1000000");
    let path = std::path::Path::new("card.toml");
    let pairing = "[[pairing]]\nslot = 0\nstb_id = \"5354423030303031\"\n\
        k_pair = \"808182838485868788898a8b8c8d8e8f\"\nk_cw = \"909192939495969798999a9b9c9d9e9f\"";
    let perso = vcard::Personalisation::from_text(&format!("{text}\n{pairing}"), path).unwrap();
    let memory = Card::personalise(&perso).unwrap();
    let mut card = powered(Box::new(RamStore::new(memory.octets())));
    let mut stb = Stb::open(&mut card);
    let mut receipts = Vec::new();
    for n in 1..=32 {
        let paid = stb.buy(&mut card, n, &cinema(EventId::new(4000 + n), NOON)).unwrap();
        assert_eq!(paid.result, PurchaseResult::PAID, "{n}");
        receipts.push(paid.receipt);
    }
    let section = cinema(EventId::new(5000), NOON);
    assert_eq!(stb.ecm(&mut card, &section).status, AccessStatus::LOG_FULL);
    assert_eq!(stb.buy(&mut card, 33, &section).unwrap().result, PurchaseResult::LOG_FULL);
    let refused = emm(&mut card, &TO_CARD.seal(1, &[EmmCommand::ReportAck([0; 8])]));
    assert_eq!(refused.outcome, ecm_emm::card::EmmOutcome::REFUSED);
    let ack = EmmCommand::ReportAck(receipts[9]);
    assert_eq!(emm(&mut card, &TO_CARD.seal(2, &[ack])), ecm_emm::card::EmmResult::APPLIED);
    for n in 34..44 {
        let section = cinema(EventId::new(5000 + n), NOON);
        assert_eq!(stb.buy(&mut card, n, &section).unwrap().result, PurchaseResult::PAID, "{n}");
    }
    assert_eq!(stb.buy(&mut card, 44, &section).unwrap().result, PurchaseResult::LOG_FULL);
    assert_eq!(stb.query(&mut card, 32).result, PurchaseResult::DONE);
    // The number of a purchase that is no longer known is not taken again.
    assert_eq!(stb.query(&mut card, 1).result, PurchaseResult::NONE);
    assert_eq!(stb.buy(&mut card, 1, &section).unwrap().result, PurchaseResult::SEQUENCE);
}

/// Both cuts of the story: not paid, or paid; and the question settles which.
#[test]
fn a_cut_purchase_is_settled_by_asking() {
    for (cut, settled, left) in [
        (Cut::BeforeCommit, PurchaseResult::NONE, 10_000),
        (Cut::AfterCommit, PurchaseResult::DONE, 8800),
    ] {
        let mut card = card();
        let mut stb = Stb::open(&mut card);
        card.arm_cut(cut);
        // Not by a refusal, nor by a question.
        assert_eq!(
            stb.purchase(&mut card, 1, PRICE, &cinema(EVENT, NOON)).unwrap().result,
            PurchaseResult::PIN_REQUIRED
        );
        assert_eq!(stb.buy(&mut card, 1, &cinema(EVENT, NOON)), Err(Failed::PowerLost));
        assert!(card.transmit(&[0x80, 0x32, 0, 0, 0]).is_err(), "mute until the next reset");
        card.power_on();
        let mut stb = Stb::open(&mut card);
        let answer = stb.query(&mut card, 1);
        assert_eq!((answer.result, answer.balance), (settled, Fen::new(left)));
        let again = stb.buy(&mut card, 1, &cinema(EVENT, NOON)).unwrap();
        assert_eq!(stb.wallet(&mut card).balance, Fen::new(8800), "{again:?}");
    }
}

#[test]
fn faults_show() {
    let faulty = |fault| {
        let mut card = card();
        card.set_fault(fault);
        let stb = Stb::open(&mut card);
        (card, stb)
    };
    let section = cinema(EVENT, NOON);

    let (mut card, mut stb) = faulty(Fault::AcceptAnyPin);
    assert!(stb.verify(&mut card, WRONG_PIN).unwrap().right);

    let (mut card, mut stb) = faulty(Fault::PinTriesStuck);
    assert_eq!(stb.verify(&mut card, WRONG_PIN).unwrap().tries, 3);

    let (mut card, mut stb) = faulty(Fault::PriceIgnored);
    stb.verify(&mut card, PIN).unwrap();
    let paid = stb.purchase(&mut card, 1, Fen::new(1), &section).unwrap();
    assert_eq!(paid.result, PurchaseResult::PAID);

    let (mut card, mut stb) = faulty(Fault::DoubleDebit);
    stb.buy(&mut card, 1, &section).unwrap();
    assert_eq!(stb.wallet(&mut card).balance, Fen::new(7600));

    let (mut card, mut stb) = faulty(Fault::RepeatDebit);
    stb.buy(&mut card, 1, &section).unwrap();
    assert_eq!(stb.buy(&mut card, 1, &section).unwrap().result, PurchaseResult::PAID);

    let (mut card, mut stb) = faulty(Fault::WrongBalance);
    assert_eq!(stb.buy(&mut card, 1, &section).unwrap().balance, Fen::new(8801));

    let (mut card, mut stb) = faulty(Fault::WrongTac);
    let tac = stb.buy(&mut card, 1, &section).unwrap().tac;
    assert_ne!(tac, stb.query(&mut card, 1).tac);

    let (mut card, mut stb) = faulty(Fault::IgnoreQuery);
    stb.buy(&mut card, 1, &section).unwrap();
    assert_eq!(stb.query(&mut card, 1).result, PurchaseResult::NONE);

    let (mut card, mut stb) = faulty(Fault::ForgetCommit);
    assert_eq!(stb.buy(&mut card, 1, &section).unwrap().result, PurchaseResult::PAID);
    assert_eq!(stb.query(&mut card, 1).result, PurchaseResult::DONE);
    card.power_on();
    let mut stb = Stb::open(&mut card);
    assert_eq!(stb.query(&mut card, 1).result, PurchaseResult::NONE);
}
