// SPDX-License-Identifier: Apache-2.0
//! Purses on either side of everything that cards disagree about: the same terminal trades with all
//! of them, loses answers, settles, and says what it met.

use cam_types::{BcdDate, BcdTime, Fen, Reader, Secret, StatusWord, TerminalId, TerminalSequence};
use hex_literal::hex;
use wallet::card::AuthenticationCode;
use wallet::compound::{CompoundPurchase, Update};
use wallet::formula::{
    mac1_load, mac1_purchase_input, mac2_load, mac2_purchase, tac_load, tac_purchase,
};
use wallet::keys::{LoadKey, PurchaseKey, SessionKey, TacKey};
use wallet::load::{Credit, Load};
use wallet::met::ProofMac;
use wallet::proof::{Check, Evidence, Made, Numbering, Proof, Settlement, Unsettled};
use wallet::psam::{CardIdentity, Psam, SoftPsam};
use wallet::purchase::{Debit, Purchase, PurchaseError};
use wallet::read::LogReading;
use wallet::{LogRecord, Mac, Met, Reason, Transaction, TransactionType};

const TERMINAL: TerminalId = TerminalId::new(hex!("001122334455"));
const DATE: BcdDate = BcdDate(hex!("20261201"));
const NOW: BcdTime = BcdTime(hex!("080000"));
const LATER: BcdTime = BcdTime(hex!("080700"));
const CODE: [u8; 9] = hex!("010203040506070809");
const FUNDS: u32 = 10_000;
const PRICE: u32 = 350;

fn dpk() -> PurchaseKey {
    PurchaseKey::new(Secret::new(hex!("00112233445566778899AABBCCDDEEFF")))
}

fn dlk() -> LoadKey {
    LoadKey::new(Secret::new(hex!("0F1E2D3C4B5A69788796A5B4C3D2E1F0")))
}

fn dtk() -> SessionKey {
    TacKey::new(Secret::new(hex!("13579BDF02468ACE1122446688AACCEE"))).fold()
}

/// On which side a card is.
#[derive(Clone, Copy, Debug)]
struct Kind {
    proofs: Numbering,
    log: Numbering,
    /// Shows a proof once, and forgets it at the next INITIALIZE.
    once: bool,
    mac: ProofMac,
    /// Wrong MAC, funds, no INITIALIZE, no proof.
    statuses: [u16; 4],
    code: bool,
    /// Wants the PIN before money goes out.
    pin: bool,
}

impl Kind {
    fn all() -> impl Iterator<Item = Self> {
        let side = |bits: u32, n: u32| bits >> n & 1 == 0;
        let numbering = |after| if after { Numbering::After } else { Numbering::Before };
        (0..128).map(move |bits| Self {
            proofs: numbering(side(bits, 0)),
            log: numbering(side(bits, 1)),
            once: side(bits, 2),
            mac: if side(bits, 3) { ProofMac::Shown } else { ProofMac::Zeros },
            statuses: match side(bits, 4) {
                true => [0x9302, 0x9401, 0x6901, 0x9406],
                false => [0x6982, 0x6A80, 0x6985, 0x6985],
            },
            code: side(bits, 5),
            pin: side(bits, 6),
        })
    }
}

enum Order {
    Load(SessionKey),
    /// How many records are in the cache, if it takes any.
    Debit(Option<usize>),
}

struct Card {
    kind: Kind,
    balance: u32,
    pin_verified: bool,
    online: u16,
    offline: u16,
    order: Option<(Order, Transaction)>,
    proofs: Vec<(TransactionType, u16, Proof)>,
    /// The newest first.
    log: Vec<LogRecord>,
}

impl Card {
    const RANDOM: [u8; 4] = hex!("584633C9");

    fn new(kind: Kind) -> Self {
        let (balance, online, offline) = (FUNDS, 0x00FE, 0x00FE);
        Self {
            kind,
            balance,
            pin_verified: true,
            online,
            offline,
            order: None,
            proofs: vec![],
            log: vec![],
        }
    }

    fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        let answer = match *command {
            [0x80, 0x5C, 0x00, 0x02, 0x04] => Ok(self.balance.to_be_bytes().to_vec()),
            [0x80, 0xCA, 0x00, 0x00, 0x09] if self.kind.code => Ok(CODE.to_vec()),
            [0x80, 0x50, p1 @ (0x00 | 0x01 | 0x03), 0x02, 0x0B, ref data @ .., _] => {
                self.initialize(p1, data)
            }
            [0x80, 0xDC, ..] => self.update(),
            [0x80, 0x54, 0x01, 0x00, 0x0F, ref data @ .., 0x08] => self.debit(data),
            [0x80, 0x52, 0x00, 0x00, 0x0B, ref data @ .., 0x04] => self.credit(data),
            [0x80, 0x5A, 0x00, kind, 0x02, high, low, 0x08] => {
                self.prove(TransactionType(kind), u16::from_be_bytes([high, low]))
            }
            [0x00, 0xB2, number, 0xC4, 0x17] => self.record(number),
            _ => Err(0x6D00),
        };
        let (mut response, status) = answer.map_or_else(|sw| (vec![], sw), |data| (data, 0x9000));
        response.extend(u16::to_be_bytes(status));
        response
    }

    fn initialize(&mut self, p1: u8, data: &[u8]) -> Result<Vec<u8>, u16> {
        let mut r = Reader::new(data);
        assert_eq!(r.u8("key index"), Ok(1));
        let transaction = Transaction {
            amount: Fen::new(r.u32("amount").unwrap()),
            kind: match p1 {
                0x00 => TransactionType::LOAD,
                0x01 => TransactionType::PURCHASE,
                _ => TransactionType::COMPOUND,
            },
            terminal: TerminalId::new(*r.array("terminal").unwrap()),
            date: BcdDate::default(),
            time: BcdTime::default(),
        };
        if self.kind.once {
            self.proofs.clear();
        }
        let balance = self.balance.to_be_bytes();
        if p1 == 0x00 {
            let session = dlk().session(Self::RANDOM, self.online.to_be_bytes());
            let Transaction { amount, kind, terminal, .. } = transaction;
            let Mac(mac1) = mac1_load(&session, Fen::new(self.balance), amount, kind, terminal);
            self.order = Some((Order::Load(session), transaction));
            let online = self.online.to_be_bytes();
            return Ok([&balance[..], &online, &[1, 0], &Self::RANDOM, &mac1].concat());
        }
        if self.kind.pin && !self.pin_verified && transaction.amount != Fen::ZERO {
            return Err(0x6982);
        }
        if self.balance < transaction.amount.fen() {
            return Err(self.kind.statuses[1]);
        }
        self.order = Some((Order::Debit((p1 == 0x03).then_some(0)), transaction));
        let offline = self.offline.to_be_bytes();
        Ok([&balance[..], &offline, &[0, 0, 0, 1, 0], &Self::RANDOM].concat())
    }

    fn update(&mut self) -> Result<Vec<u8>, u16> {
        let Some((Order::Debit(Some(cache)), _)) = &mut self.order else {
            return Err(self.kind.statuses[2]);
        };
        *cache += 1;
        Ok(vec![])
    }

    fn debit(&mut self, data: &[u8]) -> Result<Vec<u8>, u16> {
        let Some((Order::Debit(None | Some(1..)), mut transaction)) = self.order else {
            return Err(self.kind.statuses[2]);
        };
        let mut r = Reader::new(data);
        let number = TerminalSequence::from_be_bytes(*r.array("terminal sequence").unwrap());
        transaction.date = BcdDate(*r.array("date").unwrap());
        transaction.time = BcdTime(*r.array("time").unwrap());
        let session = dpk().session(Self::RANDOM, self.offline.to_be_bytes(), number);
        let mut input = mac1_purchase_input(&transaction);
        if self.kind.code {
            input.extend(CODE);
        }
        if session.mac(&input) != Mac(*r.array("MAC1").unwrap()) {
            return Err(self.kind.statuses[0]);
        }
        let Mac(mac2) = mac2_purchase(&session, transaction.amount);
        let Mac(tac) = tac_purchase(&dtk(), &transaction, number);
        self.balance -= transaction.amount.fen();
        let before = self.offline;
        self.offline += 1;
        self.done(transaction, before, Mac(mac2), Mac(tac));
        Ok([tac, mac2].concat())
    }

    fn credit(&mut self, data: &[u8]) -> Result<Vec<u8>, u16> {
        let Some((Order::Load(session), mut transaction)) = self.order.take() else {
            return Err(self.kind.statuses[2]);
        };
        let mut r = Reader::new(data);
        transaction.date = BcdDate(*r.array("date").unwrap());
        transaction.time = BcdTime(*r.array("time").unwrap());
        if mac2_load(&session, &transaction) != Mac(*r.array("MAC2").unwrap()) {
            return Err(self.kind.statuses[0]);
        }
        self.balance += transaction.amount.fen();
        let before = self.online;
        self.online += 1;
        let sum = Fen::new(self.balance);
        let Mac(tac) = tac_load(&dtk(), sum, before.to_be_bytes(), &transaction);
        self.done(transaction, before, Mac([0; 4]), Mac(tac));
        Ok(tac.to_vec())
    }

    fn done(&mut self, transaction: Transaction, before: u16, mac: Mac, tac: Mac) {
        let number = |numbering| match numbering {
            Numbering::Before => before,
            Numbering::After => before + 1,
        };
        let mac = match self.kind.mac {
            ProofMac::Shown => mac,
            ProofMac::Zeros => Mac([0; 4]),
        };
        self.proofs.retain(|_| !self.kind.once);
        self.proofs.push((transaction.kind, number(self.kind.proofs), Proof { mac, tac }));
        let sequence = number(self.kind.log);
        self.log.insert(0, LogRecord { sequence, overdraft: [0; 3], transaction });
        self.order = None;
    }

    fn prove(&mut self, kind: TransactionType, number: u16) -> Result<Vec<u8>, u16> {
        let place = self.proofs.iter().position(|(k, n, _)| (*k, *n) == (kind, number));
        let (_, _, Proof { mac: Mac(mac), tac: Mac(tac) }) =
            self.proofs[place.ok_or(self.kind.statuses[3])?];
        self.proofs.retain(|_| !self.kind.once);
        Ok([mac, tac].concat())
    }

    fn record(&self, number: u8) -> Result<Vec<u8>, u16> {
        let record = self.log.get(usize::from(number) - 1).ok_or(0x6A83_u16)?;
        let mut octets = Vec::new();
        record.emit(&mut octets);
        Ok(octets)
    }
}

fn psam(number: u32) -> SoftPsam {
    SoftPsam::new(TERMINAL, TerminalSequence::new(number)).with_key(1, dpk())
}

fn identity(kind: Kind) -> CardIdentity {
    let authentication_code = kind.code.then_some(AuthenticationCode(CODE).0);
    CardIdentity { factors: Vec::new(), authentication_code }
}

/// What goes missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lost {
    Nothing,
    Command,
    Answer,
}

impl Lost {
    fn transmit(self, card: &mut Card, command: &[u8]) -> Option<Vec<u8>> {
        let answer = (self != Self::Command).then(|| card.transmit(command))?;
        (self == Self::Nothing).then_some(answer)
    }
}

#[derive(Clone, Copy, Debug)]
enum What {
    Load,
    Purchase,
    Exit,
    Entry,
}

enum Ended {
    Done,
    Open(Unsettled),
}

/// Trades once.
fn trade(card: &mut Card, what: What, psam: &mut SoftPsam, at: BcdTime, lost: Lost) -> Ended {
    let price = Fen::new(PRICE);
    let identity = identity(card.kind);
    let debiting = match what {
        What::Load => {
            let load = Load::new(1, price, TERMINAL).unwrap();
            let answer = card.transmit(&load.command());
            let initialized = load.initialized(&answer).unwrap();
            assert!(initialized.is_from(&dlk()));
            let session = dlk().session(initialized.random, initialized.online_sequence);
            let mac2 = mac2_load(&session, &initialized.transaction(DATE, at));
            let crediting = initialized.credit(DATE, at, mac2);
            let answer = lost.transmit(card, &crediting.command());
            return match crediting.finish(answer.as_deref()) {
                Credit::Loaded(_) => Ended::Done,
                Credit::Unsettled(unsettled) => Ended::Open(unsettled),
                Credit::Refused(why) => panic!("{why}"),
            };
        }
        What::Purchase => {
            let purchase = Purchase::new(1, price, TERMINAL).unwrap();
            let answer = card.transmit(&purchase.command());
            purchase.initialized(&answer).unwrap().authorise(DATE, at, &identity, psam)
        }
        What::Exit | What::Entry => {
            let amount = if matches!(what, What::Exit) { price } else { Fen::ZERO };
            let purchase = CompoundPurchase::new(1, amount, TERMINAL);
            let answer = card.transmit(&purchase.command());
            let update = Update::by_number(0x17, 1, &[9, 1, 0]).unwrap();
            let updating = purchase.initialized(&answer).unwrap().update(update);
            let answer = card.transmit(&updating.command());
            updating.updated(&answer).unwrap().authorise(DATE, at, &identity, psam)
        }
    }
    .unwrap();
    let answer = lost.transmit(card, &debiting.command());
    match debiting.finish(answer.as_deref(), psam) {
        Debit::Paid(_) => Ended::Done,
        Debit::Unsettled(unsettled) => Ended::Open(unsettled),
        Debit::Refused(why) => panic!("{why}"),
    }
}

/// Who can tell whose proof it is.
#[derive(Clone, Copy, Debug)]
enum Judge {
    TacKey,
    Psam,
    Nobody,
}

impl Judge {
    fn check(self, proof: &Proof, unsettled: &Unsettled, psam: &mut SoftPsam) -> Check {
        let Unsettled { transaction, terminal_sequence, sequence, balance, .. } = unsettled;
        match (self, transaction.kind) {
            (Self::TacKey, TransactionType::LOAD) => {
                (proof.tac == tac_load(&dtk(), *balance, *sequence, transaction)).into()
            }
            (Self::TacKey, _) => {
                (proof.tac == tac_purchase(&dtk(), transaction, *terminal_sequence)).into()
            }
            (Self::Psam, kind) if kind != TransactionType::LOAD => {
                proof.check_mac(|mac| psam.credit(mac).is_ok())
            }
            _ => Check::CannotTell,
        }
    }
}

/// Loses the answer to the first question, and starts again.
fn settle_again(
    card: &mut Card,
    unsettled: Unsettled,
    judge: Judge,
    psam: &mut SoftPsam,
) -> Settlement {
    reset(card);
    let inquiry = unsettled.inquire();
    card.transmit(&inquiry.command());
    let Settlement::NoAnswer(kept) = inquiry.answer(None, |_| true) else { panic!() };
    settle(card, kept, judge, psam)
}

/// Asks until the card has said all.
fn settle(card: &mut Card, unsettled: Unsettled, judge: Judge, psam: &mut SoftPsam) -> Settlement {
    let reference = Unsettled::parse(&unsettled.octets()).unwrap();
    reset(card);
    let mut settlement = Settlement::Ask(unsettled.inquire());
    while let Settlement::Ask(inquiry) = settlement {
        let answer = card.transmit(&inquiry.command());
        settlement = inquiry.answer(Some(&answer), |proof| judge.check(proof, &reference, psam));
    }
    settlement
}

fn reset(card: &mut Card) {
    (card.order, card.pin_verified) = (None, false);
}

/// What the card does before it is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Since {
    Nothing,
    /// The next gate takes the same fare.
    SameFare,
    /// It pays until it is empty.
    Emptied,
}

impl Since {
    fn happen(self, card: &mut Card) {
        let mut elsewhere = psam(900);
        match self {
            Self::Nothing => {}
            Self::SameFare => {
                trade(card, What::Purchase, &mut elsewhere, LATER, Lost::Nothing);
            }
            Self::Emptied => {
                trade(card, What::Exit, &mut elsewhere, LATER, Lost::Nothing);
                card.balance = 0;
            }
        }
    }
}

#[test]
fn every_card_is_settled_as_it_is() {
    let mut cases = 0;
    for kind in Kind::all() {
        for what in [What::Load, What::Purchase, What::Exit, What::Entry] {
            for lost in [Lost::Command, Lost::Answer] {
                for judge in [Judge::TacKey, Judge::Psam, Judge::Nobody] {
                    for since in [Since::Nothing, Since::SameFare, Since::Emptied] {
                        for lost_once in [false, true] {
                            let name = format!(
                                "{kind:?} {what:?} {lost:?} {judge:?} {since:?} {lost_once}"
                            );
                            let mut card = Card::new(kind);
                            let mut psam = psam(0);
                            // There is a transaction before, whose proof may be shown for ours.
                            trade(&mut card, what, &mut psam, BcdTime::default(), Lost::Nothing);
                            let Ended::Open(unsettled) =
                                trade(&mut card, what, &mut psam, NOW, lost)
                            else {
                                panic!("{name}: not open")
                            };
                            since.happen(&mut card);
                            let held = card.balance;
                            let settled = match lost_once {
                                true => settle_again(&mut card, unsettled, judge, &mut psam),
                                false => settle(&mut card, unsettled, judge, &mut psam),
                            };
                            match (lost, since) {
                                (Lost::Answer, _) => {
                                    assert!(
                                        matches!(settled, Settlement::Made(_)),
                                        "{name}: {settled:?}"
                                    );
                                }
                                (_, Since::Nothing) => {
                                    assert!(
                                        matches!(settled, Settlement::NotMade(_)),
                                        "{name}: {settled:?}"
                                    );
                                }
                                _ => assert!(
                                    matches!(
                                        settled,
                                        Settlement::MovedOn(_) | Settlement::NotShown(_)
                                    ),
                                    "{name}: {settled:?}"
                                ),
                            }
                            assert_eq!(card.balance, held, "{name}: money moved");
                            cases += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(cases, 128 * 4 * 2 * 3 * 3 * 2);
}

/// What a terminal says of a card is what the card is.
#[test]
fn what_was_met_is_what_was_there() {
    for kind in Kind::all() {
        let mut card = Card::new(kind);
        let mut met = Met::default();
        let mut psam = psam(0);
        let Ended::Open(unsettled) = trade(&mut card, What::Purchase, &mut psam, NOW, Lost::Answer)
        else {
            panic!("not open")
        };
        let Settlement::Made(made) = settle(&mut card, unsettled, Judge::TacKey, &mut psam) else {
            panic!("not made")
        };
        let Made { transaction, sequence, evidence: Evidence::Proof(..), .. } = made else {
            panic!("not proved")
        };
        met.proved(&made);
        let reading = LogReading::new();
        let answer = card.transmit(&reading.command());
        let (record, _) = reading.answer(&answer).unwrap().unwrap();
        met.logged(sequence, &transaction, &record);

        card.pin_verified = true;
        // Too much, a wrong MAC1, and nothing to commit.
        let dear = Purchase::new(1, Fen::new(FUNDS), TERMINAL).unwrap();
        let answer = card.transmit(&dear.command());
        let Err(PurchaseError::Refused(funds)) = dear.initialized(&answer) else { panic!() };
        let wrong = CardIdentity { authentication_code: Some([0xFF; 9]), ..identity(kind) };
        let purchase = Purchase::new(1, Fen::new(PRICE), TERMINAL).unwrap();
        let answer = card.transmit(&purchase.command());
        let debiting =
            purchase.initialized(&answer).unwrap().authorise(DATE, NOW, &wrong, &mut psam).unwrap();
        let command = debiting.command();
        let answer = card.transmit(&command);
        let Debit::Refused(mac) = debiting.finish(Some(&answer), &mut psam) else { panic!() };
        card.order = None;
        let Ended::Done = trade(&mut card, What::Purchase, &mut psam, LATER, Lost::Nothing) else {
            panic!("a refused one spoils the next")
        };
        let answer = card.transmit(&command);
        let status = StatusWord(u16::from_be_bytes(answer.try_into().unwrap()));
        let none = wallet::Refusal::of_commit(status).unwrap();
        for refusal in [&funds, &mac, &none] {
            met.refused(refusal);
        }
        assert_eq!(
            (met.proof, met.log, met.mac),
            (Some(kind.proofs), Some(kind.log), Some(kind.mac))
        );
        let status = |reason| met.statuses[&reason].0;
        let statuses =
            [status(Reason::WrongMac), status(Reason::Funds), status(Reason::NotInitialized)];
        assert_eq!(statuses, kind.statuses[..3], "{kind:?}: {met}");
        assert_eq!(card.balance, FUNDS - 2 * PRICE);
    }
}
