// SPDX-License-Identifier: Apache-2.0
//! What a script may say, and how it counts.

use super::*;
use proptest::prelude::*;

fn error(text: &str) -> String {
    text.parse::<Script>().expect_err(text).to_string()
}

#[test]
fn faults_parse() {
    let table: &[(&str, Place, Action)] = &[
        ("card 1 lose", Place::Card, Action::Lose),
        (" terminal\t1 double # twice", Place::Terminal, Action::Double),
        ("reader 1 damage", Place::Reader, Action::Damage(0x10)),
        ("host 1 damage 81", Place::Host, Action::Damage(0x81)),
        ("card 1 delay 250", Place::Card, Action::Delay(Duration::from_millis(250))),
        ("command 1 mute", Place::Command, Action::Mute),
        ("card 1 remove", Place::Card, Action::Remove(None)),
        ("command 1 unplug 5", Place::Command, Action::Unplug(Some(Duration::from_millis(5)))),
        ("command 1 null 300", Place::Command, Action::Trouble(Trouble::Nulls(300))),
        (
            "command 1 wtx 20 5",
            Place::Command,
            Action::Trouble(Trouble::Wtx { count: 20, times: 5 }),
        ),
        (
            "command 1 wrong nad 2",
            Place::Command,
            Action::Trouble(Trouble::Wrong { how: Wrong::Nad, count: 2 }),
        ),
    ];
    for (text, place, action) in table {
        let mut script: Script = text.parse().expect(text);
        assert_eq!(script.strike(*place), [*action], "{text}");
        assert_eq!(script.strike(*place), [], "{text}");
    }
}

#[test]
fn numbers_count_from_the_start_or_from_a_reset() {
    let mut script: Script =
        "card 2-3 lose\ncard 2/1 double\n\n# done\ncard 2/1 mute".parse().unwrap();
    script.reset();
    assert_eq!(script.strike(Place::Card), []);
    assert_eq!(script.strike(Place::Terminal), []);
    assert_eq!(script.strike(Place::Card), [Action::Lose]);
    script.reset();
    assert_eq!(script.strike(Place::Card), [Action::Lose, Action::Double, Action::Mute]);
    script.reset();
    assert_eq!(script.strike(Place::Card), []);
}

#[test]
fn errors_name_the_line_and_what_is_wrong() {
    let table: &[(&str, &str)] = &[
        ("\ncard 1", "line 2: got 2 words, expected PLACE NUMBER FAULT"),
        ("octet 1 lose", "line 1: unknown place \"octet\", expected one of card, terminal"),
        ("card 0 lose", "line 1: got \"0\", expected a number that counts from 1"),
        ("card +1 lose", "got \"+1\""),
        ("card 1/ lose", "got \"\""),
        ("card 3-2 lose", "range \"3-2\" ends before it begins"),
        ("card 1 loose", "unknown fault \"loose\""),
        ("card 1 lose 2", "\"2\" is one word too many for lose"),
        ("card 1 damage 00", "XX is \"00\""),
        ("card 1 damage 100", "XX is \"100\""),
        ("card 1 delay", "delay needs MS"),
        ("card 1 delay 1s", "MS is \"1s\", expected a number up to 3600000"),
        ("card 1 null 3", "\"null\" is no fault of an octet of the card"),
        ("command 1 lose", "\"lose\" is no fault of a command"),
        ("command 1 wtx 2 256", "M is \"256\""),
        ("command 1 wtx 2 0", "M is 0"),
        ("command 1 wrong", "KIND is \"\", expected one of nad, pcb"),
        ("command 1 null 99999999999999999999", "N is"),
    ];
    for (text, named) in table {
        let error = error(text);
        assert!(error.contains(named), "{text:?}: {error}");
    }
    let script: Script = "card 1 lose\nhost 1 lose".parse().unwrap();
    let misfit = script.misfit(|place, _| place != Place::Host).unwrap().to_string();
    assert_eq!(misfit, "line 2: this fault of an octet of the host is not possible here");
}

#[test]
fn the_manual_names_everything() {
    for (name, _) in Place::ALL {
        assert!(GRAMMAR.contains(name), "{name}");
    }
    for (name, _) in KINDS {
        assert!(GRAMMAR.contains(name), "{name}");
    }
}

proptest! {
    /// Any text is a script or an error with a line of the text.
    #[test]
    fn any_text(text in "([a-z]{0,8}|[0-9]{1,22}|[-/#\n ]){0,12}") {
        if let Err(error) = text.parse::<Script>() {
            prop_assert!(error.line >= 1 && error.line <= text.lines().count());
        }
    }
}
