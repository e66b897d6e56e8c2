// SPDX-License-Identifier: Apache-2.0
//! Kiosk, gate and till with a purse that keeps its numbers as one card or the other does, and
//! loses answers.

use cam_types::{Aid, BcdDate, BcdTime, Fen, Secret, TerminalId, TerminalSequence};
use hex_literal::hex;
use wallet::flow::fare::{FareTable, Station};
use wallet::flow::gate::{Gate, PassageError, State, TransitRecord};
use wallet::flow::host::{Diversified, Host, HostError};
use wallet::flow::settle::{Unknown, Upshot};
use wallet::flow::till::{Side, Till, TillError};
use wallet::flow::{FlowError, Held, Order, Purse, Scheme};
use wallet::formula::{mac1_load, mac2_load, mac2_purchase, tac_load, tac_purchase};
use wallet::keys::{LoadKey, PurchaseKey, SessionKey, TacKey};
use wallet::load::{Credit, LoadError};
use wallet::pin::Pin;
use wallet::port::CardPort;
use wallet::proof::{Evidence, Made, Numbering, Unsettled};
use wallet::psam::SoftPsam;
use wallet::purchase::{Debit, PurchaseError};
use wallet::select::SelectError;
use wallet::{Mac, Profile, Transaction, TransactionType};

const TERMINAL: TerminalId = TerminalId::new(hex!("001122334455"));
const DPK: [u8; 16] = hex!("00112233445566778899AABBCCDDEEFF");
const DLK: [u8; 16] = hex!("0F1E2D3C4B5A69788796A5B4C3D2E1F0");
const DTK: [u8; 16] = hex!("13579BDF02468ACE1122446688AACCEE");

/// What the next commit does to its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Commit {
    Answered,
    /// The power goes before it is carried out.
    CutBefore,
    /// It is carried out, and nobody hears of it.
    CutAfter,
}

/// A purse as cards are: its conventions, its secrets, and a hand at its power.
struct Card {
    numbering: Numbering,
    shows_mac: bool,
    proves: bool,
    balance: u32,
    offline: u16,
    online: u16,
    transit: Vec<u8>,
    log: Vec<Vec<u8>>,
    proofs: Vec<(u8, u16, [u8; 8])>,
    commit: Commit,
    initialized: Option<(Transaction, SessionKey, Vec<u8>)>,
    verified: bool,
    commands: Vec<u8>,
    /// What a DEBIT takes that nobody has ordered.
    too_much: u32,
}

impl Card {
    fn new() -> Self {
        Self {
            numbering: Numbering::After,
            shows_mac: true,
            proves: true,
            balance: 10_000,
            offline: 7,
            online: 3,
            transit: [&hex!("21 1E")[..], &[0; 30]].concat(),
            log: Vec::new(),
            proofs: Vec::new(),
            commit: Commit::Answered,
            initialized: None,
            verified: false,
            commands: Vec::new(),
            too_much: 0,
        }
    }

    fn reset(&mut self) {
        self.initialized = None;
        self.verified = false;
    }

    fn initialize(&mut self, p1: u8, data: &[u8]) -> Vec<u8> {
        let amount = u32::from_be_bytes(data[1..5].try_into().unwrap());
        let kind = TransactionType(match p1 {
            0x00 => 0x02,
            0x03 => 0x09,
            _ => 0x06,
        });
        let transaction = Transaction {
            amount: Fen::new(amount),
            kind,
            terminal: TerminalId::new(data[5..].try_into().unwrap()),
            date: BcdDate::default(),
            time: BcdTime::default(),
        };
        let random = hex!("584633C9");
        let mut out = self.balance.to_be_bytes().to_vec();
        if kind == TransactionType::LOAD {
            if !self.verified {
                return hex!("6982").to_vec();
            }
            let sequence = self.online.to_be_bytes();
            let session = LoadKey::new(Secret::new(DLK)).session(random, sequence);
            out.extend(sequence);
            out.extend(hex!("01 00 584633C9"));
            let balance = Fen::new(self.balance);
            out.extend(mac1_load(&session, balance, transaction.amount, kind, TERMINAL).0);
            self.initialized = Some((transaction, session, Vec::new()));
        } else {
            if amount > self.balance {
                return hex!("9401").to_vec();
            }
            out.extend(self.offline.to_be_bytes());
            out.extend(hex!("000000 01 00 584633C9"));
            // The session key needs the terminal's number, which comes with the DEBIT.
            let none = SessionKey::new(Secret::new([0; 8]));
            self.initialized = Some((transaction, none, Vec::new()));
        }
        out.extend(hex!("9000"));
        out
    }

    fn debit(&mut self, data: &[u8]) -> Vec<u8> {
        let Some((mut transaction, _, record)) = self.initialized.take() else {
            return hex!("6901").to_vec();
        };
        let number = TerminalSequence::from_be_bytes(data[..4].try_into().unwrap());
        (transaction.date, transaction.time) =
            (BcdDate(data[4..8].try_into().unwrap()), BcdTime(data[8..11].try_into().unwrap()));
        let key = PurchaseKey::new(Secret::new(DPK));
        let session = key.session(hex!("584633C9"), self.offline.to_be_bytes(), number);
        let tac = tac_purchase(&TacKey::new(Secret::new(DTK)).fold(), &transaction, number);
        let mac2 = mac2_purchase(&session, transaction.amount);
        self.balance -= transaction.amount.fen() + self.too_much;
        if !record.is_empty() {
            self.transit = record;
        }
        self.offline = self.made(transaction, self.offline, mac2, tac);
        [&tac.0[..], &mac2.0, &hex!("9000")].concat()
    }

    fn credit(&mut self, data: &[u8]) -> Vec<u8> {
        let Some((mut transaction, session, _)) = self.initialized.take() else {
            return hex!("6985").to_vec();
        };
        (transaction.date, transaction.time) =
            (BcdDate(data[..4].try_into().unwrap()), BcdTime(data[4..7].try_into().unwrap()));
        if mac2_load(&session, &transaction).0 != data[7..] {
            return hex!("9302").to_vec();
        }
        self.balance += transaction.amount.fen();
        let key = TacKey::new(Secret::new(DTK)).fold();
        let sequence = self.online.to_be_bytes();
        let tac = tac_load(&key, Fen::new(self.balance), sequence, &transaction);
        self.online = self.made(transaction, self.online, Mac([0; 4]), tac);
        [&tac.0[..], &hex!("9000")].concat()
    }

    fn made(&mut self, transaction: Transaction, before: u16, mac: Mac, tac: Mac) -> u16 {
        let number = if self.numbering == Numbering::After { before + 1 } else { before };
        let record = wallet::LogRecord { sequence: number, overdraft: [0; 3], transaction };
        let mut octets = Vec::new();
        record.emit(&mut octets);
        self.log.insert(0, octets);
        let mac = if self.shows_mac { mac.0 } else { [0; 4] };
        self.proofs.push((transaction.kind.0, number, [mac, tac.0].concat().try_into().unwrap()));
        before + 1
    }
}

impl CardPort for Card {
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        self.commands.push(command[1]);
        let data = command.get(5..).unwrap_or_default();
        let data = data.get(..usize::from(command[4])).unwrap_or_default();
        let is_commit = matches!(command[1], 0x52 | 0x54);
        if is_commit && self.commit == Commit::CutBefore {
            self.reset();
            return None;
        }
        let answer = match (command[1], command[2]) {
            (0xA4, _) => {
                let application =
                    hex!("0000000000001201 02 01 90000000000000004711 20260101 20361231 0000");
                let name = [&hex!("84 09")[..], Aid::PURSE.octets()].concat();
                let own = [&hex!("A5 21 9F0C 1E")[..], &application].concat();
                [&[0x6F, (name.len() + own.len()) as u8][..], &name, &own, &hex!("9000")].concat()
            }
            (0x20, _) if *data == hex!("1234") => {
                self.verified = true;
                hex!("9000").to_vec()
            }
            (0x20, _) => hex!("63C2").to_vec(),
            (0x5C, _) => [&self.balance.to_be_bytes()[..], &hex!("9000")].concat(),
            (0xB2, 0x21) => [&self.transit[..], &hex!("9000")].concat(),
            (0xB2, number) => match self.log.get(usize::from(number) - 1) {
                Some(record) => [&record[..], &hex!("9000")].concat(),
                None => hex!("6A83").to_vec(),
            },
            (0x50, p1) => self.initialize(p1, data),
            (0xDC, _) => {
                self.initialized.as_mut().unwrap().2 = data.to_vec();
                hex!("9000").to_vec()
            }
            (0x54, _) => self.debit(data),
            (0x52, _) => self.credit(data),
            (0x5A, _) if !self.proves => hex!("6985").to_vec(),
            (0x5A, _) => {
                let number = u16::from_be_bytes(data[..2].try_into().unwrap());
                let found = |(kind, of, _): &&(u8, u16, _)| *kind == command[3] && *of == number;
                match self.proofs.iter().find(found) {
                    Some((_, _, proof)) => [&proof[..], &hex!("9000")].concat(),
                    None => hex!("9406").to_vec(),
                }
            }
            _ => hex!("6D00").to_vec(),
        };
        if is_commit && self.commit == Commit::CutAfter {
            self.reset();
            return None;
        }
        Some(answer)
    }
}

const SCHEME: Scheme<'_> = Scheme {
    aid: Aid::PURSE.octets(),
    profile: Profile {
        levels: &[],
        limit: Fen::new(20_000),
        maximum: Fen::new(50_000),
        ..Profile::PBOC
    },
    uid: None,
};

fn order(fen: u32) -> Order {
    let date = BcdDate(hex!("20261127"));
    Order { key_index: 1, amount: Fen::new(fen), date, time: BcdTime(hex!("083000")) }
}

fn psam() -> SoftPsam {
    SoftPsam::new(TERMINAL, TerminalSequence::new(41))
        .with_key(1, PurchaseKey::new(Secret::new(DPK)))
}

fn host() -> Host {
    let keys = [(1, LoadKey::new(Secret::new(DLK)))].to_vec();
    Host::new(keys, Some(TacKey::new(Secret::new(DTK))), Diversified::default())
}

fn pin() -> Pin {
    Pin::from_digits("1234").unwrap()
}

fn fares() -> FareTable {
    let pairs = [(Station(1), Station(9), Fen::new(1200))].to_vec();
    FareTable::new(pairs, [(6, Fen::new(350)), (3, Fen::new(200))].to_vec())
}

fn record(card: &Card) -> TransitRecord {
    TransitRecord::parse(0x21, &card.transit).unwrap().unwrap()
}

/// Every kind of card, cut before and after its commit: the flow finds out, and the money is where
/// it says.
#[test]
fn a_lost_answer_is_settled_on_every_kind_of_card() {
    for numbering in [Numbering::After, Numbering::Before] {
        for shows_mac in [true, false] {
            for (proves, with_key, with_psam) in [
                (true, true, true),
                (true, true, false),
                (true, false, true),
                (true, false, false),
                (false, true, true),
                (false, false, false),
            ] {
                for commit in [Commit::CutBefore, Commit::CutAfter] {
                    let name = format!(
                        "{numbering}, {shows_mac}, {proves}, {with_key}, {with_psam}, {commit:?}"
                    );
                    let mut card = Card { commit, numbering, shows_mac, proves, ..Card::new() };
                    let (mut psam, key) = (psam(), TacKey::new(Secret::new(DTK)));
                    let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
                    let debiting = purse.purchase(&order(1234), &mut psam).unwrap();
                    let intent = debiting.intent();
                    let Debit::Unsettled(unsettled) = purse.debit(debiting, &mut psam) else {
                        panic!("{name}: an answer")
                    };
                    assert_eq!(Unsettled::parse(&intent).unwrap(), unsettled, "{name}");
                    card.commit = Commit::Answered;
                    let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
                    let psam = with_psam.then_some(&mut psam as &mut dyn wallet::psam::Psam);
                    let settled = purse.settle(unsettled, psam, with_key.then_some(&key));
                    let paid = match settled {
                        Upshot::Made(made) => {
                            assert_eq!(made.balance, Fen::new(10_000 - 1234), "{name}");
                            let proven = proves && (with_key || with_psam && shows_mac);
                            let proof = match made.evidence {
                                Evidence::Proof(_, under) => Some(under),
                                Evidence::Log(_) => None,
                            };
                            assert_eq!(proof, proven.then_some(numbering), "{name}");
                            true
                        }
                        Upshot::NotMade(transaction) => {
                            assert_eq!(transaction.amount, Fen::new(1234));
                            false
                        }
                        Upshot::Open(_, why) => panic!("{name}: {why}"),
                    };
                    assert_eq!(paid, card.balance == 10_000 - 1234, "{name}");
                    assert_eq!(paid, commit == Commit::CutAfter, "{name}");
                    assert_eq!(
                        card.commands.iter().filter(|ins| **ins == 0x54).count(),
                        1,
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_load_is_made_once_and_known() {
    for (commit, numbering, proves) in [
        (Commit::CutBefore, Numbering::After, true),
        (Commit::CutAfter, Numbering::After, true),
        (Commit::CutBefore, Numbering::Before, false),
        (Commit::CutAfter, Numbering::Before, false),
    ] {
        let mut card = Card { commit, numbering, shows_mac: false, proves, ..Card::new() };
        let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
        purse.verify(&pin()).unwrap();
        let crediting = purse.load(&order(2000), TERMINAL, &host()).unwrap();
        let Credit::Unsettled(unsettled) = purse.credit(crediting, &host()) else {
            panic!("an answer")
        };
        card.commit = Commit::Answered;
        let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
        let key = host().tac_key(purse.identity());
        let settled = purse.settle(unsettled, None, key.as_ref());
        let made = matches!(settled, Upshot::Made(..));
        assert_eq!(made, commit == Commit::CutAfter, "{settled:?}");
        assert_eq!(made, card.balance == 12_000);
    }
}

/// The card was at another terminal before it came back: its log still tells, until it has
/// forgotten.
#[test]
fn a_card_that_has_moved_on_is_settled_by_its_log() {
    for (forgets, expected) in [(false, true), (true, false)] {
        let (commit, numbering) = (Commit::CutAfter, Numbering::After);
        let mut card = Card { commit, numbering, shows_mac: false, proves: false, ..Card::new() };
        let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
        let debiting = purse.purchase(&order(1234), &mut psam()).unwrap();
        let Debit::Unsettled(unsettled) = purse.debit(debiting, &mut psam()) else {
            panic!("an answer")
        };
        card.commit = Commit::Answered;
        let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
        let mut other = psam();
        let debiting = purse.purchase(&order(1), &mut other).unwrap();
        assert!(matches!(purse.debit(debiting, &mut other), Debit::Paid(_)));
        if forgets {
            card.log.truncate(1);
        }
        let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
        match purse.settle(unsettled, None, None) {
            Upshot::Made(Made { evidence: Evidence::Log(_), .. }) => assert!(expected),
            Upshot::Open(_, Unknown::MovedOn) => assert!(!expected),
            other => panic!("{other:?}"),
        }
    }
}

/// TAC and MAC2 are over what the card was told to take. What it has taken shows in its balance.
#[test]
fn a_card_that_reckons_wrongly_is_noticed() {
    for (too_much, expected) in [(0, Held::AsExpected), (1, Held::Other(Fen::new(8_765)))] {
        let mut card = Card { too_much, ..Card::new() };
        let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
        let mut psam = psam();
        let debiting = purse.purchase(&order(1234), &mut psam).unwrap();
        let Debit::Paid(receipt) = purse.debit(debiting, &mut psam) else { panic!("not paid") };
        assert_eq!(purse.holds(receipt.balance), expected);
    }
}

#[test]
fn a_journey() {
    let (mut card, fares, mut psam) = (Card::new(), fares(), psam());
    let gate =
        |station| Gate { station: Station(station), fares: &fares, sfi: 0x17, identifier: 0x21 };
    let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
    let out = gate(1).exit(&mut purse, &order(0), &mut psam);
    assert_eq!(out.unwrap_err(), FlowError::Passage(PassageError::Outside));
    let passage = gate(1).entry(&mut purse, &order(0), &mut psam).unwrap();
    assert!(matches!(purse.debit(passage.debiting, &mut psam), Debit::Paid(_)));
    assert_eq!((record(&card), card.balance), (passage.record, 10_000));
    assert_eq!((record(&card).state, record(&card).entry), (State::Inside, Station(1)));
    let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
    let twice = gate(2).entry(&mut purse, &order(0), &mut psam).unwrap_err();
    assert!(matches!(twice, FlowError::Passage(PassageError::Inside { entry: Station(1), .. })));
    assert!(twice.to_string().ends_with("no money has moved"), "{twice}");
    let lost = gate(20).exit(&mut purse, &order(0), &mut psam).unwrap_err();
    let no_fare = PassageError::NoFare { entry: Station(1), exit: Station(20) };
    assert_eq!(lost, FlowError::Passage(no_fare));
    let passage = gate(9).exit(&mut purse, &order(0), &mut psam).unwrap();
    assert!(matches!(purse.debit(passage.debiting, &mut psam), Debit::Paid(_)));
    assert_eq!(card.balance, 10_000 - 1200);
    assert_eq!((record(&card).state, record(&card).fare), (State::Outside, Fen::new(1200)));
    assert_eq!(record(&card).exit, Station(9));
    assert_eq!(card.transit.len(), 32);
}

#[test]
fn a_traveller_without_the_fare() {
    let fares = fares();
    let gate =
        |station| Gate { station: Station(station), fares: &fares, sfi: 0x17, identifier: 0x21 };
    let mut card = Card { balance: 199, ..Card::new() };
    let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
    let short = PassageError::Fare { balance: Fen::new(199), fare: Fen::new(200) };
    let entry = gate(1).entry(&mut purse, &order(0), &mut psam()).unwrap_err();
    assert_eq!(entry, FlowError::Passage(short));
    card.balance = 200;
    let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
    let mut module = psam();
    let passage = gate(1).entry(&mut purse, &order(0), &mut module).unwrap();
    assert!(matches!(purse.debit(passage.debiting, &mut module), Debit::Paid(_)));
    let exit = gate(9).exit(&mut purse, &order(0), &mut module).unwrap_err();
    // The card itself refuses with 9401, and its balance is not in that answer.
    assert!(exit.is_refusal() && exit.to_string().contains("no money has moved"), "{exit}");
    assert_eq!((record(&card).state, card.balance), (State::Inside, 200));
}

/// An answer lost at the gate leaves a passage or none, and the record and PROVE agree.
#[test]
fn a_lost_passage() {
    let fares = fares();
    let gate = Gate { station: Station(4), fares: &fares, sfi: 0x17, identifier: 0x21 };
    for commit in [Commit::CutBefore, Commit::CutAfter] {
        let mut card = Card { commit, ..Card::new() };
        let mut module = psam();
        let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
        let passage = gate.entry(&mut purse, &order(0), &mut module).unwrap();
        let Debit::Unsettled(unsettled) = purse.debit(passage.debiting, &mut module) else {
            panic!("an answer")
        };
        let inside = TransitRecord::parse(0x21, &card.transit).unwrap().is_some();
        card.commit = Commit::Answered;
        let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
        let settled = purse.settle(unsettled, Some(&mut module), None);
        assert_eq!(inside, matches!(settled, Upshot::Made(..)), "{settled:?}");
        assert_eq!(inside, commit == Commit::CutAfter);
    }
}

#[test]
fn a_till_wants_the_pin_above_its_limit_and_at_contacts() {
    let sell = |card: &mut Card, side, fen, pin: Option<Pin>| {
        let till = Till { pin_free: Fen::new(5000), side };
        let mut purse = Purse::open(card, &SCHEME).unwrap();
        till.sell(&mut purse, &order(fen), pin.as_ref(), &mut psam()).map(|_| ())
    };
    let (amount, pin_free) = (Fen::new(5001), Fen::new(5000));
    let insert = FlowError::Till(TillError::Insert { amount, pin_free });
    let wanted = FlowError::Till(TillError::PinWanted { amount, pin_free });
    let mut card = Card::new();
    for side in [Side::Contact, Side::Contactless] {
        assert_eq!(sell(&mut card, side, 5000, None), Ok(()));
    }
    assert!(!card.commands.contains(&0x20), "a PIN that nobody asked for");
    assert_eq!(sell(&mut card, Side::Contactless, 5001, Some(pin())), Err(insert));
    assert_eq!(sell(&mut card, Side::Contact, 5001, None), Err(wanted));
    assert_eq!(sell(&mut card, Side::Contact, 5001, Some(pin())), Ok(()));
    let wrong = sell(&mut card, Side::Contact, 5001, Pin::from_digits("4321").ok()).unwrap_err();
    assert_eq!(wrong.to_string(), "wrong PIN, 2 tries left (SW=63C2); no money has moved");
    assert_eq!(Side::by_atr(&hex!("3B 86 80 01 53 54 42 43 41 4D C1")), Side::Contactless);
    assert_eq!(Side::by_atr(&hex!("3B D6 18 FF 81 31 FE 15")), Side::Contact);
}

/// Whatever ends a flow before its commit says that no money has moved, and sends no commit.
#[test]
fn what_is_refused_moves_nothing() {
    let mut card = Card::new();
    let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
    let mut refusals = Vec::new();
    refusals.push(purse.purchase(&order(0), &mut psam()).unwrap_err());
    refusals.push(purse.purchase(&order(20_001), &mut psam()).unwrap_err());
    refusals.push(purse.purchase(&order(10_001), &mut psam()).unwrap_err());
    let late = Order { date: BcdDate(hex!("20370101")), ..order(1) };
    refusals.push(purse.purchase(&late, &mut psam()).unwrap_err());
    let no_key = SoftPsam::new(TERMINAL, TerminalSequence::new(0));
    refusals.push(purse.purchase(&order(1), &mut { no_key }).unwrap_err());
    purse.verify(&pin()).unwrap();
    refusals.push(purse.load(&order(0), TERMINAL, &host()).unwrap_err());
    refusals.push(purse.load(&order(40_001), TERMINAL, &host()).unwrap_err());
    refusals.push(purse.load(&order(1), TERMINAL, &Host::default()).unwrap_err());
    let other =
        Host::new([(1, LoadKey::new(Secret::new(DPK)))].to_vec(), None, Diversified::default());
    let wrong = purse.load(&order(1), TERMINAL, &other).unwrap_err();
    assert_eq!(wrong, FlowError::Host(HostError::WrongMac1));
    refusals.push(wrong);
    for refusal in &refusals {
        assert!(
            refusal.is_refusal() && refusal.to_string().ends_with("; no money has moved"),
            "{refusal}"
        );
    }
    let distinct: std::collections::BTreeSet<_> =
        refusals.iter().map(ToString::to_string).collect();
    assert_eq!(distinct.len(), refusals.len(), "each has its own text");
    assert!(matches!(refusals[0], FlowError::Purchase(PurchaseError::AmountZero)));
    assert!(matches!(refusals[6], FlowError::Load(LoadError::OverMaximum { .. })));
    assert!(!card.commands.iter().any(|ins| matches!(ins, 0x52 | 0x54)));
    assert_eq!(card.balance, 10_000);
}

/// Silence, at every command of a flow, before the commit.
struct Mute<'a>(&'a mut Card, usize);

impl CardPort for Mute<'_> {
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        self.1 = self.1.checked_sub(1)?;
        self.0.transmit(command)
    }
}

#[test]
fn silence_before_the_commit_moves_nothing() {
    let fares = fares();
    let gate = Gate { station: Station(1), fares: &fares, sfi: 0x17, identifier: 0x21 };
    // SELECT, READ RECORD, GET BALANCE, INITIALIZE, UPDATE: then the commit.
    for answered in 0..5 {
        let mut card = Card::new();
        let mut port = Mute(&mut card, answered);
        let passed = Purse::open(&mut port, &SCHEME)
            .and_then(|mut purse| gate.entry(&mut purse, &order(0), &mut psam()));
        let error = passed.unwrap_err();
        assert!(
            !error.is_refusal() && error.to_string().ends_with("; no money has moved"),
            "{error}"
        );
        assert!(card.commands.len() == answered && card.offline == 7);
    }
    let mut card = Card::new();
    let none = Purse::open(&mut Mute(&mut card, 0), &SCHEME).unwrap_err();
    assert_eq!(none, FlowError::Select(SelectError::NoAnswer));
}
