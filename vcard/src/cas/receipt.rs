// SPDX-License-Identifier: Apache-2.0
//! Receipts: a record enters the log sealed for the head-end, and chained to the one before.

use super::log::{NoReceipt, Record};
use super::store::CasStore;
use ecm_emm::keys::{KeyContext, Role};

impl CasStore {
    /// Appends a record with its receipt, chained to the last one.
    pub fn append(&mut self, mut record: Record) -> Result<Record, NoReceipt> {
        if !self.log.has_room() {
            return Err(NoReceipt);
        }
        let generation = self.receipt.oldest().ok_or(NoReceipt)?;
        let key = generation.seal_key().ok_or(NoReceipt)?;
        let context = KeyContext::new(Role::Receipt, self.operator, generation.epoch);
        record.receipt = record.reported().receipt(&key, &context, self.card, self.log.chain());
        self.log.push(record)?;
        Ok(record)
    }
}
