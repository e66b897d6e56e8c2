//! The ECM gate of one ECM stream: which section the card sees, and when again.
//!
//! Carousels repeat an ECM every 100 ms; the card shall see it once. What decides is the whole
//! section, octet by octet. The gate holds three kinds: the one that *waits* (the newest wins), the
//! one that the card works on, and the one *kept*: the last that the card took as authentic, to be
//! played again after a reset or a purchase. A section that the card refused as not authentic is
//! remembered apart, so that a forgery costs one exchange and displaces nothing.

use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use cam_types::Instant;
use ecm_emm::ecm::MAX_ECM;

/// What the gate made of a section.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It repeats the section that is kept: all is well.
    Kept,
    /// It repeats one that waits, is being worked on, or was refused.
    Known,
    /// It belongs to an older crypto period while the newer ECM is still on air.
    Stale,
    /// It waits for the card.
    Waits,
    /// It waits for the card, in the place of an older one.
    Replaces,
}

/// A section for the card.
pub(crate) struct Taken<'a> {
    pub(crate) section: &'a [u8],
    /// It is played again, not new.
    pub(crate) replayed: bool,
}

#[derive(Default)]
struct Held {
    /// Empty: nothing is held.
    section: Vec<u8>,
    period: u32,
}

impl Held {
    fn with_room() -> Self {
        Self { section: Vec::with_capacity(MAX_ECM), period: 0 }
    }

    fn is_none(&self) -> bool {
        self.section.is_empty()
    }

    fn holds(&self, section: &[u8]) -> bool {
        self.section == section
    }

    fn set(&mut self, section: &[u8], period: u32) {
        self.section.clear();
        self.section.extend_from_slice(section);
        self.period = period;
    }

    fn clear(&mut self) {
        self.section.clear();
    }
}

/// See the module.
pub(crate) struct EcmGate {
    waiting: Held,
    waiting_since: Instant,
    waiting_replayed: bool,
    sent: Held,
    sent_since: Instant,
    sent_replayed: bool,
    /// How often in a row the exchange with `sent` got lost.
    lost: u8,
    kept: Held,
    kept_seen: Instant,
    refused: [Held; Self::REFUSED],
    next_refused: usize,
}

impl EcmGate {
    /// An older crypto period is refused while the newer ECM was repeated within this time.
    const ON_AIR: Duration = Duration::from_secs(1);
    /// An older crypto period by more than this is a head-end that started again.
    const OLDER: u32 = 64;
    const REFUSED: usize = 4;
    /// A section that made the card fall silent so often is not sent again.
    const MAX_LOST: u8 = 2;

    pub(crate) fn new() -> Self {
        Self {
            waiting: Held::with_room(),
            waiting_since: Instant::default(),
            waiting_replayed: false,
            sent: Held::with_room(),
            sent_since: Instant::default(),
            sent_replayed: false,
            lost: 0,
            kept: Held::with_room(),
            kept_seen: Instant::default(),
            refused: core::array::from_fn(|_| Held::with_room()),
            next_refused: 0,
        }
    }

    /// A well-formed section of crypto period `period` came.
    pub(crate) fn offer(&mut self, now: Instant, section: &[u8], period: u32) -> Verdict {
        if self.kept.holds(section) {
            self.kept_seen = now;
            return Verdict::Kept;
        }
        if self.waiting.holds(section)
            || self.sent.holds(section)
            || self.refused.iter().any(|held| held.holds(section))
        {
            return Verdict::Known;
        }
        let behind = self.kept.period.wrapping_sub(period);
        if !self.kept.is_none()
            && (1..=Self::OLDER).contains(&behind)
            && now.since(self.kept_seen) < Self::ON_AIR
        {
            return Verdict::Stale;
        }
        let replaces = !self.waiting.is_none() && !self.waiting_replayed;
        self.waiting.set(section, period);
        self.waiting_since = now;
        self.waiting_replayed = false;
        if replaces { Verdict::Replaces } else { Verdict::Waits }
    }

    /// Hands over the section that waits; then `accepted`, `refused` or `lost` must come.
    pub(crate) fn take(&mut self) -> Option<Taken<'_>> {
        if self.waiting.is_none() {
            return None;
        }
        mem::swap(&mut self.sent, &mut self.waiting);
        self.waiting.clear();
        self.sent_since = self.waiting_since;
        self.sent_replayed = self.waiting_replayed;
        Some(Taken { section: &self.sent.section, replayed: self.sent_replayed })
    }

    /// The card took the section for authentic, whatever it decided. Gives the moment since when it
    /// waited, unless it was played again.
    pub(crate) fn accepted(&mut self, now: Instant) -> Option<Instant> {
        mem::swap(&mut self.kept, &mut self.sent);
        self.sent.clear();
        self.kept_seen = now;
        self.lost = 0;
        (!self.sent_replayed).then_some(self.sent_since)
    }

    /// The card did not take the section for authentic, or cannot judge it.
    pub(crate) fn refused(&mut self) {
        if let Some(place) = self.refused.get_mut(self.next_refused) {
            mem::swap(place, &mut self.sent);
        }
        self.next_refused = (self.next_refused + 1) % Self::REFUSED;
        self.sent.clear();
        self.lost = 0;
    }

    /// The exchange got no answer: the section waits again, unless a newer one does or it was lost
    /// too often. `false` when it was given up.
    pub(crate) fn lost(&mut self) -> bool {
        self.lost += 1;
        if self.lost > Self::MAX_LOST {
            self.refused();
            return false;
        }
        if self.waiting.is_none() {
            mem::swap(&mut self.waiting, &mut self.sent);
            self.waiting_since = self.sent_since;
            self.waiting_replayed = self.sent_replayed;
        }
        self.sent.clear();
        true
    }

    /// The last authentic section shall go to the card again.
    pub(crate) fn replay(&mut self) {
        if self.waiting.is_none() && !self.kept.is_none() {
            let Self { waiting, kept, .. } = self;
            waiting.set(&kept.section, kept.period);
            self.waiting_replayed = true;
        }
    }

    /// What the card refused may be good now: a key or a clock has come.
    pub(crate) fn forgive(&mut self) {
        self.refused.iter_mut().for_each(Held::clear);
    }

    /// The last authentic section.
    pub(crate) fn kept(&self) -> Option<&[u8]> {
        (!self.kept.is_none()).then_some(self.kept.section.as_slice())
    }

    /// The card works on a section.
    pub(crate) fn is_sent(&self) -> bool {
        !self.sent.is_none()
    }

    /// The section that waits is played again.
    pub(crate) fn waits_again(&self) -> bool {
        self.waiting_replayed
    }

    /// Since when a section waits for the card.
    pub(crate) fn waiting_since(&self) -> Instant {
        self.waiting_since
    }

    /// A section waits for the card.
    pub(crate) fn waits(&self) -> bool {
        !self.waiting.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &[u8] = &[0x80, 1];
    const B: &[u8] = &[0x81, 2];
    const FORGED: &[u8] = &[0x81, 9];

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    #[test]
    fn a_repetition_reaches_the_card_once() {
        let mut gate = EcmGate::new();
        assert_eq!(gate.offer(at(0), A, 0), Verdict::Waits);
        assert_eq!(gate.offer(at(1), A, 0), Verdict::Known);
        assert_eq!(gate.take().map(|t| t.section.to_vec()).as_deref(), Some(A));
        assert_eq!(gate.offer(at(2), A, 0), Verdict::Known);
        assert_eq!(gate.accepted(at(3)), Some(at(0)));
        assert_eq!(gate.offer(at(4), A, 0), Verdict::Kept);
        assert!(gate.take().is_none());
    }

    #[test]
    fn the_newest_wins() {
        let mut gate = EcmGate::new();
        assert_eq!(gate.offer(at(0), A, 0), Verdict::Waits);
        assert_eq!(gate.offer(at(1), B, 1), Verdict::Replaces);
        assert_eq!(gate.take().map(|t| t.section.to_vec()).as_deref(), Some(B));
        assert!(gate.take().is_none());
    }

    #[test]
    fn a_forgery_displaces_nothing_and_is_sent_once() {
        let mut gate = EcmGate::new();
        gate.offer(at(0), A, 4);
        gate.take();
        gate.accepted(at(0));
        assert_eq!(gate.offer(at(1), FORGED, 5), Verdict::Waits);
        gate.take();
        gate.refused();
        assert_eq!(gate.offer(at(2), FORGED, 5), Verdict::Known);
        assert_eq!(gate.kept(), Some(A));
        gate.replay();
        assert_eq!(gate.take().map(|t| (t.section.to_vec(), t.replayed)), Some((A.to_vec(), true)));
        gate.accepted(at(3));
        gate.forgive();
        assert_eq!(gate.offer(at(4), FORGED, 5), Verdict::Waits);
    }

    #[test]
    fn an_older_period_is_stale_while_the_newer_is_on_air() {
        let mut gate = EcmGate::new();
        gate.offer(at(0), B, 5);
        gate.take();
        gate.accepted(at(0));
        assert_eq!(gate.offer(at(500), A, 4), Verdict::Stale);
        assert_eq!(gate.offer(at(1500), A, 4), Verdict::Waits);
    }

    #[test]
    fn a_lost_section_waits_again_but_not_for_ever() {
        let mut gate = EcmGate::new();
        gate.offer(at(0), A, 0);
        gate.take();
        assert!(gate.lost());
        gate.take();
        gate.offer(at(1), B, 1);
        assert!(gate.lost());
        assert_eq!(gate.take().map(|t| t.section.to_vec()).as_deref(), Some(B));
        assert!(!gate.lost());
        assert_eq!(gate.offer(at(2), B, 1), Verdict::Known);
    }
}
