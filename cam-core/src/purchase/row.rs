// SPDX-License-Identifier: Apache-2.0
//! A purchase as a row of the storage (`docs/spec/purchase.md`, 4): version, request, offer, event
//! (0 when it is not known), price, card, the purse's counters before PURCHASE, state, result,
//! receipt.

use crate::purchase::ledger::{Entry, Step};
use crate::purchase::purse::Counts;
use crate::{OfferId, Receipt, RequestId, TxnId};
use alloc::vec::Vec;
use cam_types::{
    BcdDate, BcdTime, DecodeError, EventId, Fen, Pseudonym, Reader, TerminalId, TerminalSequence,
};

/// 2 had request ids that named no card.
const VERSION: u8 = 3;

const SENT: u8 = 1;
const PAID: u8 = 3;
const OWNED: u8 = 4;
const REFUSED: u8 = 5;
const FORGOTTEN: u8 = 6;
const OPEN: u8 = 7;

impl Entry {
    /// What is under way stands as SENT: the card knows better. OPEN: no money had moved, and the
    /// next run pays nothing for it.
    pub(super) fn row(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.push(VERSION);
        out.extend_from_slice(self.request.octets());
        out.extend(self.offer.0.to_be_bytes());
        out.extend(self.event.unwrap_or_default().to_be_bytes());
        out.extend(self.price.to_be_bytes());
        out.extend_from_slice(self.card.octets());
        out.push(self.counts.is_some().into());
        let counts = self.counts.unwrap_or_default();
        out.extend(counts.offline.to_be_bytes());
        out.extend(counts.online.to_be_bytes());
        out.push(match self.step {
            Step::Paid => PAID,
            Step::Owned => OWNED,
            Step::Refused => REFUSED,
            Step::Open | Step::Cancelled | Step::LeftOpen => OPEN,
            Step::Forgotten => FORGOTTEN,
            _ => SENT,
        });
        out.push(self.result);
        if let Some(receipt) = &self.receipt {
            receipt.emit(&mut out);
        }
        out
    }

    pub(super) fn parse(row: &[u8], id: TxnId, place: usize) -> Result<Self, DecodeError> {
        let mut r = Reader::new(row);
        let version = r.u8("version")?;
        if version != VERSION {
            return Err(DecodeError::Invalid { field: "version", got: version.into() });
        }
        let request = RequestId::new(*r.array("request id")?);
        let offer = OfferId(u64::from_be_bytes(*r.array("offer")?));
        let event = Some(EventId::from_be_bytes(*r.array("event")?));
        let event = event.filter(|event| event.value() != 0);
        let price = Fen::from_be_bytes(*r.array("price")?);
        let card = Pseudonym::new(*r.array("card")?);
        let counted = r.u8("whether the counters were known")? != 0;
        let counts = Counts { offline: r.u16("debits")?, online: r.u16("credits")? };
        let step = match r.u8("state")? {
            SENT => Step::Settle,
            PAID => Step::Paid,
            OWNED => Step::Owned,
            REFUSED => Step::Refused,
            FORGOTTEN => Step::Forgotten,
            OPEN => Step::LeftOpen,
            other => return Err(DecodeError::Invalid { field: "state", got: other.into() }),
        };
        let result = r.u8("result")?;
        let receipt =
            if r.is_empty() { None } else { Some(Receipt::parse(&mut r, request, offer, event)?) };
        r.finish("purchase row")?;
        if receipt.is_none() && matches!(step, Step::Paid) {
            return Err(DecodeError::Invalid {
                field: "state without a receipt",
                got: PAID.into(),
            });
        }
        Ok(Self {
            id,
            place,
            request,
            offer,
            event,
            price,
            section: Vec::new(),
            card,
            counts: counted.then_some(counts),
            step,
            result,
            receipt,
            reopened: None,
        })
    }
}

impl Receipt {
    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.terminal.octets());
        out.extend(self.terminal_sequence.to_be_bytes());
        out.extend(self.amount.to_be_bytes());
        out.extend(self.balance_before.to_be_bytes());
        out.extend(self.balance_after.to_be_bytes());
        out.extend_from_slice(&self.date.0);
        out.extend_from_slice(&self.time.0);
        out.extend(self.card_sequence.to_be_bytes());
        out.extend_from_slice(&self.tac);
        out.extend_from_slice(&self.chain);
        out.push(self.refunded.into());
    }

    fn parse(
        r: &mut Reader<'_>,
        request: RequestId,
        offer: OfferId,
        event: Option<EventId>,
    ) -> Result<Self, DecodeError> {
        Ok(Self {
            request,
            offer,
            event,
            terminal: TerminalId::new(*r.array("terminal")?),
            terminal_sequence: TerminalSequence::from_be_bytes(*r.array("terminal sequence")?),
            amount: Fen::from_be_bytes(*r.array("amount")?),
            balance_before: Fen::from_be_bytes(*r.array("balance before")?),
            balance_after: Fen::from_be_bytes(*r.array("balance after")?),
            date: BcdDate(*r.array("date")?),
            time: BcdTime(*r.array("time")?),
            card_sequence: r.u16("card sequence")?,
            tac: *r.array("TAC")?,
            chain: *r.array("receipt")?,
            refunded: r.u8("refunded")? != 0,
        })
    }
}
