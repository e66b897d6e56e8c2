// SPDX-License-Identifier: Apache-2.0
//! Why a purchase could not take a step.

use crate::TxnState;
use cam_types::Fen;
use core::fmt;

/// Why a purchase could not take a step. No money has moved by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PurchaseError {
    /// There is no such offer now.
    NoOffer,
    /// There is no such purchase.
    NoTransaction,
    /// The subscriber saw another price.
    PriceChanged {
        /// What it costs now.
        price: Fen,
        /// What the subscriber saw.
        seen: Fen,
    },
    /// This purchase has ended or is on its way; the state says which.
    State(TxnState),
    /// The request was for something else.
    RequestReused,
    /// The request id was not given out for this box and the card in session.
    ForeignRequest,
    /// Neither storage nor card can know the request: its number went to another one.
    Forgotten,
    /// The terminal has given out its last number.
    NumbersUsedUp,
    /// The PIN is not 4 to 12 digits.
    PinFormat,
    /// The card that it is for is not in session.
    NoCard,
    /// The card in session has not yet said what a request's number needs.
    Unread,
    /// Too many purchases are open or unsettled.
    Full,
}

impl fmt::Display for PurchaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOffer => f.write_str("there is no such offer now; no money has moved"),
            Self::NoTransaction => f.write_str("there is no such purchase"),
            Self::PriceChanged { price, seen } => {
                write!(f, "the price is {price}, the subscriber saw {seen}; no money has moved")
            }
            Self::State(TxnState::Settling) => {
                f.write_str("the purchase is being settled: the card will be asked")
            }
            Self::State(state) => write!(f, "the purchase is {state:?}"),
            Self::RequestReused => {
                f.write_str("the request id belongs to another offer; ask for a new one")
            }
            Self::ForeignRequest => {
                f.write_str(
                    "the request id was not given out for this box and card; ask for a new one",
                )
            }
            Self::Forgotten => f.write_str(
                "the request's number went to another one; nothing is debited for it, ask for a new id",
            ),
            Self::NumbersUsedUp => {
                f.write_str("the terminal has given out its last number; no money has moved")
            }
            Self::PinFormat => f.write_str("a PIN is 4 to 12 digits; no money has moved"),
            Self::NoCard => {
                f.write_str("the card that it is for is not in session; no money has moved")
            }
            Self::Unread => {
                f.write_str("the card has not told its clock and numbers yet; ask again")
            }
            Self::Full => {
                f.write_str("too many purchases are open or unsettled; no money has moved")
            }
        }
    }
}

impl core::error::Error for PurchaseError {}
