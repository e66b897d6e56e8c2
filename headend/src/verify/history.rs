// SPDX-License-Identifier: Apache-2.0
//! Where a report stands to what was verified of its card before: it goes on, it forks, or there is
//! a gap.
//!
//! Normative references:
//!  - `docs/spec/report.md` §4.1

use super::carried::Carried;
use super::pages::{Chain, Link, hex};
use super::record::{REFUNDED, is_load};
use super::state::{CardState, Known};
use crate::files::fields::Octets;
use cam_types::Fen;
use ecm_emm::report::Report;
use wallet::LogRecord;

/// Where a report stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// It goes on from the newest receipt verified: so many of its records lie in front of that.
    GoesOn(usize),
    /// Records of before are missing.
    Gap,
    /// The card's memory was put back, or two cards have it.
    Fork,
}

impl Standing {
    /// A place of the report lies in front of the newest receipt verified.
    pub(super) fn knows(self, place: usize) -> bool {
        matches!(self, Self::GoesOn(known) if place < known)
    }
}

/// Says where the report stands, and what is wrong with that.
pub(super) fn stand(
    known: &CardState,
    opened: &[(&Carried, Report)],
    chain: &Chain<'_>,
    findings: &mut Vec<String>,
) -> Standing {
    let mut forks = Vec::new();
    let standing = standing(known, chain);
    let first = opened.first();
    let name = first.map_or("", |(page, _)| page.name.as_str());
    match standing {
        Standing::GoesOn(count) => {
            let met = chain.links.iter().take(count);
            let met = met.filter_map(|link| known.record(link.receipt).map(|was| (link, was)));
            forks.extend(met.filter_map(|(link, was)| changed(link, was)));
        }
        Standing::Fork => forks.push(format!(
            "{name}: a fork: it begins at receipt {} and does not come past {}, the newest one verified: \
             the card's memory was put back, or two cards have it",
            hex(chain.before),
            known.chain
        )),
        Standing::Gap => {}
    }
    if let Some((_, page)) = first {
        forks.extend(purse(known, page).map(|what| format!("{name}: a fork: {what}")));
    }
    let new = chain.links.iter().enumerate().filter(|(place, link)| match standing {
        Standing::GoesOn(_) => !standing.knows(*place),
        Standing::Gap | Standing::Fork => !known.has(link.receipt),
    });
    forks.extend(new.filter_map(|(_, link)| behind(known, link)).next());
    let forked = !forks.is_empty();
    findings.append(&mut forks);
    if forked { Standing::Fork } else { standing }
}

/// By the receipts alone. One that is met again vouches for all in front of it.
fn standing(known: &CardState, chain: &Chain<'_>) -> Standing {
    let receipts =
        || std::iter::once(chain.before).chain(chain.links.iter().map(|link| link.receipt));
    match receipts().position(|receipt| receipt == known.chain.0) {
        Some(count) => Standing::GoesOn(count),
        None if receipts().any(|receipt| known.has(receipt)) => Standing::Fork,
        None => Standing::Gap,
    }
}

/// What a known record says now that it may not: all but that it was given back since.
fn changed(link: &Link<'_>, was: &Known) -> Option<String> {
    let Link { name, record, .. } = link;
    if (record.end.seconds(), record.tac) != (was.end, was.tac.0) {
        return Some(format!("{name}: a fork: it is not as it was verified before"));
    }
    match (was.state, record.state) {
        (before, now) if before == now => None,
        (before, REFUNDED) if before != REFUNDED && !is_load(record) => None,
        (REFUNDED, now) if now != REFUNDED => {
            Some(format!("{name}: a fork: it was given back, and now is not"))
        }
        _ => Some(format!("{name}: a fork: its state is not as it was verified before")),
    }
}

/// What the purse counts and holds now that it cannot.
fn purse(known: &CardState, page: &Report) -> Option<String> {
    let now = (page.offline_sequence, page.online_sequence);
    let was = (known.offline_sequence, known.online_sequence);
    for (which, now, was) in [("offline", now.0, was.0), ("online", now.1, was.1)] {
        if now < was {
            return Some(format!("the purse's {which} sequence {now}, and {was} was verified"));
        }
    }
    let held = known.balance.map(Fen::new)?;
    (now == was && page.balance != held).then(|| {
        format!(
            "the purse holds {}, and {held} was verified, while its sequences stand",
            page.balance
        )
    })
}

/// A new record that cannot be new: its number was counted before.
fn behind(known: &CardState, link: &Link<'_>) -> Option<String> {
    let sequence = LogRecord::parse(&link.record.purse).ok()?.sequence;
    let (which, was) = match is_load(link.record) {
        false => ("offline", known.offline_sequence),
        true => ("online", known.online_sequence),
    };
    (sequence <= was).then(|| {
        format!("{}: a fork: {which} sequence {sequence}, and {was} was verified", link.name)
    })
}

/// What is known of the card after a report that holds.
pub(super) fn after(
    known: &CardState,
    standing: Standing,
    chain: &Chain<'_>,
    last: &Report,
) -> CardState {
    let mut state = known.clone();
    for (place, link) in chain.links.iter().enumerate() {
        let now = Known {
            receipt: Octets(link.receipt),
            state: link.record.state,
            end: link.record.end.seconds(),
            tac: Octets(link.record.tac),
        };
        match state.records.iter_mut().find(|known| known.receipt == now.receipt) {
            Some(known) => *known = now,
            None if standing.knows(place) => {}
            None => state.records.push(now),
        }
    }
    let surplus = state.records.len().saturating_sub(CardState::RECORDS);
    state.records.drain(..surplus);
    state.chain = Octets(chain.after);
    state.offline_sequence = last.offline_sequence;
    state.online_sequence = last.online_sequence;
    state.balance = Some(last.balance.fen());
    state.time = last.time.seconds();
    state
}
