// SPDX-License-Identifier: Apache-2.0
//! Faults of the carousel: entries that stay away, and an attacker's that are not what they should
//! be.

use crate::carousel::Item;
use crate::fault::{Fault, Faults};
use crate::files::schedule::Entry;
use crate::message::Message;

/// The carousel of these entries, as `make` makes it, with what the faults change. Who stays away
/// keeps its number.
pub fn carousel<E>(
    entries: &[Entry],
    faults: Faults<'_>,
    make: impl FnOnce(&[Entry]) -> Result<(Vec<Item>, u32), E>,
) -> Result<(Vec<Item>, u32), E> {
    let (mut items, next) = if faults.has(Fault::FreshReplay) {
        make(&entries.iter().map(|entry| anew(entry, entries)).collect::<Vec<_>>())?
    } else {
        make(entries)?
    };
    items.retain(|item| match item.kind {
        "key_deliver" => !faults.has(Fault::LostKeyUpdate),
        "replay" => !faults.has(Fault::NoReplay),
        "forge_emm" | "forge_ecm" => !faults.has(Fault::NoForgeries),
        _ => true,
    });
    Ok((items, next))
}

/// A `replay` as if its original came for the first time; every other entry as it is.
fn anew(entry: &Entry, entries: &[Entry]) -> Entry {
    let mut anew = entry.clone();
    if let Message::Replay(replay) = &entry.message
        && let Some(original) = entries.iter().find(|entry| entry.name == replay.of)
    {
        anew.message = original.message.clone();
    }
    anew
}
