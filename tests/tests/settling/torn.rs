// SPDX-License-Identifier: Apache-2.0
//! The card's power goes inside each page write of a purchase, alone or with the box's: the engine
//! finds out by itself, and in the end it was paid once.

use crate::{PAID_ONCE, UNPAID, next_event};
use cam_core::TxnState;
use system_tests::demo::{self, PRICE};
use system_tests::memory::{CONTENTS, Cut, Memory};
use system_tests::stb::{Fate, LIVING_ROOM, Stb};

/// One purchase with this cut. `false` when the cut comes too late for it.
fn torn(image: &[u8], cut: Cut, box_too: bool) -> bool {
    let chip = Memory::new(image);
    let mut stb = Stb::new(LIVING_ROOM, demo::powered(chip.store()));
    stb.chip = Some(chip.clone());
    let offer = next_event(&mut stb, 2001);
    let (request, mut txn) = stb.wish(&offer, PRICE);
    chip.arm(cut);
    stb.fate = box_too.then_some(Fate::BoxDiesAfter);
    for _ in 0..4 {
        stb.confirm(txn);
        if stb.dead {
            stb = stb.restart();
            stb.run(5000);
            txn = stb.again(&offer, request, PRICE);
        }
        let state = stb.state(txn);
        let money = if state == TxnState::Paid { PAID_ONCE } else { UNPAID };
        assert_eq!(stb.money(), money, "{cut:?}, box too: {box_too}, {state:?}");
        match state {
            TxnState::Paid => return stb.cuts > 0,
            TxnState::Refused => {
                let offer = next_event(&mut stb, 2001);
                txn = stb.wish(&offer, PRICE).1;
            }
            TxnState::Open => {}
            other => panic!("{cut:?}: {other:?}"),
        }
    }
    panic!("{cut:?}, box too: {box_too}: never paid");
}

#[test]
fn a_card_torn_at_every_write_pays_once() {
    let image = demo::memory();
    for box_too in [false, true] {
        let mut cases = 0;
        for after in 0.. {
            let hits = CONTENTS
                .iter()
                .filter(|torn_page| torn(&image, Cut { after, torn: **torn_page }, box_too));
            let hits = hits.count();
            cases += hits;
            if hits == 0 {
                break;
            }
            assert_eq!(hits, CONTENTS.len(), "write {after}");
        }
        println!("{cases} torn writes, the box's power too: {box_too}; violations: 0");
        assert!(cases >= 5 * CONTENTS.len(), "{cases}");
    }
}
