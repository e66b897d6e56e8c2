// SPDX-License-Identifier: Apache-2.0
//! Messages to the purse: EMM-U under its own keys, which the conditional access application hands
//! on without opening them.

use super::booked::NotBooked;
use super::store::{PurseStore, State};
use crate::cas::log::Record;
use crate::cas::sharing as cas;
use crate::context::Context;
use crate::decide::decide;
use crate::delivery;
use crate::firewall::Objects;
use crate::message::{Abort, Carrier, Effect, Outcome, later, not_opened, number, refused, total};
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::{BcdDate, BcdTime, Fen, TerminalId, TerminalSequence};
use ecm_emm::card::{EmmDetail, EmmResult};
use ecm_emm::emm::{Address, Emm, EmmCommand, EmmHeader, KeyTarget, WindowCheck, role_permitted};
use ecm_emm::keys::Role;
use wallet::{Transaction, TransactionType};

impl From<NotBooked> for Abort {
    fn from(error: NotBooked) -> Self {
        Self::Result(EmmResult::refused(match error {
            NotBooked::NoKey => EmmDetail::NO_KEY,
            NotBooked::Funds | NotBooked::Full | NotBooked::Exhausted => EmmDetail::FULL,
        }))
    }
}

/// One message.
pub(super) fn process(vault: &mut Vault, section: &[u8]) -> Result<EmmResult, Stop> {
    let Ok(emm) = Emm::parse(section) else {
        return Ok(EmmResult::refused(EmmDetail::MALFORMED));
    };
    match apply(vault, &emm) {
        Ok(result) | Err(Abort::Result(result)) => Ok(result),
        Err(Abort::Stop(stop)) => Err(stop),
    }
}

fn apply(vault: &mut Vault, emm: &Emm<'_>) -> Result<EmmResult, Abort> {
    let header = emm.header;
    let purse = vault.objects().purse.get(Context::PURSE)?;
    let carrier = match carrier(purse, &header)? {
        Ok(carrier) => carrier,
        Err(result) => return Ok(result),
    };
    let body = match emm.open(&carrier.key) {
        Ok(body) => body,
        Err(error) => return Ok(EmmResult::refused(not_opened(error))),
    };
    if !decide(|| body.is_permitted(&header)) {
        return Ok(EmmResult::refused(EmmDetail::PERMISSION));
    }
    vault.change(|objects| {
        let effects = body
            .commands
            .iter()
            .map(|command| carry_out(objects, command, &carrier))
            .collect::<Result<Vec<_>, _>>()?;
        let result = total(&effects);
        if result != EmmResult::APPLIED {
            return Err(result.into());
        }
        let purse = objects.purse.get_mut(Context::PURSE)?;
        let pair = if header.role == Role::Wallet { &mut purse.own } else { &mut purse.recovery };
        if let Some(generation) = pair.get_mut(header.epoch) {
            generation.window.set(header.seq);
            generation.used = true;
        }
        Ok(result)
    })
}

/// The key of a message that is for this purse and new, or the answer.
fn carrier(purse: &PurseStore, header: &EmmHeader) -> Result<Result<Carrier, EmmResult>, Abort> {
    let refuse = |detail| Ok(Err(EmmResult::refused(detail)));
    if !decide(|| header.role.is_wallet() && role_permitted(header.role, header.table_id())) {
        return refuse(EmmDetail::PERMISSION);
    }
    let address = (purse.operator, Address::Unique(purse.pseudonym));
    if !decide(|| (header.operator, header.address) == address) {
        return refuse(EmmDetail::ADDRESS);
    }
    let pair = if header.role == Role::Wallet { &purse.own } else { &purse.recovery };
    if !decide(|| header.epoch >= pair.floor) {
        return refuse(EmmDetail::EPOCH);
    }
    let Some(generation) = pair.get(header.epoch) else { return refuse(EmmDetail::NO_KEY) };
    if !decide(|| purse.suites(header.role) >> generation.suite & 1 == 1) {
        return refuse(EmmDetail::SUITE);
    }
    let Some(key) = generation.seal_key() else { return refuse(EmmDetail::NO_KEY) };
    Ok(number(generation.window.check(header.seq)).map(|()| Carrier {
        key,
        context: header.key_context(),
        number: header.seq,
    }))
}

fn carry_out(
    objects: &mut Objects,
    command: &EmmCommand,
    carrier: &Carrier,
) -> Result<Effect, Abort> {
    match command {
        EmmCommand::Topup { number, amount, date, time, agent } => {
            top_up(objects, *number, *amount, (*date, *time), *agent)
        }
        EmmCommand::Refund { event, sequence, amount } => {
            let revoked = cas::revoke(objects, Context::PURSE, *event, *sequence, *amount)?;
            let Some(revoked) = revoked else {
                return Err(EmmResult::refused(EmmDetail::NOT_FOUND).into());
            };
            let terminal_sequence = revoked.terminal_sequence;
            credit(objects, *amount, revoked.at, revoked.terminal, terminal_sequence)
        }
        other => {
            let purse = objects.purse.get_mut(Context::PURSE)?;
            Ok(keys(purse, other, carrier)?)
        }
    }
}

fn keys(purse: &mut PurseStore, command: &EmmCommand, carrier: &Carrier) -> Outcome {
    match command {
        EmmCommand::WalletBlock { blocked } => {
            let state = purse.money.state;
            if !decide(|| state != State::Ended || *blocked) {
                return refused(EmmDetail::PERMISSION);
            }
            let set = purse.blocked_by.take(carrier.number);
            if set == Effect::Applied && purse.money.state != State::Ended {
                purse.money.state = if *blocked { State::Blocked } else { State::Active };
            }
            Ok(set)
        }
        EmmCommand::KeyDeliver(delivery) => {
            let role = delivery.target.role(carrier.context.role);
            let allowed = role.map_or(0, |role| purse.suites(role));
            delivery::deliver(pair(purse, delivery.target)?, delivery, carrier, allowed)
        }
        EmmCommand::KeyActivate { target, epoch, floor } => {
            delivery::activate(pair(purse, *target)?, *target, *epoch, *floor, carrier)
        }
        EmmCommand::KeyDestroy { target, epoch } => {
            delivery::destroy(pair(purse, *target)?, *target, *epoch, carrier)
        }
        EmmCommand::SuiteAllow { role, mask } => {
            let pairs = match role {
                Role::Wallet => vec![purse.own.clone()],
                Role::WalletRecovery => vec![purse.recovery.clone()],
                Role::Tac => vec![purse.tac.clone(), purse.tac2.clone()],
                _ => return refused(EmmDetail::TARGET),
            };
            let Some(allowed) = purse.suites_mut(*role) else { return refused(EmmDetail::TARGET) };
            match role {
                // Either of the two keys for transaction codes will do.
                Role::Tac if pairs.iter().any(|pair| pair.has_suite_in(*allowed & mask)) => {
                    *allowed &= mask;
                    Ok(Effect::Applied)
                }
                Role::Tac => Err(later(EmmDetail::SUITE)),
                _ => delivery::allow(allowed, *mask, &pairs),
            }
        }
        // The purse's domain has no clock that could be RESET.
        EmmCommand::EmmLevel { after: Some(_), .. } => refused(EmmDetail::TARGET),
        EmmCommand::EmmLevel { level, after: None } => {
            Ok(delivery::level(&mut purse.emm_level.0, *level))
        }
        EmmCommand::SigKey { .. } => refused(EmmDetail::TARGET),
        _ => refused(EmmDetail::UNKNOWN_TAG),
    }
}

fn pair(
    purse: &mut PurseStore,
    target: KeyTarget,
) -> Result<&mut crate::keyring::KeyPair, EmmResult> {
    purse.pair_mut(target).ok_or(EmmResult::refused(EmmDetail::TARGET))
}

fn top_up(
    objects: &mut Objects,
    number: u16,
    amount: Fen,
    at: (BcdDate, BcdTime),
    agent: TerminalId,
) -> Result<Effect, Abort> {
    let purse = objects.purse.get_mut(Context::PURSE)?;
    let seen = purse.money.topups.check(number.into());
    match seen {
        _ if decide(|| seen == WindowCheck::New) => purse.money.topups.set(number.into()),
        WindowCheck::Duplicate => return Err(EmmResult::DUPLICATE.into()),
        _ => return Ok(Effect::Stale(EmmDetail::NONE)),
    }
    credit(objects, amount, at, agent, TerminalSequence::new(number.into()))
}

/// Money comes in: balance, online sequence, log, code, and a record for the head-end.
fn credit(
    objects: &mut Objects,
    amount: Fen,
    (date, time): (BcdDate, BcdTime),
    terminal: TerminalId,
    terminal_sequence: TerminalSequence,
) -> Result<Effect, Abort> {
    let transaction = Transaction { amount, kind: TransactionType::LOAD, terminal, date, time };
    let booked = objects.purse.get_mut(Context::PURSE)?.receive(transaction)?;
    let mut report = Record::new(&booked.record, booked.balance, booked.tac);
    report.terminal_sequence = terminal_sequence;
    match cas::append(objects, Context::PURSE, report)? {
        Ok(_) => Ok(Effect::Applied),
        Err(_) => Err(later(EmmDetail::FULL).into()),
    }
}
