// SPDX-License-Identifier: Apache-2.0
//! The factory: from a personalisation file to the objects of a fresh card.

use crate::cas::barred::Barred;
use crate::cas::log::PurchaseLog;
use crate::cas::previews::Previews;
use crate::cas::rights::Right;
use crate::cas::store::{CasStore, Clock, Pairing, Setters, SignatureKey};
use crate::firewall::Objects;
use crate::isd::store::{FIRST_KVN, IssuerStore, KeySet};
use crate::keyring::KeyPair;
use crate::persist::{Checked, Guarded, Table};
use crate::personalisation::{KeyName, Personalisation, PersonalisationError};
use crate::pin::store::Pin;
use crate::purse::account::Account;
use crate::purse::record::{Form, Records};
use crate::purse::store::{ALL_SUITES, PurseStore};
use cam_types::Key;
use ecm_emm::emm::{PublicKey, Window};
use wallet::passbook::OverdraftLimit;

/// The objects of the card that `perso` describes, before its EMMs are applied.
pub(crate) fn objects(perso: &Personalisation) -> Result<Objects, PersonalisationError> {
    let mut cas = cas(perso)?;
    let mut purse = purse(perso)?;
    for (n, entry) in (1..).zip(&perso.keys) {
        let pair = match entry.name {
            KeyName::Cas(target) => cas.pair_mut(target),
            KeyName::Purse(target) => purse.pair_mut(target),
            KeyName::Fixed(key) => {
                match purse.fixed_mut(key) {
                    Some(place @ None) => *place = Some(entry.generation()),
                    _ => {
                        let why = "this key is there already".to_owned();
                        return Err(perso.error(&format!("key[{n}].role"), why));
                    }
                }
                continue;
            }
        };
        let taken = |pair: &KeyPair| pair.get(entry.epoch).is_some() || pair.iter().count() == 2;
        match pair {
            Some(pair) if !taken(pair) => {
                let taken = pair.deliver(entry.generation());
                debug_assert!(taken.is_ok());
            }
            _ => {
                let why = "this generation is there already, or two others".to_owned();
                return Err(perso.error(&format!("key[{n}].epoch"), why));
            }
        }
    }
    Ok(Objects::new(
        issuer(perso),
        Pin::new(&perso.pin, perso.pin_tries),
        cas,
        purse,
        perso.psam.clone(),
    ))
}

fn issuer(perso: &Personalisation) -> IssuerStore {
    let mut sets = Table::filled(|| None);
    for (kvn, keys) in &perso.key_sets {
        if let Some(place) = kvn.checked_sub(FIRST_KVN).and_then(|n| sets.get_mut(n.into())) {
            *place = Some(KeySet::new(keys.clone()));
        }
    }
    IssuerStore { card: perso.card_id, sets, locked: false }
}

fn cas(perso: &Personalisation) -> Result<CasStore, PersonalisationError> {
    let signature = match perso.signature {
        Some((_, key)) if PublicKey::from_octets(&key).is_err() => {
            return Err(perso.error("signature.key", "is not a point of P-256".to_owned()));
        }
        Some((epoch, key)) => Some(SignatureKey { epoch, key, window: Window::default() }),
        None => None,
    };
    let mut cas = CasStore {
        card: perso.card_id,
        pseudonym: perso.pseudonym,
        operator: perso.operator,
        blocked: perso.blocked,
        set_by: Setters::new(),
        expires: perso.expires,
        region: perso.region,
        rating_limit: perso.rating_limit,
        channels: perso.channels,
        emm_level: Guarded(perso.emm_level),
        clock: Clock::new(perso.now, perso.sync),
        reset: perso.reset.map(|number| Guarded(number.value())),
        suites: Table::filled(|| Guarded(ALL_SUITES)),
        groups: Table::filled(|| None),
        own: KeyPair::empty(),
        recovery: KeyPair::empty(),
        global: KeyPair::empty(),
        receipt: KeyPair::empty(),
        signature,
        group: Table::filled(KeyPair::empty),
        service: Table::filled(KeyPair::empty),
        pairings: Table::filled(|| None),
        rights: Table::filled(|| None),
        previews: Previews::empty(),
        log: PurchaseLog::empty(),
        report: None,
        barred: Barred::none(),
    };
    for (index, group) in &perso.groups {
        if let Some(place) = cas.groups.get_mut(usize::from(*index)) {
            *place = Some(*group);
        }
    }
    for pairing in &perso.pairings {
        if let Some(place) = cas.pairings.get_mut(usize::from(pairing.slot)) {
            *place = Some(Pairing {
                stb: pairing.stb,
                k_pair: Key::new(*pairing.k_pair.expose()),
                k_cw: Key::new(*pairing.k_cw.expose()),
            });
        }
    }
    for (n, entry) in perso.rights.iter().enumerate() {
        let right = Right::package(entry.package, entry.slot, entry.start, entry.end);
        let place = cas.rights.get_mut(n).ok_or_else(|| {
            perso.error("right", format!("a card has room for {}", super::cas::store::RIGHTS))
        })?;
        *place = Some(Checked(right));
    }
    Ok(cas)
}

fn purse(perso: &Personalisation) -> Result<PurseStore, PersonalisationError> {
    let given = &perso.purse;
    let mut purse = PurseStore::new(perso.pseudonym, perso.operator);
    purse.application = given.application;
    purse.holder = given.holder;
    purse.money.purse = Account::new(given.balance, OverdraftLimit::default());
    purse.money.passbook =
        given.passbook.map(|(balance, overdraft)| Account::new(balance, overdraft));
    purse.limits = given.limits;
    purse.code = given.code;
    for (number, (file, record)) in (1..).zip(&given.records) {
        let error = |field: &str, why: &str| {
            Err(perso.error(&format!("purse.record[{number}].{field}"), why.to_owned()))
        };
        let sfi = file.sfi;
        if purse.records.of(sfi).next().is_some() && purse.records.file(sfi) != Some(*file) {
            return error("sfi", "a file has either tags and values or contents");
        }
        for (_, other) in purse.records.of(sfi) {
            if file.form == Form::Tlv && other.tag() == record.tag() {
                return error("tag", "a record of this tag is there already");
            }
            if file.form == Form::Ring && other.octets().len() != record.octets().len() {
                return error("content", "the contents of a file are of one length");
            }
        }
        if !purse.records.add(*file, record.clone()) {
            return error("sfi", &format!("a purse has room for {} records", Records::PLACES));
        }
    }
    Ok(purse)
}
