// SPDX-License-Identifier: Apache-2.0
//! A higher bit rate makes room: null packets spread evenly among the source's.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.2.2 (a PCR says when its octet arrives), §2.4.3.4 and §2.4.3.5
//!
//! A packet then comes at most one packet earlier than in the source. Its PCR is restamped by that,
//! at the pace of its own clock; PTS and DTS stay, for the clock that they count by has not moved.

use crate::files::schedule::Schedule;
use crate::package::{PackageError, survey::survey};
use crate::stream::{self, Packet, Stream};
use crate::timebase::{self, TICKS_PER_SECOND};
use cam_types::Pid;
use cam_types::transport::PACKET;
use std::collections::BTreeMap;

/// The result has at most so many times the source's octets.
const MOST: u64 = 10;

/// From one PCR to the next (ISO/IEC 13818-1 §2.7.2).
const LONGEST_STEP: i64 = TICKS_PER_SECOND / 10;

/// Raises the rate of a source to so many bits in a second, and says how many null packets that
/// took.
pub fn raise(
    stream: &mut Stream,
    schedule: &Schedule,
    bit_rate: u64,
) -> Result<usize, PackageError> {
    let packets = stream.packets();
    let (_, time, _) = survey(packets, schedule)?;
    let source = time.bit_rate().max(1);
    let most = source.saturating_mul(MOST);
    if bit_rate <= source || bit_rate > most {
        return Err(PackageError::BitRate { wanted: bit_rate, source, most });
    }
    let spread = Spread { added: (bit_rate - source).into(), of: source.into() };
    let pace = TICKS_PER_SECOND.unsigned_abs() * PACKET as u64 * 8 / source;
    let clocks = Clocks::read(packets, pace);
    let mut raised = Vec::with_capacity(spread.before(packets.len()) + packets.len());
    let null = stream::empty_packet(Pid::NULL);
    for (index, packet) in packets.iter().enumerate() {
        raised.resize(index + spread.before(index), null);
        let mut packet = *packet;
        if let Some(ticks) = clocks.restamped(index, &packet, spread) {
            stream::set_pcr(&mut packet, ticks);
        }
        raised.push(packet);
    }
    raised.resize(packets.len() + spread.before(packets.len()), null);
    let added = raised.len() - packets.len();
    clocks.repeat(&mut raised, spread);
    stream.replace(raised);
    Ok(added)
}

/// So many null packets to so many of the source.
#[derive(Clone, Copy)]
struct Spread {
    added: u128,
    of: u128,
}

impl Spread {
    /// How many there are before a packet of the source.
    fn before(self, index: usize) -> usize {
        // At most MOST times an index of a file in memory.
        (index as u128 * self.added / self.of) as usize
    }

    /// How far a packet of the source comes before its time: parts of a packet of the source, and
    /// how many of them make one.
    fn early(self, index: usize) -> (i128, i128) {
        let parts = index as u128 * self.added % self.of;
        (parts as i128, (self.added + self.of) as i128)
    }
}

/// The PCRs of a source by PID.
struct Clocks {
    marks: BTreeMap<Pid, Vec<(usize, i64, bool)>>,
    /// Ticks of a packet where a clock does not say.
    pace: u64,
}

impl Clocks {
    fn read(packets: &[Packet], pace: u64) -> Self {
        let mut marks: BTreeMap<Pid, Vec<_>> = BTreeMap::new();
        for (index, packet) in packets.iter().enumerate() {
            let Some((ticks, anew)) = stream::pcr(packet) else { continue };
            if let (false, Ok(ticks)) = (stream::damaged(packet), i64::try_from(ticks)) {
                marks.entry(stream::pid(packet)).or_default().push((index, ticks, anew));
            }
        }
        Self { marks, pace }
    }

    /// A step that was no longer than a PCR may be may be so now, by less than a packet: a PCR of
    /// its own in a null packet between the two halves it.
    fn repeat(&self, raised: &mut [Packet], spread: Spread) {
        for pair in self.marks.values().flat_map(|marks| marks.windows(2)) {
            let [(from, before, _), (to, after, anew)] = *pair else { continue };
            let [from, to] = [from, to].map(|index| index + spread.before(index));
            let Some([first, last]) = raised.get(from).zip(raised.get(to)).map(|(a, b)| [*a, *b])
            else {
                continue;
            };
            let pcr = |of| stream::pcr(of).and_then(|(ticks, _)| i64::try_from(ticks).ok());
            let (Some(start), Some(end)) = (pcr(&first), pcr(&last)) else { continue };
            let long = |from, to| timebase::step(from, to).filter(|&step| step > LONGEST_STEP);
            let Some(step) = long(start, end) else { continue };
            if anew || long(before, after).is_some() {
                continue;
            }
            let null = |at: &usize| raised.get(*at).is_some_and(|of| stream::pid(of) == Pid::NULL);
            let middle = from + (to - from) / 2;
            let Some(at) = (middle..to).chain(from..middle).find(null) else { continue };
            let passed = i128::from(step) * (at - from) as i128 / (to - from) as i128;
            let ticks = (i128::from(start) + passed).rem_euclid(timebase::WRAP.into());
            let of_pid = |of: &&Packet| stream::pid(of) == stream::pid(&first);
            let counter = raised.get(from..at).unwrap_or_default().iter().rfind(of_pid);
            let counter = counter.map_or(0, stream::continuity);
            if let (Some(packet), Ok(ticks)) = (raised.get_mut(at), u64::try_from(ticks)) {
                *packet = stream::pcr_packet(stream::pid(&first), counter, ticks);
            }
        }
    }

    /// The PCR of a packet at its new place.
    fn restamped(&self, index: usize, packet: &Packet, spread: Spread) -> Option<u64> {
        let marks = self.marks.get(&stream::pid(packet))?;
        let at = marks.binary_search_by_key(&index, |&(index, ..)| index).ok()?;
        let &(_, ticks, _) = marks.get(at)?;
        let step = |from: usize| {
            let [(a, from, _), (b, to, anew)] = *marks.get(from..from + 2)?.first_chunk()?;
            let ticks = timebase::step(from, to).filter(|_| !anew)?;
            Some((i128::from(ticks), (b - a) as i128))
        };
        // The clock's paces around: the packet moves towards the one before. Where that pace has
        // just changed and the one behind lasts, its own place on the latter's line is the better.
        let [before, last] = [1, 2].map(|n| at.checked_sub(n).and_then(step));
        let [behind, next] = [at, at + 1].map(step);
        let lasts = same_pace(behind, next) && !same_pace(last, before);
        let pace = if lasts { behind } else { before.or(behind) };
        let (ticks_of, packets) = pace.unwrap_or((self.pace.into(), 1));
        let (early, parts) = spread.early(index);
        let early = i64::try_from(ticks_of * early / (packets * parts)).unwrap_or_default();
        u64::try_from((ticks - early).rem_euclid(timebase::WRAP)).ok()
    }
}

/// Two steps, each of ticks and packets, whose middle lies on their line, to half a microsecond.
fn same_pace(first: Option<(i128, i128)>, second: Option<(i128, i128)>) -> bool {
    let (Some((a, from)), Some((b, to))) = (first, second) else { return false };
    (a * to - b * from).abs() <= 13 * (from + to)
}
