// SPDX-License-Identifier: Apache-2.0
//! A card's memory in a file, so that a virtual card outlives its process.

use super::{PAGE, Page, PageStore, StoreError};
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// How long a write must live.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Durability {
    /// Through a crash of the host: every barrier waits for the disk.
    #[default]
    Host,
    /// Through a kill of the process: the kernel keeps the order of writes.
    Process,
}

/// A card's memory in a file. One process at a time: the file is locked while it is open.
#[derive(Debug)]
pub struct FileStore {
    file: File,
    pages: usize,
    durability: Durability,
}

impl FileStore {
    /// Opens an existing memory and locks it.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, io::Error> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    "another process serves this card",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        narrow(&file)?;
        let octets = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        Ok(Self { file, pages: octets / PAGE, durability })
    }

    /// Writes a new memory, readable by its owner only; an old file is replaced in one step.
    pub fn create(path: &Path, octets: &[u8]) -> Result<(), io::Error> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = Path::new(&beside);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(beside)?;
        narrow(&file)?;
        file.write_all(octets)?;
        file.sync_all()?;
        std::fs::rename(beside, path)
    }

    fn offset(&self, index: usize) -> Result<u64, StoreError> {
        if index < self.pages {
            Ok((index * PAGE) as u64)
        } else {
            Err(StoreError::NoSuchPage(index))
        }
    }
}

/// It holds the card's keys: whoever could read it before cannot from now on.
fn narrow(file: &File) -> io::Result<()> {
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

impl PageStore for FileStore {
    fn pages(&self) -> usize {
        self.pages
    }

    fn read(&mut self, index: usize, into: &mut Page) -> Result<(), StoreError> {
        Ok(self.file.read_exact_at(into, self.offset(index)?)?)
    }

    fn write(&mut self, index: usize, page: &Page) -> Result<(), StoreError> {
        Ok(self.file.write_all_at(page, self.offset(index)?)?)
    }

    fn barrier(&mut self) -> Result<(), StoreError> {
        match self.durability {
            Durability::Host => Ok(self.file.sync_data()?),
            Durability::Process => Ok(()),
        }
    }
}
