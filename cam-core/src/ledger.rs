//! The purchases of this box, and the rows that carry them over a power cut.
//!
//! A row is written before PURCHASE is sent, so that the terminal's sequence number of a debit whose
//! answer got lost is known afterwards, and never used for anything else. The sequence goes on from
//! the highest number in any row. A row is reused only when its purchase has ended.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use cam_types::{
    BcdDate, BcdTime, DecodeError, EventId, Fen, Pseudonym, Reader, TerminalId, TerminalSequence,
};
use ecm_emm::card::PinBlock;

use crate::{
    Offer, OfferId, Outcome, Receipt, RequestId, SessionId, StoreId, Transaction, TxnId, TxnState,
};

/// How far a purchase has come.
pub(crate) enum Step {
    Open,
    /// The PIN waits to be shown to the card.
    Pin(PinBlock),
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
}

/// One purchase.
pub(crate) struct Entry {
    pub(crate) id: TxnId,
    place: usize,
    pub(crate) request: RequestId,
    pub(crate) offer: OfferId,
    pub(crate) event: Option<EventId>,
    pub(crate) price: Fen,
    /// The authentic ECM or offer. Empty after a restart, until the request comes again.
    pub(crate) section: Vec<u8>,
    /// The card that PURCHASE was sent to.
    pub(crate) card: Pseudonym,
    pub(crate) terminal: TerminalId,
    pub(crate) sequence: TerminalSequence,
    pub(crate) step: Step,
    pub(crate) result: u8,
    pub(crate) receipt: Option<Receipt>,
}

/// See the module.
pub(crate) struct Ledger {
    entries: Vec<Entry>,
    next_id: u32,
    next_sequence: u32,
    terminal: TerminalId,
}

impl Ledger {
    /// So many purchases are remembered.
    const ROWS: usize = 32;

    /// `first_sequence` is where to begin when the storage holds nothing.
    pub(crate) fn load(
        stored: &[(String, Vec<u8>)],
        terminal: TerminalId,
        first_sequence: u32,
    ) -> Self {
        let mut ledger = Self { entries: Vec::new(), next_id: 1, next_sequence: 0, terminal };
        for place in 0..Self::ROWS {
            let key = Self::key(place);
            let Some((_, row)) = stored.iter().find(|(name, row)| *name == key && !row.is_empty())
            else {
                continue;
            };
            match Entry::parse(row, TxnId(ledger.next_id), place) {
                Ok(entry) => {
                    ledger.next_id += 1;
                    ledger.next_sequence =
                        ledger.next_sequence.max(entry.sequence.value().wrapping_add(1));
                    ledger.entries.push(entry);
                }
                Err(why) => log::warn!("stored purchase {key} is not readable: {why}"),
            }
        }
        // Rows are reused in any order: by their sequence they are oldest first again.
        ledger.entries.sort_by_key(|entry| entry.sequence.value());
        if ledger.entries.is_empty() {
            ledger.next_sequence = first_sequence;
        }
        ledger
    }

    pub(crate) fn keys() -> impl Iterator<Item = String> {
        (0..Self::ROWS).map(Self::key)
    }

    fn key(place: usize) -> String {
        format!("purchase.{place:02}")
    }

    /// A new purchase; `None` when no place is free and nothing old may be forgotten.
    pub(crate) fn begin(
        &mut self,
        request: RequestId,
        offer: &Offer,
        price: Fen,
        section: &[u8],
    ) -> Option<TxnId> {
        let taken = |place: &usize| self.entries.iter().any(|entry| entry.place == *place);
        let place = match (0..Self::ROWS).find(|place| !taken(place)) {
            Some(place) => place,
            None => {
                let oldest = self.entries.iter().position(Entry::may_be_forgotten)?;
                self.entries.remove(oldest).place
            }
        };
        let id = TxnId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1).max(1);
        self.entries.push(Entry {
            id,
            place,
            request,
            offer: offer.id,
            event: offer.event,
            price,
            section: section.to_vec(),
            card: Pseudonym::default(),
            terminal: self.terminal,
            sequence: TerminalSequence::default(),
            step: Step::Open,
            result: 0,
            receipt: None,
        });
        Some(id)
    }

    /// A number that this terminal has never used.
    pub(crate) fn next_sequence(&mut self) -> TerminalSequence {
        let sequence = TerminalSequence::new(self.next_sequence);
        self.next_sequence = self.next_sequence.wrapping_add(1);
        sequence
    }

    /// The card knows a later number of this terminal: the storage was lost. Numbers that were used
    /// before lie below.
    pub(crate) fn skip_sequences(&mut self) {
        self.next_sequence = self.next_sequence.wrapping_add(1 << 28);
    }

    pub(crate) fn of_request(&mut self, request: &RequestId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.request == *request)
    }

    pub(crate) fn of_txn(&self, txn: TxnId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == txn)
    }

    pub(crate) fn of_txn_mut(&mut self, txn: TxnId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == txn)
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A purchase from this session waits for the card's word.
    pub(crate) fn settles(&self, session: SessionId) -> bool {
        let of = |entry: &Entry| entry.offer.session() == session;
        self.entries.iter().any(|entry| of(entry) && entry.state() == TxnState::Settling)
    }

    pub(crate) fn find(&mut self, wanted: impl Fn(&Entry) -> bool) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| wanted(entry))
    }
}

impl Entry {
    const VERSION: u8 = 1;
    const SENT: u8 = 1;
    const NOT_PAID: u8 = 2;
    const PAID: u8 = 3;
    const OWNED: u8 = 4;
    const REFUSED: u8 = 5;

    pub(crate) fn row_key(&self) -> String {
        Ledger::key(self.place)
    }

    /// The row: version, request, offer, event (0 when it is not known), price, card, terminal,
    /// sequence, state, result, receipt (zeros when there is none).
    pub(crate) fn row(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        out.push(Self::VERSION);
        out.extend_from_slice(&self.request);
        out.extend(self.offer.0.to_be_bytes());
        out.extend(self.event.unwrap_or_default().to_be_bytes());
        out.extend(self.price.to_be_bytes());
        out.extend_from_slice(self.card.octets());
        out.extend_from_slice(self.terminal.octets());
        out.extend(self.sequence.to_be_bytes());
        out.push(match self.step {
            Step::Open | Step::Pin(_) | Step::Verifying | Step::Cancelled => Self::NOT_PAID,
            Step::Storing(_) | Step::Pay | Step::Paying | Step::Settle | Step::Settling => {
                Self::SENT
            }
            Step::Paid => Self::PAID,
            Step::Owned => Self::OWNED,
            Step::Refused => Self::REFUSED,
        });
        out.push(self.result);
        let zeros = Receipt::none();
        let receipt = self.receipt.as_ref().unwrap_or(&zeros);
        out.extend(receipt.amount.to_be_bytes());
        out.extend(receipt.balance_before.to_be_bytes());
        out.extend(receipt.balance_after.to_be_bytes());
        out.extend_from_slice(&receipt.date.0);
        out.extend_from_slice(&receipt.time.0);
        out.extend(receipt.card_sequence.to_be_bytes());
        out.extend_from_slice(&receipt.tac);
        out.extend_from_slice(&receipt.chain);
        out.push(receipt.refunded.into());
        out
    }

    fn parse(row: &[u8], id: TxnId, place: usize) -> Result<Self, DecodeError> {
        let mut r = Reader::new(row);
        let version = r.u8("version")?;
        if version != Self::VERSION {
            return Err(DecodeError::Invalid { field: "version", got: version.into() });
        }
        let request = *r.array("request id")?;
        let offer = OfferId(u64::from_be_bytes(*r.array("offer")?));
        let event = Some(EventId::from_be_bytes(*r.array("event")?));
        let event = event.filter(|event| event.value() != 0);
        let price = Fen::from_be_bytes(*r.array("price")?);
        let card = Pseudonym::new(*r.array("card")?);
        let terminal = TerminalId::new(*r.array("terminal")?);
        let sequence = TerminalSequence::from_be_bytes(*r.array("terminal sequence")?);
        let step = match r.u8("state")? {
            Self::SENT => Step::Settle,
            Self::NOT_PAID => Step::Open,
            Self::PAID => Step::Paid,
            Self::OWNED => Step::Owned,
            Self::REFUSED => Step::Refused,
            other => return Err(DecodeError::Invalid { field: "state", got: other.into() }),
        };
        let result = r.u8("result")?;
        let receipt = Receipt {
            request,
            offer,
            event,
            terminal,
            terminal_sequence: sequence,
            amount: Fen::from_be_bytes(*r.array("amount")?),
            balance_before: Fen::from_be_bytes(*r.array("balance before")?),
            balance_after: Fen::from_be_bytes(*r.array("balance after")?),
            date: BcdDate(*r.array("date")?),
            time: BcdTime(*r.array("time")?),
            card_sequence: r.u16("card sequence")?,
            tac: *r.array("TAC")?,
            chain: *r.array("receipt")?,
            refunded: r.u8("refunded")? != 0,
        };
        r.finish("purchase row")?;
        let has_receipt = matches!(step, Step::Paid | Step::Owned);
        Ok(Self {
            id,
            place,
            request,
            offer,
            event,
            price,
            section: Vec::new(),
            card,
            terminal,
            sequence,
            step,
            result,
            receipt: has_receipt.then_some(receipt),
        })
    }

    pub(crate) fn state(&self) -> TxnState {
        match self.step {
            Step::Open => TxnState::Open,
            Step::Pin(_) | Step::Verifying | Step::Storing(_) | Step::Pay | Step::Paying => {
                TxnState::Sent
            }
            Step::Settle | Step::Settling => TxnState::Settling,
            Step::Paid => TxnState::Paid,
            Step::Owned => TxnState::Owned,
            Step::Refused => TxnState::Refused,
            Step::Cancelled => TxnState::Cancelled,
        }
    }

    /// How it ended, if it has.
    pub(crate) fn end(&self) -> Option<Outcome> {
        match self.step {
            Step::Paid => self.receipt.map(Outcome::Paid),
            Step::Owned => self.receipt.map(Outcome::Owned),
            Step::Refused => Some(Outcome::Refused { result: self.result, balance: None }),
            Step::Cancelled => Some(Outcome::Cancelled),
            _ => None,
        }
    }

    pub(crate) fn transaction(&self) -> Transaction {
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
    pub(crate) fn holds_the_card(&self) -> bool {
        matches!(self.step, Step::Verifying | Step::Storing(_) | Step::Pay | Step::Paying)
    }

    /// Only this card knows what became of it.
    pub(crate) fn must_be_settled_by(&self, card: Pseudonym) -> bool {
        matches!(self.step, Step::Settle) && self.card == card
    }

    fn is_under_way(&self) -> bool {
        matches!(self.state(), TxnState::Sent | TxnState::Settling)
    }

    fn may_be_forgotten(&self) -> bool {
        !self.is_under_way()
    }
}

impl Receipt {
    fn none() -> Self {
        Self {
            request: [0; 16],
            offer: OfferId(0),
            event: None,
            amount: Fen::ZERO,
            balance_before: Fen::ZERO,
            balance_after: Fen::ZERO,
            date: BcdDate::default(),
            time: BcdTime::default(),
            terminal: TerminalId::default(),
            terminal_sequence: TerminalSequence::default(),
            card_sequence: 0,
            tac: [0; 4],
            chain: [0; 8],
            refunded: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OfferKind;
    use alloc::vec;
    use cam_types::CasTime;

    fn offer() -> Offer {
        Offer {
            id: OfferId(7),
            session: SessionId(1),
            kind: OfferKind::Event,
            event: Some(EventId::new(2001)),
            price: Some(Fen::new(1200)),
            start: CasTime::new(1),
            end: CasTime::new(2),
            preview_s: 0,
            slice_s: 0,
            owned: false,
            pin_needed: true,
        }
    }

    fn terminal() -> TerminalId {
        TerminalId::new(*b"000001")
    }

    #[test]
    fn a_row_brings_a_purchase_back() {
        let mut ledger = Ledger::load(&[], terminal(), 100);
        let id = ledger.begin([1; 16], &offer(), Fen::new(1200), &[0x80]).unwrap();
        let sequence = ledger.next_sequence();
        let entry = ledger.of_txn_mut(id).unwrap();
        entry.sequence = sequence;
        entry.card = Pseudonym::new([3; 8]);
        entry.step = Step::Paid;
        entry.receipt = Some(Receipt {
            request: [1; 16],
            offer: OfferId(7),
            event: Some(EventId::new(2001)),
            amount: Fen::new(1200),
            balance_before: Fen::new(10_000),
            balance_after: Fen::new(8800),
            terminal: terminal(),
            terminal_sequence: TerminalSequence::new(100),
            card_sequence: 5,
            tac: [9; 4],
            chain: [8; 8],
            ..Receipt::none()
        });
        let stored = vec![(entry.row_key(), entry.row())];
        let transaction = entry.transaction();
        let mut again = Ledger::load(&stored, terminal(), 0);
        assert_eq!(again.of_request(&[1; 16]).unwrap().transaction(), transaction);
        assert_eq!(again.next_sequence(), TerminalSequence::new(101));
    }

    /// A row that was written before PURCHASE was sent is a question to the card.
    #[test]
    fn a_row_without_an_answer_must_be_settled() {
        let mut ledger = Ledger::load(&[], terminal(), 0);
        let id = ledger.begin([1; 16], &offer(), Fen::new(1200), &[0x80]).unwrap();
        let entry = ledger.of_txn_mut(id).unwrap();
        entry.step = Step::Paying;
        let stored = vec![(entry.row_key(), entry.row())];
        let mut again = Ledger::load(&stored, terminal(), 0);
        assert_eq!(again.of_request(&[1; 16]).unwrap().state(), TxnState::Settling);
    }

    #[test]
    fn damaged_rows_are_passed_over() {
        let stored =
            vec![("purchase.00".into(), vec![1, 2, 3]), ("purchase.01".into(), vec![9; 90])];
        assert!(Ledger::load(&stored, terminal(), 5).entries().is_empty());
    }

    #[test]
    fn ended_purchases_make_room_and_unsettled_ones_stay() {
        let mut ledger = Ledger::load(&[], terminal(), 0);
        let begin =
            |ledger: &mut Ledger, n: u8| ledger.begin([n; 16], &offer(), Fen::new(1), &[0x80]);
        let first = begin(&mut ledger, 0).unwrap();
        ledger.of_txn_mut(first).unwrap().step = Step::Settle;
        for n in 1..100 {
            assert!(begin(&mut ledger, n).is_some());
        }
        assert!(ledger.of_txn(first).is_some());
        assert_eq!(ledger.entries().len(), Ledger::ROWS);
        for n in 100..100 + Ledger::ROWS as u8 {
            if let Some(id) = begin(&mut ledger, n) {
                ledger.of_txn_mut(id).unwrap().step = Step::Settle;
            }
        }
        assert_eq!(begin(&mut ledger, 255), None);
    }
}
