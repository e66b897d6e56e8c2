//! The firewall between the applications on the card.
//!
//! Every object has an owner, and only the owner's context reaches it. Whoever wants something of
//! another application calls its shareable interface (`cas::sharing`, `purse::sharing`, `pin`), which
//! looks at the whole AID of its caller on every call; the runtime itself, which has no AID, is refused
//! like any stranger.

use crate::cas::store::CasStore;
use crate::isd::IssuerStore;
use crate::pin::Pin;
use crate::psam::store::PsamStore;
use crate::purse::store::PurseStore;
use std::fmt;

/// An application identifier, 5 to 16 octets. Two are the same only when all octets are.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Aid(&'static [u8]);

impl Aid {
    /// The issuer's security domain.
    pub const ISSUER: Self = Self(&[0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00]);
    /// The conditional access application: F0 "STBCAS" 01.
    pub const CAS: Self = Self(b"\xF0STBCAS\x01");
    /// The purse.
    pub const PURSE: Self = Self(&wallet::PURSE_AID);
    /// The secure module of a terminal: F0 "STBSAM" 01.
    pub const PSAM: Self = Self(b"\xF0STBSAM\x01");

    /// An AID of this name, for whoever wants to try.
    pub const fn new(octets: &'static [u8]) -> Self {
        Self(octets)
    }

    /// Its octets.
    pub const fn octets(&self) -> &'static [u8] {
        self.0
    }
}

impl fmt::Debug for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

/// On whose behalf code runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Context {
    /// The runtime environment: no application, so it passes no test for one.
    Runtime,
    /// The application of this AID.
    Application(Aid),
}

impl Context {
    /// The issuer's.
    pub const ISSUER: Self = Self::Application(Aid::ISSUER);
    /// The conditional access application's.
    pub const CAS: Self = Self::Application(Aid::CAS);
    /// The purse's.
    pub const PURSE: Self = Self::Application(Aid::PURSE);
    /// The secure module's.
    pub const PSAM: Self = Self::Application(Aid::PSAM);

    /// Goes on only when the caller is one of `allowed`.
    pub fn is_one_of(self, allowed: &[Aid]) -> Result<(), Violation> {
        match self {
            Self::Application(aid) if allowed.contains(&aid) => Ok(()),
            _ => Err(Violation),
        }
    }
}

/// Somebody reached for what is not theirs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Violation;

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
    /// The issuer's.
    pub issuer: Owned<IssuerStore>,
    /// The card holder's PIN. The issuer owns it; applications have it verified.
    pub pin: Owned<Pin>,
    /// The conditional access application's.
    pub cas: Owned<CasStore>,
    /// The purse's.
    pub purse: Owned<PurseStore>,
    /// The secure module's, on a card that is one.
    pub psam: Owned<Option<PsamStore>>,
}

impl Objects {
    /// What personalisation made.
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
