// SPDX-License-Identifier: Apache-2.0
//! The purse's part of a personalisation file.

use super::fields::{Fields, Problem};
use crate::purse;
use crate::purse::holder::Holder;
use crate::purse::record::{Form, Record, RecordFileId, Records};
use crate::purse::store::{APPLICATION, Limits};
use cam_types::{BcdDate, Fen};
use wallet::passbook::OverdraftLimit;

/// The purse when it leaves the factory.
pub struct PursePersonalisation {
    /// EF 0015.
    pub application: [u8; APPLICATION],
    /// EF 0016.
    pub holder: Holder,
    /// What the card gives to terminals that have MAC1 cover it (MOHURD).
    pub code: Option<[u8; 9]>,
    /// What is in it.
    pub balance: Fen,
    /// The passbook beside it: what can be drawn, and how much of that is overdraft.
    pub passbook: Option<(Fen, OverdraftLimit)>,
    /// How much may go without the PIN, cost at once, and be in it.
    pub limits: Limits,
    /// Records for compound purchases with their files, in their order in the file.
    pub records: Vec<(RecordFileId, Record)>,
}

impl PursePersonalisation {
    /// The number that everybody may read.
    pub(super) fn serial(&self) -> &[u8] {
        self.application.get(10..20).unwrap_or_default()
    }

    pub(super) fn read(purse: &mut Fields) -> Result<Self, Problem> {
        let money = |purse: &mut Fields, name| {
            Ok::<_, Problem>(purse.optional(name, Fields::money)?.unwrap_or(Fen::ZERO))
        };
        let passbook = purse.optional_table("passbook", passbook)?;
        let this = Self {
            application: application(purse, passbook.is_some())?,
            holder: purse.optional_table("holder", holder)?.unwrap_or(Holder::nobody()),
            code: purse.optional("authentication_code", Fields::octets)?,
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
        };
        let limits = &this.limits;
        if limits.balance != Fen::ZERO && this.balance > limits.balance {
            return Err(purse.wrong("balance", "is over `balance_limit`"));
        }
        if limits.pin_free_per_purchase > limits.pin_free_per_day {
            return Err(purse.wrong("pin_free_per_purchase", "is over `pin_free_per_day`"));
        }
        if limits.terminal_total.is_some_and(|all| limits.terminal_per_purchase > Some(all)) {
            let why = "is over `terminal_pin_free_total`";
            return Err(purse.wrong("terminal_pin_free_per_purchase", why));
        }
        Ok(this)
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
    if expiry < start {
        return Err(purse.wrong("valid_until", "is before `valid_from`"));
    }
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

/// EF 0016: type1 staff1 name20 id_number id_type1; the number has 16, 18 or 32 characters.
fn holder(holder: &mut Fields) -> Result<Holder, Problem> {
    let most = Holder::NUMBERS.into_iter().max().unwrap_or_default();
    let mut file = Vec::new();
    for name in ["card_type", "staff"] {
        file.push(holder.optional(name, Fields::number)?.unwrap_or(0));
    }
    let name = holder.optional("name", |f, n| f.text_of(n, 20))?.unwrap_or_default();
    let number = holder.optional("id_number", |f, n| f.text_of(n, most))?.unwrap_or_default();
    let room = Holder::NUMBERS.into_iter().find(|room| number.len() <= *room).unwrap_or(most);
    for (text, len) in [(name, 20), (number, room)] {
        let end = file.len() + len;
        file.extend(text.bytes());
        file.resize(end, 0);
    }
    file.push(holder.optional("id_type", Fields::number)?.unwrap_or(0));
    Holder::new(&file).ok_or_else(|| holder.wrong("id_number", "has a length that no file has"))
}

/// A record and its file: `tag` and `value`, or in a ring `content`.
fn record(record: &mut Fields) -> Result<(RecordFileId, Record), Problem> {
    let sfi = record.optional("sfi", Fields::number)?.unwrap_or(Records::FIRST.sfi);
    let taken = [purse::APPLICATION, purse::HOLDER, purse::TRANSACTIONS];
    if !(0x01..=0x1E).contains(&sfi) || taken.contains(&sfi) {
        return Err(record.wrong("sfi", "expected 0x01 to 0x1E, and not 0x15, 0x16 or 0x18"));
    }
    let content = record.optional("content", Fields::hexadecimal)?;
    let most = Record::MAX - 2;
    let (form, name, octets, expected) = match content {
        Some(content) => {
            let expected = format!("a record has 1 to {} octets", Record::MAX);
            (Form::Ring, "content", content, expected)
        }
        None => {
            let tag: u8 = record.number("tag")?;
            if tag == 0 {
                return Err(record.wrong("tag", "is 0, which names no record"));
            }
            let value = record.hexadecimal("value")?;
            let mut octets = vec![tag, value.len() as u8];
            octets.extend(value);
            (Form::Tlv, "value", octets, format!("a record's value has at most {most} octets"))
        }
    };
    let parsed = Record::parse(form, &octets).map_err(|_| record.wrong(name, expected))?;
    Ok((RecordFileId { sfi, form }, parsed))
}
