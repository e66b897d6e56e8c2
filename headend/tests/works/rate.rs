// SPDX-License-Identifier: Apache-2.0
//! A source without null packets has room for ECMs at a higher rate, and its clocks stay right.

use crate::made::{Next, TICKS_PER_PACKET, VIDEO, schedule, service, stream};
use crate::support::{ecms, packaged, pid};
use cam_types::Pid;
use headend::coverage::Dark;
use headend::package::PackageError;
use headend::rate::raise;
use headend::sabotage::SabotageError;
use headend::stream::{self as packet, Packet, Stream};

const PACKETS: usize = 6000;
/// A packet a millisecond.
const RATE: u64 = 1_504_000;

fn full() -> Stream {
    stream(service(PACKETS, |_| false))
}

fn raised(source: &Stream, rate: u64) -> (Stream, usize) {
    let mut stream = source.clone();
    let added = raise(&mut stream, &schedule(), rate).map_err(|e| e.to_string()).unwrap();
    (stream, added)
}

/// All but null packets, without their PCRs.
fn carried(stream: &Stream) -> Vec<Packet> {
    let packets = stream.packets().iter().filter(|of| packet::pid(of) != Pid::NULL);
    packets
        .map(|of| {
            let mut of = *of;
            if packet::pcr(&of).is_some() {
                packet::set_pcr(&mut of, 0);
            }
            of
        })
        .collect()
}

/// Place and PCR of each PCR.
fn clock(stream: &Stream) -> Vec<(usize, u64)> {
    let packets = stream.packets().iter().enumerate();
    packets.filter_map(|(index, of)| Some((index, packet::pcr(of)?.0))).collect()
}

#[test]
fn nothing_is_lost_and_every_pcr_is_that_of_its_place() {
    let source = full();
    for rate in [RATE + 1, RATE + 1000, RATE * 21 / 20, 2_000_000, RATE * 3, RATE * 10] {
        let (result, added) = raised(&source, rate);
        assert!(carried(&source) == carried(&result), "{rate}");
        let expected = PACKETS as u64 * rate / RATE - PACKETS as u64;
        assert!(expected.abs_diff(added as u64) <= 1, "{rate}: {added}");
        let first = clock(&result)[0];
        for (index, ticks) in clock(&result) {
            let passed = (index - first.0) as u64 * 1504 * 27_000_000;
            let right = first.1 + passed / rate;
            assert!(right.abs_diff(ticks) <= 2, "{rate} {index}: {ticks}, expected {right}");
        }
        let worst = clock(&source).iter().zip(clock(&result)).map(|(a, b)| a.1 - b.1).max();
        assert!(worst.unwrap() <= TICKS_PER_PACKET, "never more than a packet early");
        let gap = result.packets().split(|of| packet::pid(of) == Pid::NULL).map(<[_]>::len).max();
        assert!(gap.unwrap() as u64 <= RATE / (rate - RATE) + 1, "{rate}: evenly spread");
    }
}

/// Where the clock starts anew the pace of its neighbours rules; a counter that wraps is none.
#[test]
fn clocks_that_start_anew_or_wrap_stay_right() {
    let wrap = (1_u64 << 33) * 300 - 3000 * TICKS_PER_PACKET;
    for shift in [3600 * 27_000_000, wrap] {
        let next = service(PACKETS, |_| false).into_iter().enumerate();
        let source = stream(next.map(|(place, next)| match next {
            Next::Clock(..) if place >= 2510 || shift == wrap => Next::Clock(VIDEO, shift, false),
            next => next,
        }));
        let (result, _) = raised(&source, 1_600_000);
        for (before, after) in clock(&source).iter().zip(clock(&result)) {
            let early = (before.1 + (1 << 33) * 300 - after.1) % ((1 << 33) * 300);
            assert!(early <= TICKS_PER_PACKET, "{early}");
        }
        let steps: Vec<u64> = clock(&result)
            .windows(2)
            .filter(|pair| pair[1].1 > pair[0].1 && pair[1].1 - pair[0].1 < 27_000_000)
            .map(|pair| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0) as u64)
            .collect();
        assert!(steps.len() > 290 && steps.iter().all(|step| (25_379..=25_381).contains(step)));
    }
}

/// What a refusal says is enough, and not much more.
#[test]
fn the_rate_that_a_refusal_names_makes_room() {
    let starved: [fn(usize) -> bool; 3] =
        [|_| false, |place| place < 1000 && place % 10 == 7, |place| place % 100 == 17];
    for is_null in starved {
        let source = stream(service(PACKETS, is_null));
        let Err(SabotageError::Package(PackageError::Dark(Dark { bit_rate, .. }))) =
            packaged(&source, &schedule(), &[])
        else {
            panic!("not refused");
        };
        assert!((RATE + 1000..RATE * 11 / 10).contains(&bit_rate), "{bit_rate}");
        let (source, _) = raised(&source, bit_rate);
        let (result, report) = packaged(&source, &schedule(), &[]).unwrap();
        let (opened, _) = ecms(&result, 0x140);
        assert!(opened.len() >= 58, "{}", opened.len());
        assert!(report.services[0].ecm.worst_interval_ms < 200.0);
        assert!(report.bits_per_second.abs_diff(bit_rate) < 100);
    }
}

#[test]
fn a_rate_that_makes_no_room_is_refused_with_what_would() {
    for rate in [0, RATE - 1, RATE, RATE * 10 + 1, u64::MAX] {
        let why = raise(&mut full(), &schedule(), rate).unwrap_err().to_string();
        assert!(why.contains("the source has 1504000 bit/s"), "{why}");
        assert!(why.contains("up to 15040000"), "{why}");
    }
}

/// How many PCRs lie over 500 ns off the line between their neighbours, and how many come over
/// 100 ms behind the one before (TR 101 290 §5.2.2).
fn errors(clock: &[(usize, u64)]) -> (usize, usize) {
    let off = |three: &&[(usize, u64)]| {
        let [whole, part] = [2, 1].map(|n| (three[n].1 - three[0].1) as f64);
        let share = (three[1].0 - three[0].0) as f64 / (three[2].0 - three[0].0) as f64;
        (part - whole * share).abs() > 13.5
    };
    let late = |two: &&[(usize, u64)]| two[1].1 - two[0].1 > 2_700_000;
    (clock.windows(3).filter(off).count(), clock.windows(2).filter(late).count())
}

/// A rate that changes, and lasts for some pictures now and then; PCRs exactly 100 ms apart: no
/// error more than in the source.
#[test]
fn a_higher_rate_adds_no_error_of_a_pcr() {
    for (irregular, ticks_of_regular) in [(4, 540_000), (0, 2_700_000)] {
        let mut source = full();
        let (mut ticks, mut count) = (27_000_000, 0);
        for of in source.packets_mut().iter_mut().filter(|of| packet::pcr(of).is_some()) {
            packet::set_pcr(of, ticks);
            let in_turn = count % (irregular + 6);
            let step = if in_turn < irregular { 200_000 + 97_003 * (count % 7) } else { 0 };
            ticks += if step == 0 { ticks_of_regular } else { step };
            count += 1;
        }
        let before = errors(&clock(&source));
        let rate = 1504 * 27_000_000 * 20 / ticks_of_regular;
        for rate in [rate * 107 / 100, rate * 3 / 2] {
            let (result, _) = raised(&source, rate);
            let after = errors(&clock(&result));
            assert!(after.0 <= before.0 && after.1 <= before.1, "{before:?} {after:?}");
            assert_eq!(crate::support::discontinuities(&result), [0_usize; 0]);
        }
    }
}

/// Each PID's clock by its own pace.
#[test]
fn every_clock_is_restamped() {
    let mut source = full();
    let audio = crate::made::AUDIO;
    for (index, of) in source.packets_mut().iter_mut().enumerate() {
        if packet::pid(of) == pid(audio) && index % 100 == 4 {
            of[3] |= 0x20;
            of[4..6].copy_from_slice(&[7, 0x10]);
            packet::set_pcr(of, index as u64 * 27_001);
        }
    }
    let (result, _) = raised(&source, RATE * 2);
    let clock = clock(&result).into_iter();
    let theirs = clock.filter(|&(index, _)| packet::pid(&result.packets()[index]) == pid(audio));
    for (index, ticks) in theirs {
        assert!((index as u64 * 27_001 / 2).abs_diff(ticks) <= 2, "{index} {ticks}");
    }
}
