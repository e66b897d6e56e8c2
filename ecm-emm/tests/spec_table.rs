// SPDX-License-Identifier: Apache-2.0
//! The table of commands in `docs/spec/emm.md` §3 is the code's: every row of it. Who may send what
//! is compared in [`crate::permissions`].

use crate::commands::{every_command, plaintext};
use ecm_emm::emm::{Address, EmmCommand, Signing, tag};
use ecm_emm::keys::Role;

const SPEC: &str = include_str!("../../docs/spec/emm.md");

/// The columns behind the command, in their order.
pub(crate) const SENDERS: [(Role, u8, Signing); 8] = [
    (Role::Individual, Address::UNIQUE, Signing::Unsigned),
    (Role::Recovery, Address::UNIQUE, Signing::Unsigned),
    (Role::Wallet, Address::UNIQUE, Signing::Unsigned),
    (Role::WalletRecovery, Address::UNIQUE, Signing::Unsigned),
    (Role::Group, Address::SHARED, Signing::Unsigned),
    (Role::Group, Address::SHARED, Signing::Signed),
    (Role::Global, Address::GLOBAL, Signing::Unsigned),
    (Role::Global, Address::GLOBAL, Signing::Signed),
];

pub(crate) struct Row {
    pub tag: u8,
    name: &'static str,
    /// The fields of the value, each with its octets.
    fields: Vec<&'static str>,
    /// Who may send it, by the columns.
    pub senders: Vec<bool>,
}

pub(crate) fn rows() -> Vec<Row> {
    let section = SPEC.split("\n## ").find(|text| text.starts_with("3 ")).unwrap();
    let mut lines = section.lines().filter(|line| line.starts_with('|'));
    assert_eq!(
        lines.next().unwrap(),
        "| tag | command and value | 11 | 14 | 21 | 24 | 12 | 12 signed | 13 | 13 signed |"
    );
    lines
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [tag, command, senders @ ..] = cells.as_slice() else { panic!("{line}") };
            assert_eq!(senders.len(), SENDERS.len(), "{line}");
            let (name, value) = command.split_once(' ').unwrap();
            Row {
                tag: u8::from_str_radix(tag, 16).unwrap(),
                name,
                fields: fields(value),
                senders: senders.iter().map(|cell| !cell.is_empty()).collect(),
            }
        })
        .collect()
}

/// At the blanks outside brackets.
fn fields(value: &str) -> Vec<&str> {
    let mut depth = 0;
    value
        .split(|c| {
            depth +=
                i32::from(matches!(c, '(' | '[' | '{')) - i32::from(matches!(c, ')' | ']' | '}'));
            c == ' ' && depth == 0
        })
        .collect()
}

/// The fewest octets of a field, and whether there may be more.
fn octets(field: &str) -> (usize, bool) {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    match field {
        "text" => (0, true),
        _ if field.starts_with('[') || field.ends_with('*') => (0, true),
        // The length in brackets, or the key that is wrapped.
        _ if field.ends_with(')') => {
            let (_, range) = field.split_once('(').unwrap();
            (digits(range).parse().unwrap(), true)
        }
        _ => {
            let name = field.trim_end_matches(|c: char| c.is_ascii_digit());
            (field[name.len()..].parse().unwrap(), false)
        }
    }
}

/// Every row but SIGNATURE has a command of its name, with the octets that it says.
#[test]
fn names_and_sizes() {
    let commands = every_command();
    let rows = rows();
    let named =
        rows.iter().map(|row| (row.tag, row.name)).filter(|row| *row != (0x7E, "SIGNATURE"));
    assert_eq!(named.collect::<Vec<_>>(), tag::ALL);
    let tags = tag::ALL.iter().map(|(tag, _)| *tag);
    assert!(tags.eq(commands.iter().map(EmmCommand::tag)), "a sample of each, in their order");
    for command in commands {
        let row = rows.iter().find(|row| row.tag == command.tag()).unwrap();
        let fields = row.fields.iter().map(|field| octets(field));
        let (least, more) = fields.fold((0, false), |a, b| (a.0 + b.0, a.1 || b.1));
        let value = plaintext(core::slice::from_ref(&command)).len() - 2;
        assert!(value >= least && (more || value == least), "{command:?}: {least}, got {value}");
        let shorter = vec![0; least - 1];
        assert!(EmmCommand::parse(row.tag, &shorter).is_err(), "{:02X}", row.tag);
    }
}
