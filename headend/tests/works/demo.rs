// SPDX-License-Identifier: Apache-2.0
//! The demo's stream, packaged: placement, continuity, intervals, keys.

use crate::support::{
    self, ECM_PIDS, discontinuities, ecms, misplaced, packaged, pid, schedule, schedule_with,
    scrambled_as_announced, source,
};
use cam_types::Pid;
use ecm_emm::cat::Cat;
use ecm_emm::pmt::Pmt;
use headend::carriage;
use headend::fault::Fault;
use headend::files::schedule::Schedule;
use headend::report::{Report, Service};
use headend::scrambler::Algorithm;
use headend::stream::{self, Stream};

const PMTS: [u16; 2] = [0x1000, 0x1001];
/// Those, and the SDT.
const TABLES: [u16; 3] = [PMTS[0], PMTS[1], 0x0011];

fn demo(faults: &[Fault]) -> (Stream, Stream, Report) {
    let source = source();
    let (result, report) = packaged(&source, &schedule(), faults).unwrap();
    (source, result, report)
}

fn service(report: &Report, place: usize) -> &Service {
    &report.services[place]
}

fn algorithm(place: usize) -> Algorithm {
    [Algorithm::Cissa, Algorithm::Csa2][place]
}

/// Packets scrambled as the ECMs on air say, and packets scrambled otherwise, of a service.
fn announced(source: &Stream, result: &Stream, report: &Report, place: usize) -> (usize, usize) {
    let service = service(report, place);
    let (ecms, _) = ecms(result, service.ecm_pid);
    let periods = &service.crypto_periods;
    scrambled_as_announced(source, result, &ecms, &service.pids, periods, algorithm(place))
}

#[test]
fn every_packet_keeps_its_place_and_its_counter() {
    let (source, result, report) = demo(&[]);
    assert_eq!(misplaced(&source, &result, &TABLES), [0_usize; 0]);
    assert_eq!(discontinuities(&source), [0_usize; 0]);
    assert_eq!(discontinuities(&result), [0_usize; 0]);
    let nulls = |s: &Stream| s.packets().iter().filter(|p| stream::pid(p) == Pid::NULL).count();
    assert_eq!(nulls(&source), report.nulls.used + report.nulls.left);
    assert_eq!(nulls(&result), report.nulls.left);
}

#[test]
fn all_but_short_payloads_are_scrambled_as_the_ecms_say() {
    let (source, result, report) = demo(&[]);
    for place in 0..2 {
        let service = service(&report, place);
        let (right, wrong) = announced(&source, &result, &report, place);
        assert_eq!(wrong, 0);
        assert_eq!(right, service.scrambled + service.too_short + service.no_payload);
        let (mut changed, mut short) = (0, 0);
        for (before, after) in source.packets().iter().zip(result.packets()) {
            let payload = stream::payload(before);
            if !service.pids.contains(&stream::pid(before).value()) || payload.is_empty() {
                continue;
            }
            let long = payload.len() >= algorithm(place).shortest();
            assert_eq!(payload != stream::payload(after), long);
            *(if long { &mut changed } else { &mut short }) += 1;
        }
        assert_eq!((changed, short), (service.scrambled, service.too_short));
        assert_eq!(service.left_clear, 0);
    }
}

#[test]
fn an_ecm_takes_the_first_null_packet_after_it_is_due() {
    let (source, result, report) = demo(&[]);
    // 900 kbit/s: packet 4 has the first PCR. Due every 100 ms for both; News goes first.
    let at = |index: usize| (index as i64 - 4) * 1504 * 30;
    let free =
        (0..source.packets().len()).filter(|&i| stream::pid(&source.packets()[i]) == Pid::NULL);
    let mut expected: [Vec<usize>; 2] = Default::default();
    let mut due = [0; 2];
    for index in free {
        let Some(place) = (0..2).find(|&place| due[place] <= at(index)) else { continue };
        expected[place].push(index);
        while due[place] <= at(index) {
            due[place] += 2_700_000;
        }
    }
    for place in 0..2 {
        let service = service(&report, place);
        assert_eq!(service.ecm.packets, expected[place], "{}", service.name);
        let (on_air, refused) = ecms(&result, ECM_PIDS[place]);
        assert_eq!(on_air.iter().map(|e| e.packet).collect::<Vec<_>>(), service.ecm.packets);
        assert_eq!(refused, if place == 0 { 3 } else { 0 }, "the forged ones");
        let steps = expected[place].windows(2).map(|pair| at(pair[1]) - at(pair[0]));
        let worst = steps.max().unwrap() as f64 / 27_000.0;
        assert!((service.ecm.worst_interval_ms - worst).abs() < 0.1, "{worst}");
        assert!(worst < 200.0);
        assert!((service.ecm.mean_interval_ms - 100.0).abs() < 1.0);
    }
    assert!(report.cat.worst_interval_ms <= 500.0);
}

#[test]
fn crypto_periods_change_for_all_pids_at_one_packet() {
    let (_, result, report) = demo(&[]);
    for place in 0..2 {
        let service = service(&report, place);
        assert_eq!(service.crypto_periods.len(), 7);
        let number = service.crypto_periods[0].number;
        assert_eq!(number, 849_441_600 / 5, "seconds from 2000 to the start, by 5");
        for (n, period) in service.crypto_periods.iter().enumerate() {
            assert_eq!(period.number, number + n as u32);
            // 5 s are 2992.02 packets.
            let first = if n == 0 { 0 } else { 4 + (n * 2_992_021).div_ceil(1000) };
            assert_eq!(period.first_packet, first);
            let mark = if period.parity == "even" { 2 } else { 3 };
            for packet in &result.packets()[period.first_packet..=period.last_packet] {
                if service.pids.contains(&stream::pid(packet).value()) {
                    let got = stream::scrambling_control(packet);
                    assert!(got == mark || stream::payload(packet).is_empty());
                }
            }
            if n > 0 {
                assert!(period.next_lead_ms.unwrap() >= 1000);
            }
        }
        assert!(service.worst_next_lead_ms.unwrap() >= 1000);
    }
}

/// T5: a floor is announced in every ECM before its crypto period, and asked for from there on.
#[test]
fn a_floor_is_announced_and_then_asked_for() {
    let floor = "next_floor = { level = 4, from = 2026-12-01T12:00:15Z, \
                 level_on_air = 2026-11-24T12:00:15Z }";
    let schedule =
        schedule_with("name = \"News\"", &format!("name = \"News\"\nemm_floor = 3\n{floor}"));
    let (result, _) = packaged(&source(), &schedule, &[]).unwrap();
    let (news, _) = ecms(&result, ECM_PIDS[0]);
    let mut seen = [0, 0];
    for ecm in &news {
        let period = ecm.cp_number - 169_888_320;
        let ahead = ecm.body.criteria.floor_ahead.map(|(level, at)| (level, at.seconds()));
        let expected = if period < 3 { (3, Some((4, 849_441_615))) } else { (4, None) };
        assert_eq!((ecm.body.emm_floor, ahead), expected, "period {period}");
        seen[usize::from(period >= 3)] += 1;
    }
    assert!(seen.iter().all(|n| *n > 10), "{seen:?}");
}

#[test]
fn ecms_follow_the_schedule() {
    let (_, result, _) = demo(&[]);
    let (news, _) = ecms(&result, ECM_PIDS[0]);
    let (cinema, _) = ecms(&result, ECM_PIDS[1]);
    for ecm in &news {
        let period = ecm.cp_number - 169_888_320;
        assert_eq!(ecm.epoch, if period >= 3 { 2 } else { 1 });
        assert_eq!(ecm.body.time.seconds(), 849_441_600 + period * 5);
        assert_eq!(ecm.body.channel.value(), 0x0101);
        let criteria = &ecm.body.criteria;
        assert_eq!(criteria.packages.iter().map(|p| p.value()).collect::<Vec<_>>(), [1]);
        assert_eq!(criteria.ppv, None);
        assert_eq!(criteria.next_epoch.is_some(), period < 3);
    }
    for ecm in &cinema {
        let period = (ecm.cp_number - 169_888_320) as usize;
        let ppv = ecm.body.criteria.ppv.unwrap();
        let [id, price, from, until] =
            [[2001, 1200, 0, 10], [2002, 850, 10, 20], [2003, 1500, 20, 35]][(period / 2).min(2)];
        assert_eq!((ppv.event.value(), ppv.price.fen(), ppv.tier), (id, price, 1));
        assert_eq!(ppv.start.seconds(), 849_441_600 + from);
        assert_eq!(ppv.end.seconds(), 849_441_600 + until);
        assert!(ecm.body.criteria.packages.is_empty());
    }
}

#[test]
fn the_tables_announce_what_is_scrambled() {
    let (source, result, _) = demo(&[]);
    let cats = carriage::sections(result.packets(), Pid::CAT);
    let cat = Cat::parse(&cats[0].section).unwrap();
    let emm: Vec<_> = cat.descriptors.ca_descriptors().collect();
    assert_eq!((emm[0].system.value(), emm[0].pid.value()), (0x4AF0, 0x0150));
    assert_eq!(emm[0].private, [0x12, 0x01, 2]);
    for place in 0..2 {
        let old = carriage::sections(source.packets(), pid(PMTS[place]));
        let new = carriage::sections(result.packets(), pid(PMTS[place]));
        assert_eq!(old.len(), new.len());
        let old = Pmt::parse(&old[0].section).unwrap();
        for carried in &new {
            let pmt = Pmt::parse(&carried.section).unwrap();
            assert_eq!((pmt.version, pmt.streams, pmt.pcr_pid), (1, old.streams, old.pcr_pid));
            assert_eq!(pmt.scrambling_mode().unwrap().0, [0x10, 0x02][place]);
            let ca: Vec<_> = pmt.descriptors().ca_descriptors().collect();
            assert_eq!((ca.len(), ca[0].pid.value()), (1, ECM_PIDS[place]));
            let channel = [0x01, 0x02][place];
            let private = &[0x12, 0x01, 2, channel, 0x01][..];
            assert_eq!((ca[0].system.value(), ca[0].private), (0x4AF0, private));
        }
    }
}

#[test]
fn a_seed_repeats_the_broadcast_and_its_absence_does_not() {
    let seeded: Schedule = schedule_with(
        "crypto_period_s",
        "seed = \"000102030405060708090a0b0c0d0e0f\"\ncrypto_period_s",
    );
    let quiet = [Fault::NoForgeries]; // forgeries are random in any case
    let source = source();
    let once = packaged(&source, &seeded, &quiet).unwrap().0;
    assert!(once == packaged(&source, &seeded, &quiet).unwrap().0);
    let free = || packaged(&source, &schedule(), &quiet).unwrap().0;
    assert!(free() != free());
}

/// A scrambler that reduces computes octets 3 and 7 itself: control words that were sealed in full
/// would open nothing that it scrambled.
#[test]
fn reduced_cws_are_what_is_sealed_and_what_scrambles() {
    let is_sum = |octets: &[u8]| {
        let [a, b, c, sum] = octets.try_into().unwrap();
        a.wrapping_add(b).wrapping_add(c) == sum
    };
    let seed = "seed = \"000102030405060708090a0b0c0d0e0f\"\n";
    let entropy = |name: &str| format!("scrambling = \"csa2\"\nentropy = \"{name}\"");
    let source = source();
    for (head, name) in [("", "reduced"), (seed, "reduced"), (seed, "full")] {
        let text = std::fs::read_to_string(support::example("demo/schedule.toml")).unwrap();
        let text = format!("{head}{}", text.replace("scrambling = \"csa2\"", &entropy(name)));
        let schedule = Schedule::parse(std::path::Path::new("schedule.toml"), &text).unwrap();
        let (result, report) = packaged(&source, &schedule, &[Fault::NoForgeries]).unwrap();
        let (right, wrong) = announced(&source, &result, &report, 1);
        assert!(right > 1000 && wrong == 0, "{name}: {right} right, {wrong} wrong");
        let cws: Vec<_> = ecms(&result, ECM_PIDS[1]).0.iter().flat_map(|ecm| ecm.cws()).collect();
        let halves = || cws.iter().flat_map(|cw| cw.expose()[..8].chunks(4));
        let sums = halves().filter(|half| is_sum(half)).count();
        if name == "reduced" {
            assert_eq!(sums, halves().count());
        } else {
            assert!(sums < halves().count() / 4);
        }
    }
}

#[test]
fn offers_are_on_air_before_their_event_only() {
    let schedule = schedule_with("id = 2002", "id = 2002\noffer_from_s = 3");
    let (result, report) = packaged(&source(), &schedule, &[]).unwrap();
    let offers = &report.services[1].ecm.offer_packets;
    assert_eq!(offers.len(), 7, "each second from 3 s to 9 s");
    assert_eq!(discontinuities(&result), [0_usize; 0]);
    let sections = carriage::sections(result.packets(), pid(0x0141));
    for carried in sections.iter().filter(|carried| carried.section[0] == 0x88) {
        assert!(offers.contains(&carried.packet));
    }
}

#[test]
fn emms_are_on_air_when_the_schedule_says() {
    let (_, result, report) = demo(&[]);
    let on_air = carriage::sections(result.packets(), pid(0x0150));
    for (emm, (times, from, until)) in report.emms.iter().zip([
        (7, 500, 4000),
        (18, 6000, 15_000),
        (13, 17_000, 30_100),
        (4, 7000, 9000),
        (4, 7250, 9000),
        (3, 7500, 9000),
    ]) {
        assert_eq!(emm.packets.len(), times, "{}", emm.name);
        assert!(emm.at_ms.iter().all(|at| (from..until).contains(at)), "{}", emm.name);
        if emm.kind != "forge_ecm" {
            assert!(emm.packets.iter().all(|p| on_air.iter().any(|c| c.packet == *p)));
        }
    }
    let section = |packet| &on_air.iter().find(|c| c.packet == packet).unwrap().section;
    let (first, again) = (report.emms[0].packets[0], report.emms[3].packets[0]);
    assert_eq!(section(first), section(again), "a replay is the same octet by octet");
    assert_eq!(
        report.emms.iter().map(|e| e.sequence).collect::<Vec<_>>(),
        [Some(10), Some(11), Some(12), None, Some(13), None]
    );
    assert_eq!(report.next_sequence, 14);
}

#[test]
fn each_fault_breaks_its_promise_and_says_so() {
    let (source, result, report) = demo(&[Fault::WrongControlWord]);
    assert_eq!(report.faults, ["wrong-control-word"]);
    let (right, wrong) = announced(&source, &result, &report, 0);
    assert!(wrong > 500 && right > wrong, "{right} {wrong}");
    assert_eq!(announced(&source, &result, &report, 1).1, 0);

    assert_eq!(service(&report, 0).never_announced, 1);
    assert_eq!(service(&report, 0).crypto_periods[2].next_lead_ms, None);

    let (.., report) = demo(&[Fault::LostKeyUpdate]);
    assert!(report.emms.iter().all(|emm| emm.kind != "key_deliver"));
    assert_eq!(report.emms.len(), 5);

    let (_, result, report) = demo(&[Fault::LostEcm]);
    assert!(service(&report, 1).ecm.worst_interval_ms > 5000.0);
    assert!(service(&report, 0).ecm.worst_interval_ms < 200.0);
    let silent = service(&report, 1).crypto_periods[4].number;
    assert!(ecms(&result, ECM_PIDS[1]).0.iter().all(|ecm| ecm.cp_number != silent));

    let (_, result, _) = demo(&[Fault::WrongPrice]);
    let ppv = ecms(&result, ECM_PIDS[1]).0[0].body.criteria.ppv.unwrap();
    assert_eq!(ppv.price.fen(), 1300);

    let (source, result, report) = demo(&[Fault::ClearPacket]);
    assert_eq!((service(&report, 0).left_clear, service(&report, 1).left_clear), (1, 0));
    assert_eq!(announced(&source, &result, &report, 0).1, 1);

    let (.., report) = demo(&[Fault::NoForgeries, Fault::NoReplay]);
    let kinds: Vec<&str> = report.emms.iter().map(|emm| emm.kind).collect();
    assert_eq!(kinds, ["grant", "key_deliver", "key_activate"]);

    let (.., report) = demo(&[Fault::FreshReplay]);
    let numbers: Vec<_> = report.emms.iter().map(|emm| (emm.kind, emm.sequence)).collect();
    assert_eq!(numbers[3], ("grant", Some(13)));

    let (source, result, _) = demo(&[Fault::ShiftedPacket]);
    assert_eq!(misplaced(&source, &result, &TABLES).len(), 2);

    let (.., report) = demo(&[Fault::LateNext]);
    let lead = service(&report, 0).worst_next_lead_ms.unwrap();
    assert!((0..1000).contains(&lead), "{lead}");
    assert!(service(&report, 1).worst_next_lead_ms.unwrap() >= 1000);
}

#[test]
fn a_fault_with_nothing_to_break_is_refused() {
    let schedule = schedule_with(
        "kind = \"replay\"\nof = \"renewal\"",
        "kind = \"card_state\"\n\
        card = \"0102030405060708\"\nblocked = false",
    );
    let error = packaged(&source(), &schedule, &[Fault::NoReplay]).unwrap_err();
    assert!(error.to_string().starts_with("--fault no-replay finds nothing"), "{error}");
}

#[test]
fn the_report_holds_no_cw_and_no_key() {
    let (_, result, report) = demo(&[]);
    let report = serde_json::to_string(&report).unwrap().to_lowercase();
    let hex = |octets: &[u8]| octets.iter().map(|o| format!("{o:02x}")).collect::<String>();
    for number in ECM_PIDS {
        for ecm in ecms(&result, number).0 {
            for cw in ecm.cws() {
                assert!(!report.contains(&hex(&cw.expose()[..8])));
            }
        }
    }
    for key in support::operator().service_key {
        let octets = hex(key.key.0.expose());
        assert!(!report.contains(&octets[..16]));
    }
}
