// SPDX-License-Identifier: Apache-2.0
//! Which crypto period a packet belongs to: follows one ECM stream's toggles and its ECMs.
//!
//! A parity is one bit and may be damaged; ECMs come early and late; packets are missed. A CW of
//! the right parity and the wrong period garbles, so what is not certain waits. `docs/spec/abi.md`,
//! "Software descrambler", has the rules. No clock and no cipher in here: time comes in with every
//! packet, and whether a CW opens one is asked of a [`Probe`].

use cam_types::{Instant, Parity, Pid};
use std::time::Duration;

/// Asks whether a packet that starts a unit shows a start code under the CW of a period. False
/// also where that CW is not held.
pub(super) type Probe<'a> = &'a mut dyn FnMut(u32) -> bool;

/// What one scrambled packet shows.
pub(super) struct Sight<'a> {
    pub(super) pid: Pid,
    pub(super) parity: Parity,
    /// There when the packet starts a unit and its first block is scrambled.
    pub(super) probe: Option<Probe<'a>>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    /// The number of the newest ECM that was answered.
    newest: u32,
    /// The CW of the period before it is held too.
    has_former: bool,
    place: Place,
    streams: Vec<Stream>,
    /// The last packet would move the stream, if a second one did.
    would_move: bool,
    /// When the last packet came, or the newest ECM was answered.
    last: Instant,
    /// The length of a period, once measured.
    period: Option<Duration>,
    /// A start code has confirmed the place.
    proven: bool,
    /// Packets in a row that should have shown a start code.
    contradictions: u8,
    /// The last answer found the stream further on.
    late: bool,
}

/// Where the stream is, as far as it is known.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the newest ECM's period, the one before or the one behind it.
    NotCertain,
    /// Anywhere.
    Lost,
    In {
        period: u32,
        since: Instant,
        moved: Option<Move>,
    },
}

/// The stream has toggled.
#[derive(Clone, Copy, Debug)]
struct Move {
    at: Instant,
    /// How many packets came since.
    packets: u16,
    /// The stream had not been in the period before for as long as half a one: one of the two may
    /// be a mistake.
    hasty: bool,
    /// Not parities alone say so: a start code has.
    confirmed: bool,
}

#[derive(Clone, Debug)]
struct Stream {
    pid: Pid,
    /// The period that it has shown last.
    period: Option<u32>,
    /// Its last packet would move the stream, if a second one of it did.
    would_move: bool,
    units: Units,
}

/// What the units of a PID begin with.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Units {
    /// Not known; how many showed no start code while nothing confirmed the place.
    Untold(u8),
    /// Start codes: they are PES packets.
    Pes,
}

/// What a missing start code says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Doubt {
    None,
    /// The CW may be wrong: the packet waits, its parity counts.
    Cw,
    /// The packet itself is damaged, or of another numbering: it says nothing.
    Packet,
}

/// The period that a packet is taken for.
struct Expected {
    period: u32,
    second: Second,
}

/// What a second packet like it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Second {
    Nothing,
    /// It moves the stream there.
    Moves,
    /// It shows that the stream is not where it was taken to be.
    Doubts,
}

impl Follower {
    /// Before a length is measured: no period that is used in practice is shorter.
    const UNMEASURED: Duration = Duration::from_secs(2);
    /// A pause of packets that is shorter hides no toggle, whatever was measured.
    const LEAST_GAP: Duration = Duration::from_millis(500);
    /// Packets that another PID of the stream may be behind a toggle, at most.
    const LAG: u16 = 512;
    /// Packets without a start code that are a doubt.
    const DOUBT: u8 = 2;
    /// Periods that an answer may be late, at most: a later one belongs to another numbering.
    const LATE: u32 = 3;

    /// Follows a stream from its first answered ECM on.
    pub(super) fn new(now: Instant, number: u32) -> Self {
        Self {
            newest: number,
            has_former: false,
            place: Place::NotCertain,
            streams: Vec::new(),
            would_move: false,
            last: now,
            period: None,
            proven: false,
            contradictions: 0,
            late: false,
        }
    }

    /// The PIDs that the CWs are for. Those that stay keep what they have shown.
    pub(super) fn set_pids(&mut self, pids: &[Pid]) {
        self.streams.retain(|stream| pids.contains(&stream.pid));
        for pid in pids {
            if !self.follows(*pid) {
                self.streams.push(Stream {
                    pid: *pid,
                    period: None,
                    would_move: false,
                    units: Units::Untold(0),
                });
            }
        }
    }

    pub(super) fn follows(&self, pid: Pid) -> bool {
        self.streams.iter().any(|stream| stream.pid == pid)
    }

    /// The length of a period, as measured.
    pub(super) const fn set_period(&mut self, period: Option<Duration>) {
        self.period = period;
    }

    /// The periods whose CWs are held.
    pub(super) fn held(&self) -> impl Iterator<Item = u32> + use<> {
        let former = self.has_former.then(|| self.newest.wrapping_sub(1));
        former.into_iter().chain([self.newest, self.newest.wrapping_add(1)])
    }

    /// An ECM was answered. `renewed`: its CWs are not those that this number had before.
    pub(super) fn answered(&mut self, now: Instant, number: u32, renewed: Renewed) {
        let step = number.wrapping_sub(self.newest);
        if step == 0 && renewed == Renewed::No {
            return;
        }
        self.heard(now);
        self.newest = number;
        self.has_former = step == 1;
        let Place::In { period, .. } = self.place else {
            return self.lose(Place::NotCertain);
        };
        match (step, period.wrapping_sub(number)) {
            (1, 0 | 1 | u32::MAX) => self.late = false,
            (1..=Self::LATE, 2..=Self::LATE) if self.proven || !self.late => self.late = true,
            _ => self.lose(Place::NotCertain),
        }
    }

    /// Something of the stream has come. After a silence it may be anywhere.
    fn heard(&mut self, now: Instant) {
        if now.since(self.last) >= self.gap() {
            self.lose(Place::Lost);
        }
        self.last = now;
    }

    /// A scrambled packet has come: the period whose CW descrambles it. `None`: it waits.
    pub(super) fn packet(&mut self, now: Instant, sight: Sight<'_>) -> Option<u32> {
        let at = self.streams.iter().position(|stream| stream.pid == sight.pid)?;
        self.heard(now);
        if let Place::In { moved: Some(moved), .. } = &mut self.place {
            moved.packets = moved.packets.saturating_add(1);
        }
        let expected = self.expect(now, at, sight.parity);
        let starts = sight.probe.is_some();
        if let Some(probe) = sight.probe {
            let first = expected.as_ref().map(|expected| expected.period);
            let others = self.held().filter(|period| Some(*period) != first);
            let shows =
                |period: &u32| Parity::of_crypto_period(*period) == sight.parity && probe(*period);
            if let Some(period) = first.into_iter().chain(others).find(shows) {
                self.prove(now, at, period);
                return Some(period);
            }
        }
        // A CW that is not held cannot have been wrong.
        let doubt = match &expected {
            Some(expected) if starts && self.holds(expected.period) => self.doubt(at, expected),
            _ => Doubt::None,
        };
        if doubt == Doubt::Packet {
            return None;
        }
        let Some(Expected { period, second }) = expected else {
            self.stays(at, None);
            return None;
        };
        match second {
            Second::Nothing => self.stays(at, Some(period)),
            Second::Moves if self.is_second(at) => self.moves(now, at, period),
            Second::Doubts if self.is_second(at) => self.lose(Place::NotCertain),
            Second::Moves | Second::Doubts => {}
        }
        let certain = doubt == Doubt::None && second != Second::Doubts;
        (certain && self.holds(period)).then_some(period)
    }

    fn holds(&self, period: u32) -> bool {
        self.held().any(|held| held == period)
    }

    fn expect(&self, now: Instant, at: usize, parity: Parity) -> Option<Expected> {
        match self.place {
            Place::Lost => None,
            Place::NotCertain => (Parity::of_crypto_period(self.newest) == parity)
                .then_some(Expected { period: self.newest, second: Second::Moves }),
            Place::In { period, .. } if Parity::of_crypto_period(period) == parity => {
                Some(Expected { period, second: Second::Nothing })
            }
            Place::In { period, moved, .. } => {
                let former = period.wrapping_sub(1);
                if self.lags(now, at) {
                    return Some(Expected { period: former, second: Second::Nothing });
                }
                // No period is so short: a stream that turns back had not toggled. The newest ECM
                // may say that it had, and an ECM that came early says nothing.
                let turns_back = moved
                    .is_some_and(|moved| !moved.confirmed && now.since(moved.at) < self.short())
                    && matches!(former.wrapping_sub(self.newest), 0 | 1 | u32::MAX);
                let sure = self.period.is_some() && moved.is_some_and(|moved| !moved.hasty);
                Some(match (turns_back, sure) {
                    (true, true) => Expected { period: former, second: Second::Moves },
                    (true, false) => Expected { period: former, second: Second::Doubts },
                    (false, _) => {
                        Expected { period: period.wrapping_add(1), second: Second::Moves }
                    }
                })
            }
        }
    }

    /// The stream has just toggled, and this PID has not shown it yet.
    fn lags(&self, now: Instant, at: usize) -> bool {
        let Place::In { period, moved: Some(moved), .. } = self.place else { return false };
        moved.packets < Self::LAG
            && now.since(moved.at) < self.short()
            && self.streams.get(at).is_some_and(|stream| stream.period != Some(period))
    }

    /// A packet that moves nothing, and the period that it is of.
    fn stays(&mut self, at: usize, period: Option<u32>) {
        self.would_move = false;
        if let Some(stream) = self.streams.get_mut(at) {
            stream.would_move = false;
            stream.period = period;
        }
    }

    /// One packet moves nothing; a second one in a row does, be it on its PID or on any.
    fn is_second(&mut self, at: usize) -> bool {
        let on_any = std::mem::replace(&mut self.would_move, true);
        let stream = self.streams.get_mut(at);
        stream.is_some_and(|stream| std::mem::replace(&mut stream.would_move, true)) || on_any
    }

    fn moves(&mut self, now: Instant, at: usize, to: u32) {
        let moved = match self.place {
            Place::In { period, since, .. } if to == period.wrapping_add(1) => {
                let hasty = now.since(since) < self.short();
                Some(Move { at: now, packets: 0, hasty, confirmed: false })
            }
            _ => None,
        };
        self.place = Place::In { period: to, since: now, moved };
        self.proven = false;
        self.would_move = false;
        for stream in &mut self.streams {
            // Whoever would have moved too has shown the new period.
            if std::mem::take(&mut stream.would_move) {
                stream.period = Some(to);
            }
        }
        if let Some(stream) = self.streams.get_mut(at) {
            stream.period = Some(to);
        }
    }

    /// A packet has shown a start code under the CW of this period.
    fn prove(&mut self, now: Instant, at: usize, shown: u32) {
        self.contradictions = 0;
        // A PID that follows later than the others says nothing about them.
        let behind = self.lags(now, at)
            && matches!(self.place, Place::In { period, .. } if shown == period.wrapping_sub(1));
        if let Some(stream) = self.streams.get_mut(at) {
            stream.units = Units::Pes;
            stream.period = Some(shown);
        }
        if behind {
            return;
        }
        self.place = match self.place {
            Place::In { period, since, moved } if period == shown => {
                let moved = moved.map(|moved| Move { confirmed: true, ..moved });
                Place::In { period, since, moved }
            }
            Place::In { period, .. } if shown == period.wrapping_add(1) => {
                let moved = Move { at: now, packets: 0, hasty: false, confirmed: true };
                Place::In { period: shown, since: now, moved: Some(moved) }
            }
            _ => Place::In { period: shown, since: now, moved: None },
        };
        self.proven = true;
        self.would_move = false;
        self.streams.iter_mut().for_each(|stream| stream.would_move = false);
    }

    /// A packet that starts a unit shows no start code under any CW.
    fn doubt(&mut self, at: usize, expected: &Expected) -> Doubt {
        let certain = self.proven && expected.second == Second::Nothing;
        let Some(stream) = self.streams.get_mut(at) else { return Doubt::Packet };
        match &mut stream.units {
            Units::Pes => {
                self.contradictions += 1;
                if self.contradictions >= Self::DOUBT {
                    self.lose(Place::Lost);
                    // They may have become something else than PES packets.
                    for stream in &mut self.streams {
                        stream.units = Units::Untold(0);
                    }
                }
                Doubt::Packet
            }
            Units::Untold(count) if !certain && *count < Self::DOUBT => {
                *count += 1;
                Doubt::Cw
            }
            Units::Untold(_) => Doubt::None,
        }
    }

    fn lose(&mut self, place: Place) {
        self.place = place;
        self.proven = false;
        self.contradictions = 0;
        self.late = false;
        self.would_move = false;
        for stream in &mut self.streams {
            stream.period = None;
            stream.would_move = false;
        }
    }

    /// A stream toggles no sooner than this after a toggle.
    fn short(&self) -> Duration {
        self.period.map_or(Self::UNMEASURED, |period| period / 2)
    }

    /// Packets that stay out for this time may hide a toggle.
    fn gap(&self) -> Duration {
        self.short().max(Self::LEAST_GAP)
    }
}

/// Whether CWs are others than before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Renewed {
    Yes,
    No,
}

#[cfg(test)]
mod tests;
