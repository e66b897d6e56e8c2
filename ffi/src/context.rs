// SPDX-License-Identifier: Apache-2.0
//! What stands behind a handle: engine, card thread or none, log, event in hand.

use crate::error::{Error, Result};
use crate::host::{stbcam_descrambler_ops_t, stbcam_storage_ops_t};
use crate::host_descrambler::HostDescrambler;
use crate::host_reader::HostReader;
use crate::host_storage::HostStorage;
use crate::log::LogSink;
use crate::result::{
    STBCAM_E_BUSY, STBCAM_E_CLOCK, STBCAM_E_NOMEM, STBCAM_E_PANIC, STBCAM_E_STATE, STBCAM_E_STORAGE,
};
use cam_core::{Config, Engine, Entropy, PinAnswer, PinError, Ticket};
use cam_types::{CaSystemId, Instant, Key, StbId, TerminalId};
use core::time::Duration;
use iso7816::emv::Profile;
use iso7816::line::{Level, Policy};
use stb_shim::cam::{Cam, WaitEnded};
use stb_shim::clock;
use stb_shim::descrambler::{Descrambler, NoDescrambler};
use stb_shim::driver::Driver;
use stb_shim::due::Due;
use stb_shim::reader::{Capabilities, Opener};
use stb_shim::readers;
use stb_shim::storage::{DirectoryStorage, Storage};
use stb_shim::threads;
use std::ffi::CString;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;

/// A checked configuration.
pub(crate) struct Settings {
    pub(crate) threaded: bool,
    pub(crate) profile: Profile,
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
    pub(crate) section_filters: u32,
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
    /// Whoever calls `stbcam_step`, when `due` is readable.
    Caller {
        driver: Mutex<Box<Driver>>,
        due: Due,
    },
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
        let policy = policy(reader.capabilities(), settings.profile)?;
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
        let driver = Driver::new(Arc::clone(&cam), reader, policy, opener, to_descramble, to_store);
        let poisoned = Arc::new(AtomicBool::new(false));
        let runner = if settings.threaded {
            let thread = spawn(driver, &cam, &poisoned, settings.log.clone())?;
            Runner::Thread(Mutex::new(Some(thread)))
        } else {
            let due = Due::new(cam.waker())
                .map_err(|error| Error::system(STBCAM_E_NOMEM, "no descriptor", &error))?;
            Runner::Caller { driver: Mutex::new(Box::new(driver)), due }
        };
        Ok(Arc::new(Self {
            cam,
            runner,
            reader: settings.reader.host(),
            descrambler,
            storage,
            log: settings.log,
            poisoned,
            card_timeout: Duration::from_millis(settings.card_timeout_ms.into()),
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
            Runner::Caller { driver, .. } => {
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
        let (driver, due) = self.caller()?;
        let until = clock::now().after(Duration::from_millis(max_ms.into()));
        let mut driver = lock_driver(driver)?;
        let next = driver.turn(Some(until));
        wait_elsewhere(&driver, due, next)?;
        drop(driver);
        Ok(next.map_or(u32::MAX, |at| {
            // Rounded up: whoever waits so long finds something to do.
            let left = at.since(clock::now()).as_micros().div_ceil(1000);
            u32::try_from(left).unwrap_or(u32::MAX - 1)
        }))
    }

    /// Readable when there is to be another turn.
    pub(crate) fn due(&self) -> Result<BorrowedFd<'_>> {
        Ok(self.caller()?.1.as_fd())
    }

    fn caller(&self) -> Result<(&Mutex<Box<Driver>>, &Due)> {
        match &self.runner {
            Runner::Caller { driver, due } => Ok((driver, due)),
            Runner::Thread(_) => {
                let text = "this context has a card thread, expected STBCAM_CONFIG_NO_THREAD";
                Err(Error::new(STBCAM_E_STATE, text))
            }
        }
    }

    /// Waits until everything that was offered so far is done, as far as the card allows.
    pub(crate) fn flush(&self, timeout: Duration) -> Result {
        let ticket = self.cam.flush();
        self.wait(timeout, |limit| self.cam.wait_flushed(ticket, limit))
    }

    /// Waits for what the card says of a PIN.
    pub(crate) fn pin_answer(
        &self,
        ask: impl FnOnce(&mut Engine, Instant) -> core::result::Result<Ticket, PinError>,
    ) -> Result<PinAnswer> {
        let ticket = self.cam.call(ask)?;
        self.wait(self.card_timeout, |limit| self.cam.wait_pin(ticket, limit))
    }

    /// Waits for the card thread, or does its work meanwhile when there is none.
    fn wait<T>(
        &self,
        timeout: Duration,
        mut wait: impl FnMut(Duration) -> core::result::Result<T, WaitEnded>,
    ) -> Result<T> {
        let Runner::Caller { driver, due } = &self.runner else {
            return Ok(wait(timeout)?);
        };
        let deadline = clock::now().after(timeout);
        let mut driver = lock_driver(driver)?;
        loop {
            let next = driver.turn(Some(deadline));
            wait_elsewhere(&driver, due, next)?;
            match wait(Duration::ZERO) {
                Ok(found) => return Ok(found),
                // Whoever closes waits for the driver, which is ours until we leave.
                Err(_) if self.cam.is_stopping() => return Err(WaitEnded::Stopped.into()),
                Err(ended) if clock::now() >= deadline => return Err(ended.into()),
                Err(_) => {}
            }
        }
    }

    /// The last second that can be counted in microseconds.
    pub(crate) const UTC_MAX: i64 = i64::MAX / 1_000_000;

    /// `source` is one of `STBCAM_UTC_*`. An event whose time is 0 is one from before the time was
    /// known, so that second cannot be told.
    pub(crate) fn set_utc(&self, utc_s: i64, source: i32) -> Result {
        let known = source != Self::NO_SOURCE;
        if known && !(1..=Self::UTC_MAX).contains(&utc_s) {
            let text = format!(
                "utc_s is {utc_s}, expected 1 to {}, or source STBCAM_UTC_UNKNOWN",
                Self::UTC_MAX
            );
            return Err(Error::new(STBCAM_E_CLOCK, text));
        }
        let now = i64::try_from(clock::now().as_micros()).unwrap_or(0);
        let offset = known.then(|| utc_s.saturating_mul(1_000_000).saturating_sub(now));
        self.utc_source.store(source, Ordering::Relaxed);
        self.utc_offset.store(offset.unwrap_or(Self::UTC_UNKNOWN), Ordering::Relaxed);
        Ok(())
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

fn wait_elsewhere(driver: &Driver, due: &Due, next: Option<Instant>) -> Result {
    let armed = driver.wait_elsewhere(due, next);
    armed.map_err(|error| Error::system(STBCAM_E_NOMEM, "no descriptor", &error))
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

/// A checked number: none is larger than 2^24.
fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The storage twice: as the host's table, if it is the host's, and as the library uses it.
fn storage(settings: &Settings) -> Result<(Option<HostStorage>, Box<dyn Storage>)> {
    if let Some(ops) = settings.storage {
        let host = HostStorage::new(ops)?;
        return Ok((Some(host.clone()), Box::new(host)));
    }
    let directory = settings.state_dir.as_deref().filter(|directory| !directory.is_empty());
    let directory = directory
        .ok_or_else(|| Error::argument("state_dir and storage are missing: one is needed"))?;
    let storage = DirectoryStorage::open(directory).map_err(|error| {
        let code = match error.kind() {
            ErrorKind::ResourceBusy => STBCAM_E_BUSY,
            _ => STBCAM_E_STORAGE,
        };
        let mut refused = Error::system(code, &format!("state_dir '{directory}'"), &error);
        if error.raw_os_error().is_some() {
            refused.text += ", expected a directory that this user can make and write to";
        }
        refused
    })?;
    Ok((None, Box::new(storage)))
}

/// How the card is treated: as the reader's address says, or as the configuration does.
fn policy(reader: Capabilities, profile: Profile) -> Result<Policy> {
    if profile == Profile::Iso {
        return Ok(reader.policy());
    }
    if reader.level != Level::Characters {
        return Err(Error::argument(
            "flags: STBCAM_CONFIG_EMV, but the reader speaks T=0 and T=1 by itself, expected one \
             with characters: serial:, iso7816:, or reader_ops with params, write and read",
        ));
    }
    Ok(Capabilities { profile, ..reader }.policy())
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
    config.section_filters = size(settings.section_filters);
    if detects {
        config.idle_poll = None;
    }
    config.stored = stored;
    Ok(config)
}

fn spawn(
    driver: Driver,
    cam: &Arc<Cam>,
    poisoned: &Arc<AtomicBool>,
    log: Option<Arc<LogSink>>,
) -> Result<JoinHandle<()>> {
    let (cam, poisoned) = (Arc::clone(cam), Arc::clone(poisoned));
    // On the heap: each move of the driver itself would leave a copy on a stack.
    let mut driver = Box::new(driver);
    let body = move || {
        let _log = LogSink::enter(log.as_ref());
        if catch_unwind(AssertUnwindSafe(|| driver.run())).is_err() {
            poisoned.store(true, Ordering::Release);
            // The keys go, the picture with them; the rest of the box stays.
            let _ = catch_unwind(AssertUnwindSafe(|| driver.shut_down()));
            cam.stop();
        }
    };
    threads::spawn("stbcam-card", body)
        .map_err(|error| Error::system(STBCAM_E_NOMEM, "no thread", &error))
}

#[cfg(test)]
mod tests;
