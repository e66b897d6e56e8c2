// SPDX-License-Identifier: Apache-2.0
//! The card's PIN and money.

use super::{Cut, ModelCard};
use ecm_emm::card::{
    HighestNumber, PinAnswer, PinBlock, PurchaseAnswer, PurchaseRequest, PurchaseResult,
    PurchaseState, VERIFY_PURCHASE, VERIFY_RATING, WalletInfo,
};

impl ModelCard {
    pub(super) fn wallet(&self) -> WalletInfo {
        WalletInfo {
            balance: self.balance,
            offline_sequence: self.debits as u16,
            ..WalletInfo::default()
        }
    }

    pub(super) fn highest(&self, terminal: &[u8]) -> HighestNumber {
        let of = self.log.keys().filter(|(of, _)| of.octets() == terminal);
        HighestNumber(of.map(|(_, number)| *number).max())
    }

    pub(super) fn verify(&mut self, p2: u8, data: &[u8]) -> Result<PinAnswer, u16> {
        let right = self.compare(data)?;
        match p2 {
            VERIFY_PURCHASE => self.verified = right,
            VERIFY_RATING => self.rating_lifted = right,
            _ => return Err(0x6A86),
        }
        Ok(PinAnswer { right, tries: self.tries })
    }

    fn compare(&mut self, data: &[u8]) -> Result<bool, u16> {
        if self.tries == 0 {
            return Err(0x6983);
        }
        let pin =
            PinBlock::parse(data.try_into().map_err(|_| 0x6700_u16)?).map_err(|_| 0x6A80_u16)?;
        let right = pin == self.pin;
        self.verified &= right;
        self.rating_lifted &= right;
        self.tries = if right { 3 } else { self.tries - 1 };
        Ok(right)
    }

    pub(super) fn change_pin(&mut self, data: &[u8]) -> Result<PinAnswer, u16> {
        let (old, new) = data.split_at_checked(8).ok_or(0x6700_u16)?;
        let right = self.compare(old)?;
        if right {
            let new = new.try_into().map_err(|_| 0x6700_u16)?;
            self.pin = PinBlock::parse(new).map_err(|_| 0x6A80_u16)?;
        }
        Ok(PinAnswer { right, tries: self.tries })
    }

    pub(super) fn purchase(&mut self, data: &[u8]) -> Result<PurchaseAnswer, u16> {
        let request = PurchaseRequest::parse(data).map_err(|_| 0x6A80_u16)?;
        let pair = (request.terminal, request.terminal_sequence);
        if let Some(record) = self.log.get(&pair) {
            return Ok(PurchaseAnswer { result: PurchaseResult::DONE, ..*record });
        }
        let refusal = |result| Ok(PurchaseAnswer::refusal(result, self.balance));
        if request.is_query() {
            return refusal(PurchaseResult::NONE);
        }
        let Ok((_, _, body)) = self.open(request.section) else {
            return refusal(PurchaseResult::AUTHENTICATION);
        };
        let Some(ppv) = body.criteria.ppv else { return refusal(PurchaseResult::NO_OFFER) };
        if self.events.contains(&ppv.event) {
            return refusal(PurchaseResult::OWNED);
        }
        let verified = core::mem::take(&mut self.verified);
        if ppv.price != request.expected_price {
            return refusal(PurchaseResult::PRICE);
        }
        let later = |(of, number): &(_, _)| *of == pair.0 && *number > pair.1;
        if self.log.keys().any(later) {
            return refusal(PurchaseResult::SEQUENCE);
        }
        if !verified {
            return refusal(PurchaseResult::PIN_REQUIRED);
        }
        let Some(balance) = self.balance.checked_sub(ppv.price) else {
            return refusal(PurchaseResult::FUNDS);
        };
        let cut = self.cut.take();
        self.dead = cut.is_some();
        if cut == Some(Cut::BeforeCommit) {
            return Err(0x6F00);
        }
        self.balance = balance;
        self.debits += 1;
        self.events.insert(ppv.event);
        let record = PurchaseAnswer {
            result: PurchaseResult::PAID,
            state: PurchaseState::PAID,
            offline_sequence: self.debits as u16,
            amount: ppv.price,
            date: cam_types::BcdDate([0x20, 0x26, 0x12, 0x01]),
            time: cam_types::BcdTime([0x20, 0, 0]),
            balance,
            tac: [self.debits as u8; 4],
            receipt: [self.debits as u8; 8],
        };
        self.log.insert(pair, record);
        Ok(record)
    }
}
