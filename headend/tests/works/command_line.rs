// SPDX-License-Identifier: Apache-2.0
//! The program as an engineer meets it: exit status, texts, files.

use crate::support::example;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, octets: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, octets).unwrap();
        path.display().to_string()
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn headend(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_headend")).args(arguments).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

fn demo(name: &str) -> String {
    example("demo").join(name).display().to_string()
}

fn media() -> String {
    example("media/two-services.ts").display().to_string()
}

/// Packages with these files and expects a failure that says `expected`.
fn refused(folder: &Folder, schedule: &str, operator: &str, source: &str, expected: &str) {
    let out = folder.path("never.ts");
    let output = headend(&[
        "package",
        "--schedule",
        schedule,
        "--operator",
        operator,
        "--in",
        source,
        "--out",
        &out,
    ]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("headend: ") && error.contains(expected), "{error}\n{expected}");
    assert!(!Path::new(&out).exists(), "{expected}");
}

#[test]
fn bad_streams_are_refused_with_the_place() {
    let folder = Folder::new("streams");
    let source = fs::read(media()).unwrap();
    let (schedule, operator) = (demo("schedule.toml"), demo("operator.toml"));
    let mut no_nulls = source.clone();
    let mut taken = source.clone();
    let mut scrambled = source.clone();
    for packet in no_nulls.chunks_mut(188).filter(|p| p[1] & 0x1F == 0x1F && p[2] == 0xFF) {
        packet[1..3].copy_from_slice(&[0x05, 0x00]);
    }
    taken[188 * 24 + 1..188 * 24 + 3].copy_from_slice(&[0x01, 0x50]);
    scrambled[188 * 5 + 3] |= 0x80;
    for (octets, expected) in [
        (fs::read(demo("schedule.toml")).unwrap(), "not a transport stream: starts with 23"),
        (source[..100].to_vec(), "truncated stream: 100 octets, a packet has 188"),
        (Vec::new(), "empty file"),
        (no_nulls, "service 1: no ECM on air from -0.007"),
        (taken, "emm_pid 0x0150 is taken in the source, first at packet 24"),
        (
            scrambled,
            "PID 0x0100 is scrambled in the source already, at packet 5: package the stream from before",
        ),
        (source[188 * 5..188 * 30].to_vec(), "current on PID 0x0000: begin the cut at one"),
        (source[..188 * 18].to_vec(), "no time base for the schedule; take a longer cut"),
    ] {
        let stream = folder.file("source.ts", octets);
        refused(&folder, &schedule, &operator, &stream, expected);
        refused(&folder, &schedule, &operator, &stream, "source.ts: ");
    }
    refused(&folder, &schedule, &operator, "/nonexistent.ts", "/nonexistent.ts: No such file");
}

#[test]
fn bad_schedules_are_refused_with_table_and_field() {
    let folder = Folder::new("schedules");
    let good = fs::read_to_string(demo("schedule.toml")).unwrap();
    for (from, to, expected) in [
        ("emm_pid = 0x0150", "emm_pid = 0x2000", "line 11, field `emm_pid`: 0x2000 is no PID"),
        ("emm_pid", "emm_pit", "line 11, field `emm_pit`: unknown field `emm_pit`"),
        (
            "scrambling = \"csa2\"",
            "scrambling = \"csa9\"",
            "table [[service]] 2, field `scrambling`: unknown variant",
        ),
        (
            "scrambling = \"cissa\"",
            "scrambling = \"cissa\"\nentropy = \"reduced\"",
            "[[service]] \"News\", field `entropy`: DVB-CISSA takes control words as they are; \
            only a service of DVB-CSA2 has it",
        ),
        (
            "scrambling = \"csa2\"",
            "scrambling = \"csa2\"\nentropy = \"half\"",
            "table [[service]] 2, field `entropy`: unknown variant `half`, expected `full` or \
            `reduced`",
        ),
        (
            "emm_pid = 0x0150",
            "emm_pid = 0x0150\nscte52_iv = \"0123\"",
            "field `scte52_iv`: 4 characters, expected 16 hexadecimal digits",
        ),
        (
            "emm_pid = 0x0150",
            "emm_pid = 0x0150\nscte52_short_iv = \"0123456789abcdeg\"",
            "field `scte52_short_iv`: not hexadecimal",
        ),
        (
            "emm_pid = 0x0150",
            "emm_pid = 0x0150\nscte52_short_iv = \"0123456789abcdef\"",
            "field `scte52_short_iv`: stands beside scte52_iv, which is missing",
        ),
        ("price = \"8.50\"", "price = 8.5", "table [[service.event]] 2, field `price`"),
        ("price = \"8.50\"", "price = \"8.505\"", "at most two decimals"),
        ("slot = 2", "slat = 2", "table [[service]] 2, field `slat`: unknown field"),
        ("channel = 0x0201", "channel = 0", "\"Cinema\", field `channel`: 0 stands for any"),
        ("channel = 0x0201\n", "", "missing field `channel`"),
        ("12:00:00Z\nca", "12:00:00\nca", "field `start`: expected a time in UTC"),
        ("12:00:00Z\nca", "12:00:01Z\nca", "field `start`: crypto periods are counted from 2000"),
        (
            "from_s = 15",
            "from_s = 16",
            "table [[service]] \"News\" rotation 1, field `from_s`: got 16",
        ),
        ("until_s = 20", "until_s = 22", "event 2002, field `until_s`: got 22"),
        (
            "id = 2002\nfrom_s = 10",
            "id = 2002\nfrom_s = 5",
            "event 2002, field `from_s`: the event before",
        ),
        (
            "ecm_pid = 0x0141",
            "ecm_pid = 0x0140",
            "table [[service]] \"Cinema\", field `ecm_pid`: another stream",
        ),
        ("ecm_pid = 0x0141", "ecm_pid = 0x0100", "ecm_pid 0x0100 is taken in the source"),
        ("service = 2\n", "service = 3\n", "which names [1, 2]: `service` in the schedule is one"),
        ("of = \"renewal\"", "of = \"removal\"", "[[emm]] \"attack-replay\", field `of`"),
        (
            "floor = 2",
            "floor = 2\nflor = 2",
            "table [[emm]] 3: field `flor`: unknown field `flor`, expected one of `card`, `slot`, \
            `epoch`, `floor`",
        ),
        ("kind = \"grant\"", "kind = \"grand\"", "unknown variant `grand`"),
        (
            "slot = 1\nepoch = 2\nnot",
            "slot = 5\nepoch = 2\nnot",
            "[[emm]] \"news-key\": the operator file has no [[service_key]] for slot 5, epoch 2",
        ),
        (
            "epoch = 2 }]",
            "epoch = 3 }]",
            "[[service]] \"News\", field `epoch`: no [[service_key]] of slot 1, epoch 3",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let schedule = folder.file("schedule.toml", good.replacen(from, to, 1));
        refused(&folder, &schedule, &demo("operator.toml"), &media(), expected);
    }
}

#[test]
fn bad_operator_files_are_refused_without_showing_a_key() {
    let folder = Folder::new("operators");
    let good = fs::read_to_string(demo("operator.toml")).unwrap();
    for (from, to, expected) in [
        ("1e1f\"", "1e\"", "field `master_key`: 30 characters, expected 32 or 64"),
        ("a0a1a2", "a0a1ag", "table [[service_key]] 2, field `key`: not hexadecimal"),
        (
            "epoch = 2",
            "epoch = \"303132333435363738393a3b3c3d3e3f\"",
            "table [[service_key]] 2, field `epoch`",
        ),
        (
            "epoch = 2",
            "epoch = 1",
            "table [[service_key]] 2, field `epoch`: this slot has this epoch",
        ),
        ("suite = 2\nmaster", "suite = 3\nmaster", "field `master_key`: "),
        (
            "\"909192939495969798999a9b9c9d9e9f\"",
            "90919293",
            "table [[pairing]] 1, field `k_cw`: expected text in quotes",
        ),
        ("suite = 2\nmaster", "suite = 4\nmaster", "field `suite`: got 4, expected 2, 3 or 5"),
        ("next_sequence = 10", "next_sequence = 0", "field `next_sequence`: numbers start at 1"),
        ("k_cw = ", "k_xw = ", "field `k_xw`: unknown field"),
    ] {
        assert!(good.contains(from), "{from}");
        let operator = folder.file("operator.toml", good.replacen(from, to, 1));
        refused(&folder, &demo("schedule.toml"), &operator, &media(), expected);
        let output = headend(&["emm", "--operator", &operator, "--message", "-", "--out", "-"]);
        let error = text(&output.stderr).to_lowercase();
        for octets in ["10111213", "a0a1a2", "30313233", "90919293"] {
            assert!(!error.contains(octets), "{error}");
        }
    }
}

#[test]
fn package_writes_stream_and_report() {
    let folder = Folder::new("package");
    let (out, report) = (folder.path("scrambled.ts"), folder.path("report.json"));
    let output = headend(&[
        "package",
        "--schedule",
        &demo("schedule.toml"),
        "--operator",
        &demo("operator.toml"),
        "--in",
        &media(),
        "--out",
        &out,
        "--report",
        &report,
        "--fault",
        "no-replay",
        "--fault",
        "clear-packet",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::metadata(&out).unwrap().len(), fs::metadata(media()).unwrap().len());
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["packets"], 17_963);
    assert_eq!(report["faults"], serde_json::json!(["no-replay", "clear-packet"]));
    let shown = text(&headend(&["inspect", &out]).stdout);
    for line in [
        "17963 packets, ",
        "EMM PID 0x0150: CA_system_id 0x4AF0, operator 0x1201, suite 2",
        "ECM PID 0x0141: CA_system_id 0x4AF0, operator 0x1201, suite 2, channel 0x0201",
        "service 2 \"Cinema\": PMT PID 0x1001 version 1, PCR PID 0x0102, scrambling mode 02 (DVB-CSA2)",
        "PID 0x0102 type 1B (H.264 video): ",
        "ECM 81, slot 1 epoch 2 crypto period 169888323",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
}

#[test]
fn pairings_come_from_the_operator_file_or_are_drawn() {
    let folder = Folder::new("pairings");
    let pair = |operator: &str, stb: &str, slot: &str, out: &str| {
        let card = "0102030405060708";
        headend(&[
            "keys",
            "pair",
            "--operator",
            operator,
            "--card",
            card,
            "--box",
            stb,
            "--slot",
            slot,
            "--out",
            out,
        ])
    };
    let operator = demo("operator.toml");
    let known = folder.path("known");
    let output = pair(&operator, "5354423030303031", "0", &known);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let once = fs::read(format!("{known}/card-pair.emm")).unwrap();
    assert!(pair(&operator, "5354423030303031", "0", &known).status.success());
    assert_eq!(once, fs::read(format!("{known}/card-pair.emm")).unwrap());
    assert_eq!(fs::read(format!("{known}/box-pair.section")).unwrap().len(), 108);
    assert!(!Path::new(&format!("{known}/pairing.toml")).exists());

    let other = pair(&operator, "5354423030303031", "1", &known);
    assert!(text(&other.stderr).contains("slot 0, but --slot 1"), "{}", text(&other.stderr));

    // A slot that another box has.
    let box_2 = "[[box]]\nstb_id = \"5354423030303032\"\nepoch = 1\nsuite = 2\n\
                 box_key = \"0f0e0d0c0b0a09080706050403020100\"\n\
                 ladder_key = \"f0e0d0c0b0a090807060504030201000\"\n\n";
    let with_box_2 = fs::read_to_string(&operator).unwrap() + box_2;
    let two = folder.file("two.toml", with_box_2);
    let output = pair(&two, "5354423030303032", "0", &folder.path("never"));
    assert!(text(&output.stderr).contains("field `slot`: this card has another box in it"));
    assert!(!Path::new(&folder.path("never")).exists());

    // A box without a pairing: drawn, and the same again once the table is in the operator file.
    let more = fs::read_to_string(&operator).unwrap().replace(
        "[[pairing]]",
        "[[box]]\nstb_id = \"5354423030303032\"\nepoch = 1\nsuite = 2\n\
         box_key = \"0f0e0d0c0b0a09080706050403020100\"\n\
         ladder_key = \"f0e0d0c0b0a090807060504030201000\"\n\n[[pairing]]",
    );
    let second = folder.file("second.toml", &more);
    let drawn = folder.path("drawn");
    let output = pair(&second, "5354423030303032", "1", &drawn);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = fs::read_to_string(format!("{drawn}/pairing.toml")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(format!("{drawn}/pairing.toml")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    assert!(text(&output.stdout).contains("with next_sequence = 11\n"), "{}", text(&output.stdout));
    let taken = folder.file("taken.toml", format!("{more}\n{table}"));
    let output = pair(&taken, "5354423030303032", "1", &folder.path("never"));
    assert!(text(&output.stderr).contains("next_sequence would give it out again"));
    let next = more.replace("next_sequence = 10", "next_sequence = 11");
    let third = folder.file("third.toml", format!("{next}\n{table}"));
    let again = folder.path("again");
    assert!(pair(&third, "5354423030303032", "1", &again).status.success());
    for file in ["card-pair.emm", "box-pair.section"] {
        let read = |folder: &str| fs::read(format!("{folder}/{file}")).unwrap();
        assert_eq!(read(&drawn), read(&again), "{file}");
    }
}

#[test]
fn one_emm_becomes_a_file() {
    let folder = Folder::new("emm");
    let message =
        folder.file("m.toml", "kind = \"emm_level\"\ncard = \"0102030405060708\"\nlevel = 3\n");
    let out = folder.path("m.emm");
    let operator = demo("operator.toml");
    let output = headend(&[
        "emm",
        "--operator",
        &operator,
        "--message",
        &message,
        "--sequence",
        "31",
        "--out",
        &out,
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("emm_level, 41 octets, number 31"));
    assert_eq!(fs::read(&out).unwrap().len(), 41);
}

#[test]
fn help_answers() {
    for (arguments, parts) in [
        (&["--help"][..], &["package", "keys", "emm", "inspect", "Examples:"][..]),
        (&["package", "--help"], &["--fault", "late-next", "wrong-control-word", "null packets"]),
        (&["keys", "pair", "--help"], &["card-pair.emm", "box-pair.section", "Example:"]),
        (&["emm", "--help"], &["pin_reset", "key_deliver", "Example:"]),
        (&["inspect", "--help"], &["Needs no keys"]),
    ] {
        let output = headend(arguments);
        assert!(output.status.success());
        let help = text(&output.stdout);
        for part in parts {
            assert!(help.contains(part), "{arguments:?} {part}: {help}");
        }
    }
    assert_eq!(headend(&["packag"]).status.code(), Some(2));
}
