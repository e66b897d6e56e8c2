// SPDX-License-Identifier: Apache-2.0
//! A card that reports, as the head-end sees it, and the judge of its reports.

use crate::support;
use cam_types::{
    BcdDate, BcdTime, CardId, CasTime, Epoch, EventId, Fen, Key, OperatorId, Pseudonym, TerminalId,
    TerminalSequence,
};
use ecm_emm::keys::KeyMaterial;
use ecm_emm::report::{Report, ReportHeader, ReportRecord};
use ecm_emm::suite::{SealKey, Suite};
use headend::files::fields::Octets;
use headend::files::issued::Issued;
use headend::verify::state::State;
use headend::verify::{Carried, Ground, Verdict, verify};
use hex_literal::hex;
use std::path::Path;
use wallet::formula::{tac_load_input, tac_purchase_input};
use wallet::keys::TacKey;
use wallet::{LogRecord, Transaction, TransactionType};

pub(crate) const NONCE: [u8; 8] = hex!("a0a1a2a3a4a5a6a7");
pub(crate) const CARD: CardId = CardId::new(hex!("0102030405060708"));
pub(crate) const PSEUDONYM: Octets<8> = Octets(hex!("a1b2c3d4e5f60718"));
/// Who sells top-ups.
pub(crate) const AGENT: [u8; 6] = hex!("a9e000000001");
/// Events of the demo's schedule with their prices.
pub(crate) const EVENTS: [(u32, u32); 3] = [(2001, 1200), (2002, 850), (2003, 1500)];

pub(crate) fn k_rcp() -> SealKey {
    let key = KeyMaterial::from_slice(&hex!("b0b1b2b3b4b5b6b7b8b9babbbcbdbebf")).unwrap();
    SealKey::new(Suite::Cmac128, key).unwrap()
}

pub(crate) fn header() -> ReportHeader {
    ReportHeader {
        suite: Suite::Cmac128,
        operator: OperatorId::new(0x1201),
        pseudonym: Pseudonym::new(PSEUDONYM.0),
        epoch: Epoch::new(1),
    }
}

/// A card that counts and seals like the real one, and lets itself be corrupted.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) balance: u32,
    pub(crate) offline: u16,
    pub(crate) online: u16,
    pub(crate) chain: [u8; 8],
    /// The receipt in front of the first record.
    pub(crate) base: [u8; 8],
    pub(crate) records: Vec<ReportRecord>,
    /// Records that were acknowledged.
    pub(crate) forgotten: Vec<ReportRecord>,
    /// The card's time; each transaction takes a second.
    pub(crate) time: u32,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            balance: 10_000,
            offline: 0,
            online: 0,
            chain: [0; 8],
            base: [0; 8],
            records: Vec::new(),
            forgotten: Vec::new(),
            time: 0,
        }
    }

    /// The demo's card after its three purchases and a top-up in between.
    pub(crate) fn demo() -> Self {
        let mut card = Self::new();
        card.buy(2001, 1200);
        card.load(500);
        card.buy(2002, 850);
        card.buy(2003, 1500);
        card
    }

    fn bcd(seconds: u32) -> BcdTime {
        let of = |n: u32| (n / 10 * 16 + n % 10) as u8;
        BcdTime([of(seconds / 3600 % 24), of(seconds / 60 % 60), of(seconds % 60)])
    }

    pub(crate) fn transaction(&self, amount: u32, kind: TransactionType) -> Transaction {
        Transaction {
            amount: Fen::new(amount),
            kind,
            terminal: TerminalId::new(hex!("530000000001")),
            date: BcdDate(hex!("20261201")),
            time: Self::bcd(self.time),
        }
    }

    pub(crate) fn dtk() -> TacKey {
        TacKey::new(Key::new(hex!("13579bdf02468ace1122446688aaccee")))
    }

    pub(crate) fn buy(&mut self, event: u32, price: u32) {
        self.balance -= price;
        self.offline += 1;
        let transaction = self.transaction(price, TransactionType::COMPOUND);
        let number = TerminalSequence::new(100 + u32::from(self.offline));
        let tac = Self::dtk().fold().mac(&tac_purchase_input(&transaction, number)).0;
        self.append(self.offline, transaction, number, EventId::new(event), tac);
    }

    /// A purchase at a till, which leaves no record.
    pub(crate) fn till(&mut self, amount: u32) {
        self.balance -= amount;
        self.offline += 1;
    }

    /// A load at a host, which leaves none either.
    pub(crate) fn host(&mut self, amount: u32) {
        self.balance += amount;
        self.online += 1;
    }

    /// A top-up over the air, numbered as the purse counts it.
    pub(crate) fn load(&mut self, amount: u32) {
        let number = TerminalSequence::new(u32::from(self.online) + 1);
        self.credit(amount, number, TerminalId::new(AGENT));
    }

    /// A top-up whose number the purse does not judge by.
    pub(crate) fn repeat_load(&mut self, amount: u32, number: u32) {
        self.credit(amount, TerminalSequence::new(number), TerminalId::new(AGENT));
    }

    /// The purchase with this offline sequence is given back.
    pub(crate) fn refund(&mut self, sequence: u16) {
        let record = self.records.iter_mut().find(|record| {
            let purse = LogRecord::parse(&record.purse).unwrap();
            record.event.value() != 0 && purse.sequence == sequence
        });
        let record = record.unwrap();
        record.state = 2;
        let (number, purse) = (record.terminal_sequence, LogRecord::parse(&record.purse).unwrap());
        self.credit(purse.transaction.amount.fen(), number, purse.transaction.terminal);
    }

    fn credit(&mut self, amount: u32, number: TerminalSequence, terminal: TerminalId) {
        self.balance += amount;
        let before = self.online.to_be_bytes();
        self.online += 1;
        let transaction =
            Transaction { terminal, ..self.transaction(amount, TransactionType::LOAD) };
        let input = tac_load_input(Fen::new(self.balance), before, &transaction);
        let tac = Self::dtk().fold().mac(&input).0;
        self.append(self.online, transaction, number, EventId::new(0), tac);
    }

    pub(crate) fn append(
        &mut self,
        sequence: u16,
        transaction: Transaction,
        terminal_sequence: TerminalSequence,
        event: EventId,
        tac: [u8; 4],
    ) {
        let mut purse = Vec::new();
        LogRecord { sequence, overdraft: [0; 3], transaction }.emit(&mut purse);
        let record = ReportRecord {
            purse: purse.try_into().unwrap(),
            terminal_sequence,
            balance: Fen::new(self.balance),
            event,
            tier: u8::from(event.value() != 0),
            end: CasTime::new(0),
            state: 1,
            tac,
        };
        self.chain = record.receipt(&k_rcp(), &header().key_context(), CARD, self.chain);
        self.records.push(record);
        self.time += 1;
    }

    /// Makes the chain fit the records again, as a card could that cheats itself.
    pub(crate) fn rechain(&mut self) {
        self.chain = self.records.iter().fold(self.base, |chain, record| {
            record.receipt(&k_rcp(), &header().key_context(), CARD, chain)
        });
    }

    /// What was acknowledged goes.
    pub(crate) fn forget(&mut self) {
        self.base = self.chain;
        self.forgotten.append(&mut self.records);
    }

    /// As it answers when it is asked for so many acknowledged records too.
    pub(crate) fn recalled(&self, count: usize) -> Self {
        let mut card = self.clone();
        let records = card.forgotten.split_off(card.forgotten.len().saturating_sub(count));
        card.records.splice(..0, records);
        card.base = card.forgotten.iter().fold([0; 8], |chain, record| {
            record.receipt(&k_rcp(), &header().key_context(), CARD, chain)
        });
        card
    }

    /// The same, but for the last records.
    pub(crate) fn forget_but(&mut self, count: usize) {
        let last = self.records.split_off(self.records.len() - count);
        self.rechain();
        self.forget();
        self.records = last;
        self.rechain();
    }

    pub(crate) fn page(&self, n: usize) -> Report {
        let receipt = |count: usize| {
            self.records.iter().take(count).fold(self.base, |chain, record| {
                record.receipt(&k_rcp(), &header().key_context(), CARD, chain)
            })
        };
        let records: Vec<_> = self.records.iter().skip(4 * n).take(4).copied().collect();
        let end = 4 * n + records.len();
        Report {
            balance: Fen::new(self.balance),
            offline_sequence: self.offline,
            online_sequence: self.online,
            time: CasTime::new(self.time),
            chain_before: receipt(4 * n),
            chain_after: if end == self.records.len() { self.chain } else { receipt(end) },
            records,
        }
    }

    pub(crate) fn pages(&self) -> Vec<Report> {
        (0..=self.records.len() / 4).map(|n| self.page(n)).collect()
    }
}

pub(crate) fn sealed(reports: &[Report]) -> Vec<Carried> {
    let seal = |(n, report): (usize, &Report)| {
        let mut octets = Vec::new();
        report.seal(&header(), NONCE, &k_rcp(), &mut octets).unwrap();
        Carried { name: format!("page {}", n + 1), octets }
    };
    reports.iter().enumerate().map(seal).collect()
}

/// What was given out: so many top-ups of 5.00, and these refunds (event, sequence, amount).
pub(crate) fn issued_of(topups: u32, refunds: &[(u32, u16, u32)]) -> Issued {
    let card = format!("card = \"{}\"\n", Octets(*CARD.octets()));
    let agent = Octets(AGENT);
    let topup = |number| {
        format!("[[topup]]\n{card}number = {number}\namount = \"5.00\"\nagent = \"{agent}\"\n")
    };
    let refund = |(event, sequence, amount): &(u32, u16, u32)| {
        let amount = Fen::new(*amount);
        format!("[[refund]]\n{card}event = {event}\nsequence = {sequence}\namount = \"{amount}\"\n")
    };
    let text: String = (1..=topups).map(topup).chain(refunds.iter().map(refund)).collect();
    Issued::parse(Path::new("issued.toml"), &text, &support::operator()).unwrap()
}

/// The same with three top-ups.
pub(crate) fn issued(refunds: &[(u32, u16, u32)]) -> Issued {
    issued_of(3, refunds)
}

pub(crate) fn judge(reports: &[Carried], state: &State) -> Verdict {
    judge_with(reports, state, &issued(&[(2001, 1, 1200)]), &[])
}

pub(crate) fn judge_with(
    reports: &[Carried],
    state: &State,
    issued: &Issued,
    accept_gap: &[Octets<8>],
) -> Verdict {
    let (operator, schedule) = (support::operator(), support::schedule());
    let ground = Ground {
        operator: &operator,
        nonce: NONCE,
        state: Some(state),
        schedule: Some(&schedule),
        issued: Some(issued),
        accept_gap,
    };
    verify(reports, ground).unwrap()
}

pub(crate) fn findings(reports: &[Report]) -> Vec<String> {
    judge(&sealed(reports), &State::default()).findings
}

/// Some finding has all these parts.
#[track_caller]
pub(crate) fn found(findings: &[String], parts: &[&str]) {
    let all = |finding: &&String| parts.iter().all(|part| finding.contains(part));
    assert!(findings.iter().any(|finding| all(&finding)), "{parts:?} not in {findings:#?}");
}
