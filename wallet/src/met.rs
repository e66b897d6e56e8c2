// SPDX-License-Identifier: Apache-2.0
//! On which side of what cards disagree about a card was met.

use crate::proof::{Evidence, Made, Numbering};
use crate::record::LogRecord;
use crate::refusal::{Reason, Refusal};
use crate::transaction::Transaction;
use alloc::collections::BTreeMap;
use cam_types::StatusWord;
use core::fmt;

/// What a card has shown of itself so far. Print it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Met {
    /// Under which number it keeps proofs.
    pub proof: Option<Numbering>,
    /// Whether its proofs of purchases show the MAC.
    pub mac: Option<ProofMac>,
    /// Under which number it logs.
    pub log: Option<Numbering>,
    /// The status word of each refusal.
    pub statuses: BTreeMap<Reason, StatusWord>,
}

/// What stands for the MAC in a proof.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProofMac {
    /// MAC2 or MAC3.
    Shown,
    /// Zeros.
    Zeros,
}

impl Met {
    /// The card refused.
    pub fn refused(&mut self, refusal: &Refusal) {
        self.statuses.insert(refusal.reason, refusal.status);
    }

    /// The card proved a transaction.
    pub fn proved(&mut self, made: &Made) {
        if let Evidence::Proof(proof, numbering) = made.evidence {
            self.proof = Some(numbering);
            self.mac = Some(if proof.has_mac() { ProofMac::Shown } else { ProofMac::Zeros });
        }
    }

    /// The card logged this transaction, whose INITIALIZE had returned `sequence`. Another record
    /// says nothing.
    pub fn logged(&mut self, sequence: [u8; 2], transaction: &Transaction, record: &LogRecord) {
        let before = u16::from_be_bytes(sequence);
        if record.transaction != *transaction {
        } else if record.sequence == before {
            self.log = Some(Numbering::Before);
        } else if record.sequence == before.wrapping_add(1) {
            self.log = Some(Numbering::After);
        }
    }
}

impl fmt::Display for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut item = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            write!(f, "{}{text}", core::mem::replace(&mut separator, "; "))
        };
        if let Some(numbering) = self.proof {
            item(f, format_args!("proof under {numbering}"))?;
        }
        match self.mac {
            Some(ProofMac::Shown) => item(f, format_args!("proof with its MAC"))?,
            Some(ProofMac::Zeros) => item(f, format_args!("proof with zeros for the MAC"))?,
            None => {}
        }
        if let Some(numbering) = self.log {
            item(f, format_args!("log under {numbering}"))?;
        }
        for (reason, status) in &self.statuses {
            item(f, format_args!("{reason}: {status}"))?;
        }
        if separator.is_empty() { f.write_str("nothing yet") } else { Ok(()) }
    }
}
