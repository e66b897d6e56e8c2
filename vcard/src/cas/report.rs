// SPDX-License-Identifier: Apache-2.0
//! REPORT and ACK: purchase records out of the card, sealed, and the head-end's acknowledgement
//! that they arrived.
//!
//! Normative references:
//!  - `docs/spec/report.md`

use super::store::CasStore;
use super::time::CasRam;
use crate::context::Context;
use crate::decide::decide;
use crate::purse::sharing as purse;
use crate::stop::Stop;
use crate::vault::Vault;
use ecm_emm::OpenError;
use ecm_emm::card::{AckResult, ReportRequest};
use ecm_emm::report::{Ack, Report, ReportHeader};
use iso7816::apdu::{Command, StatusWord};

/// The REPORT command. Writes nothing, so that a page may be asked for again.
pub(super) fn report(
    vault: &Vault,
    ram: &CasRam,
    command: &Command<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Stop> {
    if command.p2 != 0 {
        return Err(StatusWord::WRONG_P1P2.into());
    }
    let request = ReportRequest::parse(command.data).map_err(|_| StatusWord::WRONG_DATA)?;
    let cas = vault.objects().cas.get(Context::CAS)?;
    let generation = cas.receipt.oldest().ok_or(StatusWord::REFERENCE_NOT_FOUND)?;
    let key = generation.seal_key().ok_or(StatusWord::REFERENCE_NOT_FOUND)?;
    let wallet = purse::wallet_info(vault.objects(), Context::CAS)?;
    let skip = usize::from(command.p1) * Report::MAX_RECORDS;
    let page = cas.log.page(request.from, skip, Report::MAX_RECORDS);
    let report = Report {
        balance: wallet.balance,
        offline_sequence: wallet.offline_sequence,
        online_sequence: wallet.online_sequence,
        time: ram.latest(),
        chain_before: page.before,
        chain_after: page.after,
        records: page.records.iter().map(|record| record.reported()).collect(),
    };
    let header = ReportHeader {
        suite: key.suite(),
        operator: cas.operator,
        pseudonym: cas.pseudonym,
        epoch: generation.epoch,
    };
    report
        .seal(&header, request.nonce, &key, out)
        .map_err(|_| StatusWord::REFERENCE_NOT_FOUND.into())
}

/// The ACK command: one transaction, or nothing at all.
pub(super) fn acknowledge(vault: &mut Vault, data: &[u8]) -> Result<AckResult, Stop> {
    let cas = vault.objects().cas.get(Context::CAS)?;
    let ack = match open(cas, data) {
        Ok(ack) => ack,
        Err(result) => return Ok(result),
    };
    vault.change(|objects| {
        Ok(match objects.cas.get_mut(Context::CAS)?.acknowledge(ack.chain) {
            Some(true) => AckResult::FREED,
            Some(false) => AckResult::KNOWN,
            None => AckResult::UNKNOWN,
        })
    })
}

fn open(cas: &CasStore, data: &[u8]) -> Result<Ack, AckResult> {
    let header = ReportHeader::parse(data).map_err(|_| AckResult::MALFORMED)?;
    if data.len() != Ack::LEN {
        return Err(AckResult::MALFORMED);
    }
    if !decide(|| (header.operator, header.pseudonym) == (cas.operator, cas.pseudonym)) {
        return Err(AckResult::ADDRESS);
    }
    let generation = cas.receipt.get(header.epoch).ok_or(AckResult::NO_KEY)?;
    let key = generation.seal_key().ok_or(AckResult::NO_KEY)?;
    match Ack::open(data, &key) {
        Ok((_, ack)) => Ok(ack),
        Err(OpenError::Suite) => Err(AckResult::NO_KEY),
        Err(_) => Err(AckResult::AUTHENTICATION),
    }
}

impl CasStore {
    /// Everything up to this receipt has arrived, and the request for it is answered. `None` when
    /// there is no such receipt; `false` when that was known.
    pub(super) fn acknowledge(&mut self, receipt: [u8; 8]) -> Option<bool> {
        let news = self.log.acknowledge(receipt)?;
        if news || receipt == self.log.chain() {
            self.report = None;
        }
        Some(news)
    }
}
