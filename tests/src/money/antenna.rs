// SPDX-License-Identifier: Apache-2.0
//! ISO/IEC 14443 type A at 106 kbit/s, as `docs/spec/card.md`, section 7, has it: how long a
//! command and its answer are in the air.

use std::time::Duration;

/// The carrier, in Hz.
const CARRIER: u64 = 13_560_000;
/// Cycles of the carrier in a bit at 106 kbit/s.
const BIT: u64 = 128;
/// PCB and CRC.
const OVERHEAD: usize = 3;
/// From the end of a frame of the reader's to the answer, and the other way round (14443-3,
/// 6.2.1.1): 1,172 cycles at least.
const TURN: u64 = 1_172;
/// The card asks for more time when it has not answered for so long (FWI 8).
const FRAME_WAIT: Duration = Duration::from_micros(77_300);

fn cycles(count: u64) -> Duration {
    Duration::from_nanos(count * 1_000_000_000 / CARRIER)
}

/// Start, eight bits and parity for each octet, end.
fn frame(octets: usize) -> Duration {
    cycles((1 + 9 * octets as u64 + 1) * BIT) + cycles(TURN)
}

/// The blocks of a message in frames of at most `largest` octets, each but the last answered by an
/// R-block, and the octets of all frames.
fn chain(message: usize, largest: usize) -> (Duration, usize) {
    let mut time = Duration::ZERO;
    let mut octets = 0;
    let mut left = message;
    loop {
        let piece = left.min(largest - OVERHEAD);
        left -= piece;
        time += frame(piece + OVERHEAD);
        octets += piece + OVERHEAD;
        if left == 0 {
            return (time, octets);
        }
        time += frame(OVERHEAD);
        octets += OVERHEAD;
    }
}

/// Time in the air and octets of one exchange with a card that thinks so long, when no frame is
/// larger at either end.
pub fn exchange(
    command: usize,
    response: usize,
    thinking: Duration,
    largest: usize,
) -> (Duration, usize) {
    let (there, sent) = chain(command, largest);
    let (back, received) = chain(response, largest);
    // S(WTX) and its answer: PCB, WTXM, CRC.
    let extensions = u32::try_from(thinking.as_nanos() / FRAME_WAIT.as_nanos()).unwrap();
    let wtx = frame(4) * 2 * extensions;
    (there + back + wtx, sent + received + 8 * extensions as usize)
}
