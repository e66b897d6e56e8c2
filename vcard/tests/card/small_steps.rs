// SPDX-License-Identifier: Apache-2.0
//! A service key has leaked: its ECMs lead the clock astray in steps that look like real time.

use crate::emm::{card_with_signature, signed, signing_key};
use cam_types::CasTime;
use ecm_emm::card::{AccessStatus, EmmResult};
use ecm_emm::ecm::Criteria;
use ecm_emm::emm::{EmmCommand, ResetNumber, TimeStep};
use system_tests::demo::*;

fn free(time: CasTime) -> Vec<u8> {
    seal_ecm(NEWS, &body(time, Criteria { free: true, ..Criteria::default() }))
}

/// T35: ten years in steps of a day, with the power cut now and then, end 200 days behind the last
/// TIME_SYNC; then a RESET, and the real ECMs open again.
#[test]
fn small_steps_do_not_pass_the_end() {
    let mut card = card_with_signature();
    let sync = info(&mut card).sync;
    let cap = sync.saturating_add(200 * DAY);
    let mut stb = Stb::open(&mut card);
    let mut opened = 0;
    for step in 1..=3650 {
        let at = sync.saturating_add(step * DAY);
        let status = stb.ecm(&mut card, &free(at)).status;
        let expected = if at <= cap { AccessStatus::GRANTED_FREE } else { AccessStatus::CLOCK };
        assert_eq!(status, expected, "step {step}");
        opened += u32::from(status == AccessStatus::GRANTED_FREE);
        if step % 37 == 0 {
            card.power_on();
            let told = info(&mut card);
            assert!(told.now <= cap && told.sync == sync, "step {step}");
            stb = Stb::open(&mut card);
        }
    }
    assert_eq!(opened, 200);
    // A second by a second from there.
    for second in 0..60 {
        let status = stb.ecm(&mut card, &free(cap.saturating_add(second))).status;
        assert_eq!(status == AccessStatus::GRANTED_FREE, second == 0, "{second}");
    }
    assert_eq!(stb.ecm(&mut card, &free(NOON)).status, AccessStatus::CLOCK, "led astray");
    let step = TimeStep::Reset(ResetNumber::new(1).unwrap());
    let reset = signed(0, &[EmmCommand::TimeSync { time: NOON, step }], &signing_key());
    assert_eq!(emm(&mut card, &reset), EmmResult::APPLIED);
    assert_eq!(stb.ecm(&mut card, &free(NOON)).status, AccessStatus::GRANTED_FREE);
    card.power_on();
    let mut stb = Stb::open(&mut card);
    assert_eq!(
        stb.ecm(&mut card, &free(NOON.saturating_add(9))).status,
        AccessStatus::GRANTED_FREE
    );
}
