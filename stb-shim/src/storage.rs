// SPDX-License-Identifier: Apache-2.0
//! The few things that the library keeps over a restart, durable before a call returns.
//!
//! They are a pairing, still sealed under the box's key, and the numbers of purchases. None of
//! them is a secret in clear.

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Where the library keeps what must survive a restart.
pub trait Storage: Send {
    /// The octets stored under `key`, or `None` when there are none.
    fn get(&mut self, key: &str) -> io::Result<Option<Vec<u8>>>;
    /// Stores octets under `key`: either all of them or the old ones are there after a power cut,
    /// and all of them once this has returned.
    fn put(&mut self, key: &str, octets: &[u8]) -> io::Result<()>;
}

/// A directory with one file for each key.
pub struct DirectoryStorage {
    directory: PathBuf,
}

impl DirectoryStorage {
    /// More than anything that the library keeps.
    const MAX_LEN: u64 = 1 << 20;

    /// Uses `directory`, which is made when it is not there.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// A key is a file name: letters, digits, `-`, `_` and `.`, and not hidden.
    fn path(&self, key: &str) -> io::Result<PathBuf> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
        if key.is_empty() || key.len() > 64 || key.starts_with('.') || !key.bytes().all(allowed) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{key:?} cannot be the name of a file"),
            ));
        }
        Ok(self.directory.join(key))
    }

    /// A rename is durable when its directory is.
    fn sync_directory(&self) -> io::Result<()> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let directory = open(&self.directory, flags, Mode::empty())?;
        nix::unistd::fsync(&directory)?;
        Ok(())
    }

    /// Forgets `key`. There is no harm in forgetting what was not there. The library forgets
    /// nothing: this is for tools.
    pub fn delete(&mut self, key: &str) -> io::Result<()> {
        match fs::remove_file(self.path(key)?) {
            Ok(()) => self.sync_directory(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Where the records are, one file each.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Storage for DirectoryStorage {
    fn get(&mut self, key: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(key)?) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut octets = Vec::new();
        file.take(Self::MAX_LEN).read_to_end(&mut octets)?;
        Ok(Some(octets))
    }

    fn put(&mut self, key: &str, octets: &[u8]) -> io::Result<()> {
        let path = self.path(key)?;
        let fresh = self.directory.join(format!(".{key}.new"));
        let mut file = File::create(&fresh)?;
        file.write_all(octets)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        self.sync_directory()
    }
}

/// Storage that lasts as long as the process: for a box that asks for none.
#[derive(Default)]
pub struct MemoryStorage {
    entries: std::collections::BTreeMap<String, Vec<u8>>,
}

impl Storage for MemoryStorage {
    fn get(&mut self, key: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.entries.get(key).cloned())
    }

    fn put(&mut self, key: &str, octets: &[u8]) -> io::Result<()> {
        self.entries.insert(key.to_owned(), octets.to_vec());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("stbcam-storage-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn what_was_put_is_there_after_opening_again() {
        let path = scratch("again").join("deep");
        let mut storage = DirectoryStorage::open(&path).unwrap();
        assert_eq!(storage.get("pairing").unwrap(), None);
        storage.put("pairing", b"one").unwrap();
        storage.put("pairing", b"the other").unwrap();
        let mut storage = DirectoryStorage::open(&path).unwrap();
        assert_eq!(storage.get("pairing").unwrap().as_deref(), Some(b"the other".as_slice()));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "no file is left over");
        storage.delete("pairing").unwrap();
        storage.delete("pairing").unwrap();
        assert_eq!(storage.get("pairing").unwrap(), None);
        fs::remove_dir_all(scratch("again")).unwrap_or(());
    }

    /// A power cut between the two steps of `put` leaves the new file behind, half written.
    #[test]
    fn a_file_that_was_not_finished_does_not_count() {
        let path = scratch("cut");
        let mut storage = DirectoryStorage::open(&path).unwrap();
        storage.put("purchases", b"old").unwrap();
        fs::write(path.join(".purchases.new"), b"ne").unwrap();
        let mut storage = DirectoryStorage::open(&path).unwrap();
        assert_eq!(storage.get("purchases").unwrap().as_deref(), Some(b"old".as_slice()));
        storage.put("purchases", b"new").unwrap();
        assert_eq!(storage.get("purchases").unwrap().as_deref(), Some(b"new".as_slice()));
        fs::remove_dir_all(path).unwrap_or(());
    }

    #[test]
    fn a_key_cannot_leave_the_directory() {
        let mut storage = DirectoryStorage::open(scratch("escape")).unwrap();
        for key in ["", ".", "..", "../x", "a/b", ".hidden", "a\0b", &"x".repeat(65)] {
            assert_eq!(storage.put(key, b"").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        fs::remove_dir_all(scratch("escape")).unwrap_or(());
    }
}
