// SPDX-License-Identifier: Apache-2.0
//! A descrambler that refuses, behind the card thread: told once by name, dark meanwhile, well
//! again by itself.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use cam_core::{AccessStatus, Ecw, Event, SessionId};
use cam_types::Pid;
use ecm_emm::scrambling::ScramblingMode;
use stb_shim::clock;
use stb_shim::descrambler::{Descrambler, LadderKeys, Refused};
use stb_shim::events::Notice;
use stb_shim::url::Url;
use stb_shim::vpcd::VpcdReader;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use system_tests::card_thread::CardThread;
use system_tests::demo::{self, NEWS, NOON};
use system_tests::served::{Card, Vcard};
use system_tests::tables;

const VCARD: Vcard = Vcard(env!("CARGO_BIN_EXE_vcard"));

const ECM_PID: Pid = Pid::from_field(0x140);
const VIDEO_PID: Pid = Pid::from_field(0x100);
const PATIENCE: Duration = Duration::from_secs(5);

/// What the chip refuses now, and how often it was handed ECWs.
#[derive(Default)]
struct Moods {
    ladder: AtomicBool,
    cw: AtomicBool,
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

    fn set_cw(&mut self, _: &Ecw<'_>, _: u32) -> Result<(), Refused> {
        self.0.handed.fetch_add(1, Ordering::SeqCst);
        Self::answer(&self.0.cw, "ECWs")
    }

    fn clear(&mut self, _: SessionId) {}
}

struct Stb {
    stb: CardThread,
    moods: Arc<Moods>,
    session: SessionId,
    _card: Card,
}

impl Stb {
    /// With a card that is up, and News open.
    fn new(name: &str, moods: Moods) -> Self {
        let reader = VpcdReader::open(&Url::parse("vpcd:127.0.0.1:0")).unwrap();
        let address = reader.address().unwrap().to_string();
        let card = VCARD.serve_file(name, &demo::file(""), &["--vpcd", &address]);
        let moods = Arc::new(moods);
        let chip = Box::new(Chip(Arc::clone(&moods)));
        let opener = Box::new(|| stb_shim::readers::open("vpcd:127.0.0.1:0"));
        let stb = CardThread::start(demo::paired(), Box::new(reader), opener, chip);
        stb.until_ready(PATIENCE);
        let pmt = tables::pmt(1, ECM_PID, VIDEO_PID, Some(ScramblingMode::CISSA));
        let session = stb.cam.call(|engine, now| engine.session_open(now, 0, &pmt)).unwrap();
        Self { stb, moods, session, _card: card }
    }

    /// The ECM of a crypto period is answered: the reason shown then, and the Health events.
    fn play(&self, period: u32) -> (AccessStatus, Vec<String>) {
        let body = demo::body(NOON.saturating_add(period), demo::subscription());
        let ecm = demo::seal_period(NEWS, period, &body);
        self.stb.cam.section(0, ECM_PID, &ecm).unwrap();
        self.stb.cam.wait_flushed(self.stb.cam.flush(), PATIENCE).unwrap();
        let mut health = Vec::new();
        let mut told = Vec::new();
        while let Some(stamped) = self.stb.cam.events().pop(clock::now, Duration::ZERO) {
            if let Notice::Engine(Event::Access { access, .. }) = stamped.notice {
                told.push(access.reason);
            }
            if let Notice::Health { session, text } = stamped.notice {
                let of_cw = text.contains("control words of session");
                assert_eq!(session, of_cw.then_some(self.session), "{text}");
                health.push(text);
            }
        }
        let access = self.stb.cam.query(|engine| engine.access(self.session)).unwrap();
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

const DARK: AccessStatus = AccessStatus::DESCRAMBLER;
const LIT: AccessStatus = AccessStatus::GRANTED_SUBSCRIPTION;

#[test]
fn ecws_that_are_refused() {
    let stb = Stb::new("refuses-ecws", Moods { cw: true.into(), ..Moods::default() });
    let (reason, health) = stb.play(4);
    assert_eq!(reason, DARK);
    let [text] = health.as_slice() else { panic!("one event, not {health:?}") };
    assert!(text.contains("ECM PID 0x0140") && text.contains("no ECWs today; tomorrow works"));
    assert_eq!(stb.play(5), (DARK, vec![]), "told once");
    stb.moods.cw.store(false, Ordering::SeqCst);
    assert_eq!(stb.play(6), (LIT, vec![]));
    stb.moods.cw.store(true, Ordering::SeqCst);
    let (reason, health) = stb.play(7);
    assert_eq!((reason, health.len()), (DARK, 1), "again, for it was well in between");
}

#[test]
fn a_ladder_that_is_refused() {
    let stb = Stb::new("refuses-ladder", Moods { ladder: true.into(), ..Moods::default() });
    let (reason, _) = stb.play(4);
    assert_eq!(reason, DARK);
    assert_eq!(stb.play(5), (DARK, vec![]), "told once, before the session was open");
    assert_eq!(stb.moods.handed.load(Ordering::SeqCst), 0, "ECWs that cannot open are kept back");
    stb.moods.ladder.store(false, Ordering::SeqCst);
    assert_eq!(stb.play(6), (LIT, vec![]));
    assert!(stb.moods.handed.load(Ordering::SeqCst) >= 1);
}
