// SPDX-License-Identifier: Apache-2.0
//! The symbolic link of `--link`: a name for the pseudo terminal that stays the same.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A symbolic link to the terminal's end of the line, removed when dropped.
#[derive(Debug)]
pub struct Link {
    path: PathBuf,
    target: PathBuf,
}

impl Link {
    /// Puts the link in place. An older link of that name is replaced in one step, so that nobody
    /// ever finds no link; anything that is not a link stays and is an error.
    pub fn create(path: &Path, target: &Path) -> io::Result<Self> {
        if let Ok(found) = fs::symlink_metadata(path)
            && !found.file_type().is_symlink()
        {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "exists and is not a symbolic link",
            ));
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let _ = fs::remove_file(&beside);
        symlink(target, &beside)?;
        if let Err(error) = fs::rename(&beside, path) {
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        Ok(Self { path: path.to_owned(), target: target.to_owned() })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Another process may have put its own link there since.
        if fs::read_link(&self.path).is_ok_and(|target| target == self.target) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_and_removed() {
        let folder = std::env::temp_dir().join(format!("vcard-link-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("card0");
        let first = Link::create(&path, Path::new("/dev/null")).unwrap();
        let second = Link::create(&path, Path::new("/dev/zero")).unwrap();
        drop(first);
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("/dev/zero"));
        drop(second);
        assert!(fs::symlink_metadata(&path).is_err());
        fs::write(&path, "a file").unwrap();
        let refused = Link::create(&path, Path::new("/dev/null")).unwrap_err();
        assert!(refused.to_string().contains("not a symbolic link"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
