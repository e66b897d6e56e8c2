// SPDX-License-Identifier: Apache-2.0
//! The terminal's flows: what they send, and how they end on every kind of answer.

use cam_types::{
    BcdDate, BcdTime, DecodeError, Fen, Secret, StatusWord, TerminalId, TerminalSequence,
};
use hex_literal::hex;
use wallet::formula::{mac2_load, mac2_purchase};
use wallet::keys::{LoadKey, PurchaseKey};
use wallet::load::{Credit, Load, LoadError};
use wallet::proof::{Evidence, Made, Numbering, Proof, Settlement, Unsettled};
use wallet::psam::{CardIdentity, Psam, SamError, SamPurchase, SoftPsam};
use wallet::purchase::{Debit, Debiting, Purchase, PurchaseError};
use wallet::refusal::Step;
use wallet::{Mac, Refusal, Transaction, TransactionType};

/// Source: vector V3c, a purchase of 0.01 with a real FM1208.
const DPK: [u8; 16] = hex!("00112233445566778899AABBCCDDEEFF");
const DATE: BcdDate = BcdDate(hex!("20161216"));
const TIME: BcdTime = BcdTime(hex!("134600"));

fn purchase() -> Purchase {
    Purchase::new(1, Fen::new(1), TerminalId::new(hex!("001122334455"))).unwrap()
}

fn psam() -> SoftPsam {
    // The terminal of V3c was at its first transaction; its PSAM wrapped round to zero.
    SoftPsam::new(TerminalId::new(hex!("001122334455")), TerminalSequence::new(0))
        .with_key(1, PurchaseKey::new(Secret::new(DPK)))
}

fn debiting(psam: &mut SoftPsam) -> Debiting {
    purchase()
        .initialized(&hex!("00002000 0000 000000 01 00 584633C9 9000"))
        .unwrap()
        .authorise(DATE, TIME, &CardIdentity::default(), psam)
        .unwrap()
}

#[test]
fn a_purchase_is_initialized_authorised_and_paid() {
    assert_eq!(purchase().command(), hex!("80 50 01 02 0B 01 00000001 001122334455 0F"));
    let mut psam = psam();
    let debiting = debiting(&mut psam);
    let intent = debiting.intent();
    assert_eq!(intent.len(), Unsettled::LEN);
    assert_eq!(Unsettled::parse(&intent).unwrap().terminal_sequence, TerminalSequence::new(1));
    assert_eq!(Unsettled::parse(&intent).unwrap().transaction, *debiting.transaction());
    let command = debiting.command();
    assert_eq!(command[..16], hex!("80 54 01 00 0F 00000001 20161216 134600"));
    let session = PurchaseKey::new(Secret::new(DPK)).session(
        hex!("584633C9"),
        [0, 0],
        TerminalSequence::new(1),
    );
    let mut response = hex!("8AF270DC").to_vec();
    response.extend(mac2_purchase(&session, Fen::new(1)).0);
    response.extend([0x90, 0x00]);
    let Debit::Paid(receipt) = debiting.finish(Some(&response), &mut psam) else {
        panic!("not paid")
    };
    assert_eq!(receipt.balance, Fen::new(0x1FFF));
    assert_eq!((receipt.tac, receipt.unchecked), (Mac(hex!("8AF270DC")), None));
}

#[test]
fn what_is_no_answer_leaves_a_debit_unsettled() {
    for (name, response) in [
        ("silence", None),
        ("nothing", Some(&[][..])),
        ("half a status word", Some(&[0x90][..])),
        ("no TAC", Some(&hex!("9000")[..])),
        ("a wrong MAC2", Some(&hex!("8AF270DC 00000000 9000")[..])),
        ("memory failure", Some(&hex!("6581")[..])),
    ] {
        let mut psam = psam();
        let debit = debiting(&mut psam).finish(response, &mut psam);
        assert!(matches!(debit, Debit::Unsettled(_)), "{name}: {debit:?}");
    }
    let mut psam = psam();
    let debit = debiting(&mut psam).finish(Some(&hex!("9302")), &mut psam);
    assert_eq!(debit, Debit::Refused(Refusal::new(Step::Commit, StatusWord::WRONG_MAC)));
}

#[test]
fn a_purchase_that_the_card_cannot_start_is_an_error() {
    for (response, error) in [
        (
            &hex!("9403")[..],
            PurchaseError::Refused(Refusal::new(Step::InitializeDebit, StatusWord::NO_KEY)),
        ),
        (
            &hex!("00000000 0000 000000 01 00 584633C9 9000")[..],
            PurchaseError::InsufficientBalance { balance: Fen::ZERO, price: Fen::new(1) },
        ),
        (
            &hex!("00000000 9000")[..],
            PurchaseError::Malformed(DecodeError::Missing("offline sequence")),
        ),
        (&hex!("90")[..], PurchaseError::Malformed(DecodeError::Missing("status word"))),
    ] {
        assert_eq!(purchase().initialized(response), Err(error));
    }
    let initialized = purchase().initialized(&hex!("00002000 0000 000000 01 02 584633C9 9000"));
    assert_eq!(
        initialized.unwrap().authorise(DATE, TIME, &CardIdentity::default(), &mut psam()),
        Err(PurchaseError::Sam(SamError::NoKey { version: 1, algorithm: 2 }))
    );
}

/// A module that makes MAC1 and is gone, or refuses, when MAC2 is to be checked.
struct Failing(SoftPsam, SamError);

impl Psam for Failing {
    fn terminal(&mut self) -> Result<TerminalId, SamError> {
        self.0.terminal()
    }

    fn start(&mut self, purchase: &SamPurchase<'_>) -> Result<(TerminalSequence, Mac), SamError> {
        self.0.start(purchase)
    }

    fn credit(&mut self, _: Mac) -> Result<(), SamError> {
        Err(self.1)
    }
}

#[test]
fn a_module_that_does_not_check_undoes_no_debit() {
    let response = hex!("8AF270DC 00000000 9000");
    for error in [SamError::NoAnswer, SamError::Refused(StatusWord::NOT_INITIALIZED)] {
        let debiting = debiting(&mut psam());
        let Debit::Paid(receipt) = debiting.finish(Some(&response), &mut Failing(psam(), error))
        else {
            panic!("{error}: not paid")
        };
        assert_eq!((receipt.unchecked, receipt.tac), (Some(error), Mac(hex!("8AF270DC"))));
    }
}

#[test]
fn a_module_that_refuses_has_moved_no_money() {
    let initialized = purchase().initialized(&hex!("00002000 0000 000000 02 00 584633C9 9000"));
    let error = initialized
        .unwrap()
        .authorise(DATE, TIME, &CardIdentity::default(), &mut psam())
        .unwrap_err();
    let text = "secure module has no purchase key 02, algorithm 00; no money has moved";
    assert_eq!(error.to_string(), text);
}

/// Source: vector V3b, a load of 81.92 into a real FM1208.
#[test]
fn a_load_is_checked_authorised_and_credited() {
    let key = LoadKey::new(Secret::new(DPK));
    let load = || Load::new(1, Fen::new(0x2000), TerminalId::new(hex!("001122334455"))).unwrap();
    assert_eq!(load().command(), hex!("80 50 00 02 0B 01 00002000 001122334455 10"));
    let answer = hex!("00000000 0000 01 00 C903814D 03976C22 9000");
    let (date, time) = (BcdDate(hex!("20161216")), BcdTime(hex!("105800")));
    let credit = |response: Option<&[u8]>| {
        let initialized = load().initialized(&answer).unwrap();
        assert!(initialized.is_from(&key));
        let session = key.session(initialized.random, initialized.online_sequence);
        let mac2 = mac2_load(&session, &initialized.transaction(date, time));
        let crediting = initialized.credit(date, time, mac2);
        assert_eq!(crediting.command(), hex!("80 52 00 00 0B 20161216 105800 8AFA5718 04"));
        crediting.finish(response)
    };
    let Credit::Loaded(receipt) = credit(Some(&hex!("FA00066D 9000"))) else { panic!("refused") };
    assert_eq!((receipt.balance, receipt.tac), (Fen::new(0x2000), Mac(hex!("FA00066D"))));
    assert_eq!(
        credit(Some(&hex!("9302"))),
        Credit::Refused(Refusal::new(Step::Commit, StatusWord::WRONG_MAC))
    );
    assert!(matches!(credit(None), Credit::Unsettled(_)));
    assert!(matches!(credit(Some(&hex!("FA00 9000"))), Credit::Unsettled(_)));

    let mut forged = answer;
    forged[0] = 1;
    assert!(!load().initialized(&forged).unwrap().is_from(&key));
    assert_eq!(
        load().initialized(&hex!("6982")),
        Err(LoadError::Refused(Refusal::new(Step::InitializeLoad, StatusWord::SECURITY_STATUS)))
    );
}

fn unsettled() -> Unsettled {
    Unsettled {
        transaction: Transaction {
            amount: Fen::new(1),
            kind: TransactionType::PURCHASE,
            terminal: TerminalId::new(hex!("001122334455")),
            date: DATE,
            time: TIME,
        },
        terminal_sequence: TerminalSequence::new(1),
        sequence: hex!("00FF"),
        key_index: 1,
        balance: Fen::new(0x1FFF),
    }
}

fn made(evidence: Evidence) -> Settlement {
    let Unsettled { transaction, terminal_sequence, sequence, balance, .. } = unsettled();
    Settlement::Made(Made { transaction, terminal_sequence, sequence, balance, evidence })
}

const OURS: Proof = Proof { mac: Mac(hex!("66B54A6B")), tac: Mac(hex!("8AF270DC")) };
const BARE: Proof = Proof { mac: Mac(hex!("00000000")), tac: Mac(hex!("8AF270DC")) };

/// Asks the questions in order and answers them so.
fn settle(unsettled: Unsettled, questions: &[&[u8]], answers: &[&[u8]]) -> Settlement {
    let mut settlement = Settlement::Ask(unsettled.inquire());
    for (question, answer) in questions.iter().zip(answers) {
        let Settlement::Ask(inquiry) = settlement else { panic!("settled too early") };
        assert_eq!(inquiry.command(), *question);
        settlement = inquiry.answer(Some(answer), |proof| proof.check_mac(|mac| mac == OURS.mac));
    }
    settlement
}

/// A card keeps the proof under the number after (real cards) or before (an applet), shows the MAC
/// or zeros, shows it once only, says clearly that it has none or does not, and has made other
/// transactions since or not.
#[test]
fn a_lost_answer_is_settled_on_every_kind_of_card() {
    let questions: [&[u8]; 5] = [
        &hex!("80 5A 00 06 02 0100 08"),
        &hex!("80 5A 00 06 02 00FF 08"),
        &hex!("80 50 01 02 0B 01 00000001 001122334455 0F"),
        &hex!("00 B2 01 C4 17"),
        &hex!("00 B2 02 C4 17"),
    ];
    let found = &hex!("66B54A6B 8AF270DC 9000")[..];
    let bare = &hex!("00000000 8AF270DC 9000")[..];
    let previous = &hex!("11111111 22222222 9000")[..];
    let bare_previous = &hex!("00000000 22222222 9000")[..];
    let none = &hex!("9406")[..];
    let evaded = &hex!("6985")[..];
    let same = &hex!("00002000 00FF 000000 01 00 584633C9 9000")[..];
    let one_on = &hex!("00001FFF 0100 000000 01 00 584633C9 9000")[..];
    let further = &hex!("00001000 0101 000000 01 00 584633C9 9000")[..];
    let (empty, spent) = (&hex!("9401")[..], &hex!("9402")[..]);
    let record = &hex!("0100 000000 00000001 06 001122334455 20161216 134600 9000")[..];
    let by_before = &hex!("00FF 000000 00000001 06 001122334455 20161216 134600 9000")[..];
    let other = &hex!("0101 000000 00001000 06 001122334455 20161216 134700 9000")[..];
    let end = &hex!("6A83")[..];
    let not_made = || Settlement::NotMade(unsettled().transaction);
    let not_shown = || Settlement::NotShown(unsettled());
    let refused = |step, status| Settlement::Refused(unsettled(), Refusal::new(step, status));
    let wanted = StatusWord::SECURITY_STATUS;
    let table: &[(&str, &[&[u8]], Settlement)] = &[
        ("after", &[found], made(Evidence::Proof(OURS, Numbering::After))),
        ("before", &[none, found], made(Evidence::Proof(OURS, Numbering::Before))),
        ("not made", &[none, none, same], not_made()),
        ("not made, the previous proof", &[none, previous, same], not_made()),
        ("not made, the previous proof without a MAC", &[none, bare_previous, same], not_made()),
        ("not made, evaded", &[evaded, evaded, same], not_made()),
        ("no MAC, after", &[bare, bare_previous, one_on, record], made(Evidence::Log(Some(BARE)))),
        ("no MAC, before", &[none, bare, one_on, by_before], made(Evidence::Log(Some(BARE)))),
        ("shown already", &[evaded, evaded, one_on, record], made(Evidence::Log(None))),
        (
            "no PROVE on the card",
            &[&hex!("6D00"), &hex!("6D00"), one_on, record],
            made(Evidence::Log(None)),
        ),
        (
            "made, and another since",
            &[bare_previous, bare, further, other, record],
            made(Evidence::Log(None)),
        ),
        ("made, and emptied since", &[none, none, empty, other, record], made(Evidence::Log(None))),
        ("made, and used up since", &[none, none, spent, record], made(Evidence::Log(None))),
        // The same price at the same gate, at another time.
        ("not made, another at the price", &[none, bare_previous, one_on, other, end], not_shown()),
        ("no log", &[evaded, evaded, one_on, end], not_shown()),
        (
            "the log has rolled over it",
            &[none, none, further, other, end],
            Settlement::MovedOn(unsettled()),
        ),
        ("a log behind the PIN", &[none, none, one_on, &hex!("6982")], refused(Step::Read, wanted)),
        ("blocked", &[&hex!("6A81")], refused(Step::Prove, StatusWord::APPLICATION_BLOCKED)),
        (
            "blocked, another status word",
            &[evaded, evaded, &hex!("6985")],
            refused(Step::InitializeDebit, StatusWord::CONDITIONS),
        ),
        ("half an answer", &[&hex!("90")], Settlement::NoAnswer(unsettled())),
        ("half a proof", &[&hex!("1234 9000")], Settlement::NoAnswer(unsettled())),
        ("half a counter", &[none, none, &hex!("1234 9000")], Settlement::NoAnswer(unsettled())),
        (
            "half a record",
            &[none, none, further, &hex!("1234 9000")],
            Settlement::NoAnswer(unsettled()),
        ),
    ];
    for (name, answers, expected) in table {
        assert_eq!(settle(unsettled(), &questions, answers), *expected, "{name}");
    }
    let silence = unsettled().inquire().answer(None, |_| true);
    assert_eq!(silence, Settlement::NoAnswer(unsettled()));
}

/// A load is counted by the other sequence, which only INITIALIZE FOR LOAD shows, behind the PIN; a
/// balance may be the same again by chance.
#[test]
fn a_lost_load_is_settled_by_balance_and_log() {
    let unsettled = || {
        let transaction = Transaction { kind: TransactionType::LOAD, ..unsettled().transaction };
        Unsettled { transaction, ..unsettled() }
    };
    let questions: [&[u8]; 5] = [
        &hex!("80 5A 00 02 02 0100 08"),
        &hex!("80 5A 00 02 02 00FF 08"),
        &hex!("80 5C 00 02 04"),
        &hex!("00 B2 01 C4 17"),
        &hex!("00 B2 01 D4 17"),
    ];
    let (none, end) = (&hex!("9406")[..], &hex!("6A83")[..]);
    let record = &hex!("0100 000000 00000001 02 001122334455 20161216 134600 9000")[..];
    let [same, one_on, further] =
        [&hex!("00001FFE 9000")[..], &hex!("00001FFF 9000")[..], &hex!("00000001 9000")[..]];
    let is_made = |settlement: &Settlement| matches!(settlement, Settlement::Made(_));
    for balance in [same, one_on, further] {
        let settlement = settle(unsettled(), &questions, &[none, none, balance, record]);
        assert!(is_made(&settlement), "{settlement:?}");
        // Some cards have their loads in a file of its own; on others it is something else.
        let settlement = settle(unsettled(), &questions, &[none, none, balance, end, record]);
        assert!(is_made(&settlement), "{settlement:?}");
        for no_loads in [end, &hex!("6A82"), &hex!("6981"), &hex!("6C80"), &hex!("0102 9000")] {
            let answers = [none, none, balance, end, no_loads];
            let settlement = settle(unsettled(), &questions, &answers);
            let expected = match balance {
                balance if balance == same => Settlement::NotMade(unsettled().transaction),
                balance if balance == one_on => Settlement::NotShown(unsettled()),
                _ => Settlement::MovedOn(unsettled()),
            };
            assert_eq!(settlement, expected);
        }
        let settlement =
            settle(unsettled(), &questions, &[none, none, balance, end, &hex!("6982")]);
        assert!(matches!(settlement, Settlement::Refused(..)), "{settlement:?}");
        let settlement = settle(unsettled(), &questions, &[none, none, balance, end, &hex!("90")]);
        assert_eq!(settlement, Settlement::NoAnswer(unsettled()));
    }
}

/// A load whose answer was lost, and as much spent since: the balance is the one before. That
/// proves nothing where the log may have shown the load and shows it no more.
#[test]
fn a_balance_that_is_the_same_again_proves_nothing_behind_a_log_that_has_rolled_over() {
    let transaction = Transaction { kind: TransactionType::LOAD, ..unsettled().transaction };
    let unsettled = || Unsettled { transaction, ..unsettled() };
    let since = &hex!("0105 000000 00000001 06 001122334455 20161216 134700 9000")[..];
    let before = &hex!("0001 000000 00000001 06 001122334455 20161215 134700 9000")[..];
    let load_since = &hex!("0105 000000 00000001 02 001122334455 20161216 134700 9000")[..];
    let load_before = &hex!("0001 000000 00000001 02 001122334455 20161215 134700 9000")[..];
    let end = &hex!("6A83")[..];
    let not_made = || Settlement::NotMade(transaction);
    let moved_on = || Settlement::MovedOn(unsettled());
    type Row<'a> = (&'a str, Vec<&'a [u8]>, Vec<&'a [u8]>, Settlement);
    let table: [Row<'_>; 8] = [
        ("rolled over", vec![since; 10], vec![], moved_on()),
        ("not full", vec![since; 9], vec![], not_made()),
        ("reaches back", [vec![since; 9], vec![before]].concat(), vec![], not_made()),
        ("the card's other file reaches back", vec![since; 16], vec![load_before], not_made()),
        ("the other file is not full", vec![since; 16], vec![load_since; 9], not_made()),
        ("the other file has rolled over", vec![before], vec![load_since; 10], moved_on()),
        ("the other file has no loads", vec![since; 16], vec![before], moved_on()),
        ("the other file has none, and is full", vec![before], vec![since; 16], not_made()),
    ];
    for (name, log, loads, expected) in table {
        let answers = [&hex!("9406")[..], &hex!("9406"), &hex!("00001FFE 9000")];
        let answers = [&answers[..], &log, &[end], &loads, &[end]].concat();
        let mut settlement = Settlement::Ask(unsettled().inquire());
        for answer in answers {
            let Settlement::Ask(inquiry) = settlement else { panic!("{name}: settled too early") };
            settlement = inquiry.answer(Some(answer), |_| false);
        }
        assert_eq!(settlement, expected, "{name}");
    }
}

/// Neither file has an end on this card, and the questions have.
#[test]
fn an_inquiry_ends() {
    let transaction = Transaction { kind: TransactionType::LOAD, ..unsettled().transaction };
    let mut settlement = Settlement::Ask(Unsettled { transaction, ..unsettled() }.inquire());
    let other = &hex!("0101 000000 00001000 02 001122334455 20161216 134700 9000")[..];
    let mut questions = 0;
    while let Settlement::Ask(inquiry) = settlement {
        let answer = match inquiry.command()[1] {
            0x5A => &hex!("9406")[..],
            0x5C => &hex!("00000001 9000"),
            _ => other,
        };
        settlement = inquiry.answer(Some(answer), |_| false);
        questions += 1;
    }
    assert!(matches!(settlement, Settlement::MovedOn(_)), "{settlement:?}");
    assert_eq!(questions, 3 + 2 * 255);
}

/// Two transactions of one second are told apart by their numbers.
#[test]
fn a_twin_in_the_log_is_another_transaction() {
    let twin = &hex!("00FE 000000 00000001 06 001122334455 20161216 134600 9000")[..];
    let further = &hex!("00001000 0101 000000 01 00 584633C9 9000")[..];
    let mut settlement = Settlement::Ask(unsettled().inquire());
    for answer in [&hex!("9406")[..], &hex!("9406"), further, twin] {
        let Settlement::Ask(inquiry) = settlement else { panic!("settled too early") };
        settlement = inquiry.answer(Some(answer), |_| false);
    }
    let Settlement::Ask(inquiry) = settlement else { panic!("settled by a twin") };
    assert_eq!(inquiry.answer(Some(&hex!("6A83")), |_| false), Settlement::MovedOn(unsettled()));
}

/// A card that wants the PIN even for the smallest amount tells its balance; one that wants it for
/// nothing at all says no more.
#[test]
fn the_balance_settles_behind_the_pin() {
    let questions: [&[u8]; 5] = [
        &hex!("80 5A 00 06 02 0100 08"),
        &hex!("80 5A 00 06 02 00FF 08"),
        &hex!("80 50 01 02 0B 01 00000001 001122334455 0F"),
        &hex!("80 5C 00 02 04"),
        &hex!("00 B2 01 C4 17"),
    ];
    let (none, wanted, end) = (&hex!("9406")[..], &hex!("6982")[..], &hex!("6A83")[..]);
    let record = &hex!("0100 000000 00000001 06 001122334455 20161216 134600 9000")[..];
    let (same, less) = (&hex!("00002000 9000")[..], &hex!("00001FFF 9000")[..]);
    let not_made = Settlement::NotMade(unsettled().transaction);
    for (balance, log, expected) in [
        (same, end, not_made),
        (same, record, made(Evidence::Log(None))),
        (less, record, made(Evidence::Log(None))),
        (less, end, Settlement::NotShown(unsettled())),
    ] {
        let answers = [none, none, wanted, balance, log];
        assert_eq!(settle(unsettled(), &questions, &answers), expected);
    }
    let refused =
        |step| Settlement::Refused(unsettled(), Refusal::new(step, StatusWord::SECURITY_STATUS));
    let settlement = settle(unsettled(), &questions, &[none, none, wanted, wanted]);
    assert_eq!(settlement, refused(Step::Read));
}

#[test]
fn what_is_unsettled_can_be_persisted() {
    let kept = unsettled().octets();
    assert_eq!(kept.len(), Unsettled::LEN);
    assert_eq!(Unsettled::parse(&kept), Ok(unsettled()));
    assert_eq!(Unsettled::parse(&kept[1..]), Err(DecodeError::Missing("balance")));
}
