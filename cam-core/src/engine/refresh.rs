// SPDX-License-Identifier: Apache-2.0
//! What is read back from the card, balance and rights, and whose turn each is.

use crate::Event;
use crate::card::exchange::{Answer, Exchange};
use crate::card::link::Purse;
use crate::card::refresh::Part;
use crate::engine::Engine;
use ecm_emm::card::{INS_INFO, INS_RIGHTS, RIGHTS_ROWS, RIGHTS_WALLET, RightsPage, WalletInfo};

impl Engine {
    /// Rights that are read, at most.
    const MAX_RIGHTS: usize = 256;

    /// What is read back takes turns: each EMM wants all of it again.
    pub(crate) fn send_refresh(&mut self) -> bool {
        for _ in 0..3 {
            let part = self.refresh.next;
            self.refresh.next = part.following();
            match part {
                Part::Info if core::mem::take(&mut self.refresh.info) => {
                    self.send(Exchange::Info, INS_INFO, 0, &[]);
                }
                Part::Balance if core::mem::take(&mut self.refresh.balance) => {
                    self.send(Exchange::Balance, INS_RIGHTS, RIGHTS_WALLET, &[]);
                }
                Part::Rights => {
                    let Some(index) = self.refresh.rights else { continue };
                    self.send(Exchange::Rights, INS_RIGHTS, RIGHTS_ROWS, &[index]);
                }
                Part::Info | Part::Balance => continue,
            }
            return true;
        }
        false
    }

    pub(crate) fn balance_answered(&mut self, answer: Answer) {
        self.purse = Purse::Refused;
        if answer != Ok(0x9000) {
            return;
        }
        let wallet = match WalletInfo::parse(self.dialogue.data()) {
            Ok(wallet) => wallet,
            Err(why) => {
                log::warn!("the card's balance is not readable: {why}");
                return;
            }
        };
        self.purse = Purse::Read;
        if self.wallet != Some(wallet) {
            self.wallet = Some(wallet);
            self.out.event(Event::Wallet(wallet));
        }
    }

    pub(crate) fn rights_answered(&mut self, answer: Answer) {
        let page = match answer {
            Ok(0x9000) => RightsPage::parse(self.dialogue.data()).ok(),
            _ => None,
        };
        let asked = self.refresh.rights.take();
        let Some(page) = page else {
            log::info!("the card's rights are not readable");
            return;
        };
        self.refresh.rows.extend(page.rows);
        // The rows must go forward, and end.
        if page.next > asked && self.refresh.rows.len() < Self::MAX_RIGHTS {
            self.refresh.rights = page.next;
            return;
        }
        if self.refresh.rows != self.rights {
            core::mem::swap(&mut self.rights, &mut self.refresh.rows);
            self.out.event(Event::Rights);
        }
        self.refresh.rows.clear();
    }
}
