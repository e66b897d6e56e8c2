// SPDX-License-Identifier: Apache-2.0
//! How packets are scrambled: what the PMT signals, checked against the control words.
//!
//! A CA_PMT has no scrambling_descriptor, and head-ends forget or mistake it. The ECM's control
//! words cannot be mistaken: their length says CSA or CISSA.
//!
//! Normative references:
//!  - ETSI EN 300 468 §6.2.32 (scrambling_descriptor)

use ecm_emm::ecm::EcmKind;

/// scrambling_mode of the scrambling_descriptor (ETSI EN 300 468 §6.2.32). A mode never heard of
/// keeps its number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ScramblingMode(pub u8);

impl ScramblingMode {
    /// DVB-CSA1.
    pub const CSA1: Self = Self(0x01);
    /// DVB-CSA2: what a programme without the descriptor uses.
    pub const CSA2: Self = Self(0x02);
    /// DVB-CISSA version 1.
    pub const CISSA: Self = Self(0x10);
}

impl ScramblingMode {
    /// The mode for these control words: as signalled, unless their length contradicts it.
    pub(crate) fn of(signalled: Option<Self>, words: EcmKind) -> Self {
        let agrees = |mode: &Self| mode.words().is_none_or(|known| known == words);
        signalled.filter(agrees).unwrap_or(match words {
            EcmKind::Words128 => Self::CISSA,
            EcmKind::Words64 | EcmKind::Offer => Self::CSA2,
        })
    }

    /// The control words of this mode; `None` for one never heard of.
    const fn words(self) -> Option<EcmKind> {
        match self.0 {
            // DVB-CSA1 and 2.
            0x01 | 0x02 => Some(EcmKind::Words64),
            // DVB-CSA3, DVB-CISSA, ATIS.
            0x03..=0x05 | 0x10..=0x1F | 0x70..=0x7F => Some(EcmKind::Words128),
            _ => None,
        }
    }
}

/// A scrambling mode that was signalled, and the other one that is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Disagreement {
    pub(crate) signalled: ScramblingMode,
    pub(crate) used: ScramblingMode,
}
