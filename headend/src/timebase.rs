// SPDX-License-Identifier: Apache-2.0
//! When a packet is on air.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.2.2 (the clock between two PCRs runs with the octets)
//!
//! The first PCR of the clock's PID is the schedule's start. Between two PCRs a packet's time is
//! interpolated; before the first and behind the last the nearest rate goes on.

use crate::stream::{self, Packet};
use cam_types::Pid;
use cam_types::transport::PACKET;
use std::fmt;

/// Ticks of the system clock in a second.
pub const TICKS_PER_SECOND: i64 = 27_000_000;
/// Ticks in a millisecond.
pub const TICKS_PER_MS: i64 = TICKS_PER_SECOND / 1000;
/// The PCR counts 2^33 × 300 ticks, then starts again.
pub const WRAP: i64 = (1 << 33) * 300;
/// Two PCRs lie at most 0.1 s apart in a good stream; beyond this the clock has jumped.
const LONGEST_GAP: i64 = 5 * TICKS_PER_SECOND;

/// The time of every packet, from the schedule's start, in ticks of 27 MHz.
#[derive(Clone, Debug)]
pub struct Timebase {
    /// Packet index and time of every PCR; at least two, both strictly rising.
    marks: Vec<(usize, i64)>,
    /// The packets with the first PCR of a new clock.
    jumps: Vec<usize>,
}

/// A PCR of the clock.
struct Mark {
    packet: usize,
    /// Ticks since the one before; none where the clock starts anew between the two.
    step: Option<i64>,
}

impl Timebase {
    /// Reads the clock whose PID `clock` says for each packet. Where it starts anew, told by
    /// discontinuity_indicator or not, time goes on with the packets, as fast as before.
    pub fn read(
        packets: &[Packet],
        clock: impl Fn(usize) -> Option<Pid>,
    ) -> Result<Self, ClockError> {
        let mut found: Vec<Mark> = Vec::new();
        let mut last: Option<(Pid, i64)> = None;
        for (index, packet) in packets.iter().enumerate() {
            let pid = stream::pid(packet);
            let Some((ticks, starts_anew)) = stream::pcr(packet) else { continue };
            if clock(index) != Some(pid) || stream::damaged(packet) {
                continue;
            }
            let Ok(ticks) = i64::try_from(ticks) else { continue };
            let step = last.filter(|(of, _)| *of == pid && !starts_anew);
            let step = step.and_then(|(_, before)| self::step(before, ticks));
            found.push(Mark { packet: index, step });
            last = Some((pid, ticks));
        }
        Self::of(&found).ok_or(ClockError)
    }

    fn of(found: &[Mark]) -> Option<Self> {
        // Ticks and packets of the nearest good step: the one before, for the first ones the first.
        let good = found.windows(2).filter_map(pace);
        let mut pace_now = good.clone().next()?;
        let mut time = 0;
        let mut marks = vec![(found.first()?.packet, 0)];
        let mut jumps = Vec::new();
        for pair in found.windows(2) {
            let [from, to] = pair else { continue };
            let step = match pace(pair) {
                Some(now) => {
                    pace_now = now;
                    now.0
                }
                None => {
                    jumps.push(to.packet);
                    let packets = (to.packet - from.packet) as i128;
                    let ticks = i128::from(pace_now.0) * packets / pace_now.1 as i128;
                    i64::try_from(ticks).ok()?.max(1)
                }
            };
            time += step;
            marks.push((to.packet, time));
        }
        Some(Self { marks, jumps })
    }

    /// The packets with the first PCR of a new clock.
    pub fn jumps(&self) -> &[usize] {
        &self.jumps
    }

    /// The time of packet `index`: negative before the first PCR.
    pub fn ticks(&self, index: usize) -> i64 {
        let after = self.marks.partition_point(|&(at, _)| at < index);
        // The pair of marks around the packet, or the nearest one: there are at least two marks.
        let right = after.clamp(1, self.marks.len() - 1);
        let ((from, start), (to, end)) = (self.marks[right - 1], self.marks[right]);
        // Packet indices of a file in memory are far below 2^63.
        let (index, from, to) = (index as i128, from as i128, to as i128);
        let passed = i128::from(end - start) * (index - from);
        // Rounded down, also before the start, so that the times of two packets never cross.
        start + passed.div_euclid(to - from) as i64
    }

    /// The first packet, of `count`, at or after this time.
    pub fn first_at(&self, ticks: i64, count: usize) -> usize {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.ticks(middle) < ticks {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Octets of the stream in a second, times eight, over the whole file.
    pub fn bit_rate(&self) -> u64 {
        let (Some(&(from, start)), Some(&(to, end))) = (self.marks.first(), self.marks.last())
        else {
            return 0;
        };
        let bits = (to - from) as u128 * PACKET as u128 * 8;
        let span = (end - start).unsigned_abs();
        u64::try_from(bits * TICKS_PER_SECOND.unsigned_abs() as u128 / u128::from(span.max(1)))
            .unwrap_or(u64::MAX)
    }
}

/// Ticks from one PCR to the next; none if the clock starts anew between the two.
pub fn step(from: i64, to: i64) -> Option<i64> {
    Some((to - from).rem_euclid(WRAP)).filter(|step| (1..=LONGEST_GAP).contains(step))
}

/// Ticks and packets of a step of the clock, unless it starts anew there.
fn pace(pair: &[Mark]) -> Option<(i64, usize)> {
    let [from, to] = pair else { return None };
    Some((to.step?, to.packet - from.packet))
}

/// Fewer than two PCRs that follow one another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClockError;

impl fmt::Display for ClockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "fewer than two PCRs that follow one another: no time base for the schedule; take a \
             longer cut, a second has ten at least",
        )
    }
}

impl std::error::Error for ClockError {}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: u16 = 0x100;

    fn pcr_packet(ticks: u64) -> Packet {
        let mut packet = [0xFF; PACKET];
        let (base, extension) = (ticks / 300, ticks % 300);
        packet[..6].copy_from_slice(&[0x47, 0x01, 0x00, 0x20, 183, 0x10]);
        packet[6..10].copy_from_slice(&u32::try_from(base >> 1).unwrap().to_be_bytes());
        packet[10] = u8::try_from((base & 1) << 7 | 0x7E | extension >> 8).unwrap();
        packet[11] = u8::try_from(extension & 0xFF).unwrap();
        packet
    }

    fn null_packet() -> Packet {
        let mut packet = [0xFF; PACKET];
        packet[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10]);
        packet
    }

    /// `None` is a null packet.
    fn timebase(pcrs: &[Option<u64>]) -> Result<Timebase, ClockError> {
        let packets: Vec<Packet> =
            pcrs.iter().map(|pcr| pcr.map_or_else(null_packet, pcr_packet)).collect();
        Timebase::read(&packets, |_| Pid::new(CLOCK))
    }

    #[test]
    fn packets_between_two_pcrs_share_the_time() {
        let time =
            timebase(&[None, Some(1000), None, None, Some(1300), None, Some(1400), None]).unwrap();
        let times: Vec<i64> = (0..9).map(|index| time.ticks(index)).collect();
        assert_eq!(times, [-100, 0, 100, 200, 300, 350, 400, 450, 500]);
        assert_eq!(time.first_at(-5000, 8), 0);
        assert_eq!(time.first_at(0, 8), 1);
        assert_eq!(time.first_at(201, 8), 4);
        assert_eq!(time.first_at(351, 8), 6);
        assert_eq!(time.first_at(5000, 8), 8);
    }

    #[test]
    fn the_counter_wraps_after_26_hours() {
        let end = WRAP.unsigned_abs() - 100;
        let time = timebase(&[Some(end), None, Some(100)]).unwrap();
        assert_eq!([0, 1, 2].map(|index| time.ticks(index)), [0, 100, 200]);
    }

    #[test]
    fn without_two_pcrs_there_is_no_time() {
        assert_eq!(timebase(&[Some(5), None]).unwrap_err(), ClockError);
        assert_eq!(timebase(&[Some(500), Some(400), Some(400)]).unwrap_err(), ClockError);
    }

    /// Back, on the spot, far ahead, announced: time goes on as fast as before.
    #[test]
    fn time_goes_on_where_the_clock_starts_anew() {
        let end = 6 * 27_000_000;
        for second in [400, 700, end] {
            let pcrs = [500, 700, second, second + 200].map(Some);
            let time = timebase(&pcrs).unwrap();
            assert_eq!([0, 1, 2, 3].map(|index| time.ticks(index)), [0, 200, 400, 600]);
            assert_eq!(time.jumps(), [2]);
        }
        // Before the first step there is none but the one behind.
        let time = timebase(&[Some(500), None, Some(400), Some(430)]).unwrap();
        assert_eq!([0, 1, 2, 3].map(|index| time.ticks(index)), [0, 30, 60, 90]);
        let mut anew = [0, 10, 20, 30].map(pcr_packet);
        anew[2][5] |= 0x80;
        let time = Timebase::read(&anew, |_| Pid::new(CLOCK)).unwrap();
        assert_eq!((time.ticks(3), time.jumps()), (30, &[2][..]));
    }

    /// A PMT may name another PID for the clock; a damaged packet says nothing.
    #[test]
    fn the_clock_may_move_to_another_pid() {
        let mut packets = [0, 10, 1_000, 1_010].map(pcr_packet);
        for packet in &mut packets[2..] {
            packet[2] = 1;
        }
        let clock = |index| Pid::new(if index < 2 { CLOCK } else { CLOCK + 1 });
        let time = Timebase::read(&packets, clock).unwrap();
        assert_eq!((time.ticks(2), time.ticks(3)), (10 + 10, 30));
        packets[1] = pcr_packet(9_000);
        packets[1][1] |= 0x80;
        assert_eq!(Timebase::read(&packets[..3], |_| Pid::new(CLOCK)).unwrap_err(), ClockError);
    }
}
