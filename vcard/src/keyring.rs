// SPDX-License-Identifier: Apache-2.0
//! Keys in two generations: one in use, one delivered for later.

use crate::persist::persist;
use cam_types::{CasTime, Epoch};
use ecm_emm::emm::Window;
use ecm_emm::keys::KeyMaterial;
use ecm_emm::suite::{SealKey, Suite};

/// One generation of a key.
#[derive(Clone)]
pub struct Generation {
    /// Its suite; 1 for the purse's triple DES.
    pub suite: u8,
    /// The number by which messages name it.
    pub epoch: Epoch,
    /// The key itself, as long as its suite wants it.
    pub material: KeyMaterial,
    /// The other octet that KEY_DELIVER brought; kept, and without meaning to the card.
    pub usage: u8,
    /// ECMs of before this moment are not opened with it.
    pub not_before: CasTime,
    /// It has opened a message.
    pub used: bool,
    /// It came by a message to this card alone, or from the factory.
    pub unique: bool,
    /// The EMM numbers seen under it.
    pub window: Window,
}

persist!(Generation {
    suite: u8,
    epoch: Epoch,
    material: KeyMaterial,
    usage: u8,
    not_before: CasTime,
    used: bool,
    unique: bool,
    window: Window,
});

impl Generation {
    /// A generation as the factory or a KEY_DELIVER brings it.
    pub fn new(suite: u8, epoch: Epoch, material: KeyMaterial) -> Self {
        Self {
            suite,
            epoch,
            material,
            usage: 0,
            not_before: CasTime::new(0),
            used: false,
            unique: true,
            window: Window::default(),
        }
    }

    /// The key for messages; `None` for a key of the purse.
    pub fn seal_key(&self) -> Option<SealKey> {
        SealKey::new(Suite::try_from(self.suite).ok()?, self.material.clone()).ok()
    }
}

/// Why a key was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotTaken {
    /// Its generation is below the floor: it was destroyed, or skipped for good.
    BelowFloor,
    /// The place is not the sender's to overwrite, or the generation too far ahead.
    NotTheirs,
    /// Another key of this generation is in use.
    InUse,
}

/// A key with its two generations and the floor under them.
#[derive(Clone)]
pub struct KeyPair {
    /// Generations below are gone for good.
    pub floor: Epoch,
    first: Option<Generation>,
    second: Option<Generation>,
}

persist!(KeyPair {
    floor: Epoch,
    first: Option<Generation>,
    second: Option<Generation>,
});

impl KeyPair {
    /// How far ahead of the newest generation a group may deliver.
    const SHARED_REACH: u16 = 8;

    /// A key of which nothing has been delivered yet.
    pub const fn empty() -> Self {
        Self { floor: Epoch::new(0), first: None, second: None }
    }

    /// The generations held, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Generation> {
        self.first.iter().chain(&self.second)
    }

    /// The generation of this number, unless it is below the floor.
    pub fn get(&self, epoch: Epoch) -> Option<&Generation> {
        self.iter().find(|generation| generation.epoch == epoch && epoch >= self.floor)
    }

    /// The same, to mark it.
    pub fn get_mut(&mut self, epoch: Epoch) -> Option<&mut Generation> {
        let floor = self.floor;
        self.first
            .iter_mut()
            .chain(&mut self.second)
            .find(|generation| generation.epoch == epoch && epoch >= floor)
    }

    /// The newest generation that has been used; what the card calls active.
    pub fn active(&self) -> Option<&Generation> {
        self.iter().filter(|generation| generation.used).max_by_key(|generation| generation.epoch)
    }

    /// The newest generation held.
    pub fn newest(&self) -> Option<&Generation> {
        self.iter().max_by_key(|generation| generation.epoch)
    }

    /// The oldest generation held: the one in use where no message says which (purse, receipts).
    pub fn oldest(&self) -> Option<&Generation> {
        self.iter().min_by_key(|generation| generation.epoch)
    }

    /// Some generation is of a suite in this mask.
    pub fn has_suite_in(&self, mask: u16) -> bool {
        self.iter().any(|generation| mask >> generation.suite & 1 == 1)
    }

    /// Takes a generation in; `false` when it was held already.
    ///
    /// Into an empty place, else over the generation that is not the newest used one.
    pub fn deliver(&mut self, new: Generation) -> Result<bool, NotTaken> {
        if new.epoch < self.floor {
            return Err(NotTaken::BelowFloor);
        }
        if let Some(held) = self.iter().find(|held| held.epoch == new.epoch) {
            if held.suite == new.suite && held.material == new.material {
                return Ok(false);
            }
            if held.used {
                return Err(NotTaken::InUse);
            }
        }
        if !new.unique {
            let reach = self.newest().map(|g| g.epoch.value().saturating_add(Self::SHARED_REACH));
            if reach.is_none_or(|reach| new.epoch.value() > reach) {
                return Err(NotTaken::NotTheirs);
            }
        }
        let keep = self.active().map(|generation| generation.epoch);
        let place = self.place(new.epoch, keep);
        if !new.unique && place.as_ref().is_some_and(|old| old.unique) {
            return Err(NotTaken::NotTheirs);
        }
        *place = Some(new);
        Ok(true)
    }

    /// Erases every generation below `floor`. The caller has made sure that `floor` is held.
    pub fn raise_floor(&mut self, floor: Epoch) {
        if floor > self.floor {
            self.floor = floor;
            for place in [&mut self.first, &mut self.second] {
                place.take_if(|generation| generation.epoch < floor);
            }
        }
    }

    /// Erases one generation; `false` when it was not held.
    pub fn destroy(&mut self, epoch: Epoch) -> bool {
        [&mut self.first, &mut self.second]
            .into_iter()
            .any(|place| place.take_if(|generation| generation.epoch == epoch).is_some())
    }

    /// Where a generation goes: over its own number, into an empty place, else over the one that is
    /// not `keep`, the older of two that might both go.
    fn place(&mut self, epoch: Epoch, keep: Option<Epoch>) -> &mut Option<Generation> {
        let number = |place: &Option<Generation>| place.as_ref().map(|g| g.epoch);
        let (first, second) = (number(&self.first), number(&self.second));
        let takes_first = if first == Some(epoch) || second == Some(epoch) {
            first == Some(epoch)
        } else if first.is_none() || second.is_none() {
            first.is_none()
        } else if keep.is_some() && (first == keep || second == keep) {
            second == keep
        } else {
            first < second
        };
        if takes_first { &mut self.first } else { &mut self.second }
    }
}
