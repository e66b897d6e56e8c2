// SPDX-License-Identifier: Apache-2.0
//! What the purse does for the conditional access application, and hears of the PIN: its shareable
//! interface.
//!
//! Every function looks at its caller's AID first. Money only ever goes out here; it comes in by
//! the purse's own commands and messages.

use super::booked::{Booked, NO_MAC, NotBooked};
use super::store::{PurseStore, State};
use crate::context::{Context, Violation};
use crate::decide::decide;
use crate::firewall::Objects;
use crate::persist::Guarded;
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::{Aid, BcdDate, BcdTime, Fen, TerminalId, TerminalSequence};
use ecm_emm::card::{EmmResult, WalletInfo};
use wallet::{Transaction, TransactionType};

/// Who may call.
const CLIENTS: &[Aid] = &[Aid::CAS];

/// A programme to be paid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// Its price.
    pub amount: Fen,
    /// The box.
    pub terminal: TerminalId,
    /// The box's number of the purchase.
    pub terminal_sequence: TerminalSequence,
    /// The card's date.
    pub date: BcdDate,
    /// The card's time.
    pub time: BcdTime,
    /// What the holder has shown for it.
    pub shown: Shown,
}

/// What the holder of the card has shown for a payment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shown {
    Pin,
    /// Nothing: it counts against the day's limit.
    Nothing,
}

/// Why the purse does not pay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotPaid {
    Blocked,
    /// The price is over the limit of a purchase.
    Cap,
    /// The PIN is needed.
    Pin,
    /// The balance is too low.
    Funds,
    /// The offline sequence is used up.
    Exhausted,
    /// There is no key for the transaction code.
    NoKey,
}

impl From<NotBooked> for NotPaid {
    fn from(error: NotBooked) -> Self {
        match error {
            NotBooked::Funds | NotBooked::Full => Self::Funds,
            NotBooked::Exhausted => Self::Exhausted,
            NotBooked::NoKey => Self::NoKey,
        }
    }
}

/// The terms on which the purse would pay now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// What is left.
    pub balance: Fen,
    blocked: bool,
    exhausted: bool,
    cap: Fen,
    pin_free: Fen,
}

impl Terms {
    /// Whether the purse would pay this price for what was shown.
    pub(crate) fn check(&self, price: Fen, shown: Shown) -> Result<(), NotPaid> {
        if !decide(|| !self.blocked) {
            Err(NotPaid::Blocked)
        } else if !decide(|| self.cap == Fen::ZERO || price <= self.cap) {
            Err(NotPaid::Cap)
        } else if !decide(|| !self.exhausted) {
            Err(NotPaid::Exhausted)
        } else if !decide(|| shown == Shown::Pin || !self.needs_pin(price)) {
            Err(NotPaid::Pin)
        } else if !decide(|| price <= self.balance) {
            Err(NotPaid::Funds)
        } else {
            Ok(())
        }
    }

    /// This price is not paid without the PIN.
    pub(crate) fn needs_pin(&self, price: Fen) -> bool {
        price > self.pin_free
    }
}

/// The terms of this day.
pub(crate) fn terms(objects: &Objects, caller: Context, date: BcdDate) -> Result<Terms, Violation> {
    caller.is_one_of(CLIENTS)?;
    let purse = objects.purse.get(Context::PURSE)?;
    let spent = purse.spent_on(date);
    let left_today = purse.limits.pin_free_per_day.checked_sub(spent).unwrap_or(Fen::ZERO);
    Ok(Terms {
        balance: purse.money.purse.balance.0,
        blocked: purse.money.state != State::Active,
        exhausted: purse.money.purse.offline_sequence.0 == u16::MAX,
        cap: purse.limits.per_purchase,
        pin_free: left_today.min(purse.limits.pin_free_per_purchase),
    })
}

/// Pays a programme inside the caller's transaction: balance, log, proof and code together.
pub(crate) fn capp_debit(
    objects: &mut Objects,
    caller: Context,
    order: &Order,
) -> Result<Result<Booked, NotPaid>, Violation> {
    let terms = terms(objects, caller, order.date)?;
    let purse = objects.purse.get_mut(Context::PURSE)?;
    Ok(terms.check(order.amount, order.shown).and_then(|()| debit(purse, order)))
}

fn debit(purse: &mut PurseStore, order: &Order) -> Result<Booked, NotPaid> {
    let transaction = Transaction {
        amount: order.amount,
        kind: TransactionType::COMPOUND,
        terminal: order.terminal,
        date: order.date,
        time: order.time,
    };
    if !decide(|| order.shown == Shown::Pin) {
        let before = purse.spent_on(order.date);
        purse.money.day = order.date.max(purse.money.day);
        purse.money.spent = Guarded(before.checked_add(order.amount).ok_or(NotPaid::Cap)?);
    }
    Ok(purse.pay(transaction, order.terminal_sequence, NO_MAC)?)
}

/// The holder has shown the PIN at the contacts, to whichever application: terminals may take small
/// amounts again, and hosts load over the antenna.
pub(crate) fn pin_verified(objects: &mut Objects, caller: Context) -> Result<(), Violation> {
    caller.is_one_of(&[Aid::ISSUER])?;
    let money = &mut objects.purse.get_mut(Context::PURSE)?.money;
    money.unverified = Guarded(Fen::ZERO);
    money.guesses.pin_verified();
    Ok(())
}

/// The operator has set the clock, to this day: a later one was a mistake. What was spent stays
/// spent.
pub(crate) fn clock_reset(
    objects: &mut Objects,
    caller: Context,
    date: BcdDate,
) -> Result<(), Violation> {
    caller.is_one_of(CLIENTS)?;
    let money = &mut objects.purse.get_mut(Context::PURSE)?.money;
    money.day = money.day.min(date);
    Ok(())
}

/// What RIGHTS tells of the purse.
pub(crate) fn wallet_info(objects: &Objects, caller: Context) -> Result<WalletInfo, Violation> {
    caller.is_one_of(CLIENTS)?;
    let purse = objects.purse.get(Context::PURSE)?;
    Ok(WalletInfo {
        balance: purse.money.purse.balance.0,
        offline_sequence: purse.money.purse.offline_sequence.0,
        online_sequence: purse.money.purse.online_sequence.0,
        pin_free_per_purchase: purse.limits.pin_free_per_purchase,
        pin_free_per_day: purse.limits.pin_free_per_day,
    })
}

/// Takes a section for the purse, still sealed.
pub(crate) fn wallet_emm(
    vault: &mut Vault,
    caller: Context,
    section: &[u8],
) -> Result<EmmResult, Stop> {
    caller.is_one_of(CLIENTS)?;
    super::emm::process(vault, section)
}
