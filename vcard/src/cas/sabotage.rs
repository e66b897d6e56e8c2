// SPDX-License-Identifier: Apache-2.0
//! The application on a card that a test makes misbehave: what faults do to a command on its way
//! in, to its answer on the way out, and to what it has stored.
//!
//! It stands around [`Cas`], below secure messaging, so that the application itself is the law.

use super::access::Sold;
use super::store::CasStore;
use super::{Cas, ecm, purchase};
use crate::context::Context;
use crate::fault::Fault;
use crate::firewall::Objects;
use crate::keyring::{Generation, KeyPair};
use crate::purse::sharing::{self as purse, Order, Shown};
use crate::stop::Stop;
use cam_types::Fen;
use ecm_emm::card::{
    AccessStatus, EcmAnswer, EmmDetail, EmmResult, INS_ECM, INS_EMM, INS_PURCHASE, INS_REPORT,
    PurchaseAnswer, PurchaseRequest, PurchaseResult, ReportRequest,
};
use ecm_emm::ecm::Ecm;
use ecm_emm::keys::Role;
use ecm_emm::report::Report;
use iso7816::apdu::Command;

/// One command, carried out in the way that the card's faults want.
pub(crate) fn process(cas: &mut Cas<'_>, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
    if cas.vault.is_honest() {
        return cas.process(command);
    }
    match command.ins {
        INS_ECM => process_ecm(cas, command),
        INS_EMM => process_emm(cas, command),
        INS_PURCHASE => process_purchase(cas, command),
        INS_REPORT => process_report(cas, command),
        _ => cas.process(command),
    }
}

fn process_ecm(cas: &mut Cas<'_>, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
    let honest = cas.process(command)?;
    let (Ok(mut answer), Ok(ecm)) = (EcmAnswer::parse(&honest), Ecm::parse(command.data)) else {
        return Ok(honest);
    };
    let is = |status| answer.status == status;
    if (cas.vault.has(Fault::RefuseSubscription) && is(AccessStatus::GRANTED_SUBSCRIPTION))
        || (cas.vault.has(Fault::AcceptForgedEcm) && is(AccessStatus::REFUSED_ECM))
    {
        answer = EcmAnswer::refusal(AccessStatus::NO_RIGHT, answer.cci, answer.rating);
    }
    if let (true, Some(offer)) = (cas.vault.has(Fault::WrongPrice), &mut answer.offer) {
        offer.price = one_more(offer.price);
    }
    if let (true, Some((even, odd))) = (cas.vault.has(Fault::WrongEcw), &mut answer.ecw) {
        let current = if ecm.header.cp_number & 1 == 0 { even } else { odd };
        current[0] ^= 0x01;
    }
    let mut out = Vec::new();
    answer.emit(&mut out);
    Ok(out)
}

fn process_emm(cas: &mut Cas<'_>, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
    let before = cas.vault.objects().clone();
    let honest = cas.process(command)?;
    let Ok(result) = EmmResult::parse(&honest) else { return Ok(honest) };
    let repeated = cas.vault.has(Fault::ApplyDuplicates) && result == EmmResult::DUPLICATE;
    let forged = cas.vault.has(Fault::AcceptForged)
        && result == EmmResult::refused(EmmDetail::AUTHENTICATION);
    let result = if repeated || forged { EmmResult::APPLIED } else { result };
    if cas.vault.has(Fault::LoseKey) && has_new_key(&before, cas.vault.objects())? {
        cas.vault.change(|objects| {
            *objects = before;
            Ok::<_, Stop>(())
        })?;
    }
    let mut out = Vec::new();
    result.emit(&mut out);
    Ok(out)
}

/// A generation that was not held before.
fn has_new_key(before: &Objects, now: &Objects) -> Result<bool, Stop> {
    let (before, now) = (before.cas.get(Context::CAS)?, now.cas.get(Context::CAS)?);
    Ok(pairs(now).zip(pairs(before)).any(|(now, before)| {
        now.iter().any(|generation| before.iter().all(|held| held.epoch != generation.epoch))
    }))
}

fn pairs(store: &CasStore) -> impl Iterator<Item = &KeyPair> {
    [Role::Individual, Role::Recovery, Role::Global, Role::Receipt, Role::Group, Role::Service]
        .into_iter()
        .flat_map(|role| store.pairs_of(role))
}

fn process_purchase(cas: &mut Cas<'_>, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
    let Ok(mut request) = PurchaseRequest::parse(command.data) else {
        return cas.process(command);
    };
    let store = cas.vault.objects().cas.get(Context::CAS)?;
    let opened = ecm::open(store, request.section);
    let opened = opened.map(|opened| (cas.ram.when(opened.body.time, opened.dated()), opened));
    let mut data = Vec::new();
    if let (true, Ok((when, opened))) = (cas.vault.has(Fault::PriceIgnored), &opened)
        && let Some(sold) = Sold::by(&opened.body.criteria, when.at)
    {
        request.expected_price = sold.price();
    }
    let data = request.emit(&mut data).map_or(command.data, |()| &data);
    let honest = cas.process(&Command { data, ..*command })?;
    let Ok(mut answer) = PurchaseAnswer::parse(&honest) else { return Ok(honest) };
    let had = matches!(answer.result, PurchaseResult::DONE | PurchaseResult::OWNED);
    if cas.vault.has(Fault::IgnoreQuery) && had && request.is_query() {
        let balance = purse::wallet_info(cas.vault.objects(), Context::CAS)?.balance;
        answer = PurchaseAnswer::refusal(PurchaseResult::NONE, balance);
    }
    if let (true, Ok((when, opened))) = (cas.vault.has(Fault::RepeatDebit) && had, &opened) {
        answer = purchase::pay(cas.vault, cas.ram, &request, opened, *when)?;
    }
    if answer.result == PurchaseResult::PAID {
        if cas.vault.has(Fault::DoubleDebit) {
            debit_again(cas, &request, &mut answer)?;
        }
        if cas.vault.has(Fault::WrongBalance) {
            answer.balance = one_more(answer.balance);
        }
        if cas.vault.has(Fault::WrongTac) {
            answer.tac[0] ^= 0x01;
        }
    }
    let mut out = Vec::new();
    answer.emit(&mut out);
    Ok(out)
}

/// Takes the price a second time; the answer shows this debit, the log only the first.
fn debit_again(
    cas: &mut Cas<'_>,
    request: &PurchaseRequest<'_>,
    answer: &mut PurchaseAnswer,
) -> Result<(), Stop> {
    let order = Order {
        amount: answer.amount,
        terminal: request.terminal,
        terminal_sequence: request.terminal_sequence,
        date: answer.date,
        time: answer.time,
        shown: Shown::Pin,
    };
    let again = cas
        .vault
        .change(|objects| Ok::<_, Stop>(purse::capp_debit(objects, Context::CAS, &order)?))?;
    if let Ok(booked) = again {
        answer.offline_sequence = booked.record.sequence;
        answer.balance = booked.balance;
        answer.tac = booked.tac.0;
    }
    Ok(())
}

fn process_report(cas: &mut Cas<'_>, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
    let honest = cas.process(command)?;
    let store = cas.vault.objects().cas.get(Context::CAS)?;
    let key = store.receipt.oldest().and_then(Generation::seal_key);
    let (Ok(request), Some(key)) = (ReportRequest::parse(command.data), key) else {
        return Ok(honest);
    };
    let Ok((header, mut report)) = Report::open(&honest, request.nonce, &key) else {
        return Ok(honest);
    };
    if cas.vault.has(Fault::ReportOmits) && report.records.len() > 1 {
        report.records.remove(1);
    }
    if let (true, Some(record)) = (cas.vault.has(Fault::ReportAlters), report.records.last_mut()) {
        // The lowest octet of the amount.
        record.purse[8] ^= 0x01;
    }
    let mut out = Vec::new();
    Ok(report.seal(&header, request.nonce, &key, &mut out).map_or(honest, |()| out))
}

fn one_more(amount: Fen) -> Fen {
    amount.checked_add(Fen::new(1)).unwrap_or(amount)
}
