// SPDX-License-Identifier: Apache-2.0
//! Whatever comes: the engine neither panics nor gets stuck, and what it holds is bounded.

use crate::rig::card::{CARD, ModelCard, PIN};
use crate::rig::{air, config};
use cam_core::{
    Absence, Engine, Handover, Input, OfferId, Output, Probed, RequestId, SessionId, SignOfLife,
    StoreId, TxnId,
};
use cam_types::{Fen, Instant, Pid};
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    /// A good section of some kind, possibly damaged.
    Section {
        which: u8,
        damage: Option<(usize, u8)>,
        cut: Option<usize>,
    },
    Junk {
        pid: u16,
        octets: Vec<u8>,
    },
    Cat(Vec<u8>),
    Open {
        which: u8,
        cut: Option<usize>,
    },
    Update(u8, Vec<u8>),
    Close(u8),
    CaPmt(Vec<u8>),
    /// The card answers as it should.
    Answer,
    /// It answers with this.
    Respond(Vec<u8>),
    Failed(bool, bool),
    Probed(Probed),
    Present,
    Ready(SignOfLife),
    Absent(u8),
    Stored(bool),
    Ladder(Handover),
    Cw(u8, Handover),
    Timeout,
    Wait(u16),
    Begin {
        offer: u8,
        price: u32,
        request: u8,
    },
    Confirm(u8, Vec<u8>),
    Cancel(u8),
    Pin(Vec<u8>),
    Reset,
}

fn octets(max: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..max)
}

fn handover() -> impl Strategy<Value = Handover> {
    prop_oneof![Just(Handover::Taken), Just(Handover::Refused)]
}

fn step() -> impl Strategy<Value = Step> {
    let damage = || proptest::option::weighted(0.3, (any::<usize>(), 1..=255_u8));
    let cut = || proptest::option::weighted(0.1, any::<usize>());
    prop_oneof![
        6 => (any::<u8>(), damage(), cut())
            .prop_map(|(which, damage, cut)| Step::Section { which, damage, cut }),
        1 => (0..0x2000_u16, octets(300)).prop_map(|(pid, octets)| Step::Junk { pid, octets }),
        1 => octets(60).prop_map(Step::Cat),
        2 => (any::<u8>(), cut()).prop_map(|(which, cut)| Step::Open { which, cut }),
        1 => (any::<u8>(), octets(60)).prop_map(|(id, pmt)| Step::Update(id, pmt)),
        1 => any::<u8>().prop_map(Step::Close),
        1 => octets(60).prop_map(Step::CaPmt),
        20 => Just(Step::Answer),
        2 => octets(100).prop_map(Step::Respond),
        2 => any::<(bool, bool)>().prop_map(|(a, b)| Step::Failed(a, b)),
        1 => Just(Step::Present),
        1 => prop_oneof![Just(Probed::Alive), Just(Probed::Doubtful)].prop_map(Step::Probed),
        4 => prop_oneof![Just(SignOfLife::Command), Just(SignOfLife::Probe)].prop_map(Step::Ready),
        1 => any::<u8>().prop_map(Step::Absent),
        4 => any::<bool>().prop_map(Step::Stored),
        1 => handover().prop_map(Step::Ladder),
        2 => (any::<u8>(), handover()).prop_map(|(id, handover)| Step::Cw(id, handover)),
        2 => Just(Step::Timeout),
        4 => any::<u16>().prop_map(Step::Wait),
        2 => (any::<u8>(), 0..2000_u32, any::<u8>())
            .prop_map(|(offer, price, request)| Step::Begin { offer, price, request }),
        2 => (any::<u8>(), prop_oneof![Just(PIN.to_vec()), octets(14)])
            .prop_map(|(txn, pin)| Step::Confirm(txn, pin)),
        1 => any::<u8>().prop_map(Step::Cancel),
        1 => prop_oneof![Just(PIN.to_vec()), octets(14)].prop_map(Step::Pin),
        1 => Just(Step::Reset),
    ]
}

struct World {
    engine: Engine,
    card: ModelCard,
    now: Instant,
    apdu: Option<Vec<u8>>,
    probing: bool,
    stores: Vec<StoreId>,
    sessions: Vec<SessionId>,
    txns: Vec<TxnId>,
    requests: Vec<RequestId>,
}

impl World {
    fn new() -> Self {
        let mut engine = Engine::new(config(air::stored_pairing()));
        let now = moments::first();
        engine.handle_input(now, Input::Cat { source: 0, section: &air::cat() });
        Self {
            engine,
            card: ModelCard::new(),
            now,
            apdu: None,
            probing: false,
            stores: Vec::new(),
            sessions: Vec::new(),
            txns: Vec::new(),
            requests: Vec::new(),
        }
    }

    fn drain(&mut self) {
        for _ in 0..5000 {
            match self.engine.poll_output() {
                Output::Wait(_) => return,
                Output::Command { apdu, .. } => {
                    assert!(apdu.len() >= 5 && apdu.len() <= 261);
                    assert!(self.apdu.is_none() && !self.probing, "one command at a time");
                    self.apdu = Some(apdu.to_vec());
                }
                Output::Probe => {
                    assert!(self.apdu.is_none() && !self.probing, "one thing at a time");
                    self.probing = true;
                }
                Output::ActivateCard => {
                    self.apdu = None;
                    self.probing = false;
                    self.card.reset();
                }
                Output::Store { id, value, .. } => {
                    assert!(value.len() <= 256);
                    self.stores.push(id);
                }
                _ => {}
            }
        }
        panic!("the engine does not say Wait");
    }

    fn input(&mut self, input: Input<'_>) {
        self.engine.handle_input(self.now, input);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Section { which, damage, cut } => {
                let period = u32::from(which / 8);
                let (pid, mut octets) = match which % 8 {
                    0 | 1 => (air::NEWS_ECM, air::news_ecm(period)),
                    2 | 3 => (air::CINEMA_ECM, air::cinema_ecm(period, 1 + period / 4, 100)),
                    4 => (air::CINEMA_ECM, air::offer(period, 9, 100)),
                    5 => (air::EMM, air::emm(period + 1, &[air::grant(which.into())])),
                    6 => (air::EMM, air::deliver(period + 1, 2, which)),
                    _ => (air::EMM, air::box_pair(period, CARD, which & 3)),
                };
                if let Some((at, mask)) = damage {
                    let at = at % octets.len();
                    octets[at] ^= mask;
                }
                if let Some(len) = cut {
                    octets.truncate(len % (octets.len() + 1));
                }
                self.input(Input::Section { source: 0, pid, octets: &octets });
            }
            Step::Junk { pid, octets } => {
                let pid = Pid::from_field(pid);
                self.input(Input::Section { source: 0, pid, octets: &octets });
            }
            Step::Cat(section) => self.input(Input::Cat { source: 0, section: &section }),
            Step::Open { which, cut } => {
                let mut pmt = if which & 1 == 0 { air::news() } else { air::cinema() };
                if let Some(len) = cut {
                    pmt.truncate(len % (pmt.len() + 1));
                }
                if let Ok(id) = self.engine.session_open(self.now, which >> 7, &pmt) {
                    self.sessions.push(id);
                }
            }
            Step::Update(which, pmt) => {
                if let Some(id) = pick(&self.sessions, which) {
                    let _ = self.engine.session_update(self.now, id, &pmt);
                }
            }
            Step::Close(which) => {
                if let Some(id) = pick(&self.sessions, which) {
                    let _ = self.engine.session_close(self.now, id);
                }
            }
            Step::CaPmt(object) => {
                let _ = self.engine.ca_pmt(self.now, 0, &object);
            }
            Step::Answer => {
                if std::mem::take(&mut self.probing) {
                    self.input(Input::Probed(Probed::Alive));
                } else if let Some(apdu) = self.apdu.take() {
                    match self.card.transmit(&apdu) {
                        Some(response) => self.input(Input::Response(&response)),
                        None => self.input(Input::Failed { may_have_executed: true, silent: true }),
                    }
                }
            }
            Step::Respond(response) => {
                self.apdu = None;
                self.probing = false;
                self.input(Input::Response(&response));
            }
            Step::Failed(may_have_executed, silent) => {
                self.apdu = None;
                self.probing = false;
                self.input(Input::Failed { may_have_executed, silent });
            }
            Step::Probed(probed) => {
                self.probing = false;
                self.input(Input::Probed(probed));
            }
            Step::Present => self.input(Input::CardPresent),
            Step::Ready(sign_of_life) => {
                self.apdu = None;
                self.probing = false;
                self.card.reset();
                self.input(Input::CardReady { atr: &[0x3B; 40], protocol: 1, sign_of_life });
            }
            Step::Absent(why) => {
                self.apdu = None;
                self.probing = false;
                let all = [Absence::Removed, Absence::Mute, Absence::Unknown, Absence::ReaderLost];
                self.input(Input::CardAbsent(all[usize::from(why) % all.len()]));
            }
            Step::Stored(durable) => {
                if let Some(id) = self.stores.pop() {
                    self.input(if durable { Input::Stored(id) } else { Input::StoreFailed(id) });
                }
            }
            Step::Ladder(handover) => self.input(Input::Ladder(handover)),
            Step::Cw(which, handover) => {
                if let Some(session) = pick(&self.sessions, which) {
                    let ecm_pid = if which & 1 == 0 { air::NEWS_ECM } else { air::CINEMA_ECM };
                    self.input(Input::Cw { session, ecm_pid, handover });
                }
            }
            Step::Timeout => self.input(Input::Timeout),
            Step::Wait(ms) => {
                self.now = self.now.after(Duration::from_micros(u64::from(ms) * 100));
                self.input(Input::Timeout);
            }
            Step::Begin { offer, price, request } => {
                let offers: Vec<_> =
                    self.sessions.iter().flat_map(|id| self.engine.offers(*id)).collect();
                let known = offers.get(usize::from(offer) % (offers.len() + 1));
                let id = known.map_or(OfferId(offer.into()), |offer| offer.id);
                let price = known.and_then(|offer| offer.price).unwrap_or(Fen::new(price));
                if usize::from(request) >= self.requests.len() {
                    self.requests.extend(self.engine.request_new());
                }
                let request = pick(&self.requests, request).unwrap_or_default();
                if let Ok(txn) = self.engine.purchase_begin(self.now, id, request, price) {
                    self.txns.push(txn);
                }
            }
            Step::Confirm(which, pin) => {
                if let Some(txn) = pick(&self.txns, which) {
                    let _ = self.engine.purchase_confirm(self.now, txn, &pin);
                }
            }
            Step::Cancel(which) => {
                if let Some(txn) = pick(&self.txns, which) {
                    let _ = self.engine.purchase_cancel(self.now, txn);
                }
            }
            Step::Pin(pin) => {
                let _ = self.engine.pin_verify(self.now, &pin);
            }
            Step::Reset => self.engine.card_reset(self.now),
        }
    }
}

fn pick<T: Copy>(of: &[T], which: u8) -> Option<T> {
    of.get(usize::from(which) % of.len().max(1)).copied()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes(
        steps in proptest::collection::vec((step(), proptest::bool::weighted(0.8)), 1..200),
    ) {
        let mut world = World::new();
        for (step, polled) in steps {
            // Only what was asked for is answered.
            if matches!(step, Step::Answer | Step::Respond(_) | Step::Failed(..) | Step::Probed(_)) {
                world.drain();
            }
            world.take(step);
            // Between two calls, of two threads or of one, the driver may have no time to ask.
            if polled {
                world.drain();
            }
        }
        world.drain();
        // Money: what the card debited is what the box can account for, once all is settled.
        prop_assert!(world.card.debits <= world.card.log.len());
        prop_assert!(world.engine.filters().len() < 200);
        prop_assert!(world.engine.receipts().count() <= 32);
        // And a card that behaves brings it back to work.
        world.apdu = None;
        world.probing = false;
        world.card = ModelCard::new();
        for _ in 0..3 {
            world.now = world.now.after(Duration::from_secs(60));
            world.take(Step::Absent(0));
            world.drain();
            world.take(Step::Ready(SignOfLife::Command));
            world.drain();
            for _ in 0..200 {
                world.take(Step::Answer);
                world.drain();
            }
        }
        prop_assert!(world.engine.card().pseudonym == Some(CARD));
    }
}
