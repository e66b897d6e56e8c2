// SPDX-License-Identifier: Apache-2.0
//! The chain: pages that follow each other, and records that lead through each page.

use super::carried::Carried;
use crate::files::card_key::{CardKeys, KeyRole, NoKey};
use cam_types::{CardId, Epoch};
use ecm_emm::keys::KeyContext;
use ecm_emm::report::{Report, ReportRecord};
use ecm_emm::suite::SealKey;

type Receipt = [u8; 8];

/// A record, and the receipt that it leads to.
pub(super) struct Link<'a> {
    pub(super) name: String,
    pub(super) record: &'a ReportRecord,
    pub(super) receipt: Receipt,
}

/// The pages' records, one behind the other.
#[derive(Default)]
pub(super) struct Chain<'a> {
    /// The receipt that the first page begins at.
    pub(super) before: Receipt,
    /// The records of pages that lead from their beginning to their end.
    pub(super) links: Vec<Link<'a>>,
    /// The receipt that the last page ends at.
    pub(super) after: Receipt,
}

impl<'a> Chain<'a> {
    /// Follows the pages.
    pub(super) fn follow(
        opened: &'a [(&Carried, Report)],
        card: CardId,
        epoch: Epoch,
        keys: &CardKeys,
        findings: &mut Vec<String>,
    ) -> Result<Self, NoKey> {
        let mut chain = Self::default();
        for (number, (report, page)) in opened.iter().enumerate() {
            let earlier = number.checked_sub(1).and_then(|before| opened.get(before));
            findings.extend(misplaced(number, earlier.map(|_| chain.after), opened));
            match earlier {
                Some((_, earlier)) => {
                    let what = fallen(earlier, page);
                    findings.extend(what.map(|what| format!("{}: {what}", report.name)));
                }
                None => chain.before = page.chain_before,
            }
            match receipts(page, card, epoch, keys)? {
                Some(receipts) => {
                    let link = |(place, (record, receipt))| {
                        Link { name: named(report, place), record, receipt }
                    };
                    let records = page.records.iter().zip(receipts).enumerate();
                    chain.links.extend(records.map(link));
                }
                None => findings.push(format!(
                    "{}: its {} records do not lead from receipt {} to {}: one was removed, altered, \
                     added or moved",
                    report.name,
                    page.records.len(),
                    hex(page.chain_before),
                    hex(page.chain_after)
                )),
            }
            chain.after = page.chain_after;
        }
        if let Some((last, page)) = opened.last()
            && page.records.len() == Report::MAX_RECORDS
        {
            findings.push(format!("{}: it is full, so another page must follow", last.name));
        }
        Ok(chain)
    }
}

/// What a record is called in texts.
pub(super) fn named(report: &Carried, place: usize) -> String {
    format!("{}, record {}", report.name, place + 1)
}

/// Why the page does not belong where it is: it does not begin where the one before ended. Where
/// the first one begins is another question, but it is not where one of the others ends.
fn misplaced(
    number: usize,
    expected: Option<Receipt>,
    opened: &[(&Carried, Report)],
) -> Option<String> {
    let (report, page) = opened.get(number)?;
    if expected == Some(page.chain_before) {
        return None;
    }
    let twin = opened.iter().take(number).find(|(_, other)| {
        other.chain_before == page.chain_before && other.records == page.records
    });
    if let Some((twin, _)) = twin {
        return Some(format!("{}: repeated: its records came with {}", report.name, twin.name));
    }
    let before = opened.iter().enumerate().find(|(n, (_, other))| {
        *n != number && other.chain_after == page.chain_before && !other.records.is_empty()
    });
    if let Some((_, (before, _))) = before {
        return Some(format!("{}: out of order: it belongs behind {}", report.name, before.name));
    }
    let expected = expected?;
    Some(format!(
        "{}: records are missing before it: it begins at receipt {}, expected {}",
        report.name,
        hex(page.chain_before),
        hex(expected)
    ))
}

/// Why the purse of a page cannot be that of the page before, a moment later.
fn fallen(earlier: &Report, page: &Report) -> Option<&'static str> {
    let was = (earlier.offline_sequence, earlier.online_sequence);
    let now = (page.offline_sequence, page.online_sequence);
    if now.0 < was.0 || now.1 < was.1 {
        return Some("a sequence of the purse is lower than on the page before");
    }
    (now == was && page.balance != earlier.balance)
        .then_some("the purse's balance is not that of the page before, while its sequences stand")
}

/// The receipts of a page's records, when they lead from its beginning to its end. The generation
/// of the key may have changed between two of them.
fn receipts(
    page: &Report,
    card: CardId,
    epoch: Epoch,
    keys: &CardKeys,
) -> Result<Option<Vec<Receipt>>, NoKey> {
    let of = |epoch: u16| -> Result<(SealKey, KeyContext), NoKey> {
        Ok((keys.seal_key(KeyRole::Receipt, epoch)?, keys.context(KeyRole::Receipt, epoch)))
    };
    let now = of(epoch.value())?;
    let follow = |split: usize, before: &(SealKey, KeyContext)| {
        let mut chain = page.chain_before;
        let link = |(n, record): (usize, &ReportRecord)| {
            let (key, context) = if n < split { before } else { &now };
            chain = record.receipt(key, context, card, chain);
            chain
        };
        let receipts: Vec<Receipt> = page.records.iter().enumerate().map(link).collect();
        (receipts.last().copied().unwrap_or(page.chain_before) == page.chain_after)
            .then_some(receipts)
    };
    if let Some(receipts) = follow(0, &now) {
        return Ok(Some(receipts));
    }
    for older in keys.older(KeyRole::Receipt, epoch.value()) {
        let older = of(older)?;
        let found = (1..=page.records.len()).find_map(|split| follow(split, &older));
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

pub(super) fn hex(octets: Receipt) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
