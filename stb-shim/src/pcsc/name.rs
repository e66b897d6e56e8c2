// SPDX-License-Identifier: Apache-2.0
//! Which of pcscd's readers is meant.
use std::ffi::{CStr, CString};

/// `%20` and its kin as what they stand for; `None` when it is not text.
pub(super) fn decoded(path: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [octet, tail @ ..] = rest {
        rest = tail;
        octets.push(match (octet, tail) {
            (b'%', [high, low, tail @ ..]) => {
                rest = tail;
                let digit = |octet: &u8| char::from(*octet).to_digit(16);
                u8::try_from(digit(high)? << 4 | digit(low)?).ok()?
            }
            (b'%', _) => return None,
            (octet, _) => *octet,
        });
    }
    String::from_utf8(octets).ok()
}

/// The reader with this number, or the first whose name has this in it.
pub(super) fn find<'a>(readers: &'a [CString], wanted: &str) -> Option<&'a CStr> {
    if let Ok(number) = wanted.parse::<usize>() {
        return readers.get(number).map(CString::as_c_str);
    }
    let found = readers.iter().find(|reader| reader.to_string_lossy().contains(wanted));
    found.map(CString::as_c_str)
}

/// What there is instead.
pub(super) fn listed(readers: &[CString]) -> String {
    if readers.is_empty() {
        return "no reader is connected".to_owned();
    }
    let numbered = readers.iter().enumerate();
    let names: Vec<_> = numbered
        .map(|(number, reader)| format!("{number} '{}'", reader.to_string_lossy()))
        .collect();
    format!("no such reader, there are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded() {
        for (path, name) in [
            ("", Some("")),
            ("Gemalto%20PC%20Twin", Some("Gemalto PC Twin")),
            ("a b", Some("a b")),
            ("%C3%a9", Some("é")),
            ("%", None),
            ("%2", None),
            ("%2x", None),
            ("%+1", None),
            ("%FF", None),
        ] {
            assert_eq!(decoded(path).as_deref(), name, "{path}");
        }
    }

    #[test]
    fn a_reader_is_found_by_part_number_or_chance() {
        let readers = [c"Twin 00 00".to_owned(), c"Virtual PCD 00 01".to_owned()];
        for (wanted, found) in [
            ("", Some(c"Twin 00 00")),
            ("PCD", Some(c"Virtual PCD 00 01")),
            ("00", Some(c"Twin 00 00")),
            ("1", Some(c"Virtual PCD 00 01")),
            ("2", None),
            ("pcd", None),
        ] {
            assert_eq!(find(&readers, wanted), found, "{wanted}");
        }
        assert_eq!(
            listed(&readers),
            "no such reader, there are 0 'Twin 00 00', 1 'Virtual PCD 00 01'"
        );
        assert_eq!(listed(&[]), "no reader is connected");
    }
}
