// SPDX-License-Identifier: Apache-2.0
//! Purchases and their receipts.

use crate::guard::guard;
use crate::money::{c_money, price, stbcam_money_t};
use crate::result::{
    STBCAM_E_ALREADY_OWNED, STBCAM_E_CARD_BLOCKED, STBCAM_E_CARD_FULL, STBCAM_E_CARD_REFUSED,
    STBCAM_E_CLOCK, STBCAM_E_FUNDS, STBCAM_E_LIMIT, STBCAM_E_NO_CARD, STBCAM_E_NO_KEY,
    STBCAM_E_NOT_FOR_SALE, STBCAM_E_NOT_PAID, STBCAM_E_OFFER_EXPIRED, STBCAM_E_OFFER_FORGED,
    STBCAM_E_OFFER_MALFORMED, STBCAM_E_OUTCOME_UNKNOWN, STBCAM_E_PIN_BLOCKED,
    STBCAM_E_PIN_REQUIRED, STBCAM_E_PIN_WRONG, STBCAM_E_PRICE_CHANGED, STBCAM_E_RATING,
    STBCAM_E_REQUEST_FORGOTTEN, STBCAM_E_SEQUENCE, STBCAM_E_STORAGE, STBCAM_OK, stbcam_result_t,
};
use crate::size::{self, CStruct};
use crate::text;
use crate::types::{stbcam_t, stbcam_txn_t};
use cam_core::{OfferId, Outcome, RequestId, Transaction, TxnId, TxnState};
use cam_types::{BcdDate, BcdTime, Fen};
use core::ffi::c_char;
use ecm_emm::card::PurchaseResult;

/// Waits to be confirmed. No money has moved.
pub const STBCAM_TXN_OPEN: i32 = 1;
/// Confirmed, on its way to the card.
pub const STBCAM_TXN_SENT: i32 = 2;
/// Paid: the receipt is there.
pub const STBCAM_TXN_PAID: i32 = 3;
/// Refused; or begun before a restart, and not paid. No money has moved.
pub const STBCAM_TXN_REFUSED: i32 = 4;
/// Cancelled. No money has moved.
pub const STBCAM_TXN_CANCELLED: i32 = 5;
/// The answer was lost; the card will be asked.
pub const STBCAM_TXN_RECOVERING: i32 = 6;
/// The card had the right already: no debit, the receipt is the first one's.
pub const STBCAM_TXN_OWNED: i32 = 7;
/// Paid, and given back later: the right has ended. The receipt is there.
pub const STBCAM_TXN_REFUNDED: i32 = 8;
/// The card does not know this request, or no longer. Nothing is debited for it from now on;
/// whether it was paid long ago, the receipts tell.
pub const STBCAM_TXN_FORGOTTEN: i32 = 9;

/// It was refunded later.
pub const STBCAM_RECEIPT_REFUNDED: u32 = 0x01;

/// A purchase: where it stands and, once paid, its receipt.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_receipt_t {
    /// sizeof(stbcam_receipt_t) or the elem_size of an array.
    pub struct_size: usize,
    /// Names the purchase.
    pub txn: stbcam_txn_t,
    /// One of `STBCAM_TXN_*`. What was paid is 0 unless PAID, REFUNDED or OWNED; of an OWNED one
    /// also when the card's log has no place for its record any more.
    pub state: i32,
    /// The host's wish, as `stbcam_request_new` gave it out.
    pub request_id: [u8; 16],
    /// What was bought.
    pub offer_id: u64,
    /// The event, 0 when not known.
    pub event_id: u32,
    /// `STBCAM_RECEIPT_REFUNDED`.
    pub flags: u32,
    /// The price that the subscriber saw.
    pub price_seen: stbcam_money_t,
    /// What the card debited for it; 0 while there is no receipt.
    pub paid: stbcam_money_t,
    /// What the purse held before it; 0 while there is no receipt.
    pub balance_before: stbcam_money_t,
    /// What the purse held after it; 0 while there is no receipt.
    pub balance_after: stbcam_money_t,
    /// The card's time as seconds of the Unix epoch.
    pub utc_s: i64,
    /// The same as the purse writes it, UTC+8: "YYYY-MM-DD hh:mm:ss" and a zero.
    pub card_time: [c_char; 20],
    /// The terminal's number of the transaction.
    pub terminal_seq: u32,
    /// The box, by its name for the purse (`config.terminal_id`); 0 while there is no receipt.
    pub terminal_id: [u8; 6],
    /// The card's number of the transaction.
    pub card_seq: u16,
    /// The purse's transaction certificate.
    pub tac: [u8; 4],
    /// The link in the card's chain of receipts: deleting or reordering receipts shows.
    pub chain: [u8; 8],
    /// The card's last result (docs/spec/card.md), 0 for none. Set in every state.
    pub card_result: u8,
    /// 0.
    pub reserved: [u8; 3],
}

// SAFETY: repr(C), starts with struct_size, numbers only.
unsafe impl CStruct for stbcam_receipt_t {}

/// Gives out a request id, 16 octets, for one wish of the subscriber. It has the terminal's number
/// of its purchase inside: numbers are paid in the order in which they were given out, and one that
/// was overtaken is refused (`STBCAM_E_SEQUENCE`).
///
/// It is for the card in session, and no other's. Ask when an offer is there.
///
/// STBCAM_E_NO_CARD: no card in session. STBCAM_E_AGAIN: it has not told its clock and numbers yet,
/// which takes it two commands. STBCAM_E_SEQUENCE: the terminal has no number left with this card.
///
/// Threads: any.
///
/// # Safety
///
/// * `out` points to 16 writable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_request_new(cam: *mut stbcam_t, out: *mut u8) -> stbcam_result_t {
    guard(cam, |context| {
        let out = out.cast::<[u8; RequestId::LEN]>();
        size::needed(out, "out")?;
        let request = context.cam.call(|engine, _| engine.request_new())?;
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put_optional(out, "out", *request.octets()) }
    })
}

/// Begins a purchase; no money moves. `request_id` is 16 octets of `stbcam_request_new`;
/// `price_seen` is what the subscriber was shown. `*out` names the purchase. The same request id
/// gives the same purchase back, whatever became of it, and is refused for another offer. One that
/// was given out before a restart, and that the storage does not know, is looked for on the card
/// (`STBCAM_TXN_RECOVERING`), and never paid.
///
/// STBCAM_E_ARG: the request id was not given out for this box. STBCAM_E_OFFER_EXPIRED: no such
/// offer now. STBCAM_E_PRICE_CHANGED: it costs something else. STBCAM_E_REQUEST_REUSED: the request
/// was for another offer. STBCAM_E_REQUEST_FORGOTTEN: its number went to another request.
/// STBCAM_E_NO_CARD: the card must be asked, and there is none in session. STBCAM_E_FULL: too many
/// purchases are open. No money has moved by any of them.
///
/// Threads: any.
///
/// # Safety
///
/// * `request_id` points to 16 readable octets, `price_seen` to a stbcam_money_t; `out` is
///   writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_purchase_begin(
    cam: *mut stbcam_t,
    offer_id: u64,
    request_id: *const u8,
    price_seen: *const stbcam_money_t,
    out: *mut stbcam_txn_t,
) -> stbcam_result_t {
    guard(cam, |context| {
        size::needed(out, "out")?;
        // SAFETY: the caller upholds this function's contract.
        let request = unsafe { text::array::<{ RequestId::LEN }>(request_id, "request_id") }?;
        let request = RequestId::new(request);
        // SAFETY: as above.
        let price = unsafe { price(price_seen) }?;
        let offer = OfferId(offer_id);
        let begin =
            context.cam.call(|engine, now| engine.purchase_begin(now, offer, request, price))?;
        // SAFETY: as above.
        unsafe { size::put_optional(out, "out", begin.0) }
    })
}

/// Confirms a purchase: the money moves. `pin` is ASCII digits, or `len` is 0 to try without. Never
/// waits; the outcome comes as `STBCAM_EV_PURCHASE`. After a wrong PIN the purchase stays open. A
/// purchase that has ended tells its end again by an event, without a debit.
///
/// STBCAM_E_NO_TXN: no such purchase. STBCAM_E_STATE: cancelled, or on its way already.
/// STBCAM_E_OUTCOME_UNKNOWN: being settled. STBCAM_E_NO_CARD: no card in session. STBCAM_E_ARG: not
/// a PIN.
///
/// Threads: any.
///
/// # Safety
///
/// * `pin` points to `len` readable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_purchase_confirm(
    cam: *mut stbcam_t,
    txn: stbcam_txn_t,
    pin: *const u8,
    len: usize,
) -> stbcam_result_t {
    guard(cam, |context| {
        // SAFETY: the caller upholds this function's contract.
        let pin = unsafe { text::octets(pin, len, "pin") }?;
        Ok(context.cam.call(|engine, now| engine.purchase_confirm(now, TxnId(txn), pin))?)
    })
}

/// Cancels a purchase that was not confirmed. No money has moved.
///
/// STBCAM_E_NO_TXN: no such purchase. STBCAM_E_STATE: confirmed or ended.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_purchase_cancel(cam: *mut stbcam_t, txn: stbcam_txn_t) -> stbcam_result_t {
    guard(cam, |context| {
        Ok(context.cam.call(|engine, now| engine.purchase_cancel(now, TxnId(txn)))?)
    })
}

/// How a purchase stands.
///
/// STBCAM_E_NO_TXN: no such purchase.
///
/// Threads: any.
///
/// # Safety
///
/// * `out` points to a stbcam_receipt_t whose struct_size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_purchase(
    cam: *mut stbcam_t,
    txn: stbcam_txn_t,
    out: *mut stbcam_receipt_t,
) -> stbcam_result_t {
    guard(cam, |context| {
        let transaction = context.cam.query(|engine| engine.purchase(TxnId(txn)))?;
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put(out, "out", c_transaction(&transaction)) }
    })
}

/// Lists the receipts of purchases made with this box, also refunded ones, oldest first, piece by
/// piece: `*cursor` is 0 at the start and is moved on; `*count` says how many fit `array` and
/// becomes how many were copied, 0 at the end.
///
/// Threads: any.
///
/// # Safety
///
/// * `array` points to `*count` writable elements of `elem_size` octets; `cursor` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_receipts(
    cam: *mut stbcam_t,
    cursor: *mut u64,
    array: *mut stbcam_receipt_t,
    elem_size: usize,
    count: *mut usize,
) -> stbcam_result_t {
    guard(cam, |context| {
        let receipts: Vec<_> = context.cam.query(|engine| {
            let transactions = engine.receipts().map(|(txn, _)| engine.purchase(txn));
            transactions.flatten().map(|transaction| c_transaction(&transaction)).collect()
        });
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put_from(cursor, array, elem_size, count, &receipts) }
    })
}

fn c_transaction(transaction: &Transaction) -> stbcam_receipt_t {
    let mut value = stbcam_receipt_t {
        struct_size: 0,
        txn: transaction.id.0,
        state: c_txn_state(transaction.state),
        request_id: *transaction.request.octets(),
        offer_id: transaction.offer.0,
        event_id: 0,
        flags: 0,
        price_seen: c_money(transaction.price),
        paid: c_money(Fen::ZERO),
        balance_before: c_money(Fen::ZERO),
        balance_after: c_money(Fen::ZERO),
        utc_s: 0,
        card_time: [0; 20],
        terminal_seq: 0,
        terminal_id: [0; 6],
        card_seq: 0,
        tac: [0; 4],
        chain: [0; 8],
        card_result: transaction.result,
        reserved: [0; 3],
    };
    if let Some(receipt) = &transaction.receipt {
        value.event_id = receipt.event.map_or(0, |event| event.value());
        value.flags = if receipt.refunded { STBCAM_RECEIPT_REFUNDED } else { 0 };
        value.paid = c_money(receipt.amount);
        value.balance_before = c_money(receipt.balance_before);
        value.balance_after = c_money(receipt.balance_after);
        value.utc_s = purse_utc(receipt.date, receipt.time);
        value.card_time = text::fixed(&format!("{} {}", receipt.date, receipt.time));
        value.terminal_seq = receipt.terminal_sequence.value();
        value.terminal_id = *receipt.terminal.octets();
        value.card_seq = receipt.card_sequence;
        value.tac = receipt.tac;
        value.chain = receipt.chain;
    }
    value
}

/// The purse's date and time (BCD, UTC+8) as seconds of the Unix epoch; 0 when they are none.
fn purse_utc(date: BcdDate, time: BcdTime) -> i64 {
    const PURSE_OFFSET: i64 = 8 * 3600;
    let number = |octet: u8| i64::from(octet >> 4) * 10 + i64::from(octet & 0x0F);
    let [century, year, month, day] = date.0.map(number);
    let [hour, minute, second] = time.0.map(number);
    let year = century * 100 + year;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return 0;
    }
    // Days of the Gregorian calendar, counted from March, so that the leap day is the last one.
    let (march_year, march_month) =
        if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = march_year / 4 - march_year / 100 + march_year / 400;
    let days = march_year * 365 + leap_days + (153 * march_month + 2) / 5 + day - 1;
    (days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second - PURSE_OFFSET
}

const fn c_txn_state(state: TxnState) -> i32 {
    match state {
        TxnState::Open => STBCAM_TXN_OPEN,
        TxnState::Sent => STBCAM_TXN_SENT,
        TxnState::Paid => STBCAM_TXN_PAID,
        TxnState::Owned => STBCAM_TXN_OWNED,
        TxnState::Refused => STBCAM_TXN_REFUSED,
        TxnState::Cancelled => STBCAM_TXN_CANCELLED,
        TxnState::Settling => STBCAM_TXN_RECOVERING,
        TxnState::Refunded => STBCAM_TXN_REFUNDED,
        TxnState::Forgotten => STBCAM_TXN_FORGOTTEN,
    }
}

/// State and result of an outcome, for its event.
pub(crate) const fn purchase_result(outcome: &Outcome) -> (i32, stbcam_result_t) {
    match outcome {
        Outcome::Paid(_) => (STBCAM_TXN_PAID, STBCAM_OK),
        Outcome::Owned(_) => (STBCAM_TXN_OWNED, STBCAM_E_ALREADY_OWNED),
        Outcome::Refused { result, .. } => (STBCAM_TXN_REFUSED, refusal(*result)),
        Outcome::PinWrong { .. } => (STBCAM_TXN_OPEN, STBCAM_E_PIN_WRONG),
        Outcome::PinBlocked => (STBCAM_TXN_OPEN, STBCAM_E_PIN_BLOCKED),
        Outcome::PinRequired => (STBCAM_TXN_OPEN, STBCAM_E_PIN_REQUIRED),
        Outcome::NotPaid => (STBCAM_TXN_OPEN, STBCAM_E_NOT_PAID),
        Outcome::NotStored => (STBCAM_TXN_OPEN, STBCAM_E_STORAGE),
        Outcome::CardGone => (STBCAM_TXN_OPEN, STBCAM_E_NO_CARD),
        Outcome::Settling => (STBCAM_TXN_RECOVERING, STBCAM_E_OUTCOME_UNKNOWN),
        Outcome::Cancelled => (STBCAM_TXN_CANCELLED, STBCAM_OK),
        Outcome::Refunded(_) => (STBCAM_TXN_REFUNDED, STBCAM_OK),
        Outcome::Forgotten => (STBCAM_TXN_FORGOTTEN, STBCAM_E_REQUEST_FORGOTTEN),
    }
}

/// The card's reasons to refuse a purchase (`docs/spec/purchase.md`, 3), and NONE of one that was
/// sent before a restart.
const fn refusal(result: u8) -> stbcam_result_t {
    match PurchaseResult(result) {
        PurchaseResult::NONE => STBCAM_E_NOT_PAID,
        PurchaseResult::AUTHENTICATION => STBCAM_E_OFFER_FORGED,
        PurchaseResult::CLOCK => STBCAM_E_CLOCK,
        PurchaseResult::WINDOW => STBCAM_E_OFFER_EXPIRED,
        PurchaseResult::RATING => STBCAM_E_RATING,
        PurchaseResult::NO_OFFER => STBCAM_E_NOT_FOR_SALE,
        PurchaseResult::PRICE => STBCAM_E_PRICE_CHANGED,
        PurchaseResult::CAP => STBCAM_E_LIMIT,
        PurchaseResult::LOG_FULL => STBCAM_E_CARD_FULL,
        PurchaseResult::PIN_REQUIRED => STBCAM_E_PIN_REQUIRED,
        PurchaseResult::FUNDS => STBCAM_E_FUNDS,
        PurchaseResult::SEQUENCE => STBCAM_E_SEQUENCE,
        PurchaseResult::NO_KEY => STBCAM_E_NO_KEY,
        PurchaseResult::CARD_BLOCKED => STBCAM_E_CARD_BLOCKED,
        PurchaseResult::MALFORMED => STBCAM_E_OFFER_MALFORMED,
        _ => STBCAM_E_CARD_REFUSED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cam_types::CasTime;

    /// Each reason of the card has a number of its own, and no two share one.
    #[test]
    fn every_refusal_has_its_own_result() {
        let mut results: Vec<_> = (0x10..=0x1D).map(refusal).collect();
        assert!(results.iter().all(|result| *result != STBCAM_E_CARD_REFUSED));
        results.sort_unstable();
        results.dedup();
        assert_eq!(results.len(), 14);
        assert_eq!(refusal(0x1E), STBCAM_E_CARD_REFUSED, "of a newer card");
    }

    /// The way there is `CasTime::purse_date_time`, tested against `date`.
    #[test]
    fn a_purse_time_finds_its_way_back() {
        for unix in [946_684_800, 951_782_400, 1_709_222_399, 1_796_126_400, 4_107_542_400] {
            let (date, time) = CasTime::from_unix(unix).unwrap().purse_date_time();
            assert_eq!(purse_utc(date, time), unix);
        }
        assert_eq!(purse_utc(BcdDate([0; 4]), BcdTime([0; 3])), 0);
        assert_eq!(purse_utc(BcdDate([0xFF; 4]), BcdTime([0xFF; 3])), 0);
    }
}
