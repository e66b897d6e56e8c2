// SPDX-License-Identifier: Apache-2.0
//! What became of a commit whose answer was lost, asked of the same card after a reset.

use super::Purse;
use crate::formula::{tac_load, tac_overdraft_input, tac_purchase};
use crate::keys::TacKey;
use crate::mac::Mac;
use crate::proof::{Check, Made, Proof, Settlement, Unsettled};
use crate::psam::{Psam, SamError};
use crate::refusal::Refusal;
use crate::transaction::{Transaction, TransactionType};
use core::fmt;

/// What a settlement came to.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub enum Upshot {
    /// The transaction took place.
    Made(Made),
    /// It did not: no money has moved.
    NotMade(Transaction),
    /// Nobody knows yet: money may have moved.
    Open(Unsettled, Unknown),
}

/// Why it is not known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unknown {
    /// The card did not answer.
    NoAnswer,
    /// What the card answered is no answer to the question.
    Malformed,
    /// The card refused to say.
    Refused(Refusal),
    /// The card has made other transactions since, and its log shows it no more.
    MovedOn,
    /// The card has made one transaction since, this or another, and does not show which.
    NotShown,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => f.write_str("card did not answer; ask it again"),
            Self::Malformed => f.write_str("card's answer cannot be read"),
            Self::Refused(refusal) => write!(f, "{refusal}"),
            Self::MovedOn => f.write_str(
                "card has made other transactions since, and shows no more of this one; the acquirer's \
                 records can tell",
            ),
            Self::NotShown => f.write_str(
                "card stands as after this transaction or one other, and does not show which; the \
                 acquirer's records can tell",
            ),
        }
    }
}

impl Unknown {
    /// Whether the card can tell no more, however often it is asked: somebody else has to.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::MovedOn | Self::NotShown)
    }
}

impl Purse<'_> {
    /// Asks until the card has said what became of it, or can say no more.
    ///
    /// `psam` is the module that made its MAC1, if it has not been reset and has started nothing
    /// since; `key` the card's TAC key, if it is here. Without either the card's counter decides.
    pub fn settle(
        &mut self,
        unsettled: Unsettled,
        mut psam: Option<&mut dyn Psam>,
        key: Option<&TacKey>,
    ) -> Upshot {
        let expected = key.and_then(|key| tac(&unsettled, key));
        let mut inquiry = unsettled.inquire();
        loop {
            let answer = self.port.transmit(&inquiry.command());
            let check = |proof: &Proof| whose(proof, expected, psam.as_deref_mut());
            match inquiry.answer(answer.as_deref(), check) {
                Settlement::Ask(next) => inquiry = next,
                Settlement::Made(made) => return Upshot::Made(made),
                Settlement::NotMade(transaction) => return Upshot::NotMade(transaction),
                Settlement::NoAnswer(unsettled) => {
                    let why = answer.map_or(Unknown::NoAnswer, |_| Unknown::Malformed);
                    return Upshot::Open(unsettled, why);
                }
                Settlement::Refused(unsettled, refusal) => {
                    return Upshot::Open(unsettled, Unknown::Refused(refusal));
                }
                Settlement::MovedOn(unsettled) => {
                    return Upshot::Open(unsettled, Unknown::MovedOn);
                }
                Settlement::NotShown(unsettled) => {
                    return Upshot::Open(unsettled, Unknown::NotShown);
                }
            }
        }
    }
}

/// The TAC of the transaction, if it took place; an unload has none.
fn tac(unsettled: &Unsettled, key: &TacKey) -> Option<Mac> {
    let Unsettled { transaction, terminal_sequence, sequence, balance, .. } = unsettled;
    let key = key.fold();
    match transaction.kind {
        TransactionType::UNLOAD => None,
        TransactionType::LOAD | TransactionType::LOAD_ED => {
            Some(tac_load(&key, *balance, *sequence, transaction))
        }
        TransactionType::OVERDRAFT => {
            Some(key.mac(&tac_overdraft_input(*balance, *sequence, transaction)))
        }
        _ => Some(tac_purchase(&key, transaction, *terminal_sequence)),
    }
}

fn whose(proof: &Proof, tac: Option<Mac>, psam: Option<&mut (dyn Psam + '_)>) -> Check {
    if tac.is_some_and(|tac| tac == proof.tac) {
        return Check::Ours;
    }
    let by_mac = match psam {
        Some(psam) if proof.has_mac() => match psam.credit(proof.mac) {
            Ok(()) => Check::Ours,
            Err(SamError::WrongMac2) => Check::NotOurs,
            Err(_) => Check::CannotTell,
        },
        _ => Check::CannotTell,
    };
    match (by_mac, tac) {
        (Check::CannotTell, Some(_)) => Check::NotOurs,
        (by_mac, _) => by_mac,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;
    use crate::flow::Scheme;
    use crate::port::CardPort;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use cam_types::{Aid, BcdDate, BcdTime, Fen, Secret, TerminalId, TerminalSequence};

    fn unsettled(kind: TransactionType, amount: u32) -> Unsettled {
        Unsettled {
            transaction: Transaction {
                amount: Fen::new(amount),
                kind,
                terminal: TerminalId::new([0x00, 0x11, 0x22, 0x33, 0x44, 0x55]),
                date: BcdDate([0x20, 0x26, 0x12, 0x01]),
                time: BcdTime([0x20, 0x00, 0x00]),
            },
            terminal_sequence: TerminalSequence::new(0),
            sequence: [0x00, 0x07],
            key_index: 1,
            balance: Fen::new(0x1E00),
        }
    }

    /// A card that answers GET TRANSACTION PROVE so.
    struct Odd(Option<&'static [u8]>);

    impl CardPort for Odd {
        fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
            match command.get(1)? {
                0xA4 => Some([0x90, 0x00].to_vec()),
                0x5A => self.0.map(<[u8]>::to_vec),
                _ => Some([0x6A, 0x82].to_vec()),
            }
        }
    }

    /// What is no answer to the question is not told as silence.
    #[test]
    fn an_answer_that_cannot_be_read_is_told_as_such() {
        let profile = Profile { levels: &[], ..Profile::PBOC };
        let scheme = Scheme { aid: Aid::PURSE.octets(), profile, uid: None };
        for (answer, expected, text) in [
            (None, Unknown::NoAnswer, "did not answer"),
            (Some(&[0x12, 0x34, 0x90, 0x00][..]), Unknown::Malformed, "cannot be read"),
        ] {
            let mut card = Odd(answer);
            let mut purse = Purse::open(&mut card, &scheme).unwrap();
            let settled = purse.settle(unsettled(TransactionType::PURCHASE, 1), None, None);
            let Upshot::Open(_, why) = settled else { panic!("{settled:?}") };
            assert_eq!(why, expected);
            assert!(why.to_string().contains(text) && !why.is_final(), "{why}");
        }
    }

    /// The TAC of an update is that of `tests/passbook.rs`.
    #[test]
    fn the_passbooks_own_are_told_by_their_own_codes() {
        let dtk = 0x1357_9BDF_0246_8ACE_1122_4466_88AA_CCEE_u128.to_be_bytes();
        let key = TacKey::new(Secret::new(dtk));
        let update = tac(&unsettled(TransactionType::OVERDRAFT, 0x300), &key);
        assert_eq!(update, Some(Mac([0xF6, 0x86, 0x33, 0xDE])));
        // MAC3 proves an unload, and only its host can check it: the card's counter decides.
        let expected = tac(&unsettled(TransactionType::UNLOAD, 0x300), &key);
        let proof = Proof { mac: Mac([1; 4]), tac: Mac([0; 4]) };
        assert_eq!(whose(&proof, expected, None), Check::CannotTell);
    }
}
