// SPDX-License-Identifier: Apache-2.0
//! The card thread and a reader that fails.
use super::*;
use crate::descrambler::NoDescrambler;
use crate::reader::{Capabilities, Latency, Received};
use crate::storage::MemoryStorage;
use crate::sys::Waker;
use cam_core::{Config, Engine, Entropy, PinAnswer, PinOutcome, SignOfLife, Ticket};
use cam_types::{Key, StbId};
use iso7816::emv::Profile;
use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
use iso7816::line::{Level, Reset};
use std::sync::atomic::AtomicU32;

struct Zeros;

impl Entropy for Zeros {
    fn fill(&mut self, octets: &mut [u8]) {
        octets.fill(0);
    }
}

/// A reader that is lost as soon as it is used.
struct Lost;

fn lost() -> ReaderError {
    ReaderError::Lost { port: "of a test".to_owned() }
}

impl Reader for Lost {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            reset: true,
            power: true,
            detect: false,
            clock_hz: USUAL_CLOCK_HZ,
            baud_base: None,
            max_baud: 1_000_000,
            level: Level::Apdu,
            latency: Latency::Fixed,
            profile: Profile::Iso,
        }
    }

    fn present(&mut self) -> Result<Presence, ReaderError> {
        Err(lost())
    }

    fn activate(&mut self, _: Reset) -> Result<(), ReaderError> {
        Err(lost())
    }

    fn deactivate(&mut self) {}

    fn configure(&mut self, _: &LineParams) -> Result<(), ReaderError> {
        Err(lost())
    }

    fn send(&mut self, _: &[u8]) -> Result<(), ReaderError> {
        Err(lost())
    }

    fn receive(
        &mut self,
        _: &mut [u8],
        _: Option<Instant>,
        _: &Waker,
    ) -> Result<Received, ReaderError> {
        Err(lost())
    }

    fn line_octets(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// A driver whose events wait for the host, `events` at most.
fn driver(events: usize) -> (Arc<Cam>, Driver) {
    let config = Config::new(StbId::new(*b"STB00001"), Key::new([0; 16]), Box::new(Zeros));
    let cam = Arc::new(Cam::new(Engine::new(config), 65_536, events).unwrap());
    let opener: Box<Opener> = Box::new(|| Ok(Box::new(Lost)));
    let storage = Box::new(MemoryStorage::default());
    let policy = Lost.capabilities().policy();
    let descrambler = Box::new(NoDescrambler);
    let driver = Driver::new(cam.clone(), Box::new(Lost), policy, opener, descrambler, storage);
    (cam, driver)
}

/// A reader at rest, with nothing to bring: for whom it is asked to wait.
struct AtRest(Arc<AtomicU32>);

impl Reader for AtRest {
    fn capabilities(&self) -> Capabilities {
        Lost.capabilities()
    }

    fn present(&mut self) -> Result<Presence, ReaderError> {
        Ok(Presence::Unknown)
    }

    fn activate(&mut self, _: Reset) -> Result<(), ReaderError> {
        Ok(())
    }

    fn deactivate(&mut self) {}

    fn configure(&mut self, _: &LineParams) -> Result<(), ReaderError> {
        Ok(())
    }

    fn send(&mut self, _: &[u8]) -> Result<(), ReaderError> {
        Ok(())
    }

    fn receive(
        &mut self,
        _: &mut [u8],
        _: Option<Instant>,
        waker: &Waker,
    ) -> Result<Received, ReaderError> {
        let woken = waker.take();
        self.0.fetch_add(u32::from(!woken), Ordering::Relaxed);
        Ok(Received { woken, ..Received::default() })
    }

    fn line_octets(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// Who does the card thread's work itself looks behind each turn whether the answer is there: a
/// turn that waits on with it costs each such call a third of a second.
#[test]
fn a_turn_with_an_answer_waits_for_nothing_more() {
    let (cam, mut driver) = driver(16);
    let waits = Arc::new(AtomicU32::new(0));
    let policy = Lost.capabilities().policy();
    driver.slot = Slot::new(Box::new(AtRest(Arc::clone(&waits))), policy);
    driver.work();
    driver.exchange = Exchange::Idle;
    let ticket = cam.flush();
    // The turns in which the card still had something to do have taken the call's own signal.
    while cam.waker().take() {}
    driver.turn(None);
    assert_eq!(cam.wait_flushed(ticket, Duration::ZERO), Ok(()));
    assert_eq!(waits.load(Ordering::Relaxed), 0, "flushed, and it waits");
    driver.turn(None);
    assert_eq!(waits.load(Ordering::Relaxed), 1, "there is nothing to do, and it does not wait");
    cam.pin_answered(PinAnswer { ticket: Ticket(1), outcome: PinOutcome::Right });
    driver.turn(None);
    assert_eq!(waits.load(Ordering::Relaxed), 1, "the PIN is answered, and it waits");
}

/// Calls of the host come as they like: between two turns of the card thread as well.
#[test]
fn what_many_calls_make_between_two_turns_is_not_lost() {
    let (cam, mut driver) = driver(8192);
    for _ in 0..1000 {
        cam.call(Engine::card_reset);
        driver.cam.input(Input::CardAbsent(Absence::Mute));
        driver.cam.input(Input::CardReady {
            atr: &[0x3B, 0x00],
            protocol: 1,
            sign_of_life: SignOfLife::Command,
        });
    }
    driver.work();
    let mut cards = 0;
    while let Some(stamped) = cam.events().pop(clock::now, Duration::ZERO) {
        assert!(!matches!(stamped.notice, Notice::Engine(Event::Overflow { .. })), "lost");
        cards += usize::from(matches!(stamped.notice, Notice::Engine(Event::Card { .. })));
    }
    assert!(cards >= 2000, "{cards}");
}

#[test]
fn a_reader_that_stays_away_is_told_once() {
    let (cam, mut driver) = driver(16);
    for _ in 0..3 {
        driver.reopen();
        assert!(driver.slot.reader().is_some());
        driver.feed_line(line::Input::Activate);
        assert!(driver.slot.reader().is_none(), "it is not used again");
    }
    let mut told = Vec::new();
    while let Some(stamped) = cam.events().pop(clock::now, Duration::ZERO) {
        if let Notice::Health { text, .. } = stamped.notice {
            told.push(text);
        }
    }
    assert_eq!(told, ["port of a test is gone"]);
}

/// A queue of one event cannot hold what there is to tell; one call tells all of it none the less.
#[test]
fn what_was_lost_is_told_again() {
    let (cam, mut driver) = driver(1);
    driver.cam.input(Input::CardAbsent(Absence::Mute));
    driver.cam.input(Input::CardReady {
        atr: &[0x3B, 0x00],
        protocol: 1,
        sign_of_life: SignOfLife::Command,
    });
    driver.cam.input(Input::CardAbsent(Absence::Mute));
    driver.work();
    assert!(cam.events().lost_in_all() > 0);
    cam.tell_again();
    let told = std::iter::from_fn(|| cam.events().pop(clock::now, Duration::ZERO));
    let told: Vec<_> = told.map(|stamped| stamped.notice).collect();
    let (state, reason) = cam.query(|engine| (engine.card().state, engine.card().reason));
    let card = Event::Card { state, reason };
    assert!(matches!(&told[0], Notice::Engine(first) if *first == card), "{told:?}");
    let expected = cam.query(Engine::present_state);
    let told = told.into_iter().map(|notice| match notice {
        Notice::Engine(event) => event,
        other => panic!("{other:?}"),
    });
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

/// Sections come faster than they are taken: the card is heard in between, and a flush waits for
/// all of them.
#[test]
fn a_flood_of_sections_leaves_the_card_its_turns() {
    let (cam, mut driver) = driver(16);
    crate::cam::tests::tune(&cam, 0);
    for _ in 0..600 {
        crate::cam::tests::offer_emm(&cam).unwrap();
    }
    let ticket = cam.flush();
    let mut turns = 0;
    while cam.wait_flushed(ticket, Duration::ZERO).is_err() {
        let due = driver.turn(Some(clock::now()));
        assert!(due.is_some_and(|due| due <= clock::now()) || turns == 2, "turn {turns}");
        turns += 1;
        assert!(turns < 100, "never flushed");
    }
    assert!(turns > 2, "{turns} turns");
    assert_eq!(cam.query(|engine| engine.stats().emm_in[3]), 600);
}
