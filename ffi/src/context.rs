// SPDX-License-Identifier: Apache-2.0
//! What stands behind a handle: engine, card thread or none, log, event in hand.

use crate::error::{Error, Result};
use crate::host::{stbcam_descrambler_ops_t, stbcam_storage_ops_t};
use crate::host_descrambler::HostDescrambler;
use crate::host_reader::HostReader;
use crate::host_storage::HostStorage;
use crate::log::LogSink;
use crate::result::{
    STBCAM_E_BUSY, STBCAM_E_NOMEM, STBCAM_E_PANIC, STBCAM_E_STATE, STBCAM_E_STORAGE,
};
use cam_core::{Config, Engine, Entropy, PinAnswer, PurchaseError, Ticket};
use cam_types::{CaSystemId, Instant, Key, StbId, TerminalId};
use core::time::Duration;
use stb_shim::cam::Cam;
use stb_shim::clock;
use stb_shim::descrambler::{Descrambler, NoDescrambler};
use stb_shim::driver::Driver;
use stb_shim::reader::Opener;
use stb_shim::readers;
use stb_shim::storage::{DirectoryStorage, Storage};
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};

/// A checked configuration.
pub(crate) struct Settings {
    pub(crate) threaded: bool,
    pub(crate) card_timeout_ms: u32,
    pub(crate) reader: ReaderChoice,
    pub(crate) state_dir: Option<String>,
    pub(crate) language: Option<String>,
    pub(crate) ca_system_ids: Vec<u16>,
    pub(crate) stb_id: [u8; 8],
    pub(crate) terminal_id: [u8; 6],
    pub(crate) box_key: Key,
    pub(crate) descrambler: Option<stbcam_descrambler_ops_t>,
    pub(crate) storage: Option<stbcam_storage_ops_t>,
    pub(crate) log: Option<Arc<LogSink>>,
    pub(crate) max_sessions: u32,
    pub(crate) emm_queue: u32,
    pub(crate) event_queue: u32,
    pub(crate) section_ring: u32,
}

/// Where the card is.
pub(crate) enum ReaderChoice {
    /// One of the library's readers, by its URL.
    Url(String),
    /// The host's own.
    Host(HostReader),
}

impl ReaderChoice {
    fn opener(&self) -> Box<Opener> {
        match self {
            Self::Url(url) => {
                let url = url.clone();
                Box::new(move || readers::open(&url))
            }
            Self::Host(host) => {
                let host = host.clone();
                Box::new(move || host.open())
            }
        }
    }

    fn host(self) -> Option<HostReader> {
        match self {
            Self::Url(_) => None,
            Self::Host(host) => Some(host),
        }
    }
}

pub(crate) struct Context {
    pub(crate) cam: Arc<Cam>,
    runner: Runner,
    reader: Option<HostReader>,
    descrambler: Option<HostDescrambler>,
    storage: Option<HostStorage>,
    log: Option<Arc<LogSink>>,
    poisoned: Arc<AtomicBool>,
    card_timeout: Duration,
    ca_system_ids: Vec<CaSystemId>,
    language: Option<String>,
    /// Microseconds from the monotonic clock to UTC; `i64::MIN` while it is not known.
    utc_offset: AtomicI64,
    /// One of `STBCAM_UTC_*`.
    utc_source: AtomicI32,
    /// The text of the event that was taken last: it lives until the next one is.
    event_text: Mutex<CString>,
}

/// Who does the card thread's work.
enum Runner {
    Thread(Mutex<Option<JoinHandle<()>>>),
    /// Whoever calls `stbcam_step`.
    Caller(Mutex<Box<Driver>>),
}

/// The system's random numbers.
struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, octets: &mut [u8]) {
        // Without random numbers no session with the card may be opened; the guard turns this
        // into STBCAM_E_PANIC.
        getrandom::fill(octets).expect("the system has random numbers");
    }
}

impl Context {
    const UTC_UNKNOWN: i64 = i64::MIN;
    /// `STBCAM_UTC_UNKNOWN`.
    pub(crate) const NO_SOURCE: i32 = 0;

    pub(crate) fn open(settings: Settings) -> Result<Arc<Self>> {
        let _log = LogSink::enter(settings.log.as_ref());
        let descrambler = settings.descrambler.map(HostDescrambler::new).transpose()?;
        let (storage, mut to_store) = storage(&settings)?;
        let mut opener = settings.reader.opener();
        let reader = opener()?;
        let (events, ring) = (size(settings.event_queue), size(settings.section_ring));
        let config = engine_config(&settings, reader.capabilities().detect, &mut *to_store)?;
        let ca_system_ids = config.ca_system_ids.clone();
        let cam = Cam::new(Engine::new(config), ring, events)
            .map_err(|error| Error::system(STBCAM_E_NOMEM, "no descriptor", &error))?;
        let cam = Arc::new(cam);
        let to_descramble: Box<dyn Descrambler> = match &descrambler {
            Some(host) => Box::new(host.clone()),
            None => Box::new(NoDescrambler),
        };
        let driver = Driver::new(Arc::clone(&cam), reader, opener, to_descramble, to_store);
        let poisoned = Arc::new(AtomicBool::new(false));
        let runner = if settings.threaded {
            let thread = spawn(driver, &cam, &poisoned, settings.log.clone())?;
            Runner::Thread(Mutex::new(Some(thread)))
        } else {
            Runner::Caller(Mutex::new(Box::new(driver)))
        };
        Ok(Arc::new(Self {
            cam,
            runner,
            reader: settings.reader.host(),
            descrambler,
            storage,
            log: settings.log,
            poisoned,
            card_timeout: Duration::from_millis(settings.card_timeout_ms.max(1).into()),
            ca_system_ids,
            language: settings.language,
            utc_offset: AtomicI64::new(Self::UTC_UNKNOWN),
            utc_source: AtomicI32::new(Self::NO_SOURCE),
            event_text: Mutex::default(),
        }))
    }

    /// Refuses to go on after a panic.
    pub(crate) fn check(&self) -> Result {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::plain(STBCAM_E_PANIC));
        }
        Ok(())
    }

    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    pub(crate) const fn log(&self) -> Option<&Arc<LogSink>> {
        self.log.as_ref()
    }

    pub(crate) fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    pub(crate) fn is_our_ca(&self, id: u16) -> bool {
        self.ca_system_ids.contains(&CaSystemId::new(id))
    }

    /// Ends everything, in the order that leaves no key behind.
    pub(crate) fn close(&self) -> Result {
        let _log = LogSink::enter(self.log.as_ref());
        if let Some(descrambler) = &self.descrambler {
            descrambler.revoke();
        }
        if let Some(reader) = &self.reader {
            reader.close();
        }
        self.cam.stop();
        let ended = match &self.runner {
            Runner::Thread(thread) => {
                let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
                let ended = self.cam.wait_stopped(self.card_timeout);
                if let (Ok(()), Some(thread)) = (ended, thread) {
                    // It has nothing left to do; a panic was caught inside.
                    let _ = thread.join();
                }
                ended
            }
            Runner::Caller(driver) => {
                driver.lock().unwrap_or_else(PoisonError::into_inner).shut_down();
                Ok(())
            }
        };
        if let Some(reader) = &self.reader {
            reader.revoke();
        }
        if let Some(storage) = &self.storage {
            storage.revoke();
        }
        if let Some(log) = &self.log {
            log.revoke();
        }
        ended.map_err(Error::from)
    }

    /// One turn of the card thread's work; how many milliseconds there may be until the next.
    pub(crate) fn step(&self, max_ms: u32) -> Result<u32> {
        let Runner::Caller(driver) = &self.runner else {
            return Err(Error::new(STBCAM_E_STATE, "this context has a card thread"));
        };
        let until = clock::now().after(Duration::from_millis(max_ms.into()));
        let mut driver = lock_driver(driver)?;
        let next = driver.turn(Some(until));
        drop(driver);
        Ok(next.map_or(u32::MAX, |at| {
            // Rounded up: whoever waits so long finds something to do.
            let left = at.since(clock::now()).as_micros().div_ceil(1000);
            u32::try_from(left).unwrap_or(u32::MAX - 1)
        }))
    }

    /// Waits until everything that was offered so far is done, as far as the card allows.
    pub(crate) fn flush(&self, timeout: Duration) -> Result {
        let ticket = self.cam.flush();
        self.wait(timeout, |limit| self.cam.wait_flushed(ticket, limit))
    }

    /// Waits for what the card says of a PIN.
    pub(crate) fn pin_answer(
        &self,
        ask: impl FnOnce(&mut Engine, Instant) -> core::result::Result<Ticket, PurchaseError>,
    ) -> Result<PinAnswer> {
        let ticket = self.cam.call(ask)?;
        self.wait(self.card_timeout, |limit| self.cam.wait_pin(ticket, limit))
    }

    /// Waits for the card thread, or does its work meanwhile when there is none.
    fn wait<T>(
        &self,
        timeout: Duration,
        mut wait: impl FnMut(Duration) -> core::result::Result<T, stb_shim::cam::WaitEnded>,
    ) -> Result<T> {
        let Runner::Caller(driver) = &self.runner else {
            return Ok(wait(timeout)?);
        };
        let deadline = clock::now().after(timeout);
        let mut driver = lock_driver(driver)?;
        loop {
            driver.turn(Some(deadline));
            match wait(Duration::ZERO) {
                Ok(found) => return Ok(found),
                Err(ended) if clock::now() >= deadline => return Err(ended.into()),
                Err(_) => {}
            }
        }
    }

    /// `source` is one of `STBCAM_UTC_*`.
    pub(crate) fn set_utc(&self, utc_s: i64, source: i32) {
        let utc_s = (source != Self::NO_SOURCE).then_some(utc_s);
        let now = i64::try_from(clock::now().as_micros()).unwrap_or(0);
        let offset = utc_s.and_then(|utc| utc.checked_mul(1_000_000)?.checked_sub(now));
        let source = offset.map_or(Self::NO_SOURCE, |_| source);
        self.utc_source.store(source, Ordering::Relaxed);
        self.utc_offset.store(offset.unwrap_or(Self::UTC_UNKNOWN), Ordering::Relaxed);
    }

    /// Where the time comes from, one of `STBCAM_UTC_*`.
    pub(crate) fn utc_source(&self) -> i32 {
        self.utc_source.load(Ordering::Relaxed)
    }

    /// A moment as seconds of the Unix epoch, 0 while the time is not known.
    pub(crate) fn utc(&self, at: Instant) -> i64 {
        match self.utc_offset.load(Ordering::Relaxed) {
            Self::UTC_UNKNOWN => 0,
            offset => {
                let at = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
                offset.saturating_add(at).div_euclid(1_000_000)
            }
        }
    }

    pub(crate) fn event_text(&self) -> MutexGuard<'_, CString> {
        self.event_text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock_driver(driver: &Mutex<Box<Driver>>) -> Result<MutexGuard<'_, Box<Driver>>> {
    match driver.try_lock() {
        Ok(driver) => Ok(driver),
        Err(TryLockError::WouldBlock) => {
            Err(Error::new(STBCAM_E_BUSY, "another thread does the card thread's work"))
        }
        Err(TryLockError::Poisoned(_)) => Err(Error::plain(STBCAM_E_PANIC)),
    }
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX).clamp(1, 1 << 24)
}

/// The storage twice: as the host's table, if it is the host's, and as the library uses it.
fn storage(settings: &Settings) -> Result<(Option<HostStorage>, Box<dyn Storage>)> {
    if let Some(ops) = settings.storage {
        let host = HostStorage::new(ops)
            .ok_or_else(|| Error::argument("a function of storage is missing"))?;
        return Ok((Some(host.clone()), Box::new(host)));
    }
    let directory = settings.state_dir.as_deref().filter(|directory| !directory.is_empty());
    let directory = directory
        .ok_or_else(|| Error::argument("state_dir and storage are missing: one is needed"))?;
    let storage = DirectoryStorage::open(directory).map_err(|error| {
        Error::system(STBCAM_E_STORAGE, &format!("state_dir '{directory}'"), &error)
    })?;
    Ok((None, Box::new(storage)))
}

fn engine_config(settings: &Settings, detects: bool, storage: &mut dyn Storage) -> Result<Config> {
    let mut stored = Vec::new();
    for key in Engine::storage_keys() {
        let row = storage
            .get(&key)
            .map_err(|error| Error::system(STBCAM_E_STORAGE, &format!("row '{key}'"), &error))?;
        stored.extend(row.map(|row| (key, row)));
    }
    let mut config =
        Config::new(StbId::new(settings.stb_id), settings.box_key.clone(), Box::new(SystemEntropy));
    if !settings.ca_system_ids.is_empty() {
        config.ca_system_ids =
            settings.ca_system_ids.iter().copied().map(CaSystemId::new).collect();
    }
    if settings.terminal_id != [0; 6] {
        config.terminal = TerminalId::new(settings.terminal_id);
    }
    config.max_sessions = size(settings.max_sessions);
    config.emm_queue = size(settings.emm_queue);
    if detects {
        config.idle_poll = None;
    }
    config.stored = stored;
    Ok(config)
}

fn spawn(
    mut driver: Driver,
    cam: &Arc<Cam>,
    poisoned: &Arc<AtomicBool>,
    log: Option<Arc<LogSink>>,
) -> Result<JoinHandle<()>> {
    let (cam, poisoned) = (Arc::clone(cam), Arc::clone(poisoned));
    let body = move || {
        let _log = LogSink::enter(log.as_ref());
        if catch_unwind(AssertUnwindSafe(|| driver.run())).is_err() {
            poisoned.store(true, Ordering::Release);
            // The keys go, the picture with them; the rest of the box stays.
            let _ = catch_unwind(AssertUnwindSafe(|| driver.shut_down()));
            cam.stop();
        }
    };
    thread::Builder::new()
        .name("stbcam-card".to_owned())
        .spawn(body)
        .map_err(|error| Error::system(STBCAM_E_NOMEM, "no thread", &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{CONTEXTS, guard};
    use crate::result::{STBCAM_E_ARG, STBCAM_OK};
    use crate::types::stbcam_t;
    use nix::pty::openpty;
    use std::os::fd::OwnedFd;

    /// A context on a serial port with nothing behind it, and the port's other end.
    fn context(name: &str) -> (Arc<Context>, OwnedFd) {
        let pty = openpty(None, None).unwrap();
        let path = nix::unistd::ttyname(&pty.slave).unwrap();
        let state = std::env::temp_dir().join(format!("stbcam-{name}-{}", std::process::id()));
        let context = Context::open(Settings {
            threaded: true,
            card_timeout_ms: 5000,
            reader: ReaderChoice::Url(format!("serial:{}", path.display())),
            state_dir: Some(state.display().to_string()),
            language: None,
            ca_system_ids: Vec::new(),
            stb_id: *b"STB00001",
            terminal_id: [0; 6],
            box_key: Key::new([0x42; 16]),
            descrambler: None,
            storage: None,
            log: None,
            max_sessions: 4,
            emm_queue: 4,
            event_queue: 4,
            section_ring: 4096,
        });
        let _ = std::fs::remove_dir(state);
        (context.unwrap(), pty.master)
    }

    /// We would rather lose one context than the box: the others go on.
    #[test]
    fn a_panic_poisons_its_context_and_no_other() {
        let (one, _one_port) = context("panic");
        let (other, _other_port) = context("healthy");
        let one: *mut stbcam_t = CONTEXTS.insert(one);
        let other: *mut stbcam_t = CONTEXTS.insert(other);
        assert_eq!(guard(one, |_| Ok(())), STBCAM_OK);
        assert_eq!(guard(one, |_| panic!("a test of the guard")), STBCAM_E_PANIC);
        assert_eq!(guard(one, |_| Ok(())), STBCAM_E_PANIC);
        assert_eq!(guard(other, |_| Ok(())), STBCAM_OK);
        assert_eq!(crate::stbcam_close(one), STBCAM_OK);
        assert_eq!(crate::stbcam_close(one), STBCAM_E_ARG);
        assert_eq!(crate::stbcam_close(other), STBCAM_OK);
    }

    /// The text names the parameter, what it had and what would work.
    #[test]
    fn refusals_name_the_parameter_and_what_it_had() {
        use core::ptr::null_mut;
        let (context, _port) = context("texts");
        let cam: *mut stbcam_t = CONTEXTS.insert(context);
        let long = [&[0x80, 0x7F, 0xFF][..], &[0; 4095]].concat();
        let (mut room, mut session) = (1, 0);
        // SAFETY: what is given is there, or NULL, which is refused.
        let section = |source, octets: &[u8]| unsafe {
            crate::stbcam_section(cam, source, 0x140, octets.as_ptr(), octets.len())
        };
        // SAFETY: as above.
        let open = |source, out| unsafe {
            crate::stbcam_session_open_pmt(cam, source, long.as_ptr(), long.len(), out)
        };
        // SAFETY: as above.
        let filters = |count| unsafe {
            let elem_size = size_of::<crate::stbcam_filter_t>();
            crate::stbcam_filters(cam, null_mut(), elem_size, count)
        };
        // SAFETY: as above.
        let ca_pmt = || unsafe { crate::stbcam_ca_pmt(cam, 0, long.as_ptr(), 1, null_mut()) };
        // SAFETY: as above.
        let init = || unsafe { crate::stbcam_config_init(null_mut(), 8) };
        let told = |result, named| {
            assert_ne!(result, STBCAM_OK, "{named}");
            let text = crate::error::last().text;
            assert!(text.starts_with(named), "{named}: {text}");
        };
        told(section(16, &long), "source is 16, expected 0 to 15");
        told(
            section(0, &long[..9]),
            "the section has 9 octets, expected 4098 by its section_length",
        );
        told(section(0, &long[..2]), "the section has 2 octets, expected 3 by its section_length");
        told(section(0, &long), "the section has 4098 octets, expected at most 4096");
        told(open(0, null_mut()), "out is NULL");
        told(open(16, &mut session), "source is 16, expected 0 to 15");
        told(ca_pmt(), "reply is NULL");
        told(filters(null_mut()), "count is NULL");
        told(filters(&mut room), "array is NULL");
        told(init(), "config is NULL");
        assert_eq!(crate::stbcam_close(cam), STBCAM_OK);
    }
}
