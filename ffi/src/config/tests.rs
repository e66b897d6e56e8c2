// SPDX-License-Identifier: Apache-2.0
//! What the numbers of a configuration may be.

use super::*;

/// Zeros, and the least that has no default.
fn zeros() -> stbcam_config_t {
    // SAFETY: numbers, nullable pointers and an optional function: zeros are all of them.
    let mut config: stbcam_config_t = unsafe { core::mem::zeroed() };
    config.struct_size = size_of::<stbcam_config_t>();
    config.reader = c"serial:/dev/null".as_ptr();
    config.state_dir = c"/nowhere".as_ptr();
    config
}

fn checked(config: &stbcam_config_t) -> Result<Settings> {
    // SAFETY: its pointers are NULL or point to constants.
    unsafe { settings(config) }
}

/// A queue of one event, a time-out of nothing and no log are what zeros once meant.
#[test]
fn zeros_are_the_defaults() {
    let mut filled = zeros();
    // SAFETY: the structure is writable and as long as is said.
    let result = unsafe { stbcam_config_init(&raw mut filled, size_of::<stbcam_config_t>()) };
    assert_eq!(result, STBCAM_OK);
    filled.reader = zeros().reader;
    filled.state_dir = zeros().state_dir;
    let (zeros, filled) = (checked(&zeros()).unwrap(), checked(&filled).unwrap());
    let numbers = |of: &Settings| {
        let queues = [of.emm_queue, of.event_queue, of.section_ring, of.section_filters];
        (of.card_timeout_ms, of.max_sessions, queues)
    };
    assert_eq!(numbers(&zeros), (5000, 16, [64, 256, 65_536, 65_535]));
    assert_eq!(numbers(&zeros), numbers(&filled));
    assert_eq!(zeros.threaded, filled.threaded);
    assert_eq!(zeros.ca_system_ids, filled.ca_system_ids);
}

/// What is taken is taken as it is; what is not is named, with what would work.
#[test]
fn numbers_are_taken_as_they_are_or_refused() {
    type Member = fn(&mut stbcam_config_t) -> &mut u32;
    let table: [(Member, &str, u32, u32, u32); 6] = [
        (|c| &mut c.card_timeout_ms, "card_timeout_ms", 1, 600_000, 5000),
        (|c| &mut c.max_sessions, "max_sessions", 1, 255, 16),
        (|c| &mut c.emm_queue, "emm_queue", 1, 16_384, 64),
        (|c| &mut c.event_queue, "event_queue", 1, 65_536, 256),
        (|c| &mut c.section_ring, "section_ring", 4100, 1 << 24, 65_536),
        (|c| &mut c.section_filters, "section_filters", 1, 65_535, 65_535),
    ];
    for (member, name, least, most, default) in table {
        let with = |number| {
            let mut config = zeros();
            *member(&mut config) = number;
            checked(&config).map_err(|error| error.text)
        };
        assert!(with(least).is_ok() && with(most).is_ok(), "{name}");
        for beyond in [least - 1, most + 1, u32::MAX].into_iter().filter(|number| *number != 0) {
            let text = with(beyond).err().expect(name);
            let right =
                format!("{name} is {beyond}, expected {least} to {most}, or 0 for {default}");
            assert_eq!(text, right);
        }
    }
}

#[test]
fn what_has_no_meaning_is_refused_by_name() {
    static OURS: [u16; 1] = [0x4AF0];
    type Change = fn(&mut stbcam_config_t);
    let table: [(Change, &str); 5] = [
        (|c| c.log_level = 6, "log_level is 6, expected"),
        (|c| c.log_level = -2, "log_level is -2, expected"),
        (|c| c.reserved = 1, "reserved is 1, expected 0"),
        (|c| c.box_key_len = 32, "box_key_len is 32, expected 16"),
        (|c| c.ca_system_ids = OURS.as_ptr(), "ca_system_id_count is 0 with ca_system_ids set"),
    ];
    for (change, text) in table {
        let mut config = zeros();
        change(&mut config);
        let why = checked(&config).err().expect(text).text;
        assert!(why.starts_with(text), "{why}");
    }
}
