//! 9. Wallet and purchases
//!
//! A purchase has two steps: `stbcam_purchase_begin` names what is bought, for which price, under
//! which request id; `stbcam_purchase_confirm` pays. The outcome comes as `STBCAM_EV_PURCHASE` and
//! is paid, refused or being settled, never guessed. Money is counted in minor units, never in a
//! float. docs/spec/purchase.md tells the whole of it.
//!
//! A request id is one wish of the subscriber. `stbcam_request_new` gives it out; a host that wants
//! to know after a power cut what became of the wish keeps it before confirming. The same request
//! id never pays twice: whoever is unsure begins again with the same one, and gets the same purchase
//! back as long as the storage or the card knows it. It is paid only while the library that gave it
//! out is open: after that it is asked after, and what was not paid needs a new id.

use crate::error::{Error, Result};
use crate::guard::guard;
use crate::money_read::{c_money, c_offer, c_transaction, c_wallet};
use crate::result::*;
use crate::size::{self, CStruct};
use crate::text;
use crate::types::{stbcam_session_t, stbcam_t, stbcam_txn_t};
use cam_core::{Offer, OfferId, OfferKind, Outcome, RequestId, SessionId, TxnId, TxnState};
use cam_types::Fen;
use core::ffi::c_char;
use ecm_emm::card::PurchaseResult;

/// An amount: `minor` / 10^`exponent` of `currency`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_money_t {
    /// Minor units: fen.
    pub minor: i64,
    /// ISO 4217 and a zero: "CNY".
    pub currency: [c_char; 4],
    /// Decimal places: 2.
    pub exponent: i8,
    /// 0.
    pub reserved: [u8; 3],
}

/// The purse on the card. The balance is what is left.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_wallet_t {
    /// The elem_size of the caller's array, by the library.
    pub struct_size: usize,
    /// Names the purse on the card: 1.
    pub wallet_id: u32,
    /// The card's number of its last debit.
    pub card_seq_offline: u16,
    /// The card's number of its last load.
    pub card_seq_online: u16,
    /// What is left.
    pub balance: stbcam_money_t,
    /// Up to this price a purchase needs no PIN.
    pub pin_free_per_purchase: stbcam_money_t,
    /// Up to this sum a day.
    pub pin_free_per_day: stbcam_money_t,
}

// SAFETY: repr(C), starts with struct_size, numbers only.
unsafe impl CStruct for stbcam_wallet_t {}

/// One event.
pub const STBCAM_OFFER_EVENT: i32 = 1;
/// A slice of time.
pub const STBCAM_OFFER_SLICE: i32 = 2;
/// An offer that only the card can read: event and price are not known before it is bought.
pub const STBCAM_OFFER_SEALED: i32 = 3;

/// It is bought already.
pub const STBCAM_OFFER_OWNED: u32 = 1;
/// It needs the PIN.
pub const STBCAM_OFFER_PIN_NEEDED: u32 = 2;
/// `price` is not known here; the card compares the one that the subscriber was told.
pub const STBCAM_OFFER_PRICE_UNKNOWN: u32 = 4;

/// Something that can be bought.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_offer_t {
    /// The elem_size of the caller's array, by the library.
    pub struct_size: usize,
    /// Names it.
    pub offer_id: u64,
    /// The session that it belongs to.
    pub session: stbcam_session_t,
    /// One of `STBCAM_OFFER_EVENT`, `_SLICE`, `_SEALED`.
    pub kind: i32,
    /// `STBCAM_OFFER_OWNED`, `_PIN_NEEDED`, `_PRICE_UNKNOWN`.
    pub flags: u32,
    /// The event, 0 when not known.
    pub event_id: u32,
    /// What it costs.
    pub price: stbcam_money_t,
    /// Its start, as seconds of the Unix epoch.
    pub start_utc: i64,
    /// Its end.
    pub end_utc: i64,
    /// Seconds of a trial, 0 for none.
    pub preview_s: u32,
    /// Seconds of one slice, 0 for an event.
    pub slice_s: u32,
}

// SAFETY: repr(C), starts with struct_size, numbers only.
unsafe impl CStruct for stbcam_offer_t {}

/// Waits to be confirmed. No money has moved.
pub const STBCAM_TXN_OPEN: i32 = 1;
/// Confirmed, on its way to the card.
pub const STBCAM_TXN_SENT: i32 = 2;
/// Paid: the receipt is there.
pub const STBCAM_TXN_PAID: i32 = 3;
/// Refused; or sent before a restart, and not paid. No money has moved.
pub const STBCAM_TXN_REFUSED: i32 = 4;
/// Cancelled. No money has moved.
pub const STBCAM_TXN_CANCELLED: i32 = 5;
/// The answer was lost; the card will be asked.
pub const STBCAM_TXN_RECOVERING: i32 = 6;
/// The card had the right already: no debit, the receipt is the first one's.
pub const STBCAM_TXN_OWNED: i32 = 7;
/// Paid, and given back later: the right has ended. The receipt is there.
pub const STBCAM_TXN_REFUNDED: i32 = 8;
/// The card does not know this request, or no longer. Nothing is debited for it from now on; whether
/// it was paid long ago, the receipts tell.
pub const STBCAM_TXN_FORGOTTEN: i32 = 9;

/// It was refunded later.
pub const STBCAM_RECEIPT_REFUNDED: u32 = 1;

/// A purchase: where it stands and, once paid, its receipt.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_receipt_t {
    /// sizeof(stbcam_receipt_t) or the elem_size of an array.
    pub struct_size: usize,
    /// Names the purchase.
    pub txn: stbcam_txn_t,
    /// One of `STBCAM_TXN_*`. What was paid is 0 unless PAID, REFUNDED or OWNED; of an OWNED one also
    /// when the card's log has no place for its record any more.
    pub state: i32,
    /// The request.
    pub request_id: [u8; 16],
    /// What was bought.
    pub offer_id: u64,
    /// The event, 0 when not known.
    pub event_id: u32,
    /// `STBCAM_RECEIPT_REFUNDED`.
    pub flags: u32,
    /// The price that the subscriber saw.
    pub price_seen: stbcam_money_t,
    /// What was paid.
    pub paid: stbcam_money_t,
    /// The balance before.
    pub balance_before: stbcam_money_t,
    /// The balance after.
    pub balance_after: stbcam_money_t,
    /// The card's time as seconds of the Unix epoch.
    pub utc_s: i64,
    /// The same as the purse writes it, UTC+8: "YYYY-MM-DD hh:mm:ss" and a zero.
    pub card_time: [c_char; 20],
    /// The terminal's number of the transaction.
    pub terminal_seq: u32,
    /// The terminal.
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

/// Lists the purses on the card: none or one. `*count` says how many fit `array` and becomes how
/// many there are.
///
/// Threads: any.
///
/// # Safety
///
/// * `array` points to `*count` writable elements of `elem_size` octets, or `*count` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_wallets(
    cam: *mut stbcam_t,
    array: *mut stbcam_wallet_t,
    elem_size: usize,
    count: *mut usize,
) -> stbcam_result_t {
    guard(cam, |context| {
        let wallets: Vec<_> =
            context.cam.query(|engine| engine.wallet().iter().map(c_wallet).collect());
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put_all(array, elem_size, count, &wallets) }
    })
}

/// Lists what can be bought in a session now. `*count` says how many fit `array` and becomes how
/// many there are.
///
/// STBCAM_E_NO_SESSION: not open. STBCAM_E_BUFFER: there are more than fit.
///
/// Threads: any.
///
/// # Safety
///
/// * `array` points to `*count` writable elements of `elem_size` octets, or `*count` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_offers(
    cam: *mut stbcam_t,
    session: stbcam_session_t,
    array: *mut stbcam_offer_t,
    elem_size: usize,
    count: *mut usize,
) -> stbcam_result_t {
    guard(cam, |context| {
        let session = SessionId(session);
        let offers: Option<Vec<_>> = context.cam.query(|engine| {
            engine.access(session)?;
            Some(engine.offers(session).map(|offer| c_offer(&offer)).collect())
        });
        let offers = offers.ok_or_else(|| Error::plain(STBCAM_E_NO_SESSION))?;
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put_all(array, elem_size, count, &offers) }
    })
}

/// Gives out a request id, 16 octets, for one wish of the subscriber. It has the terminal's number
/// of its purchase inside: numbers are paid in the order in which they were given out, and one that
/// was overtaken is refused (`STBCAM_E_SEQUENCE`).
///
/// STBCAM_E_NO_CARD: no card in session. STBCAM_E_SEQUENCE: the terminal has no number left.
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
/// gives the same purchase back, whatever became of it. One that was given out before a restart, and
/// that the storage does not know, is looked for on the card (`STBCAM_TXN_RECOVERING`), and never
/// paid.
///
/// STBCAM_E_ARG: the request id was not given out for this box. STBCAM_E_OFFER_EXPIRED: no such offer
/// now. STBCAM_E_PRICE_CHANGED: it costs something else. STBCAM_E_ALREADY_OWNED: bought already.
/// STBCAM_E_REQUEST_REUSED: the request was for something else. STBCAM_E_REQUEST_FORGOTTEN: its number
/// went to another request. STBCAM_E_NO_CARD: the card must be asked, and there is none in session.
/// STBCAM_E_FULL: too many purchases are open. No money has moved by any of them.
///
/// Threads: any.
///
/// # Safety
///
/// * `request_id` points to 16 readable octets, `price_seen` to a stbcam_money_t; `out` is writable.
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
/// STBCAM_E_OUTCOME_UNKNOWN: being settled. STBCAM_E_NO_CARD: no card in session. STBCAM_E_ARG: not a PIN.
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

/// Lists the receipts of purchases made with this box, also refunded ones, oldest first, piece by piece: `*cursor` is
/// 0 at the start and is moved on; `*count` says how many fit `array` and becomes how many were
/// copied, 0 at the end.
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

/// # Safety
///
/// `pointer` is NULL or points to a price.
unsafe fn price(pointer: *const stbcam_money_t) -> Result<Fen> {
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(Error::argument("price_seen is NULL"));
    }
    // SAFETY: not NULL, aligned, and a price by the caller's contract; any octets are one.
    let money = unsafe { pointer.read() };
    let expected = c_money(Fen::ZERO);
    if money.currency != expected.currency || money.exponent != expected.exponent {
        return Err(Error::argument("price_seen is not in CNY with exponent 2"));
    }
    u32::try_from(money.minor)
        .map(Fen::new)
        .map_err(|_| Error::argument(format!("price_seen cannot be {}", money.minor)))
}

pub(crate) const fn c_kind(kind: OfferKind) -> i32 {
    match kind {
        OfferKind::Event => STBCAM_OFFER_EVENT,
        OfferKind::Slice => STBCAM_OFFER_SLICE,
        OfferKind::Sealed => STBCAM_OFFER_SEALED,
    }
}

pub(crate) fn offer_flags(offer: &Offer) -> u32 {
    let flag = |set, bit| if set { bit } else { 0 };
    flag(offer.owned, STBCAM_OFFER_OWNED)
        | flag(offer.pin_needed, STBCAM_OFFER_PIN_NEEDED)
        | flag(offer.price.is_none(), STBCAM_OFFER_PRICE_UNKNOWN)
}

pub(crate) const fn c_txn_state(state: TxnState) -> i32 {
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
}
