// SPDX-License-Identifier: Apache-2.0
//! What the conditional access application does for the purse: its shareable interface.

use super::log::{NoReceipt, Record};
use crate::context::{Context, Violation};
use crate::firewall::Objects;
use cam_types::{Aid, BcdDate, BcdTime, EventId, Fen, TerminalId, TerminalSequence};

/// Who may call.
const CLIENTS: &[Aid] = &[Aid::PURSE];

/// A purchase that was given back, once the transaction around it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Revoked {
    /// The box that had bought.
    pub terminal: TerminalId,
    /// The box's number of the purchase.
    pub terminal_sequence: TerminalSequence,
    /// The card's date and time now.
    pub at: (BcdDate, BcdTime),
}

/// Takes a purchase back inside the caller's transaction: its record says so and its right ends.
/// `None` when there is no such purchase, it was less, or it was given back before.
pub(crate) fn revoke(
    objects: &mut Objects,
    caller: Context,
    event: EventId,
    sequence: u16,
    amount: Fen,
) -> Result<Option<Revoked>, Violation> {
    caller.is_one_of(CLIENTS)?;
    let cas = objects.cas.get_mut(Context::CAS)?;
    let Some(record) = cas.log.refund(event, sequence, amount) else { return Ok(None) };
    cas.take_back(&record);
    Ok(record.log_record().map(|purse| Revoked {
        terminal: purse.transaction.terminal,
        terminal_sequence: record.terminal_sequence,
        at: cas.clock.now().purse_date_time(),
    }))
}

/// Appends a load or refund to the log that the head-end collects.
pub(crate) fn append(
    objects: &mut Objects,
    caller: Context,
    record: Record,
) -> Result<Result<Record, NoReceipt>, Violation> {
    caller.is_one_of(CLIENTS)?;
    Ok(objects.cas.get_mut(Context::CAS)?.append(record))
}
