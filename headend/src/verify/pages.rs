// SPDX-License-Identifier: Apache-2.0
//! The chain: pages that follow each other, and records that lead through each page.

use super::carried::Carried;
use super::state::CardState;
use crate::files::card_key::{CardKeys, KeyRole, NoKey};
use crate::files::fields::Octets;
use cam_types::{CardId, Epoch};
use ecm_emm::keys::KeyContext;
use ecm_emm::report::{Report, ReportRecord};
use ecm_emm::suite::SealKey;

type Receipt = [u8; 8];

/// How far the chain has been followed.
pub(super) struct Pages<'a> {
    card: CardId,
    known: Option<&'a CardState>,
    /// The receipt that the next page must begin with; `None` before the first one.
    chain: Option<Receipt>,
    /// Receipts of new records, oldest first.
    receipts: Vec<Receipt>,
}

impl<'a> Pages<'a> {
    pub(super) const fn new(card: CardId, known: Option<&'a CardState>) -> Self {
        Self { card, known, chain: None, receipts: Vec::new() }
    }

    /// The next page. Its receipts, when its records lead from its beginning to its end.
    pub(super) fn take(
        &mut self,
        number: usize,
        opened: &[(&Carried, Report)],
        epoch: Epoch,
        keys: &CardKeys,
        findings: &mut Vec<String>,
    ) -> Result<Option<Vec<Receipt>>, NoKey> {
        let Some((report, page)) = opened.get(number) else { return Ok(None) };
        if let Some(what) = self.misplaced(number, opened) {
            findings.push(format!("{}: {what}", report.name));
        }
        let links = links(page, self.card, epoch, keys)?;
        match &links {
            Some(links) => self.receipts.extend(
                links.iter().filter(|link| !self.known.is_some_and(|known| known.has(**link))),
            ),
            None => findings.push(format!(
                "{}: its {} records do not lead from receipt {} to {}: one was removed, altered, added \
                 or moved",
                report.name,
                page.records.len(),
                hex(page.chain_before),
                hex(page.chain_after)
            )),
        }
        self.chain = Some(page.chain_after);
        Ok(links)
    }

    /// Why the page does not belong where it is.
    fn misplaced(&self, number: usize, opened: &[(&Carried, Report)]) -> Option<String> {
        let (_, page) = opened.get(number)?;
        let expected = match (self.chain, self.known) {
            (Some(chain), _) => chain,
            (None, None) => return None,
            (None, Some(known)) if known.has(page.chain_before) => return None,
            (None, Some(known)) => known.chain.0,
        };
        if page.chain_before == expected {
            return None;
        }
        let earlier = opened.iter().take(number);
        let twin = earlier.clone().find(|(_, other)| {
            other.chain_before == page.chain_before && other.records == page.records
        });
        if let Some((twin, _)) = twin {
            return Some(format!("repeated: its records came with {}", twin.name));
        }
        let before = opened.iter().enumerate().find(|(n, (_, other))| {
            *n != number && other.chain_after == page.chain_before && !other.records.is_empty()
        });
        if let Some((_, (before, _))) = before {
            return Some(format!("out of order: it belongs behind {}", before.name));
        }
        Some(format!(
            "records are missing before it: it begins at receipt {}, expected {}",
            hex(page.chain_before),
            hex(expected)
        ))
    }

    /// The pages are all there, and they reach further than what was verified before.
    pub(super) fn end(&self, opened: &[(&Carried, Report)], findings: &mut Vec<String>) {
        if let Some((last, page)) = opened.last()
            && page.records.len() == Report::MAX_RECORDS
        {
            findings.push(format!("{}: it is full, so another page must follow", last.name));
        }
        let Some(known) = self.known else { return };
        let Some((last, page)) = opened.last() else { return };
        if page.chain_after != known.chain.0 && known.has(page.chain_after) {
            findings.push(format!(
                "{}: an old report: it ends at receipt {}, before the last one verified, {}",
                last.name,
                hex(page.chain_after),
                hex(known.chain.0)
            ));
        } else if page.time.seconds() < known.time {
            findings.push(format!("{}: an old report: the card's time is earlier", last.name));
        }
    }

    /// Where the chain has come to.
    pub(super) fn chain(&self) -> Receipt {
        self.chain.unwrap_or_default()
    }

    /// What is known of the card after these pages.
    pub(super) fn state(&self, last: Option<&Report>) -> CardState {
        let mut state = self.known.cloned().unwrap_or_default();
        if let Some(last) = last {
            state.chain = Octets(self.chain());
            state.offline_sequence = last.offline_sequence;
            state.online_sequence = last.online_sequence;
            state.balance = Some(last.balance.fen());
            state.time = last.time.seconds();
        }
        state.receipts.extend(self.receipts.iter().map(|receipt| Octets(*receipt)));
        let surplus = state.receipts.len().saturating_sub(CardState::RECEIPTS);
        state.receipts.drain(..surplus);
        state
    }
}

/// The receipts of a page's records. The generation of the key may have changed between two of
/// them.
fn links(
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

fn hex(octets: Receipt) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
