// SPDX-License-Identifier: Apache-2.0
//! Historical octets: COMPACT-TLV objects, the card's status, or the card's own text.
//!
//! Normative references:
//!  - ISO/IEC 7816-4 clause 8.1.1 (category indicator, COMPACT-TLV data objects)

/// How many octets, their name, what they say.
type Part = (usize, &'static str, String);

const HISTORICAL: &str = "historical";

/// Takes historical octets apart: the parts together are all of them.
pub(super) fn read(octets: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let Some((&category, rest)) = octets.split_first() else { return parts };
    match category {
        // The last three are the card's status, unless one of the objects is.
        0x00 if rest.len() >= 3 => {
            parts.push((1, "category", "00: COMPACT-TLV, then three octets of status".into()));
            let (objects, status) = rest.split_at(rest.len() - 3);
            compact_tlv(&mut parts, objects);
            parts.push((3, "status", self::status(status)));
        }
        0x80 => {
            parts.push((1, "category", "80: COMPACT-TLV".into()));
            compact_tlv(&mut parts, rest);
        }
        0x10 => {
            parts.push((1, "category", "10: a reference to DIR data".into()));
            if !rest.is_empty() {
                parts.push((rest.len(), HISTORICAL, text(rest)));
            }
        }
        _ => parts.push((octets.len(), HISTORICAL, format!("card's own: {}", text(octets)))),
    }
    parts
}

fn compact_tlv(parts: &mut Vec<Part>, mut octets: &[u8]) {
    while let Some((&head, rest)) = octets.split_first() {
        let len = usize::from(head & 0x0F);
        let Some((value, rest)) = rest.split_at_checked(len) else {
            let meaning = format!("announces {len} octets, {} are there", rest.len());
            parts.push((octets.len(), HISTORICAL, meaning));
            return;
        };
        let (name, meaning) = object(head >> 4, value);
        parts.push((1 + len, name, meaning));
        octets = rest;
    }
}

fn object(tag: u8, value: &[u8]) -> (&'static str, String) {
    match tag {
        0x1 => ("country", format!("country code {} (ISO 3166-1)", digits(value))),
        0x2 => ("issuer", format!("issuer identification {} (ISO/IEC 7812-1)", digits(value))),
        0x3 => ("services", services(value)),
        0x4 => ("access", format!("initial access data: {}", text(value))),
        0x5 => ("issuer data", text(value)),
        0x6 => ("pre-issuing", format!("pre-issuing data: {}", text(value))),
        0x7 => ("capabilities", capabilities(value)),
        0x8 => ("status", status(value)),
        0xF => ("AID", text(value)),
        tag => (HISTORICAL, format!("tag {tag:X}, not known: {}", text(value))),
    }
}

fn services(value: &[u8]) -> String {
    let Some(&bits) = value.first() else { return "no card service data".into() };
    let mut said = Vec::new();
    for (bit, service) in [
        (0x80, "selects applications by full name"),
        (0x40, "by partial name"),
        (0x20, "data objects in EF.DIR"),
        (0x10, "data objects in EF.ATR"),
    ] {
        if bits & bit != 0 {
            said.push(service);
        }
    }
    said.push(if bits & 1 == 0 { "has a master file" } else { "has no master file" });
    said.join(", ")
}

fn capabilities(value: &[u8]) -> String {
    let mut said = Vec::new();
    if let Some(selection) = value.first() {
        said.push(format!("selection methods {selection:02X}"));
    }
    if let Some(coding) = value.get(1) {
        said.push(format!("data coding {coding:02X}"));
    }
    if let Some(more) = value.get(2) {
        let able = |bit, what: &str| format!("{}{what}", if more & bit == 0 { "no " } else { "" });
        said.push(able(0x80, "command chaining"));
        said.push(able(0x40, "extended lengths"));
        let channels = if more & 0x18 == 0 { 1 } else { 1 + (more & 0x07) };
        said.push(format!("{channels} logical channel{}", if channels == 1 { "" } else { "s" }));
    }
    if said.is_empty() { "no capabilities told".into() } else { said.join(", ") }
}

fn status(value: &[u8]) -> String {
    let life_cycle = |state: u8| match state {
        0 => "life cycle not told".into(),
        1 => "created".into(),
        3 => "initialised".into(),
        5 | 7 => "activated".into(),
        4 | 6 => "deactivated".into(),
        12..=15 => "terminated".into(),
        state => format!("life cycle {state:02X}"),
    };
    match value {
        [state] => life_cycle(*state),
        [sw1, sw2] => format!("status word {sw1:02X}{sw2:02X}"),
        [state, sw1, sw2] => format!("{}, status word {sw1:02X}{sw2:02X}", life_cycle(*state)),
        other => format!("{} octets, expected 1 to 3", other.len()),
    }
}

fn digits(value: &[u8]) -> String {
    value.iter().map(|octet| format!("{octet:02X}")).collect()
}

/// In quotes where it is text.
fn text(value: &[u8]) -> String {
    let printable = |octet: &u8| octet.is_ascii_graphic() || *octet == b' ';
    if !value.is_empty() && value.iter().all(printable) {
        return format!("\"{}\"", String::from_utf8_lossy(value));
    }
    match value.len() {
        0 => "empty".into(),
        1 => "1 octet".into(),
        len => format!("{len} octets"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    fn said(octets: &[u8]) -> Vec<(&'static str, String)> {
        let parts = read(octets);
        assert_eq!(parts.iter().map(|(count, ..)| count).sum::<usize>(), octets.len());
        parts.into_iter().map(|(_, name, meaning)| (name, meaning)).collect()
    }

    #[test]
    fn categories() {
        let table: &[(&[u8], &str, &str)] = &[
            (b"STBCAM", "historical", "card's own: \"STBCAM\""),
            (&hex!("01 02"), "historical", "card's own: 2 octets"),
            (&hex!("80 31 C1"), "services", "selects applications by full name, by partial name"),
            (&hex!("80 73 C0 01 C0"), "capabilities", "command chaining, extended lengths, 1 log"),
            (&hex!("80 73 C0 01 13"), "capabilities", "no extended lengths, 4 logical channels"),
            (&hex!("80 12 01 56"), "country", "country code 0156"),
            (&hex!("80 25 12 34 56 78 9F"), "issuer", "123456789F"),
            (&hex!("80 55 44 56 42 2D 31"), "issuer data", "\"DVB-1\""),
            (&hex!("80 81 05"), "status", "activated"),
            (&hex!("80 82 90 00"), "status", "status word 9000"),
            (&hex!("80 83 0C 6283"), "status", "terminated, status word 6283"),
            (&hex!("80 84 00 00 00 00"), "status", "4 octets, expected 1 to 3"),
            (&hex!("80 F2 A0 00"), "AID", "2 octets"),
            (&hex!("80 91 AA"), "historical", "tag 9, not known"),
            (&hex!("80 4F 01"), "historical", "announces 15 octets, 1 are there"),
            (&hex!("00 31 80 07 90 00"), "status", "activated, status word 9000"),
            (&hex!("00 90 00"), "historical", "card's own"),
            (&hex!("10 01"), "category", "DIR"),
        ];
        for (octets, name, parts) in table {
            let said = said(octets);
            assert!(
                said.iter().any(|(found, meaning)| found == name && meaning.contains(parts)),
                "{octets:02X?}: {said:?}"
            );
        }
        assert!(said(&[]).is_empty());
    }
}
