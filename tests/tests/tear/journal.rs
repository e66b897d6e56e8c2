// SPDX-License-Identifier: Apache-2.0
//! Two transactions of one command: the second must not take the journal while the first one's
//! pages are only there.

use system_tests::memory::{CONTENTS, Cut, Memory};
use vcard::nvm::{Nvm, PAGE};

#[test]
fn a_transaction_is_home_before_the_next_takes_the_journal() {
    let zeros = vec![0; 3 * PAGE];
    // Page 0 by the first, page 2 by the second.
    let first = [vec![1; PAGE], vec![0; 2 * PAGE]].concat();
    let second = [&first[..2 * PAGE], &[2; PAGE]].concat();
    let open = |memory: &Memory| {
        let mut nvm = Nvm::new(memory.store(), 3).unwrap();
        nvm.boot().unwrap();
        nvm
    };
    let mut cases = 0;
    'writes: for after in 0.. {
        for torn in CONTENTS {
            let memory = Memory::new(&Nvm::image(&zeros));
            let mut nvm = open(&memory);
            memory.arm(Cut { after, torn: *torn });
            let done = [&first, &second].map(|state| nvm.commit(state, None).is_ok());
            let _ = nvm.bring_home();
            let undisturbed = !memory.mend();
            let found = open(&memory).home().to_vec();
            let place = format!("write {after} {torn:?}: {done:?}");
            match done {
                [true, true] => assert_eq!(found, second, "{place}"),
                [true, false] => assert!(found == first || found == second, "{place}"),
                _ => assert!(found == zeros || found == first, "{place}"),
            }
            cases += 1;
            if undisturbed {
                break 'writes;
            }
        }
    }
    // A journal page, the commit page, a page at home, for each.
    assert_eq!(cases, 6 * CONTENTS.len() + 1);
}
