// SPDX-License-Identifier: Apache-2.0
//! The table of reasons in `docs/spec/card.md` 3.1 is the code's: number, name and remedy.

use ecm_emm::card::{AccessStatus, Remedy};

const SPEC: &str = include_str!("../../docs/spec/card.md");

const fn named(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::None => "none",
        Remedy::Wait => "wait",
        Remedy::Emm => "EMM",
        Remedy::Pin => "PIN",
        Remedy::Money => "money",
        Remedy::Technician => "technician",
    }
}

#[test]
fn every_reason_is_a_row_with_its_remedy() {
    let (_, table) = SPEC.split_once("| number | reason | remedy |\n|---|---|---|\n").unwrap();
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    let row = |status: &AccessStatus| {
        let name = status.name().unwrap();
        format!("| {:02X} | {name} | {} |", status.0, named(status.remedy()))
    };
    assert_eq!(rows, AccessStatus::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn a_number_of_a_later_version_has_the_remedy_of_its_family() {
    for status in (0..=u8::MAX).map(AccessStatus).filter(|status| status.name().is_none()) {
        let expected = if status.0 < 0x30 { Remedy::None } else { Remedy::Technician };
        assert_eq!(status.remedy(), expected, "{:02X}", status.0);
    }
}
