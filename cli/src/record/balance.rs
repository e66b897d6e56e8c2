// SPDX-License-Identifier: Apache-2.0
//! What is in a purse, as it is said.
use super::money::money;
use crate::money::state::serial_text;
use cam_types::Fen;
use serde::Serialize;
use std::fmt;
use wallet::BalanceCoding;

/// What is in the purse.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Balance {
    pub serial: Option<String>,
    /// What is the holder's own, less than nothing when it is overdrawn; null: the card does not
    /// say.
    pub balance: Option<String>,
    /// What can be drawn.
    #[serde(serialize_with = "money")]
    pub drawable: Fen,
    /// The name of what the card means by a balance; null: not known, and read as PBOC has it.
    pub coding: Option<&'static str>,
}

impl Balance {
    pub(crate) fn new(
        serial: Option<[u8; 10]>,
        balance: wallet::balance::Balance,
        coding: BalanceCoding,
    ) -> Self {
        let name = BalanceCoding::ALL.iter().find(|(_, known)| *known == coding);
        Self {
            serial: serial.map(|serial| serial_text(Some(serial))),
            balance: balance.own.map(|own| own.to_string()),
            drawable: balance.drawable,
            coding: name.map(|(name, _)| *name),
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { serial, balance, drawable, coding } = self;
        match balance {
            Some(balance) if *balance == drawable.to_string() => write!(f, "balance {balance}")?,
            Some(balance) => write!(f, "balance {balance}, {drawable} can be drawn")?,
            None => write!(
                f,
                "{drawable} can be drawn; how much of it is an overdraft the card does not say"
            )?,
        }
        serial.as_ref().map_or(Ok(()), |serial| write!(f, "  card {serial}"))?;
        match coding {
            Some(_) => Ok(()),
            None => f.write_str(
                "\n  what cards with this application's name mean by a balance is not known: read as PBOC \
                 has it, or as --balance-coding says",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wallet::balance::Own;

    #[test]
    fn a_balance_is_said_with_what_is_not_known() {
        let (drawable, own) = (Fen::new(200), Some(Own::Owes(Fen::new(600))));
        let said = |balance, coding| Balance::new(None, balance, coding).to_string();
        let owed = wallet::balance::Balance { drawable, own };
        assert_eq!(said(owed, BalanceCoding::Overdraft), "balance -6.00, 2.00 can be drawn");
        let untold = wallet::balance::Balance { drawable, own: None };
        assert!(said(untold, BalanceCoding::Overdraft).starts_with("2.00 can be drawn; how much"));
        let plain = wallet::balance::Balance::without_overdraft(drawable);
        assert_eq!(said(plain, BalanceCoding::Pboc), "balance 2.00");
        let unknown = said(plain, BalanceCoding::Unknown);
        assert!(unknown.starts_with("balance 2.00\n") && unknown.contains("not known"));
    }
}
