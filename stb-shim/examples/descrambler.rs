// SPDX-License-Identifier: Apache-2.0
//! How fast the software descrambler is: a table of Mbit/s for each algorithm, in full packets and
//! in those of a mixture of lengths, on one thread.
#![allow(clippy::print_stdout, reason = "the table goes there")]

use cam_core::{Ecw, SessionId};
use cam_types::transport::PACKET;
use cam_types::{Key, Parity, Pid};
use ecm_emm::scrambling::Algorithm;
use stb_shim::soft_descrambler::{PacketResult, SoftDescrambler};
use std::time::{Duration, Instant};

const PID: Pid = Pid::from_field(0x0100);
/// As many as a demultiplexer hands over at once.
const PACKETS: usize = 348;
/// Longer than the scheduler's turns.
const MEASURED: Duration = Duration::from_secs(1);

/// Scrambled packets under the even control word, each with the next of these payload lengths.
fn packets(lengths: &[u8]) -> Vec<u8> {
    let mut octets: Vec<u8> = (0..PACKETS * PACKET).map(|n| ((n * 167) >> 3) as u8).collect();
    let (packets, _) = octets.as_chunks_mut::<PACKET>();
    for (packet, length) in packets.iter_mut().zip(lengths.iter().cycle()) {
        let [high, low] = PID.value().to_be_bytes();
        let with_field = *length < 184;
        let [sync, a, b, flags, field, ..] = packet;
        [*sync, *a, *b, *flags] = [0x47, high, low, if with_field { 0xB0 } else { 0x90 }];
        if with_field {
            *field = 183 - length;
        }
    }
    octets
}

/// Mbit of transport stream a second.
fn measure(algorithm: Algorithm, lengths: &[u8]) -> Result<f64, Box<dyn std::error::Error>> {
    let descrambler = SoftDescrambler::new(&Key::new([0x70; 16]));
    descrambler.load_ladder(&Key::new([2; 16]), &Key::new([1; 16]));
    let ecw = Ecw {
        session: SessionId(1),
        source: 0,
        ecm_pid: Pid::from_field(0x140),
        es_pids: &[PID],
        mode: algorithm.mode(),
        even: &[3; 16],
        odd: &[4; 16],
        crypto_period: 0,
        parity: Parity::Even,
        cci: 0,
        preview: false,
    };
    descrambler.set_cw(&ecw, None)?;
    let scrambled = packets(lengths);
    let mut octets = scrambled.clone();
    let (mut taken, mut count) = (Duration::ZERO, 0);
    while taken < MEASURED {
        octets.copy_from_slice(&scrambled);
        let mut clear = 0;
        let start = Instant::now();
        descrambler
            .packets(0, &mut octets, |r| clear += usize::from(r == PacketResult::Descrambled));
        taken += start.elapsed();
        if clear != PACKETS {
            return Err(format!("{algorithm}: {clear} of {PACKETS} descrambled").into());
        }
        count += PACKETS;
    }
    Ok((count * PACKET * 8) as f64 / taken.as_secs_f64() / 1e6)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "| algorithm | full packets, Mbit/s | payloads of 1 to 184 octets, Mbit/s |\n|---|---|---|"
    );
    let mixed: Vec<u8> = (1..=184).collect();
    for algorithm in Algorithm::ALL {
        let (full, mixed) = (measure(algorithm, &[184])?, measure(algorithm, &mixed)?);
        println!("| {algorithm} | {full:.0} | {mixed:.0} |");
    }
    Ok(())
}
