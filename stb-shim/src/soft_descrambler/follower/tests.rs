// SPDX-License-Identifier: Apache-2.0
//! A model of a stream and its ECMs: all orders of what can befall them, period by period.
//!
//! Every order of eight events leads through the states that are visited here; orders that lead to
//! the same state are followed once and counted together.

use super::*;
use std::collections::HashMap;

const VIDEO: Pid = Pid::from_field(0x100);
const AUDIO: Pid = Pid::from_field(0x101);
/// The length of a crypto period.
const PERIOD_MS: u64 = 10_000;
/// When in a period each of the two PIDs has a packet.
const PACKETS_MS: [u64; 6] = [500, 2_300, 4_200, 6_100, 8_000, 9_700];
/// When in its period an ECM is answered.
const ANSWERED_MS: u64 = 2_000;

/// What befalls a period.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Happening {
    /// Nothing but the toggle at its beginning.
    Toggle,
    /// The video packet at this place has a wrong scrambling bit.
    Stray(usize),
    /// So have the video packets at this place and the next one.
    StrayPair(usize),
    /// So have the packets of both PIDs at this place.
    StrayBoth(usize),
    /// Its ECM is answered in the period before, behind that one's last packet or in its middle.
    EcmEarly(u64),
    /// Its ECM is answered late in the period, or at this time in the next one.
    EcmLate(u64),
    /// No packet behind the first one, and no ECM.
    Gap,
    /// No packet behind the first one; ECMs are answered.
    Pause,
    /// As a gap, which lasts for this many whole periods more.
    LongGap(u32),
    /// The head-end starts again, its numbers lower by this many; other CWs.
    Restart(u32),
}

use Happening::{
    EcmEarly, EcmLate, Gap, LongGap, Pause, Restart, Stray, StrayBoth, StrayPair, Toggle,
};

/// What every stream must stand.
const EVENTS: [Happening; 16] = [
    Toggle,
    StrayPair(2),
    StrayPair(4),
    StrayBoth(2),
    Stray(0),
    Stray(2),
    Stray(5),
    EcmEarly(9_800),
    EcmEarly(3_000),
    EcmLate(8_500),
    Gap,
    Pause,
    LongGap(1),
    LongGap(2),
    Restart(2),
    Restart(3),
];
/// Answered in the next period only: then a toggle alone cannot tell where a stream is.
const LATER: [Happening; 2] = [EcmLate(11_500), EcmLate(10_500)];

/// Whether packets that start a unit show it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Content {
    Pes,
    Other,
}

/// A CW: of which head-end's life, of which period.
type Cw = (u32, u32);

/// How far the picture must be right.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Promise {
    /// Nothing yet: no ECM was answered since the beginning, a gap or a restart.
    AfterAnEcm,
    /// From this many milliseconds after the period's beginning on.
    From(u64),
}

#[derive(Clone)]
struct World {
    content: Content,
    follower: Follower,
    cws: Vec<(u32, Cw)>,
    /// The period on air, its number, and the head-end's life.
    began_ms: u64,
    number: u32,
    life: u32,
    /// ECMs on their way, by the time when they are answered.
    ecms: Vec<(u64, Cw)>,
    /// The next period's ECM is out already.
    early: bool,
    promise: Promise,
    /// The newest ECM that was answered.
    answered: Option<Cw>,
}

impl World {
    fn new(content: Content) -> Self {
        Self {
            content,
            follower: Follower::new(Instant::default(), 0),
            cws: Vec::new(),
            began_ms: 3_600_000,
            number: 1000,
            life: 0,
            ecms: Vec::new(),
            early: false,
            promise: Promise::AfterAnEcm,
            answered: None,
        }
    }

    /// One period passes.
    fn period(&mut self, happening: Happening, next: Option<Happening>) {
        let cw = (self.life, self.number);
        let signal_ms = match happening {
            Gap | LongGap(_) | Pause => PACKETS_MS[0] + 1,
            _ => PERIOD_MS,
        };
        if !std::mem::take(&mut self.early) {
            match happening {
                Gap | LongGap(_) => {}
                EcmLate(at) => self.ecms.push((self.began_ms + at, cw)),
                _ => self.ecms.push((self.began_ms + ANSWERED_MS, cw)),
            }
        }
        if let Some(EcmEarly(at)) = next
            && !matches!(happening, Gap | LongGap(_))
        {
            self.ecms.push((self.began_ms + at, (self.life, self.number.wrapping_add(1))));
            self.early = true;
        }
        self.ecms.sort();
        let end = self.began_ms + PERIOD_MS;
        for (place, at) in PACKETS_MS.into_iter().enumerate() {
            self.answer_until(self.began_ms + at);
            if at < signal_ms {
                for pid in [VIDEO, AUDIO] {
                    let stray = match happening {
                        Stray(at) => pid == VIDEO && place == at,
                        StrayPair(at) => pid == VIDEO && (place == at || place == at + 1),
                        StrayBoth(at) => place == at,
                        _ => false,
                    };
                    self.packet(at, pid, place, stray);
                }
            }
        }
        self.answer_until(end - 1);
        self.began_ms = end;
        if signal_ms < PERIOD_MS {
            self.promise = Promise::AfterAnEcm;
        }
        if let Promise::From(at) = &mut self.promise {
            *at = at.saturating_sub(PERIOD_MS);
        }
        self.number = self.number.wrapping_add(1);
        if let LongGap(periods) = happening {
            self.began_ms += u64::from(periods) * PERIOD_MS;
            self.number = self.number.wrapping_add(periods);
            self.ecms.clear();
            self.early = false;
        }
        if let Restart(back) = next.unwrap_or(Toggle) {
            self.number = self.number.wrapping_sub(back);
            self.life += 1;
            self.early = false;
            self.promise = Promise::AfterAnEcm;
        }
    }

    fn answer_until(&mut self, until: u64) {
        while let Some(&(at, cw)) = self.ecms.first()
            && at <= until
        {
            self.ecms.remove(0);
            self.answer(at, cw);
        }
    }

    /// As the descrambler takes CWs.
    fn answer(&mut self, at: u64, (life, number): Cw) {
        // The engine passes no older ECM on while a newer one is on air.
        if self.answered.is_some_and(|(of, newest)| of == life && newest > number) {
            return;
        }
        let first = self.answered.is_none();
        let now = Instant::from_micros(at * 1000);
        if first {
            self.follower = Follower::new(now, number);
        } else {
            let same = self.cws.contains(&(number, (life, number)));
            self.follower.answered(now, number, if same { Renewed::No } else { Renewed::Yes });
        }
        self.follower.set_pids(&[VIDEO, AUDIO]);
        self.follower.set_period((!first).then(|| Duration::from_millis(PERIOD_MS)));
        let held: Vec<u32> = self.follower.held().collect();
        self.cws.retain(|(of, _)| *of == number.wrapping_sub(1) && held.contains(of));
        let next = number.wrapping_add(1);
        self.cws.extend([(number, (life, number)), (next, (life, next))]);
        // CWs of another life, or behind a hole in the numbers, begin a promise anew.
        let in_line = self.answered == Some((life, number.wrapping_sub(1)));
        self.answered = Some((life, number));
        if life == self.life && (self.promise == Promise::AfterAnEcm || !in_line) {
            self.promise = Promise::From(at.saturating_sub(self.began_ms) + PERIOD_MS);
        }
    }

    fn packet(&mut self, at: u64, pid: Pid, place: usize, stray: bool) {
        if self.answered.is_none() {
            return;
        }
        let truth = (self.life, self.number);
        let parity = Parity::of_crypto_period(self.number);
        let starts = (pid == AUDIO) ^ (place % 2 == 1);
        let cws = self.cws.clone();
        let cw = |of: u32| cws.iter().find(|(held, _)| *held == of).map(|(_, cw)| *cw);
        let content = self.content;
        let mut probe = |period: u32| content == Content::Pes && cw(period) == Some(truth);
        // A PID that has never shown a start code need not have any.
        let stream = self.follower.streams.iter().find(|stream| stream.pid == pid);
        let shows_starts = stream.is_some_and(|stream| stream.units == Units::Pes);
        let doubtful = self.content == Content::Other
            && starts
            && stream.is_some_and(|stream| stream.units < Units::Untold(Follower::DOUBT));
        let sight = Sight {
            pid,
            parity: if stray { parity.other() } else { parity },
            probe: if starts { Some(&mut probe) } else { None },
        };
        let now = Instant::from_micros((self.began_ms + at) * 1000);
        let steady = self.follower.period.is_some()
            && matches!(self.follower.place, Place::In { since, .. }
                if now.since(since) >= Duration::from_millis(PERIOD_MS / 2));
        let taken = self.follower.packet(now, sight);
        let held = cws.iter().any(|(_, cw)| *cw == truth);
        // Before an ECM of this life nothing but a start code tells that the CWs are others.
        let told = self.answered.is_some_and(|(life, _)| life == self.life);
        match taken {
            // Where the stream is not known for long, a second stray packet costs a toggle.
            _ if stray && !steady => {
                self.promise = Promise::From(at + 4_000 + PERIOD_MS);
            }
            _ if stray => {}
            Some(period) => {
                let right = cw(period) == Some(truth);
                let seen = told || (starts && shows_starts);
                assert!(right || !seen, "garbled at {at} ms, {self:?}");
            }
            None => {
                let promised = matches!(self.promise, Promise::From(from) if from <= at);
                assert!(!(promised && held) || doubtful, "black at {at} ms, {self:?}");
            }
        }
    }

    /// Two worlds with the same key behave alike from here on.
    fn key(&self) -> Vec<i64> {
        const NONE: i64 = i64::MIN;
        let ms = |at: Instant| (self.began_ms as i64) - (at.as_micros() / 1000) as i64;
        let number = |of: u32| i64::from(of.wrapping_sub(self.number).cast_signed());
        // CWs of other lives are all alike wrong.
        let cw = |(life, of): Cw| [i64::from(life == self.life), number(of)];
        let follower = &self.follower;
        let mut key = vec![
            number(follower.newest),
            follower.has_former.into(),
            ms(follower.last),
            follower.period.map_or(NONE, |period| period.as_millis() as i64),
            follower.proven.into(),
            follower.contradictions.into(),
            follower.late.into(),
            follower.would_move.into(),
            self.early.into(),
        ];
        match follower.place {
            Place::NotCertain => key.push(NONE),
            Place::Lost => key.push(NONE + 1),
            Place::In { period, since, moved } => {
                key.push(number(period));
                key.push(ms(since).min(PERIOD_MS as i64 / 2));
                // Half a period later it makes no difference.
                if let Some(moved) = moved.filter(|moved| ms(moved.at) < PERIOD_MS as i64 / 2) {
                    key.extend([ms(moved.at), moved.packets.into()]);
                    key.extend([moved.hasty, moved.confirmed].map(i64::from));
                }
            }
        }
        for stream in &follower.streams {
            key.push(stream.period.map_or(NONE, number));
            key.push(stream.would_move.into());
            key.push(match stream.units {
                Units::Untold(count) => count.into(),
                Units::Pes => NONE,
            });
        }
        key.push(match self.promise {
            Promise::AfterAnEcm => NONE,
            Promise::From(at) => at as i64,
        });
        key.extend(self.answered.map(cw).into_iter().flatten());
        for (of, held) in &self.cws {
            key.push(number(*of));
            key.extend(cw(*held));
        }
        for (at, held) in &self.ecms {
            key.push((at - self.began_ms) as i64);
            key.extend(cw(*held));
        }
        key
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "period {} of life {}, {:?}, {:?}, {:?}, CWs {:?}",
            self.number, self.life, self.content, self.promise, self.follower, self.cws
        )
    }
}

/// A world, the orders that lead there, and the first of them.
type Reached = (World, u64, Vec<Happening>);

/// Follows all orders of `events` over eight periods, and one quiet period behind.
fn all_orders(content: Content, events: &[Happening]) {
    let mut states: HashMap<(Vec<i64>, usize), Reached> = HashMap::new();
    for (index, first) in events.iter().enumerate() {
        let world = World::new(content);
        states.insert((world.key(), index), (world, 1, vec![*first]));
    }
    for _ in 0..8 {
        let mut after: HashMap<_, Reached> = HashMap::new();
        for (world, orders, history) in states.into_values() {
            for (index, next) in events.iter().enumerate() {
                let mut world = world.clone();
                let now = history[history.len() - 1];
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    world.period(now, Some(*next));
                }));
                assert!(outcome.is_ok(), "{content:?}: {history:?}, then {next:?}");
                let reached = after.entry((world.key(), index)).or_insert_with(|| {
                    let mut history = history.clone();
                    history.push(*next);
                    (world, 0, history)
                });
                reached.1 += orders;
            }
        }
        states = after;
    }
    let orders: u64 = states.values().map(|(_, orders, _)| orders).sum();
    assert_eq!(orders, (events.len() as u64).pow(9));
}

#[test]
fn pes_packets_stand_all_orders() {
    all_orders(Content::Pes, &[EVENTS.as_slice(), &LATER].concat());
}

#[test]
fn other_packets_stand_all_orders() {
    all_orders(Content::Other, &EVENTS);
}
