// SPDX-License-Identifier: Apache-2.0
//! The structures of the ABI have one layout: the C compiler of the target sees the sizes and
//! offsets that Rust sees. It need not run anything for that, so any target can be asked; CC names
//! its compiler.

use stbcam::*;
use std::env::consts::ARCH;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Size and offset of everything, as assertions in C.
#[derive(Default)]
struct Layout {
    c: String,
    fields: usize,
}

macro_rules! layout {
    ($layout:ident, $($name:ident { $($field:ident),* $(,)? })*) => {$(
        writeln!($layout.c, "SIZE({}, {});", stringify!($name), size_of::<$name>()).unwrap();
        $(
            let field = stringify!($field).trim_start_matches("r#");
            let offset = core::mem::offset_of!($name, $field);
            writeln!($layout.c, "OFFSET({}, {field}, {offset});", stringify!($name)).unwrap();
            $layout.fields += 1;
        )*
    )*};
}

fn layout() -> Layout {
    let mut layout = Layout::default();
    layout!(layout,
        stbcam_error_t { struct_size, code, os_errno, sw, card_result, reserved, text }
        stbcam_cw_t {
            struct_size, session, flags, crypto_period, crypto_period_ms, ecm_pid, source, algo,
            scrambling_mode, parity_mask, key_len, iv_len, copy_control, reserved, even, odd, iv,
            es_pids, es_pid_count,
        }
        stbcam_ladder_t { struct_size, flags, pairing_slot, reserved, ek2, ek1 }
        stbcam_descrambler_ops_t { struct_size, user, load_ladder, set_cw, clear }
        stbcam_storage_ops_t { struct_size, user, get, put_durable }
        stbcam_line_t {
            struct_size, f, d, clock_hz, bit_rate, guard_etu, inverse, protocol, reserved,
        }
        stbcam_reader_ops_t {
            struct_size, user, clock_hz, max_bit_rate, present, reset, params, write, read,
            transmit, power_off,
        }
        stbcam_config_t {
            struct_size, flags, card_timeout_ms, reader, reader_ops, state_dir, language,
            ca_system_ids, ca_system_id_count, stb_id, terminal_id, box_key_len, reserved, box_key,
            descrambler, storage, log, log_user, log_level, max_sessions, emm_queue, event_queue,
            section_ring, section_filters,
        }
        stbcam_filter_t { struct_size, pid, source, depth, urgent, reserved, r#match, mask }
        stbcam_ca_pmt_reply_t { struct_size, session, ca_enable, reserved }
        stbcam_event_t {
            struct_size, r#type, flags, seq, monotonic_us, utc_s, session, txn, code, arg, id,
            amount, text, text_len,
        }
        stbcam_access_t {
            struct_size, state, reason, remedy, flags, sw, ca_system_id, operator_id, copy_control,
            rating, crypto_period, has_keys, offers, reserved, expires_utc,
            update_by_utc,
        }
        stbcam_card_t {
            struct_size, state, reason, clock_utc, address, operator_id, sw, atr, atr_len, protocol,
            pin_tries_left, pairing_slot, pairing_slots, blocked, reserved,
        }
        stbcam_entitlement_t {
            struct_size, kind, id, start_utc, end_utc, tier, slot, flags, reserved, key_version,
        }
        stbcam_service_key_t { struct_size, slot, suite, active, newest, floor }
        stbcam_money_t { minor, currency, exponent, reserved }
        stbcam_wallet_t {
            struct_size, wallet_id, card_seq_offline, card_seq_online, balance,
            pin_free_per_purchase, pin_free_per_day,
        }
        stbcam_offer_t {
            struct_size, offer_id, session, kind, flags, event_id, price, start_utc, end_utc,
            preview_s, slice_s,
        }
        stbcam_receipt_t {
            struct_size, txn, state, request_id, offer_id, event_id, flags, price_seen, paid,
            balance_before, balance_after, utc_s, card_time, terminal_seq, terminal_id, card_seq,
            tac, chain, card_result, reserved,
        }
        stbcam_stats_t {
            struct_size, apdu, apdu_ecm, apdu_failed, resets, channels, line_sent, line_received,
            ecm_line_sent, ecm_line_received, ecm_in, ecm_dup, ecm_sent, ecm_replayed,
            ecm_replaced, ecm_stale, ecm_refused, ecm_malformed, cw_out, cw_cleared, offer_in,
            emm_in, emm_not_ours, emm_dup, emm_dup_card, emm_applied, emm_refused, emm_later,
            emm_dropped, emm_unknown, emm_malformed, table_malformed, section_malformed, section_overflow,
            section_unwanted, filter_turns, event_overflow, ecm_latency_count, ecm_latency_p50_us, ecm_latency_p99_us,
            ecm_latency_max_us, reserved,
        }
    );
    layout
}

#[test]
fn c_and_rust_agree_on_every_offset() {
    let layout = layout();
    let text = format!(
        "#include \"stbcam.h\"\n\
         #define SIZE(type, octets) _Static_assert(sizeof(type) == octets, #type)\n\
         #define OFFSET(type, field, octets) \\\n    \
             _Static_assert(offsetof(type, field) == octets, #type \".\" #field)\n{}",
        layout.c
    );
    let include = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../include");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut compiling = Command::new(&compiler)
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c", "-", "-I"])
        .arg(include)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    compiling.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let agreed = compiling.wait().unwrap().success();
    assert!(
        agreed,
        "{compiler} sees another layout; is it the compiler of {ARCH}? CC names another"
    );
}

/// No member of a public structure is left out above.
#[test]
fn every_member_is_compared() {
    let is_member = |line: &&str| line.starts_with("    pub ") && line.contains(':');
    let mut members = 0;
    let mut paths = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let text = std::fs::read_to_string(path).unwrap();
            members += text.lines().filter(is_member).count();
        }
    }
    assert_eq!(members, layout().fields);
}

/// A change here breaks programs that were built before. Growth at the end changes the number and
/// `STBCAM_VERSION_MINOR` with it.
#[cfg(all(target_pointer_width = "64", target_endian = "little"))]
#[test]
fn sizes_of_the_first_version() {
    for (name, size, first) in [
        ("error", size_of::<stbcam_error_t>(), 216),
        ("cw", size_of::<stbcam_cw_t>(), 136),
        ("ladder", size_of::<stbcam_ladder_t>(), 48),
        ("descrambler_ops", size_of::<stbcam_descrambler_ops_t>(), 40),
        ("storage_ops", size_of::<stbcam_storage_ops_t>(), 32),
        ("line", size_of::<stbcam_line_t>(), 40),
        ("reader_ops", size_of::<stbcam_reader_ops_t>(), 80),
        ("config", size_of::<stbcam_config_t>(), 168),
        ("filter", size_of::<stbcam_filter_t>(), 48),
        ("ca_pmt_reply", size_of::<stbcam_ca_pmt_reply_t>(), 16),
        ("event", size_of::<stbcam_event_t>(), 88),
        ("access", size_of::<stbcam_access_t>(), 64),
        ("card", size_of::<stbcam_card_t>(), 80),
        ("entitlement", size_of::<stbcam_entitlement_t>(), 40),
        ("service_key", size_of::<stbcam_service_key_t>(), 16),
        ("money", size_of::<stbcam_money_t>(), 16),
        ("wallet", size_of::<stbcam_wallet_t>(), 64),
        ("offer", size_of::<stbcam_offer_t>(), 72),
        ("receipt", size_of::<stbcam_receipt_t>(), 168),
        ("stats", size_of::<stbcam_stats_t>(), 536),
    ] {
        assert_eq!(size, first, "{name}");
    }
}
