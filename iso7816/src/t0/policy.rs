// SPDX-License-Identifier: Apache-2.0
//! How T=0 is spoken where the standard leaves a choice.
use crate::emv::Profile;

/// What T=0 leaves to taste.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct T0Policy {
    /// Ask for the answer of a case 4 command that ended with 9000 instead of 61xx.
    pub get_response_after_ok: bool,
    /// Take INS+1 and its complement for INS and its complement: old cards ask for Vpp with them.
    pub vpp_procedure_bytes: bool,
    /// Whose turnaround time holds.
    pub profile: Profile,
}
