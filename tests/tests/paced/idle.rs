// SPDX-License-Identifier: Apache-2.0
//! What an idle card without a detect line costs the line, and a card whose power is cut on it.

use cam_core::SignOfLife;
use std::time::Duration;
use system_tests::paced_box::PacedBox;
use vcard::atr::Profile;

const S: Duration = Duration::from_secs(1);

/// At 9,622 bit/s, the default rate at 3.58 MHz.
fn slow(profile: Profile) -> Profile {
    Profile { ta1: 0x11, ..profile }
}

/// Watches the News, and has nothing else to do.
fn watching(profile: &Profile, sign_of_life: SignOfLife) -> PacedBox {
    let mut stb = PacedBox::new(profile);
    stb.sign_of_life = sign_of_life;
    stb.run_until(S * 10, |stb| stb.engine.stats().channels == 1);
    stb.run(S);
    stb.ecm(0);
    stb.run_until(S * 5, |stb| stb.keyed);
    stb.run(S);
    stb
}

/// Of a minute at rest: octets to the card and back for each sign of life, and their etu in per
/// mille of the line's.
fn idle(profile: &Profile, sign_of_life: SignOfLife) -> (usize, usize, u64) {
    let mut stb = watching(profile, sign_of_life);
    // From one sign to the next, so that only whole ones are counted.
    let asked = |stb: &PacedBox| stb.asked.0 + stb.asked.1;
    let next = |stb: &mut PacedBox| {
        let before = asked(stb);
        stb.run_until(S, |stb| asked(stb) > before);
    };
    next(&mut stb);
    let (began, octets, before) = (stb.line.now(), stb.line.octets, stb.asked);
    stb.run(S * 60);
    next(&mut stb);
    let signs = asked(&stb) - before.0 - before.1;
    let (to, from) = (stb.line.octets.0 - octets.0, stb.line.octets.1 - octets.1);
    assert_eq!((to % signs, from % signs), (0, 0), "all alike");
    let by_command = stb.asked.0 > before.0;
    assert_eq!(by_command, stb.asked.1 == before.1, "all by the same means");
    assert_eq!(by_command, profile.protocol == 0 || sign_of_life == SignOfLife::Command);
    let params = stb.line.params();
    let guard = u64::from(params.guard_etu);
    let etus = to as u64 * guard + from as u64 * guard.min(12);
    let all = stb.line.now().since(began).as_secs_f64() * f64::from(params.baud());
    (to / signs, from / signs, (etus as f64 * 1000.0 / all).round() as u64)
}

/// The figures of `docs/spec/abi.md`, An idle card without a detect line.
#[test]
fn an_idle_card_costs_ten_octets_on_t1() {
    let short = slow(Profile::t1());
    let long = Profile { guard: 0, ..short.clone() };
    for (profile, by_command, by_probe) in [
        (short, (18, 46, 194), (5, 5, 36)),
        (long, (18, 46, 208), (5, 5, 40)),
        (slow(Profile::t0()), (18, 46, 209), (18, 46, 209)),
    ] {
        let got = (idle(&profile, SignOfLife::Command), idle(&profile, SignOfLife::Probe));
        assert_eq!(got, (by_command, by_probe), "T={}, N {}", profile.protocol, profile.guard);
    }
}

/// The power of the card is cut while a command is out, or while it is idle: it is reset before its
/// keys would go, and the picture does not notice.
#[test]
fn a_card_whose_power_is_cut_costs_no_picture() {
    let t1 = |bwi| Profile { bwi, ..Profile::t1() };
    for profile in [t1(0), t1(1), t1(2), slow(t1(1)), Profile::t0(), slow(Profile::t0())] {
        for idle in [false, true] {
            let mut stb = watching(&profile, SignOfLife::Probe);
            let resets = stb.resets;
            stb.line.think = Duration::from_millis(50);
            if !idle {
                stb.ecm(10);
                stb.run(Duration::from_millis(20));
            }
            stb.cut();
            let took = stb.run_until(S * 3, |stb| stb.resets > resets || !stb.keyed);
            assert!(stb.keyed, "{profile:?}, idle {idle}: dark after {took:?}");
            stb.run_until(S * 5, |stb| !stb.keyed || stb.engine.stats().channels == 2);
            assert!(stb.keyed, "{profile:?}, idle {idle}: dark before the new session");
            stb.ecm(20);
            stb.run(S);
            assert!(stb.keyed, "{profile:?}, idle {idle}: dark in the end");
            assert_eq!(stb.resets, resets + 1, "{profile:?}, idle {idle}");
        }
    }
}

/// Its BWT is longer than the keys may stay: they go after a second, and not before two waiting
/// times have passed is the card reset.
#[test]
fn a_long_waiting_time_is_waited_for_in_the_dark() {
    let mut stb = watching(&Profile { bwi: 4, ..Profile::t1() }, SignOfLife::Probe);
    let resets = stb.resets;
    stb.ecm(10);
    stb.cut();
    let dark = stb.run_until(S * 2, |stb| !stb.keyed);
    assert!(dark >= S && dark < S + Duration::from_millis(50), "{dark:?}");
    let reset = dark + stb.run_until(S * 5, |stb| stb.resets > resets);
    assert!(reset > Duration::from_millis(3_200) && reset < Duration::from_millis(3_400));
    stb.run_until(S * 5, |stb| stb.engine.stats().channels == 2);
    stb.ecm(20);
    stb.run_until(S, |stb| stb.keyed);
}
