//! How packets are scrambled: what the PMT signals, checked against the control words.
//!
//! A CA_PMT has no scrambling_descriptor, and head-ends forget or mistake it. The ECM's control
//! words cannot be mistaken: their length says CSA or CISSA.
//!
//! Normative references:
//!  - ETSI EN 300 468 §6.2.32 (scrambling_descriptor)

use ecm_emm::ecm::EcmKind;

use crate::{Engine, Event, ScramblingMode};

/// A scrambling mode that was signalled, and the other one that is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Disagreement {
    signalled: ScramblingMode,
    used: ScramblingMode,
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

impl Engine {
    /// Tells where a signalled mode contradicts the control words: once, and again when it changes.
    pub(crate) fn publish_modes(&mut self) {
        for session in self.sessions.iter_mut() {
            let signalled = session.programme.signalled;
            for stream in &mut session.streams {
                let Some(keys) = &stream.keys else { continue };
                let used = ScramblingMode::of(signalled, keys.words);
                let disagreement = signalled
                    .filter(|signalled| *signalled != used)
                    .map(|signalled| Disagreement { signalled, used });
                if core::mem::replace(&mut stream.disagreement, disagreement) == disagreement {
                    continue;
                }
                if let Some(Disagreement { signalled, used }) = disagreement {
                    let ecm_pid = stream.plan.ecm_pid;
                    let session = session.id;
                    self.out.event(Event::ModeDisagrees { session, ecm_pid, signalled, used });
                }
            }
        }
    }
}
