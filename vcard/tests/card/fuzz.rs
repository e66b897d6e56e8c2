//! Whatever comes in at the door: no panic, no 6F00, and without a session nothing changes (T16, T24).

use crate::bench::*;
use ecm_emm::card::{AID_CAS, AID_ISD, AID_PURSE};
use proptest::prelude::*;

fn aid() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![Just(&AID_ISD[..]), Just(&AID_CAS[..]), Just(&AID_PURSE[..])]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_octets_are_answered(aid in aid(), apdus in prop::collection::vec(any::<Vec<u8>>(), 1..20)) {
        let mut card = card();
        select(&mut card, aid);
        for apdu in apdus {
            let response = card.transmit(&apdu).unwrap();
            prop_assert!(response.len() >= 2);
            prop_assert!(!response.ends_with(&[0x6F, 0x00]));
        }
    }

    #[test]
    fn without_a_session_nothing_changes(
        aid in aid(),
        cla in prop_oneof![Just(0x00_u8), Just(0x80), Just(0x84), any::<u8>()],
        parameters: [u8; 2],
        data in prop::collection::vec(any::<u8>(), 0..255),
    ) {
        let mut card = card();
        select(&mut card, aid);
        for ins in 0..=0xFF {
            // VERIFY at the purse costs a try, as it should.
            if (aid, cla, ins) == (&AID_PURSE[..], 0x00, 0x20) {
                continue;
            }
            let mut apdu = vec![cla, ins, parameters[0], parameters[1]];
            if !data.is_empty() {
                apdu.push(data.len() as u8);
                apdu.extend(&data);
            }
            let response = card.transmit(&apdu).unwrap();
            prop_assert!(response.len() >= 2);
            prop_assert!(!response.ends_with(&[0x6F, 0x00]));
        }
        prop_assert_eq!(card.status().page_writes, 0);
    }

    /// The parsers behind the seal and the session are reached as well.
    #[test]
    fn any_plaintext_in_a_session_is_answered(
        ins in prop_oneof![Just(0x20_u8), Just(0x24), Just(0x34), Just(0x36), Just(0x38), Just(0x3A)],
        p2 in 0..3_u8,
        data in prop::collection::vec(any::<u8>(), 0..230),
    ) {
        let mut card = card();
        let rights = card.inspect().unwrap().rights;
        let mut stb = Stb::open(&mut card);
        let _ = stb.send(&mut card, ins, p2, &data);
        prop_assert_eq!(card.inspect().unwrap().rights, rights);
        prop_assert_eq!(card.status().balance.fen(), 10_000);
    }
}
