// SPDX-License-Identifier: Apache-2.0
//! What is read back from the card: its introduction, balance and rights (`card/refresh.rs`).

use crate::Event;
use crate::card::exchange::{Answer, Exchange};
use crate::card::refresh::Reading;
use crate::engine::Engine;
use ecm_emm::card::{INS_INFO, INS_RIGHTS, RIGHTS_ROWS, RIGHTS_WALLET, RightsPage};

impl Engine {
    pub(crate) fn send_refresh(&mut self) -> bool {
        match self.refresh.next() {
            Some(Reading::Info) => self.send(Exchange::Info, INS_INFO, 0, &[]),
            Some(Reading::Balance) => {
                self.send(Exchange::Balance, INS_RIGHTS, RIGHTS_WALLET, &[]);
            }
            Some(Reading::Rights { from }) => {
                self.send(Exchange::Rights, INS_RIGHTS, RIGHTS_ROWS, &[from]);
            }
            None => return false,
        }
        true
    }

    pub(crate) fn rights_answered(&mut self, answer: Answer) {
        let told = self.dialogue.told(answer);
        let Some(page) = told.and_then(|data| RightsPage::parse(data).ok()) else {
            log::info!("the card's rights are not readable");
            self.refresh.rights().not_told();
            return;
        };
        if self.refresh.rights().page(page) {
            self.out.event(Event::Rights);
        }
    }
}
