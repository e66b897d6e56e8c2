// SPDX-License-Identifier: Apache-2.0
//! The box's half of a pairing: what BOX_PAIR brought, kept sealed as it came.
//!
//! Per card only a message with a higher number than the one kept is taken, so a recorded one
//! cannot bring an older pairing back, nor one that was withdrawn: the withdrawal is kept in its
//! place.

use crate::{Handover, Output};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use cam_types::{Epoch, Key, Pseudonym, StbId};
use ecm_emm::OpenError;
use ecm_emm::box_emm::{BoxCommand, BoxEmm};
use ecm_emm::keys::{KeyMaterial, pairing_keys};
use ecm_emm::suite::{SealKey, Suite};
use gp::scp03::StaticKeys;

/// A card that this box may work with.
#[derive(Clone)]
pub(crate) struct Pairing {
    slot: u8,
    clear_allowed: bool,
    ek2: Key,
    ek1: Key,
    k_pair: Key,
}

/// What a message to the box came to.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum News {
    /// For another box.
    NotOurs,
    /// Nothing new.
    Known,
    /// To be stored under this key.
    Changed { key: String, slot: u8, card: Pseudonym, withdrawn: bool },
}

struct Entry {
    card: Pseudonym,
    /// Of the message that it came by.
    number: (Epoch, u32),
    place: usize,
    /// `None`: withdrawn.
    pairing: Option<Pairing>,
}

/// See the module.
pub(crate) struct Pairings {
    k_box: Option<SealKey>,
    stb: StbId,
    /// Oldest first.
    entries: Vec<Entry>,
    current: Option<Pairing>,
    /// A stored message does not open: what it says, and for which card, is not known.
    unreadable: bool,
    /// What the descrambler made of its ladder's keys; `None` until it has said so.
    ladder: Option<Handover>,
}

impl Pairings {
    /// Messages that are kept, at most.
    const PLACES: usize = 8;

    pub(crate) fn load(stored: &[(String, Vec<u8>)], box_key: &Key, stb: StbId) -> Self {
        let k_box = SealKey::new(Suite::Cmac128, KeyMaterial::from(box_key.clone())).ok();
        let mut pairings = Self {
            k_box,
            stb,
            entries: Vec::new(),
            current: None,
            unreadable: false,
            ladder: None,
        };
        for place in 0..Self::PLACES {
            let key = Self::key(place);
            let row = stored.iter().find(|(name, row)| *name == key && !row.is_empty());
            let Some((_, section)) = row else { continue };
            if let Err(why) = pairings.take(section, Some(place)) {
                log::warn!("stored pairing {key} is not accepted: {why}");
                pairings.unreadable = true;
            }
        }
        pairings
    }

    pub(crate) fn keys() -> impl Iterator<Item = String> {
        (0..Self::PLACES).map(Self::key)
    }

    fn key(place: usize) -> String {
        format!("pairing.{place}")
    }

    /// A section of table 8A came.
    pub(crate) fn section(&mut self, section: &[u8]) -> Result<News, OpenError> {
        self.take(section, None)
    }

    fn take(&mut self, section: &[u8], place: Option<usize>) -> Result<News, OpenError> {
        let message = BoxEmm::parse(section)?;
        if message.header.stb != self.stb {
            return Ok(News::NotOurs);
        }
        let k_box = self.k_box.as_ref().ok_or(OpenError::Suite)?;
        let number = (message.header.epoch, message.header.seq);
        let mut fresh = Vec::new();
        for command in message.open(k_box)? {
            let (card, pairing) = match command {
                BoxCommand::Unpair(card) => (card, None),
                BoxCommand::Pair(pair) => {
                    let k_pair = pair.session_key(&message.header, k_box)?;
                    let pairing = Pairing {
                        slot: pair.slot,
                        clear_allowed: pair.clear_cw_allowed,
                        ek2: Key::new(pair.ek2),
                        ek1: Key::new(pair.ek1),
                        k_pair,
                    };
                    (pair.card, Some(pairing))
                }
            };
            let known = self.entries.iter().find(|entry| entry.card == card);
            if known.is_none_or(|known| number > known.number) {
                fresh.push((card, pairing));
            }
        }
        let Some((card, first)) = fresh.first() else { return Ok(News::Known) };
        let (card, withdrawn) = (*card, first.is_none());
        let slot = first.as_ref().map_or(0xFF, |pairing| pairing.slot);
        self.entries.retain(|entry| fresh.iter().all(|(card, _)| *card != entry.card));
        let place = place.unwrap_or_else(|| self.free_place());
        for (card, pairing) in fresh {
            self.entries.push(Entry { card, number, place, pairing });
        }
        Ok(News::Changed { key: Self::key(place), slot, card, withdrawn })
    }

    /// A place that no kept message has; the oldest gives way.
    fn free_place(&mut self) -> usize {
        let taken = |place: &usize| self.entries.iter().any(|entry| entry.place == *place);
        if let Some(place) = (0..Self::PLACES).find(|place| !taken(place)) {
            return place;
        }
        let oldest = self.entries.first().map_or(0, |entry| entry.place);
        self.entries.retain(|entry| entry.place != oldest);
        oldest
    }

    /// The pairing with this card, if its slot is one of those that the card has taken.
    pub(crate) fn with(&self, card: Pseudonym, slots: u8) -> Option<&Pairing> {
        self.entries
            .iter()
            .filter(|entry| entry.card == card)
            .filter_map(|entry| entry.pairing.as_ref())
            .find(|pairing| slots >> pairing.slot & 1 != 0)
    }

    /// The pairing with this card may be in what was stored and does not open: nothing that opens
    /// names the card.
    pub(crate) fn may_hide(&self, card: Pseudonym) -> bool {
        self.unreadable && self.entries.iter().all(|entry| entry.card != card)
    }

    /// The session with the card is open by this pairing.
    pub(crate) fn select(&mut self, pairing: Pairing) {
        self.current = Some(pairing);
    }

    /// The pairing of the session.
    pub(crate) fn current(&self) -> Option<&Pairing> {
        self.current.as_ref()
    }

    /// The descrambler gets its ladder's keys.
    pub(crate) fn ladder_loads(&mut self) {
        self.ladder = None;
    }

    /// What the descrambler made of them.
    pub(crate) fn ladder_handed(&mut self, handover: Handover) {
        self.ladder = Some(handover);
    }

    /// Without the ladder's keys no ECW opens.
    pub(crate) fn ladder_is_refused(&self) -> bool {
        self.ladder == Some(Handover::Refused)
    }
}

impl Pairing {
    /// Its slot on the card.
    pub(crate) fn slot(&self) -> u8 {
        self.slot
    }

    /// What the descrambler gets for its ladder.
    pub(crate) fn load_ladder(&self) -> Output<'_> {
        Output::LoadLadder {
            pairing_slot: self.slot,
            ek2: &self.ek2,
            ek1: &self.ek1,
            clear_allowed: self.clear_allowed,
        }
    }

    /// The static keys of the session with the card.
    pub(crate) fn keys(&self, stb: StbId) -> StaticKeys {
        pairing_keys(&self.k_pair, stb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use cam_types::OperatorId;
    use ecm_emm::box_emm::{BoxHeader, BoxPairing, seal};
    use ecm_emm::suite::WrappedKey;

    const STB: StbId = StbId::new(*b"STB00001");
    const CARD: Pseudonym = Pseudonym::new([0xA1; 8]);

    fn k_box() -> SealKey {
        SealKey::new(Suite::Cmac128, KeyMaterial::from(Key::new([0x60; 16]))).unwrap()
    }

    fn message(seq: u32, command: impl Fn(&BoxHeader) -> BoxCommand) -> Vec<u8> {
        let header = BoxHeader {
            stb: STB,
            suite: Suite::Cmac128,
            operator: OperatorId::new(0x1201),
            epoch: Epoch::new(1),
            seq,
        };
        let mut out = Vec::new();
        seal(&header, &[command(&header)], &k_box(), &mut out).unwrap();
        out
    }

    fn pair(seq: u32, slot: u8) -> Vec<u8> {
        message(seq, |header| {
            let k_pair = KeyMaterial::from(Key::new([0x80; 16]));
            let kcv = SealKey::new(Suite::Cmac128, k_pair.clone()).unwrap().kcv();
            let WrappedKey::Short(k_pair) = k_box().wrap(&header.key_context(), &k_pair) else {
                panic!("a key of 128 bits wraps into 24 octets")
            };
            BoxCommand::Pair(BoxPairing {
                card: CARD,
                slot,
                clear_cw_allowed: true,
                k_pair,
                ek2: [2; 16],
                ek1: [1; 16],
                kcv,
            })
        })
    }

    fn unpair(seq: u32) -> Vec<u8> {
        message(seq, |_| BoxCommand::Unpair(CARD))
    }

    fn box_key() -> Key {
        Key::new([0x60; 16])
    }

    #[test]
    fn only_a_newer_message_changes_the_pairing_of_a_card() {
        let mut pairings = Pairings::load(&[], &box_key(), STB);
        let news = |pairings: &mut Pairings, section: &[u8]| {
            matches!(pairings.section(section), Ok(News::Changed { .. }))
        };
        assert!(news(&mut pairings, &pair(5, 0)));
        assert!(!news(&mut pairings, &pair(5, 0)));
        assert!(!news(&mut pairings, &pair(4, 1)));
        assert_eq!(pairings.with(CARD, 0x01).map(|pairing| pairing.slot), Some(0));
        assert!(pairings.with(CARD, 0x02).is_none());
        assert!(news(&mut pairings, &unpair(6)));
        assert!(pairings.with(CARD, 0xFF).is_none());
        assert!(!news(&mut pairings, &pair(5, 0)), "a withdrawn pairing stays withdrawn");
    }

    #[test]
    fn what_was_stored_comes_back_sealed() {
        for (section, paired) in [(pair(5, 2), true), (unpair(6), false)] {
            let stored = vec![("pairing.3".into(), section)];
            let pairings = Pairings::load(&stored, &box_key(), STB);
            assert_eq!(pairings.with(CARD, 0xFF).is_some(), paired);
        }
    }

    #[test]
    fn another_boxs_key_or_name_does_not_pair() {
        let mut other_key = Pairings::load(&[], &Key::new([0x61; 16]), STB);
        assert_eq!(other_key.section(&pair(5, 0)), Err(OpenError::Authentication));
        let mut other_box = Pairings::load(&[], &box_key(), StbId::new([9; 8]));
        assert_eq!(other_box.section(&pair(5, 0)), Ok(News::NotOurs));
    }

    #[test]
    fn the_oldest_message_gives_way() {
        let mut pairings = Pairings::load(&[], &box_key(), STB);
        for n in 0..20 {
            let section = message(1, |_| BoxCommand::Unpair(Pseudonym::new([n; 8])));
            assert!(pairings.section(&section).is_ok());
        }
        assert_eq!(pairings.entries.len(), Pairings::PLACES);
    }
}
