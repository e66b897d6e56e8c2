// SPDX-License-Identifier: Apache-2.0
//! A card line whose reader and card the fuzzer plays.
use crate::{Clock, OUTPUTS, Step, TIMEOUTS, steps};
use cam_types::Instant;
use iso7816::etu::USUAL_CLOCK_HZ;
use iso7816::line::{CardLine, Gone, Input, Output, Policy};
use std::time::Duration;

const COMMANDS: [&[u8]; 4] =
    [&[0x80, 0x34, 0, 0, 3, 1, 2, 3, 0], &[0, 0xB0, 0, 0, 0], &[0, 0x20, 0, 0], &[0xA5; 200]];
const LIMIT: Duration = Duration::from_secs(10);

/// The line, and since when an exchange has been going on.
pub struct Rig {
    line: CardLine,
    clock: Clock,
    exchange: Option<Instant>,
}

/// Plays the fuzzer's octets, of which the first chooses the profile. `card` says what the card
/// does with what it can say; `mute`, how it says nothing.
pub fn play(octets: &[u8], card: fn(&mut Rig, Step<'_>), mute: fn(&mut Rig)) {
    let Some((flags, octets)) = octets.split_first() else { return };
    let policy = match flags & 1 {
        0 => Policy::new(USUAL_CLOCK_HZ),
        _ => Policy::emv(USUAL_CLOCK_HZ),
    };
    let policy = Policy { exchange_limit: LIMIT, ..policy };
    let mut rig = Rig { line: CardLine::new(policy), clock: Clock::new(), exchange: None };
    rig.input(Input::Activate);
    for step in steps(octets) {
        match step {
            Step::Octets(_) | Step::Damaged => card(&mut rig, step),
            Step::Pause(time) => {
                rig.clock.now = rig.clock.now.after(time);
                rig.input(Input::Timeout);
            }
            Step::Silence => rig.silence(mute),
            Step::Other(0) => rig.input(Input::Activate),
            Step::Other(1) => rig.input(Input::Gone(Gone::Removed)),
            Step::Other(2) => rig.input(Input::Gone(Gone::ReaderLost)),
            Step::Other(3) => {
                rig.exchange.get_or_insert(rig.clock.now);
                rig.input(Input::Probe);
            }
            Step::Other(which) => {
                let apdu = COMMANDS[usize::from(which) % COMMANDS.len()];
                rig.exchange.get_or_insert(rig.clock.now);
                let patience = (which & 8 != 0).then_some(Duration::from_millis(500));
                rig.input(Input::Command { apdu, patience });
            }
        }
    }
    rig.silence(mute);
    assert!(rig.exchange.is_none(), "the exchange never ends");
}

impl Rig {
    /// The card says nothing more: the line gives up by itself, or waits for a command.
    fn silence(&mut self, mute: fn(&mut Self)) {
        for _ in 0..TIMEOUTS {
            mute(self);
            if !self.clock.to_deadline() {
                return;
            }
            self.input(Input::Timeout);
        }
        panic!("the line never gives up");
    }

    pub fn input(&mut self, input: Input<'_>) {
        if matches!(input, Input::Activate) {
            self.exchange = None; // it ends without a report
        }
        self.line.handle_input(self.clock.now, input);
        for _ in 0..OUTPUTS {
            match self.line.poll_output() {
                Output::Transmit(octets) => assert!(octets.len() <= 520),
                Output::Response(response) => {
                    assert!(response.len() <= 258);
                    self.over();
                }
                Output::Failed(_) => self.over(),
                Output::Activate(_)
                | Output::Deactivate
                | Output::Configure(_)
                | Output::Ready(_) => {}
                Output::Wait(deadline) => {
                    self.clock.deadline = deadline;
                    return;
                }
            }
        }
        panic!("the line does not come to rest");
    }

    fn over(&mut self) {
        // The clock jumps from deadline to deadline, so that nothing can be late by more than a
        // pause.
        if let Some(since) = self.exchange.take() {
            assert!(self.clock.now.since(since) <= LIMIT + Duration::from_secs(4));
        }
    }
}
