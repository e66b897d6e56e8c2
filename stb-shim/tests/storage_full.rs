// SPDX-License-Identifier: Apache-2.0
//! A file system without room. Alone in its process, whose limit stands in for the disk's.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use stb_shim::storage::{DirectoryStorage, Storage as _};

/// A box that cannot write a purchase down finds out before it offers one.
#[test]
fn a_full_file_system_is_told_at_open() {
    let path = std::env::temp_dir().join(format!("stbcam-full-{}", std::process::id()));
    let mut storage = DirectoryStorage::open(&path).unwrap();
    storage.put("row", b"old").unwrap();
    drop(storage);
    // Where the limit is passed a signal comes as well, which ends a process that takes it.
    let mut passed = SigSet::empty();
    passed.add(Signal::SIGXFSZ);
    passed.thread_block().unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 0, hard).unwrap();
    let refused = DirectoryStorage::open(&path);
    setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap();
    let refused = refused.err().expect("there is no room for a row");
    assert!(refused.raw_os_error().is_some(), "{refused}");
    let mut storage = DirectoryStorage::open(&path).unwrap();
    assert_eq!(storage.get("row").unwrap().unwrap(), b"old");
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1, "no file is left over");
    drop(storage);
    std::fs::remove_dir_all(path).unwrap();
}
