// SPDX-License-Identifier: Apache-2.0
//! What stands in a directory, who may read it, and what else it may hold.

use super::*;
use std::os::unix::fs::PermissionsExt;

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("stbcam-storage-{}-{name}", std::process::id()));
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
    drop(storage);
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
    drop(storage);
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

/// A directory belongs to one context: two would take each other's purchases for their own.
#[test]
fn a_directory_has_one_user_at_a_time() {
    let path = scratch("lock");
    let storage = DirectoryStorage::open(&path).unwrap();
    let refused = DirectoryStorage::open(path.join("..").join(path.file_name().unwrap()));
    let refused = refused.err().expect("the same directory by another way");
    assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy, "{refused}");
    assert!(refused.to_string().contains("another context or process uses it"), "{refused}");
    drop(storage);
    DirectoryStorage::open(&path).unwrap();
    fs::remove_dir(path).expect("nothing is left in it");
}

/// What is no file is named, neither followed nor waited for, and stays.
#[test]
fn what_is_no_file_is_refused_by_what_it_is() {
    let path = scratch("kinds");
    let mut storage = DirectoryStorage::open(&path).unwrap();
    let secret = path.join("elsewhere");
    fs::write(&secret, b"of another program").unwrap();
    let owner = Mode::from_bits_truncate(0o600);
    nix::unistd::mkfifo(&path.join("fifo"), owner).unwrap();
    fs::create_dir(path.join("directory")).unwrap();
    std::os::unix::fs::symlink(&secret, path.join("link")).unwrap();
    std::os::unix::fs::symlink(path.join("nowhere"), path.join("dangling")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap();
    for (key, kind) in [
        ("fifo", "is a FIFO"),
        ("directory", "is a directory"),
        ("link", "is a symbolic link"),
        ("dangling", "is a symbolic link"),
        ("socket", "is a socket"),
    ] {
        let before = fs::symlink_metadata(path.join(key)).unwrap().file_type();
        let text = storage.get(key).expect_err(key).to_string();
        assert!(text.contains(kind) && text.contains("expected a regular file"), "{key}: {text}");
        let text = storage.put(key, b"row").expect_err(key).to_string();
        assert!(text.contains(kind), "{key}: {text}");
        assert_eq!(fs::symlink_metadata(path.join(key)).unwrap().file_type(), before);
    }
    assert_eq!(fs::read(secret).unwrap(), b"of another program");
    fs::remove_dir_all(path).unwrap();
}

/// A link where a row is written first would have us write another program's file.
#[test]
fn what_stands_where_a_row_is_written_first_is_not_followed() {
    let path = scratch("fresh");
    let mut storage = DirectoryStorage::open(&path).unwrap();
    let other = path.join("other");
    fs::write(&other, b"of another program").unwrap();
    std::os::unix::fs::symlink(&other, path.join(".row.new")).unwrap();
    storage.put("row", b"ours").unwrap();
    assert_eq!(fs::read(&other).unwrap(), b"of another program");
    assert_eq!(storage.get("row").unwrap().unwrap(), b"ours");
    nix::unistd::mkfifo(&path.join(".row.new"), Mode::from_bits_truncate(0o600)).unwrap();
    storage.put("row", b"ours again").unwrap();
    assert_eq!(storage.get("row").unwrap().unwrap(), b"ours again");
    fs::create_dir(path.join(".row.new")).unwrap();
    let text = storage.put("row", b"no").unwrap_err().to_string();
    assert!(text.contains(".row.new is a directory"), "{text}");
    fs::remove_dir_all(path).unwrap();
}

#[test]
fn rows_are_their_owners() {
    let path = scratch("mode");
    let mode = |key: &str| fs::metadata(path.join(key)).unwrap().permissions().mode() & 0o777;
    let mut storage = DirectoryStorage::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    storage.put("row", b"ours").unwrap();
    assert_eq!(mode("row"), 0o600);
    // As a factory may have copied it.
    fs::set_permissions(path.join("row"), fs::Permissions::from_mode(0o664)).unwrap();
    assert_eq!(storage.get("row").unwrap().unwrap(), b"ours");
    assert_eq!(mode("row"), 0o600);
    fs::remove_dir_all(path).unwrap();
}

/// Half of a row would be read as a damaged one.
#[test]
fn a_row_that_is_too_long_is_refused_not_cut() {
    let path = scratch("long");
    let mut storage = DirectoryStorage::open(&path).unwrap();
    let file = File::create(path.join("row")).unwrap();
    file.set_len(DirectoryStorage::MAX_LEN).unwrap();
    assert_eq!(storage.get("row").unwrap().unwrap().len() as u64, DirectoryStorage::MAX_LEN);
    file.set_len(DirectoryStorage::MAX_LEN + 1).unwrap();
    let text = storage.get("row").unwrap_err().to_string();
    assert!(text.contains("is longer than 1048576 octets"), "{text}");
    fs::remove_dir_all(path).unwrap();
}

/// /proc is a file system in which no user, root included, makes files.
#[test]
fn a_directory_that_takes_no_files_is_refused_at_once() {
    let refused = DirectoryStorage::open("/proc/self").err().expect("nothing can be stored there");
    assert!(refused.raw_os_error().is_some(), "{refused}");
}

#[test]
fn a_file_is_no_directory() {
    let path = scratch("file");
    fs::write(&path, b"").unwrap();
    let text = DirectoryStorage::open(&path).err().unwrap().to_string();
    assert!(text.contains("is no directory, expected one"), "{text}");
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
    let text = DirectoryStorage::open(&path).err().unwrap().to_string();
    assert!(text.contains("is no directory, expected one"), "{text}");
    fs::remove_file(path).unwrap();
}
