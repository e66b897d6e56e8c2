// SPDX-License-Identifier: Apache-2.0
//! A verdict on a transaction of which the card can tell no more: what it was, who says so, why,
//! and when it was entered. It stays where it was entered.
use super::args::DateTime;
use super::state::{Serial, serial_text};
use crate::failure::Failure;
use crate::record::money::{Said, Settlement};
use serde::Serialize;
use wallet::flow::settle::Unknown;
use wallet::proof::Unsettled;

/// Who says what became of a transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Verdict {
    pub made: bool,
    pub by: String,
    pub why: String,
    /// Date and time at which it was entered.
    pub entered: String,
}

/// What to do about a transaction that is open, while the card may tell and when it cannot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct WayOut {
    ask: String,
    settle: String,
}

impl WayOut {
    /// Out of the state directory.
    pub(crate) fn of_card(card: Serial) -> Self {
        let which = match card {
            Some(_) => format!("--serial {}", serial_text(card)),
            None => "--no-serial".into(),
        };
        let ask = "put the card back, `stbcam wallet prove` asks it".into();
        Self { ask, settle: Self::settle(&which) }
    }

    /// Out of a batch's journal.
    pub(crate) fn of_entry(batch: &str, reference: &str) -> Self {
        let ask = "run the batch again with this card".into();
        Self { ask, settle: Self::settle(&format!("--batch {batch} --reference {reference}")) }
    }

    /// What to do next. No card may stay for ever with "ask it again".
    pub(crate) fn next(&self, why: &Unknown) -> String {
        let Self { ask, settle } = self;
        match why.is_final() {
            true => settle.clone(),
            false => format!("{ask}; if it never can tell, {settle}"),
        }
    }

    fn settle(which: &str) -> String {
        format!(
            "ask the acquirer and enter the answer: `stbcam wallet settle {which} --made` or \
             `--not-made`, with --by and --why"
        )
    }
}

/// Characters of who and why at most.
const MOST: usize = 200;
/// So many hexadecimal digits in a row are a key and no reference.
const KEY: usize = 32;

/// Who or why, as it may be kept: no message shows what was refused.
pub(crate) fn words(text: &str) -> Result<String, String> {
    let text = text.trim();
    let runs = text.split(|c: char| !c.is_ascii_hexdigit());
    if text.is_empty() {
        Err("expected some words: they are the record of it".into())
    } else if text.chars().count() > MOST {
        Err(format!("expected at most {MOST} characters"))
    } else if text.chars().any(char::is_control) {
        Err("expected one line of text".into())
    } else if runs.into_iter().any(|run| run.len() >= KEY) {
        Err("this looks like a key, and keys are not recorded: name it by role and version".into())
    } else {
        Ok(text.into())
    }
}

/// As it is kept in the state directory.
#[derive(Serialize)]
struct Kept<'a> {
    outcome: &'static str,
    by: &'a str,
    why: &'a str,
    entered: &'a str,
    serial: String,
    #[serde(flatten)]
    transaction: Said,
    card_sequence: u16,
    terminal_sequence: u32,
}

impl Verdict {
    pub(crate) fn new(made: bool, by: &str, why: &str, (date, time): DateTime) -> Self {
        Self { made, by: by.into(), why: why.into(), entered: format!("{date}T{time}+08:00") }
    }

    pub(crate) const fn outcome(&self) -> &'static str {
        if self.made { "made" } else { "not_made" }
    }

    /// What it makes of the transaction.
    pub(crate) fn settlement(&self, card: Serial, open: &Unsettled) -> Settlement {
        let after = self.made.then_some(open.balance);
        let by = format!("the verdict of {}: {}", self.by, self.why);
        Settlement::open(card, open).judged(self.outcome(), after, by)
    }

    /// The octets of the record, without anything secret.
    pub(crate) fn record(&self, card: Serial, open: &Unsettled) -> Result<Vec<u8>, Failure> {
        let kept = Kept {
            outcome: self.outcome(),
            by: &self.by,
            why: &self.why,
            entered: &self.entered,
            serial: serial_text(card),
            transaction: Said::new(&open.transaction),
            card_sequence: u16::from_be_bytes(open.sequence),
            terminal_sequence: open.terminal_sequence.value(),
        };
        serde_json::to_vec_pretty(&kept).map_err(|error| Failure::Failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cam_types::StatusWord;
    use wallet::Refusal;
    use wallet::refusal::Step;

    /// A card that refuses each time is asked no oftener than its owner likes.
    #[test]
    fn every_reason_has_a_way_out() {
        let refusal = Refusal::new(Step::Prove, StatusWord::APPLICATION_BLOCKED);
        for way_out in [WayOut::of_card(None), WayOut::of_entry("batch.csv", "R1")] {
            for (why, asks) in [
                (Unknown::NoAnswer, true),
                (Unknown::Malformed, true),
                (Unknown::Refused(refusal), true),
                (Unknown::MovedOn, false),
                (Unknown::NotShown, false),
            ] {
                let next = way_out.next(&why);
                assert_eq!(next.contains(&way_out.ask), asks, "{next}");
                assert!(next.contains("`stbcam wallet settle --"), "{next}");
            }
        }
    }

    #[test]
    fn words_are_a_line_without_secrets() {
        assert_eq!(words(" desk 4 "), Ok("desk 4".into()));
        assert_eq!(
            words("9000000000000000471100000000000"),
            Ok("9000000000000000471100000000000".into())
        );
        for (text, part) in [
            ("", "some words"),
            ("\t ", "some words"),
            ("a\nb", "one line"),
            ("00112233445566778899AABBCCDDEEFF", "a key"),
            (&"x".repeat(201), "at most 200"),
        ] {
            let error = words(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("0011"), "{error}");
        }
    }
}
