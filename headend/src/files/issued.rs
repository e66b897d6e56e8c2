// SPDX-License-Identifier: Apache-2.0
//! What the operator gave out over the air: top-ups and refunds, for comparison with what cards
//! report.

use super::FileError;
use super::fields::{Octets, amount, from_1};
use super::operator::Operator;
use cam_types::Fen;
use serde::Deserialize;
use std::path::Path;

/// The file of what was issued.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issued {
    /// Money that was sold.
    #[serde(default)]
    pub topup: Vec<Topup>,
    /// Money that was given back.
    #[serde(default)]
    pub refund: Vec<Refund>,
}

/// A WALLET_TOPUP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topup {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The top-up's own number, one series for each card.
    #[serde(deserialize_with = "from_1")]
    pub number: u16,
    /// In yuan, as text.
    #[serde(deserialize_with = "amount")]
    pub amount: Fen,
    /// Who sold it.
    pub agent: Octets<6>,
}

/// A WALLET_REFUND.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refund {
    /// The card, by its number.
    pub card: Octets<8>,
    /// The event, by its number.
    #[serde(deserialize_with = "from_1")]
    pub event: u32,
    /// The purse's offline sequence of the purchase.
    #[serde(deserialize_with = "from_1")]
    pub sequence: u16,
    /// In yuan, as text.
    #[serde(deserialize_with = "amount")]
    pub amount: Fen,
}

impl Issued {
    /// Reads and checks a file; its cards are the operator's.
    pub fn read(path: &Path, operator: &Operator) -> Result<Self, FileError> {
        Self::parse(path, &super::text(path)?, operator)
    }

    /// Takes a file's text; `path` is for errors.
    pub fn parse(path: &Path, text: &str, operator: &Operator) -> Result<Self, FileError> {
        let issued: Self = super::parse(path, text)?;
        for (n, topup) in issued.topup.iter().enumerate() {
            let table = format!("[[topup]] {}", n + 1);
            check(path, &table, topup.card, topup.amount, operator)?;
            let twin = |other: &Topup| (other.card, other.number) == (topup.card, topup.number);
            if issued.topup.iter().take(n).any(twin) {
                let what = "this card has a top-up of this number already";
                return Err(FileError::field(path, &table, "number", what));
            }
        }
        for (n, refund) in issued.refund.iter().enumerate() {
            let table = format!("[[refund]] {}", n + 1);
            check(path, &table, refund.card, refund.amount, operator)?;
            let of = |refund: &Refund| (refund.card, refund.event, refund.sequence);
            if issued.refund.iter().take(n).any(|other| of(other) == of(refund)) {
                let what = "this purchase was given back already";
                return Err(FileError::field(path, &table, "sequence", what));
            }
        }
        Ok(issued)
    }
}

/// What both kinds must have: a card of the operator's, and some money.
fn check(
    path: &Path,
    table: &str,
    card: Octets<8>,
    amount: Fen,
    operator: &Operator,
) -> Result<(), FileError> {
    if operator.card(card).is_none() {
        let what = "the operator file has no such card";
        return Err(FileError::field(path, table, "card", what));
    }
    if amount == Fen::ZERO {
        return Err(FileError::field(path, table, "amount", "nothing moves with 0.00"));
    }
    Ok(())
}
