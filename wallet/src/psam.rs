//! The seam to the terminal's secure module: who holds the purchase key on the terminal's side.

use crate::formula::{mac1_purchase, mac2_purchase};
use crate::keys::{PurchaseKey, SessionKey};
use crate::mac::Mac;
use crate::transaction::Transaction;
use cam_types::{Fen, TerminalSequence};

/// What a PSAM is told in INIT_SAM_FOR_PURCHASE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SamPurchase {
    /// The card's random number.
    pub random: [u8; 4],
    /// The card's offline sequence.
    pub offline_sequence: [u8; 2],
    /// Amount, type, terminal, date and time.
    pub transaction: Transaction,
    /// The version of the card's purchase key.
    pub key_version: u8,
    /// The algorithm of the card's purchase key.
    pub algorithm: u8,
}

/// A terminal's secure module.
pub trait Psam {
    /// Counts its transaction number up and makes MAC1; `None` when it has no such key.
    fn start(&mut self, purchase: &SamPurchase) -> Option<(TerminalSequence, Mac)>;
    /// Checks the MAC2 of the purchase last started.
    fn credit(&mut self, amount: Fen, mac2: Mac) -> bool;
}

/// A PSAM in software, for terminals on the bench: it holds one card's purchase key.
#[derive(Debug)]
pub struct SoftPsam {
    key: PurchaseKey,
    sequence: TerminalSequence,
    session: Option<SessionKey>,
}

impl SoftPsam {
    /// Starts after this terminal sequence.
    pub const fn new(key: PurchaseKey, sequence: TerminalSequence) -> Self {
        Self { key, sequence, session: None }
    }
}

impl Psam for SoftPsam {
    fn start(&mut self, purchase: &SamPurchase) -> Option<(TerminalSequence, Mac)> {
        // 00 is triple DES, and cards that say 01 with a key of 16 octets use triple DES as well.
        if purchase.algorithm > 0x01 {
            return None;
        }
        self.sequence = TerminalSequence::new(self.sequence.value().checked_add(1)?);
        let session = self.key.session(purchase.random, purchase.offline_sequence, self.sequence);
        let mac1 = mac1_purchase(&session, &purchase.transaction);
        self.session = Some(session);
        Some((self.sequence, mac1))
    }

    fn credit(&mut self, amount: Fen, mac2: Mac) -> bool {
        self.session.take().is_some_and(|session| mac2_purchase(&session, amount) == mac2)
    }
}
