// SPDX-License-Identifier: Apache-2.0
//! The status word that ends every answer of a card.
//!
//! Normative references:
//!  - ISO/IEC 7816-4 clause 5.6 (status words)
//!  - PBOC electronic purse and passbook (`69 01`, `93 xx`, `94 xx`)

use core::fmt;

/// SW1-SW2 (ISO/IEC 7816-4).
///
/// One name for each word that something here gives or understands, in the order of their numbers,
/// but for the first; two where its senders mean two things by it. What a word means beside the
/// standard stands with it; an unknown one survives a round trip.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct StatusWord(pub u16);

impl StatusWord {
    /// Normal end.
    pub const OK: Self = Self(0x9000);
    /// Part of the data may be damaged.
    pub const DAMAGED_DATA: Self = Self(0x6281);
    /// The file ended before Le octets.
    pub const END_OF_FILE: Self = Self(0x6282);
    /// The selected file is deactivated.
    pub const DEACTIVATED: Self = Self(0x6283);
    /// The file's control information is not in the form that was asked for.
    pub const OTHER_CONTROL_INFORMATION: Self = Self(0x6284);
    /// The selected file is terminated.
    pub const TERMINATED: Self = Self(0x6285);
    /// The authentication failed, and the card has counted it.
    pub const AUTHENTICATION_FAILED: Self = Self(0x6300);
    /// The file is full after this write.
    pub const FILE_FULL: Self = Self(0x6381);
    /// The card wants an answer at once.
    pub const ANSWER_WANTED: Self = Self(0x6401);
    /// The memory failed. From a purse: after an INITIALIZE nothing has moved, after a commit that
    /// is open.
    pub const MEMORY_FAILURE: Self = Self(0x6581);
    /// The data field has the wrong length.
    pub const WRONG_LENGTH: Self = Self(0x6700);
    /// Logical channels are not supported.
    pub const NO_CHANNEL: Self = Self(0x6881);
    /// Secure messaging is not supported.
    pub const NO_SECURE_MESSAGING: Self = Self(0x6882);
    /// The last command of a chain is expected.
    pub const END_OF_CHAIN_WANTED: Self = Self(0x6883);
    /// Chained commands are not supported.
    pub const NO_CHAINING: Self = Self(0x6884);
    /// PBOC: a commit without an INITIALIZE in force.
    pub const NOT_INITIALIZED: Self = Self(0x6901);
    /// The command does not fit the file.
    pub const WRONG_FILE: Self = Self(0x6981);
    /// Secure messaging is missing or broken, the PIN is wanted first, or another condition for
    /// access is not met.
    pub const SECURITY_STATUS: Self = Self(0x6982);
    /// The PIN is blocked.
    pub const PIN_BLOCKED: Self = Self(0x6983);
    /// The reference data is not usable.
    pub const REFERENCE_NOT_USABLE: Self = Self(0x6984);
    /// The card's state or interface does not allow the command.
    pub const CONDITIONS: Self = Self(0x6985);
    /// No file is selected.
    pub const NO_CURRENT_FILE: Self = Self(0x6986);
    /// The secure messaging objects are missing.
    pub const NO_SECURE_OBJECTS: Self = Self(0x6987);
    /// The secure messaging objects do not verify.
    pub const SECURE_MESSAGING: Self = Self(0x6988);
    /// The data field is malformed.
    pub const WRONG_DATA: Self = Self(0x6A80);
    /// The function is not supported.
    pub const FUNCTION_NOT_SUPPORTED: Self = Self(0x6A81);
    /// The same from SELECT and from a purse: the application is blocked.
    pub const APPLICATION_BLOCKED: Self = Self::FUNCTION_NOT_SUPPORTED;
    /// File or application not found.
    pub const NOT_FOUND: Self = Self(0x6A82);
    /// There is no such record.
    pub const RECORD_NOT_FOUND: Self = Self(0x6A83);
    /// The memory or the file has no room.
    pub const NO_ROOM: Self = Self(0x6A84);
    /// P1-P2 are wrong.
    pub const WRONG_P1P2: Self = Self(0x6A86);
    /// Lc does not fit P1-P2.
    pub const LC_AGAINST_P1P2: Self = Self(0x6A87);
    /// What the command refers to is not there.
    pub const REFERENCE_NOT_FOUND: Self = Self(0x6A88);
    /// The file is there already.
    pub const FILE_EXISTS: Self = Self(0x6A89);
    /// The name of the application is there already.
    pub const NAME_EXISTS: Self = Self(0x6A8A);
    /// P1-P2 are wrong: the offset is beyond the file.
    pub const OUT_OF_FILE: Self = Self(0x6B00);
    /// The instruction is not known.
    pub const UNKNOWN_INS: Self = Self(0x6D00);
    /// The class is not known.
    pub const UNKNOWN_CLA: Self = Self(0x6E00);
    /// Something else is wrong, and the card does not say what.
    pub const NO_DIAGNOSIS: Self = Self(0x6F00);
    /// PBOC: the MAC is wrong.
    pub const WRONG_MAC: Self = Self(0x9302);
    /// PBOC: the application is blocked and stays so.
    pub const BLOCKED_FOR_GOOD: Self = Self(0x9303);
    /// PBOC: the balance does not cover the amount, or could not hold it.
    pub const INSUFFICIENT_BALANCE: Self = Self(0x9401);
    /// PBOC: the transaction counter is at its maximum.
    pub const COUNTER_EXHAUSTED: Self = Self(0x9402);
    /// PBOC: there is no key of this index.
    pub const NO_KEY: Self = Self(0x9403);
    /// PBOC: there is no MAC or TAC of this transaction.
    pub const NO_PROOF: Self = Self(0x9406);
    /// Purses with a grey lock: another transaction holds it.
    pub const GREY_LOCKED: Self = Self(0x9407);
    /// The same, as other cards say it.
    pub const GREY_LOCKED_TOO: Self = Self(0x9408);

    /// A warning with a counter, `63 Cx`: after VERIFY the tries that are left. Of the counter only
    /// the low four bits have room.
    pub const fn with_counter(counter: u8) -> Self {
        Self(0x63C0 | (counter & 0x0F) as u16)
    }

    /// `6C xx`: the answer has exactly so many octets, 1 to 256.
    pub const fn with_right_length(octets: usize) -> Self {
        Self(0x6C00 | octets as u16 & 0xFF)
    }

    /// SW1, which says how it ended.
    pub const fn sw1(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// SW2, which says more about it.
    pub const fn sw2(self) -> u8 {
        self.0.to_be_bytes()[1]
    }

    /// From the two octets in wire order.
    pub const fn from_be_bytes(octets: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(octets))
    }

    /// The two octets in wire order.
    pub const fn to_be_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// A warning, `62 xx` or `63 xx`: the command was done, but.
    pub const fn is_warning(self) -> bool {
        matches!(self.sw1(), 0x62 | 0x63)
    }

    /// `63 Cx`: the counter of a warning, after VERIFY the tries that are left.
    pub const fn counter(self) -> Option<u8> {
        match self.to_be_bytes() {
            [0x63, counter @ 0xC0..=0xCF] => Some(counter & 0x0F),
            _ => None,
        }
    }

    /// `61 xx`: so many octets wait for GET RESPONSE (`00` stands for 256).
    pub const fn more_data(self) -> Option<u16> {
        match self.to_be_bytes() {
            [0x61, n] => Some(length(n)),
            _ => None,
        }
    }

    /// `6C xx`: the answer has exactly so many octets (`00` stands for 256).
    pub const fn right_length(self) -> Option<u16> {
        match self.to_be_bytes() {
            [0x6C, n] => Some(length(n)),
            _ => None,
        }
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SW={:04X}", self.0)
    }
}

/// A length octet in which `00` stands for 256.
const fn length(octet: u8) -> u16 {
    if octet == 0 { 256 } else { octet as u16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_status_word_carries() {
        for n in 0..=15 {
            assert_eq!(StatusWord::with_counter(n), StatusWord(0x63C0 + u16::from(n)));
            assert_eq!(StatusWord::with_counter(n).counter(), Some(n));
        }
        for n in 1..=256 {
            let word = StatusWord::with_right_length(usize::from(n));
            assert_eq!((word.sw1(), word.right_length()), (0x6C, Some(n)));
        }
        assert_eq!(StatusWord(0x6100).more_data(), Some(256));
        assert_eq!(StatusWord(0x6300).counter(), None);
        assert_eq!(StatusWord(0x64C1).counter(), None);
        for sw in 0..=u16::MAX {
            let warning = sw >> 8 == 0x62 || sw >> 8 == 0x63;
            assert_eq!(StatusWord(sw).is_warning(), warning, "{sw:04X}");
            assert_eq!(StatusWord::from_be_bytes(StatusWord(sw).to_be_bytes()), StatusWord(sw));
        }
    }
}
