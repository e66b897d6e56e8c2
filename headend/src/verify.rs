// SPDX-License-Identifier: Apache-2.0
//! Verifying what cards report: authentic, whole, in order, paid at the price on air.
//!
//! Normative references:
//!  - `docs/spec/report.md` §4

mod carried;
mod history;
mod incoming;
mod ledger;
mod pages;
mod record;
pub mod state;

pub use carried::{Carried, read};

use crate::files::FileError;
use crate::files::card_key::{CardKeys, KeyRole, NoKey};
use crate::files::fields::Octets;
use crate::files::issued::Issued;
use crate::files::operator::Operator;
use crate::files::schedule::Schedule;
use cam_types::CardId;
use ecm_emm::report::{Ack, Report, ReportHeader};
use history::Standing;
use incoming::Incoming;
use ledger::Ledger;
use pages::{Chain, named};
use record::Checker;
use state::{CardState, State};
use std::fmt;

/// What a verification goes by besides the reports.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// Keys and cards.
    pub operator: &'a Operator,
    /// The nonce of the request.
    pub nonce: [u8; 8],
    /// What was verified before; without it the first report begins anywhere, and nothing is
    /// acknowledged.
    pub state: Option<&'a State>,
    /// Events and prices.
    pub schedule: Option<&'a Schedule>,
    /// Top-ups and refunds; without it there were none.
    pub issued: Option<&'a Issued>,
    /// Cards, by their numbers, of which records may be missing between two reports.
    pub accept_gap: &'a [Octets<8>],
}

/// A report that holds, or what is wrong with it.
#[derive(Debug)]
pub struct Verdict {
    /// For the engineer: card, records, sums.
    pub text: String,
    /// What is wrong, each with its record. Empty: the report holds.
    pub findings: Vec<String>,
    /// Whose report it is.
    pub pseudonym: Octets<8>,
    /// What follows from a report that holds, when it is known what was before.
    pub proven: Option<Proven>,
}

/// What follows from a report that holds.
#[derive(Debug)]
pub struct Proven {
    /// Where the card stands now.
    pub state: CardState,
    /// The acknowledgement for it. First the state must be kept.
    pub ack: Vec<u8>,
}

/// Verifies the pages of one card's report, in their order.
pub fn verify(reports: &[Carried], ground: Ground<'_>) -> Result<Verdict, VerifyError> {
    let first = reports.first().ok_or(VerifyError::Nothing)?;
    let header = ReportHeader::parse(&first.octets)
        .map_err(|why| VerifyError::NoReport(first.name.clone(), why))?;
    let pseudonym = Octets(*header.pseudonym.octets());
    let operator = ground.operator;
    if header.operator.value() != operator.operator {
        return Err(VerifyError::Operator(first.name.clone(), header.operator.value()));
    }
    let card = operator.card.iter().find(|card| card.pseudonym == pseudonym);
    let card =
        card.ok_or_else(|| VerifyError::Card(first.name.clone(), header.pseudonym.to_string()))?;
    let keys = operator.card_keys(card)?;
    let mut findings = Vec::new();
    let opened = open(reports, &header, &keys, ground.nonce, &mut findings)?;
    let id = CardId::new(card.card_id.0);
    let chain = Chain::follow(&opened, id, header.epoch, &keys, &mut findings)?;
    // Pages that do not follow one another stand to nothing that was before.
    let known = ground.state.filter(|_| findings.is_empty()).map(|state| state.card(pseudonym));
    let standing = known.map(|known| history::stand(known, &opened, &chain, &mut findings));
    let mut told = String::new();
    if standing == Some(Standing::Gap) {
        let gap = format!(
            "{}: a gap: records are missing before receipt {}; they were acknowledged, and are not known here",
            first.name,
            Octets(chain.before)
        );
        match ground.accept_gap.contains(&card.card_id) {
            true => told += &format!("{gap}; accepted\n"),
            false => findings.push(gap),
        }
    }
    let mut checker = Checker::new(&keys, ground.schedule);
    let mut ledger = Ledger::new(known, ledger_ground(standing));
    let all = opened.iter().flat_map(|(_, page)| &page.records);
    let mut incoming = Incoming::new(card.card_id, ground.issued, known, all);
    let mut links = chain.links.iter().enumerate();
    for (report, page) in &opened {
        for (place, record) in page.records.iter().enumerate() {
            let name = named(report, place);
            if let (Some(known), Some((place, link))) = (known, links.next())
                && (standing.is_some_and(|standing| standing.knows(place))
                    || known.record(link.receipt).is_some())
            {
                ledger.known += 1;
                checker.pass(record);
                if known.record(link.receipt).is_some_and(|was| was.state != record.state) {
                    let what = incoming.given_back(record);
                    findings.extend(what.map(|what| format!("{name}: {what}")));
                }
                continue;
            }
            checker.check(&name, page, record, &mut findings);
            ledger.add(&name, record);
            let what = match record::is_load(record) {
                true => incoming.load(record),
                false => incoming.given_back(record),
            };
            findings.extend(what.map(|what| format!("{name}: {what}")));
        }
    }
    let mut text = format!("card {}: {} of {}\n", header.pseudonym, ledger, plural(reports.len()));
    text += &told;
    let mut proven = None;
    if let Some((_, last)) = opened.last() {
        ledger.end(last, &mut findings, &mut text);
        if let (Some(known), Some(standing)) = (known, standing) {
            if last.time.seconds() < known.time {
                text += "the card's time is earlier than in the last report: after a RESET\n";
            }
            let state = CardState {
                topups: incoming.come,
                refunds: incoming.used,
                ..history::after(known, standing, &chain, last)
            };
            let ack = acknowledgement(&chain, &header, &keys)?;
            proven = findings.is_empty().then_some(Proven { state, ack });
        }
    }
    Ok(Verdict { text, findings, pseudonym, proven })
}

const fn ledger_ground(standing: Option<Standing>) -> ledger::Ground {
    match standing {
        Some(Standing::GoesOn(_)) => ledger::Ground::Whole,
        Some(Standing::Gap) => ledger::Ground::Sequences,
        Some(Standing::Fork) | None => ledger::Ground::None,
    }
}

/// For the card: its records up to the end of the report have arrived.
fn acknowledgement(
    chain: &Chain<'_>,
    header: &ReportHeader,
    keys: &CardKeys,
) -> Result<Vec<u8>, NoKey> {
    let (role, epoch) = (KeyRole::Receipt, header.epoch.value());
    let key = keys.seal_key(role, epoch)?;
    let mut ack = Vec::new();
    Ack { chain: chain.after }.seal(header, &key, &mut ack).map_err(|_| NoKey { role, epoch })?;
    Ok(ack)
}

/// The pages that are authentic, of this card, and answers to this request.
fn open<'a>(
    reports: &'a [Carried],
    header: &ReportHeader,
    keys: &CardKeys,
    nonce: [u8; 8],
    findings: &mut Vec<String>,
) -> Result<Vec<(&'a Carried, Report)>, VerifyError> {
    let key = keys.seal_key(KeyRole::Receipt, header.epoch.value())?;
    let mut opened = Vec::new();
    for report in reports {
        match Report::open(&report.octets, nonce, &key) {
            Ok((of, page)) if of == *header => opened.push((report, page)),
            Ok((of, _)) if of.pseudonym != header.pseudonym => {
                findings.push(format!("{}: of another card, {}", report.name, of.pseudonym));
            }
            Ok(_) => findings.push(format!("{}: under another generation of the key", report.name)),
            Err(why) => findings.push(format!(
                "{}: {why}: it was altered, is another card's, or answers another request than the one \
                 with this nonce",
                report.name
            )),
        }
    }
    Ok(opened)
}

fn plural(count: usize) -> String {
    if count == 1 { "1 report".to_owned() } else { format!("{count} reports") }
}

/// Why a report could not be looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VerifyError {
    /// No report was given.
    Nothing,
    /// What came is no report.
    NoReport(String, cam_types::DecodeError),
    /// A report of another operator's card.
    Operator(String, u16),
    /// A card that the operator file does not have.
    Card(String, String),
    /// A key that the operator file does not have.
    NoKey(NoKey),
    /// The operator file.
    File(FileError),
}

impl From<FileError> for VerifyError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<NoKey> for VerifyError {
    fn from(error: NoKey) -> Self {
        Self::NoKey(error)
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("no report was given"),
            Self::NoReport(name, why) => write!(f, "{name}: not a report: {why}"),
            Self::Operator(name, got) => {
                write!(f, "{name}: of operator {got:#06x}, not of the operator file's")
            }
            Self::Card(name, card) => {
                write!(f, "{name}: the operator file has no [[card]] with pseudonym {card}")
            }
            Self::NoKey(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for VerifyError {}
