//! The engine's money, offers and receipts as the host sees them.

use crate::money::*;
use crate::text;
use cam_core::{Offer, Transaction, Wallet};
use cam_types::{BcdDate, BcdTime, Fen};
use core::ffi::c_char;

const CURRENCY: [c_char; 4] =
    [b'C'.cast_signed() as c_char, b'N'.cast_signed() as c_char, b'Y'.cast_signed() as c_char, 0];

pub(crate) const fn c_money(amount: Fen) -> stbcam_money_t {
    stbcam_money_t { minor: amount.fen() as i64, currency: CURRENCY, exponent: 2, reserved: [0; 3] }
}

pub(crate) fn c_wallet(wallet: &Wallet) -> stbcam_wallet_t {
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

pub(crate) fn c_offer(offer: &Offer) -> stbcam_offer_t {
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

pub(crate) fn c_transaction(transaction: &Transaction) -> stbcam_receipt_t {
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

#[cfg(test)]
mod tests {
    use super::*;
    use cam_types::CasTime;

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
