// SPDX-License-Identifier: Apache-2.0
//! The log of purchases, loads and refunds, chained by receipts.

use crate::decide::decide;
use crate::persist::{Guarded, Table, persist};
use cam_types::{CasTime, EventId, Fen, TerminalId, TerminalSequence};
use ecm_emm::report::ReportRecord;
use wallet::{LogRecord, Mac};

/// What has become of a record's money.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// Paid, or loaded.
    Paid = 1,
    /// Given back.
    Refunded = 2,
}

/// One record: what a report carries, and its receipt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Record {
    /// The purse's record of it, as its log shows it.
    pub purse: [u8; LogRecord::LEN],
    /// The number that the terminal gave the purchase.
    pub terminal_sequence: TerminalSequence,
    /// What the purse held afterwards.
    pub balance: Fen,
    /// What was bought; of a load none.
    pub event: Option<EventId>,
    /// Which edition of it.
    pub tier: u8,
    /// The service key slot that the right opens; of a load none.
    pub slot: Option<u8>,
    /// When the right begins.
    pub start: CasTime,
    /// When the right ends.
    pub end: CasTime,
    /// How long the slice of time is that was bought; of an event none.
    pub slice_s: Option<u16>,
    pub(super) state: u8,
    pub(super) tac: [u8; 4],
    /// The receipt, chained to the one before.
    pub receipt: [u8; 8],
}

persist!(Record {
    purse: [u8; LogRecord::LEN],
    terminal_sequence: TerminalSequence,
    balance: Fen,
    event: Option<EventId>,
    tier: u8,
    slot: Option<u8>,
    start: CasTime,
    end: CasTime,
    slice_s: Option<u16>,
    state: u8,
    tac: [u8; 4],
    receipt: [u8; 8],
});

impl Record {
    /// A record of money that has just moved; [`append`](super::store::CasStore::append) adds the
    /// receipt.
    pub fn new(purse: &LogRecord, balance: Fen, tac: Mac) -> Self {
        let mut octets = Vec::with_capacity(LogRecord::LEN);
        purse.emit(&mut octets);
        let mut record = [0; LogRecord::LEN];
        record.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
        Self {
            purse: record,
            terminal_sequence: TerminalSequence::new(0),
            balance,
            event: None,
            tier: 0,
            slot: None,
            start: CasTime::new(0),
            end: CasTime::new(0),
            slice_s: None,
            state: State::Paid as u8,
            tac: tac.0,
            receipt: [0; 8],
        }
    }

    /// The purse's record, read.
    pub fn log_record(&self) -> Option<LogRecord> {
        LogRecord::parse(&self.purse).ok()
    }

    /// It is the purchase of this terminal with this number.
    pub fn is_of(&self, terminal: TerminalId, sequence: TerminalSequence) -> bool {
        self.terminal_sequence == sequence && self.is_bought_at(terminal)
    }

    fn is_bought_at(&self, terminal: TerminalId) -> bool {
        let purse = self.log_record();
        self.event.is_some() && purse.is_some_and(|purse| purse.transaction.terminal == terminal)
    }

    /// It is a purchase with at least this offline sequence.
    fn is_from(&self, sequence: u16) -> bool {
        self.event.is_some() && self.log_record().is_some_and(|purse| purse.sequence >= sequence)
    }

    /// PAID or REFUNDED.
    pub const fn state(&self) -> u8 {
        self.state
    }

    /// As a report carries it.
    pub const fn reported(&self) -> ReportRecord {
        let Self { purse, terminal_sequence, balance, tier, end, state, tac, .. } = *self;
        // A report has 0 there, which is no event's number.
        let event = match self.event {
            Some(event) => event,
            None => EventId::new(0),
        };
        ReportRecord { purse, terminal_sequence, balance, event, tier, end, state, tac }
    }

    /// The transaction code.
    pub const fn tac(&self) -> [u8; 4] {
        self.tac
    }
}

/// Records in a ring, the receipt chain, and how far the head-end has acknowledged it.
#[derive(Clone)]
pub struct PurchaseLog {
    /// Records ever written.
    written: Guarded<u32>,
    /// Records that the head-end has acknowledged.
    acknowledged: Guarded<u32>,
    /// The receipt in front of the oldest record kept.
    base: [u8; 8],
    chain: [u8; 8],
    ring: Table<Option<Record>, { Self::RECORDS }>,
}

persist!(PurchaseLog {
    written: Guarded<u32>,
    acknowledged: Guarded<u32>,
    base: [u8; 8],
    chain: [u8; 8],
    ring: Table<Option<Record>, { PurchaseLog::RECORDS }>,
});

impl PurchaseLog {
    /// Records kept. The last ones stay when they are acknowledged, until others take their place.
    pub const RECORDS: usize = ReportRecord::MAX_KEPT;

    /// No record yet.
    pub fn empty() -> Self {
        Self {
            written: Guarded(0),
            acknowledged: Guarded(0),
            base: [0; 8],
            chain: [0; 8],
            ring: Table::filled(|| None),
        }
    }

    /// There is room: the place of the next record is free or its record acknowledged.
    pub fn has_room(&self) -> bool {
        decide(|| self.written.0 - self.acknowledged.0 < Self::RECORDS as u32)
    }

    /// All records, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Record> {
        self.numbers().rev().filter_map(|number| self.number(number))
    }

    /// The newest record that this is true of.
    pub fn find(&self, wanted: impl Fn(&Record) -> bool) -> Option<&Record> {
        self.newest_first().find(|record| wanted(record))
    }

    /// The highest number of this terminal's purchases.
    pub fn highest_of(&self, terminal: TerminalId) -> Option<TerminalSequence> {
        let bought = self.newest_first().filter(|record| record.is_bought_at(terminal));
        bought.map(|record| record.terminal_sequence).max()
    }

    /// A purchase was given back; `false` when it is not there, was less, or was given back before.
    pub fn refund(&mut self, event: EventId, sequence: u16, amount: Fen) -> Option<Record> {
        let is_it = |record: &Record| {
            record.event == Some(event)
                && record.state == State::Paid as u8
                && record.log_record().is_some_and(|purse| {
                    purse.sequence == sequence && amount <= purse.transaction.amount
                })
        };
        let record = self.ring.iter_mut().flatten().find(|record| is_it(record))?;
        if !decide(|| is_it(record)) {
            return None;
        }
        record.state = State::Refunded as u8;
        Some(*record)
    }

    /// Everything up to this receipt has arrived; `None` when there is no such receipt, `false`
    /// when that was known.
    pub fn acknowledge(&mut self, receipt: [u8; 8]) -> Option<bool> {
        if self.written.0 == 0 && receipt == self.chain {
            return Some(false);
        }
        let number =
            self.numbers().rev().find(|number| self.receipt_of(*number) == Some(receipt))?;
        let news = number >= self.acknowledged.0;
        self.acknowledged.0 = self.acknowledged.0.max(number + 1);
        Some(news)
    }

    /// The records from this purchase on, oldest first, or from the first one not acknowledged (0);
    /// with the receipt in front of them and behind them. `skip` of them are passed over,
    /// and at most `limit` follow.
    pub fn page(&self, from: u16, skip: usize, limit: usize) -> Page<'_> {
        let first = match from {
            0 => self.acknowledged.0.max(self.numbers().start),
            from => self
                .numbers()
                .find(|number| self.number(*number).is_some_and(|record| record.is_from(from)))
                .unwrap_or(self.written.0),
        };
        let skip = u32::try_from(skip).unwrap_or(u32::MAX);
        let start = first.saturating_add(skip).min(self.written.0);
        let end = start.saturating_add(u32::try_from(limit).unwrap_or(u32::MAX));
        let end = end.min(self.written.0);
        let before = |number: u32| match number.checked_sub(1) {
            Some(earlier) if number > self.numbers().start => self.receipt_of(earlier),
            _ => Some(self.base),
        };
        Page {
            before: before(start).unwrap_or(self.chain),
            after: before(end).unwrap_or(self.chain),
            records: (start..end).filter_map(|number| self.number(number)).collect(),
        }
    }

    /// A record becomes the newest one, chained by its receipt, in the place of the oldest.
    pub(super) fn push(&mut self, record: Record) -> Result<(), NoReceipt> {
        self.chain = record.receipt;
        let place = self.ring.get_mut(Self::place(self.written.0)).ok_or(NoReceipt)?;
        if let Some(gone) = place.replace(record) {
            self.base = gone.receipt;
        }
        self.written.0 += 1;
        Ok(())
    }

    /// The receipt of the newest record; zeros without one.
    pub const fn chain(&self) -> [u8; 8] {
        self.chain
    }

    fn number(&self, number: u32) -> Option<&Record> {
        self.ring.get(Self::place(number))?.as_ref()
    }

    fn receipt_of(&self, number: u32) -> Option<[u8; 8]> {
        self.number(number).map(|record| record.receipt)
    }

    fn numbers(&self) -> std::ops::Range<u32> {
        self.written.0.saturating_sub(Self::RECORDS as u32)..self.written.0
    }

    const fn place(number: u32) -> usize {
        number as usize % Self::RECORDS
    }
}

/// Some records of the log, one after another.
pub struct Page<'a> {
    /// The receipt in front of the first one.
    pub before: [u8; 8],
    /// The receipt of the last one.
    pub after: [u8; 8],
    /// The records, oldest first.
    pub records: Vec<&'a Record>,
}

/// The log is full of records that nobody has acknowledged, or there is no receipt key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoReceipt;
