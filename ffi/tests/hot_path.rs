// SPDX-License-Identifier: Apache-2.0
//! Control words that reach the software descrambler through its table cost no heap allocation once
//! warm.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use core::ptr;
use stbcam::*;

#[test]
fn set_cw_of_the_software_descrambler() {
    let root = [0x70; 16];
    let mut soft = ptr::null_mut();
    // SAFETY: 16 octets, and a place for the handle.
    assert_eq!(unsafe { stbcam_soft_descrambler_new(root.as_ptr(), &raw mut soft) }, STBCAM_OK);
    let mut ops = stbcam_descrambler_ops_t {
        struct_size: size_of::<stbcam_descrambler_ops_t>(),
        user: ptr::null_mut(),
        load_ladder: None,
        set_cw: None,
        clear: None,
    };
    // SAFETY: its struct_size is set.
    assert_eq!(unsafe { stbcam_soft_descrambler_ops(soft, &raw mut ops) }, STBCAM_OK);
    let ladder = stbcam_ladder_t {
        struct_size: size_of::<stbcam_ladder_t>(),
        flags: 0,
        pairing_slot: 0,
        reserved: [0; 3],
        ek2: [2; 16],
        ek1: [1; 16],
    };
    // SAFETY: as the table wants it, here and below.
    assert_eq!(unsafe { ops.load_ladder.unwrap()(ops.user, &raw const ladder) }, 0);
    let pids = [0x100, 0x101, 0x102];
    let mut cw = stbcam_cw_t {
        struct_size: size_of::<stbcam_cw_t>(),
        session: 1,
        flags: STBCAM_CW_IS_WRAPPED,
        crypto_period: 0,
        crypto_period_ms: 10_000,
        ecm_pid: 0x140,
        source: 0,
        algo: STBCAM_ALGO_CISSA,
        scrambling_mode: 0x10,
        parity_mask: STBCAM_CW_EVEN | STBCAM_CW_ODD,
        key_len: 16,
        iv_len: 16,
        copy_control: 0,
        reserved: [0; 7],
        even: [3; 32],
        odd: [4; 32],
        iv: [0; 16],
        es_pids: pids.as_ptr(),
        es_pid_count: pids.len(),
    };
    let set = ops.set_cw.unwrap();
    let mut allocated = |mode: u8, periods: core::ops::Range<u32>| {
        let before = allocations::here();
        for period in periods {
            (cw.scrambling_mode, cw.crypto_period) = (mode, period);
            // SAFETY: the PIDs outlive the call.
            assert_eq!(unsafe { set(ops.user, &raw const cw) }, 0);
        }
        allocations::here() - before
    };
    for mode in [0x02, 0x10, 0x70, 0xDE] {
        assert!(allocated(mode, 0..10) > 0, "the counter counts");
        assert_eq!(allocated(mode, 10..100), 0, "{mode:02X}");
    }
    assert_eq!(stbcam_soft_descrambler_free(soft), STBCAM_OK);
}
