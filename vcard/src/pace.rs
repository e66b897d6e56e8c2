//! Real time on the line: when octets that the operating system delivers at once would have
//! arrived, and when the card's octets leave.
//!
//! A pseudo terminal has no speed. With `--pace` the card takes as long as the wire would: an octet
//! from the terminal counts as received when its last bit would have passed, the card waits its
//! guard time before it answers, and its octets leave one character time apart. All moments are
//! computed from the one before, so a late wake-up delays one octet and not the rest.

use cam_types::Instant;
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
    /// The card answers no earlier than so many etu after the last character began.
    pub turn: u32,
}

/// The clockwork of a paced line.
#[derive(Debug)]
pub struct Pace {
    tempo: Tempo,
    /// Octets of the terminal on their way, each with its moment of arrival.
    incoming: VecDeque<(Instant, u8)>,
    /// Octets of the card, each with its moment of departure.
    outgoing: VecDeque<(Instant, u8)>,
    /// The last character of either side ends its time on the line here.
    incoming_free: Instant,
    outgoing_free: Instant,
}

impl Pace {
    /// A quiet line.
    pub const fn new(tempo: Tempo) -> Self {
        Self {
            tempo,
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            incoming_free: Instant::from_micros(0),
            outgoing_free: Instant::from_micros(0),
        }
    }

    /// Changes the setting for the octets that come after those already on their way.
    pub const fn set_tempo(&mut self, tempo: Tempo) {
        self.tempo = tempo;
    }

    /// Octets of the terminal came out of the pseudo terminal now.
    pub fn receive(&mut self, now: Instant, octets: &[u8]) {
        for &octet in octets {
            let arrival =
                self.incoming_free.max(now).after(self.tempo.etu * self.tempo.terminal_character);
            self.incoming.push_back((arrival, octet));
            self.incoming_free = arrival;
            let answer = self.tempo.turn.saturating_sub(self.tempo.terminal_character);
            self.outgoing_free = self.outgoing_free.max(arrival.after(self.tempo.etu * answer));
        }
    }

    /// The card wants to send; its own thinking takes `think`.
    pub fn send(&mut self, now: Instant, think: Duration, octets: &[u8]) {
        let mut departure = self.outgoing_free.max(now.after(think));
        for &octet in octets {
            // The terminal has the octet when its last bit has passed.
            departure = departure.after(self.tempo.etu * self.tempo.card_character);
            self.outgoing.push_back((departure, octet));
        }
        self.outgoing_free = departure;
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
        self.outgoing_free = now;
    }

    /// Forgets everything: the card was reset or has lost its power.
    pub fn clear(&mut self, now: Instant) {
        self.incoming.clear();
        self.incoming_free = now;
        self.drop_outgoing(now);
    }
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
        pace.arrived(at(2_199), &mut octets);
        assert!(octets.is_empty());
        assert_eq!(pace.next(), Some(at(2_200)));
        pace.arrived(at(3_400), &mut octets);
        assert_eq!(octets, [1, 2]);
        // The last character began at 2,200; the block guard time of 22 etu ends at 4,400.
        pace.send(at(3_400), Duration::ZERO, &[3, 4]);
        assert_eq!(pace.next(), Some(at(5_600)));
        octets.clear();
        pace.departed(at(5_600), &mut octets);
        assert_eq!(octets, [3]);
        assert!(!pace.sent());
        pace.departed(at(6_800), &mut octets);
        assert_eq!(octets, [3, 4]);
        assert!(pace.sent());
    }

    #[test]
    fn thinking_delays_and_a_reset_forgets() {
        let mut pace = Pace::new(TEMPO);
        pace.send(at(0), Duration::from_millis(3), &[1]);
        assert_eq!(pace.next(), Some(at(4_200)));
        pace.receive(at(0), &[9]);
        pace.clear(at(100));
        assert_eq!(pace.next(), None);
        pace.send(at(100), Duration::ZERO, &[1]);
        assert_eq!(pace.next(), Some(at(1_300)));
    }
}
