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
    if let Some((_, text)) = MEANINGS.iter().find(|(known, _)| *known == sw) {
        return (*text).into();
    }
    if let Some(counter) = sw.counter() {
        return format!("warning, counter at {counter}");
    }
    match sw.to_be_bytes() {
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
    sw.sw1() == 0x90 || sw.more_data().is_some() || sw.is_warning()
}

const MEANINGS: &[(StatusWord, &str)] = &[
    (StatusWord::OK, "normal end"),
    (StatusWord::DAMAGED_DATA, "warning, part of the data may be damaged"),
    (StatusWord::END_OF_FILE, "warning, end of the file before Le octets"),
    (StatusWord::DEACTIVATED, "warning, the selected file is deactivated"),
    (
        StatusWord::OTHER_CONTROL_INFORMATION,
        "warning, control information not in the expected form",
    ),
    (StatusWord::TERMINATED, "warning, the selected file is terminated"),
    (StatusWord::AUTHENTICATION_FAILED, "warning, the card has changed; authentication failed"),
    (StatusWord::FILE_FULL, "warning, the file is full"),
    (StatusWord::ANSWER_WANTED, "the card wants an answer at once"),
    (StatusWord::MEMORY_FAILURE, "memory failure"),
    (StatusWord::WRONG_LENGTH, "wrong length"),
    (StatusWord::NO_CHANNEL, "logical channel not supported"),
    (StatusWord::NO_SECURE_MESSAGING, "secure messaging not supported"),
    (StatusWord::END_OF_CHAIN_WANTED, "last command of a chain expected"),
    (StatusWord::NO_CHAINING, "command chaining not supported"),
    (StatusWord::WRONG_FILE, "command does not fit the file"),
    (StatusWord::SECURITY_STATUS, "security status not satisfied"),
    (StatusWord::PIN_BLOCKED, "blocked"),
    (StatusWord::REFERENCE_NOT_USABLE, "reference data not usable"),
    (StatusWord::CONDITIONS, "conditions of use not satisfied"),
    (StatusWord::NO_CURRENT_FILE, "no file selected"),
    (StatusWord::NO_SECURE_OBJECTS, "secure messaging objects missing"),
    (StatusWord::SECURE_MESSAGING, "secure messaging objects wrong"),
    (StatusWord::WRONG_DATA, "wrong data"),
    (StatusWord::FUNCTION_NOT_SUPPORTED, "function not supported"),
    (StatusWord::NOT_FOUND, "file or application not found"),
    (StatusWord::RECORD_NOT_FOUND, "record not found"),
    (StatusWord::NO_ROOM, "not enough memory"),
    (StatusWord::WRONG_P1P2, "wrong P1 P2"),
    (StatusWord::LC_AGAINST_P1P2, "Lc does not fit P1 P2"),
    (StatusWord::REFERENCE_NOT_FOUND, "reference data not found"),
    (StatusWord::FILE_EXISTS, "file exists already"),
    (StatusWord::NAME_EXISTS, "name exists already"),
    (StatusWord::OUT_OF_FILE, "wrong P1 P2"),
    (StatusWord::UNKNOWN_INS, "instruction not known"),
    (StatusWord::UNKNOWN_CLA, "class not known"),
    (StatusWord::NO_DIAGNOSIS, "no precise diagnosis"),
    (StatusWord::WRONG_MAC, "purse: MAC does not verify"),
    (StatusWord::BLOCKED_FOR_GOOD, "purse: application locked for good"),
    (StatusWord::INSUFFICIENT_BALANCE, "purse: the balance does not cover the amount"),
    (StatusWord::COUNTER_EXHAUSTED, "purse: transaction counter at its limit"),
    (StatusWord::NO_KEY, "purse: key index not supported"),
    (StatusWord::NO_PROOF, "purse: the MAC that is asked for is not there"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text() {
        for (sw, text, is_good) in [
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
            assert!(meaning(sw).contains(text), "{sw}: {}", meaning(sw));
            assert_eq!(good(sw), is_good || sw.sw1() == 0x90, "{sw}");
        }
        for sw in 0..=u16::MAX {
            assert!(!meaning(StatusWord(sw)).is_empty());
        }
        let mut known: Vec<u16> = MEANINGS.iter().map(|(sw, _)| sw.0).collect();
        known.sort_unstable();
        known.dedup();
        assert_eq!(known.len(), MEANINGS.len(), "said twice");
    }
}
