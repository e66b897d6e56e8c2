// SPDX-License-Identifier: Apache-2.0
//! The serial reader against a pseudo terminal with a small card behind it.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use iso7816::etu::{Convention, LineParams, USUAL_CLOCK_HZ};
use iso7816::line::{CardLine, Cause, Input, Output, Policy, Reset};
use iso7816::pps::Pps;
use iso7816::t1::{Block, Edc, Supervisory};
use serialport::{SerialPort, TTYPort};
use stb_shim::clock;
use stb_shim::reader::{Latency, Presence, Reader, ReaderError};
use stb_shim::readers;
use stb_shim::serial::SerialReader;
use stb_shim::sys::Waker;
use stb_shim::url::Url;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

const IN: u8 = 0;
const PULLED: u8 = 1;
const UNPLUGGED: u8 = 2;

/// Negotiable, 372/12, N 255, T=1, IFSC 254, BWI 1, CWI 5; TCK at the end.
const ATR: [u8; 9] = [0x3B, 0xD0, 0x18, 0xFF, 0x81, 0x31, 0xFE, 0x15, 0x6C];
const COMMAND: [u8; 5] = [0x80, 0x32, 0xFF, 0x00, 0x00];

/// What the reader sends back of what it is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Echo {
    None,
    OfAll,
}

/// A card, its reader and the cable: the other end of a pseudo terminal.
struct Socket {
    path: String,
    state: Arc<AtomicU8>,
    rates: Arc<Mutex<Vec<u32>>>,
    thread: Option<JoinHandle<()>>,
    /// Open for as long as the master reads, so that it never sees a hang-up.
    _slave: TTYPort,
}

impl Socket {
    fn new(echo: Echo, convention: Convention) -> Self {
        let (mut master, slave) = TTYPort::pair().unwrap();
        master.set_timeout(Duration::from_millis(1)).unwrap();
        let state = Arc::new(AtomicU8::new(IN));
        let rates = Arc::new(Mutex::new(Vec::new()));
        let path = slave.name().unwrap();
        let thread = {
            let (state, rates) = (state.clone(), rates.clone());
            std::thread::spawn(move || card(master, &state, &rates, echo, convention))
        };
        Self { path, state, rates, thread: Some(thread), _slave: slave }
    }

    fn open(&self, options: &str) -> Box<dyn Reader> {
        readers::open(&format!("serial:{}{options}", self.path)).unwrap()
    }

    fn set(&mut self, state: u8) {
        self.state.store(state, Ordering::SeqCst);
        if state == UNPLUGGED {
            self.thread.take().unwrap().join().unwrap();
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.state.store(UNPLUGGED, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn card(
    mut port: TTYPort,
    state: &AtomicU8,
    rates: &Mutex<Vec<u32>>,
    echo: Echo,
    convention: Convention,
) {
    let (mut in_reset, mut received) = (false, Vec::new());
    loop {
        let mut buf = [0; 300];
        let len = port.read(&mut buf).unwrap_or(0);
        let state = state.load(Ordering::SeqCst);
        if state == UNPLUGGED {
            return;
        }
        let rate = port.baud_rate().unwrap();
        if rate == 0 || state == PULLED {
            in_reset |= rate == 0;
            received.clear();
            continue;
        }
        let mut send = |octets: &[u8]| {
            let raw: Vec<u8> = octets.iter().map(|octet| convention.map(*octet)).collect();
            port.write_all(&raw).unwrap();
        };
        if in_reset {
            in_reset = false;
            let mut atr = ATR;
            if convention == Convention::Inverse {
                atr[0] = 0x3F;
            }
            send(&atr);
        }
        if len == 0 {
            continue;
        }
        let logical: Vec<u8> = buf[..len].iter().map(|octet| convention.map(*octet)).collect();
        if echo == Echo::OfAll {
            send(&logical);
        }
        received.extend(logical);
        if let Some(answer) = answer(&received) {
            rates.lock().unwrap().push(rate);
            received.clear();
            send(&answer);
        }
    }
}

fn answer(received: &[u8]) -> Option<Vec<u8>> {
    if received[0] == Pps::PPSS {
        return Pps::parse(received).ok().map(|pps| pps.emit().to_vec());
    }
    let len = Block::len_by_prologue(received, Edc::Lrc)?;
    if received.len() < len {
        return None;
    }
    let mut out = [0; 300];
    let block = match Block::parse(received, Edc::Lrc).unwrap() {
        Block::S { kind: Supervisory::Ifs(size), .. } => {
            Block::S { response: true, kind: Supervisory::Ifs(size) }
        }
        Block::I { ns, .. } => {
            Block::I { ns, more: false, inf: &[0xFF, 0xFF, 0x00, 0xFF, 0x90, 0x00] }
        }
        other => panic!("the machine sent {other:?}"),
    };
    let len = block.emit(Edc::Lrc, &mut out).unwrap();
    Some(out[..len].to_vec())
}

#[derive(Debug, PartialEq)]
enum Event {
    Ready,
    Response(Vec<u8>),
    Failed(Cause),
}

/// Does what the line says until something has happened.
fn drive(line: &mut CardLine, reader: &mut dyn Reader, input: Input<'_>) -> Event {
    let waker = Waker::new().unwrap();
    line.handle_input(clock::now(), input);
    let mut buf = [0; 300];
    loop {
        let deadline = match line.poll_output() {
            Output::Activate(reset) => {
                reader.activate(reset).unwrap();
                continue;
            }
            Output::Deactivate => {
                reader.deactivate();
                continue;
            }
            Output::Configure(params) => {
                reader.configure(&params).unwrap();
                continue;
            }
            Output::Transmit(octets) => {
                reader.send(octets).unwrap();
                continue;
            }
            Output::Ready(_) => return Event::Ready,
            Output::Response(response) => return Event::Response(response.to_vec()),
            Output::Failed(error) => return Event::Failed(error.cause()),
            Output::Wait(deadline) => deadline,
        };
        match reader.receive(&mut buf, deadline, &waker) {
            Ok(received) if received.octets > 0 || received.damaged => {
                if received.damaged {
                    line.handle_input(clock::now(), Input::Damaged);
                }
                let octets = &buf[..received.octets];
                line.handle_input(clock::now(), Input::Received(octets));
            }
            Ok(_) => line.handle_input(clock::now(), Input::Timeout),
            Err(error) => line.handle_input(clock::now(), Input::Gone(error.gone())),
        }
    }
}

fn line(reader: &dyn Reader) -> CardLine {
    let capabilities = reader.capabilities();
    let baud_base = capabilities.baud_base;
    CardLine::new(Policy { baud_base, ..Policy::new(capabilities.clock_hz) })
}

fn command(line: &mut CardLine, reader: &mut dyn Reader) -> Event {
    let patience = Some(Duration::from_secs(2));
    drive(line, reader, Input::Command { apdu: &COMMAND, patience })
}

fn answered() -> Event {
    Event::Response(vec![0xFF, 0xFF, 0x00, 0xFF, 0x90, 0x00])
}

#[test]
fn a_card_on_a_pseudo_terminal() {
    let socket = Socket::new(Echo::None, Convention::Direct);
    let mut reader = socket.open("");
    let capabilities = reader.capabilities();
    assert_eq!((capabilities.reset, capabilities.detect), (true, false));
    assert_eq!(capabilities.clock_hz, 3_579_545);
    assert_eq!(reader.present().unwrap(), Presence::Unknown);
    let mut line = line(&*reader);
    assert_eq!(drive(&mut line, &mut *reader, Input::Activate), Event::Ready);
    for _ in 0..3 {
        assert_eq!(command(&mut line, &mut *reader), answered());
    }
    let rates = socket.rates.lock().unwrap().clone();
    assert_eq!(rates, [9_622, 115_469, 115_469, 115_469, 115_469], "PPS at the default rate");
    let (sent, received) = reader.line_octets();
    assert_eq!(sent, 4 + 5 + 3 * 9);
    assert_eq!(received, 9 + 4 + 5 + 3 * 10, "an FF counts once");
}

#[test]
fn inverse_convention() {
    let socket = Socket::new(Echo::None, Convention::Inverse);
    let mut reader = socket.open("?clock=4000000");
    let mut line = line(&*reader);
    assert_eq!(drive(&mut line, &mut *reader, Input::Activate), Event::Ready);
    assert_eq!(line.params().convention, Convention::Inverse);
    assert_eq!(command(&mut line, &mut *reader), answered());
    assert_eq!(socket.rates.lock().unwrap()[..2], [10_753, 129_032]);
}

/// The card takes up to 372/12; PPS asks for the fastest rate that dividing the base comes near.
#[test]
fn pps_goes_by_what_the_uart_can_make() {
    for (options, rate) in [
        ("?base=115200", 115_469),              // 0.2 % off
        ("?base=1000000", 76_979),              // 372/12 would be 3.8 % off, 372/8 is 0.1 %
        ("?base=115200&clock=6000000", 16_129), // 193,548 is out of reach, and so is all between
    ] {
        let socket = Socket::new(Echo::None, Convention::Direct);
        let mut reader = socket.open(options);
        let mut line = line(&*reader);
        assert_eq!(drive(&mut line, &mut *reader, Input::Activate), Event::Ready);
        assert_eq!(command(&mut line, &mut *reader), answered());
        assert_eq!(socket.rates.lock().unwrap().last(), Some(&rate), "{options}");
    }
}

#[test]
fn a_reader_that_echoes() {
    let socket = Socket::new(Echo::OfAll, Convention::Direct);
    let mut reader = socket.open("?echo=1");
    let mut line = line(&*reader);
    assert_eq!(drive(&mut line, &mut *reader, Input::Activate), Event::Ready);
    assert_eq!(command(&mut line, &mut *reader), answered());
    assert_eq!(reader.line_octets().1, 9 + 4 + 5 + 10, "echoes are not the card's");
}

#[test]
fn an_echo_that_does_not_come_is_told() {
    let socket = Socket::new(Echo::None, Convention::Direct);
    // Without a reset the card says nothing, so that nothing can be taken for an echo.
    let mut reader = socket.open("?echo=1&reset=none");
    reader.activate(Reset::Cold).unwrap();
    let error = reader.send(&[0x00]).unwrap_err();
    assert!(matches!(error, ReaderError::NoEcho { .. }), "{error}");
    assert!(error.to_string().contains("echo=0"), "{error}");
}

#[test]
fn pulled_and_unplugged_are_told_apart() {
    let mut socket = Socket::new(Echo::None, Convention::Direct);
    let mut reader = socket.open("");
    let mut line = line(&*reader);
    assert_eq!(drive(&mut line, &mut *reader, Input::Activate), Event::Ready);
    socket.set(PULLED);
    let patience = Some(Duration::from_millis(100));
    let input = Input::Command { apdu: &COMMAND, patience };
    assert_eq!(drive(&mut line, &mut *reader, input), Event::Failed(Cause::Silent));
    assert_eq!(drive(&mut line, &mut *reader, Input::Timeout), Event::Failed(Cause::Mute));
    socket.set(IN);
    assert_eq!(drive(&mut line, &mut *reader, Input::Activate), Event::Ready);
    assert_eq!(command(&mut line, &mut *reader), answered());
    socket.set(UNPLUGGED);
    let waker = Waker::new().unwrap();
    let error = reader.receive(&mut [0; 8], None, &waker).unwrap_err();
    assert!(matches!(&error, ReaderError::Lost { port } if *port == socket.path), "{error}");
    line.handle_input(clock::now(), Input::Gone(error.gone()));
    assert!(matches!(line.poll_output(), Output::Failed(e) if e.cause() == Cause::ReaderLost));
    assert!(matches!(reader.send(&[0]), Err(ReaderError::Lost { .. })));
    assert!(matches!(reader.activate(Reset::Warm), Err(ReaderError::Lost { .. })));
}

#[test]
fn a_survey_of_a_pseudo_terminal() {
    let socket = Socket::new(Echo::OfAll, Convention::Direct);
    let url = format!("serial:{}?reset=none&echo=1&clock=5000000&base=1000000", socket.path);
    let mut reader = SerialReader::open(&Url::parse(&url)).unwrap();
    let survey = reader.survey().unwrap();
    assert_eq!(survey.kind.as_deref(), Some("pseudo terminal"));
    assert_eq!((survey.reset.as_str(), survey.detect.as_str()), ("none", "none"));
    assert_eq!((survey.lines, survey.marks_parity), (vec![], false));
    assert_eq!((survey.clock_hz, survey.baud_base), (5_000_000, Some(1_000_000)));
    assert_eq!((survey.latency, survey.latency_timer), (Latency::Fixed, None));
    let params = LineParams { f: 512, d: 32, ..LineParams::initial(5_000_000) };
    assert_eq!(reader.try_rate(&params).unwrap(), 312_500);
    assert!(reader.echo_time().unwrap().unwrap() < Duration::from_secs(1));
    drop(reader);

    let url = format!("serial:{}?echo=1", socket.path);
    let mut reader = SerialReader::open(&Url::parse(&url)).unwrap();
    assert_eq!(reader.survey().unwrap().reset, "b0");
    assert_eq!(reader.echo_time().unwrap(), None);
}

#[test]
fn a_waker_ends_a_wait() {
    let socket = Socket::new(Echo::None, Convention::Direct);
    let mut reader = socket.open("?reset=none");
    assert!(!reader.capabilities().reset);
    let waker = Waker::new().unwrap();
    let other = waker.clone();
    let thread = std::thread::spawn(move || other.wake());
    let received = reader.receive(&mut [0; 8], None, &waker).unwrap();
    thread.join().unwrap();
    assert!(received.woken && received.octets == 0);
    let before = clock::now();
    let until = before.after(Duration::from_millis(5));
    let received = reader.receive(&mut [0; 8], Some(until), &waker).unwrap();
    assert!(!received.woken && received.octets == 0);
    assert!(clock::now() >= until);
}

#[test]
fn a_long_guard_time_is_kept() {
    let socket = Socket::new(Echo::None, Convention::Direct);
    let mut reader = socket.open("");
    reader.activate(Reset::Cold).unwrap();
    let params = LineParams { guard_etu: 50, ..LineParams::initial(USUAL_CLOCK_HZ) };
    reader.configure(&params).unwrap();
    let before = clock::now();
    reader.send(&[0x00, 0xC1, 0x01]).unwrap();
    assert!(clock::now().since(before) >= params.etus(100));
}

/// Every message names what is wrong and what would work.
#[test]
fn ports_and_options_that_do_not_exist() {
    let socket = Socket::new(Echo::None, Convention::Direct);
    let file = env!("CARGO_MANIFEST_PATH");
    let port = |options: &str| format!("serial:{}{options}", socket.path);
    let table: &[(String, &[&str])] = &[
        ("/dev/ttyS0".into(), &["scheme", "serial:PATH"]),
        ("pcsc:0".into(), &["scheme", "'pcsc'", "serial:PATH"]),
        ("serial:".into(), &["path", "serial:/dev/ttyS0"]),
        ("gempc:".into(), &["path", "gempc:/dev/ttyS0"]),
        ("gempc:/dev/no-such-port".into(), &["/dev/no-such-port", "no such file", "exists"]),
        (format!("gempc:{file}"), &[file, "serial port or terminal"]),
        (format!("gempc:{}?detect=cts", socket.path), &["'detect'", "clock or baud"]),
        (format!("gempc:{}?policy=emv", socket.path), &["'policy'", "clock or baud"]),
        ("iso7816:".into(), &["path", "iso7816:/dev/ttyS1"]),
        (format!("iso7816:{file}"), &[file, "serial port or terminal"]),
        (format!("iso7816:{}?clock=0", socket.path), &["clock", "'0'", "1000000"]),
        (format!("iso7816:{}?echo=1", socket.path), &["'echo'", "reset, detect, clock or policy"]),
        (format!("iso7816:{}", socket.path), &[&socket.path, "no ISO 7816 mode", "serial:/dev/"]),
        ("serial:/dev/no-such-port".into(), &["/dev/no-such-port", "no such file", "exists"]),
        (format!("serial:{file}"), &[file, "serial port or terminal"]),
        (port("?speed=9600"), &["'speed'", "reset, detect, clock, base, echo or policy"]),
        (port("?reset=cts"), &["reset", "'cts'", "b0"]),
        (port("?reset=!b0"), &["reset", "'!b0'"]),
        (port("?detect=rts"), &["detect", "'rts'", "dcd"]),
        (port("?clock=fast"), &["clock", "'fast'", "1000000"]),
        (port("?clock=0"), &["clock", "'0'"]),
        (port("?base=0"), &["base", "'0'", "9600"]),
        (port("?echo=yes"), &["echo", "'yes'", "0 or 1"]),
        (port("?policy=EMV"), &["policy", "'EMV'", "iso or emv"]),
        (port("?reset=rts"), &["no modem lines", "reset=b0"]),
        (port("?detect=cts"), &["no modem lines", "detect=none"]),
    ];
    for (url, parts) in table {
        let Err(error) = readers::open(url) else { panic!("{url} opens") };
        let text = error.to_string();
        for part in *parts {
            assert!(text.contains(part), "{url}: '{text}' does not say {part}");
        }
        assert!(!text.ends_with('.'));
    }
    let first = socket.open("");
    for scheme in ["serial", "gempc", "iso7816"] {
        let url = format!("{scheme}:{}", socket.path);
        let Err(error) = readers::open(&url) else { panic!("{scheme}: opens twice") };
        assert!(error.to_string().contains("another program"), "{error}");
    }
    drop(first);
    socket.open("");
}

/// EMV knows no PPS: the card stays at the rate that it began with.
#[test]
fn emv_level_1_by_the_address() {
    let socket = Socket::new(Echo::None, Convention::Direct);
    let url = format!("serial:{}?policy=emv", socket.path);
    let mut reader = readers::open(&url).unwrap();
    let policy = reader.capabilities().policy();
    assert_eq!(policy, Policy::emv(reader.capabilities().clock_hz));
    let mut strict = CardLine::new(policy);
    let end = drive(&mut strict, &mut *reader, Input::Activate);
    assert_eq!((end, strict.params().d), (Event::Ready, 1));
    drop(reader);
    let mut reader = socket.open("");
    let mut line = line(&*reader);
    let end = drive(&mut line, &mut *reader, Input::Activate);
    assert_eq!((end, line.params().d), (Event::Ready, 12));
}
