// SPDX-License-Identifier: Apache-2.0
//! Every context against every object and every shareable method (T32).

use super::*;
use crate::cas::log::Record;
use crate::cas::sharing as cas;
use crate::decide::{Glitch, Watch};
use crate::factory;
use crate::isd;
use crate::nvm::{Nvm, RamStore};
use crate::personalisation::Personalisation;
use crate::pin;
use crate::purse::sharing as purse;
use crate::purse::store::State;
use crate::vault::{self, Vault};
use cam_types::{BcdDate, BcdTime, EventId, Fen, TerminalId, TerminalSequence};
use ecm_emm::card::PinBlock;
use std::path::Path;
use wallet::{LogRecord, Mac, Transaction, TransactionType};

/// Impostors: names that begin like, end like or contain an application's.
const CALLERS: &[(&str, Context)] = &[
    ("issuer", Context::ISSUER),
    ("cas", Context::CAS),
    ("purse", Context::PURSE),
    ("runtime", Context::Runtime),
    ("prefix of cas", Context::Application(Aid::new(b"\xF0STBCAS"))),
    ("cas and more", Context::Application(Aid::new(b"\xF0STBCAS\x01\x00"))),
    ("cas, next version", Context::Application(Aid::new(b"\xF0STBCAS\x02"))),
    ("prefix of purse", Context::Application(Aid::new(b"\xA0\x00\x00\x00\x03\x86\x98\x07"))),
    ("nothing", Context::Application(Aid::new(b""))),
];

fn vault() -> Vault {
    let demo = include_str!("../../../examples/demo/card.toml");
    let perso = Personalisation::from_text(demo, Path::new("card.toml")).unwrap();
    let image = Nvm::image(&vault::store(&factory::objects(&perso).unwrap()));
    Vault::open(Box::new(RamStore::new(&image))).map_err(|_| "unusable").unwrap()
}

fn order() -> purse::Order {
    purse::Order {
        amount: Fen::new(1),
        terminal: TerminalId::default(),
        terminal_sequence: TerminalSequence::new(1),
        date: BcdDate::default(),
        time: BcdTime::default(),
        shown: purse::Shown::Pin,
    }
}

fn record() -> Record {
    let transaction = Transaction {
        amount: Fen::new(1),
        kind: TransactionType::LOAD,
        terminal: TerminalId::default(),
        date: BcdDate::default(),
        time: BcdTime::default(),
    };
    let record = LogRecord { sequence: 1, overdraft: [0; 3], transaction };
    Record::new(&record, Fen::new(1), Mac([0; 4]))
}

type Reach = fn(&mut Vault, Context) -> bool;

/// Every object and every shareable method, and who may reach it.
const REACHES: &[(&str, &[&str], Reach)] = &[
    ("issuer's store", &["issuer"], |v, c| v.objects().issuer.get(c).is_ok()),
    ("PIN", &["issuer"], |v, c| v.objects().pin.get(c).is_ok()),
    ("CAS store", &["cas"], |v, c| v.objects().cas.get(c).is_ok()),
    ("purse store", &["purse"], |v, c| v.objects().purse.get(c).is_ok()),
    ("PIN.verify", &["cas", "purse"], |v, c| {
        pin::verify(v, c, &PinBlock::from_ascii(b"40962718").unwrap()).is_ok()
    }),
    ("PIN.change", &["cas", "purse"], |v, c| {
        let block = PinBlock::from_ascii(b"40962718").unwrap();
        pin::change(v, c, &block, &block).is_ok()
    }),
    ("PIN.tries", &["cas", "purse"], |v, c| pin::tries(v, c).is_ok()),
    ("PIN.replace", &["cas", "purse"], |v, c| {
        let block = PinBlock::from_ascii(b"40962718").unwrap();
        pin::replace(&mut v.objects().clone(), c, &block).is_ok()
    }),
    ("purse.capp_debit", &["cas"], |v, c| {
        purse::capp_debit(&mut v.objects().clone(), c, &order()).is_ok()
    }),
    ("purse.terms", &["cas"], |v, c| purse::terms(v.objects(), c, BcdDate::default()).is_ok()),
    ("purse.clock_reset", &["cas"], |v, c| {
        purse::clock_reset(&mut v.objects().clone(), c, BcdDate::default()).is_ok()
    }),
    ("purse.wallet_info", &["cas"], |v, c| purse::wallet_info(v.objects(), c).is_ok()),
    ("purse.pin_verified", &["issuer"], |v, c| {
        purse::pin_verified(&mut v.objects().clone(), c).is_ok()
    }),
    ("issuer.lock", &["purse"], |v, c| isd::lock(&mut v.objects().clone(), c).is_ok()),
    ("purse.wallet_emm", &["cas"], |v, c| purse::wallet_emm(v, c, &[]).is_ok()),
    ("cas.revoke", &["purse"], |v, c| {
        cas::revoke(&mut v.objects().clone(), c, EventId::new(1), 1, Fen::new(1)).is_ok()
    }),
    ("cas.append", &["purse"], |v, c| cas::append(&mut v.objects().clone(), c, record()).is_ok()),
];
#[test]
fn objects_and_methods_are_their_owners_and_clients() {
    for (object, allowed, reach) in REACHES {
        for (name, caller) in CALLERS {
            assert_eq!(reach(&mut vault(), *caller), allowed.contains(name), "{name} → {object}");
        }
    }
}

/// T25: nor does one look at the caller that goes wrong; two would.
#[test]
fn no_glitch_lets_a_stranger_in() {
    let mut vault = vault();
    let mut watch = Watch::default();
    for (object, allowed, reach) in REACHES {
        for (name, caller) in CALLERS.iter().filter(|(name, _)| !allowed.contains(name)) {
            for glitch in [Glitch::Inverted, Glitch::Skipped] {
                for number in 1..=2 {
                    watch.order(number, glitch);
                    let reached = watch.over(|| reach(&mut vault, *caller));
                    let at = format!("{name} → {object}, {glitch:?} at {number}");
                    assert!(!reached && watch.is_alarmed(), "{at}");
                }
            }
            watch.order(1, Glitch::Both);
            let answer = watch.over(|| reach(&mut vault, *caller));
            assert!(answer || watch.counted().0 > 2, "{name} → {object}: the look decides");
        }
    }
}

/// A page has one owner: what one application writes never tears what is another's.
#[test]
fn stores_begin_on_pages_of_their_own() {
    let vault = vault();
    let before = vault::store(vault.objects());
    let mut objects = vault.objects().clone();
    objects.cas.get_mut(Context::CAS).unwrap().blocked = true;
    let cas = changed(&before, &vault::store(&objects));
    let mut objects = vault.objects().clone();
    objects.purse.get_mut(Context::PURSE).unwrap().money.state = State::Blocked;
    let purse = changed(&before, &vault::store(&objects));
    assert_eq!((cas.len(), purse.len()), (1, 1));
    assert_ne!(cas, purse);
}

fn changed(before: &[u8], after: &[u8]) -> Vec<usize> {
    let pages = |octets: &[u8]| octets.as_chunks::<{ crate::nvm::PAGE }>().0.to_vec();
    (0..)
        .zip(pages(before).iter().zip(&pages(after)))
        .filter(|(_, (a, b))| a != b)
        .map(|(n, _)| n)
        .collect()
}

/// The biggest messages fit the journal.
#[test]
fn the_journal_holds_every_transaction() {
    const { assert!(vault::HOME_PAGES <= Nvm::MAX_HOME_PAGES) };
    let vault = vault();
    let before = vault::store(vault.objects());
    let mut objects = vault.objects().clone();
    let cas = objects.cas.get_mut(Context::CAS).unwrap();
    // A bitmap of 256 packages fills every row at most.
    for package in 0..crate::cas::store::RIGHTS as u16 - 1 {
        let id = cam_types::PackageId::new(1000 + package);
        let end = cam_types::CasTime::new(u32::MAX);
        let right = crate::cas::rights::Right::package(id, 1, end, end);
        cas.keep_right(right, end).unwrap();
    }
    let pages = changed(&before, &vault::store(&objects)).len();
    assert!(pages < Nvm::JOURNAL_PAGES, "{pages}");
}
