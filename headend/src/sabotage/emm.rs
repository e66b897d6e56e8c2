// SPDX-License-Identifier: Apache-2.0
//! Faults of the carousel: entries that stay away, and an attacker's that are not what they should
//! be.

use crate::fault::{Fault, Faults};
use crate::files::schedule::Entry;
use crate::message::Message;

/// Changes a carousel as the faults want. Who stays away keeps its number, so that every other
/// message is the one of the whole carousel.
pub(super) fn change(entries: &mut [Entry], faults: Faults<'_>) {
    if faults.has(Fault::FreshReplay) {
        let originals = entries.to_vec();
        entries.iter_mut().for_each(|entry| anew(entry, &originals));
    }
    for entry in entries.iter_mut().filter(|entry| silenced(entry.message.kind(), faults)) {
        entry.until_ms = Some(0);
    }
}

/// No message of this kind goes on air.
pub(super) fn silenced(kind: &str, faults: Faults<'_>) -> bool {
    match kind {
        "key_deliver" => faults.has(Fault::LostKeyUpdate),
        "replay" => faults.has(Fault::NoReplay),
        "forge_emm" | "forge_ecm" => faults.has(Fault::NoForgeries),
        _ => false,
    }
}

/// Makes of a `replay` what its original was when it came for the first time; every other entry
/// stays as it is.
fn anew(entry: &mut Entry, originals: &[Entry]) {
    if let Message::Replay(replay) = &entry.message
        && let Some(original) = originals.iter().find(|original| original.name == replay.of)
    {
        entry.message = original.message.clone();
    }
}
