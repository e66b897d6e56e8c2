// SPDX-License-Identifier: Apache-2.0
//! The few things that the library keeps over a restart, durable before a call returns.
//!
//! They are a pairing, still sealed under the box's key, and the numbers of purchases. None of
//! them is a secret in clear.

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where the library keeps what must survive a restart.
pub trait Storage: Send {
    /// The octets stored under `key`, or `None` when there are none.
    fn get(&mut self, key: &str) -> io::Result<Option<Vec<u8>>>;
    /// Stores octets under `key`: either all of them or the old ones are there after a power cut,
    /// and all of them once this has returned.
    fn put(&mut self, key: &str, octets: &[u8]) -> io::Result<()>;
}

/// A directory with one file for each key, which only its owner may read, and which one user at a
/// time has: another context or process is refused while it is open.
pub struct DirectoryStorage {
    directory: PathBuf,
    /// The directory itself, locked. Files are found from here, wherever its path leads later.
    held: File,
}

/// What a file of another program may not be, and what to do about it.
const EXPECTED: &str = "expected a regular file: move it away";

impl DirectoryStorage {
    /// More than anything that the library keeps.
    const MAX_LEN: u64 = 1 << 20;
    /// What [`DirectoryStorage::open`] writes to see that it can be done: more than any row that
    /// the library writes while it runs.
    const PROBE: [u8; 4096] = [0; 4096];
    /// Its file.
    const PROBE_NAME: &str = ".probe";

    /// Uses `directory`, which is made when it is not there. What a later `put` needs is tried
    /// here: a file that is written, durable and gone again.
    ///
    /// [`io::ErrorKind::ResourceBusy`]: somebody else has it.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        let held = match open_directory(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_directory(&directory)?;
                open_directory(&directory)
            }
            opened => opened,
        };
        let held = held.map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
            Some(why @ Errno::ENOTDIR) => refused(why, "is no directory, expected one"),
            _ => error,
        })?;
        match held.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let why = "another context or process uses it, expected a directory for each";
                let errno = Some(Errno::EWOULDBLOCK as i32);
                let refusal = Refusal { errno, why: why.to_owned() };
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, refusal));
            }
            // NFS has no locks on directories, and a box that boots from it must work.
            Err(TryLockError::Error(why)) => {
                let path = directory.display();
                log::warn!("{path} cannot be locked: {why}; only one context may use it");
            }
        }
        let storage = Self { directory, held };
        storage.probe()?;
        Ok(storage)
    }

    /// Writes and forgets a file: a file system that is full or read-only shows now, not when a
    /// purchase has to be written down.
    fn probe(&self) -> io::Result<()> {
        self.write_fresh(Self::PROBE_NAME, &Self::PROBE)?;
        unlinkat(&self.held, Self::PROBE_NAME, UnlinkatFlags::NoRemoveDir)?;
        self.held.sync_all()
    }

    /// A new file under a name of ours; one that a power cut has left there goes.
    fn write_fresh(&self, name: &str, octets: &[u8]) -> io::Result<()> {
        self.remove(name)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let owner = Mode::S_IRUSR | Mode::S_IWUSR;
        let mut file = File::from(openat(&self.held, name, flags | OFlag::O_NOFOLLOW, owner)?);
        let written = file.write_all(octets).and_then(|()| file.sync_all());
        if written.is_err() {
            // Half of a file helps nobody, least of all where there is no room.
            let _ = self.remove(name);
        }
        written
    }

    /// Removes a file, if there is one. Whether there was.
    fn remove(&self, name: &str) -> io::Result<bool> {
        match unlinkat(&self.held, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(why @ Errno::EISDIR) => {
                Err(refused(why, &format!("{name} is a directory, {EXPECTED}")))
            }
            Err(why) => Err(why.into()),
        }
    }

    /// Whether a file is there. What is no file is refused: nobody knows what opening it would do.
    fn is_there(&self, name: &str) -> io::Result<bool> {
        match fstatat(&self.held, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(seen) => regular(&seen).map(|()| true),
            Err(Errno::ENOENT) => Ok(false),
            Err(why) => Err(why.into()),
        }
    }

    /// A key is a file name: letters, digits, `-`, `_` and `.`, and not hidden.
    fn check(key: &str) -> io::Result<()> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
        if key.is_empty() || key.len() > 64 || key.starts_with('.') || !key.bytes().all(allowed) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{key:?} cannot be the name of a file"),
            ));
        }
        Ok(())
    }

    /// Forgets `key`. There is no harm in forgetting what was not there. The library forgets
    /// nothing: this is for tools.
    pub fn delete(&mut self, key: &str) -> io::Result<()> {
        Self::check(key)?;
        if self.remove(key)? { self.held.sync_all() } else { Ok(()) }
    }

    /// Where the records are, one file each.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// A child that was forked shares the lock: closing our descriptor alone would leave it with it.
impl Drop for DirectoryStorage {
    fn drop(&mut self) {
        let _ = self.held.unlock();
    }
}

fn open_directory(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    Ok(File::from(open(path, flags, Mode::empty())?))
}

/// The directory is its owner's; those above it are as the system makes them.
fn make_directory(path: &Path) -> io::Result<()> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        // Another process was faster; the lock says who has it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Refuses what is no regular file by what it is.
fn regular(seen: &FileStat) -> io::Result<()> {
    let kind = SFlag::from_bits_truncate(seen.st_mode) & SFlag::S_IFMT;
    let what = match kind {
        SFlag::S_IFREG => return Ok(()),
        SFlag::S_IFDIR => "is a directory",
        SFlag::S_IFLNK => "is a symbolic link",
        SFlag::S_IFIFO => "is a FIFO",
        SFlag::S_IFSOCK => "is a socket",
        _ => "is a device",
    };
    Err(not_ours(format!("{what}, {EXPECTED}")))
}

/// No system call has refused it: we do.
fn not_ours(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Refusal { errno: None, why })
}

/// A system call has refused it, and this says it better.
fn refused(errno: Errno, why: &str) -> io::Error {
    let refusal = Refusal { errno: Some(errno as i32), why: why.to_owned() };
    io::Error::new(io::Error::from(errno).kind(), refusal)
}

/// A refusal in our words; the system's number stays with it, where there is one.
#[derive(Debug)]
struct Refusal {
    errno: Option<i32>,
    why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Refusal {}

/// The number of the system call that has refused, whoever has worded it.
pub fn errno(error: &io::Error) -> Option<i32> {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<Refusal>());
    ours.map_or_else(|| error.raw_os_error(), |ours| ours.errno)
}

impl Storage for DirectoryStorage {
    fn get(&mut self, key: &str) -> io::Result<Option<Vec<u8>>> {
        Self::check(key)?;
        if !self.is_there(key)? {
            return Ok(None);
        }
        // What has changed since was a file then: neither waited for nor followed.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.held, key, flags, Mode::empty())?);
        let seen = fstat(&file)?;
        regular(&seen)?;
        let others = Mode::S_IRWXG | Mode::S_IRWXO;
        if Mode::from_bits_truncate(seen.st_mode).intersects(others) {
            // A factory's copy, perhaps of another owner: it is read all the same.
            let owner = Mode::S_IRUSR | Mode::S_IWUSR;
            if let Err(why) = fchmod(&file, owner) {
                log::warn!("'{key}' can be read by others than its owner, and stays so: {why}");
            }
        }
        let mut octets = Vec::new();
        file.take(Self::MAX_LEN + 1).read_to_end(&mut octets)?;
        if octets.len() as u64 > Self::MAX_LEN {
            let why = format!("is longer than {} octets, which no row of ours is", Self::MAX_LEN);
            return Err(not_ours(why));
        }
        Ok(Some(octets))
    }

    fn put(&mut self, key: &str, octets: &[u8]) -> io::Result<()> {
        Self::check(key)?;
        self.is_there(key)?;
        let fresh = format!(".{key}.new");
        self.write_fresh(&fresh, octets)?;
        renameat(&self.held, fresh.as_str(), &self.held, key)?;
        // A rename is durable when its directory is.
        self.held.sync_all()
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
mod tests;
