// SPDX-License-Identifier: Apache-2.0
//! Sessions: one for each programme that is watched or recorded, with its ECM streams and its
//! offers. `places.rs` has all of them.

pub(crate) mod access;
pub(crate) mod error;
pub(crate) mod places;
pub(crate) mod programme;
pub(crate) mod sale;
pub(crate) mod shown;
pub(crate) mod stream;
pub(crate) mod told;

use crate::ecm::question::Question;
use crate::outbox::Outbox;
use crate::session::access::{Access, Standing, Terms};
use crate::session::programme::{CardAbility, LeftOut, Programme};
use crate::session::stream::Stream;
use crate::session::told::Told;
use crate::{Event, Offer, OfferId, OfferKind, SessionId, Stats};
use alloc::vec::Vec;
use cam_types::{CasTime, Instant, Pid};

/// One programme that is watched or recorded.
pub(crate) struct Session {
    id: SessionId,
    source: u8,
    programme: Programme,
    streams: Vec<Stream>,
    /// Why a component is left out, if one is.
    left_out: Option<LeftOut>,
    /// Offer sections, newest last.
    sealed: Vec<SealedOffer>,
    /// What was told of its offers.
    on_sale: Vec<Offer>,
    /// How it stands now.
    access: Access,
    /// What was told of that; `None` before anything was.
    standing: Option<Standing>,
    terms: Terms,
    /// It came by CA_PMT, whose list management closes it.
    listed: bool,
}

/// What the streams that a session no longer uses leave in the descrambler.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum OldKeys {
    None,
    /// They are wiped before others are handed over.
    LeftBehind,
}

/// An offer section of table 88.
struct SealedOffer {
    offer: Offer,
    section: Vec<u8>,
}

impl Session {
    /// Offer sections that are held, at most.
    const MAX_SEALED: usize = 8;

    /// Chooses the ECM streams again: the programme or the card has changed. A stream that stays
    /// keeps its ECMs and its keys.
    fn choose_streams(&mut self, card: &[CardAbility]) -> OldKeys {
        let mut old = core::mem::take(&mut self.streams);
        let plan = self.programme.plan(card);
        self.left_out = plan.left_out;
        for plan in plan.streams {
            let stays = old.iter().position(|stream| stream.plan().goes_on_as(&plan));
            match stays {
                Some(at) => {
                    let mut stream = old.swap_remove(at);
                    stream.goes_on(plan);
                    self.streams.push(stream);
                }
                None => self.streams.push(Stream::new(plan)),
            }
        }
        match old.iter().any(|stream| stream.keys().is_some()) {
            true => OldKeys::LeftBehind,
            false => OldKeys::None,
        }
    }

    /// The programme's table has changed: the descrambler gets the keys for the streams of now.
    fn update(
        &mut self,
        programme: Programme,
        card: &[CardAbility],
        out: &mut Outbox,
        stats: &mut Stats,
    ) {
        self.programme = programme;
        if self.choose_streams(card) == OldKeys::LeftBehind {
            self.clear(out, stats);
        }
        self.hand_out_keys(out);
    }

    /// The card can do something else now.
    fn card_differs(&mut self, card: &[CardAbility], out: &mut Outbox, stats: &mut Stats) {
        if self.choose_streams(card) == OldKeys::LeftBehind {
            self.clear(out, stats);
            self.hand_out_keys(out);
        }
    }

    /// The descrambler's keys of this session go.
    fn clear(&self, out: &mut Outbox, stats: &mut Stats) {
        stats.cw_cleared += 1;
        out.push_clear(self.id);
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// Where its programme comes from.
    pub(crate) fn source(&self) -> u8 {
        self.source
    }

    pub(crate) fn stream(&self, pid: Pid) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.plan().ecm_pid == pid)
    }

    pub(crate) fn programme(&self) -> &Programme {
        &self.programme
    }

    /// How it stands now.
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    /// So it stands now. What is told of it has changed: a crypto period more is no news.
    pub(crate) fn show(&mut self, access: Access, out: &mut Outbox) {
        let session = self.id;
        self.access = access;
        if self.standing.replace(access.standing()) != Some(access.standing()) {
            out.event(Event::Access { session, access });
        }
        if core::mem::replace(&mut self.terms, access.terms()) != access.terms() {
            out.event(Event::Terms { session, access });
        }
    }

    /// It came by CA_PMT, whose list management closes it.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed
    }

    pub(crate) fn list(&mut self) {
        self.listed = true;
    }

    /// Its streams.
    pub(crate) fn streams(&self) -> &[Stream] {
        &self.streams
    }

    pub(crate) fn streams_mut(&mut self) -> &mut [Stream] {
        &mut self.streams
    }

    /// Why a component is left out, if one is.
    pub(crate) fn left_out(&self) -> Option<LeftOut> {
        self.left_out
    }

    /// The descrambler's keys go, to be given back.
    pub(crate) fn withhold(&mut self, out: &mut Outbox, stats: &mut Stats) {
        let mut any = false;
        for stream in &mut self.streams {
            any |= stream.withhold();
        }
        if any {
            self.clear(out, stats);
        }
    }

    /// What was withheld is handed over again.
    pub(crate) fn give_back(&mut self, out: &mut Outbox) {
        let id = self.id;
        self.streams.iter_mut().for_each(|stream| stream.give_back(id, out));
    }

    /// Wipes the keys of every stream, here and in the descrambler.
    fn wipe(&mut self, out: &mut Outbox, stats: &mut Stats) {
        if self.streams.iter_mut().filter_map(Stream::drop_keys).count() > 0 {
            self.clear(out, stats);
        }
    }

    /// The card is gone, or judges otherwise: what it said and its ECWs are void.
    pub(crate) fn forget_card(&mut self, out: &mut Outbox, stats: &mut Stats) {
        self.wipe(out, stats);
        self.streams.iter_mut().for_each(Stream::forget_card);
    }

    /// The descrambler gets the keys of every stream that has any.
    fn hand_out_keys(&mut self, out: &mut Outbox) {
        let id = self.id;
        self.streams.iter_mut().for_each(|stream| stream.hand_over(id, out));
    }

    /// What the card said of an authentic ECM goes to the streams that have it.
    pub(crate) fn judged(
        &mut self,
        now: Instant,
        question: Question<'_>,
        told: &Told,
        out: &mut Outbox,
        stats: &mut Stats,
    ) -> Reached {
        let id = self.id;
        let mut reached = Reached::default();
        let mut lost_keys = false;
        for stream in &mut self.streams {
            let Some(judged) = stream.judged(now, id, question, told) else { continue };
            reached.any = true;
            stats.ecm_replaced += u64::from(judged.accepted.dropped);
            if stream.keys().is_some() {
                stats.cw_out += 1;
                stream.hand_over(id, out);
                reached.waited(judged.accepted.since);
            }
            lost_keys |= judged.lost_keys;
        }
        if lost_keys {
            // Those of its other streams are given once more.
            self.clear(out, stats);
            self.hand_out_keys(out);
        }
        reached
    }

    /// Several streams may offer the same event: it is one offer.
    pub(crate) fn offers(&self) -> impl Iterator<Item = (&Offer, &[u8])> + '_ {
        let of_ecms = self.streams.iter().enumerate().filter_map(|(at, stream)| {
            let (offer, section) = stream.offer()?;
            let mut before = self.streams.iter().take(at).filter_map(Stream::offer);
            let first = before.all(|(other, _)| other.id != offer.id);
            first.then_some((offer, section))
        });
        of_ecms.chain(self.sealed.iter().map(|sealed| (&sealed.offer, sealed.section.as_slice())))
    }

    /// Takes an offer section.
    pub(crate) fn take_sealed(&mut self, section: &[u8], number: u32) {
        let id = OfferId::new(number, self.id, OfferKind::Sealed);
        if let Some(known) = self.sealed.iter_mut().find(|sealed| sealed.offer.id == id) {
            // The same offer with fresh time: the card wants the newest.
            known.section.clear();
            known.section.extend_from_slice(section);
            return;
        }
        if self.sealed.len() >= Self::MAX_SEALED {
            self.sealed.remove(0);
        }
        let offer = Offer {
            id,
            session: self.id,
            kind: OfferKind::Sealed,
            event: None,
            price: None,
            start: CasTime::default(),
            end: CasTime::default(),
            preview_s: 0,
            slice_s: 0,
            pin_needed: true,
        };
        self.sealed.push(SealedOffer { offer, section: section.to_vec() });
    }

    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.streams.iter().filter_map(|stream| stream.deadline(now)).min()
    }
}

/// Whom the card's verdict on an ECM reached.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reached {
    /// A stream has the ECM.
    pub(crate) any: bool,
    /// Since when the first of them waited for ECWs that it has now.
    pub(crate) since: Option<Instant>,
}

impl Reached {
    fn waited(&mut self, since: Option<Instant>) {
        self.since = self.since.into_iter().chain(since).min();
    }

    fn and(mut self, other: Self) -> Self {
        self.any |= other.any;
        self.waited(other.since);
        self
    }
}
