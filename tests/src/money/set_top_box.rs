// SPDX-License-Identifier: Apache-2.0
//! A box buys a programme and watches it: the engine against the virtual card, on a clock that
//! stands still.

use crate::demo::*;
use crate::money::nominal::{Exchange, Watched};
use crate::tables;
use cam_core::{CardState, Engine, Event, Input, Outcome, Output, SessionId, SignOfLife, StoreId};
use cam_types::{EventId, Instant, PackageId, Pid, Secret};
use ecm_emm::ecm::{ControlWords, Criteria, EcmBody, Ppt};
use std::mem;
use vcard::Interface;
use wallet::port::CardPort as _;

const ECM_PID: Pid = Pid::from_field(0x141);
const VIDEO_PID: Pid = Pid::from_field(0x102);

/// What an ECM of the cinema carries beside event and price.
#[derive(Clone, Copy)]
pub struct Programme {
    pub packages: u16,
    /// Also sold in slices of time, with control words of 128 bits.
    pub slices: bool,
}

impl Programme {
    /// The ECM of a crypto period.
    pub fn ecm(self, event: EventId, period: u32) -> Vec<u8> {
        let slice = Ppt { event, price: PRICE, slice_s: 600 };
        let criteria = Criteria {
            packages: (100..100 + self.packages).map(PackageId::new).collect(),
            ppv: Some(ppv(event, NOON)),
            ppt: self.slices.then_some(slice),
            ..Criteria::default()
        };
        let cw = ControlWords::Cw64 { even: Secret::new([0x0E; 8]), odd: Secret::new([0x0D; 8]) };
        let body = body(NOON, criteria);
        let body = if self.slices { body } else { EcmBody { cw, ..body } };
        seal_period(CINEMA_SERVICE, period, &body)
    }
}

/// What a box and its card said to each other.
pub struct Bought {
    /// From the card's answer to reset until it is ready: SELECT, CAS INFO, INITIALIZE UPDATE,
    /// EXTERNAL AUTHENTICATE, and CAS INFO once more in the session of a card that is new.
    pub session: Vec<Exchange>,
    /// VERIFY, PURCHASE and the ECM that gives the first control words.
    pub purchase: Vec<Exchange>,
}

/// A box with a card in its reader.
pub struct SetTopBox {
    engine: Engine,
    card: Watched,
    watching: SessionId,
    session: Vec<Exchange>,
    /// Rows that are to be durable.
    rows: Vec<StoreId>,
    /// Exchanges until control words came out.
    bright: Option<usize>,
    paid: bool,
}

impl SetTopBox {
    /// The card has answered to its reset, and the box tuned to the cinema.
    pub fn tuned() -> Self {
        let mut engine = Engine::new(paired());
        let pmt = tables::pmt(2, ECM_PID, VIDEO_PID, None);
        let watching = engine.session_open(NOW, 0, &pmt).unwrap();
        let card = Watched::new(&memory(), Interface::Contact);
        let (session, rows) = (Vec::new(), Vec::new());
        let mut this = Self { engine, card, watching, session, rows, bright: None, paid: false };
        this.run();
        this
    }

    /// The subscriber is offered this event, reads the price and gives his PIN.
    pub fn buy(&mut self, programme: Programme, event: EventId) -> Bought {
        let ecm = programme.ecm(event, event.value());
        self.engine.handle_input(NOW, Input::Section { source: 0, pid: ECM_PID, octets: &ecm });
        self.run();
        let offer = self.engine.offers(self.watching).next().unwrap();
        let request = self.engine.request_new().unwrap();
        let txn = self.engine.purchase_begin(NOW, offer.id, request, PRICE).unwrap();
        self.run();
        self.card.exchanges.clear();
        (self.bright, self.paid) = (None, false);
        self.engine.purchase_confirm(NOW, txn, PIN).unwrap();
        self.run();
        assert!(self.paid);
        self.card.exchanges.truncate(self.bright.unwrap());
        Bought { session: self.session.clone(), purchase: mem::take(&mut self.card.exchanges) }
    }

    /// Does what the engine wants until it only waits.
    fn run(&mut self) {
        loop {
            let response = match self.engine.poll_output() {
                Output::Command { apdu } => self.card.transmit(apdu),
                Output::ActivateCard => None,
                Output::Store { id, .. } => {
                    self.rows.push(id);
                    continue;
                }
                Output::SetCw(_) => {
                    self.bright.get_or_insert(self.card.exchanges.len());
                    continue;
                }
                Output::Event(event) => {
                    match event {
                        Event::Card { state: CardState::Ready, .. } => {
                            self.session = mem::take(&mut self.card.exchanges);
                        }
                        Event::Purchase { outcome: Outcome::Paid(_), .. } => self.paid = true,
                        _ => {}
                    }
                    continue;
                }
                Output::LoadLadder { .. } | Output::ClearCw { .. } | Output::Probe => continue,
                Output::Wait(_) => match self.rows.pop() {
                    Some(id) => {
                        self.engine.handle_input(NOW, Input::Stored(id));
                        continue;
                    }
                    None => return,
                },
            };
            self.engine.handle_input(
                NOW,
                match &response {
                    Some(response) => Input::Response(response),
                    None => Input::CardReady {
                        atr: &[0x3B, 0x00],
                        protocol: 1,
                        sign_of_life: SignOfLife::Command,
                    },
                },
            );
        }
    }
}

/// The moment at which all of it happens.
const NOW: Instant = Instant::from_micros(1_000_000);
