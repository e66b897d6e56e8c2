// SPDX-License-Identifier: Apache-2.0
//! The fault script of `vcard serve --script`: what goes wrong, and where.
//!
//! One fault a line, `PLACE NUMBER FAULT`; `#` begins a comment. [`GRAMMAR`] is the manual.

use crate::line::{Trouble, Wrong};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The manual, as `vcard --help` prints it.
pub const GRAMMAR: &str = "  PLACE   card        an octet from the card
          terminal    an octet to the card
          reader      an octet from the reader to the host (--line gempc-twin)
          host        an octet from the host to the reader (--line gempc-twin)
          command     a command that has arrived whole at the card
  NUMBER  7           the seventh since the start of the service, octets of answers to reset
                      included
          7-9         the seventh to the ninth
          2/7         the seventh since the second reset (2/7-9: to the ninth)
  FAULT   of an octet:
            lose        it does not arrive
            double      it arrives twice
            damage [XX] it arrives with these bits (hexadecimal, 10) turned over and wrong parity
          of a command:
            null N      T=0: N NULL octets before its answer
            wtx N [M]   T=1: N requests for M (1) waiting times more before its answer
            wrong KIND [N]  T=1: the first block of its answer is wrong N (1) times.
                        KIND: nad, pcb, len, number, edc, short, long or resynch
          of both:
            delay MS    it, and for an octet what follows, comes later; a command's answer does
            mute        nothing more from the card until it is reset; a command is carried out
            remove [MS] the card is pulled before it, and put back after MS milliseconds
            unplug [MS] the reader is unplugged before it, and plugged in again after MS
";

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Place {
    /// An octet from the card.
    Card,
    /// An octet to the card.
    Terminal,
    /// An octet from the reader to its host.
    Reader,
    /// An octet from the host to its reader.
    Host,
    /// A command that has arrived whole.
    Command,
}

impl Place {
    /// All, in the order of [`Place::name`]s in the manual.
    const ALL: [(&'static str, Self); 5] = [
        ("card", Self::Card),
        ("terminal", Self::Terminal),
        ("reader", Self::Reader),
        ("host", Self::Host),
        ("command", Self::Command),
    ];

    /// As the script spells it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, place)| *place == self).map_or("", |(name, _)| name)
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// The octet does not arrive.
    Lose,
    /// The octet arrives twice.
    Double,
    /// The octet arrives with these bits turned over, and wrong parity.
    Damage(u8),
    /// It comes later.
    Delay(Duration),
    /// The card says nothing more until it is reset.
    Mute,
    /// The card is pulled, and put back after this time.
    Remove(Option<Duration>),
    /// The reader is unplugged, and plugged in again after this time.
    Unplug(Option<Duration>),
    /// The card makes trouble with its answer.
    Trouble(Trouble),
}

/// A script, and how far it has got.
#[derive(Clone, Debug, Default)]
pub struct Script {
    rules: Vec<Rule>,
    resets: u64,
    counts: [Count; 5],
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    total: u64,
    since_reset: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Rule {
    line: usize,
    place: Place,
    reset: Option<u64>,
    first: u64,
    last: u64,
    action: Action,
}

impl Script {
    /// The card was reset: what counts from the last reset begins again.
    pub fn reset(&mut self) {
        self.resets += 1;
        for count in &mut self.counts {
            count.since_reset = 0;
        }
    }

    /// One more octet or command at this place: what happens to it, in the order of the script.
    pub fn strike(&mut self, place: Place) -> Vec<Action> {
        let Some(count) = self.counts.get_mut(place as usize) else { return Vec::new() };
        count.total += 1;
        count.since_reset += 1;
        let (count, resets) = (*count, self.resets);
        self.rules
            .iter()
            .filter(|rule| {
                let number = match rule.reset {
                    None => count.total,
                    Some(reset) if reset == resets => count.since_reset,
                    Some(_) => return false,
                };
                rule.place == place && (rule.first..=rule.last).contains(&number)
            })
            .map(|rule| rule.action)
            .collect()
    }

    /// The first line that does not fit what serves the card.
    pub fn misfit(&self, possible: impl Fn(Place, Action) -> bool) -> Option<ScriptError> {
        let rule = self.rules.iter().find(|rule| !possible(rule.place, rule.action))?;
        let what = format!("this fault of {} is not possible here", article(rule.place));
        Some(ScriptError { line: rule.line, what })
    }
}

fn article(place: Place) -> String {
    match place {
        Place::Command => "a command".into(),
        octet => format!("an octet of the {}", octet.name()),
    }
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut rules = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let tokens: Vec<&str> = line.split_ascii_whitespace().collect();
            if !tokens.is_empty() {
                let at = at + 1;
                let rule = rule(at, &tokens);
                rules.push(rule.map_err(|what| ScriptError { line: at, what })?);
            }
        }
        Ok(Self { rules, ..Self::default() })
    }
}

/// Why a text is no script.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScriptError {
    /// The line, 1 for the first.
    pub line: usize,
    what: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ScriptError {}

fn rule(line: usize, tokens: &[&str]) -> Result<Rule, String> {
    let &[place, number, fault, ref arguments @ ..] = tokens else {
        return Err(format!("got {} words, expected PLACE NUMBER FAULT", tokens.len()));
    };
    let place = Place::ALL
        .iter()
        .find_map(|(name, found)| (*name == place).then_some(*found))
        .ok_or_else(|| {
            let names = Place::ALL.map(|(name, _)| name).join(", ");
            format!("unknown place {place:?}, expected one of {names}")
        })?;
    let (reset, range) = match number.split_once('/') {
        Some((reset, range)) => (Some(counted(reset)?), range),
        None => (None, number),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (counted(first)?, counted(last)?),
        None => (counted(range)?, counted(range)?),
    };
    if last < first {
        return Err(format!("range {range:?} ends before it begins"));
    }
    let action = action(place, fault, arguments)?;
    Ok(Rule { line, place, reset, first, last, action })
}

fn counted(token: &str) -> Result<u64, String> {
    match decimal(token, u64::MAX) {
        Some(0) | None => Err(format!("got {token:?}, expected a number that counts from 1")),
        Some(number) => Ok(number),
    }
}

fn action(place: Place, fault: &str, arguments: &[&str]) -> Result<Action, String> {
    let command = place == Place::Command;
    let refuse = || Err(format!("{fault:?} is no fault of {}", article(place)));
    let most = match fault {
        "lose" | "double" | "mute" => 0,
        "damage" | "delay" | "remove" | "unplug" | "null" => 1,
        "wtx" | "wrong" => 2,
        _ => return Err(format!("unknown fault {fault:?}")),
    };
    if let Some(extra) = arguments.get(most) {
        return Err(format!("{extra:?} is one word too many for {fault}"));
    }
    let number = |at: usize, what: &str, most: u64| match arguments.get(at) {
        None => Ok(None),
        Some(token) => match decimal(token, most) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("{what} is {token:?}, expected a number up to {most}")),
        },
    };
    let needed = |at: usize, what: &str, most: u64| {
        number(at, what, most)?.ok_or_else(|| format!("{fault} needs {what}"))
    };
    let time = || number(0, "MS", LONGEST_MS).map(|ms| ms.map(Duration::from_millis));
    Ok(match fault {
        "lose" | "double" | "damage" if command => return refuse(),
        "null" | "wtx" | "wrong" if !command => return refuse(),
        "lose" => Action::Lose,
        "double" => Action::Double,
        "damage" => Action::Damage(match arguments.first() {
            None => 0x10,
            Some(token) => match u8::from_str_radix(token, 16) {
                Ok(bits) if token.len() == 2 && bits != 0 => bits,
                _ => return Err(format!("XX is {token:?}, expected two digits, not 00")),
            },
        }),
        "delay" => Action::Delay(Duration::from_millis(needed(0, "MS", LONGEST_MS)?)),
        "mute" => Action::Mute,
        "remove" => Action::Remove(time()?),
        "unplug" => Action::Unplug(time()?),
        "null" => Action::Trouble(Trouble::Nulls(needed(0, "N", MOST)? as u32)),
        "wtx" => {
            let times = number(1, "M", 255)?.unwrap_or(1);
            if times == 0 {
                return Err("M is 0, expected 1 to 255".into());
            }
            Action::Trouble(Trouble::Wtx {
                count: needed(0, "N", MOST)? as u32,
                times: times as u8,
            })
        }
        _ => {
            let kind = arguments.first().copied().unwrap_or_default();
            let how = KINDS.iter().find_map(|(name, how)| (*name == kind).then_some(*how));
            let how = how.ok_or_else(|| {
                let names = KINDS.map(|(name, _)| name).join(", ");
                format!("KIND is {kind:?}, expected one of {names}")
            })?;
            let count = number(1, "N", MOST)?.unwrap_or(1) as u32;
            Action::Trouble(Trouble::Wrong { how, count })
        }
    })
}

/// Digits only: no sign, no blank.
fn decimal(token: &str, most: u64) -> Option<u64> {
    let digits = !token.is_empty() && token.bytes().all(|digit| digit.is_ascii_digit());
    token.parse().ok().filter(|number| digits && *number <= most)
}

const KINDS: [(&str, Wrong); 8] = [
    ("nad", Wrong::Nad),
    ("pcb", Wrong::Pcb),
    ("len", Wrong::Len),
    ("number", Wrong::Number),
    ("edc", Wrong::Edc),
    ("short", Wrong::Short),
    ("long", Wrong::Long),
    ("resynch", Wrong::Resynch),
];
/// An hour.
const LONGEST_MS: u64 = 3_600_000;
/// NULL octets, requests or wrong blocks.
const MOST: u64 = 1_000_000;

#[cfg(test)]
mod tests;
