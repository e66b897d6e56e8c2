// SPDX-License-Identifier: Apache-2.0
//! The nominal card: what the virtual card really computes and writes, in the time of
//! `docs/spec/card.md`, section 7.

use crate::demo;
use cam_types::meter;
use std::time::Duration;
use vcard::nvm::RamStore;
use vcard::{Card, Interface};
use vreader::serve::{COMMAND, PAGE_WRITE};
use wallet::port::CardPort;

const AES_BLOCK: Duration = Duration::from_micros(50);
const DES_BLOCK: Duration = Duration::from_micros(30);

/// What a card has done for one command.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    pub command: Vec<u8>,
    pub response: Vec<u8>,
    pub aes: u64,
    pub des: u64,
    /// Pages written before the answer leaves.
    pub pages_before: u64,
    /// Pages written after it has left.
    pub pages_after: u64,
}

impl Exchange {
    /// From the end of the command to the beginning of the answer.
    pub fn thinking(&self) -> Duration {
        let times = |unit: Duration, count: u64| unit * u32::try_from(count).unwrap();
        COMMAND
            + times(AES_BLOCK, self.aes)
            + times(DES_BLOCK, self.des)
            + times(PAGE_WRITE, self.pages_before)
    }

    /// From the end of the answer until the card takes a command.
    pub fn writing_home(&self) -> Duration {
        PAGE_WRITE * u32::try_from(self.pages_after).unwrap()
    }
}

/// The demo's card before a terminal, with an eye on it.
pub struct Watched {
    card: Card,
    pub exchanges: Vec<Exchange>,
}

impl Watched {
    pub fn new(memory: &[u8], interface: Interface) -> Self {
        let store = Box::new(RamStore::new(memory));
        let mut card = Card::with_random(store, demo::counting()).unwrap();
        assert!(!card.power_on_at(interface).is_empty());
        Self { card, exchanges: Vec::new() }
    }

    fn pages(&self) -> u64 {
        self.card.status().page_writes
    }
}

impl CardPort for Watched {
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        meter::take();
        let begin = self.pages();
        let response = self.card.answer(command).unwrap();
        let answered = self.pages();
        let meter::Blocks { aes, des } = meter::take();
        self.card.bring_home();
        self.exchanges.push(Exchange {
            command: command.to_vec(),
            response: response.clone(),
            aes,
            des,
            pages_before: answered - begin,
            pages_after: self.pages() - answered,
        });
        Some(response)
    }
}
