// SPDX-License-Identifier: Apache-2.0
//! What is read back from the card: what it says of itself, its log's number, balance and rights
//! (`card/refresh.rs`).

use crate::card::exchange::{Answer, Exchange};
use crate::card::refresh::{Part, Reading};
use crate::engine::Engine;
use crate::{CardState, Event};
use cam_types::Instant;
use ecm_emm::card::{
    HighestNumber, INS_INFO, INS_RIGHTS, RIGHTS_NUMBER, RIGHTS_ROWS, RIGHTS_WALLET, RightsPage,
};

impl Engine {
    /// A card that is new says in its session what it is before the host is told that it is ready.
    /// One that does not say it is ready all the same.
    pub(crate) fn asks_what_it_is(&mut self, now: Instant) -> bool {
        if self.card.state != CardState::Starting {
            return false;
        }
        let reading = self.refresh.take(now, Part::Info);
        if reading.is_none() {
            self.session_told();
        }
        self.send_reading_of(reading)
    }

    /// What the card has to say once in each session, before it is handed EMMs: a carousel does
    /// not keep the subscriber from buying.
    pub(crate) fn send_introduction(&mut self, now: Instant) -> bool {
        let info = self.card.now.is_none().then_some(Part::Info);
        let number = self.purchases.number_is_unread().then_some(Part::Number);
        let parts = [info, number].into_iter().flatten();
        let reading = parts.into_iter().find_map(|part| self.refresh.take(now, part));
        self.send_reading_of(reading)
    }

    pub(crate) fn send_refresh(&mut self, now: Instant) -> bool {
        let reading = self.refresh.next(now);
        self.send_reading_of(reading)
    }

    fn send_reading_of(&mut self, reading: Option<Reading>) -> bool {
        match reading {
            Some(Reading::Info) => self.send(Exchange::Info, INS_INFO, 0, &[]),
            Some(Reading::Number) => {
                let terminal = self.config.terminal;
                self.send(Exchange::Number, INS_RIGHTS, RIGHTS_NUMBER, terminal.octets());
            }
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

    pub(crate) fn rights_answered(&mut self, now: Instant, answer: Answer) {
        let told = self.dialogue.told(answer);
        let Some(page) = told.and_then(|data| RightsPage::parse(data).ok()) else {
            log::info!("the card's rights are not readable");
            self.refresh.failed(now, Part::Rights);
            return;
        };
        self.refresh.answered(Part::Rights);
        if self.refresh.rights().page(page) {
            self.out.event(Event::Rights);
        }
    }

    pub(crate) fn number_answered(&mut self, now: Instant, answer: Answer) {
        let told = self.dialogue.told(answer);
        let Some(highest) = told.and_then(|data| HighestNumber::parse(data).ok()) else {
            log::info!("the card does not tell the terminal's highest number");
            self.refresh.failed(now, Part::Number);
            return;
        };
        self.refresh.answered(Part::Number);
        self.purchases.number_told(highest);
    }
}
