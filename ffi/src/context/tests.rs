// SPDX-License-Identifier: Apache-2.0
//! What holds for a context as a whole: panics, refusals, signals.

use super::*;
use crate::guard::{CONTEXTS, guard};
use crate::result::{STBCAM_E_ARG, STBCAM_E_CLOCK, STBCAM_OK};
use crate::types::stbcam_t;
use nix::pty::openpty;
use std::os::fd::{AsRawFd, OwnedFd};

/// A context on a serial port with nothing behind it, and the port's other end.
fn context(name: &str) -> (Arc<Context>, OwnedFd) {
    opened(name, true)
}

fn opened(name: &str, threaded: bool) -> (Arc<Context>, OwnedFd) {
    let pty = openpty(None, None).unwrap();
    let path = nix::unistd::ttyname(&pty.slave).unwrap();
    let state = std::env::temp_dir().join(format!("stbcam-{name}-{}", std::process::id()));
    let reader = format!("serial:{}", path.display());
    let context = Context::open(settings(reader, state.display().to_string(), threaded));
    let _ = std::fs::remove_dir(state);
    (context.unwrap(), pty.master)
}

fn settings(reader: String, state_dir: String, threaded: bool) -> Settings {
    Settings {
        profile: Profile::Iso,
        threaded,
        card_timeout_ms: 5000,
        reader: ReaderChoice::Url(reader),
        state_dir: Some(state_dir),
        language: None,
        ca_system_ids: Vec::new(),
        stb_id: *b"STB00001",
        terminal_id: [0; 6],
        box_key: Key::new([0x42; 16]),
        descrambler: None,
        storage: None,
        log: None,
        max_sessions: 4,
        emm_queue: 4,
        event_queue: 64,
        section_ring: 4100,
        section_filters: 4,
    }
}

/// What the system says of a directory is no advice: what would work follows.
#[test]
fn a_directory_that_cannot_be_made_says_what_would_work() {
    let settings = settings("serial:/dev/null".to_owned(), "/proc/stbcam".to_owned(), true);
    let refused = Context::open(settings).err().unwrap();
    assert_eq!((refused.code, refused.os_errno), (STBCAM_E_STORAGE, nix::libc::ENOENT));
    assert!(refused.text.starts_with("state_dir '/proc/stbcam': "), "{}", refused.text);
    let advice = "expected a directory that this user can make and write to";
    assert!(refused.text.ends_with(advice), "{}", refused.text);
}

/// In our words, but with the system's number.
#[test]
fn a_directory_that_the_system_refuses_has_its_errno() {
    let file = std::env::temp_dir().join(format!("stbcam-no-directory-{}", std::process::id()));
    let held = file.with_extension("held");
    std::fs::write(&file, b"").unwrap();
    let holder = DirectoryStorage::open(&held).unwrap();
    for (directory, code, errno) in [
        (&file, STBCAM_E_STORAGE, nix::libc::ENOTDIR),
        (&held, STBCAM_E_BUSY, nix::libc::EWOULDBLOCK),
    ] {
        let directory = directory.to_str().unwrap().to_owned();
        let settings = settings("serial:/dev/null".to_owned(), directory, true);
        let refused = Context::open(settings).err().unwrap();
        assert_eq!((refused.code, refused.os_errno), (code, errno), "{}", refused.text);
    }
    drop(holder);
    std::fs::remove_file(file).unwrap();
    std::fs::remove_dir(held).unwrap();
}

/// We would rather lose one context than the box: the others go on.
#[test]
fn a_panic_poisons_its_context_and_no_other() {
    let (one, _one_port) = context("panic");
    let (other, _other_port) = context("healthy");
    let one: *mut stbcam_t = CONTEXTS.insert(one);
    let other: *mut stbcam_t = CONTEXTS.insert(other);
    assert_eq!(guard(one, |_| Ok(())), STBCAM_OK);
    assert_eq!(guard(one, |_| panic!("a test of the guard")), STBCAM_E_PANIC);
    assert_eq!(guard(one, |_| Ok(())), STBCAM_E_PANIC);
    assert_eq!(guard(other, |_| Ok(())), STBCAM_OK);
    assert_eq!(crate::stbcam_close(one), STBCAM_OK);
    assert_eq!(crate::stbcam_close(one), STBCAM_E_ARG);
    assert_eq!(crate::stbcam_close(other), STBCAM_OK);
}

/// The text names the parameter, what it had and what would work.
#[test]
fn refusals_name_the_parameter_and_what_it_had() {
    use core::ptr::null_mut;
    let (context, _port) = context("texts");
    let cam: *mut stbcam_t = CONTEXTS.insert(context);
    let long = [&[0x80, 0x7F, 0xFF][..], &[0; 4095]].concat();
    let (mut room, mut session) = (1, 0);
    // SAFETY: what is given is there, or NULL, which is refused.
    let section = |source, octets: &[u8]| unsafe {
        crate::stbcam_section(cam, source, 0x140, octets.as_ptr(), octets.len())
    };
    // SAFETY: as above.
    let open = |source, out| unsafe {
        crate::stbcam_session_open_pmt(cam, source, long.as_ptr(), long.len(), out)
    };
    // SAFETY: as above.
    let filters = |count| unsafe {
        let elem_size = size_of::<crate::stbcam_filter_t>();
        crate::stbcam_filters(cam, null_mut(), elem_size, count)
    };
    // SAFETY: as above.
    let ca_pmt = || unsafe { crate::stbcam_ca_pmt(cam, 0, long.as_ptr(), 1, null_mut()) };
    // SAFETY: as above.
    let init = || unsafe { crate::stbcam_config_init(null_mut(), 8) };
    let told = |result, named| {
        assert_ne!(result, STBCAM_OK, "{named}");
        let text = crate::error::last().text;
        assert!(text.starts_with(named), "{named}: {text}");
    };
    told(section(16, &long), "source is 16, expected 0 to 15");
    told(section(0, &long[..9]), "the section has 9 octets, expected 4098 by its section_length");
    told(section(0, &long[..2]), "the section has 2 octets, expected 3 by its section_length");
    told(section(0, &long), "the section has 4098 octets, expected at most 4096");
    told(open(0, null_mut()), "out is NULL");
    told(open(16, &mut session), "source is 16, expected 0 to 15");
    told(ca_pmt(), "reply is NULL");
    told(filters(null_mut()), "count is NULL");
    told(filters(&mut room), "array is NULL");
    told(init(), "config is NULL");
    assert_eq!(crate::stbcam_close(cam), STBCAM_OK);
}

/// Who does the card thread's work in a call that waits is let go when another thread closes, not
/// when its own time is over.
#[test]
fn without_a_thread_closing_ends_a_call_that_waits() {
    let (context, _port) = opened("ends", false);
    let waiting = Arc::clone(&context);
    let busy = |refused: Option<&Error>| refused.is_some_and(|it| it.code == STBCAM_E_BUSY);
    let call = std::thread::spawn(move || {
        loop {
            // For an answer that never comes.
            let ended: Result = waiting.wait(Duration::from_secs(10), |_| Err(WaitEnded::Timeout));
            if !busy(ended.as_ref().err()) {
                return ended;
            }
        }
    });
    // Until it has what a step needs.
    while !busy(context.step(0).err().as_ref()) {
        std::thread::yield_now();
    }
    context.close().unwrap();
    let ended = call.join().unwrap().unwrap_err();
    assert_eq!((ended.code, &*ended.text), (STBCAM_E_STATE, "the context is being closed"));
}

/// A time that nothing can be told by is refused, and the one that was known stays.
#[test]
fn a_time_that_makes_no_sense_is_refused() {
    let (context, _port) = context("utc");
    let cam: *mut stbcam_t = CONTEXTS.insert(context);
    let utc = || CONTEXTS.get(cam).unwrap().utc(clock::now());
    assert_eq!(crate::stbcam_set_utc(cam, 1_700_000_000, crate::STBCAM_UTC_RTC), STBCAM_OK);
    let known = utc();
    assert!(known >= 1_700_000_000);
    for wrong in [i64::MIN, -5, 0, Context::UTC_MAX + 1, i64::MAX] {
        let result = crate::stbcam_set_utc(cam, wrong, crate::STBCAM_UTC_NETWORK);
        assert_eq!(result, STBCAM_E_CLOCK, "{wrong}");
        let text = crate::error::last().text;
        assert!(text.starts_with(&format!("utc_s is {wrong}, expected 1 to ")), "{text}");
        assert!(utc() >= known, "{wrong}");
    }
    assert_eq!(crate::stbcam_set_utc(cam, Context::UTC_MAX, crate::STBCAM_UTC_RTC), STBCAM_OK);
    assert_eq!(utc(), Context::UTC_MAX);
    // What is not looked at is not refused.
    assert_eq!(crate::stbcam_set_utc(cam, -5, crate::STBCAM_UTC_UNKNOWN), STBCAM_OK);
    assert_eq!(utc(), 0);
    assert_eq!(crate::stbcam_close(cam), STBCAM_OK);
}

/// A host that reads its signals by `signalfd` blocks them in its own threads, and in no other.
#[test]
fn the_card_thread_takes_no_signal() {
    use std::fs::{read_dir, read_to_string};
    let (context, _port) = context("signals");
    // A thread gives itself its name before it does anything: who has answered has one.
    context.cam.wait_flushed(context.cam.flush(), Duration::from_secs(10)).unwrap();
    let mut seen = 0;
    for task in read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path()) {
        // Threads of other tests come and go meanwhile.
        let Ok(name) = read_to_string(task.join("comm")) else { continue };
        let Ok(status) = read_to_string(task.join("status")) else { continue };
        if !["stbcam-card", "stbcam-pcsc"].contains(&name.trim_end()) {
            continue;
        }
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
        for signal in (1..=31).filter(|signal| ![9, 19].contains(signal)) {
            assert_ne!(blocked & 1 << (signal - 1), 0, "{name} takes signal {signal}: {blocked:X}");
        }
        seen += 1;
    }
    assert!(seen > 0, "the card thread is there");
    context.close().unwrap();
}

/// A host that waits in a loop of its own is called for all that a card thread would wake up for:
/// a time that is up, a call, and what comes from the card.
#[test]
fn without_a_thread_a_descriptor_says_when_a_step_is_due() {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let (context, port) = opened("due", false);
    let due = |patience: PollTimeout| {
        let mut fds = [PollFd::new(context.due().unwrap(), PollFlags::POLLIN)];
        poll(&mut fds, patience).unwrap() == 1
    };
    let soon = PollTimeout::from(10_000u16);
    // How many steps there are before there is nothing more to do just now.
    let settle =
        || (0..100).take_while(|_| due(PollTimeout::ZERO)).map(|_| context.step(0).unwrap());
    assert!(due(soon), "from the start");
    assert!(settle().count() < 100, "it does not call for ever");
    assert!(due(soon), "a time is up: no card answers");
    assert!(settle().count() < 100);
    context.cam.call(|engine, now| engine.card_reset(now));
    assert!(due(PollTimeout::ZERO), "a call");
    assert!(settle().count() < 100);
    nix::unistd::write(&port, &[0x3B]).unwrap();
    assert!(due(soon), "the card");
    assert!(settle().count() < 100);
    let number = context.due().unwrap().as_raw_fd();
    drop(port);
    assert!(due(soon), "the reader is gone");
    for _ in 0..2 {
        assert!(due(soon), "it is looked for");
        assert!(settle().count() < 100);
    }
    assert_eq!(context.due().unwrap().as_raw_fd(), number);
    context.close().unwrap();
    let (context, _port) = opened("thread", true);
    assert_eq!(context.due().unwrap_err().code, STBCAM_E_STATE);
    assert_eq!(context.step(0).unwrap_err().code, STBCAM_E_STATE);
    context.close().unwrap();
}

#[test]
fn emv_level_1_by_the_configuration() {
    let characters = Capabilities { level: Level::Characters, ..Capabilities::APDU };
    let emv = policy(characters, Profile::EmvLevel1).unwrap();
    assert_eq!(emv, Policy::emv(characters.clock_hz));
    assert_eq!(policy(characters, Profile::Iso).unwrap(), characters.policy());
    // What the address says holds without the flag.
    let by_address = Capabilities { profile: Profile::EmvLevel1, ..characters };
    assert_eq!(policy(by_address, Profile::Iso).unwrap(), emv);
    for level in [Level::Tpdu, Level::Apdu] {
        let reader = Capabilities { level, ..Capabilities::APDU };
        let refused = policy(reader, Profile::EmvLevel1).unwrap_err();
        assert_eq!(refused.code, STBCAM_E_ARG);
        for named in ["STBCAM_CONFIG_EMV", "serial:", "reader_ops"] {
            assert!(refused.text.contains(named), "{}", refused.text);
        }
    }
}
