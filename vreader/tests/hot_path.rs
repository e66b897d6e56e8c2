// SPDX-License-Identifier: Apache-2.0
//! Once warm, an ECM takes nothing from the heap on all its way: ring, card thread, engine, secure
//! messaging, card line, reader, and back to the descrambler. The card is another process.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, KeyInit};
use cam_core::{Ecw, Engine, SessionId};
use cam_types::{ControlWord, Key, Parity, Pid};
use ecm_emm::ecm::{self, EcmBody};
use ecm_emm::scrambling::ScramblingMode;
use stb_shim::cam::Cam;
use stb_shim::clock;
use stb_shim::descrambler::{Descrambler, LadderKeys, Refused};
use stb_shim::reader::Reader;
use stb_shim::readers;
use stb_shim::soft_descrambler::SoftDescrambler;
use stb_shim::url::Url;
use stb_shim::vpcd::VpcdReader;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use system_tests::card_thread::CardThread;
use system_tests::demo::{self, K_CW, NEWS, NOON};
use system_tests::served::Vcard;
use system_tests::tables;

const VCARD: Vcard = Vcard(env!("CARGO_BIN_EXE_vcard"));

const ECM_PID: Pid = Pid::from_field(0x140);
const VIDEO_PID: Pid = Pid::from_field(0x100);

const WARM_UP: usize = 100;
const COUNTED: usize = 200;

/// How long the test waits for the card.
const PATIENCE: Duration = Duration::from_secs(5);

/// The control word of a crypto period: each its own.
fn cw(period: u32) -> [u8; 16] {
    u128::from(period).to_be_bytes()
}

/// The control words that are in the ECM of a crypto period, even and odd.
fn cws(period: u32) -> ([u8; 16], [u8; 16]) {
    match Parity::of_crypto_period(period) {
        Parity::Even => (cw(period), cw(period + 1)),
        Parity::Odd => (cw(period + 1), cw(period)),
    }
}

/// The descrambler in software, and how often it got the right ones.
struct Counted {
    software: Arc<SoftDescrambler>,
    right: Arc<AtomicU32>,
}

impl Descrambler for Counted {
    fn load_ladder(&mut self, keys: &LadderKeys<'_>) -> Result<(), Refused> {
        Descrambler::load_ladder(&mut self.software, keys)
    }

    fn set_cw(&mut self, ecw: &Ecw<'_>, period_ms: u32) -> Result<(), Refused> {
        let opened = |encrypted: &[u8; 16]| {
            let mut block = (*encrypted).into();
            Aes128::new(&K_CW.into()).decrypt_block(&mut block);
            <[u8; 16]>::from(block)
        };
        if (opened(ecw.even), opened(ecw.odd)) == cws(ecw.crypto_period) {
            self.right.fetch_add(1, Ordering::SeqCst);
        }
        Descrambler::set_cw(&mut self.software, ecw, period_ms)
    }

    fn clear(&mut self, session: SessionId) {
        Descrambler::clear(&mut self.software, session);
    }
}

/// The ECMs of News, a crypto period each.
fn ecms() -> Vec<Vec<u8>> {
    let ecm = |period| {
        let (even, odd) = cws(period);
        let cw =
            ecm::ControlWords::Cw128 { even: ControlWord::new(even), odd: ControlWord::new(odd) };
        let body = demo::body(NOON.saturating_add(period), demo::subscription());
        demo::seal_period(NEWS, period, &EcmBody { cw, ..body })
    };
    (0..(WARM_UP + COUNTED) as u32).map(ecm).collect()
}

/// Puts every ECM into the ring as soon as the card has answered the one before.
fn zap(cam: &Cam, ecms: &[Vec<u8>], right: &AtomicU32, sessions: u32) {
    for ecm in ecms {
        let before = right.load(Ordering::SeqCst);
        cam.section(0, ECM_PID, ecm).unwrap();
        cam.wait_flushed(cam.flush(), PATIENCE).unwrap();
        let handed = right.load(Ordering::SeqCst) - before;
        assert_eq!(handed, sessions, "control words for each ECM and session");
        while cam.events().pop(clock::now, Duration::ZERO).is_some() {}
    }
}

/// What all threads of the process allocate for ECMs when cold, and when warm.
fn allocations(
    url: &str,
    reader: Box<dyn Reader>,
    mode: ScramblingMode,
    sessions: u32,
) -> (usize, usize) {
    let software = Arc::new(SoftDescrambler::new(&Key::new([0x70; 16])));
    let right = Arc::new(AtomicU32::new(0));
    let keys = Box::new(Counted { software, right: Arc::clone(&right) });
    let again = url.to_owned();
    let opener = Box::new(move || readers::open(&again));
    let stb = CardThread::start(demo::paired(), reader, opener, keys);
    stb.until_ready(PATIENCE);
    let cam = &stb.cam;
    let pmt = tables::pmt(1, ECM_PID, VIDEO_PID, Some(mode));
    for _ in 0..sessions {
        cam.call(|engine, now| engine.session_open(now, 0, &pmt)).unwrap();
    }
    let ecms = ecms();
    let (cold, warm) = ecms.split_at(WARM_UP);
    let counts = [cold, warm].map(|ecms| {
        let before = allocations::everywhere();
        zap(cam, ecms, &right, sessions);
        allocations::everywhere() - before
    });
    let stats = cam.query(Engine::stats);
    assert_eq!(stats.ecm_sent, ecms.len() as u64);
    assert_eq!(stats.cw_out, stats.ecm_sent * u64::from(sessions));
    counts.into()
}

/// One test, so that no other thread of the process is at work.
#[test]
fn a_warm_ecm_allocates_nothing_from_ring_to_descrambler() {
    let file = demo::file("");
    let csa = ScramblingMode::CSA2;
    for (scheme, line, protocol, mode) in [
        ("serial", "phoenix", "t1", csa),
        ("serial", "phoenix", "t0", csa),
        ("gempc", "gempc-twin", "t1", csa),
        ("gempc", "gempc-twin", "t0", csa),
        ("serial", "phoenix", "t1", ScramblingMode::CISSA),
    ] {
        let name = format!("heap-{scheme}-{protocol}-{}", mode.0);
        let options = ["--link", "port", "--line", line, "--protocol", protocol];
        let card = VCARD.serve_file(&name, &file, &options);
        let url = card.url(scheme);
        let (cold, warm) = allocations(&url, readers::open(&url).unwrap(), mode, 1);
        assert!(cold > 0, "{name}: the counter counts");
        assert_eq!(warm, 0, "{name}");
    }
    let url = "vpcd:127.0.0.1:0";
    // As many as a host may have, all of them on the stream of one answer.
    for sessions in [1, 8, 16] {
        let reader = VpcdReader::open(&Url::parse(url)).unwrap();
        let address = reader.address().unwrap().to_string();
        let name = format!("heap-vpcd-{sessions}");
        let _card = VCARD.serve_file(&name, &file, &["--vpcd", &address]);
        let (cold, warm) = allocations(url, Box::new(reader), csa, sessions);
        assert!(cold > 0, "{name}: the counter counts");
        assert_eq!(warm, 0, "{name}");
    }
}
