// SPDX-License-Identifier: Apache-2.0
//! The firewall between the applications on the card.
//!
//! Every object has an owner, and only the owner's context reaches it. Whoever wants something of
//! another application calls its shareable interface (`cas::sharing`, `purse::sharing`, `pin`,
//! `isd::lock`), which looks at the whole AID of its caller on every call; the runtime itself,
//! which has no AID, is refused like any stranger.

use crate::cas::store::CasStore;
use crate::context::{Context, Violation};
use crate::isd::store::IssuerStore;
use crate::pin::store::Pin;
use crate::psam::store::PsamStore;
use crate::purse::store::PurseStore;
use cam_types::Aid;

/// An object with its owner.
#[derive(Clone)]
pub struct Owned<T> {
    owner: Aid,
    object: T,
}

impl<T> Owned<T> {
    const fn new(owner: Aid, object: T) -> Self {
        Self { owner, object }
    }

    /// The object, for its owner.
    pub fn get(&self, caller: Context) -> Result<&T, Violation> {
        caller.is_one_of(&[self.owner])?;
        Ok(&self.object)
    }

    /// The object, for its owner to change.
    pub fn get_mut(&mut self, caller: Context) -> Result<&mut T, Violation> {
        caller.is_one_of(&[self.owner])?;
        Ok(&mut self.object)
    }
}

/// Everything on the card that lasts, each behind its owner's wall.
#[derive(Clone)]
pub struct Objects {
    /// The card's number and the keys that administer it.
    pub issuer: Owned<IssuerStore>,
    /// The card holder's PIN. The issuer owns it; applications have it verified.
    pub pin: Owned<Pin>,
    /// Rights, keys, boxes and the log of purchases: the conditional access application's.
    pub cas: Owned<CasStore>,
    /// Money, its log, files and keys: the purse's.
    pub purse: Owned<PurseStore>,
    /// Master keys and the terminal's number: the secure module's, on a card that is one.
    pub psam: Owned<Option<PsamStore>>,
}

impl Objects {
    /// Puts what personalisation made behind the walls of its owners.
    pub fn new(
        issuer: IssuerStore,
        pin: Pin,
        cas: CasStore,
        purse: PurseStore,
        psam: Option<PsamStore>,
    ) -> Self {
        Self {
            issuer: Owned::new(Aid::ISSUER, issuer),
            pin: Owned::new(Aid::ISSUER, pin),
            cas: Owned::new(Aid::CAS, cas),
            purse: Owned::new(Aid::PURSE, purse),
            psam: Owned::new(Aid::PSAM, psam),
        }
    }

    /// The stores in their order in memory, for the memory manager.
    pub(crate) const fn stores(
        &self,
    ) -> (&IssuerStore, &Pin, &CasStore, &PurseStore, &Option<PsamStore>) {
        let Self { issuer, pin, cas, purse, psam } = self;
        (&issuer.object, &pin.object, &cas.object, &purse.object, &psam.object)
    }
}

#[cfg(test)]
mod tests;
