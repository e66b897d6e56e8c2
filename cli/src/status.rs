// SPDX-License-Identifier: Apache-2.0
//! What a status word means, and whether it is a good one.
//!
//! Normative references:
//!  - ISO/IEC 7816-4 clause 5.6 (status words)
//!  - PBOC electronic purse (93xx, 94xx)
use iso7816::apdu::StatusWord;

/// What a status word says.
pub(crate) fn meaning(sw: StatusWord) -> String {
    if let Some(more) = sw.more_data() {
        return format!("normal end, {more} octets more by GET RESPONSE");
    }
    if let Some(right) = sw.right_length() {
        return format!("wrong Le, {right} octets are there");
    }
    if let Some((_, words)) = WORDS.iter().find(|(known, _)| *known == sw.0) {
        return (*words).into();
    }
    match sw.to_be_bytes() {
        [0x63, tries @ 0xC0..=0xCF] => format!("warning, counter at {}", tries & 0x0F),
        [0x62, _] => "warning, nothing has changed on the card".into(),
        [0x63, _] => "warning, the card has changed".into(),
        [0x64, _] => "execution error, nothing has changed on the card".into(),
        [0x65, _] => "execution error, the card has changed".into(),
        [0x66, _] => "security issue".into(),
        [0x67, _] => "wrong length".into(),
        [0x68, _] => "function of the class not supported".into(),
        [0x69, _] => "command not allowed".into(),
        [0x6A, _] => "wrong parameters".into(),
        [0x6D, _] => "instruction not known".into(),
        [0x6E, _] => "class not known".into(),
        [0x6F, _] => "no precise diagnosis".into(),
        [0x90..=0x9F, _] => "the application's own".into(),
        _ => "not a status word of ISO/IEC 7816-4".into(),
    }
}

/// Normal end or warning.
pub(crate) const fn good(sw: StatusWord) -> bool {
    matches!(sw.sw1(), 0x90 | 0x61 | 0x62 | 0x63)
}

const WORDS: &[(u16, &str)] = &[
    (0x9000, "normal end"),
    (0x6281, "warning, part of the data may be damaged"),
    (0x6282, "warning, end of the file before Le octets"),
    (0x6283, "warning, the selected file is deactivated"),
    (0x6284, "warning, control information not in the expected form"),
    (0x6285, "warning, the selected file is terminated"),
    (0x6300, "warning, the card has changed; authentication failed"),
    (0x6381, "warning, the file is full"),
    (0x6401, "the card wants an answer at once"),
    (0x6581, "memory failure"),
    (0x6700, "wrong length"),
    (0x6881, "logical channel not supported"),
    (0x6882, "secure messaging not supported"),
    (0x6883, "last command of a chain expected"),
    (0x6884, "command chaining not supported"),
    (0x6981, "command does not fit the file"),
    (0x6982, "security status not satisfied"),
    (0x6983, "blocked"),
    (0x6984, "reference data not usable"),
    (0x6985, "conditions of use not satisfied"),
    (0x6986, "no file selected"),
    (0x6987, "secure messaging objects missing"),
    (0x6988, "secure messaging objects wrong"),
    (0x6A80, "wrong data"),
    (0x6A81, "function not supported"),
    (0x6A82, "file or application not found"),
    (0x6A83, "record not found"),
    (0x6A84, "not enough memory"),
    (0x6A86, "wrong P1 P2"),
    (0x6A87, "Lc does not fit P1 P2"),
    (0x6A88, "reference data not found"),
    (0x6A89, "file exists already"),
    (0x6A8A, "name exists already"),
    (0x6B00, "wrong P1 P2"),
    (0x6D00, "instruction not known"),
    (0x6E00, "class not known"),
    (0x6F00, "no precise diagnosis"),
    (0x9302, "purse: MAC does not verify"),
    (0x9303, "purse: application locked for good"),
    (0x9401, "purse: the balance does not cover the amount"),
    (0x9402, "purse: transaction counter at its limit"),
    (0x9403, "purse: key index not supported"),
    (0x9406, "purse: the MAC that is asked for is not there"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (sw, words, is_good) in [
            (0x9000, "normal end", true),
            (0x6110, "16 octets more", true),
            (0x6100, "256 octets more", true),
            (0x63C2, "counter at 2", true),
            (0x6283, "deactivated", true),
            (0x62F0, "nothing has changed", true),
            (0x6C05, "5 octets are there", false),
            (0x6983, "blocked", false),
            (0x6A82, "not found", false),
            (0x69F0, "not allowed", false),
            (0x9401, "balance", false),
            (0x9F10, "the application's own", false),
            (0x1234, "not a status word", false),
        ] {
            let sw = StatusWord(sw);
            assert!(meaning(sw).contains(words), "{sw}: {}", meaning(sw));
            assert_eq!(good(sw), is_good || sw.sw1() == 0x90, "{sw}");
        }
        for sw in 0..=u16::MAX {
            assert!(!meaning(StatusWord(sw)).is_empty());
        }
        let mut known: Vec<u16> = WORDS.iter().map(|(sw, _)| *sw).collect();
        known.sort_unstable();
        known.dedup();
        assert_eq!(known.len(), WORDS.len(), "said twice");
    }
}
