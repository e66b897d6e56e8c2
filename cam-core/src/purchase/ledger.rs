// SPDX-License-Identifier: Apache-2.0
//! The purchases of this box, and the rows that carry them over a power cut.
//!
//! A row is written before PURCHASE is sent. It saves the host a question after a power cut, and is
//! never needed: the request's id names the pair that the card is asked for. So rows may be old,
//! lost or damaged; what they say of money not paid is asked again, and none of them pays.

use crate::purchase::purse::Counts;
use crate::{OfferId, Outcome, Receipt, RequestId, StoreId, Transaction, TxnId, TxnState};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use cam_types::{EventId, Fen, Pseudonym};
use ecm_emm::card::PinBlock;

/// How far a purchase has come.
pub(super) enum Step {
    Open,
    /// Confirmed: the PIN, if one was given, waits to be shown to the card.
    Confirmed(Option<PinBlock>),
    /// VERIFY is on the line.
    Verifying,
    /// The row waits for the storage.
    Storing(StoreId),
    /// PURCHASE may be sent.
    Pay,
    /// PURCHASE is on the line.
    Paying,
    /// The card must be asked what became of it.
    Settle,
    /// The question is on the line.
    Settling,
    Paid,
    Owned,
    Refused,
    Cancelled,
    /// It was open when an earlier run ended, or when the storage's copy was made.
    LeftOpen,
    /// The card does not know it, or no longer.
    Forgotten,
}

/// One purchase.
pub(super) struct Entry {
    pub(super) id: TxnId,
    pub(super) place: usize,
    pub(super) request: RequestId,
    pub(super) offer: OfferId,
    pub(super) event: Option<EventId>,
    pub(super) price: Fen,
    /// The authentic ECM or offer. Empty: a request of an earlier run, which is never paid.
    pub(super) section: Vec<u8>,
    /// The card that its request is for.
    pub(super) card: Pseudonym,
    /// What its purse had counted before that; once paid, when the card was asked last.
    pub(super) counts: Option<Counts>,
    pub(super) step: Step,
    pub(super) result: u8,
    pub(super) receipt: Option<Receipt>,
    /// Why it is open again, if it has been confirmed.
    pub(super) reopened: Option<Outcome>,
}

/// See the module.
pub(super) struct Ledger {
    entries: Vec<Entry>,
    next_id: u32,
}

impl Ledger {
    /// Purchases that are remembered, at most.
    const ROWS: usize = 32;

    pub(super) fn load(stored: &[(String, Vec<u8>)]) -> Self {
        let mut ledger = Self { entries: Vec::new(), next_id: 1 };
        for place in 0..Self::ROWS {
            let key = Self::key(place);
            let Some((_, row)) = stored.iter().find(|(name, row)| *name == key && !row.is_empty())
            else {
                continue;
            };
            match Entry::parse(row, TxnId(ledger.next_id), place) {
                Ok(entry) => {
                    ledger.next_id += 1;
                    ledger.entries.push(entry);
                }
                Err(why) => log::warn!("stored purchase {key} is not readable: {why}"),
            }
        }
        // Rows are reused in any order: by their sequence they are oldest first again.
        ledger.entries.sort_by_key(Entry::number);
        ledger
    }

    pub(super) fn keys() -> impl Iterator<Item = String> {
        (0..Self::ROWS).map(Self::key)
    }

    fn key(place: usize) -> String {
        format!("purchase.{place:02}")
    }

    /// The number above all that the rows know of this card.
    pub(super) fn next_sequence(&self, card: Pseudonym) -> u32 {
        let of_card = self.entries.iter().filter(|entry| entry.card == card);
        of_card.map(Entry::number).max().map_or(0, |highest| highest.saturating_add(1))
    }

    /// Passes over rows that this is not true of.
    pub(super) fn keep(&mut self, whole: impl Fn(&Entry) -> bool) {
        self.entries.retain(|entry| {
            let keep = whole(entry);
            if !keep {
                let key = Self::key(entry.place);
                log::warn!("stored purchase {key} is passed over: its request is not its card's");
            }
            keep
        });
    }

    /// A new purchase; `None` when no place is free and nothing old may be forgotten.
    pub(super) fn begin(
        &mut self,
        request: RequestId,
        card: Pseudonym,
        offer: OfferId,
        event: Option<EventId>,
        price: Fen,
        section: &[u8],
    ) -> Option<&mut Entry> {
        let taken = |place: &usize| self.entries.iter().any(|entry| entry.place == *place);
        let place = match (0..Self::ROWS).find(|place| !taken(place)) {
            Some(place) => place,
            None => self.make_room()?,
        };
        let id = TxnId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1).max(1);
        self.entries.push(Entry {
            id,
            place,
            request,
            offer,
            event,
            price,
            section: section.to_vec(),
            card,
            counts: None,
            step: Step::Open,
            result: 0,
            receipt: None,
            reopened: None,
        });
        self.entries.last_mut()
    }

    /// What came to nothing goes first, then what has ended, then what is open; the lowest number
    /// first: the highest one stays in the storage.
    fn make_room(&mut self) -> Option<usize> {
        let worth = |entry: &Entry| match entry.state() {
            TxnState::Cancelled | TxnState::Forgotten => 0,
            TxnState::Open => 2,
            _ => 1,
        };
        let entries = self.entries.iter().enumerate();
        let oldest = entries
            .filter(|(_, entry)| entry.may_be_forgotten())
            .min_by_key(|(_, entry)| (worth(entry), entry.number()));
        let (at, _) = oldest?;
        Some(self.entries.remove(at).place)
    }

    pub(super) fn of_request(&mut self, request: &RequestId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.request == *request)
    }

    pub(super) fn of_txn(&self, txn: TxnId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == txn)
    }

    pub(super) fn of_txn_mut(&mut self, txn: TxnId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == txn)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn find(&mut self, wanted: impl Fn(&Entry) -> bool) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| wanted(entry))
    }
}

impl Entry {
    pub(super) fn row_key(&self) -> String {
        Ledger::key(self.place)
    }

    /// What is on air now, instead of what was before: its time is fresh.
    pub(super) fn take_section(&mut self, section: &[u8]) {
        self.section.clear();
        self.section.extend_from_slice(section);
    }

    const fn number(&self) -> u32 {
        self.request.sequence().value()
    }

    /// Only the run that gave the request out may pay it.
    pub(super) const fn is_of_this_run(&self) -> bool {
        !self.section.is_empty()
    }

    pub(super) fn state(&self) -> TxnState {
        match self.step {
            Step::Open => TxnState::Open,
            Step::Confirmed(_) | Step::Verifying | Step::Storing(_) | Step::Pay | Step::Paying => {
                TxnState::Sent
            }
            Step::Settle | Step::Settling => TxnState::Settling,
            Step::Paid if self.receipt.is_some_and(|receipt| receipt.refunded) => {
                TxnState::Refunded
            }
            Step::Paid => TxnState::Paid,
            Step::Owned => TxnState::Owned,
            Step::Refused | Step::LeftOpen => TxnState::Refused,
            Step::Cancelled => TxnState::Cancelled,
            Step::Forgotten => TxnState::Forgotten,
        }
    }

    /// How it ended, if it has.
    pub(super) fn end(&self) -> Option<Outcome> {
        match self.step {
            Step::Paid => self.receipt.map(|receipt| {
                if receipt.refunded { Outcome::Refunded(receipt) } else { Outcome::Paid(receipt) }
            }),
            Step::Owned => Some(Outcome::Owned(self.receipt)),
            Step::Refused | Step::LeftOpen => {
                Some(Outcome::Refused { result: self.result, balance: None })
            }
            Step::Cancelled => Some(Outcome::Cancelled),
            Step::Forgotten => Some(Outcome::Forgotten),
            _ => None,
        }
    }

    /// What the host was told last; nothing while it was told nothing, or an answer is due.
    pub(super) fn standing(&self) -> Option<Outcome> {
        match self.step {
            Step::Open => self.reopened,
            Step::Settle | Step::Settling => Some(Outcome::Settling),
            _ => self.end(),
        }
    }

    pub(super) fn transaction(&self) -> Transaction {
        Transaction {
            id: self.id,
            request: self.request,
            offer: self.offer,
            price: self.price,
            state: self.state(),
            result: self.result,
            receipt: self.receipt,
        }
    }

    /// VERIFY serves the one PURCHASE that follows: no other purchase comes between.
    pub(super) fn holds_the_card(&self) -> bool {
        matches!(self.step, Step::Verifying | Step::Storing(_) | Step::Pay | Step::Paying)
    }

    /// Only this card knows what became of it.
    pub(super) fn must_be_settled_by(&self, card: Pseudonym) -> bool {
        matches!(self.step, Step::Settle) && self.card == card
    }

    /// The purse has counted a credit since this card was asked last: it may be a refund of this.
    pub(super) fn may_be_refunded(&self, card: Pseudonym, purse: Counts) -> bool {
        self.state() == TxnState::Paid
            && self.card == card
            && self.counts.is_none_or(|counts| counts.online != purse.online)
    }

    /// The card has debited nothing since the row was written: its purse has counted no debit.
    pub(super) fn is_unpaid_by(&self, card: Option<Pseudonym>, purse: Option<Counts>) -> bool {
        let counted = purse.zip(self.counts);
        card == Some(self.card)
            && counted.is_some_and(|(now, before)| now.offline == before.offline)
    }

    /// Its row is on durable storage, and says that it was sent.
    pub(super) const fn is_stored(&self) -> bool {
        matches!(self.step, Step::Pay | Step::Paying | Step::Settle | Step::Settling)
    }

    fn is_under_way(&self) -> bool {
        matches!(self.state(), TxnState::Sent | TxnState::Settling)
    }

    fn may_be_forgotten(&self) -> bool {
        !self.is_under_way()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purchase::request::Requests;
    use alloc::vec;
    use cam_types::{BcdDate, BcdTime, CasTime, DecodeError, Key, TerminalId};

    const CARD: Pseudonym = Pseudonym::new([3; 8]);

    fn request(number: u32) -> RequestId {
        let terminal = TerminalId::new(*b"000001");
        let mut requests = Requests::new(Key::new([0x60; 16]), terminal);
        requests.give(CARD, number, CasTime::new(0), None, [7, 7]).unwrap()
    }

    fn begin(ledger: &mut Ledger, number: u32) -> Option<&mut Entry> {
        let event = Some(EventId::new(2001));
        ledger.begin(request(number), CARD, OfferId(7), event, Fen::new(1200), &[0x80])
    }

    fn receipt() -> Receipt {
        Receipt {
            request: request(100),
            offer: OfferId(7),
            event: Some(EventId::new(2001)),
            amount: Fen::new(1200),
            balance_before: Fen::new(10_000),
            balance_after: Fen::new(8800),
            date: BcdDate([0x20, 0x26, 0x12, 0x01]),
            time: BcdTime([0x20, 0x00, 0x59]),
            terminal: request(100).terminal(),
            terminal_sequence: request(100).sequence(),
            card_sequence: 5,
            tac: [9; 4],
            chain: [8; 8],
            refunded: false,
        }
    }

    #[test]
    fn a_row_brings_a_purchase_back() {
        for (step, receipt) in [
            (Step::Paid, Some(receipt())),
            (Step::Paid, Some(Receipt { refunded: true, ..receipt() })),
            (Step::Owned, Some(receipt())),
            (Step::Owned, None),
            (Step::Refused, None),
            (Step::Forgotten, None),
        ] {
            let mut ledger = Ledger::load(&[]);
            let entry = begin(&mut ledger, 100).unwrap();
            entry.counts = Some(Counts { offline: 5, online: 2 });
            entry.step = step;
            entry.receipt = receipt;
            let stored = vec![(entry.row_key(), entry.row())];
            let (transaction, counts) = (entry.transaction(), entry.counts);
            let mut again = Ledger::load(&stored);
            assert_eq!(again.next_sequence(CARD), 101);
            assert_eq!(again.next_sequence(Pseudonym::new([4; 8])), 0);
            let entry = again.of_request(&request(100)).unwrap();
            assert_eq!((entry.transaction(), entry.counts), (transaction, counts));
            assert!(!entry.is_of_this_run());
        }
    }

    /// Whatever is under way is a question to the card.
    #[test]
    fn a_row_without_an_end_must_be_settled() {
        for step in [Step::Verifying, Step::Pay, Step::Paying, Step::Settling] {
            let mut ledger = Ledger::load(&[]);
            let entry = begin(&mut ledger, 100).unwrap();
            entry.step = step;
            let stored = vec![(entry.row_key(), entry.row())];
            let mut again = Ledger::load(&stored);
            assert_eq!(again.of_request(&request(100)).unwrap().state(), TxnState::Settling);
        }
    }

    /// What is open or was cancelled is none: no later run pays it.
    #[test]
    fn a_row_that_is_open_is_not_paid() {
        for step in [Step::Open, Step::Cancelled, Step::LeftOpen] {
            let mut ledger = Ledger::load(&[]);
            let entry = begin(&mut ledger, 100).unwrap();
            (entry.step, entry.result) = (step, 0x19);
            let stored = vec![(entry.row_key(), entry.row())];
            let again = Ledger::load(&stored).entries().first().map(Entry::transaction).unwrap();
            assert_eq!((again.state, again.result), (TxnState::Refused, 0x19));
        }
    }

    #[test]
    fn damaged_rows_are_passed_over() {
        let mut ledger = Ledger::load(&[]);
        let entry = begin(&mut ledger, 100).unwrap();
        entry.step = Step::Paid;
        entry.receipt = Some(receipt());
        let whole = entry.row();
        for len in 1..whole.len() {
            let stored = vec![(entry.row_key(), whole[..len].to_vec())];
            assert!(Ledger::load(&stored).entries().is_empty(), "{len} octets");
        }
        let earlier = [&[2], &whole[1..]].concat();
        let why = Entry::parse(&earlier, TxnId(1), 0).err();
        assert_eq!(why, Some(DecodeError::Invalid { field: "version", got: 2 }), "by its name");
        let stored = vec![("purchase.01".into(), vec![9; 90])];
        assert!(Ledger::load(&stored).entries().is_empty());
    }

    #[test]
    fn ended_purchases_make_room_and_unsettled_ones_stay() {
        let mut ledger = Ledger::load(&[]);
        let open = begin(&mut ledger, 0).unwrap().id;
        let unsettled = begin(&mut ledger, 1).unwrap();
        unsettled.step = Step::Settle;
        let unsettled = unsettled.id;
        for n in 2..100 {
            begin(&mut ledger, n).unwrap().step = Step::Refused;
        }
        assert!(ledger.of_txn(unsettled).is_some() && ledger.of_txn(open).is_some());
        assert_eq!(ledger.entries().len(), Ledger::ROWS);
        assert_eq!(ledger.next_sequence(CARD), 100, "the highest number stays");
        for n in 100..100 + Ledger::ROWS as u32 {
            if let Some(entry) = begin(&mut ledger, n) {
                entry.step = Step::Settle;
            }
        }
        assert!(ledger.of_txn(open).is_none(), "at last what is open makes room, too");
        assert!(begin(&mut ledger, 255).is_none());
    }

    /// Only the purse that was to pay tells by its count that it has not: another card's may be the
    /// same by chance.
    #[test]
    fn the_counts_of_another_card_say_nothing() {
        let mut ledger = Ledger::load(&[]);
        let entry = begin(&mut ledger, 100).unwrap();
        let (card, other) = (CARD, Pseudonym::new([4; 8]));
        let before = Counts { offline: 5, online: 2 };
        entry.counts = Some(before);
        assert!(entry.is_unpaid_by(Some(card), Some(before)));
        assert!(entry.is_unpaid_by(Some(card), Some(Counts { online: 3, ..before })));
        for (card, now) in [
            (Some(card), Some(Counts { offline: 6, ..before })),
            (Some(card), None),
            (Some(other), Some(before)),
            (None, Some(before)),
        ] {
            assert!(!entry.is_unpaid_by(card, now), "{card:?}");
        }
        entry.counts = None;
        assert!(!entry.is_unpaid_by(Some(card), Some(before)));
    }
}
