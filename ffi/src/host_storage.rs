// SPDX-License-Identifier: Apache-2.0
//! The host's storage as the library's: its table of functions is let go when the context closes.

use crate::callback::callback;
use crate::error::{Error, Result};
use crate::host::stbcam_storage_ops_t;
use crate::size::CStruct;
use stb_shim::storage::Storage;
use std::ffi::CString;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

// SAFETY: repr(C), starts with struct_size, and holds a nullable pointer and optional functions,
// which a caller promises to be what they say.
unsafe impl CStruct for stbcam_storage_ops_t {}

/// The host's storage. Clones share one table.
#[derive(Clone)]
pub(crate) struct HostStorage(Arc<Mutex<StorageState>>);

struct StorageState {
    /// `None` once the context is closed.
    ops: Option<stbcam_storage_ops_t>,
}

// SAFETY: `user` is only handed back to the host's functions, which are called one at a time.
unsafe impl Send for StorageState {}

impl HostStorage {
    /// More than anything that the library keeps.
    const MAX_LEN: usize = 1 << 20;

    /// Refused when a function is missing.
    pub(crate) fn new(ops: stbcam_storage_ops_t) -> Result<Self> {
        let missing = |name| Err(Error::argument(format!("storage.{name} is NULL")));
        if ops.get.is_none() {
            return missing("get");
        }
        if ops.put_durable.is_none() {
            return missing("put_durable");
        }
        Ok(Self(Arc::new(Mutex::new(StorageState { ops: Some(ops) }))))
    }

    /// The host is not called any more once this has returned.
    pub(crate) fn revoke(&self) {
        self.state().ops = None;
    }

    fn state(&self) -> MutexGuard<'_, StorageState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for HostStorage {
    fn get(&mut self, key: &str) -> io::Result<Option<Vec<u8>>> {
        let state = self.state();
        let Some(stbcam_storage_ops_t { get: Some(get), user, .. }) = state.ops else {
            return Err(closed());
        };
        let key = CString::new(key)?;
        let mut octets = vec![0; 1024];
        loop {
            let mut len = 0;
            // SAFETY: the host gave the function and the pointer that belongs to it; the buffer
            // has as many octets as we say.
            let answer = callback(|| unsafe {
                get(user, key.as_ptr(), octets.as_mut_ptr(), octets.len(), &raw mut len)
            });
            match answer {
                0 if len <= octets.len() => {
                    octets.truncate(len);
                    return Ok(Some(octets));
                }
                0 if len <= Self::MAX_LEN => octets.resize(len, 0),
                1 => return Ok(None),
                other => return Err(refused("get", other)),
            }
        }
    }

    fn put(&mut self, key: &str, octets: &[u8]) -> io::Result<()> {
        let state = self.state();
        let Some(stbcam_storage_ops_t { put_durable: Some(put), user, .. }) = state.ops else {
            return Err(closed());
        };
        let key = CString::new(key)?;
        // SAFETY: as above.
        match callback(|| unsafe { put(user, key.as_ptr(), octets.as_ptr(), octets.len()) }) {
            0 => Ok(()),
            other => Err(refused("put_durable", other)),
        }
    }
}

fn closed() -> io::Error {
    io::Error::other("the context is closed")
}

fn refused(function: &str, answer: i32) -> io::Error {
    io::Error::other(format!("the box's storage answered {answer} to {function}"))
}
