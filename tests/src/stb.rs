// SPDX-License-Identifier: Apache-2.0
//! A box in virtual time: engine and storage, and a slot with the card itself in it.

use crate::demo::{BOX_KEY, K_PAIR, OPERATOR, PIN, PSEUDONYM, STB, box_pairing};
use crate::entropy::Counting;
use crate::memory::Memory;
use crate::tables;
use cam_core::{
    Absence, Access, AccessState, CardState, Config, Engine, Event, Handover, Input, Offer,
    Outcome, Output, RequestId, SessionId, SignOfLife, StoreId, TxnId, TxnState,
};
use cam_types::{CaSystemId, CasTime, Fen, Instant, Key, Pid, Pseudonym, StbId};
use ecm_emm::ca_descriptor::{CaDescriptor, CaPrivate};
use ecm_emm::card::INS_PURCHASE;
use ecm_emm::cat::Cat;
use ecm_emm::descriptor::Descriptors;
use std::collections::BTreeMap;
use std::time::Duration;
use vcard::Card;

const ECM_PID: Pid = Pid::from_field(0x141);
const EMM_PID: Pid = Pid::from_field(0x150);
const VIDEO_PID: Pid = Pid::from_field(0x101);

/// What happens to the next PURCHASE, or question for one, or [`Stb::fated`] command, on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// The card never hears of it.
    CommandLost,
    /// The card carries it out, and nobody hears its answer.
    AnswerLost,
    /// Its answer comes as a bare status word.
    Bare(u16),
    /// The card carries it out and is pulled.
    Pulled,
    /// The box loses its power before the command is on the line.
    BoxDiesBefore,
    /// The card carries it out, and the box loses its power.
    BoxDiesAfter,
}

/// What becomes of a row on its way to the storage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Store {
    Works,
    Fails,
    /// Nothing comes back.
    Hangs,
}

enum Report {
    Response(Vec<u8>),
    Silence,
    Ready(Vec<u8>),
    Mute,
}

/// Which box of a home, as its factory and its pairing have it.
#[derive(Clone, Copy)]
pub struct Home {
    pub stb: StbId,
    pub slot: u8,
    pub k_pair: [u8; 16],
    /// The box's own key, under which its half came.
    pub k_box: [u8; 16],
}

impl Home {
    /// What the box's storage holds of its pairing with this card.
    fn pairing(self, card: Pseudonym) -> (String, Vec<u8>) {
        box_pairing(self.stb, self.slot, self.k_pair, card)
    }
}

pub const LIVING_ROOM: Home = Home { stb: STB, slot: 0, k_pair: K_PAIR, k_box: BOX_KEY };
pub const BEDROOM: Home =
    Home { stb: StbId::new(*b"STB00002"), slot: 1, k_pair: [0x77; 16], k_box: BOX_KEY };

/// Another card, which the boxes are paired with as well.
pub const VISITOR: Pseudonym = Pseudonym::new([0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0x07, 0x99]);

/// The second box's pairing, as the card's file has it.
pub const BEDROOM_PAIRING: &str = r#"
    [[pairing]]
    slot = 1
    stb_id = "5354423030303032"
    k_pair = "77777777777777777777777777777777"
    k_cw = "909192939495969798999a9b9c9d9e9f"
"#;

pub struct Stb {
    home: Home,
    seed: u8,
    pub engine: Engine,
    pub slot: Option<Card>,
    /// What was in the slot when it was pulled in the middle of a purchase.
    pub pulled: Option<Card>,
    pub storage: BTreeMap<String, Vec<u8>>,
    pub store: Store,
    pub fate: Option<Fate>,
    /// What the chip's ladder was loaded with: EK2 and EK1.
    pub ladder: Option<[[u8; 16]; 2]>,
    /// The even ECW that the descrambler has.
    pub ecw: Option<[u8; 16]>,
    /// The INS that the fate waits for.
    pub fated: u8,
    /// The power is off.
    pub dead: bool,
    /// The card's memory, whose power comes back when the card is reset.
    pub chip: Option<Memory>,
    /// How often it had gone.
    pub cuts: usize,
    now: Instant,
    stores: Vec<StoreId>,
    /// ECWs that the descrambler has taken and the engine has not heard of.
    handed: Vec<(SessionId, Pid)>,
    report: Option<(Instant, Report)>,
    wait: Option<Instant>,
    outcomes: Vec<Outcome>,
    /// Events of reports and acknowledgements.
    pub reports: Vec<Event>,
    /// Until when a message has to come, as events of terms have told it.
    pub updates: Vec<Option<CasTime>>,
    cinema: Option<SessionId>,
}

impl Stb {
    pub fn new(home: Home, card: Card) -> Self {
        let visitor = Home { slot: home.slot + 2, ..home };
        let storage = BTreeMap::from([home.pairing(PSEUDONYM), visitor.pairing(VISITOR)]);
        Self::with_storage(home, storage, card)
    }

    /// With what the factory put into the storage, if anything.
    pub fn with_storage(home: Home, storage: BTreeMap<String, Vec<u8>>, card: Card) -> Self {
        Self::on(home, 1, storage, Some(card), Instant::from_micros(1_000_000))
    }

    fn on(
        home: Home,
        seed: u8,
        storage: BTreeMap<String, Vec<u8>>,
        slot: Option<Card>,
        now: Instant,
    ) -> Self {
        let mut config = Config::new(home.stb, Key::new(home.k_box), Box::new(Counting(seed)));
        config.stored = storage.clone().into_iter().collect();
        let mut stb = Self {
            home,
            seed,
            engine: Engine::new(config),
            slot,
            pulled: None,
            storage,
            store: Store::Works,
            fate: None,
            ladder: None,
            ecw: None,
            fated: INS_PURCHASE,
            dead: false,
            chip: None,
            cuts: 0,
            now,
            stores: Vec::new(),
            handed: Vec::new(),
            report: None,
            wait: None,
            outcomes: Vec::new(),
            reports: Vec::new(),
            updates: Vec::new(),
            cinema: None,
        };
        let pmt = tables::pmt(2, ECM_PID, VIDEO_PID, None);
        stb.cinema = Some(stb.engine.session_open(now, 0, &pmt).unwrap());
        stb.run(1000);
        stb
    }

    /// Off and on again: the storage stays as it is, and the card where it is.
    pub fn restart(self) -> Self {
        let mended = self.chip.as_ref().is_some_and(Memory::mend);
        let seed = self.seed.wrapping_add(1);
        let mut stb = Self::on(self.home, seed, self.storage, self.slot, self.now);
        stb.chip = self.chip;
        stb.cuts = self.cuts + usize::from(mended);
        stb
    }

    /// The same, with nothing but the pairing in the storage.
    pub fn restart_without_storage(mut self) -> Self {
        self.storage.retain(|key, _| key.starts_with("pairing"));
        self.restart()
    }

    pub fn insert(&mut self, card: Card) {
        self.slot = Some(card);
        self.run(2000);
        assert_eq!(self.engine.card().state, CardState::Ready);
    }

    pub fn pull(&mut self) -> Card {
        let card = self.slot.take().unwrap();
        self.run(3000);
        card
    }

    /// A section of Cinema goes on air.
    pub fn section(&mut self, section: &[u8]) {
        self.input(Input::Section { source: 0, pid: ECM_PID, octets: section });
        self.run(500);
    }

    /// An EMM goes on air, once the CAT is known.
    pub fn emm(&mut self, section: &[u8]) {
        self.emm_for(section, 20_000);
    }

    /// The same, and so many milliseconds pass.
    pub fn emm_for(&mut self, section: &[u8], ms: u64) {
        self.input(Input::Cat { source: 0, section: &cat() });
        self.input(Input::Section { source: 0, pid: EMM_PID, octets: section });
        self.run(ms);
    }

    /// The subscriber types the PIN, for no purchase.
    pub fn verify(&mut self, pin: &[u8], ms: u64) {
        self.engine.pin_verify(self.now, pin).unwrap();
        self.drain();
        self.run(ms);
    }

    /// The host asks for a report.
    pub fn ask_report(&mut self, nonce: [u8; 8]) {
        self.engine.report_request(self.now, nonce, 0).unwrap();
        self.run(20_000);
    }

    /// The host brings an acknowledgement.
    pub fn bring_ack(&mut self, ack: &[u8]) {
        self.engine.report_ack(self.now, ack).unwrap();
        self.run(20_000);
    }

    /// How Cinema stands.
    pub fn access(&self) -> Access {
        self.engine.access(self.cinema.unwrap()).unwrap()
    }

    /// Cinema is in clear.
    pub fn is_granted(&self) -> bool {
        self.access().state == AccessState::Granted
    }

    /// A section of Cinema goes on air, and what can be bought by it.
    pub fn air(&mut self, section: &[u8]) -> Offer {
        self.section(section);
        let offers = self.engine.offers(self.cinema.unwrap());
        offers.last().expect("an offer")
    }

    /// A new wish for this.
    pub fn wish(&mut self, offer: &Offer, price: Fen) -> (RequestId, TxnId) {
        let request = self.engine.request_new().unwrap();
        let begun = self.engine.purchase_begin(self.now, offer.id, request, price);
        (request, begun.unwrap())
    }

    /// The same wish again.
    pub fn again(&mut self, offer: &Offer, request: RequestId, price: Fen) -> TxnId {
        let txn = self.engine.purchase_begin(self.now, offer.id, request, price).unwrap();
        self.drain();
        txn
    }

    pub fn confirm(&mut self, txn: TxnId) {
        self.confirm_with(txn, PIN);
    }

    pub fn confirm_with(&mut self, txn: TxnId, pin: &[u8]) {
        self.engine_confirm(txn, pin);
        self.run(10_000);
    }

    /// Without waiting for what becomes of it.
    pub fn engine_confirm(&mut self, txn: TxnId, pin: &[u8]) {
        self.engine.purchase_confirm(self.now, txn, pin).unwrap();
        self.drain();
    }

    pub fn cancel(&mut self, txn: TxnId) {
        self.engine.purchase_cancel(self.now, txn).unwrap();
        self.drain();
    }

    pub fn state(&self, txn: TxnId) -> TxnState {
        self.engine.purchase(txn).unwrap().state
    }

    pub fn outcomes(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.outcomes)
    }

    /// Balance, and debits so far: what the card says, whatever the box believes.
    pub fn money(&self) -> (u32, u16) {
        let status = self.slot.as_ref().or(self.pulled.as_ref()).unwrap().status();
        (status.balance.fen(), status.offline_sequence)
    }

    pub fn run(&mut self, ms: u64) {
        let until = self.now.after(Duration::from_millis(ms));
        for _ in 0..100_000 {
            self.drain();
            self.answer_stores();
            let report = self.report.as_ref().map(|(at, _)| *at);
            let next = report.into_iter().chain(self.wait).min().filter(|at| *at <= until);
            let Some(at) = next.filter(|_| !self.dead) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(at);
            match self.report.take_if(|(due, _)| *due <= at) {
                Some((_, report)) => self.deliver(report),
                None => self.input(Input::Timeout),
            }
        }
        panic!("the engine does not come to rest");
    }

    fn input(&mut self, input: Input<'_>) {
        self.engine.handle_input(self.now, input);
        self.drain();
    }

    fn deliver(&mut self, report: Report) {
        match report {
            Report::Response(response) => self.input(Input::Response(&response)),
            Report::Silence => self.input(Input::Failed { may_have_executed: true, silent: true }),
            Report::Ready(atr) => self.input(Input::CardReady {
                atr: &atr,
                protocol: 1,
                sign_of_life: SignOfLife::Command,
            }),
            Report::Mute => self.input(Input::CardAbsent(Absence::Mute)),
        }
    }

    fn answer_stores(&mut self) {
        for id in std::mem::take(&mut self.stores) {
            match self.store {
                Store::Works => self.input(Input::Stored(id)),
                Store::Fails => self.input(Input::StoreFailed(id)),
                Store::Hangs => self.stores.push(id),
            }
        }
    }

    fn drain(&mut self) {
        while !self.dead {
            match self.engine.poll_output() {
                Output::Wait(at) => {
                    self.wait = at;
                    let Some((session, ecm_pid)) = self.handed.pop() else { return };
                    let handover = Handover::Taken;
                    let taken = Input::Cw { session, ecm_pid, handover };
                    self.engine.handle_input(self.now, taken);
                }
                Output::LoadLadder { ek2, ek1, .. } => {
                    self.ladder = Some([*ek2.expose(), *ek1.expose()]);
                }
                Output::ClearCw { .. } => self.ecw = None,
                Output::SetCw(ecw) => {
                    self.ecw = Some(*ecw.even);
                    self.handed.push((ecw.session, ecw.ecm_pid));
                }
                Output::ActivateCard => {
                    self.cuts += usize::from(self.chip.as_ref().is_some_and(Memory::mend));
                    let atr = self.slot.as_mut().map(Card::power_on);
                    let report = atr.map_or(Report::Mute, Report::Ready);
                    self.report = Some((self.now.after(Duration::from_millis(50)), report));
                }
                Output::Command { apdu } => {
                    let apdu = apdu.to_vec();
                    self.command(&apdu);
                }
                Output::Store { id, key, value } => {
                    if self.store == Store::Works {
                        self.storage.insert(key.to_owned(), value.to_vec());
                    }
                    self.stores.push(id);
                }
                Output::Event(Event::Terms { access, .. }) => self.updates.push(access.update_by),
                Output::Event(Event::Purchase { outcome, .. }) => self.outcomes.push(outcome),
                Output::Event(event @ (Event::Report { .. } | Event::Acknowledged { .. })) => {
                    self.reports.push(event);
                }
                _ => {}
            }
        }
    }

    fn command(&mut self, apdu: &[u8]) {
        let fate = if apdu[1] == self.fated { self.fate.take() } else { None };
        if fate == Some(Fate::BoxDiesBefore) {
            self.dead = true;
            return;
        }
        let heard = self.slot.as_mut().filter(|_| fate != Some(Fate::CommandLost));
        let answer = heard.and_then(|card| card.transmit(apdu).ok());
        let report = match (fate, answer) {
            (Some(Fate::BoxDiesAfter), _) => {
                self.dead = true;
                return;
            }
            (Some(Fate::Pulled), _) => {
                self.pulled = self.slot.take();
                Report::Silence
            }
            (Some(Fate::Bare(sw)), _) => Report::Response(sw.to_be_bytes().to_vec()),
            (None, Some(answer)) => Report::Response(answer),
            _ => Report::Silence,
        };
        self.report = Some((self.now.after(Duration::from_millis(80)), report));
    }
}

/// The CAT, which says where EMMs are.
fn cat() -> Vec<u8> {
    let private = CaPrivate { operator: OPERATOR, suite: 2, channel: None }.octets();
    let system = CaSystemId::DEFAULT;
    let mut descriptors = Vec::new();
    CaDescriptor { system, pid: EMM_PID, private: &private }.emit(&mut descriptors).unwrap();
    let descriptors = Descriptors::parse(&descriptors).unwrap();
    let mut section = Vec::new();
    Cat { version: 0, current: true, number: (0, 0), descriptors }.emit(&mut section).unwrap();
    section
}
