// SPDX-License-Identifier: Apache-2.0
//! CREDIT and DEBIT: what a host authorises, and how any commit ends.

use crate::mac::Mac;
use crate::refusal::Refusal;
use crate::response::split;
use crate::transaction::Transaction;
use alloc::vec::Vec;
use cam_types::StatusWord;

/// How a commit ended, as far as its answer tells.
pub(crate) enum Commit<const N: usize> {
    /// The card says that it has carried it out.
    Done([u8; N]),
    /// The card refused before touching the balance.
    Refused(Refusal),
    /// No answer, or none that tells.
    Unknown,
}

/// Reads the answer to a commit, `None` when none came.
pub(crate) fn answer<const N: usize>(response: Option<&[u8]>) -> Commit<N> {
    match response.map(split) {
        Some(Ok((data, StatusWord::OK))) => data.try_into().map_or(Commit::Unknown, Commit::Done),
        Some(Ok((&[], sw))) => Refusal::of_commit(sw).map_or(Commit::Unknown, Commit::Refused),
        _ => Commit::Unknown,
    }
}

/// A commit that a host has authorised: INS, P1, data in front of date and time, MAC2; four octets
/// come back.
pub(crate) fn of_host(
    [ins, p1]: [u8; 2],
    data: &[u8],
    transaction: &Transaction,
    mac2: Mac,
) -> Vec<u8> {
    let fields = [data, &transaction.date.0, &transaction.time.0, &mac2.0].concat();
    let mut apdu = [0x80, ins, p1, 0x00, fields.len() as u8].to_vec();
    apdu.extend(fields);
    apdu.push(0x04);
    apdu
}
