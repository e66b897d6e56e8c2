// SPDX-License-Identifier: Apache-2.0
//! A descrambler in software, with its key ladder.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.3 (transport packet), ETSI ETR 289 (transport_scrambling_control)
//!  - `docs/spec/abi.md`, "Software descrambler"

mod follower;

use crate::cipher::PayloadCipher;
use crate::clock;
use crate::descrambler::{Descrambler, LadderKeys, Refused};
use crate::ladder::Ladder;
use cam_core::{Ecw, ScramblingMode, SessionId};
use cam_types::transport::{PACKET, SYNC};
use cam_types::{ControlWord, Instant, Key, Parity, Pid};
use ecm_emm::dvs042::Scte52Ivs;
use ecm_emm::scrambling::Algorithm;
use follower::{Follower, Renewed, Sight};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// packet_start_code_prefix of a PES packet (ISO/IEC 13818-1 §2.4.3.7).
const START_CODE: [u8; 3] = [0x00, 0x00, 0x01];

/// What became of one packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum PacketResult {
    /// It was not scrambled; it is untouched.
    Clear = 0,
    /// It was scrambled and is now in clear, its transport_scrambling_control set to 00.
    Descrambled = 1,
    /// It is scrambled, and its key is not here or not known for certain; it is untouched.
    NoKey = 2,
    /// It is damaged, or no transport packet of 188 octets; it is untouched.
    Malformed = 3,
}

/// A descrambler in software, with its key ladder. Any number of threads may use it at once.
pub struct SoftDescrambler {
    state: Mutex<State>,
}

struct State {
    ladder: Ladder,
    scte52: Scte52Ivs,
    slots: Vec<Slot>,
}

/// The keys of one ECM stream.
struct Slot {
    session: SessionId,
    source: u8,
    ecm_pid: Pid,
    algorithm: Algorithm,
    /// By crypto period: those that `follower` says are held.
    keys: Vec<(u32, HeldKey)>,
    follower: Follower,
}

/// A control word, and the cipher that works with it.
struct HeldKey {
    cw: ControlWord,
    cipher: PayloadCipher,
}

impl SoftDescrambler {
    /// A descrambler whose key ladder has this root key.
    pub fn new(root: &Key) -> Self {
        let (ladder, scte52) = (Ladder::new(root), Scte52Ivs::default());
        Self { state: Mutex::new(State { ladder, scte52, slots: Vec::new() }) }
    }

    /// The initialisation vectors of the network's SCTE 52, for control words that come after.
    pub fn set_scte52_ivs(&self, ivs: Scte52Ivs) {
        self.state().scte52 = ivs;
    }

    /// Loads the two encrypted keys of a pairing. Control words that came before stay.
    pub fn load_ladder(&self, ek2: &Key, ek1: &Key) {
        self.state().ladder.load(ek2.expose(), ek1.expose());
    }

    /// Takes the control words of an ECM. `period` is the length of a crypto period, once measured.
    pub fn set_cw(&self, ecw: &Ecw<'_>, period: Option<Duration>) -> Result<(), KeyError> {
        self.state().set_cw(clock::now(), ecw, period)
    }

    /// Wipes the keys of a session.
    pub fn clear(&self, session: SessionId) {
        self.state().slots.retain(|slot| slot.session != session);
    }

    /// Descrambles packets in place, and tells what became of each. A last piece shorter than a
    /// packet is malformed.
    pub fn packets(&self, source: u8, octets: &mut [u8], tell: impl FnMut(PacketResult)) {
        self.packets_at(clock::now(), source, octets, tell);
    }

    fn packets_at(
        &self,
        now: Instant,
        source: u8,
        octets: &mut [u8],
        tell: impl FnMut(PacketResult),
    ) {
        let mut state = self.state();
        let packets = octets.chunks_mut(PACKET);
        packets.map(|packet| state.packet(now, source, packet)).for_each(tell);
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

    fn set_cw(&mut self, ecw: &Ecw<'_>, period_ms: u32) -> Result<(), Refused> {
        let period = (period_ms > 0).then(|| Duration::from_millis(period_ms.into()));
        SoftDescrambler::set_cw(self, ecw, period).map_err(|error| Refused(error.to_string()))
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
            Self::NoLadder => {
                f.write_str("no pairing is loaded into the key ladder; load_ladder comes before")
            }
            Self::Mode(mode) => write!(
                f,
                "scrambling_mode 0x{:02X} is not one of the software descrambler's; 0x01, 0x02, 0x10, \
                 0x70 and 0xDE work",
                mode.0
            ),
        }
    }
}

impl std::error::Error for KeyError {}

impl State {
    fn set_cw(
        &mut self,
        now: Instant,
        ecw: &Ecw<'_>,
        period: Option<Duration>,
    ) -> Result<(), KeyError> {
        let algorithm = ecw.mode.algorithm().ok_or(KeyError::Mode(ecw.mode))?;
        let ladder = &self.ladder;
        let even = ladder.cw(ecw.even).ok_or(KeyError::NoLadder)?;
        let odd = ladder.cw(ecw.odd).ok_or(KeyError::NoLadder)?;
        let number = ecw.crypto_period;
        let both = match Parity::of_crypto_period(number) {
            Parity::Even => [even, odd],
            Parity::Odd => [odd, even],
        };
        let ivs = self.scte52;
        let slot = self.slot(now, ecw, algorithm);
        slot.answered(now, number, both, &ivs);
        slot.follower.set_period(period);
        slot.follower.set_pids(ecw.es_pids);
        Ok(())
    }

    /// The slot of this ECM stream under this algorithm, made when there is none.
    fn slot(&mut self, now: Instant, ecw: &Ecw<'_>, algorithm: Algorithm) -> &mut Slot {
        self.slots.retain(|slot| {
            slot.session != ecw.session
                || slot.ecm_pid != ecw.ecm_pid
                || slot.algorithm == algorithm
        });
        let found = self.slots.iter().position(|slot| {
            slot.session == ecw.session
                && slot.source == ecw.source
                && slot.ecm_pid == ecw.ecm_pid
                && slot.algorithm == algorithm
        });
        let index = found.unwrap_or_else(|| {
            self.slots.push(Slot {
                session: ecw.session,
                source: ecw.source,
                ecm_pid: ecw.ecm_pid,
                algorithm,
                keys: Vec::with_capacity(4),
                follower: Follower::new(now, ecw.crypto_period),
            });
            self.slots.len() - 1
        });
        &mut self.slots[index]
    }

    fn packet(&mut self, now: Instant, source: u8, packet: &mut [u8]) -> PacketResult {
        let Some(layout) = Layout::of(packet) else { return PacketResult::Malformed };
        let Some(parity) = layout.parity else { return PacketResult::Clear };
        let mut result = PacketResult::NoKey;
        let slots = self.slots.iter_mut().filter(|slot| slot.source == source);
        for slot in slots.filter(|slot| slot.follower.follows(layout.pid)) {
            // Another session on the same stream has descrambled it: only its parity is left to
            // see.
            let payload = match result {
                PacketResult::NoKey => packet.get_mut(layout.payload..),
                _ => None,
            };
            if slot.packet(now, &layout, parity, payload) == PacketResult::Descrambled {
                if let Some(flags) = packet.get_mut(3) {
                    *flags &= 0x3F;
                }
                result = PacketResult::Descrambled;
            }
        }
        result
    }
}

impl Slot {
    /// The control words of a crypto period and the one after it have come.
    fn answered(&mut self, now: Instant, number: u32, cws: [ControlWord; 2], ivs: &Scte52Ivs) {
        let [current, _] = &cws;
        let held = self.keys.iter().find(|(period, _)| *period == number);
        let renewed = if held.is_some_and(|(_, key)| key.cw == *current) {
            Renewed::No
        } else {
            Renewed::Yes
        };
        self.follower.answered(now, number, renewed);
        let former = number.wrapping_sub(1);
        let has_former = self.follower.held().any(|held| held == former);
        self.keys.retain(|(period, _)| has_former && *period == former);
        for (period, cw) in [number, number.wrapping_add(1)].into_iter().zip(cws) {
            let cipher = PayloadCipher::new(self.algorithm, &cw, ivs);
            self.keys.push((period, HeldKey { cw, cipher }));
        }
    }

    /// Descrambles a payload, if its control word is known. Without a payload nothing but its
    /// parity is seen.
    fn packet(
        &mut self,
        now: Instant,
        layout: &Layout,
        parity: Parity,
        payload: Option<&mut [u8]>,
    ) -> PacketResult {
        let Self { keys, follower, algorithm, .. } = self;
        let cipher =
            |of: u32| keys.iter().find(|(period, _)| *period == of).map(|(_, key)| &key.cipher);
        // One that is scrambled, and long enough to show a start code.
        let least = algorithm.shortest().max(START_CODE.len());
        let starts =
            payload.as_deref().filter(|payload| layout.unit_start && payload.len() >= least);
        let mut tried = [0; PACKET];
        let mut probe = |period: u32| {
            let (Some(cipher), Some(payload)) = (cipher(period), starts) else { return false };
            let Some(tried) = tried.get_mut(..payload.len()) else { return false };
            tried.copy_from_slice(payload);
            cipher.descramble(tried);
            tried.starts_with(&START_CODE)
        };
        let probe: Option<follower::Probe<'_>> = match starts {
            Some(_) => Some(&mut probe),
            None => None,
        };
        let period = follower.packet(now, Sight { pid: layout.pid, parity, probe });
        match (period.and_then(cipher), payload) {
            (Some(cipher), Some(payload)) => {
                cipher.descramble(payload);
                PacketResult::Descrambled
            }
            _ => PacketResult::NoKey,
        }
    }
}

/// Where the scrambled part of a packet is.
struct Layout {
    pid: Pid,
    /// `None`: transport_scrambling_control 00.
    parity: Option<Parity>,
    /// payload_unit_start_indicator: a PES packet or a section starts here.
    unit_start: bool,
    /// Where the payload starts; 188 when there is none.
    payload: usize,
}

impl Layout {
    fn of(packet: &[u8]) -> Option<Self> {
        let packet: &[u8; PACKET] = packet.try_into().ok()?;
        let &[SYNC, high, low, flags, adaptation_length, ..] = packet else { return None };
        let [error, unit_start] = [0x80, 0x40].map(|indicator| high & indicator != 0);
        if error {
            return None;
        }
        let pid = Pid::from_field(u16::from_be_bytes([high, low]));
        let parity = match flags >> 6 {
            0b00 => None,
            0b10 => Some(Parity::Even),
            0b11 => Some(Parity::Odd),
            _ => return None,
        };
        let payload = match flags >> 4 & 0b11 {
            _ if parity.is_none() => PACKET,
            0b01 => 4,
            0b10 => PACKET,
            0b11 if adaptation_length <= 182 => 5 + usize::from(adaptation_length),
            _ => return None,
        };
        Some(Self { pid, parity, unit_start, payload })
    }
}

#[cfg(test)]
mod tests;
