// SPDX-License-Identifier: Apache-2.0
//! What operator and schedule file must not say, refused by name.

use crate::support::example;
use headend::files::operator::Operator;
use headend::files::schedule::Schedule;
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
