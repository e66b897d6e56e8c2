// SPDX-License-Identifier: Apache-2.0
//! A card that takes four seconds for an answer: by S(WTX) on T=1, by a WT of ten seconds on T=0.

use cam_core::AccessStatus;
use std::time::Duration;
use system_tests::paced_box::PacedBox;
use vcard::atr::Profile;

const THINK: Duration = Duration::from_secs(4);
const S: Duration = Duration::from_secs(1);

fn cards() -> [Profile; 2] {
    [Profile::t1(), Profile { wi: 100, ..Profile::t0() }]
}

/// It comes up, is never reset for it, and keeps its keys: that long is its way to answer.
#[test]
fn it_comes_up_and_is_not_reset() {
    for profile in cards() {
        let mut stb = PacedBox::new(&profile);
        stb.line.think = THINK;
        stb.run_until(S * 60, |stb| stb.engine.stats().channels == 1);
        stb.ecm(0);
        stb.run_until(S * 20, |stb| stb.keyed);
        for seconds in [10, 20] {
            stb.ecm(seconds);
            for _ in 0..100 {
                stb.run(S / 10);
                assert!(stb.keyed, "T={}", profile.protocol);
            }
        }
        assert_eq!((stb.resets, stb.engine.stats().apdu_failed), (1, 0), "T={}", profile.protocol);
    }
}

/// One that was quick so far: its keys go after a second, and come back with its answer.
#[test]
fn keys_go_and_come_back_with_its_answer() {
    for profile in cards() {
        let mut stb = PacedBox::new(&profile);
        stb.run_until(S * 5, |stb| stb.engine.stats().channels == 1);
        stb.ecm(0);
        stb.run_until(S, |stb| stb.keyed);
        stb.run(S);
        stb.line.think = THINK;
        let failed = stb.engine.stats().apdu_failed;
        stb.ecm(10);
        let gone = stb.run_until(S * 3, |stb| !stb.keyed);
        // A sign of life may be on the line first.
        assert!(gone >= S && gone < S + S / 2 + THINK, "T={}: {gone:?}", profile.protocol);
        assert_eq!(stb.engine.access(stb.news).unwrap().reason, AccessStatus::CARD_BUSY);
        let back = stb.run_until(S * 5, |stb| stb.keyed);
        let all = gone + back;
        assert!(all >= THINK && all < THINK + S, "T={}: {all:?}", profile.protocol);
        assert_eq!((stb.resets, stb.engine.stats().apdu_failed), (1, failed));
    }
}
