// SPDX-License-Identifier: Apache-2.0
//! What the purse keeps.

use super::account::Account;
use super::booked::NotBooked;
use super::guesses::Guesses;
use super::holder::Holder;
use super::record::Records;
use crate::decide::decide;
use crate::keyring::{Generation, KeyPair};
use crate::nvm::BODY;
use crate::persist::{Guarded, Paged, Persist, Table, persist};
use crate::set_by::SetBy;
use cam_types::{BcdDate, DecodeError, Fen, OperatorId, Pseudonym, Reader};
use ecm_emm::emm::{KeyTarget, Window};
use ecm_emm::keys::Role;
use std::fmt;
use wallet::card::ApplicationData;
use wallet::passbook::OverdraftLimit;
use wallet::{LogRecord, Mac};

/// Transactions that the purse remembers.
pub(crate) const LOG: usize = 16;

/// Octets of EF 0015: issuer8 type1 version1 serial10 start4 expiry4 discretionary2.
pub(crate) const APPLICATION: usize = ApplicationData::LEN;

/// One transaction: the log's record and what proves it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    record: [u8; LogRecord::LEN],
    mac: [u8; 4],
    tac: [u8; 4],
}

/// Three to a page, and none across two: a transaction changes one page of the log.
impl Persist for Entry {
    const LEN: usize = BODY / 3 - 1;

    fn store(&self, out: &mut Vec<u8>) {
        let end = out.len() + Self::LEN;
        self.record.store(out);
        self.mac.store(out);
        self.tac.store(out);
        out.resize(end, 0);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut r = Reader::new(r.bytes(Self::LEN, "transaction")?);
        let (record, mac) = (Persist::load(&mut r)?, Persist::load(&mut r)?);
        Ok(Self { record, mac, tac: Persist::load(&mut r)? })
    }
}

impl Entry {
    /// As READ RECORD shows it.
    pub const fn octets(&self) -> [u8; LogRecord::LEN] {
        self.record
    }

    /// The record, read.
    pub fn record(&self) -> Option<LogRecord> {
        LogRecord::parse(&self.record).ok()
    }

    /// As GET TRANSACTION PROVE shows it: MAC first.
    pub const fn proof(&self) -> [u8; 8] {
        let ([a, b, c, d], [e, f, g, h]) = (self.mac, self.tac);
        [a, b, c, d, e, f, g, h]
    }
}

/// Whether the purse works. In memory any two states differ in four bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It works.
    Active = 0xA5,
    /// It is blocked until somebody in charge unblocks it.
    Blocked = 0x5A,
    /// It is blocked for good.
    Ended = 0x3C,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "works",
            Self::Blocked => "blocked",
            Self::Ended => "blocked for good",
        })
    }
}

impl Persist for State {
    const LEN: usize = 1;

    fn store(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }

    fn load(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let got = r.u8("purse state")?;
        [Self::Active, Self::Blocked, Self::Ended]
            .into_iter()
            .find(|state| *state as u8 == got)
            .ok_or(DecodeError::Invalid { field: "purse state", got: got.into() })
    }
}

/// A key that comes from the factory and stays: no message names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FixedKey {
    /// DAMK: files, blocking and unblocking.
    Maintenance,
    /// DPUK: a PIN to the card that has none left.
    Unblock,
    /// DRPK: a new PIN for an old one.
    Reload,
    /// DULK: money out of the passbook, back to the bank.
    Unload,
    /// DUK: the passbook's overdraft limit.
    Overdraft,
    /// DACK: EXTERNAL AUTHENTICATE.
    External,
}

impl FixedKey {
    /// How many there are.
    const COUNT: usize = 6;
}

/// What moves with money: one page, so that a transaction writes it and the log's, and no other.
#[derive(Clone)]
pub struct Money {
    /// The purse.
    pub purse: Account,
    /// The passbook, on a card that has one.
    pub passbook: Option<Account>,
    /// Transactions ever logged.
    written: Guarded<u32>,
    /// The latest day on which a programme was paid without PIN; only a RESET takes it back.
    pub day: BcdDate,
    /// What was paid for programmes without PIN since that day began.
    pub spent: Guarded<Fen>,
    /// The numbers of top-ups; outlives every key.
    pub topups: Window,
    /// What was paid to terminals without the PIN since it was verified last.
    pub unverified: Guarded<Fen>,
    /// Whether the purse works.
    pub state: State,
    /// What tries of protected commands have cost since the last right MAC.
    pub failures: Guarded<u8>,
    /// Tries of a host's MAC2.
    pub guesses: Guesses,
}

persist!(Money {
    purse: Account,
    passbook: Option<Account>,
    written: Guarded<u32>,
    day: BcdDate,
    spent: Guarded<Fen>,
    topups: Window,
    unverified: Guarded<Fen>,
    state: State,
    failures: Guarded<u8>,
    guesses: Guesses,
});

impl Money {
    /// One of the accounts.
    pub fn account(&self, which: wallet::Account) -> Result<&Account, NotBooked> {
        match which {
            wallet::Account::Purse => Ok(&self.purse),
            wallet::Account::Passbook => self.passbook.as_ref().ok_or(NotBooked::Funds),
        }
    }

    /// The same, to change it.
    pub fn account_mut(&mut self, which: wallet::Account) -> Result<&mut Account, NotBooked> {
        match which {
            wallet::Account::Purse => Ok(&mut self.purse),
            wallet::Account::Passbook => self.passbook.as_mut().ok_or(NotBooked::Funds),
        }
    }
}

/// What the purse allows without asking for the PIN, and at most.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// A programme up to this price needs no PIN.
    pub pin_free_per_purchase: Fen,
    /// Programmes need no PIN up to this sum a day.
    pub pin_free_per_day: Fen,
    /// No programme may cost more; 0 for no such limit.
    pub per_purchase: Fen,
    /// The purse holds at most this; 0 for no such limit.
    pub balance: Fen,
    /// A terminal may take at most this at once without the PIN.
    pub terminal_per_purchase: Option<Fen>,
    /// Terminals may take at most this without the PIN until it is verified.
    pub terminal_total: Option<Fen>,
}

persist!(Limits {
    pin_free_per_purchase: Fen,
    pin_free_per_day: Fen,
    per_purchase: Fen,
    balance: Fen,
    terminal_per_purchase: Option<Fen>,
    terminal_total: Option<Fen>,
});

/// Everything that lasts in the purse: first what transactions write, each on pages of its own.
#[derive(Clone)]
pub struct PurseStore {
    /// Balance, sequences, sums.
    pub money: Paged<Money>,
    log: Paged<Table<Option<Entry>, LOG>>,
    /// What compound purchases write.
    pub records: Paged<Records>,
    /// EF 0015, with the purse's number.
    pub application: [u8; APPLICATION],
    /// EF 0016: whose purse it is.
    pub holder: Holder,
    /// What a card of the MOHURD profile gives to terminals; MAC1 covers it.
    pub code: Option<[u8; 9]>,
    /// What the card is called on the air, to know one's own messages.
    pub pseudonym: Pseudonym,
    /// Whose card it is.
    pub operator: OperatorId,
    /// What it pays without the PIN, and what it pays and holds at most.
    pub limits: Limits,
    /// The EMM level that it has reached; forward only.
    pub emm_level: Guarded<u16>,
    /// The message that blocked the purse or freed it.
    pub blocked_by: SetBy,
    /// Suites allowed, roles 21, 24 and 27.
    pub suites: Table<Guarded<u16>, 3>,
    /// DPK: purchases.
    pub purchase: KeyPair,
    /// DLK: loads.
    pub load: KeyPair,
    /// DTK: transaction codes, PBOC's own.
    pub tac: KeyPair,
    /// K_tac2: transaction codes of suite 2.
    pub tac2: KeyPair,
    /// K_wal: messages to the purse.
    pub own: KeyPair,
    /// K_wrec: messages that give the purse back its other keys.
    pub recovery: KeyPair,
    fixed: Table<Option<Generation>, { FixedKey::COUNT }>,
}

persist!(PurseStore {
    money: Paged<Money>,
    log: Paged<Table<Option<Entry>, LOG>>,
    records: Paged<Records>,
    application: [u8; APPLICATION],
    holder: Holder,
    code: Option<[u8; 9]>,
    pseudonym: Pseudonym,
    operator: OperatorId,
    limits: Limits,
    emm_level: Guarded<u16>,
    blocked_by: SetBy,
    suites: Table<Guarded<u16>, 3>,
    purchase: KeyPair,
    load: KeyPair,
    tac: KeyPair,
    tac2: KeyPair,
    own: KeyPair,
    recovery: KeyPair,
    fixed: Table<Option<Generation>, { FixedKey::COUNT }>,
});

impl PurseStore {
    /// A purse that has seen no transaction and has no key.
    pub fn new(pseudonym: Pseudonym, operator: OperatorId) -> Self {
        Self {
            money: Paged::new(Money {
                purse: Account::new(Fen::ZERO, OverdraftLimit::default()),
                passbook: None,
                written: Guarded(0),
                day: BcdDate::default(),
                spent: Guarded(Fen::ZERO),
                topups: Window::default(),
                unverified: Guarded(Fen::ZERO),
                state: State::Active,
                failures: Guarded(0),
                guesses: Guesses::default(),
            }),
            log: Paged::new(Table::filled(|| None)),
            records: Paged::new(Records::empty()),
            application: [0; APPLICATION],
            holder: Holder::nobody(),
            code: None,
            pseudonym,
            operator,
            limits: Limits::default(),
            emm_level: Guarded(0),
            blocked_by: SetBy::default(),
            suites: Table::filled(|| Guarded(ALL_SUITES)),
            purchase: KeyPair::empty(),
            load: KeyPair::empty(),
            tac: KeyPair::empty(),
            tac2: KeyPair::empty(),
            own: KeyPair::empty(),
            recovery: KeyPair::empty(),
            fixed: Table::filled(|| None),
        }
    }

    /// Writes a transaction into the log.
    pub fn log(&mut self, record: &LogRecord, mac: Mac, tac: Mac) {
        let mut octets = Vec::with_capacity(LogRecord::LEN);
        record.emit(&mut octets);
        let mut entry = Entry { record: [0; LogRecord::LEN], mac: mac.0, tac: tac.0 };
        entry.record.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
        if let Some(place) = self.log.get_mut(self.money.written.0 as usize % LOG) {
            *place = Some(entry);
        }
        self.money.written.0 = self.money.written.0.wrapping_add(1);
    }

    /// The transactions remembered, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Entry> {
        let written = self.money.written.0 as usize;
        (1..=LOG.min(written))
            .filter_map(move |age| self.log.get((written - age) % LOG).and_then(Option::as_ref))
    }

    /// What the balance would be, if the account may hold it.
    pub fn balance_with(&self, which: wallet::Account, amount: Fen) -> Option<Fen> {
        let balance = self.money.account(which).ok()?.balance.0.checked_add(amount)?;
        let limit = self.limits.balance;
        let is_limited = which == wallet::Account::Purse && limit != Fen::ZERO;
        decide(|| !is_limited || balance <= limit).then_some(balance)
    }

    /// What was paid for programmes without PIN on this day. The clock may fall back with a reset;
    /// the day does not, so an earlier one has what was spent on the latest.
    pub fn spent_on(&self, date: BcdDate) -> Fen {
        if date > self.money.day { Fen::ZERO } else { self.money.spent.0 }
    }

    /// Suites allowed for keys of this role: bit n for suite n.
    pub fn suites(&self, role: Role) -> u16 {
        Self::suites_place(role).and_then(|n| self.suites.get(n)).map_or(0, |mask| mask.0)
    }

    /// The same, to narrow it.
    pub fn suites_mut(&mut self, role: Role) -> Option<&mut u16> {
        self.suites.get_mut(Self::suites_place(role)?).map(|mask| &mut mask.0)
    }

    /// The key that a message means, if this domain has it.
    pub fn pair_mut(&mut self, target: KeyTarget) -> Option<&mut KeyPair> {
        match target {
            KeyTarget::Own => Some(&mut self.own),
            KeyTarget::OwnRecovery => Some(&mut self.recovery),
            KeyTarget::Purchase => Some(&mut self.purchase),
            KeyTarget::Load => Some(&mut self.load),
            KeyTarget::PurseTac => Some(&mut self.tac),
            KeyTarget::Tac => Some(&mut self.tac2),
            _ => None,
        }
    }

    /// One of the keys that stay.
    pub fn fixed(&self, key: FixedKey) -> Option<&Generation> {
        self.fixed.get(key as usize)?.as_ref()
    }

    /// The place of one of them, for the factory.
    pub fn fixed_mut(&mut self, key: FixedKey) -> Option<&mut Option<Generation>> {
        self.fixed.get_mut(key as usize)
    }

    /// A terminal may take this without the PIN.
    pub fn is_small(&self, amount: Fen) -> bool {
        let within = |limit: Option<Fen>, sum: Option<Fen>| {
            limit.is_none_or(|limit| sum.is_some_and(|sum| sum <= limit))
        };
        within(self.limits.terminal_per_purchase, Some(amount))
            && within(self.limits.terminal_total, self.money.unverified.0.checked_add(amount))
    }

    const fn suites_place(role: Role) -> Option<usize> {
        match role {
            Role::Wallet => Some(0),
            Role::WalletRecovery => Some(1),
            Role::Tac => Some(2),
            _ => None,
        }
    }
}

/// Suites 1, 2, 3 and 5.
pub(crate) const ALL_SUITES: u16 = 0b10_1110;
