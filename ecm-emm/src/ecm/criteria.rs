// SPDX-License-Identifier: Apache-2.0
//! Access criteria: who may watch, at what price, where and until when.
//!
//! Normative references:
//!  - `docs/spec/ecm.md`, sections on fields and access criteria
//!  - ETSI EN 300 468 §6.2.28 (parental rating)

use crate::element;
use crate::error::EncodeError;
use crate::number::{check, named};
use alloc::vec::Vec;
use cam_types::{CasTime, DecodeError, Epoch, EventId, Fen, PackageId, Reader};

/// Copy control information, 8 bits. Bits 7 to 5 are sent 0 and not looked at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cci(pub u8);

impl Cci {
    /// Bits 1 and 0: 0 copy freely, 1 copy no more, 2 copy once, 3 copy never.
    pub const fn copy_control(self) -> u8 {
        self.0 & 0x03
    }

    /// Bits 3 and 2: analogue protection, 0 off.
    pub const fn analogue_protection(self) -> u8 {
        self.0 >> 2 & 0x03
    }

    /// Bit 4: no redistribution over a network.
    pub const fn redistribution_barred(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// A recording may be kept.
    pub const fn recording_allowed(self) -> bool {
        matches!(self.copy_control(), 0 | 2)
    }
}

/// Parental rating as DVB codes it: 0 none, 1 to 15 the least age less three.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Rating(pub u8);

impl Rating {
    /// The least age; everything over 15 is an operator's own and counts as 18.
    pub const fn minimum_age(self) -> Option<u8> {
        match self.0 {
            0 => None,
            1..=15 => Some(self.0 + 3),
            _ => Some(18),
        }
    }
}

/// Where a programme may be watched: bit n stands for region n.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Regions(pub u16);

impl Regions {
    /// Everywhere.
    pub const ALL: Self = Self(0xFFFF);

    /// May be watched in this region, 0 to 15.
    pub const fn contains(self, region: u8) -> bool {
        region < 16 && self.0 >> region & 1 != 0
    }
}

/// Where a programme is blacked out: bit n stands for region n.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Blackout(pub u16);

impl Blackout {
    /// Blacked out in this region; a region over 15 is not known and is.
    pub const fn contains(self, region: u8) -> bool {
        region >= 16 || self.0 >> region & 1 != 0
    }
}

/// A mark of the card on the screen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fingerprint {
    /// Bit 0: covert. The others are sent 0.
    pub flags: u8,
    /// How long it stays.
    pub seconds: u8,
}

impl Fingerprint {
    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { flags: r.u8("fingerprint flags")?, seconds: r.u8("fingerprint seconds")? })
    }

    /// As ECM and EMM carry it.
    pub const fn octets(self) -> [u8; 2] {
        [self.flags, self.seconds]
    }

    /// The subscriber is not to see it.
    pub const fn is_covert(self) -> bool {
        self.flags & 0x01 != 0
    }
}

/// Pay per view: a right for one event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ppv {
    /// What is sold, by the operator's number.
    pub event: EventId,
    /// What it costs.
    pub price: Fen,
    /// Which edition of it.
    pub tier: u8,
    /// When it begins.
    pub start: CasTime,
    /// When the right for it ends.
    pub end: CasTime,
    /// How long it may be watched before it is bought.
    pub preview_s: u8,
}

/// Pay per time: a right for a slice of time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ppt {
    /// What is sold, by the operator's number.
    pub event: EventId,
    /// What a slice costs.
    pub price: Fen,
    /// How long a slice is; at least [`Ppt::MIN_SLICE_S`].
    pub slice_s: u16,
}

impl Ppt {
    /// Shorter slices are refused.
    pub const MIN_SLICE_S: u16 = 300;
}

/// Any of packages, PPV, PPT and `free` gives access; none of them present means denied.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Criteria {
    /// Any of these packages opens it.
    pub packages: Vec<PackageId>,
    /// The event opens it.
    pub ppv: Option<Ppv>,
    /// It is open to every card with the service key.
    pub free: bool,
    /// A slice of time opens it.
    pub ppt: Option<Ppt>,
    /// Vetoes, whatever opens it.
    pub blackout: Option<Blackout>,
    /// To be shown while it is on.
    pub fingerprint: Option<Fingerprint>,
    /// The next generation of the service key and when it will be in use.
    pub next_epoch: Option<(Epoch, CasTime)>,
    /// The EMM level that ECMs will ask for, and from when on.
    pub floor_ahead: Option<(u16, CasTime)>,
}

impl Criteria {
    const SUB: u8 = 0x01;
    const PPV: u8 = 0x02;
    const FREE: u8 = 0x03;
    const PPT: u8 = 0x04;
    const BLACKOUT: u8 = 0x05;
    const FINGERPRINT: u8 = 0x06;
    const NEXT_EPOCH: u8 = 0x08;
    const FLOOR_AHEAD: u8 = 0x0E;
    /// A card that does not know the tag must refuse the ECM.
    const CRITICAL: u8 = 0x80;

    /// Takes elements up to the end. Unknown ones are passed over unless they are critical.
    pub(super) fn parse(mut r: Reader<'_>) -> Result<Self, DecodeError> {
        let mut criteria = Self::default();
        let mut seen = 0_u128;
        while !r.is_empty() {
            let (tag, value) =
                element::read(&mut r, ["criteria tag", "criteria length", "criteria value"])?;
            let mut value = Reader::new(value);
            let number = tag & !Self::CRITICAL;
            let bit = 1_u128 << number;
            if seen & bit != 0 {
                return Err(DecodeError::Invalid { field: "repeated tag", got: tag.into() });
            }
            seen |= bit;
            match number {
                Self::SUB => {
                    while !value.is_empty() {
                        let package = PackageId::from_be_bytes(*value.array("package")?);
                        criteria.packages.push(package);
                    }
                    if criteria.packages.is_empty() {
                        return Err(DecodeError::Missing("package"));
                    }
                }
                Self::PPV => criteria.ppv = Some(Ppv::read(&mut value)?),
                Self::FREE => criteria.free = true,
                Self::PPT => criteria.ppt = Some(Ppt::read(&mut value)?),
                Self::BLACKOUT => criteria.blackout = Some(Blackout(value.u16("blackout")?)),
                Self::FINGERPRINT => criteria.fingerprint = Some(Fingerprint::read(&mut value)?),
                Self::NEXT_EPOCH => {
                    let epoch = Epoch::from_be_bytes(*value.array("next epoch")?);
                    let epoch = named(epoch, "next epoch")?;
                    let at = CasTime::from_be_bytes(*value.array("next epoch's time")?);
                    criteria.next_epoch = Some((epoch, at));
                }
                Self::FLOOR_AHEAD => {
                    let level = named(value.u16("floor ahead")?, "floor ahead")?;
                    let at = CasTime::from_be_bytes(*value.array("time of the floor ahead")?);
                    criteria.floor_ahead = Some((level, at));
                }
                _ if tag & Self::CRITICAL != 0 => return Err(DecodeError::Unknown { tag }),
                _ => value = Reader::new(&[]),
            }
            value.finish("criteria value")?;
        }
        Ok(criteria)
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !self.packages.is_empty() {
            let len = self.packages.len() * 2;
            EncodeError::check("list of packages", len, 0xFF)?;
            out.extend([Self::SUB, len as u8]);
            out.extend(self.packages.iter().flat_map(|package| package.to_be_bytes()));
        }
        if let Some(ppv) = &self.ppv {
            ppv.emit(out)?;
        }
        if self.free {
            out.extend([Self::FREE, 0]);
        }
        if let Some(ppt) = &self.ppt {
            ppt.emit(out)?;
        }
        if let Some(Blackout(mask)) = self.blackout {
            // A card that passed over it would show what must not be shown.
            out.extend([Self::CRITICAL | Self::BLACKOUT, 2]);
            out.extend(mask.to_be_bytes());
        }
        if let Some(fingerprint) = self.fingerprint {
            out.extend([Self::FINGERPRINT, 2]);
            out.extend(fingerprint.octets());
        }
        if let Some((epoch, at)) = self.next_epoch {
            check(epoch, "next epoch")?;
            out.extend([Self::NEXT_EPOCH, 6]);
            out.extend(epoch.to_be_bytes());
            out.extend(at.to_be_bytes());
        }
        if let Some((level, at)) = self.floor_ahead {
            check(level, "floor ahead")?;
            out.extend([Self::FLOOR_AHEAD, 6]);
            out.extend(level.to_be_bytes());
            out.extend(at.to_be_bytes());
        }
        Ok(())
    }
}

impl Ppv {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ppv = Self {
            event: named(EventId::from_be_bytes(*r.array("PPV event")?), "PPV event")?,
            price: Fen::from_be_bytes(*r.array("PPV price")?),
            tier: r.u8("PPV tier")?,
            start: CasTime::from_be_bytes(*r.array("PPV start")?),
            end: CasTime::from_be_bytes(*r.array("PPV end")?),
            preview_s: r.u8("PPV preview")?,
        };
        if ppv.start < ppv.end {
            Ok(ppv)
        } else {
            Err(DecodeError::Invalid { field: "PPV end", got: ppv.end.seconds() })
        }
    }

    fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.start >= self.end {
            return Err(EncodeError::Invalid("PPV end"));
        }
        check(self.event, "PPV event")?;
        out.extend([Criteria::PPV, 18]);
        out.extend(self.event.to_be_bytes());
        out.extend(self.price.to_be_bytes());
        out.push(self.tier);
        out.extend(self.start.to_be_bytes());
        out.extend(self.end.to_be_bytes());
        out.push(self.preview_s);
        Ok(())
    }
}

impl Ppt {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ppt = Self {
            event: named(EventId::from_be_bytes(*r.array("PPT event")?), "PPT event")?,
            price: Fen::from_be_bytes(*r.array("PPT price")?),
            slice_s: r.u16("PPT slice")?,
        };
        if ppt.slice_s >= Self::MIN_SLICE_S {
            Ok(ppt)
        } else {
            Err(DecodeError::Invalid { field: "PPT slice", got: ppt.slice_s.into() })
        }
    }

    fn emit(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.slice_s < Self::MIN_SLICE_S {
            return Err(EncodeError::Invalid("PPT slice"));
        }
        check(self.event, "PPT event")?;
        out.extend([Criteria::PPT, 10]);
        out.extend(self.event.to_be_bytes());
        out.extend(self.price.to_be_bytes());
        out.extend(self.slice_s.to_be_bytes());
        Ok(())
    }
}
