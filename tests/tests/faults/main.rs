// SPDX-License-Identifier: Apache-2.0
//! Every single fault on the line between the terminal and the card, at every octet that passes, in
//! both directions: lost, doubled, damaged, and changed without a parity error where a check has to
//! see it.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod secured;
mod start;
mod t0;
mod t1;

use iso7816::line::LineError;
use std::time::Duration;
use system_tests::wire::{App, Event, Mishap, Wire};

/// An application whose answer has nothing constant in it, and which remembers nothing.
struct Echo;

impl App for Echo {
    fn power_on(&mut self) {}

    fn answer(&mut self, apdu: &[u8]) -> Vec<u8> {
        echo(apdu)
    }
}

/// As many octets as P2 says, made of the whole command, and 9000. With P1 60 the last is 60.
fn echo(apdu: &[u8]) -> Vec<u8> {
    let seed = apdu.iter().fold(0x35_u8, |sum, octet| sum.rotate_left(3) ^ octet);
    let count = apdu.get(3).copied().unwrap_or(0);
    let mut data: Vec<u8> = (0..count).map(|at| seed.wrapping_add(at.wrapping_mul(7))).collect();
    if let ([_, _, 0x60, ..], Some(last)) = (apdu, data.last_mut()) {
        *last = 0x60;
    }
    data.extend([0x90, 0x00]);
    data
}

/// A case 4 command with so many octets of data, which wants so many back.
fn exchange(data: u8, back: u8) -> Vec<u8> {
    let mut apdu = vec![0x80, 0x34, 0x00, back, data];
    apdu.extend((0..data).map(|at| at.wrapping_mul(3) ^ 0x60));
    apdu.push(0x00);
    apdu
}

/// What an undisturbed line needs, which a disturbed one is compared with.
struct Clean {
    /// How long the card takes from power to ready.
    start: Duration,
    /// How long the exchange takes.
    exchange: Duration,
    /// How many octets pass in it.
    octets: usize,
    baud: u32,
}

impl Clean {
    fn measure<A: App>(mut wire: Wire<A>, apdu: &[u8]) -> Self {
        let begin = wire.now;
        assert_eq!(wire.activate(), Event::Ready);
        let start = wire.now.since(begin);
        wire.arm(None);
        let begin = wire.now;
        assert!(matches!(wire.command(apdu), Event::Response(_)));
        let exchange = wire.now.since(begin);
        Self { start, exchange, octets: wire.passed.len(), baud: wire.terminal.params().baud() }
    }
}

/// After a failure: the card comes back by itself within `wait` and one start of what an
/// undisturbed exchange would have taken, at the same rate, with nothing executed that nobody asked
/// for.
fn comes_back<A: App>(
    wire: &mut Wire<A>,
    error: &LineError,
    begin: cam_types::Instant,
    clean: &Clean,
    wait: Duration,
    here: &str,
) {
    let executed = wire.executed.len();
    assert!(executed == 0 || error.may_have_executed(), "{here}: denied: {error}");
    if !error.usable() {
        assert!(error.recovering(), "{here}: {error}");
        assert_eq!(wire.run(), Some(Event::Ready), "{here}: {error}");
    }
    let took = wire.now.since(begin);
    assert!(took <= clean.exchange + wait + clean.start, "{here}: {took:?}, {error}");
    assert_eq!(wire.terminal.params().baud(), clean.baud, "{here}: the rate");
    assert_eq!(wire.rest(Duration::from_secs(5)), None, "{here}: it rests");
    assert_eq!(wire.executed.len(), executed, "{here}: nothing is sent again");
}

/// Faults that somebody can notice without a check over the data.
const NOTICED: [Mishap; 3] = [Mishap::Lost, Mishap::Doubled, Mishap::Damaged];

/// Every bit by itself, and all of them.
fn changes() -> impl Iterator<Item = Mishap> {
    (0..8).map(|bit| Mishap::Changed(1 << bit)).chain([Mishap::Changed(0xFF)])
}
