// SPDX-License-Identifier: Apache-2.0
//! A purchase as the host sees it: where it stands, what a step of it came to, and its receipt
//! (`docs/spec/purchase.md`, 5).

use crate::{OfferId, RequestId, TxnId};
use cam_types::{BcdDate, BcdTime, EventId, Fen, TerminalId, TerminalSequence};

/// Where a purchase stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TxnState {
    /// Waits to be confirmed. No money has moved.
    Open,
    /// Confirmed and on its way to the card.
    Sent,
    /// Paid: the receipt is there.
    Paid,
    /// The card had the right already; no debit.
    Owned,
    /// Refused by the card, or sent in an earlier run and not paid. No money has moved.
    Refused,
    /// Cancelled before it was confirmed. No money has moved.
    Cancelled,
    /// Sent, and the answer was lost: the card will be asked.
    Settling,
    /// Paid, and given back later: the right has ended. The receipt is there.
    Refunded,
    /// The card does not know it, or no longer. Nothing is debited for it any more.
    Forgotten,
}

/// What a step of a purchase came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Paid. Nothing is left to do.
    Paid(Receipt),
    /// The card had the right already, no debit; its receipt as long as the card's log has it.
    Owned(Option<Receipt>),
    /// Paid, and given back since.
    Refunded(Receipt),
    /// The card refused before touching the balance; the number is its result (`PurchaseAnswer`).
    Refused {
        /// The card's result.
        result: u8,
        /// The balance, if the card told it.
        balance: Option<Fen>,
    },
    /// The PIN is wrong. The purchase stays open.
    PinWrong {
        /// Before the card blocks it.
        tries_left: u8,
    },
    /// The PIN is blocked. The purchase stays open.
    PinBlocked,
    /// The card wants the PIN, or has lost that it was told. The purchase stays open.
    PinRequired,
    /// The answer was lost, and the card says that no money has moved: the purchase is open again,
    /// and confirming it again pays once.
    NotPaid,
    /// Its row could not be stored, so that nothing was sent. The purchase stays open.
    NotStored,
    /// The card left, or another one came, before anything was sent that moves money. The purchase
    /// stays open.
    CardGone,
    /// The answer was lost. The card is asked as soon as it can be; then comes `Paid` or `NotPaid`
    /// (after a restart `Refused`), or `Forgotten`.
    Settling,
    /// The card does not know the request, or no longer. Nothing is debited for it any more.
    Forgotten,
    /// The subscriber gave it up before it was confirmed.
    Cancelled,
}

/// What was paid, as the card says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Receipt {
    /// The request that it answers.
    pub request: RequestId,
    /// What was bought.
    pub offer: OfferId,
    /// The event, if it was known.
    pub event: Option<EventId>,
    /// What was paid.
    pub amount: Fen,
    /// What the purse held before it.
    pub balance_before: Fen,
    /// What the purse held after it.
    pub balance_after: Fen,
    /// The card's date, UTC+8.
    pub date: BcdDate,
    /// The card's time of day, UTC+8.
    pub time: BcdTime,
    /// The box, by its name for the purse.
    pub terminal: TerminalId,
    /// The terminal's number of the transaction.
    pub terminal_sequence: TerminalSequence,
    /// The card's number of the transaction.
    pub card_sequence: u16,
    /// The purse's transaction certificate.
    pub tac: [u8; 4],
    /// The link in the card's chain of receipts.
    pub chain: [u8; 8],
    /// It was refunded later.
    pub refunded: bool,
}

/// A purchase as [`crate::Engine::purchase`] shows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transaction {
    /// Names it.
    pub id: TxnId,
    /// The name that the host asked for, which is the card's too.
    pub request: RequestId,
    /// What is bought.
    pub offer: OfferId,
    /// The price that the subscriber saw.
    pub price: Fen,
    /// Where it stands.
    pub state: TxnState,
    /// The card's last result, 0 when there is none.
    pub result: u8,
    /// The receipt, once paid or found owned.
    pub receipt: Option<Receipt>,
}
