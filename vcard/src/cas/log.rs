//! The log of purchases, loads and refunds, chained by receipts.

use super::store::CasStore;
use crate::persist::{Guarded, Table, persist};
use cam_types::{CasTime, EventId, Fen, TerminalId, TerminalSequence};
use cmac::{Cmac, KeyInit, Mac as _};
use ecm_emm::keys::{KeyContext, Role, constant};
use gp::cipher::Aes128;
use wallet::{LogRecord, Mac};

/// What has become of a record's money.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Paid, or loaded.
    Paid = 1,
    /// Given back.
    Refunded = 2,
}

/// One record: what a report carries, and its receipt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Record {
    /// The purse's record.
    pub purse: [u8; LogRecord::LEN],
    /// The terminal's number.
    pub terminal_sequence: TerminalSequence,
    /// The balance after.
    pub balance: Fen,
    /// What was bought; 0 for a load.
    pub event: EventId,
    /// Which edition of it.
    pub tier: u8,
    /// When the right ends.
    pub end: CasTime,
    pub(super) state: u8,
    pub(super) tac: [u8; 4],
    /// The receipt, chained to the one before.
    pub receipt: [u8; 8],
}

persist!(Record {
    purse: [u8; LogRecord::LEN],
    terminal_sequence: TerminalSequence,
    balance: Fen,
    event: EventId,
    tier: u8,
    end: CasTime,
    state: u8,
    tac: [u8; 4],
    receipt: [u8; 8],
});

impl Record {
    /// A record of money that has just moved; [`CasStore::append`] adds the receipt.
    pub fn new(purse: &LogRecord, balance: Fen, tac: Mac) -> Self {
        let mut octets = Vec::with_capacity(LogRecord::LEN);
        purse.emit(&mut octets);
        let mut record = [0; LogRecord::LEN];
        record.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
        Self {
            purse: record,
            terminal_sequence: TerminalSequence::new(0),
            balance,
            event: EventId::new(0),
            tier: 0,
            end: CasTime::new(0),
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
        self.terminal_sequence == sequence
            && self.log_record().is_some_and(|record| {
                record.transaction.terminal == terminal && self.event != EventId::new(0)
            })
    }

    /// PAID or REFUNDED.
    pub const fn state(&self) -> u8 {
        self.state
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
    chain: [u8; 8],
    ring: Table<Option<Record>, { Self::RECORDS }>,
}

persist!(PurchaseLog {
    written: Guarded<u32>,
    acknowledged: Guarded<u32>,
    chain: [u8; 8],
    ring: Table<Option<Record>, { PurchaseLog::RECORDS }>,
});

impl PurchaseLog {
    /// Records kept. The last ones stay when they are acknowledged, until others take their place.
    pub const RECORDS: usize = 32;

    /// No record yet.
    pub fn empty() -> Self {
        Self {
            written: Guarded(0),
            acknowledged: Guarded(0),
            chain: [0; 8],
            ring: Table::filled(|| None),
        }
    }

    /// There is room: the place of the next record is free or its record acknowledged.
    pub const fn has_room(&self) -> bool {
        self.written.0 - self.acknowledged.0 < Self::RECORDS as u32
    }

    /// All records, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Record> {
        self.numbers().rev().filter_map(|number| self.ring.get(Self::place(number))?.as_ref())
    }

    /// The newest record that this is true of.
    pub fn find(&self, wanted: impl Fn(&Record) -> bool) -> Option<&Record> {
        self.newest_first().find(|record| wanted(record))
    }

    /// A purchase was given back; `false` when it is not there, was less, or was given back before.
    pub fn refund(&mut self, event: EventId, sequence: u16, amount: Fen) -> Option<Record> {
        let record = self.ring.iter_mut().flatten().find(|record| {
            record.event == event
                && record.state == State::Paid as u8
                && record.log_record().is_some_and(|purse| {
                    purse.sequence == sequence && amount <= purse.transaction.amount
                })
        })?;
        record.state = State::Refunded as u8;
        Some(*record)
    }

    /// Everything up to this receipt has arrived; `false` when there is no such receipt.
    pub fn acknowledge(&mut self, receipt: [u8; 8]) -> bool {
        let number = self.numbers().rev().find(|number| {
            let record = self.ring.get(Self::place(*number)).and_then(Option::as_ref);
            record.is_some_and(|record| record.receipt == receipt)
        });
        match number {
            Some(number) => {
                self.acknowledged.0 = self.acknowledged.0.max(number + 1);
                true
            }
            None => false,
        }
    }

    fn numbers(&self) -> std::ops::Range<u32> {
        self.written.0.saturating_sub(Self::RECORDS as u32)..self.written.0
    }

    const fn place(number: u32) -> usize {
        number as usize % Self::RECORDS
    }
}

/// The log is full of records that nobody has acknowledged, or there is no receipt key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoReceipt;

impl CasStore {
    /// Appends a record with its receipt, chained to the last one.
    pub fn append(&mut self, mut record: Record) -> Result<Record, NoReceipt> {
        if !self.log.has_room() {
            return Err(NoReceipt);
        }
        let generation = self.receipt.oldest().ok_or(NoReceipt)?;
        let key = generation.seal_key().ok_or(NoReceipt)?.derived_key(
            constant::RECEIPT,
            &KeyContext::new(Role::Receipt, self.operator, generation.epoch),
        );
        let mut mac = <Cmac<Aes128> as KeyInit>::new(key.expose().into());
        for field in [
            &self.card.octets()[..],
            &self.operator.to_be_bytes(),
            &record.purse,
            &record.terminal_sequence.to_be_bytes(),
            &record.event.to_be_bytes(),
            &[record.tier],
            &record.balance.to_be_bytes(),
            &self.log.chain,
        ] {
            mac.update(field);
        }
        let receipt = mac.finalize().into_bytes();
        record.receipt.iter_mut().zip(receipt).for_each(|(to, from)| *to = from);
        self.log.chain = record.receipt;
        let place = PurchaseLog::place(self.log.written.0);
        *self.log.ring.get_mut(place).ok_or(NoReceipt)? = Some(record);
        self.log.written.0 += 1;
        Ok(record)
    }
}
