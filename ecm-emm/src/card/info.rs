// SPDX-License-Identifier: Apache-2.0
//! CAS INFO: the card introduces itself.
//!
//! Normative references:
//!  - `docs/spec/card.md`, 3 (its elements)

use super::report::ReportRequest;
use crate::element;
use crate::error::EncodeError;
use alloc::vec::Vec;
use cam_types::{CasTime, DecodeError, Epoch, OperatorId, Pseudonym, Reader};

/// What CAS INFO says: a flat list of elements, unknown ones passed over.
///
/// Everything in it may be known without a session: no rights, no money, no key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CardInfo {
    /// Version of the CAS application: 0102, as its messages are those of version 1.2.
    pub version: u16,
    /// What the card is called on the air.
    pub pseudonym: Pseudonym,
    /// The operator has blocked the card.
    pub blocked: bool,
    /// Bit n: pairing slot n is taken.
    pub pairing_slots: u8,
    /// Tries that the PIN has left.
    pub pin_tries: u8,
    /// The operators that the card serves; at most [`CardInfo::MAX_OPERATORS`].
    pub operators: Vec<OperatorInfo>,
    /// The card's group addresses by index.
    pub groups: Vec<(u8, u32)>,
    /// Its service keys by slot.
    pub slots: Vec<SlotInfo>,
    /// Its EMM windows by key.
    pub windows: Vec<WindowInfo>,
    /// The card's clock.
    pub now: CasTime,
    /// The last time that the operator set.
    pub sync: CasTime,
    /// The report that the operator has asked for and not acknowledged.
    pub report: Option<ReportRequest>,
}

/// What the card has of one operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OperatorInfo {
    /// Whose cards and services these are.
    pub operator: OperatorId,
    /// Bit n: suite n is allowed.
    pub suites_allowed: u16,
    /// The EMM level that the card has reached.
    pub emm_level: u16,
}

/// Generations of one key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyInfo {
    /// In use.
    pub active: Epoch,
    /// The newest that the card holds.
    pub newest: Epoch,
    /// The lowest that it would still take.
    pub floor: Epoch,
}

/// What the card has in one service key slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SlotInfo {
    /// 0 to 15.
    pub slot: u8,
    /// The number of the suite of its newest generation.
    pub suite: u8,
    /// Its generations.
    pub key: KeyInfo,
}

/// The window of one key generation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WindowInfo {
    /// The key's role.
    pub role: u8,
    /// The group index for role 12, else 0.
    pub index: u8,
    /// The key's generation.
    pub epoch: Epoch,
    /// The highest number applied.
    pub hi: u32,
}

impl CardInfo {
    /// How many operators are kept of an answer, of whatever a card reports.
    pub const MAX_OPERATORS: usize = 4;
    /// How many group addresses.
    pub const MAX_GROUPS: usize = 8;
    /// How many service keys.
    pub const MAX_SLOTS: usize = 16;
    /// How many windows.
    pub const MAX_WINDOWS: usize = 24;

    /// The longest answer: it fits one protected response.
    pub const MAX_LEN: usize = 239;

    /// Version, card, clock and the heads of three lists.
    const FIXED_LEN: usize = 4 + 13 + 10 + 3 * 2;
    const VERSION: u8 = 0x01;
    const CARD: u8 = 0x02;
    const OPERATOR: u8 = 0x03;
    const GROUPS: u8 = 0x04;
    const SLOTS: u8 = 0x05;
    const WINDOWS: u8 = 0x06;
    const CLOCK: u8 = 0x07;
    const REPORT: u8 = 0x08;

    /// Takes the whole answer without its status word.
    pub fn parse(data: &[u8]) -> Result<Self, DecodeError> {
        let mut info = Self::default();
        let mut r = Reader::new(data);
        while !r.is_empty() {
            let (tag, value) = element::read(
                &mut r,
                ["information tag", "information length", "information value"],
            )?;
            info.read(tag, Reader::new(value))?;
        }
        Ok(info)
    }

    /// Appends the answer.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        EncodeError::check("list of operators", self.operators.len(), Self::MAX_OPERATORS)?;
        EncodeError::check("list of groups", self.groups.len(), Self::MAX_GROUPS)?;
        EncodeError::check("list of slots", self.slots.len(), Self::MAX_SLOTS)?;
        EncodeError::check("list of windows", self.windows.len(), Self::MAX_WINDOWS)?;
        let octets = Self::FIXED_LEN
            + self.operators.len() * 8
            + self.groups.len() * 5
            + (self.slots.len() + self.windows.len()) * 8
            + self.report.map_or(0, |_| 2 + ReportRequest::LEN);
        EncodeError::check("card information", octets, Self::MAX_LEN)?;
        out.extend([Self::VERSION, 2]);
        out.extend(self.version.to_be_bytes());
        out.extend([Self::CARD, 11]);
        out.extend_from_slice(self.pseudonym.octets());
        out.extend([self.blocked.into(), self.pairing_slots, self.pin_tries]);
        for operator in &self.operators {
            out.extend([Self::OPERATOR, 6]);
            out.extend(operator.operator.to_be_bytes());
            out.extend(operator.suites_allowed.to_be_bytes());
            out.extend(operator.emm_level.to_be_bytes());
        }
        out.extend([Self::GROUPS, self.groups.len() as u8 * 5]);
        for (index, group) in &self.groups {
            out.push(*index);
            out.extend(group.to_be_bytes());
        }
        out.extend([Self::SLOTS, self.slots.len() as u8 * 8]);
        for SlotInfo { slot, suite, key } in &self.slots {
            out.extend([*slot, *suite]);
            out.extend(key.active.to_be_bytes());
            out.extend(key.newest.to_be_bytes());
            out.extend(key.floor.to_be_bytes());
        }
        out.extend([Self::WINDOWS, self.windows.len() as u8 * 8]);
        for window in &self.windows {
            out.extend([window.role, window.index]);
            out.extend(window.epoch.to_be_bytes());
            out.extend(window.hi.to_be_bytes());
        }
        out.extend([Self::CLOCK, 8]);
        out.extend(self.now.to_be_bytes());
        out.extend(self.sync.to_be_bytes());
        if let Some(report) = &self.report {
            out.extend([Self::REPORT, ReportRequest::LEN as u8]);
            report.emit(out);
        }
        Ok(())
    }

    fn read(&mut self, tag: u8, mut r: Reader<'_>) -> Result<(), DecodeError> {
        match tag {
            Self::VERSION => self.version = r.u16("version")?,
            Self::CARD => {
                self.pseudonym = Pseudonym::new(*r.array("pseudonym")?);
                self.blocked = r.u8("card state")? != 0;
                self.pairing_slots = r.u8("pairing slots")?;
                self.pin_tries = r.u8("PIN tries")?;
            }
            Self::OPERATOR => {
                let operator = OperatorInfo {
                    operator: OperatorId::from_be_bytes(*r.array("operator")?),
                    suites_allowed: r.u16("suites allowed")?,
                    emm_level: r.u16("EMM level")?,
                };
                keep(&mut self.operators, operator, Self::MAX_OPERATORS);
            }
            Self::GROUPS => {
                while !r.is_empty() {
                    let group = (r.u8("group index")?, r.u32("group address")?);
                    keep(&mut self.groups, group, Self::MAX_GROUPS);
                }
            }
            Self::SLOTS => {
                while !r.is_empty() {
                    let slot = SlotInfo {
                        slot: r.u8("slot")?,
                        suite: r.u8("suite")?,
                        key: KeyInfo {
                            active: Epoch::from_be_bytes(*r.array("active epoch")?),
                            newest: Epoch::from_be_bytes(*r.array("newest epoch")?),
                            floor: Epoch::from_be_bytes(*r.array("floor")?),
                        },
                    };
                    keep(&mut self.slots, slot, Self::MAX_SLOTS);
                }
            }
            Self::WINDOWS => {
                while !r.is_empty() {
                    let window = WindowInfo {
                        role: r.u8("key role")?,
                        index: r.u8("group index")?,
                        epoch: Epoch::from_be_bytes(*r.array("epoch")?),
                        hi: r.u32("highest number")?,
                    };
                    keep(&mut self.windows, window, Self::MAX_WINDOWS);
                }
            }
            Self::CLOCK => {
                self.now = CasTime::from_be_bytes(*r.array("card time")?);
                self.sync = CasTime::from_be_bytes(*r.array("synchronised time")?);
            }
            Self::REPORT => self.report = Some(ReportRequest::read(&mut r)?),
            _ => return Ok(()),
        }
        r.finish("information element")
    }
}

/// A card that reports more than there can be does not make us keep more.
fn keep<T>(list: &mut Vec<T>, item: T, limit: usize) {
    if list.len() < limit {
        list.push(item);
    }
}
