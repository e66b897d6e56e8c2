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
const WRAP: i64 = (1 << 33) * 300;
/// Two PCRs lie at most 0.1 s apart in a good stream; beyond this the clock has jumped.
const LONGEST_GAP: i64 = 5 * TICKS_PER_SECOND;

/// The time of every packet, from the schedule's start, in ticks of 27 MHz.
#[derive(Clone, Debug)]
pub struct Timebase {
    /// Packet index and time of every PCR; at least two, both strictly rising.
    marks: Vec<(usize, i64)>,
}

impl Timebase {
    /// Reads the clock that PID `clock` carries.
    pub fn read(packets: &[Packet], clock: Pid) -> Result<Self, ClockError> {
        let mut marks: Vec<(usize, i64)> = Vec::new();
        let mut last_pcr = 0;
        for (index, packet) in packets.iter().enumerate() {
            if stream::pid(packet) != clock {
                continue;
            }
            let Some((ticks, starts_anew)) = stream::pcr(packet) else { continue };
            let Ok(ticks) = i64::try_from(ticks) else { continue };
            if let Some(&(_, time)) = marks.last() {
                let step = (ticks - last_pcr).rem_euclid(WRAP);
                if starts_anew || step == 0 || step > LONGEST_GAP {
                    return Err(ClockError::Jumps { clock, packet: index });
                }
                marks.push((index, time + step));
            } else {
                marks.push((index, 0));
            }
            last_pcr = ticks;
        }
        if marks.len() < 2 {
            return Err(ClockError::None { clock });
        }
        Ok(Self { marks })
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

/// Why the stream says no time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClockError {
    /// Fewer than two PCRs.
    None {
        /// Where they should be.
        clock: Pid,
    },
    /// The clock starts anew, runs back or leaps inside the file.
    Jumps {
        /// Where its PCRs are.
        clock: Pid,
        /// The packet with the first PCR after the jump.
        packet: usize,
    },
}

impl fmt::Display for ClockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None { clock } => {
                write!(f, "fewer than two PCRs on PID {clock}: no time base for the schedule")
            }
            Self::Jumps { clock, packet } => write!(
                f,
                "PCR on PID {clock} jumps at packet {packet}: cut the stream there and package \
                 the parts one by one"
            ),
        }
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
        Timebase::read(&packets, Pid::new(CLOCK).unwrap())
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
    fn a_clock_that_jumps_is_refused_with_the_packet() {
        let clock = Pid::new(CLOCK).unwrap();
        assert_eq!(timebase(&[Some(5), None]).unwrap_err(), ClockError::None { clock });
        for (pcrs, packet) in [
            (&[Some(500), Some(400)][..], 1),
            (&[Some(0), Some(1), None, Some(6 * 27_000_000)], 3),
            (&[Some(7), Some(7)], 1),
        ] {
            assert_eq!(timebase(pcrs).unwrap_err(), ClockError::Jumps { clock, packet });
        }
        let mut anew = [pcr_packet(0), pcr_packet(10)];
        anew[1][5] |= 0x80;
        assert_eq!(
            Timebase::read(&anew, clock).unwrap_err(),
            ClockError::Jumps { clock, packet: 1 }
        );
    }
}
