// SPDX-License-Identifier: Apache-2.0
//! On whose behalf code runs, which is what the firewall and every shareable interface look at.

use crate::decide::decide;
use cam_types::Aid;

/// On whose behalf code runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Context {
    /// The runtime environment: no application, so it passes no test for one.
    Runtime,
    /// The application of this AID.
    Application(Aid),
}

impl Context {
    /// On behalf of the issuer's domain.
    pub const ISSUER: Self = Self::Application(Aid::ISSUER);
    /// On behalf of the conditional access application.
    pub const CAS: Self = Self::Application(Aid::CAS);
    /// On behalf of the purse.
    pub const PURSE: Self = Self::Application(Aid::PURSE);
    /// On behalf of the secure module.
    pub const PSAM: Self = Self::Application(Aid::PSAM);

    /// Goes on only when the caller is one of `allowed`.
    pub fn is_one_of(self, allowed: &[Aid]) -> Result<(), Violation> {
        let is = || matches!(self, Self::Application(aid) if allowed.contains(&aid));
        if decide(is) { Ok(()) } else { Err(Violation) }
    }
}

/// Somebody reached for what is not theirs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Violation;
