// SPDX-License-Identifier: Apache-2.0
//! The purse's part of a personalisation file.

use super::fields::{Fields, Problem};
use crate::purse::record::Record;
use crate::purse::store::{APPLICATION, HOLDER, Limits};
use cam_types::{BcdDate, Fen};
use wallet::passbook::OverdraftLimit;

/// The purse when it leaves the factory.
pub struct PursePersonalisation {
    /// EF 0015.
    pub application: [u8; APPLICATION],
    /// EF 0016.
    pub holder: [u8; HOLDER],
    /// What is in it.
    pub balance: Fen,
    /// The passbook beside it: what can be drawn, and how much of that is overdraft.
    pub passbook: Option<(Fen, OverdraftLimit)>,
    /// How much may go without the PIN, cost at once, and be in it.
    pub limits: Limits,
    /// Records for compound purchases, `tag1 len1 value`, in their order in the file.
    pub records: Vec<Record>,
}

impl PursePersonalisation {
    pub(super) fn read(purse: &mut Fields) -> Result<Self, Problem> {
        let money = |purse: &mut Fields, name| {
            Ok::<_, Problem>(purse.optional(name, Fields::money)?.unwrap_or(Fen::ZERO))
        };
        let passbook = purse.optional_table("passbook", passbook)?;
        Ok(Self {
            application: application(purse, passbook.is_some())?,
            holder: purse.optional_table("holder", holder)?.unwrap_or([0; HOLDER]),
            balance: purse.money("balance")?,
            passbook,
            limits: Limits {
                balance: money(purse, "balance_limit")?,
                per_purchase: money(purse, "purchase_limit")?,
                pin_free_per_purchase: money(purse, "pin_free_per_purchase")?,
                pin_free_per_day: money(purse, "pin_free_per_day")?,
                terminal_per_purchase: purse
                    .optional("terminal_pin_free_per_purchase", Fields::money)?,
                terminal_total: purse.optional("terminal_pin_free_total", Fields::money)?,
            },
            records: purse.tables("record", record)?,
        })
    }
}

/// EF 0015: issuer8 type1 version1 serial10 start4 expiry4 discretionary2.
fn application(purse: &mut Fields, has_passbook: bool) -> Result<[u8; APPLICATION], Problem> {
    let issuer: [u8; 8] = purse.optional("issuer", Fields::octets)?.unwrap_or_default();
    let serial: [u8; 10] = purse.octets("serial")?;
    let start =
        purse.optional("valid_from", Fields::date)?.unwrap_or(BcdDate([0x20, 0x00, 0x01, 0x01]));
    let expiry =
        purse.optional("valid_until", Fields::date)?.unwrap_or(BcdDate([0x20, 0x99, 0x12, 0x31]));
    let kind = if has_passbook { PURSE_AND_PASSBOOK } else { PURSE_TYPE };
    let mut file = [0; APPLICATION];
    let fields = [&issuer[..], &[kind, PURSE_VERSION], &serial, &start.0, &expiry.0];
    file.iter_mut().zip(fields.concat()).for_each(|(to, from)| *to = from);
    Ok(file)
}

/// Application type in EF 0015: a purse without a passbook.
const PURSE_TYPE: u8 = 0x02;
/// Application type in EF 0015: purse and passbook.
const PURSE_AND_PASSBOOK: u8 = 0x03;
/// Application version in EF 0015.
const PURSE_VERSION: u8 = 0x01;

/// The balance is what is the holder's own; the overdraft limit comes on top.
fn passbook(passbook: &mut Fields) -> Result<(Fen, OverdraftLimit), Problem> {
    let own = passbook.money("balance")?;
    let limit = passbook.optional("overdraft_limit", Fields::money)?.unwrap_or(Fen::ZERO);
    let limit = OverdraftLimit::new(limit)
        .ok_or_else(|| passbook.wrong("overdraft_limit", "is over 16777215"))?;
    let balance = own.checked_add(limit.fen());
    let balance = balance.ok_or_else(|| passbook.wrong("balance", "number out of range"))?;
    Ok((balance, limit))
}

/// EF 0016: type1 staff1 name20 id_number16 id_type1.
fn holder(holder: &mut Fields) -> Result<[u8; HOLDER], Problem> {
    let mut file = Vec::with_capacity(HOLDER);
    for name in ["card_type", "staff"] {
        file.push(holder.optional(name, Fields::number)?.unwrap_or(0));
    }
    for (name, len) in [("name", 20), ("id_number", 16)] {
        let end = file.len() + len;
        file.extend(holder.optional(name, |f, n| f.text_of(n, len))?.unwrap_or_default().bytes());
        file.resize(end, 0);
    }
    file.push(holder.optional("id_type", Fields::number)?.unwrap_or(0));
    let mut octets = [0; HOLDER];
    octets.iter_mut().zip(file).for_each(|(to, from)| *to = from);
    Ok(octets)
}

/// A record of the purse's record file.
fn record(record: &mut Fields) -> Result<Record, Problem> {
    let tag = record.number("tag")?;
    let value = record.hexadecimal("value")?;
    let mut octets = vec![tag, value.len() as u8];
    octets.extend(value);
    let most = Record::MAX - 2;
    Record::parse(&octets)
        .map_err(|_| record.wrong("value", format!("a record's value has at most {most} octets")))
}
