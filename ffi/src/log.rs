// SPDX-License-Identifier: Apache-2.0
//! Log records on their way to the host's function: those of a context go to its own.

use crate::callback::callback;
use crate::host::stbcam_log_fn;
use core::cell::RefCell;
use core::ffi::c_void;
use log::{Level, LevelFilter, Metadata, Record};
use std::ffi::CString;
use std::sync::{Arc, Mutex, Once, PoisonError};

/// The log function of one context.
pub(crate) struct LogSink {
    target: Mutex<Target>,
    level: LevelFilter,
}

struct Target {
    function: stbcam_log_fn,
    user: *mut c_void,
}

// SAFETY: `user` is only handed back to the host's function, which takes calls from any thread.
unsafe impl Send for Target {}

thread_local! {
    static CURRENT: RefCell<Option<Arc<LogSink>>> = const { RefCell::new(None) };
}

impl LogSink {
    /// A sink for a host's function; `level` is one of `STBCAM_LOG_*`.
    pub(crate) fn new(function: stbcam_log_fn, user: *mut c_void, level: i32) -> Option<Arc<Self>> {
        function?;
        let level = match level {
            ..=0 => LevelFilter::Off,
            1 => LevelFilter::Error,
            2 => LevelFilter::Warn,
            3 => LevelFilter::Info,
            4 => LevelFilter::Debug,
            _ => LevelFilter::Trace,
        };
        install();
        Some(Arc::new(Self { target: Mutex::new(Target { function, user }), level }))
    }

    /// From now on, until the answer is dropped, what this thread logs goes to `sink`.
    pub(crate) fn enter(sink: Option<&Arc<Self>>) -> Entered {
        Entered(CURRENT.replace(sink.cloned()))
    }

    /// The host's function is not called any more once this has returned.
    pub(crate) fn revoke(&self) {
        self.target.lock().unwrap_or_else(PoisonError::into_inner).function = None;
    }

    fn write(&self, record: &Record<'_>) {
        if record.level() > self.level {
            return;
        }
        let level = match record.level() {
            Level::Error => 1,
            Level::Warn => 2,
            Level::Info => 3,
            Level::Debug => 4,
            Level::Trace => 5,
        };
        let origin = CString::new(record.target()).unwrap_or_default();
        let text = CString::new(record.args().to_string().replace('\0', " ")).unwrap_or_default();
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = target.function {
            callback(|| {
                // SAFETY: the host gave the function and the pointer that belongs to it; both
                // texts end with a zero and live until it returns.
                unsafe { function(target.user, level, origin.as_ptr(), text.as_ptr()) }
            });
        }
    }
}

/// Puts the former sink of the thread back.
pub(crate) struct Entered(Option<Arc<LogSink>>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        CURRENT.with_borrow(Option::is_some)
    }

    fn log(&self, record: &Record<'_>) {
        let sink = CURRENT.with_borrow(Clone::clone);
        if let Some(sink) = sink {
            sink.write(record);
        }
    }

    fn flush(&self) {}
}

/// A program in Rust may have set a logger before; then that one has the records.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if log::set_logger(&Logger).is_ok() {
            log::set_max_level(LevelFilter::Trace);
        }
    });
}
