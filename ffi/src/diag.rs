// SPDX-License-Identifier: Apache-2.0
//! What a field engineer asks for, as JSON and without secrets.

use crate::config::{STBCAM_UTC_BROADCAST, STBCAM_UTC_NETWORK, STBCAM_UTC_RTC};
use crate::context::Context;
use crate::stats::counters;
use crate::version::stbcam_version_string;
use core::ffi::CStr;
use core::fmt::Write as _;
use stb_shim::clock;

/// One JSON object. Numbers and fixed texts only, so that nothing needs escaping.
pub(crate) fn json(context: &Context) -> String {
    let cam = &context.cam;
    // SAFETY: the text is static and ends with a zero.
    let version = unsafe { CStr::from_ptr(stbcam_version_string()) };
    let mut out = format!("{{\"stbcam\":\"{}\"", version.to_str().unwrap_or_default());
    let (card, wallet, keys, filters, filter_use) = cam.query(|engine| {
        let (keys, filters) = (engine.key_versions().to_vec(), engine.filters().to_vec());
        (engine.card().clone(), engine.wallet(), keys, filters, engine.filter_use())
    });
    // Writing to a String does not fail.
    let source = match context.utc_source() {
        STBCAM_UTC_BROADCAST => "broadcast",
        STBCAM_UTC_NETWORK => "network",
        STBCAM_UTC_RTC => "rtc",
        _ => "unknown",
    };
    let now = context.utc(clock::now());
    let _ = write!(out, ",\"utc\":{{\"source\":\"{source}\",\"now\":{now}}}");
    let _ = write!(
        out,
        ",\"card\":{{\"state\":\"{:?}\",\"reason\":{},\"sw\":\"{:04X}\",\"protocol\":{}",
        card.state, card.reason.0, card.sw.0, card.protocol
    );
    let atr: String = card.atr.iter().map(|octet| format!("{octet:02X}")).collect();
    let _ = write!(out, ",\"atr\":\"{atr}\",\"blocked\":{}", card.blocked);
    if let Some(pseudonym) = card.pseudonym {
        let _ = write!(out, ",\"address\":\"{pseudonym}\"");
    }
    if let Some(tries) = card.pin_tries {
        let _ = write!(out, ",\"pin_tries\":{tries}");
    }
    if let Some(slot) = card.pairing_slot {
        let _ = write!(out, ",\"pairing_slot\":{slot}");
    }
    out.push('}');
    if let Some(wallet) = wallet {
        let _ = write!(
            out,
            ",\"wallet\":{{\"balance_fen\":{},\"offline_seq\":{},\"online_seq\":{}}}",
            wallet.balance.fen(),
            wallet.offline_sequence,
            wallet.online_sequence
        );
    }
    list(&mut out, "keys", keys.iter(), |out, key| {
        let _ = write!(
            out,
            "{{\"slot\":{},\"suite\":{},\"active\":{},\"newest\":{},\"floor\":{}}}",
            key.slot, key.suite, key.key.active, key.key.newest, key.key.floor
        );
    });
    list(&mut out, "filters", filters.iter(), |out, filter| {
        let _ = write!(out, "{{\"source\":{},\"pid\":{}}}", filter.source, filter.pid.value());
    });
    let stats = counters(cam);
    let _ = write!(
        out,
        ",\"filter_use\":{{\"wanted\":{},\"pids\":{},\"set\":{},\"in_turns\":{},\"turns\":{}}}",
        filter_use.wanted, filter_use.pids, filter_use.set, filter_use.in_turns, stats.filter_turns
    );
    let _ = write!(
        out,
        ",\"ecm\":{{\"in\":{},\"dup\":{},\"sent\":{},\"refused\":{},\"malformed\":{},\
         \"p50_us\":{},\"p99_us\":{},\"max_us\":{}}}",
        stats.ecm_in,
        stats.ecm_dup,
        stats.ecm_sent,
        stats.ecm_refused,
        stats.ecm_malformed,
        stats.ecm_latency_p50_us,
        stats.ecm_latency_p99_us,
        stats.ecm_latency_max_us
    );
    let _ = write!(
        out,
        ",\"emm\":{{\"in\":{:?},\"not_ours\":{:?},\"dup\":{:?},\"dup_card\":{:?},\"applied\":{:?},\
         \"refused\":{:?},\"later\":{:?},\"dropped\":{:?},\"unknown\":{:?}}}",
        stats.emm_in,
        stats.emm_not_ours,
        stats.emm_dup,
        stats.emm_dup_card,
        stats.emm_applied,
        stats.emm_refused,
        stats.emm_later,
        stats.emm_dropped,
        stats.emm_unknown
    );
    let _ = write!(
        out,
        ",\"line\":{{\"apdu\":{},\"failed\":{},\"resets\":{},\"sent\":{},\"received\":{}}}",
        stats.apdu, stats.apdu_failed, stats.resets, stats.line_sent, stats.line_received
    );
    let _ = write!(
        out,
        ",\"sections\":{{\"unwanted\":{},\"malformed\":{}}}",
        stats.section_unwanted, stats.section_malformed
    );
    let _ = write!(
        out,
        ",\"overflow\":{{\"sections\":{},\"events\":{}}}}}",
        stats.section_overflow, stats.event_overflow
    );
    out
}

fn list<'a, T: 'a>(
    out: &mut String,
    name: &str,
    items: impl Iterator<Item = &'a T>,
    mut one: impl FnMut(&mut String, &T),
) {
    let _ = write!(out, ",\"{name}\":[");
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        one(out, item);
    }
    out.push(']');
}
