// SPDX-License-Identifier: Apache-2.0
//! What operator and schedule file must not say, refused by name.

use crate::support::example;
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
