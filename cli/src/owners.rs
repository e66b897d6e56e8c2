// SPDX-License-Identifier: Apache-2.0
//! Files that their owner alone can read, whatever the umask and whoever could read them before.
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// An empty file, in place of one that was there. What is no file, such as a terminal, stays as it
/// is.
pub(crate) fn create(path: impl AsRef<Path>) -> io::Result<File> {
    open(OpenOptions::new().write(true).create(true).truncate(true), path.as_ref())
}

/// A file that grows, made where there is none.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    open(OpenOptions::new().read(true).append(true).create(true), path)
}

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.mode(0o600).open(path)?;
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}
