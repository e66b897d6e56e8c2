// SPDX-License-Identifier: Apache-2.0
//! 9. Wallet and purchases
//!
//! A purchase has two steps: `stbcam_purchase_begin` names what is bought, for which price, under
//! which request id; `stbcam_purchase_confirm` pays. The outcome comes as `STBCAM_EV_PURCHASE` and
//! is paid, refused or being settled, never guessed. Money is counted in minor units, never in a
//! float. docs/spec/purchase.md tells the whole of it.
//!
//! A request id is one wish of the subscriber. `stbcam_request_new` gives it out; a host that wants
//! to know after a power cut what became of the wish keeps it, with offer and price, before
//! confirming. The same request id never pays twice: whoever is unsure begins again with the same
//! three, and gets the same purchase back as long as the storage or the card knows it. It is paid
//! only while the library that gave it out is open: after that it is asked after, and what was not
//! paid needs a new id.

use crate::error::{Error, Result};
use crate::guard::guard;
use crate::result::{STBCAM_E_NO_SESSION, stbcam_result_t};
use crate::size::{self, CStruct};
use crate::types::{stbcam_session_t, stbcam_t};
use cam_core::{Offer, OfferKind, SessionId, Wallet};
use cam_types::Fen;
use core::ffi::c_char;

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

/// One event.
pub const STBCAM_OFFER_EVENT: i32 = 1;
/// A slice of time.
pub const STBCAM_OFFER_SLICE: i32 = 2;
/// An offer that only the card can read: event and price are not known before it is bought.
pub const STBCAM_OFFER_SEALED: i32 = 3;

/// It needs the PIN.
pub const STBCAM_OFFER_PIN_NEEDED: u32 = 0x02;
/// `price` is not known here; the card compares the one that the subscriber was told.
pub const STBCAM_OFFER_PRICE_UNKNOWN: u32 = 0x04;

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
    /// `STBCAM_OFFER_PIN_NEEDED`, `_PRICE_UNKNOWN`.
    pub flags: u32,
    /// The event, 0 when not known.
    pub event_id: u32,
    /// What it costs.
    pub price: stbcam_money_t,
    /// When the event begins, as seconds of the Unix epoch. A slice and a sealed offer have none:
    /// 946684800, which is 2000-01-01.
    pub start_utc: i64,
    /// The first second after the event, as seconds of the Unix epoch; without one, as `start_utc`.
    pub end_utc: i64,
    /// Seconds of a trial, 0 for none.
    pub preview_s: u32,
    /// Seconds of one slice, 0 for an event.
    pub slice_s: u32,
}

// SAFETY: repr(C), starts with struct_size, numbers only.
unsafe impl CStruct for stbcam_offer_t {}

/// Lists what can be bought in a session now; what is bought already is not among it. `*count` says
/// how many fit `array` and becomes how many there are.
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

/// # Safety
///
/// `pointer` is NULL or points to a price.
pub(crate) unsafe fn price(pointer: *const stbcam_money_t) -> Result<Fen> {
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
    flag(offer.pin_needed, STBCAM_OFFER_PIN_NEEDED)
        | flag(offer.price.is_none(), STBCAM_OFFER_PRICE_UNKNOWN)
}

const CURRENCY: [c_char; 4] =
    [b'C'.cast_signed() as c_char, b'N'.cast_signed() as c_char, b'Y'.cast_signed() as c_char, 0];

pub(crate) const fn c_money(amount: Fen) -> stbcam_money_t {
    stbcam_money_t { minor: amount.fen() as i64, currency: CURRENCY, exponent: 2, reserved: [0; 3] }
}

fn c_wallet(wallet: &Wallet) -> stbcam_wallet_t {
    stbcam_wallet_t {
        struct_size: 0,
        wallet_id: 1,
        card_seq_offline: wallet.offline_sequence,
        card_seq_online: wallet.online_sequence,
        balance: c_money(wallet.balance),
        pin_free_per_purchase: c_money(wallet.pin_free_per_purchase),
        pin_free_per_day: c_money(wallet.pin_free_per_day),
    }
}

fn c_offer(offer: &Offer) -> stbcam_offer_t {
    stbcam_offer_t {
        struct_size: 0,
        offer_id: offer.id.0,
        session: offer.session.0,
        kind: c_kind(offer.kind),
        flags: offer_flags(offer),
        event_id: offer.event.map_or(0, |event| event.value()),
        price: c_money(offer.price.unwrap_or(Fen::ZERO)),
        start_utc: offer.start.to_unix(),
        end_utc: offer.end.to_unix(),
        preview_s: offer.preview_s.into(),
        slice_s: offer.slice_s.into(),
    }
}
