// SPDX-License-Identifier: Apache-2.0
//! The numbers by which host and engine name things to each other.

/// Names a session. Generation-checked: the id of a closed session is refused, whoever has its
/// place now. Never 0; fits 24 bits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SessionId(pub u32);

/// Names a purchase. The id of a purchase that was forgotten is refused. Never 0.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TxnId(pub u32);

/// Names one PIN verification.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ticket(pub u32);

/// Names one [`crate::Output::Store`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StoreId(pub(crate) u32);
