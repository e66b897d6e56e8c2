// SPDX-License-Identifier: Apache-2.0
//! The PURCHASE command: a programme is paid and its right kept, in one transaction or not at all.
//!
//! The order of the checks is the order of `docs/spec/purchase.md`: a known request first, a right
//! that is there second, everything that may refuse third, money last.

use super::access::{self, Sold};
use super::ecm::{self, Opened, mark_used};
use super::log::{Record, State};
use super::rights::Right;
use super::store::CasStore;
use super::time::{CasRam, When};
use crate::context::{Context, Violation};
use crate::decide::decide;
use crate::purse::sharing::{self as purse, NotPaid, Order, Shown};
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::{CasTime, EventId, Fen};
use ecm_emm::card::{AccessStatus, PurchaseAnswer, PurchaseRequest, PurchaseResult, PurchaseState};

/// The PURCHASE command.
pub(super) fn process(
    vault: &mut Vault,
    ram: &mut CasRam,
    data: &[u8],
) -> Result<PurchaseAnswer, Stop> {
    let balance = balance(vault)?;
    let refuse = |result| Ok(PurchaseAnswer::refusal(result, balance));
    let Ok(request) = PurchaseRequest::parse(data) else {
        return refuse(PurchaseResult::MALFORMED);
    };
    let cas = vault.objects().cas.get(Context::CAS)?;
    let is_it = |record: &Record| record.is_of(request.terminal, request.terminal_sequence);
    if !decide(|| cas.log.find(is_it).is_none()) {
        let known = cas.log.find(is_it);
        return known.map_or(refuse(PurchaseResult::NONE), |record| {
            Ok(answer(PurchaseResult::DONE, record))
        });
    }
    if request.is_query() {
        return refuse(PurchaseResult::NONE);
    }
    let opened = match ecm::open(cas, request.section) {
        Ok(opened) => opened,
        Err(error) => return refuse(error.result()),
    };
    let when = ram.when(opened.body.time, opened.dated());
    if !decide(|| owned(cas, &opened, when).is_none()) {
        return Ok(owned(cas, &opened, when)
            .flatten()
            .map_or(PurchaseAnswer::refusal(PurchaseResult::OWNED, balance), |record| {
                answer(PurchaseResult::OWNED, record)
            }));
    }
    pay(vault, ram, &request, &opened, when)
}

/// What is neither known nor owned is paid, if nothing refuses. From here on the PIN is used up,
/// whatever comes of it.
pub(super) fn pay(
    vault: &mut Vault,
    ram: &mut CasRam,
    request: &PurchaseRequest<'_>,
    opened: &Opened,
    when: When,
) -> Result<PurchaseAnswer, Stop> {
    let pin = std::mem::take(&mut ram.pin.purchase);
    let shown = if decide(|| pin.get()) { Shown::Pin } else { Shown::Nothing };
    match check(vault, ram, request, opened, when.at, shown)? {
        Ok(sold) => debit(vault, ram, request, opened, &sold, when, shown),
        Err(result) => Ok(PurchaseAnswer::refusal(result, balance(vault)?)),
    }
}

fn balance(vault: &Vault) -> Result<Fen, Stop> {
    Ok(purse::wallet_info(vault.objects(), Context::CAS)?.balance)
}

/// The right is there: with its record, if the log still has it.
fn owned<'a>(cas: &'a CasStore, opened: &Opened, when: When) -> Option<Option<&'a Record>> {
    let sold = Sold::by(&opened.body.criteria, when.at)?;
    let right = cas.owned(&sold, opened.header.slot, when)?;
    Some(cas.log.find(|record| record.state() == State::Paid as u8 && record.made(right)))
}

/// Everything that may refuse, in its order.
fn check(
    vault: &Vault,
    ram: &CasRam,
    request: &PurchaseRequest<'_>,
    opened: &Opened,
    at: CasTime,
    shown: Shown,
) -> Result<Result<Sold, PurchaseResult>, Stop> {
    let cas = vault.objects().cas.get(Context::CAS)?;
    let body = &opened.body;
    if !ram.is_fresh(body.time, opened.dated()) {
        return Ok(Err(PurchaseResult::CLOCK));
    }
    let sold = Sold::by(&body.criteria, at);
    if !decide(|| sold.is_some() || body.criteria.ppv.is_none_or(|ppv| at < ppv.end)) {
        return Ok(Err(PurchaseResult::WINDOW));
    }
    match access::vetoed(cas, ram, body, at) {
        None => {}
        Some(AccessStatus::CARD_BLOCKED | AccessStatus::CARD_EXPIRED) => {
            return Ok(Err(PurchaseResult::CARD_BLOCKED));
        }
        Some(AccessStatus::RATING) => return Ok(Err(PurchaseResult::RATING)),
        // What could not be watched is not sold.
        Some(_) => return Ok(Err(PurchaseResult::NO_OFFER)),
    }
    if !cas.reaches(body.emm_floor) {
        return Ok(Err(PurchaseResult::NO_OFFER));
    }
    // Of what has not begun, whether a package will open it then.
    let begins = body.criteria.ppv.map_or(at, |ppv| ppv.start.max(at));
    let unbought = || access::opens_unbought(cas, opened.header.slot, &body.criteria, begins);
    if !decide(|| !unbought()) {
        return Ok(Err(PurchaseResult::NO_OFFER));
    }
    // What costs nothing is not sold.
    let Some(sold) = sold.filter(|sold| decide(|| sold.price() > Fen::ZERO)) else {
        return Ok(Err(PurchaseResult::NO_OFFER));
    };
    if !decide(|| sold.price() == request.expected_price) {
        return Ok(Err(PurchaseResult::PRICE));
    }
    let highest = cas.log.highest_of(request.terminal);
    if !decide(|| highest <= Some(request.terminal_sequence)) {
        return Ok(Err(PurchaseResult::SEQUENCE));
    }
    let terms = purse::terms(vault.objects(), Context::CAS, at.purse_date_time().0)?;
    let terms = terms.check(sold.price(), shown);
    Ok(match terms {
        Err(error @ (NotPaid::Blocked | NotPaid::Cap | NotPaid::Exhausted)) => Err(result(error)),
        _ if !cas.log.has_room() => Err(PurchaseResult::LOG_FULL),
        Err(error) => Err(result(error)),
        Ok(()) => Ok(sold),
    })
}

const fn result(error: NotPaid) -> PurchaseResult {
    match error {
        NotPaid::Blocked => PurchaseResult::CARD_BLOCKED,
        NotPaid::Cap => PurchaseResult::CAP,
        NotPaid::Pin => PurchaseResult::PIN_REQUIRED,
        NotPaid::Funds => PurchaseResult::FUNDS,
        NotPaid::Exhausted => PurchaseResult::SEQUENCE,
        NotPaid::NoKey => PurchaseResult::NO_KEY,
    }
}

/// A purchase that the transaction itself did not make.
enum Unmade {
    Refused(PurchaseResult),
    Stop(Stop),
}

impl From<Stop> for Unmade {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Violation> for Unmade {
    fn from(violation: Violation) -> Self {
        Self::Stop(violation.into())
    }
}

/// One transaction: money, log, proof, code, right and receipt.
fn debit(
    vault: &mut Vault,
    ram: &mut CasRam,
    request: &PurchaseRequest<'_>,
    opened: &Opened,
    sold: &Sold,
    when: When,
    shown: Shown,
) -> Result<PurchaseAnswer, Stop> {
    let (date, time) = when.at.purse_date_time();
    let order = Order {
        amount: sold.price(),
        terminal: request.terminal,
        terminal_sequence: request.terminal_sequence,
        date,
        time,
        shown,
    };
    // The sum of a day is not to be had again by a reset: the day is stored with it.
    let clock = {
        let cas = vault.objects().cas.get(Context::CAS)?;
        ram.accept(opened.body.time, &cas.clock) || shown == Shown::Nothing
    };
    let made = vault.purchase(|objects| {
        let paid = purse::capp_debit(objects, Context::CAS, &order)?
            .map_err(|error| Unmade::Refused(result(error)))?;
        let cas = objects.cas.get_mut(Context::CAS)?;
        if clock {
            cas.store_clock(ram);
        }
        mark_used(cas, &opened.header);
        let slot = opened.header.slot;
        let (right, slice_s) = match sold {
            Sold::Event(ppv) => (Right::paid_event(ppv, slot), None),
            Sold::Slice(ppt) => (cas.paid_slice(ppt, slot, when.ecm), Some(ppt.slice_s)),
        };
        cas.keep_right(right, when.at).map_err(|_| Unmade::Refused(PurchaseResult::LOG_FULL))?;
        let record = Record {
            terminal_sequence: request.terminal_sequence,
            event: Some(EventId::new(right.id)),
            tier: right.tier,
            slot: Some(right.slot),
            start: right.start,
            end: right.end,
            slice_s,
            ..Record::new(&paid.record, paid.balance, paid.tac)
        };
        cas.append(record).map_err(|_| Unmade::Refused(PurchaseResult::NO_KEY))
    });
    match made {
        Ok(record) => Ok(answer(PurchaseResult::PAID, &record)),
        Err(Unmade::Refused(result)) => Ok(PurchaseAnswer::refusal(result, balance(vault)?)),
        Err(Unmade::Stop(stop)) => Err(stop),
    }
}

/// The stored record as an answer.
fn answer(result: PurchaseResult, record: &Record) -> PurchaseAnswer {
    let Some(purse) = record.log_record() else {
        return PurchaseAnswer::refusal(result, record.balance);
    };
    PurchaseAnswer {
        result,
        state: PurchaseState(record.state()),
        offline_sequence: purse.sequence,
        amount: purse.transaction.amount,
        date: purse.transaction.date,
        time: purse.transaction.time,
        balance: record.balance,
        tac: record.tac(),
        receipt: record.receipt,
    }
}
