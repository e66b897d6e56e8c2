// SPDX-License-Identifier: Apache-2.0
//! The file of what was verified: whole or refused, its owner's, and one writer's at a time.

use crate::reporting::{Model, PSEUDONYM, judge, sealed};
use headend::verify::state::{Alone, State};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A folder of its own with a file of one card.
fn written(name: &str) -> (PathBuf, PathBuf, State) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("cards.json");
    let mut state = State::read(&path).unwrap();
    let mut card = Model::demo();
    card.refund(1);
    let verdict = judge(&sealed(&card.pages()), &state);
    state.keep(PSEUDONYM, verdict.proven.unwrap().state);
    state.clone().write(&path).unwrap();
    (folder, path, state)
}

#[test]
fn it_is_read_back_and_its_owners() {
    let (folder, path, state) = written("state-file");
    let read = State::read(&path).unwrap();
    let known = read.card(PSEUDONYM);
    assert_eq!(known, state.card(PSEUDONYM));
    assert_eq!((known.records.len(), known.topups.len(), known.refunds.len()), (5, 1, 1));
    // What a power cut has left, whatever it is, and a file that everybody could read.
    let beside = folder.join("cards.json.new");
    for _ in 0..2 {
        fs::write(&beside, "half").unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        State::read(&path).unwrap().write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// Cut at every octet, and with each octet another one: refused by name and left as it is, or the
/// same in other white space.
#[test]
fn a_damaged_file_is_refused() {
    let (folder, path, state) = written("state-file-damaged");
    let whole = fs::read(&path).unwrap();
    let refused = |octets: &[u8]| {
        fs::write(&path, octets).unwrap();
        match State::read(&path) {
            Ok(read) => {
                assert_eq!(read.card(PSEUDONYM), state.card(PSEUDONYM));
                false
            }
            Err(error) => {
                assert!(error.to_string().contains("cards.json: "), "{error}");
                assert_eq!(fs::read(&path).unwrap(), octets);
                true
            }
        }
    };
    // The last octet is a line feed, the one before the closing brace.
    for cut in 0..whole.len() - 1 {
        assert!(refused(&whole[..cut]), "{cut}");
    }
    let mut taken = 0;
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x01;
        taken += usize::from(!refused(&damaged));
    }
    assert_eq!(taken, 0);
    for (octets, expected) in [
        (&b"{\"cards\":{}}"[..], "no file of this kind"),
        (b"{\"format\":1,\"cards\":{},\"check\":\"", "cut short"),
        (&[0xFF, 0xFE], "UTF-8"),
    ] {
        fs::write(&path, octets).unwrap();
        let error = State::read(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let text = String::from_utf8(whole).unwrap();
    fs::write(&path, text.replace("\"format\": 2", "\"format\": 3")).unwrap();
    let error = State::read(&path).unwrap_err().to_string();
    assert!(error.contains("of format 3, expected 2"), "{error}");
    // Somebody has helped a balance along.
    fs::write(&path, text.replace("\"balance\": 8150", "\"balance\": 8151")).unwrap();
    let error = State::read(&path).unwrap_err().to_string();
    assert!(error.contains("its check does not fit"), "{error}");
    fs::remove_dir_all(&folder).unwrap();
}

/// Two that read, verify and write at once would lose what one of them has verified.
#[test]
fn one_at_a_time() {
    let (folder, path, _) = written("state-file-alone");
    let alone = Alone::with(&path).unwrap();
    let error = Alone::with(&folder.join("others.json")).err().unwrap().to_string();
    assert!(error.contains("another process verifies"), "{error}");
    drop(alone);
    drop(Alone::with(&path).unwrap());
    // The program too, before it reads anything.
    let held = File::open(&folder).unwrap();
    held.try_lock().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_headend"))
        .args(["verify-report", "--previous"])
        .arg(&path)
        .arg("--operator")
        .arg(crate::support::example("demo/operator.toml"))
        .arg(folder.join("none.bin"))
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("cards.json: another process verifies"), "{error}");
    fs::remove_dir_all(&folder).unwrap();
}
