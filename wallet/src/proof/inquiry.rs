// SPDX-License-Identifier: Apache-2.0
//! One inquiry after a lost answer, question by question: proof, counter or balance, log.

use super::{Check, Evidence, Numbering, Proof, Settlement, Unsettled, prove_command};
use crate::balance::BalanceCoding;
use crate::read::{self, LogReading, ReadError};
use crate::refusal::{Reason, Refusal, Step};
use crate::response::split;
use crate::transaction::Transaction;
use alloc::vec::Vec;
use cam_types::StatusWord;

/// One question to the card.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "money may have moved"]
pub struct Inquiry {
    asked: Asked,
    question: Question,
}

/// What is asked about, and what was heard so far.
#[derive(Debug, Eq, PartialEq)]
struct Asked {
    unsettled: Unsettled,
    first: Numbering,
    heard: Heard,
}

#[derive(Debug, Eq, PartialEq)]
enum Question {
    Prove(Numbering),
    /// INITIALIZE shows the sequence, and moves nothing.
    Counter,
    /// Where INITIALIZE wants the PIN, for a load and sometimes for more, the balance has to do.
    Balance,
    Log(LogReading),
}

/// What the card has said so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Heard {
    /// Proofs that nobody here can check.
    after: Option<Proof>,
    before: Option<Proof>,
    /// The proof under the number before is another transaction's.
    denied: bool,
    count: Count,
    log: Shown,
    /// The loads in the file of their own.
    loads: Shown,
}

/// What a file of the log has shown of others.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Shown {
    records: u16,
    /// One of them was made before this transaction.
    older: bool,
}

impl Shown {
    /// The least that a log has room for (PBOC).
    const FEWEST: u16 = 10;

    fn add(&mut self, record: &Transaction, ours: &Transaction) {
        self.records += 1;
        self.older |= (record.date, record.time) < (ours.date, ours.time);
    }

    /// Whether it may have shown this transaction before, and shows it no more.
    const fn has_rolled_over(self) -> bool {
        self.records >= Self::FEWEST && !self.older
    }
}

/// What the counter says, or for a load the balance.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Count {
    #[default]
    Same,
    OneOn,
    Further,
}

impl From<bool> for Count {
    fn from(one_on: bool) -> Self {
        if one_on { Self::OneOn } else { Self::Further }
    }
}

impl Heard {
    /// The proof that goes with one transaction more. A card of the other kind has nothing under
    /// the number after.
    fn unchecked(self) -> Option<Proof> {
        self.after.or(self.before).filter(|_| self.count == Count::OneOn)
    }

    /// Whether the file that this transaction would be in has rolled over.
    const fn has_rolled_over(self) -> bool {
        match self.loads.records {
            0 => self.log.has_rolled_over(),
            _ => self.loads.has_rolled_over(),
        }
    }
}

impl Inquiry {
    pub(super) fn new(unsettled: Unsettled, first: Numbering) -> Self {
        let asked = Asked { unsettled, first, heard: Heard::default() };
        Self { asked, question: Question::Prove(first) }
    }

    /// GET TRANSACTION PROVE, what shows the counter, or READ RECORD.
    pub fn command(&self) -> Vec<u8> {
        let unsettled = &self.asked.unsettled;
        let kind = unsettled.transaction.kind;
        match &self.question {
            Question::Prove(numbering) => {
                prove_command(kind, unsettled.number(*numbering)).to_vec()
            }
            Question::Counter => unsettled.counter_command(),
            Question::Balance => read::balance_command(kind.account()).to_vec(),
            Question::Log(reading) => reading.command().to_vec(),
        }
    }

    /// Reads the card's answer, `None` when none came. `check` compares the MAC or the TAC with
    /// what it should be.
    pub fn answer<C: Into<Check>>(
        self,
        response: Option<&[u8]>,
        check: impl FnOnce(&Proof) -> C,
    ) -> Settlement {
        let Self { asked, question } = self;
        match (question, response) {
            (_, None) => Settlement::NoAnswer(asked.unsettled),
            (Question::Prove(numbering), Some(response)) => {
                asked.proof(numbering, response, |proof| check(proof).into())
            }
            (Question::Counter, Some(response)) => asked.counter(response),
            (Question::Balance, Some(response)) => asked.balance(response),
            (Question::Log(reading), Some(response)) => asked.log(reading, response),
        }
    }
}

impl Asked {
    fn ask(self, question: Question) -> Settlement {
        Settlement::Ask(Inquiry { asked: self, question })
    }

    fn proof(
        mut self,
        numbering: Numbering,
        response: &[u8],
        check: impl FnOnce(&Proof) -> Check,
    ) -> Settlement {
        match split(response) {
            Ok((data, StatusWord::OK)) => {
                let Ok(proof) = Proof::parse(data) else {
                    return Settlement::NoAnswer(self.unsettled);
                };
                match (check(&proof), numbering) {
                    (Check::Ours, _) => {
                        return self.unsettled.made(Evidence::Proof(proof, numbering));
                    }
                    (Check::NotOurs, Numbering::After) => {}
                    (Check::NotOurs, Numbering::Before) => self.heard.denied = true,
                    (Check::CannotTell, Numbering::After) => self.heard.after = Some(proof),
                    (Check::CannotTell, Numbering::Before) => self.heard.before = Some(proof),
                }
            }
            Ok((_, sw)) => match Refusal::new(Step::Prove, sw) {
                Refusal {
                    reason: Reason::NoProof | Reason::NoRecord | Reason::Unknown, ..
                } => {}
                refusal => return Settlement::Refused(self.unsettled, refusal),
            },
            Err(_) => return Settlement::NoAnswer(self.unsettled),
        }
        let question = match numbering {
            _ if numbering != self.first => match self.unsettled.transaction.kind.is_load() {
                true => Question::Balance,
                false => Question::Counter,
            },
            Numbering::After => Question::Prove(Numbering::Before),
            Numbering::Before => Question::Prove(Numbering::After),
        };
        self.ask(question)
    }

    /// A balance may be the same again, by chance or because somebody saw to it, so the log is read
    /// in any case.
    fn balance(self, response: &[u8]) -> Settlement {
        let (before, after) = (self.unsettled.before(), self.unsettled.balance);
        match read::balance(response) {
            Ok(balance)
                if before.is_some_and(|before| BalanceCoding::are_same(before, balance)) =>
            {
                self.seek(Count::Same)
            }
            Ok(balance) => self.seek(BalanceCoding::are_same(balance, after).into()),
            Err(error) => self.unread(error),
        }
    }

    /// Nothing has taken place while the sequence is the same.
    fn counter(self, response: &[u8]) -> Settlement {
        let after = self.unsettled.number(Numbering::After);
        match self.unsettled.counter(response) {
            Ok(sequence) if sequence == self.unsettled.sequence => {
                Settlement::NotMade(self.unsettled.transaction)
            }
            Ok(sequence) => self.seek((sequence == after).into()),
            Err(Some(refusal)) => match refusal.reason {
                // A purse that is empty now has paid since: it had the price.
                Reason::Funds => self.seek(Count::Further),
                // So has one whose counter is at its end now.
                Reason::Exhausted => self.seek((after == [0xFF; 2]).into()),
                Reason::PinWanted if self.unsettled.shows_balance() => self.ask(Question::Balance),
                _ => Settlement::Refused(self.unsettled, refusal),
            },
            Err(None) => Settlement::NoAnswer(self.unsettled),
        }
    }

    /// Is it in the log?
    fn seek(mut self, count: Count) -> Settlement {
        self.heard.count = count;
        self.ask(Question::Log(LogReading::new()))
    }

    fn log(mut self, reading: LogReading, response: &[u8]) -> Settlement {
        let sfi = reading.sfi();
        match reading.answer(response) {
            Ok(Some((record, _))) if self.unsettled.is_logged_as(&record) => {
                // Under the number before it may be a twin, whose proof has just turned out to be
                // another's.
                match self.heard.denied && record.sequence.to_be_bytes() == self.unsettled.sequence
                {
                    true => self.not_told(),
                    false => self.unsettled.made(Evidence::Log(self.heard.unchecked())),
                }
            }
            Ok(Some((record, next))) => {
                let ours = &self.unsettled.transaction;
                match sfi {
                    LogReading::LOG => self.heard.log.add(&record.transaction, ours),
                    _ if record.transaction.kind.is_load() => {
                        self.heard.loads.add(&record.transaction, ours);
                    }
                    _ => {}
                }
                match next {
                    Some(next) => self.ask(Question::Log(next)),
                    None => self.log_ended(sfi),
                }
            }
            Ok(None) => self.log_ended(sfi),
            Err(error) => match error {
                // Not every card has the file of loads, and on some it is for something else.
                ReadError::Refused(Refusal { reason, .. })
                    if sfi == LogReading::LOADS && reason != Reason::PinWanted =>
                {
                    self.log_ended(sfi)
                }
                ReadError::Malformed(_) if sfi == LogReading::LOADS && split(response).is_ok() => {
                    self.log_ended(sfi)
                }
                error => self.unread(error),
            },
        }
    }

    /// The file does not show it. Loads may be in one of their own.
    fn log_ended(self, sfi: u8) -> Settlement {
        match self.heard.count {
            _ if sfi == LogReading::LOG && self.unsettled.transaction.kind.is_load() => {
                self.ask(Question::Log(LogReading::of(LogReading::LOADS)))
            }
            // Who loads and spends as much has the balance of before, and in the end its log.
            Count::Same if self.heard.has_rolled_over() => Settlement::MovedOn(self.unsettled),
            Count::Same => Settlement::NotMade(self.unsettled.transaction),
            Count::OneOn | Count::Further => self.not_told(),
        }
    }

    /// Only what the card has shown is said.
    fn not_told(self) -> Settlement {
        match self.heard.count {
            Count::Further => Settlement::MovedOn(self.unsettled),
            Count::Same | Count::OneOn => Settlement::NotShown(self.unsettled),
        }
    }

    fn unread(self, error: ReadError) -> Settlement {
        match error {
            ReadError::Refused(refusal) => Settlement::Refused(self.unsettled, refusal),
            ReadError::NoAnswer | ReadError::Malformed(_) | ReadError::Balance(_) => {
                Settlement::NoAnswer(self.unsettled)
            }
        }
    }
}
