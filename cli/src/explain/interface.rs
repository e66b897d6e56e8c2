// SPDX-License-Identifier: Apache-2.0
//! Interface octets: TA1 to TDn.
use super::speed::{mhz, rate};
use iso7816::atr::Atr;
use iso7816::etu::{LineParams, clock_rate_conversion, rate_adjustment};
use std::time::Duration;

/// One interface octet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Interface {
    level: usize,
    letter: char,
    /// T of the TD octet that announced it.
    t: Option<u8>,
    value: u8,
}

impl Interface {
    /// All that have come.
    pub(super) fn all(octets: &[u8]) -> Vec<Self> {
        let mut found = Vec::new();
        Atr::visit(octets, |level, letter, t, value| {
            found.push(Self { level, letter, t, value });
        });
        found
    }

    pub(super) fn name(&self) -> String {
        format!("T{}{}", self.letter, self.level)
    }
}

/// Which octets of a level T0 or a TD octet announces.
fn announced(indicator: u8) -> impl Iterator<Item = char> {
    let letters = [(0x10, 'A'), (0x20, 'B'), (0x40, 'C'), (0x80, 'D')];
    letters.into_iter().filter(move |(bit, _)| indicator & bit != 0).map(|(_, letter)| letter)
}

pub(super) fn follow(level: usize, indicator: u8) -> String {
    let names: Vec<_> = announced(indicator).map(|letter| format!("T{letter}{level}")).collect();
    match names.as_slice() {
        [] if level == 1 => "no interface octets follow".into(),
        [] => "nothing more follows".into(),
        [name] => format!("{name} follows"),
        names => format!("{} follow", names.join(", ")),
    }
}

/// The first octet that was announced and has not come.
pub(super) fn next_missing(t0: u8, found: &[Interface]) -> Option<String> {
    let (mut level, mut indicator) = (1, t0);
    loop {
        let mut next = None;
        for letter in announced(indicator) {
            let of_level =
                found.iter().find(|octet| (octet.level, octet.letter) == (level, letter));
            match of_level {
                None => return Some(format!("T{letter}{level}")),
                Some(octet) if letter == 'D' => next = Some(octet.value),
                Some(_) => {}
            }
        }
        indicator = next?;
        level += 1;
    }
}

/// TCK is absent only where T=0 alone is announced.
pub(super) fn needs_tck(found: &[Interface]) -> bool {
    found.iter().any(|octet| octet.letter == 'D' && octet.value & 0x0F != 0)
}

/// What the octets before have said.
pub(super) struct Line {
    params: LineParams,
    /// TA2.
    specific: Option<u8>,
    seen: Vec<(char, u8)>,
}

impl Line {
    pub(super) fn new(clock_hz: u32, found: &[Interface]) -> Self {
        let is = |octet: &&Interface, level, letter| (octet.level, octet.letter) == (level, letter);
        let mut params = LineParams::initial(clock_hz);
        if let Some(ta1) = found.iter().find(|octet| is(octet, 1, 'A'))
            && let Some((f, d, _)) = fi_di(ta1.value)
        {
            params = LineParams { f, d, ..params };
        }
        let specific = found.iter().find(|octet| is(octet, 2, 'A')).map(|octet| octet.value);
        Self { params, specific, seen: Vec::new() }
    }

    pub(super) fn meaning(&mut self, octet: &Interface) -> String {
        let value = octet.value;
        match (octet.level, octet.letter, octet.t) {
            (1, 'A', _) => self.ta1(value),
            (1, 'C', _) => guard_time(value),
            (2, 'A', _) => ta2(value),
            (2, 'C', _) => self.wi(value),
            (level, 'D', before) => td(level, value, before),
            (1 | 2, _, _) => "programming voltage Vpp, which no card has any more: ignored".into(),
            (_, letter, Some(t @ (1 | 15))) => {
                if self.seen.contains(&(letter, t)) {
                    return format!(
                        "T{letter} of T={t} again: only the first counts, not this one"
                    );
                }
                self.seen.push((letter, t));
                match (t, letter) {
                    (1, 'A') => ifsc(value),
                    (1, 'B') => self.waiting(value),
                    (1, _) if value & 1 == 1 => "error detection by CRC, 2 octets".into(),
                    (1, _) => "error detection by LRC, 1 octet".into(),
                    (_, 'A') => clock_stop(value),
                    (_, 'B') => spu(value),
                    _ => "reserved".into(),
                }
            }
            (_, _, t) => format!("of T={}: no meaning that the standard knows", t.unwrap_or(0)),
        }
    }

    fn ta1(&self, value: u8) -> String {
        let Some((fi, di, fmax)) = fi_di(value) else {
            return format!(
                "FI {:X}, DI {:X}: reserved, so that 372 and 1 hold: {}",
                value >> 4,
                value & 0x0F,
                rate(&LineParams::initial(self.params.clock_hz))
            );
        };
        let when = match self.specific {
            None => "if PPS agrees",
            Some(ta2) if ta2 & 0x10 == 0 => "at once",
            Some(_) => "but TA2 says that other ones hold",
        };
        let clock = if self.params.clock_hz > fmax { ", less than this reader gives" } else { "" };
        format!("Fi {fi}, Di {di}, clock up to {}{clock}: {} {when}", mhz(fmax), rate(&self.params))
    }

    fn wi(&self, value: u8) -> String {
        let wt = |wi| millis(self.params.wt(wi, self.params.f));
        match value {
            0 => format!("WI 0 is reserved, 10 holds: T=0 waits {} for a character", wt(10)),
            wi => format!("WI {wi}: T=0 waits {} for a character (WT)", wt(wi)),
        }
    }

    fn waiting(&self, value: u8) -> String {
        let (bwi, cwi) = (value >> 4, value & 0x0F);
        let reserved = if bwi > 9 { " is reserved, 9 holds" } else { "" };
        format!(
            "BWI {bwi}{reserved}: T=1 waits {} for a block (BWT); CWI {cwi}: {} etu for a \
             character inside it (CWT), {} at {} bit/s",
            millis(self.params.bwt(bwi)),
            11 + (1u32 << cwi),
            millis(self.params.cwt(cwi)),
            self.params.baud()
        )
    }
}

fn fi_di(ta1: u8) -> Option<(u16, u8, u32)> {
    let (fi, fmax) = clock_rate_conversion(ta1 >> 4)?;
    Some((fi, rate_adjustment(ta1 & 0x0F)?, fmax))
}

fn guard_time(n: u8) -> String {
    match n {
        0 => "N 0: no extra guard time, 12 etu for a character to the card".into(),
        255 => "N 255: the shortest guard time, 11 etu on T=1, 12 etu on T=0".into(),
        n => format!("N {n}: {} etu for a character to the card", 12 + u16::from(n)),
    }
}

fn ta2(value: u8) -> String {
    let t = value & 0x0F;
    let change = if value & 0x80 == 0 { "may" } else { "cannot" };
    let rate = if value & 0x10 == 0 { "F and D of TA1" } else { "F and D implicit, not of TA1" };
    format!(
        "specific mode: T={t} at once, without PPS, with {rate}; a warm reset {change} change it"
    )
}

fn td(level: usize, value: u8, before: Option<u8>) -> String {
    let t = value & 0x0F;
    let what = match (level, t) {
        (1, 15) => "T=15 is never first, T=0 holds".into(),
        (_, 15) => "T=15: octets for all protocols".into(),
        (1, 0 | 1) => format!("T={t} is offered first"),
        (1, 14) => "T=14, an operator's own protocol, is offered first".into(),
        (_, 14) => "T=14, an operator's own protocol, is offered".into(),
        (_, 0 | 1) if before == Some(t) => format!("more for T={t}"),
        (_, 0 | 1) => format!("T={t} is offered"),
        (_, t) => format!("T={t} is reserved"),
    };
    let order = match before {
        Some(before) if t < before => ", out of order",
        _ => "",
    };
    format!("{what}{order}; {}", follow(level + 1, value))
}

fn ifsc(value: u8) -> String {
    match value {
        0 | 0xFF => "IFSC: reserved, 32 holds".into(),
        ifsc => format!("IFSC {ifsc}: the card takes information fields of up to {ifsc} octets"),
    }
}

fn clock_stop(value: u8) -> String {
    let stop = match value >> 6 {
        0 => "not supported",
        1 => "low",
        2 => "high",
        _ => "low or high",
    };
    let classes: Vec<&str> = [(1, "A"), (2, "B"), (4, "C")]
        .into_iter()
        .filter(|(bit, _)| value & bit != 0)
        .map(|(_, class)| class)
        .collect();
    let classes = if classes.is_empty() { "none".into() } else { classes.join(", ") };
    let reserved = if value & 0x38 == 0 { "" } else { ", and reserved ones" };
    format!("clock stop: {stop}; operating conditions (A 5 V, B 3 V, C 1.8 V): {classes}{reserved}")
}

fn spu(value: u8) -> String {
    match (value, value & 0x80) {
        (0, _) => "contact C6 (SPU) is not used".into(),
        (_, 0) => "contact C6 (SPU): standard use".into(),
        _ => "contact C6 (SPU): proprietary use".into(),
    }
}

/// To the nearest millisecond, or finer below ten.
fn millis(time: Duration) -> String {
    let micros = time.as_micros();
    if micros < 10_000 {
        format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10)
    } else {
        format!("{} ms", (micros + 500) / 1000)
    }
}
