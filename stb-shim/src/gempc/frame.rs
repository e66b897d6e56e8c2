// SPDX-License-Identifier: Apache-2.0
//! Frames of the serial cable: `03 06`, a CCID message, and the exclusive-or of all octets before.
//!
//! Between frames the reader says single things: `03 15 16`, it refuses a frame; `50 02` and
//! `50 03`, a card left or came; an octet from 80 to FF, it needs more time.
//!
//! Heads up: octets of a frame that did not arrive whole are data of a card. Nothing is believed in
//! there but another whole frame.
use zeroize::Zeroize;

/// Octets of data in the longest message.
pub(super) const LONGEST_DATA: usize = 271 - Header::LEN;
/// Octets of the longest frame.
pub(super) const LONGEST: usize = 2 + Header::LEN + LONGEST_DATA + 1;
/// Asks for the last frame again.
pub(super) const REFUSAL: [u8; 3] = [SYNC, NAK, SYNC ^ NAK];

const SYNC: u8 = 0x03;
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;
const MOVEMENT: u8 = 0x50;

/// What a message says before its data; its length apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    /// Which command or answer.
    pub kind: u8,
    /// Which slot.
    pub slot: u8,
    /// An answer has that of its command.
    pub sequence: u8,
    /// Three octets that every message uses in its own way.
    pub own: [u8; 3],
}

impl Header {
    const LEN: usize = 10;

    /// Writes the whole frame; how many octets it has. `None` when it does not fit.
    pub(super) fn emit(&self, data: &[u8], out: &mut [u8]) -> Option<usize> {
        let len = u32::try_from(data.len()).ok().filter(|_| data.len() <= LONGEST_DATA)?;
        let [a, b, c, d] = len.to_le_bytes();
        let [x, y, z] = self.own;
        let head = [SYNC, ACK, self.kind, a, b, c, d, self.slot, self.sequence, x, y, z];
        let end = head.len() + data.len();
        out.get_mut(..head.len())?.copy_from_slice(&head);
        out.get_mut(head.len()..end)?.copy_from_slice(data);
        let sum = out.get(..end)?.iter().fold(0, |sum, octet| sum ^ octet);
        *out.get_mut(end)? = sum;
        Some(end + 1)
    }
}

/// What the reader sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Frame {
    /// A message; [`Frames::data`] has its data.
    Message(Header),
    /// It wants our last frame again.
    Refusal,
    /// It needs more time.
    Time,
    /// A card came, or left.
    Movement {
        /// A card is in.
        present: bool,
    },
    /// Octets that are none of these.
    Noise,
}

/// Takes octets of the reader in any split, gives frames.
#[derive(Debug)]
pub(super) struct Frames {
    octets: [u8; Self::ROOM],
    begin: usize,
    end: usize,
    /// How many octets from `begin` on belong to a frame that did not arrive whole.
    suspect: usize,
    /// Where the data of the message taken last are.
    data: (usize, usize),
    /// It stood among octets of a frame that did not arrive whole.
    among: bool,
}

/// What the next octets are.
enum Look {
    More,
    Is(Frame, usize),
    /// A frame of this length, but damaged.
    Damaged(usize),
    Nothing,
}

impl Frames {
    const ROOM: usize = 1024;
    /// Octets that can be pushed at one time when all frames were taken before.
    pub(super) const PUSH: usize = Self::ROOM - LONGEST;

    pub(super) const fn new() -> Self {
        Self { octets: [0; Self::ROOM], begin: 0, end: 0, suspect: 0, data: (0, 0), among: false }
    }

    /// More octets, [`Frames::PUSH`] at most. Take all frames before the next.
    pub(super) fn push(&mut self, octets: &[u8]) {
        let kept = self.end - self.begin;
        self.octets.copy_within(self.begin..self.end, 0);
        if let Some(taken) = self.octets.get_mut(kept..self.end) {
            taken.zeroize();
        }
        (self.begin, self.end, self.data) = (0, kept, (0, 0));
        let room = self.octets.get_mut(kept..).unwrap_or_default();
        for (place, octet) in room.iter_mut().zip(octets) {
            *place = *octet;
            self.end += 1;
        }
    }

    /// Takes the next frame off what was pushed; `None`: more has to come.
    pub(super) fn take(&mut self) -> Option<Frame> {
        let mut noise = false;
        loop {
            let trusted = self.suspect == 0;
            let found = look(self.octets.get(self.begin..self.end).unwrap_or_default(), trusted);
            if noise && !matches!(found, Look::Nothing) {
                return Some(Frame::Noise); // a run of octets is told once, before what follows
            }
            match found {
                Look::More => return None,
                Look::Is(frame, len) => {
                    self.data = (self.begin + 2 + Header::LEN, self.begin + len - 1);
                    self.among = !trusted;
                    self.skip(len);
                    self.suspect = 0;
                    return Some(frame);
                }
                Look::Damaged(len) => {
                    self.suspect = self.suspect.max(len);
                    self.skip(1);
                    return Some(Frame::Noise);
                }
                Look::Nothing => {
                    noise |= trusted;
                    self.skip(1);
                }
            }
        }
    }

    fn skip(&mut self, len: usize) {
        self.begin = (self.begin + len).min(self.end);
        self.suspect = self.suspect.saturating_sub(len);
    }

    /// The data of the message taken last.
    pub(super) fn data(&self) -> &[u8] {
        let (begin, end) = self.data;
        self.octets.get(begin..end).unwrap_or_default()
    }

    /// The whole frame of the message taken last.
    pub(super) fn taken(&self) -> &[u8] {
        let (begin, end) = self.data;
        self.octets.get(begin.saturating_sub(2 + Header::LEN)..end + 1).unwrap_or_default()
    }

    /// The message taken last is none, although its checksum is right: there may be a frame in it.
    pub(super) fn doubt(&mut self) {
        let taken = self.taken().len();
        self.begin = self.begin.saturating_sub(taken);
        self.suspect = taken;
        self.skip(1);
    }

    /// The message taken last stood among octets of a frame that did not arrive whole.
    pub(super) const fn among(&self) -> bool {
        self.among
    }

    /// Part of a frame is there, or something else that silence will end.
    pub(super) const fn pending(&self) -> bool {
        self.begin < self.end || self.suspect > 0
    }

    /// The line is silent: the rest of a frame does not come. What is there may hold another.
    pub(super) fn silence(&mut self) {
        self.suspect = self.end - self.begin;
        self.skip(1);
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}

/// `trusted`: the octets do not belong to a frame that did not arrive whole.
fn look(rest: &[u8], trusted: bool) -> Look {
    match *rest {
        [] | [SYNC] | [SYNC, NAK] => Look::More,
        [SYNC, ACK, ref message @ ..] => look_at_message(rest, message),
        [SYNC, NAK, sum, ..] if sum == SYNC ^ NAK => Look::Is(Frame::Refusal, REFUSAL.len()),
        _ if !trusted => Look::Nothing,
        [MOVEMENT] => Look::More,
        [MOVEMENT, 0x02, ..] => Look::Is(Frame::Movement { present: false }, 2),
        // The checksum of the frame before, doubled, and the next frame.
        [MOVEMENT, SYNC, ACK, ..] => Look::Nothing,
        [MOVEMENT, 0x03, ..] => Look::Is(Frame::Movement { present: true }, 2),
        [0x80..=0xFF, ..] => Look::Is(Frame::Time, 1),
        _ => Look::Nothing,
    }
}

fn look_at_message(rest: &[u8], message: &[u8]) -> Look {
    let Some((header, _)) = message.split_first_chunk::<{ Header::LEN }>() else {
        return Look::More;
    };
    let &[kind, a, b, c, d, slot, sequence, own @ ..] = header;
    let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if len > LONGEST_DATA {
        return Look::Damaged(LONGEST); // how long it is nobody knows
    }
    let whole = 2 + Header::LEN + len + 1;
    let Some(frame) = rest.get(..whole) else { return Look::More };
    let sum = frame.iter().fold(0, |sum, octet| sum ^ octet);
    // An octet that came twice goes unnoticed when it is the checksum's like; but then the checksum
    // itself is left over.
    let doubled = rest.get(whole).is_some_and(|next| *next != SYNC && frame.last() == Some(next));
    if sum != 0 || doubled {
        return Look::Damaged(whole);
    }
    Look::Is(Frame::Message(Header { kind, slot, sequence, own }), whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    fn all(frames: &mut Frames, octets: &[u8]) -> Vec<Frame> {
        frames.push(octets);
        std::iter::from_fn(|| frames.take()).collect()
    }

    const STATUS: [u8; 13] = hex!("03 06 81 00000000 00 07 000000 83");
    const HEADER: Header = Header { kind: 0x81, slot: 0, sequence: 7, own: [0; 3] };

    #[test]
    fn frames_and_what_stands_between() {
        let message = Frame::Message(HEADER);
        let (out, gone) = (Frame::Movement { present: false }, Frame::Noise);
        let come = Frame::Movement { present: true };
        let table: &[(&str, &[u8], &[Frame])] = &[
            ("a message", &STATUS, &[message]),
            (
                "time, movement, message",
                &hex!("90 FF 5003 5002"),
                &[Frame::Time, Frame::Time, come, out],
            ),
            ("refused", &hex!("03 15 16 03"), &[Frame::Refusal]),
            ("refused, not quite", &hex!("03 15 17 00 50 04"), &[gone]),
            ("longer than any", &hex!("03 06 80 06010000 00 07 000000 99 50 02"), &[gone]),
            ("damaged", &hex!("03 06 81 00000000 00 07 005002 83 5002"), &[gone, out]),
        ];
        for (name, octets, expected) in table {
            assert_eq!(all(&mut Frames::new(), octets), *expected, "{name}");
        }
        let noise = [&hex!("00 31 03 03")[..], &STATUS[1..], &hex!("20 30 40")].concat();
        assert_eq!(all(&mut Frames::new(), &noise), [gone, message, gone]);
    }

    #[test]
    fn a_frame_cut_short_hides_nothing() {
        let mut frames = Frames::new();
        let mut octets = STATUS[..10].to_vec();
        assert_eq!(all(&mut frames, &octets), []);
        assert!(frames.pending());
        frames.silence();
        assert_eq!(all(&mut frames, &STATUS), [Frame::Message(HEADER)]);
        octets.extend(STATUS);
        let mut frames = Frames::new();
        assert_eq!(all(&mut frames, &octets), [Frame::Noise, Frame::Message(HEADER)]);
    }

    #[test]
    fn an_octet_that_came_twice_is_noticed() {
        let data = hex!("C3 01 02 C3 90 00");
        let mut octets = [0; LONGEST];
        let len = HEADER.emit(&data, &mut octets).unwrap();
        for at in 2..len {
            let mut doubled = octets[..len].to_vec();
            doubled.insert(at, octets[at]);
            let mut frames = Frames::new();
            for frame in all(&mut frames, &doubled) {
                assert!(!matches!(frame, Frame::Message(_)) || frames.data() == data, "{at}");
            }
        }
    }

    proptest! {
        /// Whatever came before, in whatever split: what was emitted is taken, with its data.
        #[test]
        fn any_octets(
            noise in prop::collection::vec(any::<u8>(), 0..600),
            kind: u8, slot: u8, sequence: u8, own: [u8; 3],
            data in prop::collection::vec(any::<u8>(), 0..=LONGEST_DATA),
            split in 1..300usize,
        ) {
            let header = Header { kind, slot, sequence, own };
            let mut octets = [0; LONGEST];
            let len = header.emit(&data, &mut octets).unwrap();
            let mut frames = Frames::new();
            for part in noise.chunks(split) {
                frames.push(part);
                while frames.take().is_some() {}
            }
            while frames.pending() {
                frames.silence();
                while frames.take().is_some() {}
            }
            let mut taken = Vec::new();
            for part in octets[..len].chunks(split) {
                frames.push(part);
                while let Some(frame) = frames.take() {
                    taken.push((frame, frames.data().to_vec()));
                }
            }
            prop_assert_eq!(taken.last(), Some(&(Frame::Message(header), data)));
            prop_assert!(!frames.pending());
        }

        #[test]
        fn too_long_for_a_frame(data in prop::collection::vec(any::<u8>(), 262..400)) {
            prop_assert_eq!(HEADER.emit(&data, &mut [0; 1000]), None);
        }
    }
}
