// SPDX-License-Identifier: Apache-2.0
//! Reports: purchase records on their way to the head-end, and the head-end's acknowledgement.
//!
//! Normative references:
//!  - `docs/spec/report.md`

use crate::error::{EncodeError, OpenError};
use crate::keys::{KeyContext, Role, constant};
use crate::suite::{SealKey, Suite};
use alloc::vec::Vec;
use cam_types::{
    CardId, CasTime, DecodeError, Epoch, EventId, Fen, OperatorId, Pseudonym, Reader,
    TerminalSequence,
};
use cmac::{Cmac, KeyInit, Mac};
use gp::cipher::Aes128;
use zeroize::Zeroize;

/// What stands in front of the tag of a report and of an acknowledgement, in clear: 13 octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReportHeader {
    /// The suite of K_rcp.
    pub suite: Suite,
    /// Whose card it is.
    pub operator: OperatorId,
    /// Whose report it is.
    pub pseudonym: Pseudonym,
    /// The generation of K_rcp.
    pub epoch: Epoch,
}

impl ReportHeader {
    /// Octets on the wire.
    pub const LEN: usize = 13;
    /// Version of this layout.
    const PROTOCOL: u8 = 1;

    /// The header in front of a report or acknowledgement, to find the key that opens it.
    pub fn parse(message: &[u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new(message))
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = r.u8("protocol and suite")?;
        if version >> 4 != Self::PROTOCOL {
            let got = u32::from(version >> 4);
            return Err(DecodeError::Invalid { field: "protocol version", got });
        }
        Ok(Self {
            suite: Suite::try_from(version & 0x0F)?,
            operator: OperatorId::from_be_bytes(*r.array("operator")?),
            pseudonym: Pseudonym::new(*r.array("pseudonym")?),
            epoch: Epoch::from_be_bytes(*r.array("epoch")?),
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.push(Self::PROTOCOL << 4 | self.suite.number());
        out.extend(self.operator.to_be_bytes());
        out.extend_from_slice(self.pseudonym.octets());
        out.extend(self.epoch.to_be_bytes());
    }

    /// The context of the card's K_rcp.
    pub const fn key_context(&self) -> KeyContext {
        KeyContext::new(Role::Receipt, self.operator, self.epoch)
    }

    /// Appends header, tag and ciphertext; `nonce` is covered and not sent.
    fn seal(&self, purpose: u8, nonce: &[u8], plain: &[u8], key: &SealKey, out: &mut Vec<u8>) {
        let mut aad = Vec::with_capacity(Self::LEN + nonce.len());
        self.emit(&mut aad);
        out.extend_from_slice(&aad);
        aad.extend_from_slice(nonce);
        key.seal_for(purpose, &self.key_context(), &aad, plain, out);
    }

    /// Header and plaintext of a whole message, if it is authentic.
    fn open(
        purpose: u8,
        nonce: &[u8],
        message: &[u8],
        key: &SealKey,
    ) -> Result<(Self, Vec<u8>), OpenError> {
        let mut r = Reader::new(message);
        let header = Self::read(&mut r)?;
        if key.suite() != header.suite {
            return Err(OpenError::Suite);
        }
        let mut aad = Vec::with_capacity(Self::LEN + nonce.len());
        header.emit(&mut aad);
        aad.extend_from_slice(nonce);
        let mut plain = Vec::new();
        key.open_for(purpose, &header.key_context(), &aad, r.rest(), &mut plain)?;
        Ok((header, plain))
    }
}

/// One record of the card's log, as a report carries it: 45 octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReportRecord {
    /// The purse's log record.
    pub purse: [u8; 23],
    /// The box's number of a purchase, or the number of a top-up.
    pub terminal_sequence: TerminalSequence,
    /// What the purse held after it.
    pub balance: Fen,
    /// What was bought; 0 for a load.
    pub event: EventId,
    /// Which edition of it.
    pub tier: u8,
    /// When the right ends.
    pub end: CasTime,
    /// 01 paid or loaded, 02 refunded since.
    pub state: u8,
    /// The purse's transaction code.
    pub tac: [u8; 4],
}

impl ReportRecord {
    /// Records that a card keeps, at most (`docs/spec/purchase.md`, 3).
    pub const MAX_KEPT: usize = 32;
    /// Octets on the wire.
    pub const LEN: usize = 45;

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            purse: *r.array("purse record")?,
            terminal_sequence: TerminalSequence::from_be_bytes(*r.array("terminal sequence")?),
            balance: Fen::from_be_bytes(*r.array("balance")?),
            event: EventId::from_be_bytes(*r.array("event")?),
            tier: r.u8("tier")?,
            end: CasTime::from_be_bytes(*r.array("end")?),
            state: r.u8("record state")?,
            tac: *r.array("TAC")?,
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.purse);
        out.extend(self.terminal_sequence.to_be_bytes());
        out.extend(self.balance.to_be_bytes());
        out.extend(self.event.to_be_bytes());
        out.push(self.tier);
        out.extend(self.end.to_be_bytes());
        out.push(self.state);
        out.extend(self.tac);
    }

    /// The link of the receipt chain that this record adds behind `previous`.
    ///
    /// `key` is K_rcp of the generation in `context`.
    pub fn receipt(
        &self,
        key: &SealKey,
        context: &KeyContext,
        card: CardId,
        previous: [u8; 8],
    ) -> [u8; 8] {
        let key = key.derived_key(constant::RECEIPT, context);
        let mut mac = <Cmac<Aes128> as KeyInit>::new(key.expose().into());
        for field in [
            &card.octets()[..],
            &context.operator.to_be_bytes(),
            &self.purse,
            &self.terminal_sequence.to_be_bytes(),
            &self.event.to_be_bytes(),
            &[self.tier],
            &self.balance.to_be_bytes(),
            &previous,
        ] {
            mac.update(field);
        }
        let mut receipt = [0; 8];
        receipt.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
        receipt
    }
}

/// What a report says, authenticated: one page of the card's log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// What the purse holds.
    pub balance: Fen,
    /// Debits done.
    pub offline_sequence: u16,
    /// Credits done.
    pub online_sequence: u16,
    /// The card's time.
    pub time: CasTime,
    /// The receipt in front of the first record.
    pub chain_before: [u8; 8],
    /// The receipt of the last record.
    pub chain_after: [u8; 8],
    /// At most [`Report::MAX_RECORDS`], oldest first.
    pub records: Vec<ReportRecord>,
}

impl Report {
    /// Records of one report: with four it fits one protected answer.
    pub const MAX_RECORDS: usize = 4;
    /// Octets of a report without records.
    pub const EMPTY_LEN: usize = ReportHeader::LEN + Suite::TAG_LEN + 29;
    /// Octets of the longest report.
    pub const MAX_LEN: usize = Self::EMPTY_LEN + Self::MAX_RECORDS * ReportRecord::LEN;

    /// How many records a sealed report has, by its length; `None` for what is no report.
    pub const fn count_sealed(message: &[u8]) -> Option<usize> {
        let Some(records) = message.len().checked_sub(Self::EMPTY_LEN) else { return None };
        if records.is_multiple_of(ReportRecord::LEN) && message.len() <= Self::MAX_LEN {
            Some(records / ReportRecord::LEN)
        } else {
            None
        }
    }

    fn parse(plain: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(plain);
        let mut report = Self {
            balance: Fen::from_be_bytes(*r.array("balance")?),
            offline_sequence: r.u16("offline sequence")?,
            online_sequence: r.u16("online sequence")?,
            time: CasTime::from_be_bytes(*r.array("card time")?),
            chain_before: *r.array("receipt before")?,
            chain_after: *r.array("receipt after")?,
            records: Vec::new(),
        };
        let count = r.u8("count of records")?;
        if usize::from(count) > Self::MAX_RECORDS {
            return Err(DecodeError::Invalid { field: "count of records", got: count.into() });
        }
        for _ in 0..count {
            report.records.push(ReportRecord::read(&mut r)?);
        }
        r.finish("report")?;
        Ok(report)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.balance.to_be_bytes());
        out.extend(self.offline_sequence.to_be_bytes());
        out.extend(self.online_sequence.to_be_bytes());
        out.extend(self.time.to_be_bytes());
        out.extend(self.chain_before);
        out.extend(self.chain_after);
        out.push(self.records.len() as u8);
        self.records.iter().for_each(|record| record.emit(out));
    }

    /// Opens a whole report with the card's K_rcp and the nonce of the request that it answers.
    pub fn open(
        message: &[u8],
        nonce: [u8; 8],
        key: &SealKey,
    ) -> Result<(ReportHeader, Self), OpenError> {
        let (header, mut plain) = ReportHeader::open(constant::REPORT, &nonce, message, key)?;
        let report = Self::parse(&plain);
        plain.zeroize();
        Ok((header, report?))
    }

    /// Appends the whole report, sealed.
    pub fn seal(
        &self,
        header: &ReportHeader,
        nonce: [u8; 8],
        key: &SealKey,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        EncodeError::check("list of records", self.records.len(), Self::MAX_RECORDS)?;
        if header.suite != key.suite() {
            return Err(EncodeError::Invalid("suite"));
        }
        let mut plain = Vec::with_capacity(Self::MAX_LEN);
        self.emit(&mut plain);
        header.seal(constant::REPORT, &nonce, &plain, key, out);
        plain.zeroize();
        Ok(())
    }
}

/// The head-end says that the records up to a receipt have arrived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ack {
    /// The last receipt of the records that have arrived.
    pub chain: [u8; 8],
}

impl Ack {
    /// Octets of a whole acknowledgement.
    pub const LEN: usize = ReportHeader::LEN + Suite::TAG_LEN + 8;

    /// Opens a whole acknowledgement with the card's K_rcp.
    pub fn open(message: &[u8], key: &SealKey) -> Result<(ReportHeader, Self), OpenError> {
        let (header, plain) = ReportHeader::open(constant::ACKNOWLEDGEMENT, &[], message, key)?;
        let mut r = Reader::new(&plain);
        let ack = Self { chain: *r.array("receipt")? };
        r.finish("acknowledgement")?;
        Ok((header, ack))
    }

    /// Appends the whole acknowledgement, sealed.
    pub fn seal(
        &self,
        header: &ReportHeader,
        key: &SealKey,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if header.suite != key.suite() {
            return Err(EncodeError::Invalid("suite"));
        }
        header.seal(constant::ACKNOWLEDGEMENT, &[], &self.chain, key, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyMaterial;
    use cam_types::Key;
    use proptest::prelude::*;

    proptest! {
        /// Also a card that holds the key may say anything.
        #[test]
        fn whatever_is_sealed_is_a_report_or_refused(
            mut plain in prop::collection::vec(any::<u8>(), 0..260), count in 0..6_u8,
            fits in any::<bool>(),
        ) {
            if fits {
                plain.resize(29 + usize::from(count) * ReportRecord::LEN, 0);
                plain[28] = count;
            }
            let key = SealKey::new(Suite::Cmac128, KeyMaterial::from(Key::new([7; 16]))).unwrap();
            let header = ReportHeader {
                suite: Suite::Cmac128,
                operator: OperatorId::new(1),
                pseudonym: Pseudonym::new([2; 8]),
                epoch: Epoch::new(3),
            };
            let mut sealed = Vec::new();
            header.seal(constant::REPORT, &[9; 8], &plain, &key, &mut sealed);
            match Report::open(&sealed, [9; 8], &key) {
                Ok((of, report)) => {
                    prop_assert_eq!(of, header);
                    let mut again = Vec::new();
                    report.emit(&mut again);
                    prop_assert_eq!(&again, &plain);
                }
                Err(error) => {
                    prop_assert!(matches!(error, OpenError::Body(_)));
                    prop_assert!(!fits || count > 4);
                }
            }
            let mut sealed = Vec::new();
            header.seal(constant::ACKNOWLEDGEMENT, &[], &plain, &key, &mut sealed);
            prop_assert_eq!(Ack::open(&sealed, &key).is_ok(), plain.len() == 8);
        }
    }
}
