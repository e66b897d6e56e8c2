// SPDX-License-Identifier: Apache-2.0
//! How the packets of a service are scrambled: modes, as tables signal them, and the algorithms
//! that this project computes.
//!
//! A CA_PMT has no scrambling_descriptor, and head-ends forget or mistake it. The ECM's control
//! words cannot be mistaken: their length says CSA or CISSA.
//!
//! Normative references:
//!  - ETSI EN 300 468 §6.2.32 (scrambling_descriptor)
//!  - ETSI ETR 289 (DVB-CSA), ETSI TS 103 127 (DVB-CISSA), ANSI/SCTE 52, ATIS-0800006 (IDSA)
//!  - `docs/spec/scrambling.md`

use crate::ecm::EcmKind;
use core::fmt;

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
    /// ATIS-0800006, IDSA.
    pub const IDSA: Self = Self(0x70);
    /// SCTE 52. No standard gives it a number: this one is of those that EN 300 468 leaves to the
    /// user.
    pub const SCTE52: Self = Self(0xDE);

    /// What is known of a mode: the length of its control words, and how it is computed.
    const fn row(self) -> Option<(EcmKind, Option<Algorithm>)> {
        Some(match self {
            // They differ in the control words' entropy alone.
            Self::CSA1 | Self::CSA2 => (EcmKind::Cw64, Some(Algorithm::Csa2)),
            // DVB-CSA3, which only chips know.
            Self(0x03..=0x05) => (EcmKind::Cw128, None),
            Self::CISSA => (EcmKind::Cw128, Some(Algorithm::Cissa)),
            Self::IDSA => (EcmKind::Cw128, Some(Algorithm::Idsa)),
            // Later versions of DVB-CISSA; ATIS.
            Self(0x11..=0x1F | 0x71..=0x7F) => (EcmKind::Cw128, None),
            Self::SCTE52 => (EcmKind::Cw64, Some(Algorithm::Scte52)),
            _ => return None,
        })
    }

    /// The mode for these control words: as signalled, unless their length contradicts it.
    pub fn of(signalled: Option<Self>, kind: EcmKind) -> Self {
        let agrees = |mode: &Self| mode.row().is_none_or(|(known, _)| known == kind);
        signalled.filter(agrees).unwrap_or(match kind {
            EcmKind::Cw128 => Self::CISSA,
            EcmKind::Cw64 | EcmKind::Offer => Self::CSA2,
        })
    }

    /// The algorithm of this mode, if it is one that this project computes.
    pub fn algorithm(self) -> Option<Algorithm> {
        self.row().and_then(|(_, algorithm)| algorithm)
    }
}

/// A scrambling algorithm that this project computes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// DVB-CSA2, control words of 64 bits.
    Csa2,
    /// DVB-CISSA version 1, control words of 128 bits.
    Cissa,
    /// ATIS-0800006, control words of 128 bits.
    Idsa,
    /// SCTE 52, control words of 64 bits, of which DES looks at 56.
    Scte52,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Csa2, Self::Cissa, Self::Idsa, Self::Scte52];
    /// The initialisation vector of DVB-CISSA version 1: each packet's chain begins with it.
    pub const CISSA_IV: [u8; 16] = *b"DVBTMCPTAESCISSA";

    /// Its name, the mode that signals it, the octets of its control words and of the shortest
    /// payload that it changes.
    const fn row(self) -> (&'static str, ScramblingMode, usize, usize) {
        match self {
            Self::Csa2 => ("DVB-CSA2", ScramblingMode::CSA2, 8, 8),
            Self::Cissa => ("DVB-CISSA", ScramblingMode::CISSA, 16, 16),
            Self::Idsa => ("ATIS-IDSA", ScramblingMode::IDSA, 16, 1),
            Self::Scte52 => ("SCTE-52", ScramblingMode::SCTE52, 8, 1),
        }
    }

    /// The mode that signals it.
    pub const fn mode(self) -> ScramblingMode {
        self.row().1
    }

    /// Octets of a control word.
    pub const fn cw_len(self) -> usize {
        self.row().2
    }

    /// Octets of the shortest payload that it changes.
    pub const fn shortest(self) -> usize {
        self.row().3
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().0)
    }
}
