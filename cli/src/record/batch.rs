// SPDX-License-Identifier: Apache-2.0
//! What a batch of loads says: of each entry, and in the end.
use super::money::{maybe_money, money};
use cam_types::Fen;
use serde::{Serialize, Serializer};
use std::fmt;

/// An entry of a batch.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub reference: String,
    pub serial: String,
    #[serde(serialize_with = "money")]
    pub amount: Fen,
    pub outcome: &'static str,
    #[serde(serialize_with = "maybe_money")]
    pub after: Option<Fen>,
    pub tac: Option<String>,
    pub why: Option<String>,
}

/// A sum of many amounts, in fen, which 32 bits need not hold.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sum(pub u64);

impl Serialize for Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The sum of a batch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Sums {
    pub entries: usize,
    pub loaded: usize,
    pub loaded_sum: Sum,
    pub earlier: usize,
    pub refused: usize,
    pub unsettled: usize,
    pub unsettled_sum: Sum,
    pub waiting: usize,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reference, serial, amount, outcome, after, why, .. } = self;
        let amount = amount.to_string();
        write!(f, "{reference}  {serial}  {amount:>11}  {outcome}")?;
        if let Some(after) = after {
            write!(f, ", balance {after}")?;
        }
        why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, loaded, loaded_sum, earlier, refused, unsettled, .. } = self;
        let (unsettled_sum, waiting) = (self.unsettled_sum, self.waiting);
        write!(
            f,
            "{entries} entries: {loaded} loaded ({loaded_sum}), {earlier} of them before this run; {refused} refused, \
             {unsettled} not settled ({unsettled_sum}), {waiting} waiting for their cards"
        )
    }
}
