// SPDX-License-Identifier: Apache-2.0
//! The view from outside on a card: everything but keys and PIN.

use crate::cas::log::State;
use crate::cas::store::CasStore;
use crate::context::{Context, Violation};
use crate::keyring::KeyPair;
use crate::psam::store::PsamStore;
use crate::purse::record::Record;
use crate::purse::store::{FixedKey, PurseStore};
use crate::vault::Vault;
use cam_types::{CardId, CasTime, Fen, OperatorId, Pseudonym, TerminalId, TerminalSequence};
use wallet::{LogRecord, Transaction};

/// What is asked of a running card from outside: no keys, no PIN.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Status {
    /// The purse's balance.
    pub balance: Fen,
    /// Purchases and gates so far.
    pub offline_sequence: u16,
    /// Loads so far.
    pub online_sequence: u16,
    /// Debits so far: programmes, purchases and gates, of purse and passbook.
    pub debits: u32,
    /// Programme purchases in the card's log.
    pub purchases: usize,
    /// PIN tries left.
    pub pin_tries: u8,
    /// Page writes since the memory was opened.
    pub page_writes: u64,
    /// Transactions since the memory was opened.
    pub commits: u64,
}

/// What `vcard inspect` prints.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The card's number.
    pub card_id: CardId,
    /// What it is called on the air.
    pub pseudonym: Pseudonym,
    /// Whose card it is.
    pub operator: OperatorId,
    /// Money, counters, tries.
    pub status: Status,
    /// The latest time that the card has stored.
    pub now: CasTime,
    /// The last time that a TIME_SYNC brought.
    pub sync: CasTime,
    /// One line for each right, as text.
    pub rights: Vec<String>,
    /// One line for each key generation, as text: role, epoch, suite, floor, window; not the key.
    pub keys: Vec<String>,
    /// One line for each pairing slot in use: slot and box.
    pub pairings: Vec<String>,
    /// One line for each record of the purchase log.
    pub log: Vec<String>,
    /// Whether the purse works.
    pub purse: String,
    /// One line for each transaction that the purse remembers.
    pub transactions: Vec<String>,
    /// One line for each record that compound purchases write.
    pub records: Vec<String>,
    /// What can be drawn from the passbook, and how much of that is overdraft, if there is one.
    pub passbook: Option<(Fen, Fen)>,
    /// What it is instead of all that, when it is a secure module.
    pub psam: Option<PsamInspection>,
}

/// A secure module, without its keys.
#[derive(Clone, Debug)]
pub struct PsamInspection {
    /// The module's serial number (EF 0015).
    pub serial: [u8; 10],
    /// Six octets that purses log as the terminal of a purchase.
    pub terminal: TerminalId,
    /// The number that it gave out last.
    pub sequence: TerminalSequence,
    /// Wrong MAC2s before it locks itself.
    pub tries: u8,
    /// One line for each key, as text: use and version.
    pub keys: Vec<String>,
}

/// Money, counters, tries.
pub(crate) fn status(vault: &Vault) -> Result<Status, Violation> {
    let objects = vault.objects();
    let (cas, purse) = (objects.cas.get(Context::CAS)?, objects.purse.get(Context::PURSE)?);
    Ok(Status {
        balance: purse.money.purse.balance.0,
        offline_sequence: purse.money.purse.offline_sequence.0,
        online_sequence: purse.money.purse.online_sequence.0,
        debits: u32::from(purse.money.purse.offline_sequence.0)
            + purse.money.passbook.as_ref().map_or(0, |it| it.offline_sequence.0.into()),
        purchases: cas.log.newest_first().filter(|record| record.event.is_some()).count(),
        pin_tries: objects.pin.get(Context::ISSUER)?.tries(),
        page_writes: vault.page_writes(),
        commits: vault.commits(),
    })
}

/// The whole card.
pub(crate) fn inspect(vault: &Vault) -> Result<Inspection, Violation> {
    let objects = vault.objects();
    let (cas, purse) = (objects.cas.get(Context::CAS)?, objects.purse.get(Context::PURSE)?);
    Ok(Inspection {
        card_id: cas.card,
        pseudonym: cas.pseudonym,
        operator: cas.operator,
        status: status(vault)?,
        now: cas.clock.now(),
        sync: cas.clock.sync(),
        rights: rights(cas),
        keys: keys(cas, purse),
        pairings: (0..)
            .zip(cas.pairings.iter())
            .filter_map(|(slot, pairing): (usize, _)| {
                let stb = pairing.as_ref()?.stb;
                let barred = if cas.barred.has(stb) { ", barred" } else { "" };
                Some(format!("slot {slot}: box {stb}{barred}"))
            })
            .collect(),
        log: log(cas),
        purse: purse.money.state.to_string(),
        transactions: transactions(purse),
        records: records(purse),
        passbook: purse
            .money
            .passbook
            .as_ref()
            .map(|passbook| (passbook.balance.0, passbook.overdraft().fen())),
        psam: objects.psam.get(Context::PSAM)?.as_ref().map(psam),
    })
}

fn psam(psam: &PsamStore) -> PsamInspection {
    PsamInspection {
        serial: psam.serial,
        terminal: psam.terminal,
        sequence: TerminalSequence::new(psam.sequence.0),
        tries: psam.tries.0,
        keys: psam
            .keys()
            .map(|key| format!("{}: version {:02X}", key.purpose(), key.version()))
            .collect(),
    }
}

fn rights(cas: &CasStore) -> Vec<String> {
    cas.rights()
        .map(|right| {
            let state = if right.revoked { ", revoked" } else { "" };
            let (kind, row) = (right.kind_name(), right.row());
            let slot = match row.slot {
                0xFF => "any slot".to_owned(),
                slot => format!("slot {slot}"),
            };
            format!("{kind} {}, {slot}: {} to {}{state}", row.id, day(row.start), day(row.end))
        })
        .collect()
}

fn keys(cas: &CasStore, purse: &PurseStore) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |name: String, pair: &KeyPair| {
        for generation in pair.iter() {
            let used = if generation.used { ", used" } else { "" };
            lines.push(format!(
                "{name}: epoch {}, suite {}, floor {}, newest EMM {}{used}",
                generation.epoch, generation.suite, pair.floor, generation.window.hi
            ));
        }
    };
    add("K_ind".to_owned(), &cas.own);
    add("K_rec".to_owned(), &cas.recovery);
    for (index, pair) in cas.group.iter().enumerate() {
        add(format!("K_grp[{index}]"), pair);
    }
    add("K_glb".to_owned(), &cas.global);
    for (slot, pair) in cas.service.iter().enumerate() {
        add(format!("SK[{slot}]"), pair);
    }
    add("K_rcp".to_owned(), &cas.receipt);
    for (name, pair) in [
        ("K_wal", &purse.own),
        ("K_wrec", &purse.recovery),
        ("K_tac2", &purse.tac2),
        ("DPK", &purse.purchase),
        ("DLK", &purse.load),
        ("DTK", &purse.tac),
    ] {
        add(name.to_owned(), pair);
    }
    for (name, key) in [
        ("DAMK", FixedKey::Maintenance),
        ("DPUK", FixedKey::Unblock),
        ("DRPK", FixedKey::Reload),
        ("DULK", FixedKey::Unload),
        ("DUK", FixedKey::Overdraft),
        ("DACK", FixedKey::External),
    ] {
        if let Some(generation) = purse.fixed(key) {
            lines.push(format!("{name}: epoch {}, suite {}", generation.epoch, generation.suite));
        }
    }
    lines
}

fn log(cas: &CasStore) -> Vec<String> {
    cas.log
        .newest_first()
        .filter_map(|record| {
            let purse = record.log_record()?;
            let what = match record.event {
                None => "loaded".to_owned(),
                Some(event) => format!("event {}", event.value()),
            };
            let state = if record.state() == State::Refunded as u8 { ", refunded" } else { "" };
            Some(format!(
                "{} {}: {what}, {}, balance {}, sequence {}{state}",
                purse.transaction.date,
                purse.transaction.time,
                purse.transaction.amount,
                record.balance,
                purse.sequence
            ))
        })
        .collect()
}

fn transactions(purse: &PurseStore) -> Vec<String> {
    purse
        .newest_first()
        .filter_map(|entry| {
            let LogRecord { sequence, transaction, .. } = entry.record()?;
            let Transaction { amount, kind, terminal, date, time } = transaction;
            Some(format!(
                "{date} {time}: type {:02X}, {amount}, terminal {terminal}, sequence {sequence}",
                kind.0
            ))
        })
        .collect()
}

fn records(purse: &PurseStore) -> Vec<String> {
    let line = |(sfi, record): (u8, &Record)| {
        let octets: String = record.octets().iter().map(|octet| format!("{octet:02X}")).collect();
        format!("{sfi:02X}: {octets}")
    };
    purse.records.all().map(line).collect()
}

/// A day in the purse's time zone; the end of time as such.
fn day(at: CasTime) -> String {
    if at == CasTime::new(u32::MAX) {
        "for ever".to_owned()
    } else {
        at.purse_date_time().0.to_string()
    }
}
