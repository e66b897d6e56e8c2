// SPDX-License-Identifier: Apache-2.0
//! Real time on the line: when octets that the operating system delivers at once would have
//! arrived, and when the card's octets leave.
//!
//! A pseudo terminal has no speed. With `--pace` the card takes as long as the wire would.
//! Characters of one side begin one character time apart, the card begins its guard time after the
//! terminal's last character began, and whoever listens has a character when its parity bit has
//! passed. All moments are computed from the one before, in fractions of a microsecond, so a late
//! wake-up delays one octet and not the rest.

use cam_types::Instant;
use iso7816::etu::LineParams;
use std::collections::VecDeque;
use std::time::Duration;

/// The durations of one line setting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tempo {
    /// One elementary time unit.
    pub etu: Duration,
    /// Characters of the terminal follow each other after so many etu.
    pub terminal_character: u32,
    /// Characters of the card follow each other after so many etu.
    pub card_character: u32,
    /// The card answers no earlier than so many etu after the terminal's last character began.
    pub turn: u32,
}

impl Tempo {
    /// What these parameters make of it, for a card that answers after `turn` etu.
    pub fn new(params: &LineParams, turn: u32) -> Self {
        Self {
            etu: params.etus(1_000_000) / 1_000_000,
            terminal_character: u32::from(params.guard_etu),
            card_character: if params.guard_etu == 11 { 11 } else { 12 },
            turn,
        }
    }
}

/// The clockwork of a paced line.
#[derive(Debug)]
pub struct Pace {
    tempo: Tempo,
    /// Octets of the terminal on their way, each with its moment of arrival.
    incoming: VecDeque<(Instant, u8)>,
    /// Octets of the card, each with its moment of arrival.
    outgoing: VecDeque<(Instant, u8)>,
    /// The leading edge of the last character of the terminal.
    terminal_edge: Option<Duration>,
    /// No character of the terminal, or of the card, begins before.
    terminal_free: Duration,
    card_free: Duration,
}

/// Start bit, eight data bits, parity bit.
const BITS: u32 = 10;

impl Pace {
    /// A quiet line.
    pub const fn new(tempo: Tempo) -> Self {
        Self {
            tempo,
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            terminal_edge: None,
            terminal_free: Duration::ZERO,
            card_free: Duration::ZERO,
        }
    }

    /// Changes the setting for the octets that come after those already on their way.
    pub const fn set_tempo(&mut self, tempo: Tempo) {
        self.tempo = tempo;
    }

    /// Octets of the terminal came out of the pseudo terminal now.
    pub fn receive(&mut self, now: Instant, octets: &[u8]) {
        let Tempo { etu, terminal_character, .. } = self.tempo;
        for &octet in octets {
            let edge = self.terminal_free.max(since_start(now));
            self.incoming.push_back((rounded_up(edge + etu * BITS), octet));
            self.terminal_edge = Some(edge);
            self.terminal_free = edge + etu * terminal_character;
        }
    }

    /// The card wants to send; its own thinking takes `think`.
    pub fn send(&mut self, now: Instant, think: Duration, octets: &[u8]) {
        let Tempo { etu, card_character, turn, .. } = self.tempo;
        let ready = since_start(now).saturating_add(think);
        let turned = self.terminal_edge.map_or(Duration::ZERO, |edge| edge + etu * turn);
        let mut edge = self.card_free.max(turned).max(ready);
        for &octet in octets {
            self.outgoing.push_back((rounded_up(edge + etu * BITS), octet));
            edge += etu * card_character;
        }
        self.card_free = edge;
    }

    /// Takes the octets of the terminal that have arrived.
    pub fn arrived(&mut self, now: Instant, octets: &mut Vec<u8>) {
        take_due(&mut self.incoming, now, octets);
    }

    /// Takes the octets of the card that the terminal has by now.
    pub fn departed(&mut self, now: Instant, octets: &mut Vec<u8>) {
        take_due(&mut self.outgoing, now, octets);
    }

    /// When there is something to take next.
    pub fn next(&self) -> Option<Instant> {
        let incoming = self.incoming.front().map(|(at, _)| *at);
        let outgoing = self.outgoing.front().map(|(at, _)| *at);
        match (incoming, outgoing) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Nothing of the card's is still to leave.
    pub fn sent(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Forgets what the card had not sent yet.
    pub fn drop_outgoing(&mut self, now: Instant) {
        self.outgoing.clear();
        self.card_free = since_start(now);
    }

    /// Forgets everything: the card was reset or has lost its power.
    pub fn clear(&mut self, now: Instant) {
        self.incoming.clear();
        self.terminal_edge = None;
        self.terminal_free = since_start(now);
        self.drop_outgoing(now);
    }
}

const fn since_start(at: Instant) -> Duration {
    Duration::from_micros(at.as_micros())
}

/// Too late by less than a microsecond rather than too early.
fn rounded_up(at: Duration) -> Instant {
    Instant::default().after(at.saturating_add(Duration::from_nanos(999)))
}

fn take_due(queue: &mut VecDeque<(Instant, u8)>, now: Instant, octets: &mut Vec<u8>) {
    while let Some((_, octet)) = queue.pop_front_if(|(at, _)| *at <= now) {
        octets.push(octet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPO: Tempo = Tempo {
        etu: Duration::from_micros(100),
        terminal_character: 12,
        card_character: 12,
        turn: 22,
    };

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn octets_take_their_time_both_ways() {
        let mut pace = Pace::new(TEMPO);
        pace.receive(at(1_000), &[1, 2]);
        let mut octets = Vec::new();
        pace.arrived(at(1_999), &mut octets);
        assert!(octets.is_empty());
        assert_eq!(pace.next(), Some(at(2_000)));
        pace.arrived(at(3_200), &mut octets);
        assert_eq!(octets, [1, 2]);
        // The last character began at 2,200; the block guard time of 22 etu ends at 4,400.
        pace.send(at(3_200), Duration::ZERO, &[3, 4]);
        assert_eq!(pace.next(), Some(at(5_400)));
        octets.clear();
        pace.departed(at(5_400), &mut octets);
        assert_eq!(octets, [3]);
        assert!(!pace.sent());
        pace.departed(at(6_600), &mut octets);
        assert_eq!(octets, [3, 4]);
        assert!(pace.sent());
        // The card goes on with whole characters.
        pace.send(at(6_600), Duration::ZERO, &[5]);
        assert_eq!(pace.next(), Some(at(7_800)));
    }

    #[test]
    fn thinking_delays_and_a_reset_forgets() {
        let mut pace = Pace::new(TEMPO);
        pace.send(at(0), Duration::from_millis(3), &[1]);
        assert_eq!(pace.next(), Some(at(4_000)));
        pace.receive(at(0), &[9]);
        pace.clear(at(100));
        assert_eq!(pace.next(), None);
        pace.send(at(100), Duration::ZERO, &[1]);
        assert_eq!(pace.next(), Some(at(1_100)));
    }

    /// 372/64 at 3.579545 MHz: 1.62 us each, and a thousand characters are not a microsecond off.
    #[test]
    fn fractions_of_a_microsecond_do_not_add_up() {
        let etu = Duration::from_nanos(1_624);
        let mut pace = Pace::new(Tempo { etu, ..TEMPO });
        pace.receive(at(0), &[0; 1000]);
        let mut octets = Vec::new();
        pace.arrived(at((999 * 12 + 10) * 1_624 / 1_000), &mut octets);
        assert_eq!(octets.len(), 999);
        pace.arrived(at((999 * 12 + 10) * 1_624 / 1_000 + 1), &mut octets);
        assert_eq!(octets.len(), 1000);
    }
}
