// SPDX-License-Identifier: Apache-2.0
//! Keys in two generations: one in use, one delivered for later.

use crate::decide::{JUDGE, decide};
use crate::persist::{Table, persist};
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
            window: Window::default(),
        }
    }

    /// The key for messages; `None` for a key of the purse.
    pub fn seal_key(&self) -> Option<SealKey> {
        let key = SealKey::new(Suite::try_from(self.suite).ok()?, self.material.clone()).ok()?;
        Some(key.judged_by(JUDGE))
    }
}

/// Why a key was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotTaken {
    /// Its generation is below the floor or below both that are held, or it was destroyed.
    Old,
    /// Another key of this generation is held.
    Another,
}

/// No place is left to remember a destroyed generation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

/// A key with its two generations and the floor under them.
#[derive(Clone)]
pub struct KeyPair {
    /// Generations below are gone for good.
    pub floor: Epoch,
    /// The highest generation that was ever held.
    highest: Option<Epoch>,
    /// Generations not below the floor that were destroyed.
    destroyed: Table<Option<Epoch>, { Self::DESTROYED }>,
    first: Option<Generation>,
    second: Option<Generation>,
}

persist!(KeyPair {
    floor: Epoch,
    highest: Option<Epoch>,
    destroyed: Table<Option<Epoch>, { KeyPair::DESTROYED }>,
    first: Option<Generation>,
    second: Option<Generation>,
});

impl KeyPair {
    /// Destroyed generations that are remembered: as many as are held.
    const DESTROYED: usize = 2;

    /// A key of which nothing has been delivered yet.
    pub fn empty() -> Self {
        Self {
            floor: Epoch::new(0),
            highest: None,
            destroyed: Table::filled(|| None),
            first: None,
            second: None,
        }
    }

    /// The generations held, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Generation> {
        self.first.iter().chain(&self.second)
    }

    /// The generation of this number, unless it is below the floor.
    pub fn get(&self, epoch: Epoch) -> Option<&Generation> {
        let held = self.iter().find(|generation| generation.epoch == epoch);
        held.filter(|_| decide(|| epoch >= self.floor))
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

    /// This generation was held, or one above it was, and it is not held now.
    pub fn is_past(&self, epoch: Epoch) -> bool {
        self.get(epoch).is_none() && self.highest.is_some_and(|highest| epoch <= highest)
    }

    /// Takes a generation in; `false` when it was held already. The two highest stay, whoever
    /// brought them and whatever was used.
    pub fn deliver(&mut self, new: Generation) -> Result<bool, NotTaken> {
        if let Some(held) = self.get(new.epoch) {
            let same = held.suite == new.suite && held.material == new.material;
            return if same { Ok(false) } else { Err(NotTaken::Another) };
        }
        let full = self.first.is_some() && self.second.is_some();
        let below_both = full && self.iter().all(|held| held.epoch > new.epoch);
        let destroyed = || self.destroyed.iter().flatten().any(|gone| *gone == new.epoch);
        if !decide(|| new.epoch >= self.floor && !below_both && !destroyed()) {
            return Err(NotTaken::Old);
        }
        self.highest = self.highest.max(Some(new.epoch));
        *self.place() = Some(new);
        Ok(true)
    }

    /// Erases every generation below `floor`. The caller has made sure that `floor` is held.
    pub fn raise_floor(&mut self, floor: Epoch) {
        if floor > self.floor {
            self.floor = floor;
            for place in [&mut self.first, &mut self.second] {
                place.take_if(|generation| generation.epoch < floor);
            }
            for gone in self.destroyed.iter_mut() {
                gone.take_if(|gone| *gone < floor);
            }
        }
    }

    /// Erases one generation, which does not come back. No floor moves.
    pub fn destroy(&mut self, epoch: Epoch) -> Result<(), Full> {
        self.erase(epoch);
        if epoch < self.floor || self.destroyed.iter().flatten().any(|gone| *gone == epoch) {
            return Ok(());
        }
        *self.destroyed.iter_mut().find(|place| place.is_none()).ok_or(Full)? = Some(epoch);
        Ok(())
    }

    /// Erases one generation.
    pub fn erase(&mut self, epoch: Epoch) {
        for place in [&mut self.first, &mut self.second] {
            place.take_if(|generation| generation.epoch == epoch);
        }
    }

    /// Where a generation goes: into an empty place, else over the older one.
    fn place(&mut self) -> &mut Option<Generation> {
        let number = |place: &Option<Generation>| place.as_ref().map(|g| g.epoch);
        if number(&self.first) <= number(&self.second) { &mut self.first } else { &mut self.second }
    }
}
