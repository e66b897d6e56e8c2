//! A descrambler in software, with its key ladder.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.3 (transport packet), ETSI ETR 289 (transport_scrambling_control)
//!  - `docs/spec/abi.md`, "Software descrambler"

use crate::cipher::{Algorithm, PayloadCipher};
use crate::descrambler::{Descrambler, LadderKeys, Refused};
use crate::ladder::Ladder;
use cam_core::{ControlWords, ScramblingMode, SessionId};
use cam_types::{Key, Parity, Pid};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What became of one packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum PacketResult {
    /// It was not scrambled; it is untouched.
    Clear = 0,
    /// It was scrambled and is now in clear, its transport_scrambling_control set to 00.
    Descrambled = 1,
    /// It is scrambled and its key is not here; it is untouched.
    NoKey = 2,
    /// It is not a transport packet of 188 octets; it is untouched.
    Malformed = 3,
}

/// A descrambler in software, with its key ladder. Any number of threads may use it at once.
pub struct SoftDescrambler {
    state: Mutex<State>,
}

struct State {
    ladder: Ladder,
    slots: Vec<Slot>,
}

/// The keys of one ECM stream.
struct Slot {
    session: SessionId,
    source: u8,
    ecm_pid: Pid,
    algorithm: Algorithm,
    /// The crypto period that the newest control words call the current one.
    current: u32,
    /// By crypto period: the current one, the next one and the one before.
    keys: Vec<(u32, PayloadCipher)>,
    streams: Vec<Stream>,
}

/// One elementary stream and the crypto period that its last scrambled packet belonged to.
struct Stream {
    pid: Pid,
    period: Option<u32>,
}

impl SoftDescrambler {
    /// The length of a transport packet.
    pub const PACKET: usize = 188;

    /// A descrambler whose key ladder has this root key.
    pub fn new(root: &Key) -> Self {
        Self { state: Mutex::new(State { ladder: Ladder::new(root), slots: Vec::new() }) }
    }

    /// Loads the two encrypted keys of a pairing. Control words that came before stay.
    pub fn load_ladder(&self, ek2: &Key, ek1: &Key) {
        self.state().ladder.load(ek2.expose(), ek1.expose());
    }

    /// Takes the control words of an ECM.
    pub fn set_control_words(&self, words: &ControlWords<'_>) -> Result<(), KeyError> {
        self.state().set_control_words(words)
    }

    /// Wipes the keys of a session.
    pub fn clear(&self, session: SessionId) {
        self.state().slots.retain(|slot| slot.session != session);
    }

    /// Descrambles one packet in place, if its key is here.
    pub fn packet(&self, source: u8, packet: &mut [u8]) -> PacketResult {
        self.state().packet(source, packet)
    }

    /// Descrambles packets in place, one result for each. A last piece shorter than a packet is
    /// malformed. Stops at the end of the shorter list.
    pub fn packets(&self, source: u8, octets: &mut [u8], results: &mut [PacketResult]) {
        let mut state = self.state();
        for (packet, result) in octets.chunks_mut(Self::PACKET).zip(results) {
            *result = state.packet(source, packet);
        }
    }

    /// A panic in another thread leaves keys and periods that are each valid by themselves.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Descrambler for std::sync::Arc<SoftDescrambler> {
    fn load_ladder(&mut self, keys: &LadderKeys<'_>) -> Result<(), Refused> {
        SoftDescrambler::load_ladder(self, keys.ek2, keys.ek1);
        Ok(())
    }

    fn set_control_words(
        &mut self,
        words: &ControlWords<'_>,
        _period_ms: u32,
    ) -> Result<(), Refused> {
        SoftDescrambler::set_control_words(self, words).map_err(|error| match error {
            KeyError::NoLadder => Refused(error.to_string()),
            KeyError::Mode(_) => Refused(format!("{error}; 0x01, 0x02 and 0x10 work")),
        })
    }

    fn clear(&mut self, session: SessionId) {
        SoftDescrambler::clear(self, session);
    }
}

/// Why control words cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyError {
    /// No pairing is loaded into the key ladder.
    NoLadder,
    /// The service is scrambled in a way that this descrambler does not know.
    Mode(ScramblingMode),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLadder => f.write_str("no pairing is loaded into the key ladder"),
            Self::Mode(mode) => {
                write!(f, "scrambling_mode 0x{:02X} is neither CSA nor CISSA version 1", mode.0)
            }
        }
    }
}

impl std::error::Error for KeyError {}

impl State {
    fn set_control_words(&mut self, words: &ControlWords<'_>) -> Result<(), KeyError> {
        let algorithm = match words.mode {
            ScramblingMode::CSA1 | ScramblingMode::CSA2 => Algorithm::Csa2,
            ScramblingMode::CISSA => Algorithm::Cissa,
            other => return Err(KeyError::Mode(other)),
        };
        let ladder = &self.ladder;
        let even = ladder.control_word(words.even).ok_or(KeyError::NoLadder)?;
        let odd = ladder.control_word(words.odd).ok_or(KeyError::NoLadder)?;
        let slot = self.slot(words, algorithm);
        let current = words.crypto_period;
        let next = current.wrapping_add(1);
        let (current_word, next_word) = match Parity::of_crypto_period(current) {
            Parity::Even => (even, odd),
            Parity::Odd => (odd, even),
        };
        let before = current.wrapping_sub(1);
        slot.keys.retain(|(period, _)| *period == before);
        slot.keys.push((current, PayloadCipher::new(algorithm, &current_word)));
        slot.keys.push((next, PayloadCipher::new(algorithm, &next_word)));
        slot.current = current;
        slot.streams.retain(|stream| words.es_pids.contains(&stream.pid));
        for pid in words.es_pids {
            if !slot.streams.iter().any(|stream| stream.pid == *pid) {
                slot.streams.push(Stream { pid: *pid, period: None });
            }
        }
        slot.streams.iter_mut().for_each(|stream| stream.follow(current));
        Ok(())
    }

    /// The slot of this ECM stream under this algorithm, made when there is none.
    fn slot(&mut self, words: &ControlWords<'_>, algorithm: Algorithm) -> &mut Slot {
        self.slots.retain(|slot| {
            slot.session != words.session
                || slot.ecm_pid != words.ecm_pid
                || slot.algorithm == algorithm
        });
        let found = self.slots.iter().position(|slot| {
            slot.session == words.session
                && slot.source == words.source
                && slot.ecm_pid == words.ecm_pid
                && slot.algorithm == algorithm
        });
        let index = found.unwrap_or_else(|| {
            self.slots.push(Slot {
                session: words.session,
                source: words.source,
                ecm_pid: words.ecm_pid,
                algorithm,
                current: words.crypto_period,
                keys: Vec::with_capacity(3),
                streams: Vec::with_capacity(words.es_pids.len()),
            });
            self.slots.len() - 1
        });
        &mut self.slots[index]
    }

    fn packet(&mut self, source: u8, packet: &mut [u8]) -> PacketResult {
        let Some(layout) = Layout::of(packet) else { return PacketResult::Malformed };
        let Some(parity) = layout.parity else { return PacketResult::Clear };
        let mut result = PacketResult::NoKey;
        for slot in self.slots.iter_mut().filter(|slot| slot.source == source) {
            let Some(stream) = slot.streams.iter_mut().find(|stream| stream.pid == layout.pid)
            else {
                continue;
            };
            let period = stream.see(parity, slot.current);
            let key = slot.keys.iter().find(|(of, _)| *of == period);
            if let (Some((_, key)), PacketResult::NoKey) = (key, result) {
                if let Some(payload) = packet.get_mut(layout.payload..) {
                    key.descramble(payload);
                }
                if let Some(flags) = packet.get_mut(3) {
                    *flags &= 0x3F;
                }
                result = PacketResult::Descrambled;
            }
        }
        result
    }
}

impl Stream {
    /// How many periods the newest ECM may lag behind the stream before it is taken for another
    /// numbering (a head-end that started afresh) rather than for a late answer.
    const LATE: i32 = 3;

    /// A packet of this parity has come: the crypto period that it belongs to. A stream that
    /// toggled has left its period for good, so that the key of that period is never tried on a
    /// later one of the same parity.
    fn see(&mut self, parity: Parity, current: u32) -> u32 {
        let period = match self.period {
            Some(period) if Parity::of_crypto_period(period) == parity => period,
            Some(period) => period.wrapping_add(1),
            None if Parity::of_crypto_period(current) == parity => current,
            None => current.wrapping_add(1),
        };
        self.period = Some(period);
        period
    }

    /// New control words say which period is on air. One period of difference is the distance
    /// between ECM and packets; when the stream is further back, packets were missed, and the
    /// next one counts afresh.
    fn follow(&mut self, current: u32) {
        if let Some(period) = self.period {
            let ahead = current.wrapping_sub(period).cast_signed();
            if !(-Self::LATE..=1).contains(&ahead) {
                self.period = None;
            }
        }
    }
}

/// Where the scrambled part of a packet is.
struct Layout {
    pid: Pid,
    /// `None`: transport_scrambling_control 00.
    parity: Option<Parity>,
    /// Where the payload starts; 188 when there is none.
    payload: usize,
}

impl Layout {
    fn of(packet: &[u8]) -> Option<Self> {
        let packet: &[u8; SoftDescrambler::PACKET] = packet.try_into().ok()?;
        let &[0x47, high, low, flags, adaptation_length, ..] = packet else { return None };
        let pid = Pid::from_field(u16::from_be_bytes([high, low]));
        let parity = match flags >> 6 {
            0b00 => return Some(Self { pid, parity: None, payload: SoftDescrambler::PACKET }),
            0b10 => Parity::Even,
            0b11 => Parity::Odd,
            _ => return None,
        };
        let payload = match flags >> 4 & 0b11 {
            0b01 => 4,
            0b10 => SoftDescrambler::PACKET,
            0b11 if adaptation_length <= 182 => 5 + usize::from(adaptation_length),
            _ => return None,
        };
        Some(Self { pid, parity: Some(parity), payload })
    }
}

#[cfg(test)]
mod tests;
