// SPDX-License-Identifier: Apache-2.0
//! What operator and schedule file must not say, refused by name.

use crate::support::example;
use headend::files::operator::Operator;
use headend::files::schedule::Schedule;
use headend::message::Message;
use std::path::Path;

/// The demo's schedule with a text exchanged: what is wrong with it, if anything.
fn schedule(from: &str, to: &str) -> Option<String> {
    let text = std::fs::read_to_string(example("demo/schedule.toml")).unwrap();
    assert!(text.contains(from), "{from}");
    let text = text.replacen(from, to, 1);
    Schedule::parse(Path::new("s.toml"), &text).err().map(|error| error.to_string())
}

/// T29: an event of price 0 is for sale to nobody; it goes on air only when the file says so.
#[test]
fn an_event_without_a_price_is_only_granted() {
    let price = "price = \"12.00\"";
    assert_eq!(schedule(price, "price = \"0.00\"\ngrant_only = true"), None);
    for (to, field, remedy) in [
        ("price = \"0.00\"", "price", "grant_only = true"),
        ("price = \"0.00\"\ngrant_only = false", "price", "grant_only = true"),
        ("price = \"12.00\"\ngrant_only = true", "price", "0.00"),
        ("price = \"0.00\"\ngrant_only = true\noffer_from_s = 0", "offer_from_s", "no offer"),
    ] {
        let error = schedule(price, to).unwrap_or_else(|| panic!("{to} is taken"));
        for what in ["s.toml", "[[service]] \"Cinema\" event 2001", field, remedy] {
            assert!(error.contains(what), "{to}: {error}");
        }
    }
}

/// T22, T30: what is numbered from 1 on has no 0.
#[test]
fn nothing_is_named_by_0() {
    for (from, to) in [
        ("id = 2001", "id = 0"),
        ("epoch = 1\n", "epoch = 0\n"),
        ("epoch = 2 }", "epoch = 0 }"),
        (
            "kind = \"key_deliver\"\ncard = \"0102030405060708\"\nslot = 1\nepoch = 2",
            "kind = \"key_deliver\"\ncard = \"0102030405060708\"\nslot = 1\nepoch = 0",
        ),
    ] {
        let error = schedule(from, to).unwrap_or_else(|| panic!("{to} is taken"));
        assert!(error.contains("s.toml: line") && error.contains("numbers start at 1"), "{error}");
    }
    let path = example("demo/operator.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    for (n, _) in text.match_indices("epoch = 1\n") {
        let (before, after) = text.split_at(n);
        let text = format!("{before}{}", after.replacen("epoch = 1", "epoch = 0", 1));
        let error = Operator::parse(&path, &text).unwrap_err().to_string();
        assert!(error.contains("numbers start at 1"), "{error}");
    }
}

/// T5: nobody is in the dark for a few days' holiday: a floor within a week of its level's EMM is
/// refused, with what would work.
#[test]
fn a_floor_without_grace_is_refused() {
    let news = "name = \"News\"";
    let with = |floor: &str| format!("{news}\nemm_floor = 3\nnext_floor = {{ {floor} }}");
    let on_air = "from = 2026-12-08T12:00:00Z, level_on_air = 2026-12-01T12:00:00Z";
    let early = "from = 2026-12-08T11:59:55Z, level_on_air = 2026-12-01T12:00:00Z";
    assert_eq!(schedule(news, &with(&format!("level = 4, {on_air}"))), None);
    assert_eq!(schedule(news, &with(&format!("level = 4, {early}, without_grace = true"))), None);
    for (floor, place, what) in [
        (format!("level = 4, {early}"), "next_floor.from", "at the earliest 5 s later"),
        (format!("level = 4, {early}, without_grace = false"), "next_floor.from", "7 days"),
        (format!("level = 3, {on_air}"), "next_floor.level", "more than emm_floor (3)"),
        (
            "level = 4, from = 2026-12-09T12:00:01Z, level_on_air = 2026-12-01T12:00:00Z".into(),
            "next_floor.from",
            "crypto_period_s",
        ),
    ] {
        let error = schedule(news, &with(&floor)).unwrap();
        assert!(error.contains("News") && error.contains(place), "{error}");
        assert!(error.contains(what), "{error}");
    }
}

/// What a file says twice, against itself or of what is not there. Each row: what is exchanged in
/// the demo's file, and the refusal.
#[test]
fn operator_files_that_contradict_themselves() {
    let path = example("demo/operator.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    let read = |text: &str| Operator::parse(Path::new("o.toml"), text).map_err(|e| e.to_string());
    let key = "303132333435363738393a3b3c3d3e3f";
    let group = |index: u8, group: &str, epoch: u16| {
        format!(
            "[[group_key]]\nindex = {index}\ngroup = \"{group}\"\nepoch = {epoch}\nsuite = 2\n\
             key = \"{key}\"\n"
        )
    };
    let card = |id: &str, pseudonym: &str| {
        format!("[[card]]\ncard_id = \"{id}\"\npseudonym = \"{pseudonym}\"\nepoch = 1\n")
    };
    let (one, two) = ("0102030405060708", "0102030405060709");
    let (box_1, box_2) = ("5354423030303031", "5354423030303032");
    let stb = |id: &str| {
        format!(
            "[[box]]\nstb_id = \"{id}\"\nepoch = 1\nsuite = 2\nbox_key = \"{key}\"\n\
             ladder_key = \"{key}\"\n"
        )
    };
    let pairing = |card: &str, stb: &str, slot: u8, sequence: u32| {
        format!(
            "[[pairing]]\ncard = \"{card}\"\nbox = \"{stb}\"\nslot = {slot}\n\
             sequence = {sequence}\nk_pair = \"{key}\"\nk_cw = \"{key}\"\n"
        )
    };
    let role = |role: &str, epoch: u16| {
        let rest = format!("role = \"{role}\"\nepoch = {epoch}\nsuite = 2\nvalue = \"{key}\"\n");
        card(two, "a1b2c3d4e5f60719") + &format!("[[card.key]]\n{rest}").repeat(2)
    };
    // What lies just beside the refusals.
    let beside = [
        group(0, "00000001", 2),
        group(0, "00000002", 1),
        card(two, "a1b2c3d4e5f60719"),
        stb(box_2),
        pairing(one, box_2, 1, 2),
        pairing(two, box_2, 1, 3),
    ];
    read(&format!("{good}\n{}", beside.concat())).unwrap();
    for (more, expected) in [
        (group(0, "00000001", 1), "[[group_key]] 2, field `epoch`: this group has this epoch"),
        (group(1, "00000001", 2), "[[group_key]] 2, field `index`: this group has another index"),
        (card(one, "a1b2c3d4e5f60719"), "[[card]] 2, field `card_id`: another card has it"),
        (card(two, "a1b2c3d4e5f60718"), "[[card]] 2, field `pseudonym`: another card has it"),
        (card(two, two), "[[card]] 2, field `pseudonym`: is the card's number"),
        (role("wallet", 1), "[[card.key]] 2, field `epoch`: this role has this epoch already"),
        (stb(box_1), "[[box]] 2, field `stb_id`: another box has it"),
        (pairing(two, box_1, 1, 2), "[[pairing]] 2, field `card`: names no [[card]]"),
        (pairing(one, box_2, 1, 2), "[[pairing]] 2, field `box`: names no [[box]]"),
        (pairing(one, box_1, 1, 2), "[[pairing]] 2, field `box`: this card has it in slot 0"),
        (
            stb(box_2) + &pairing(one, box_2, 0, 2),
            "[[pairing]] 2, field `slot`: this card has another box in it",
        ),
        (
            stb(box_2) + &pairing(one, box_2, 1, 1),
            "[[pairing]] 2, field `sequence`: this card has a pairing of this number",
        ),
        (
            card(two, "a1b2c3d4e5f60719") + &pairing(two, box_1, 0, 1),
            "[[pairing]] 2, field `sequence`: this box has a pairing of this number",
        ),
        (
            stb(box_2) + &pairing(one, box_2, 1, 10),
            "[[pairing]] 2, field `sequence`: next_sequence would give it out again",
        ),
    ] {
        let error =
            read(&format!("{good}\n{more}")).err().unwrap_or_else(|| panic!("taken: {more}"));
        assert!(error.starts_with("o.toml: ") && error.contains(expected), "{error}\n{expected}");
        assert!(!error.contains(key), "{error}");
    }
}

#[test]
fn schedules_that_contradict_themselves() {
    for (from, to, expected) in [
        ("name = \"Cinema\"", "name = \"News\"", "\"News\", field `name`: another table has it"),
        (
            "channel = 0x0201",
            "channel = 0x0101",
            "\"Cinema\", field `channel`: another table has it",
        ),
        (
            "packages = [1]",
            "packages = [1, 2, 1]",
            "\"News\", field `packages`: 1 stands in it twice",
        ),
        ("packages = [1]", "packages = [1]\nregion = 0", "\"News\", field `region`: 0 is nowhere"),
        (
            "from_s = 15, epoch = 2",
            "from_s = 15, epoch = 1",
            "\"News\" rotation 1, field `epoch`: generations count up, 1 is on air before",
        ),
        (
            "epoch = 2 }]",
            "epoch = 3 }, { from_s = 20, epoch = 2 }]",
            "\"News\" rotation 2, field `epoch`: generations count up, 3 is on air before",
        ),
        (
            "epoch = 2 }]",
            "epoch = 2 }, { from_s = 10, epoch = 3 }]",
            "\"News\" rotation 2, field `from_s`: rotations follow one another",
        ),
        (
            "id = 2002\nfrom_s = 10",
            "id = 2001\nfrom_s = 10",
            "event 2001, field `price`: another table sells it for 12.00",
        ),
        (
            "id = 2002\nfrom_s = 10\nuntil_s = 20",
            "id = 2002\nfrom_s = 20\nuntil_s = 20",
            "ends before",
        ),
    ] {
        let error = schedule(from, to).unwrap_or_else(|| panic!("{to} is taken"));
        assert!(error.starts_with("s.toml: ") && error.contains(expected), "{error}\n{expected}");
    }
    // Another edition of the event has its own price, and a later part of it the same.
    assert_eq!(schedule("id = 2002\nfrom_s = 10", "id = 2001\ntier = 2\nfrom_s = 10"), None);
    let again = "id = 2001\nfrom_s = 10\nuntil_s = 20\nprice = \"12.00\"";
    assert_eq!(schedule("id = 2002\nfrom_s = 10\nuntil_s = 20\nprice = \"8.50\"", again), None);
}

#[test]
fn messages_that_contradict_themselves() {
    let day = |n: u8| format!("2027-01-{n:02}T00:00:00Z");
    let grant = |start: u8, end: u8, horizon: u8| {
        format!(
            "kind = \"grant\"\ncard = \"0102030405060708\"\npackage = 1\nversion = 1\nstart = {}\n\
             end = {}\nhorizon = {}\n",
            day(start),
            day(end),
            day(horizon)
        )
    };
    let with = |kind: &str, fields: &str| {
        format!("kind = \"{kind}\"\ncard = \"0102030405060708\"\n{fields}")
    };
    let read = |text: &str| {
        Message::parse(Path::new("m.toml"), text).map(drop).map_err(|error| error.to_string())
    };
    for good in [
        grant(1, 2, 2),
        with("key_activate", "slot = 1\nepoch = 2\nfloor = 2\n"),
        with("refund", "event = 1\nsequence = 1\namount = \"0.01\"\n"),
        "kind = \"osd\"\nid = 1\ntext = \"to all\"\n".to_owned(),
    ] {
        assert_eq!(read(&good), Ok(()));
    }
    for (text, expected) in [
        (grant(2, 2, 2), "field `end`: a right ends after it begins"),
        (grant(3, 2, 2), "field `end`: a right ends after it begins"),
        (grant(1, 3, 2), "field `horizon`: is before `end`"),
        (
            with("key_activate", "slot = 1\nepoch = 1\nfloor = 2\n"),
            "field `floor`: is above `epoch`",
        ),
        (with("key_activate", "slot = 16\nepoch = 1\nfloor = 1\n"), "field `slot`: got 16"),
        (with("key_deliver", "slot = 16\nepoch = 1\n"), "field `slot`: got 16"),
        (with("key_destroy", "slot = 16\nepoch = 1\n"), "field `slot`: got 16"),
        (with("refund", "event = 0\nsequence = 1\namount = \"1.00\"\n"), "field `event`: numbers"),
        (
            with("refund", "event = 1\nsequence = 0\namount = \"1.00\"\n"),
            "field `sequence`: numbers",
        ),
        (
            with("refund", "event = 1\nsequence = 1\namount = \"0.00\"\n"),
            "field `amount`: nothing moves",
        ),
        (with("time_sync", "reset = 0\n"), "field `reset`: numbers start at 1"),
        (
            with("emm_level", "level = 1\nafter_reset = 0\n"),
            "field `after_reset`: numbers start at 1",
        ),
    ] {
        let error = read(&text).err().unwrap_or_else(|| panic!("taken: {text}"));
        assert!(error.starts_with("m.toml: ") && error.contains(expected), "{error}\n{expected}");
    }
}
