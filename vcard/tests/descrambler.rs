//! A descrambler that refuses, behind the card thread: told once by name, dark meanwhile, well again
//! by itself.
#![allow(clippy::unwrap_used)] // a test that cannot go on panics

#[allow(dead_code)] // the bench of the card's tests
#[path = "card/bench.rs"]
mod bench;
mod stage;
#[path = "card/tables.rs"]
mod tables;

use bench::{BOX_KEY, K_PAIR, NEWS, NOON, PSEUDONYM, STB, box_pairing};
use cam_core::{AccessStatus, CardState, Config, ControlWords, Engine, Entropy, Event, SessionId};
use cam_types::{Key, Pid};
use ecm_emm::descriptor::ScramblingMode;
use stage::Card;
use stb_shim::cam::Cam;
use stb_shim::clock;
use stb_shim::descrambler::{Descrambler, LadderKeys, Refused};
use stb_shim::driver::Driver;
use stb_shim::events::Notice;
use stb_shim::storage::MemoryStorage;
use stb_shim::url::Url;
use stb_shim::vpcd::VpcdReader;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const ECM_PID: Pid = Pid::from_field(0x140);
const VIDEO_PID: Pid = Pid::from_field(0x100);
const PATIENCE: Duration = Duration::from_secs(5);

/// Not random, which is good enough for a card of the demo.
struct Sevens;

impl Entropy for Sevens {
    fn fill(&mut self, octets: &mut [u8]) {
        octets.fill(7);
    }
}

/// What the chip refuses now, and how often it was handed words.
#[derive(Default)]
struct Moods {
    ladder: AtomicBool,
    words: AtomicBool,
    handed: AtomicU32,
}

struct Chip(Arc<Moods>);

impl Chip {
    fn answer(refuses: &AtomicBool, what: &str) -> Result<(), Refused> {
        let refuses = refuses.load(Ordering::SeqCst);
        if refuses { Err(Refused(format!("no {what} today; tomorrow works"))) } else { Ok(()) }
    }
}

impl Descrambler for Chip {
    fn load_ladder(&mut self, _: &LadderKeys<'_>) -> Result<(), Refused> {
        Self::answer(&self.0.ladder, "ladder")
    }

    fn set_control_words(&mut self, _: &ControlWords<'_>, _: u32) -> Result<(), Refused> {
        self.0.handed.fetch_add(1, Ordering::SeqCst);
        Self::answer(&self.0.words, "words")
    }

    fn clear(&mut self, _: SessionId) {}
}

struct Stb {
    cam: Arc<Cam>,
    moods: Arc<Moods>,
    session: SessionId,
    thread: Option<JoinHandle<()>>,
    _card: Card,
}

impl Stb {
    /// With a card that is up, and News open.
    fn new(name: &str, moods: Moods) -> Self {
        let reader = VpcdReader::open(&Url::parse("vpcd:127.0.0.1:0")).unwrap();
        let address = reader.address().unwrap().to_string();
        let card = Card::personalised(name, &bench::file(""), &["--vpcd", &address]);
        let mut config = Config::new(STB, Key::new(BOX_KEY), Box::new(Sevens));
        config.stored = vec![box_pairing(STB, 0, K_PAIR, PSEUDONYM)];
        config.probe = None;
        let cam = Arc::new(Cam::new(Engine::new(config), 4096, 64).unwrap());
        let moods = Arc::new(moods);
        let (chip, rows) = (Box::new(Chip(Arc::clone(&moods))), Box::new(MemoryStorage::default()));
        let opener = Box::new(|| stb_shim::readers::open("vpcd:127.0.0.1:0"));
        let mut driver = Driver::new(Arc::clone(&cam), Box::new(reader), opener, chip, rows);
        let thread = Some(thread::spawn(move || driver.run()));
        loop {
            let stamped = cam.events().pop(clock::now, PATIENCE).expect("the card comes up");
            if let Notice::Engine(Event::Card { state: CardState::Ready, .. }) = stamped.notice {
                break;
            }
        }
        let pmt = tables::pmt(1, ECM_PID, VIDEO_PID, Some(ScramblingMode::CISSA1));
        let session = cam.call(|engine, now| engine.session_open(now, 0, &pmt)).unwrap();
        Self { cam, moods, session, thread, _card: card }
    }

    /// The ECM of a crypto period is answered: the reason shown then, and the Health events.
    fn play(&self, period: u32) -> (AccessStatus, Vec<String>) {
        let body = bench::body(NOON.saturating_add(period), bench::subscription());
        let ecm = bench::seal_period(NEWS, period, &body);
        self.cam.section(0, ECM_PID, &ecm).unwrap();
        self.cam.wait_flushed(self.cam.flush(), PATIENCE).unwrap();
        let mut health = Vec::new();
        let mut told = Vec::new();
        while let Some(stamped) = self.cam.events().pop(clock::now, Duration::ZERO) {
            if let Notice::Engine(Event::Access { access, .. }) = stamped.notice {
                told.push(access.reason);
            }
            if let Notice::Health { session, text } = stamped.notice {
                let of_words = text.contains("control words of session");
                assert_eq!(session, of_words.then_some(self.session), "{text}");
                health.push(text);
            }
        }
        let access = self.cam.query(|engine| engine.access(self.session)).unwrap();
        assert_eq!(
            access.crypto_period.is_some(),
            access.reason == AccessStatus::GRANTED_SUBSCRIPTION
        );
        // Nothing is told that is taken back, nor twice.
        let of = |reason| told.iter().filter(|told| **told == reason).count();
        assert!(of(DARK) <= 1 && of(LIT) <= 1 && of(DARK) + of(LIT) <= 1, "{told:?}");
        (access.reason, health)
    }
}

impl Drop for Stb {
    fn drop(&mut self) {
        self.cam.stop();
        self.thread.take().map(JoinHandle::join);
    }
}

const DARK: AccessStatus = AccessStatus::DESCRAMBLER;
const LIT: AccessStatus = AccessStatus::GRANTED_SUBSCRIPTION;

#[test]
fn words_that_are_refused() {
    let stb = Stb::new("refuses-words", Moods { words: true.into(), ..Moods::default() });
    let (reason, health) = stb.play(4);
    assert_eq!(reason, DARK);
    let [text] = health.as_slice() else { panic!("one event, not {health:?}") };
    assert!(text.contains("ECM PID 0x0140") && text.contains("no words today; tomorrow works"));
    assert_eq!(stb.play(5), (DARK, vec![]), "told once");
    stb.moods.words.store(false, Ordering::SeqCst);
    assert_eq!(stb.play(6), (LIT, vec![]));
    stb.moods.words.store(true, Ordering::SeqCst);
    let (reason, health) = stb.play(7);
    assert_eq!((reason, health.len()), (DARK, 1), "again, for it was well in between");
}

#[test]
fn a_ladder_that_is_refused() {
    let stb = Stb::new("refuses-ladder", Moods { ladder: true.into(), ..Moods::default() });
    let (reason, _) = stb.play(4);
    assert_eq!(reason, DARK);
    assert_eq!(stb.play(5), (DARK, vec![]), "told once, before the session was open");
    assert_eq!(stb.moods.handed.load(Ordering::SeqCst), 0, "words that cannot open are kept back");
    stb.moods.ladder.store(false, Ordering::SeqCst);
    assert_eq!(stb.play(6), (LIT, vec![]));
    assert!(stb.moods.handed.load(Ordering::SeqCst) >= 1);
}
