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
    let restamped = clocks.restamped(spread);
    let mut raised = Vec::with_capacity(spread.before(packets.len()) + packets.len());
    let null = stream::empty_packet(Pid::NULL);
    for (index, packet) in packets.iter().enumerate() {
        raised.resize(index + spread.before(index), null);
        let mut packet = *packet;
        if let Some(&ticks) = restamped.get(&index) {
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

/// A packet with a PCR, its ticks, and whether the clock starts anew there.
type Mark = (usize, i64, bool);

/// The PCRs of a source by PID.
struct Clocks {
    marks: BTreeMap<Pid, Vec<Mark>>,
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

    /// A step that was no longer than a PCR may be may be so now, by less than a packet: PCRs of
    /// their own in null packets between the two, each in the last one that is in time.
    fn repeat(&self, raised: &mut [Packet], spread: Spread) {
        for pair in self.marks.values().flat_map(|marks| marks.windows(2)) {
            let [(from, before, _), (to, after, anew)] = *pair else { continue };
            let [from, to] = [from, to].map(|index| index + spread.before(index));
            let pcr = |at| raised.get(at).and_then(stream::pcr).map(|(ticks, _)| ticks);
            let (Some(start), Some(end)) = (pcr(from), pcr(to)) else { continue };
            let step =
                |from, to| timebase::step(i64::try_from(from).ok()?, i64::try_from(to).ok()?);
            let kept = timebase::step(before, after).is_some_and(|step| step <= LONGEST_STEP);
            let Some(step) = step(start, end).filter(|_| kept && !anew) else { continue };
            let passed = |at: usize| i128::from(step) * (at - from) as i128 / (to - from) as i128;
            let in_time =
                |since: usize, at: usize| passed(at) - passed(since) <= LONGEST_STEP.into();
            let mut last = from;
            while !in_time(last, to) {
                let null =
                    |at: &usize| raised.get(*at).is_some_and(|of| stream::pid(of) == Pid::NULL);
                let Some(at) =
                    (last + 1..to).filter(null).take_while(|&at| in_time(last, at)).last()
                else {
                    break;
                };
                let ticks = (i128::from(start) + passed(at)).rem_euclid(timebase::WRAP.into());
                let of_pid =
                    |of: &&Packet| raised.get(from).map(stream::pid) == Some(stream::pid(of));
                let before = raised.get(from..at).unwrap_or_default().iter().rfind(of_pid).copied();
                let (Some(before), Ok(ticks)) = (before, u64::try_from(ticks)) else { break };
                if let Some(packet) = raised.get_mut(at) {
                    let counter = stream::continuity(&before);
                    *packet = stream::pcr_packet(stream::pid(&before), counter, ticks);
                }
                last = at;
            }
        }
    }

    /// The PCRs at their new places, by packet.
    fn restamped(&self, spread: Spread) -> BTreeMap<usize, u64> {
        let of_a_pid = |marks: &Vec<Mark>| self.line(marks, spread);
        self.marks.values().flat_map(of_a_pid).collect()
    }

    /// A packet moves towards the one before, at the pace between the two. Where the pace has just
    /// changed that is another line than the one of the PCRs behind, if they have one: a PCR that
    /// need not keep to the old line goes over to theirs, else they make up for it, the next one by
    /// the most and the last one, where the pace changes again, by nothing.
    fn line(&self, marks: &[Mark], spread: Spread) -> Vec<(usize, u64)> {
        let step = |from: usize| {
            let &[(a, from, _), (b, to, anew)] = marks.get(from..from + 2)?.first_chunk()?;
            let still = (from == to).then_some(0);
            let ticks = still.or_else(|| timebase::step(from, to)).filter(|_| !anew)?;
            Some((i128::from(ticks), (b - a) as i128))
        };
        let on_line =
            |at: usize| at.checked_sub(1).is_some_and(|from| same_pace(step(from), step(at)));
        let place =
            |at: usize| marks.get(at).map_or(0, |&(index, ..)| index + spread.before(index));
        let mut result = Vec::with_capacity(marks.len());
        // From and to where, by how many ticks at first.
        let (mut from, mut to, mut astray) = (0, 0, 0);
        for (at, &(index, ticks, _)) in marks.iter().enumerate() {
            let early = |pace: Option<(i128, i128)>| {
                let (ticks, packets) = pace.unwrap_or((self.pace.into(), 1));
                let (early, parts) = spread.early(index);
                ticks * early / (packets * parts)
            };
            let [before, behind] = [at.checked_sub(1).and_then(step), step(at)];
            let mut earlier = early(before.or(behind));
            if !on_line(at) && on_line(at + 1) {
                let end = (at + 1..).find(|&next| !on_line(next)).unwrap_or(at);
                (from, to) = (place(at), place(end));
                astray = early(behind) - earlier;
                let goes_on = before.is_none_or(|(ticks, _)| early(behind) < ticks);
                if goes_on && (at == 0 || !on_line(at - 1)) {
                    (earlier, astray) = (earlier + astray, 0);
                }
            } else if on_line(at) {
                earlier -= astray * (to - place(at)) as i128 / (to - from) as i128;
            }
            let moved = (i128::from(ticks) - earlier).rem_euclid(timebase::WRAP.into());
            result.extend(u64::try_from(moved).map(|moved| (index, moved)));
        }
        result
    }
}

/// Two steps, each of ticks and packets, whose middle lies on their line, to half a microsecond.
fn same_pace(first: Option<(i128, i128)>, second: Option<(i128, i128)>) -> bool {
    let (Some((a, from)), Some((b, to))) = (first, second) else { return false };
    2 * (a * to - b * from).abs() <= 27 * (from + to)
}
