// SPDX-License-Identifier: Apache-2.0
//! An answer to reset explained, octet by octet.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clause 8 (structure and global octets), 10.2 (T=0), 11.4 (T=1)
//!
//! Every octet that came is in exactly one row, in order, whatever came.
mod historical;
mod interface;
mod speed;

pub(crate) use speed::rate;

use interface::{Interface, Line};
use iso7816::atr::{Atr, AtrPolicy, Expect};
use speed::mhz;

/// What some octets of an answer to reset say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Row<'a> {
    /// Index of the first of them; TS is 0.
    pub at: usize,
    /// The octets; none where something is missing.
    pub octets: &'a [u8],
    /// The name in the standard.
    pub name: String,
    /// What they say.
    pub meaning: String,
}

/// Says what every octet of an answer to reset means to a reader with this card clock. The octets
/// are logical ones, TS is 3B or 3F.
pub(crate) fn explain(octets: &[u8], clock_hz: u32) -> Vec<Row<'_>> {
    let mut rows = Rows { octets, at: 0, rows: Vec::new() };
    let Some(&ts) = octets.first() else {
        rows.missing("TS");
        return rows.rows;
    };
    rows.take(1, "TS", self::ts(ts));
    let Some(&t0) = octets.get(1) else {
        rows.missing("T0");
        return rows.rows;
    };
    let historical = usize::from(t0 & 0x0F);
    let follow = interface::follow(1, t0);
    rows.take(1, "T0", format!("{follow}; {}", self::historical(historical)));
    let found = Interface::all(octets);
    let mut line = Line::new(clock_hz, &found);
    for octet in &found {
        rows.take(1, &octet.name(), line.meaning(octet));
    }
    if let Expect::More(_) | Expect::Overlong = Atr::expect(octets)
        && let Some(name) = interface::next_missing(t0, &found)
    {
        rows.missing(&name);
        return rows.rows;
    }
    if rows.historical(historical) {
        rows.check(interface::needs_tck(&found));
    }
    rows.rows
}

/// What is odd about an answer to reset, or why it is none; nothing for most.
pub(crate) fn oddities(octets: &[u8], clock_hz: u32) -> Option<String> {
    let atr = match Atr::parse(octets, AtrPolicy::TOLERANT) {
        Ok(atr) => atr,
        Err(error) => return Some(format!("not usable: {error}")),
    };
    let mut odd = Vec::new();
    if !atr.warnings().is_empty() {
        odd.push(atr.warnings().to_string());
    }
    let (_, _, fmax) = atr.rate();
    if clock_hz > fmax {
        odd.push(format!("{} is too fast a clock, the card takes {}", mhz(clock_hz), mhz(fmax)));
    }
    (!odd.is_empty()).then(|| odd.join(", "))
}

fn ts(ts: u8) -> String {
    match ts {
        0x3B => "direct convention: least significant bit first".into(),
        0x3F => "inverse convention: most significant bit first, inverted".into(),
        0x03 => "inverse convention as a UART reads it; decoded, all octets would be inverted \
                 and turned round, and this one 3F"
            .into(),
        _ => "not valid, expected 3B or 3F".into(),
    }
}

fn historical(count: usize) -> String {
    match count {
        0 => "no historical octets".into(),
        1 => "1 historical octet".into(),
        count => format!("{count} historical octets"),
    }
}

/// Rows in the making: what is taken is never taken twice.
struct Rows<'a> {
    octets: &'a [u8],
    at: usize,
    rows: Vec<Row<'a>>,
}

impl<'a> Rows<'a> {
    fn rest(&self) -> &'a [u8] {
        self.octets.get(self.at..).unwrap_or(&[])
    }

    fn take(&mut self, count: usize, name: &str, meaning: String) {
        let rest = self.rest();
        let octets = rest.get(..count).unwrap_or(rest);
        self.rows.push(Row { at: self.at, octets, name: name.into(), meaning });
        self.at += octets.len();
    }

    fn missing(&mut self, name: &str) {
        self.take(0, name, "missing: the answer to reset ends before it".into());
    }

    /// Whether all of them are there.
    fn historical(&mut self, count: usize) -> bool {
        let rest = self.rest();
        let octets = rest.get(..count).unwrap_or(rest);
        for (count, name, meaning) in historical::read(octets) {
            self.take(count, name, meaning);
        }
        if octets.len() < count {
            let missing = count - octets.len();
            self.take(0, "historical", format!("{missing} of {count} octets missing"));
        }
        octets.len() == count
    }

    fn check(&mut self, needed: bool) {
        let sum = |octets: &[u8]| octets.iter().skip(1).fold(0, |sum, octet| sum ^ octet);
        let before = sum(self.octets.get(..self.at).unwrap_or(&[]));
        match (needed, self.rest()) {
            (true, []) => self.take(0, "TCK", format!("missing: {before:02X} would be right")),
            (true, [tck, ..]) if *tck == before => self.take(1, "TCK", "right".into()),
            (true, _) => self.take(1, "TCK", format!("wrong: {before:02X} would be right")),
            (false, [tck]) if *tck == before => {
                self.take(1, "TCK", "right, though none belongs to T=0 alone".into());
            }
            _ => {}
        }
        let trailing = self.rest().len();
        if trailing > 0 {
            self.take(trailing, "trailing", "behind the end: not part of it".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use iso7816::etu::USUAL_CLOCK_HZ;
    use proptest::prelude::*;

    fn rows(octets: &[u8]) -> Vec<(String, String)> {
        explain(octets, USUAL_CLOCK_HZ).into_iter().map(|row| (row.name, row.meaning)).collect()
    }

    fn says(octets: &[u8], name: &str, parts: &[&str]) {
        let rows = rows(octets);
        let found = rows.iter().find(|(found, _)| found == name);
        let Some((_, meaning)) = found else { panic!("{octets:02X?}: no {name} in {rows:#?}") };
        for part in parts {
            assert!(
                meaning.contains(part),
                "{octets:02X?}: {name} does not say '{part}': {meaning}"
            );
        }
    }

    #[test]
    fn our_card() {
        let atr = vcard::atr::t1();
        let names: Vec<String> = rows(&atr).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["TS", "T0", "TA1", "TC1", "TD1", "TD2", "TA3", "TB3", "historical", "TCK"]
        );
        for (name, parts) in [
            ("TS", &["direct"][..]),
            ("T0", &["TA1, TC1, TD1 follow", "6 historical octets"]),
            ("TA1", &["Fi 372", "Di 12", "5 MHz", "115469 bit/s", "PPS"]),
            ("TC1", &["N 255", "11 etu on T=1", "12 etu on T=0"]),
            ("TD1", &["T=1", "first"]),
            ("TA3", &["IFSC 254"]),
            ("TB3", &["BWI 2", "CWI 5", "43 etu"]),
            ("historical", &["STBCAM"]),
            ("TCK", &["right"]),
        ] {
            says(&atr, name, parts);
        }
        assert_eq!(oddities(&atr, USUAL_CLOCK_HZ), None);
        assert!(oddities(&atr, 6_000_000).unwrap().contains("6 MHz"));
    }

    /// Traits of the cards in the field, one a row.
    #[test]
    fn every_octet_is_explained() {
        let table: &[(&[u8], &str, &[&str])] = &[
            (&hex!("3F 00"), "TS", &["inverse"]),
            (&hex!("3B 00"), "T0", &["no interface octets follow", "no historical"]),
            (&hex!("AA 00"), "TS", &["not valid", "3B or 3F"]),
            (&hex!("03 00"), "TS", &["as a UART reads it", "3F"]),
            (&hex!("3B 10 95"), "TA1", &["Fi 512", "Di 16", "111861 bit/s"]),
            (&hex!("3B 10 71"), "TA1", &["reserved", "372"]),
            (&hex!("3B 10 00"), "TA1", &["reserved"]),
            (&hex!("3B 20 25"), "TB1", &["Vpp", "ignored"]),
            (&hex!("3B 40 02"), "TC1", &["N 2", "14 etu"]),
            (&hex!("3B 40 00"), "TC1", &["12 etu"]),
            (&hex!("3B 80 00"), "TD1", &["T=0", "nothing more follows"]),
            (&hex!("3B 80 1F 03 9C"), "TD1", &["T=15", "never first"]),
            (&hex!("3B 80 0E 8E"), "TD1", &["T=14", "operator"]),
            (&hex!("3B 80 05 85"), "TD1", &["T=5", "reserved"]),
            (&hex!("3B 90 95 91 81 31 FE 45 00"), "TA2", &["specific mode", "T=1", "cannot"]),
            (&hex!("3B 90 95 10 00"), "TA2", &["T=0", "may"]),
            (&hex!("3B 90 95 10 00"), "TA1", &["at once"]),
            (&hex!("3B 90 95 10 10"), "TA1", &["other ones hold"]),
            (&hex!("3B 90 95 91 90 00"), "TA2", &["implicit"]),
            (&hex!("3B 80 40 0F"), "TC2", &["WI 15", "1497 ms"]),
            (&hex!("3B 80 40 00"), "TC2", &["reserved", "10"]),
            (&hex!("3B 80 20 32"), "TB2", &["Vpp", "ignored"]),
            (&hex!("3B 80 81 11 FF EF"), "TA3", &["reserved", "32"]),
            (&hex!("3B 80 81 21 45 65"), "TB3", &["BWI 4", "1597 ms", "CWI 5"]),
            (&hex!("3B 80 81 21 A5 85"), "TB3", &["reserved", "9"]),
            (&hex!("3B 80 81 41 01 41"), "TC3", &["CRC"]),
            (&hex!("3B 80 81 41 00 40"), "TC3", &["LRC"]),
            (&hex!("3B 80 81 F1 20 03 01 71 10 99 00 8B"), "TA4", &["again", "only the first"]),
            (&hex!("3B 80 C0 0F 81 1F 43 12"), "TA4", &["clock stop", "low", "A, B"]),
            (&hex!("3B 80 80 2F 80 2F"), "TB3", &["SPU", "proprietary"]),
            (&hex!("3B 80 80 10 55 45"), "TA3", &["T=0", "no meaning"]),
            (&hex!("3B 80 01 81"), "TCK", &["right"]),
            (&hex!("3B 80 01 FF"), "TCK", &["wrong", "81"]),
            (&hex!("3B 80 01"), "TCK", &["missing", "81"]),
            (&hex!("3B 01 41 40"), "TCK", &["T=0 alone"]),
            (&hex!("3B 00 AA"), "trailing", &["not part of it"]),
            (&hex!("3B 02 41"), "historical", &["\"A\""]),
            (&hex!("3B 80"), "TD1", &["missing"]),
            (&hex!("3B F0 11 00"), "TC1", &["missing"]),
            (&hex!("3B"), "T0", &["missing"]),
            (&[], "TS", &["missing"]),
        ];
        for (octets, name, parts) in table {
            says(octets, name, parts);
        }
    }

    #[test]
    fn what_is_odd() {
        assert_eq!(oddities(&hex!("3B 80 01 FF"), USUAL_CLOCK_HZ).unwrap(), "wrong TCK");
        assert!(oddities(&hex!("3B 02 41"), USUAL_CLOCK_HZ).unwrap().starts_with("not usable: "));
        assert_eq!(oddities(&hex!("3B 00"), USUAL_CLOCK_HZ), None);
        assert_eq!(mhz(3_579_545), "3.579545 MHz");
        assert_eq!(mhz(20_000_000), "20 MHz");
    }

    proptest! {
        /// Whatever a card sends, every octet is explained once and in order.
        #[test]
        fn nothing_is_left_out(
            ts in prop_oneof![Just(0x3B), Just(0x3F), any::<u8>()],
            rest in prop::collection::vec(prop_oneof![any::<u8>(), 0x80..=0xFFu8], 0..60),
            clock in any::<u32>(),
            len in 0..61usize,
        ) {
            let octets: Vec<u8> = std::iter::once(ts).chain(rest).take(len).collect();
            let rows = explain(&octets, clock);
            let all: Vec<u8> = rows.iter().flat_map(|row| row.octets).copied().collect();
            prop_assert_eq!(&all, &octets);
            let mut at = 0;
            for row in &rows {
                prop_assert_eq!(row.at, at);
                prop_assert!(!row.name.is_empty() && !row.meaning.is_empty());
                at += row.octets.len();
            }
            let _ = oddities(&octets, clock);
        }
    }
}
