//! GET TRANSACTION PROVE: what became of a transaction whose answer was lost.
//!
//! Cards differ in the number under which they keep the proof, the one before the transaction or the
//! one after; a card of the first kind may answer the second number with its previous transaction's
//! proof. So both are asked, and only a MAC or TAC that checks settles anything.

use crate::mac::Mac;
use crate::response::split;
use crate::transaction::{PurseStatus, Transaction};
use cam_types::DecodeError;

/// A transaction whose outcome only the card knows.
///
/// Not `Clone`: it is settled exactly once. Persist it before anything else.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "money may have moved"]
pub struct Unsettled {
    /// Amount, type, terminal, date and time.
    pub transaction: Transaction,
    /// The sequence number that INITIALIZE returned.
    pub sequence: [u8; 2],
}

/// One question to the card.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "money may have moved"]
pub struct Inquiry {
    unsettled: Unsettled,
    counted_up: bool,
}

/// What the card can show of a past transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proof {
    /// MAC2 of a purchase; zeros for a load, and on some cards always.
    pub mac: Mac,
    /// The transaction code.
    pub tac: Mac,
}

/// Where the inquiry stands.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub enum Settlement {
    /// The transaction took place.
    Made(Transaction, Proof),
    /// It did not: start again from INITIALIZE.
    NotMade(Transaction),
    /// Ask once more.
    Ask(Inquiry),
    /// The card did not answer the question: reset, select and ask again.
    NoAnswer(Unsettled),
}

impl Unsettled {
    /// The first question, to be asked after a reset and a SELECT.
    pub fn inquire(self) -> Inquiry {
        Inquiry { unsettled: self, counted_up: true }
    }
}

impl Inquiry {
    /// GET TRANSACTION PROVE.
    pub fn command(&self) -> [u8; 8] {
        let [high, low] = if self.counted_up {
            u16::from_be_bytes(self.unsettled.sequence).wrapping_add(1).to_be_bytes()
        } else {
            self.unsettled.sequence
        };
        [0x80, 0x5A, 0x00, self.unsettled.transaction.kind.0, 0x02, high, low, 0x08]
    }

    /// Reads the card's answer. `is_ours` checks MAC or TAC against what they should be.
    pub fn answer(
        self,
        response: Option<&[u8]>,
        is_ours: impl FnOnce(&Proof) -> bool,
    ) -> Settlement {
        let proof = match response.map(split) {
            Some(Ok((data, PurseStatus::OK))) => match Proof::parse(data) {
                Ok(proof) => is_ours(&proof).then_some(proof),
                Err(_) => return Settlement::NoAnswer(self.unsettled),
            },
            Some(Ok((_, PurseStatus::MEMORY_FAILURE))) | Some(Err(_)) | None => {
                return Settlement::NoAnswer(self.unsettled);
            }
            Some(Ok(_)) => None,
        };
        match proof {
            Some(proof) => Settlement::Made(self.unsettled.transaction, proof),
            None if self.counted_up => {
                Settlement::Ask(Self { unsettled: self.unsettled, counted_up: false })
            }
            None => Settlement::NotMade(self.unsettled.transaction),
        }
    }
}

impl Proof {
    /// The data of the answer: MAC first, the other way round than DEBIT's.
    pub fn parse(data: &[u8]) -> Result<Self, DecodeError> {
        match *data {
            [a, b, c, d, e, f, g, h] => Ok(Self { mac: Mac([a, b, c, d]), tac: Mac([e, f, g, h]) }),
            _ => Err(DecodeError::Missing("MAC and TAC")),
        }
    }
}
