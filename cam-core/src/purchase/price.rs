// SPDX-License-Identifier: Apache-2.0
//! The price that the subscriber saw, compared with the price that is asked: nothing else is paid.

use crate::PurchaseError;
use cam_types::Fen;

/// `asked` is `None` for a sealed offer: that price is for the card to compare, which gets what
/// the subscriber saw with PURCHASE.
pub(super) fn compare(asked: Option<Fen>, seen: Fen) -> Result<(), PurchaseError> {
    match asked {
        Some(price) if price != seen => Err(PurchaseError::PriceChanged { price, seen }),
        _ => Ok(()),
    }
}
