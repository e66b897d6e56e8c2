// SPDX-License-Identifier: Apache-2.0
//! How commands are shown that may carry a PIN or a key.
//!
//! Heads up: not even secure messaging lets a command pass as it is. It may protect by a MAC alone,
//! and the class does not tell.
use crate::hex;
use cam_types::interindustry::{MAY_CARRY_SECRETS, may_carry_secret};
use iso7816::apdu::Lengths;

/// Whether the command may carry a secret.
pub(crate) fn may_carry(apdu: &[u8]) -> bool {
    apdu.get(1).is_some_and(|ins| may_carry_secret(*ins))
}

/// The command as it may be shown: of one that may carry a secret `..` for every octet of data.
pub(crate) fn shown(apdu: &[u8]) -> String {
    if !may_carry(apdu) {
        return hex::text(apdu);
    }
    // What is no command is shown as far as its header.
    let (head, data) = match Lengths::parse(apdu) {
        Ok(Lengths { lc: 0, .. }) => (apdu.len(), 0),
        Ok(Lengths { lc, extended, .. }) => (if extended { 7 } else { 5 }, lc),
        Err(_) => (4, apdu.len().saturating_sub(4)),
    };
    let part = |range| hex::text(apdu.get(range).unwrap_or(&[]));
    let parts = [part(0..head.min(apdu.len())), hidden(data), part(head + data..apdu.len())];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

/// Two dots for each of this many octets.
pub(crate) fn hidden(octets: usize) -> String {
    vec![".."; octets].join(" ")
}

/// The commands that may carry a secret, a line each, for `--help`.
pub(crate) fn list() -> String {
    let mut text = String::new();
    for (ins, name) in MAY_CARRY_SECRETS {
        text.push_str(&format!("  {ins:02X}  {name}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    #[test]
    fn data_is_hidden_and_nothing_else() {
        let table: &[(&[u8], &str)] = &[
            (&hex!("0020008008 2440962718FFFFFF"), "00 20 00 80 08 .. .. .. .. .. .. .. .."),
            (&hex!("8424000002 4096 00"), "84 24 00 00 02 .. .. 00"),
            (&hex!("80D80000 000003 AABBCC"), "80 D8 00 00 00 00 03 .. .. .."),
            (&hex!("80D80000 000002 AABB 0000"), "80 D8 00 00 00 00 02 .. .. 00 00"),
            (&hex!("00200080"), "00 20 00 80"),
            (&hex!("0020008000"), "00 20 00 80 00"),
            (&hex!("00200080 08 4096"), "00 20 00 80 .. .. .."),
            (&hex!("0020"), "00 20"),
            (&hex!("8034000002 AABB 00"), "80 34 00 00 02 AA BB 00"),
            (&[], ""),
        ];
        for (apdu, expected) in table {
            assert_eq!(shown(apdu), *expected);
        }
        assert!(list().contains("D8  PUT KEY"));
    }

    proptest! {
        /// One mark for each octet, and behind the header no digit of what is hidden.
        #[test]
        fn as_long_as_the_command(
            ins in prop_oneof![Just(0x20u8), Just(0xD8), any::<u8>()],
            rest in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let apdu: Vec<u8> = [0x84, ins].into_iter().chain(rest).collect();
            prop_assert_eq!(shown(&apdu).split(' ').count(), apdu.len());
        }

        #[test]
        fn a_pin_is_never_shown(pin in prop::collection::vec(0xA0..=0xAFu8, 1..20)) {
            let mut apdu = vec![0x00, 0x20, 0x00, 0x80, pin.len() as u8];
            apdu.extend(&pin);
            let shown = shown(&apdu);
            let (_, data) = shown.split_at("00 20 00 80 14 ".len());
            prop_assert!(!data.contains('A'));
        }
    }
}
