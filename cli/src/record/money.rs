// SPDX-License-Identifier: Apache-2.0
//! What the money commands say: receipts, settlements, the log, passages of a gate.
use crate::money::state::serial_text;
use cam_types::{Fen, TerminalSequence};
use serde::{Serialize, Serializer};
use std::fmt;
use wallet::flow::Held;
use wallet::flow::settle::Upshot;
use wallet::formula::{tac_load, tac_purchase};
use wallet::keys::TacKey;
use wallet::load::LoadReceipt;
use wallet::proof::{Made, Unsettled};
use wallet::purchase::Receipt;
use wallet::{LogRecord, Mac, Transaction, TransactionType};

/// The name of a type of transaction.
pub(crate) const fn kind(kind: TransactionType) -> &'static str {
    match kind {
        TransactionType::LOAD | TransactionType::LOAD_ED => "load",
        TransactionType::PURCHASE => "purchase",
        TransactionType::COMPOUND => "compound purchase",
        _ => "transaction",
    }
}

/// An amount in JSON is text, as it is typed: 12.34.
pub(super) fn money<S: Serializer>(amount: &Fen, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

pub(super) fn maybe_money<S: Serializer>(
    amount: &Option<Fen>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match amount {
        Some(amount) => serializer.collect_str(amount),
        None => serializer.serialize_none(),
    }
}

/// A record of the purse's log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Logged {
    /// The short identifier of the file, in hexadecimal.
    pub file: String,
    pub number: usize,
    pub sequence: u16,
    #[serde(flatten)]
    pub transaction: Said,
}

/// Type, amount, terminal and time of a transaction.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Said {
    pub kind: &'static str,
    #[serde(rename = "type")]
    pub code: String,
    #[serde(serialize_with = "money")]
    pub amount: Fen,
    pub terminal: String,
    pub date: String,
    pub time: String,
}

/// A purchase that was made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Paid {
    pub serial: Option<String>,
    #[serde(flatten)]
    pub transaction: Said,
    #[serde(serialize_with = "maybe_money")]
    pub before: Option<Fen>,
    #[serde(serialize_with = "money")]
    pub after: Fen,
    pub card_sequence: u16,
    pub terminal_sequence: u32,
    pub tac: Option<String>,
    pub tac_check: Checked,
    pub mac2: String,
    /// What the card holds after it, by GET BALANCE.
    pub balance_check: Checked,
    /// The same, where it is not `after`.
    #[serde(serialize_with = "maybe_money")]
    pub held: Option<Fen>,
    /// What has settled it, where the card's answer was lost.
    pub settled_by: Option<String>,
    pub ms: f64,
}

/// A load that was made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Loaded {
    pub serial: Option<String>,
    #[serde(flatten)]
    pub transaction: Said,
    #[serde(serialize_with = "maybe_money")]
    pub before: Option<Fen>,
    #[serde(serialize_with = "money")]
    pub after: Fen,
    pub card_sequence: u16,
    pub tac: Option<String>,
    pub tac_check: Checked,
    pub balance_check: Checked,
    #[serde(serialize_with = "maybe_money")]
    pub held: Option<Fen>,
    pub settled_by: Option<String>,
    pub ms: f64,
}

/// Whether a TAC is the card's, or its balance what it must be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Checked {
    Right,
    Wrong,
    /// No key of role tac is here.
    NoKey,
    /// The card has not shown one.
    NotShown,
}

/// What an earlier transaction has come to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Settlement {
    pub serial: Option<String>,
    pub outcome: &'static str,
    #[serde(flatten)]
    pub transaction: Said,
    #[serde(serialize_with = "maybe_money")]
    pub after: Option<Fen>,
    pub terminal_sequence: Option<u32>,
    pub settled_by: Option<String>,
}

/// What a card has shown of the conventions that cards differ in.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shown {
    pub shown: String,
}

/// A proof that a card has shown.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Proven {
    pub sequence: u16,
    #[serde(rename = "type")]
    pub code: String,
    pub mac: String,
    pub tac: String,
}

/// A gate that opens.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Passed {
    pub way: &'static str,
    pub station: u16,
    pub from: u16,
    #[serde(serialize_with = "money")]
    pub fare: Fen,
    #[serde(flatten)]
    pub paid: Paid,
}

impl Logged {
    pub(crate) fn new(file: u8, number: usize, record: &LogRecord) -> Self {
        let LogRecord { sequence, transaction, .. } = record;
        let (file, transaction) = (format!("{file:02X}"), Said::new(transaction));
        Self { file, number, sequence: *sequence, transaction }
    }
}

impl Said {
    pub(crate) fn new(transaction: &Transaction) -> Self {
        let Transaction { amount, kind: code, terminal, date, time } = transaction;
        Self {
            kind: kind(*code),
            code: format!("{:02X}", code.0),
            amount: *amount,
            terminal: terminal.to_string(),
            date: date.to_string(),
            time: time.to_string(),
        }
    }
}

impl Checked {
    /// Whether the card holds what it must, and what it holds instead.
    pub(crate) const fn balance(held: Held) -> (Self, Option<Fen>) {
        match held {
            Held::AsExpected => (Self::Right, None),
            Held::Other(held) => (Self::Wrong, Some(held)),
            Held::NotShown => (Self::NotShown, None),
        }
    }

    fn new(tac: Option<Mac>, expected: Option<Mac>) -> Self {
        match (tac, expected) {
            (None, _) => Self::NotShown,
            (_, None) => Self::NoKey,
            (tac, expected) if tac == expected => Self::Right,
            _ => Self::Wrong,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong: the acquirer will not take it",
            Self::NoKey => "not checked, no key of role tac",
            Self::NotShown => "not shown",
        }
    }
}

/// A code in hexadecimal.
pub(crate) fn mac(mac: Mac) -> String {
    mac.0.iter().map(|octet| format!("{octet:02X}")).collect()
}

impl Paid {
    pub(crate) fn receipt(receipt: &Receipt, key: Option<&TacKey>) -> Self {
        let mac2 = receipt.unchecked.map_or("right".into(), |why| format!("not checked: {why}"));
        let Receipt { transaction, terminal_sequence, offline_sequence, balance, tac, .. } =
            *receipt;
        let paid =
            Self::new(&transaction, terminal_sequence, offline_sequence, balance, Some(tac), key);
        Self { mac2, ..paid }
    }

    pub(crate) fn made(made: &Made, key: Option<&TacKey>) -> Self {
        let tac = made.evidence.tac();
        let Made { transaction, terminal_sequence, sequence, balance, .. } = *made;
        let paid = Self::new(&transaction, terminal_sequence, sequence, balance, tac, key);
        Self { settled_by: Some(made.evidence.to_string()), ..paid }
    }

    fn new(
        transaction: &Transaction,
        terminal_sequence: TerminalSequence,
        sequence: [u8; 2],
        after: Fen,
        tac: Option<Mac>,
        key: Option<&TacKey>,
    ) -> Self {
        let expected = key.map(|key| tac_purchase(&key.fold(), transaction, terminal_sequence));
        Self {
            serial: None,
            transaction: Said::new(transaction),
            before: None,
            after,
            card_sequence: u16::from_be_bytes(sequence),
            terminal_sequence: terminal_sequence.value(),
            tac: tac.map(mac),
            tac_check: Checked::new(tac, expected),
            mac2: "not shown".into(),
            balance_check: Checked::NotShown,
            held: None,
            settled_by: None,
            ms: 0.0,
        }
    }
}

impl Loaded {
    /// What is wrong with it, though it was made.
    pub(crate) fn remark(&self) -> Option<String> {
        self.held.map(reckoned_wrongly)
    }

    pub(crate) fn receipt(receipt: &LoadReceipt, key: Option<&TacKey>) -> Self {
        let LoadReceipt { transaction, online_sequence, balance, tac } = receipt;
        Self::new(transaction, *online_sequence, *balance, Some(*tac), key)
    }

    pub(crate) fn made(made: &Made, key: Option<&TacKey>) -> Self {
        let tac = made.evidence.tac();
        let loaded = Self::new(&made.transaction, made.sequence, made.balance, tac, key);
        Self { settled_by: Some(made.evidence.to_string()), ..loaded }
    }

    fn new(
        transaction: &Transaction,
        sequence: [u8; 2],
        after: Fen,
        tac: Option<Mac>,
        key: Option<&TacKey>,
    ) -> Self {
        let expected = key.map(|key| tac_load(&key.fold(), after, sequence, transaction));
        Self {
            serial: None,
            transaction: Said::new(transaction),
            before: None,
            after,
            card_sequence: u16::from_be_bytes(sequence),
            tac: tac.map(mac),
            tac_check: Checked::new(tac, expected),
            balance_check: Checked::NotShown,
            held: None,
            settled_by: None,
            ms: 0.0,
        }
    }
}

impl Settlement {
    pub(crate) fn new(serial: Option<[u8; 10]>, settled: &Upshot) -> Self {
        let (outcome, transaction, after, sequence, settled_by) = match settled {
            Upshot::Made(made @ Made { transaction, terminal_sequence, balance, .. }) => (
                "made",
                transaction,
                Some(*balance),
                Some(terminal_sequence.value()),
                Some(made.evidence.to_string()),
            ),
            Upshot::NotMade(transaction) => ("not_made", transaction, None, None, None),
            Upshot::Open(Unsettled { transaction, terminal_sequence, .. }, why) => {
                ("open", transaction, None, Some(terminal_sequence.value()), Some(why.to_string()))
            }
        };
        Self {
            serial: serial.map(|serial| serial_text(Some(serial))),
            outcome,
            transaction: Said::new(transaction),
            after,
            terminal_sequence: sequence,
            settled_by,
        }
    }
}

impl Settlement {
    /// By somebody who says so.
    #[must_use]
    pub(crate) fn judged(self, outcome: &'static str, after: Option<Fen>, by: String) -> Self {
        Self { outcome, after, settled_by: Some(by), ..self }
    }

    /// What nobody has been asked about now.
    pub(crate) fn open(serial: Option<[u8; 10]>, open: &Unsettled) -> Self {
        Self {
            serial: serial.map(|serial| serial_text(Some(serial))),
            outcome: "open",
            transaction: Said::new(&open.transaction),
            after: None,
            terminal_sequence: Some(open.terminal_sequence.value()),
            settled_by: None,
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, amount, terminal, date, time, .. } = self;
        write!(f, "{kind} of {amount} at terminal {terminal}, {date} {time}")
    }
}

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, number, sequence, transaction } = self;
        let Said { kind, amount, terminal, date, time, code } = transaction;
        let amount = amount.to_string();
        write!(
            f,
            "{file} {number:3}  {date} {time}  {amount:>11}  {kind} ({code})  terminal {terminal}  sequence {sequence}"
        )
    }
}

/// The lines that follow a receipt's first.
fn codes(
    f: &mut fmt::Formatter<'_>,
    tac: Option<&String>,
    check: Checked,
    by: Option<&String>,
) -> fmt::Result {
    if let Some(tac) = tac {
        write!(f, "\n  TAC {tac}: {}", check.text())?;
    }
    by.map_or(Ok(()), |by| write!(f, "\n  the answer was lost; settled by {by}"))
}

fn balances(
    f: &mut fmt::Formatter<'_>,
    before: Option<Fen>,
    after: Fen,
    held: Option<Fen>,
) -> fmt::Result {
    match before {
        Some(before) => write!(f, "\n  balance {before} before, {after} after"),
        None => write!(f, "\n  balance {after} after"),
    }?;
    held.map_or(Ok(()), |held| write!(f, "\n  but {}", reckoned_wrongly(held)))
}

fn reckoned_wrongly(held: Fen) -> String {
    format!("the card holds {held} now: it has reckoned wrongly; keep this for its issuer")
}

impl fmt::Display for Paid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transaction, before, after, card_sequence, terminal_sequence, .. } = self;
        write!(f, "paid: {transaction}")?;
        balances(f, *before, *after, self.held)?;
        write!(f, "\n  terminal's number {terminal_sequence}, card's {card_sequence} before")?;
        write!(f, "\n  MAC2 {}", self.mac2)?;
        codes(f, self.tac.as_ref(), self.tac_check, self.settled_by.as_ref())?;
        write!(f, "\n  {:.1} ms", self.ms)
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transaction, before, after, card_sequence, .. } = self;
        write!(f, "loaded: {transaction}")?;
        balances(f, *before, *after, self.held)?;
        write!(f, "\n  card's number {card_sequence} before")?;
        codes(f, self.tac.as_ref(), self.tac_check, self.settled_by.as_ref())?;
        write!(f, "\n  {:.1} ms", self.ms)
    }
}

impl fmt::Display for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outcome, transaction, after, settled_by, .. } = self;
        let by = settled_by.as_deref().unwrap_or_default();
        match (*outcome, after) {
            ("made", Some(after)) => {
                write!(f, "settled: the {transaction} was made, balance {after} after it; by {by}")
            }
            ("not_made", _) => {
                write!(f, "settled: the {transaction} was not made, no money has moved")?;
                settled_by.as_ref().map_or(Ok(()), |by| write!(f, "; by {by}"))
            }
            _ => {
                write!(f, "not settled: the {transaction}, money may have moved")?;
                settled_by.as_ref().map_or(Ok(()), |by| write!(f, ": {by}"))
            }
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  the card: {}", self.shown)
    }
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, code, mac, tac } = self;
        write!(f, "proof of type {code}, sequence {sequence}: MAC {mac}, TAC {tac}")
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { way, station, from, fare, paid } = self;
        match *way {
            "entry" => write!(f, "open: entry at station {station}")?,
            _ => write!(f, "open: exit at station {station} from station {from}, fare {fare}")?,
        }
        balances(f, paid.before, paid.after, paid.held)?;
        codes(f, paid.tac.as_ref(), paid.tac_check, paid.settled_by.as_ref())?;
        write!(f, "\n  {:.1} ms", paid.ms)
    }
}
