// SPDX-License-Identifier: Apache-2.0
//! Good and bad virtual cards, each a client in a thread of its own.
use super::*;
use proptest::prelude::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;

const ATR: [u8; 4] = [0x3B, 0x02, 0x14, 0x50];
const COMMAND: [u8; 5] = [0x00, 0xB0, 0x00, 0x00, 0x02];
/// For cards that are not to be waited for.
const IMPATIENT: Limits = Limits {
    message: Duration::from_millis(50),
    atr: Duration::from_millis(100),
    answer: Duration::from_millis(50),
};
const COLD: [u8; 9] = [0, 1, 0, 0, 1, 1, 0, 1, 4];
const WARM: [u8; 6] = [0, 1, 2, 0, 1, 4];

fn message(octets: &[u8]) -> Vec<u8> {
    [&u16::try_from(octets.len()).unwrap().to_be_bytes(), octets].concat()
}

struct Slot {
    reader: VpcdReader,
    waker: Waker,
}

impl Slot {
    fn new() -> Self {
        let reader = VpcdReader::open(&Url::parse("vpcd:127.0.0.1:0")).unwrap();
        Self { reader, waker: Waker::new().unwrap() }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.reader.address().unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }

    /// A card with a mind of its own, inserted.
    fn insert<T: Send + 'static>(
        &mut self,
        card: impl FnOnce(&mut TcpStream) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let mut stream = self.connect();
        assert_eq!(self.present(), Presence::Present);
        std::thread::spawn(move || card(&mut stream))
    }

    fn present(&mut self) -> Presence {
        self.reader.present().unwrap()
    }

    /// Waits until the slot is as wanted.
    fn until(&mut self, wanted: Presence) {
        while self.present() != wanted {
            std::thread::yield_now();
        }
    }

    fn receive(&mut self) -> Result<(Received, Vec<u8>), ReaderError> {
        let mut buf = [0; 300];
        let until = clock::now().after(Duration::from_secs(5));
        let received = self.reader.receive(&mut buf, Some(until), &self.waker)?;
        Ok((received, buf[..received.octets].to_vec()))
    }

    fn activate(&mut self, reset: Reset) {
        self.reader.activate(reset).unwrap();
        let (received, atr) = self.receive().unwrap();
        let what = What::AnswerToReset { level: Level::Apdu, agreed: None };
        assert_eq!((received.what, &atr[..]), (what, &ATR[..]));
    }

    fn command(&mut self) -> Result<(What, Vec<u8>), ReaderError> {
        self.reader.send(&COMMAND)?;
        let (received, answer) = self.receive()?;
        Ok((received.what, answer))
    }
}

fn expect(stream: &mut TcpStream, octets: &[u8]) {
    let mut got = vec![0; octets.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, octets);
}

fn say(stream: &mut TcpStream, octets: &[u8]) {
    stream.write_all(&message(octets)).unwrap();
}

/// Answers a reset.
fn start(stream: &mut TcpStream, reset: &[u8]) {
    expect(stream, reset);
    say(stream, &ATR);
}

/// Reads until the reader closes the connection.
fn shown_out(stream: &mut TcpStream) {
    let mut rest = [0; 64];
    while !matches!(stream.read(&mut rest), Ok(0) | Err(_)) {}
}

#[test]
fn it_listens_on_loopback_only() {
    for path in ["0.0.0.0:35963", "192.168.1.2:35963", "[::]:1", "example.org:1", "127.0.0.1", ""] {
        let url = format!("vpcd:{path}");
        let text = VpcdReader::open(&Url::parse(&url)).unwrap_err().to_string();
        let expected = "expected a loopback address and a port, as in vpcd:127.0.0.1:35963";
        assert_eq!(text, format!("reader '{url}': address is '{path}', {expected}"));
    }
    let text = VpcdReader::open(&Url::parse("vpcd:127.0.0.1:0?clock=1")).unwrap_err().to_string();
    assert!(text.contains("option is 'clock', expected none"), "{text}");
    let first = VpcdReader::open(&Url::parse("vpcd:localhost:0")).unwrap();
    let taken = format!("vpcd:{}", first.address().unwrap());
    let text = VpcdReader::open(&Url::parse(&taken)).unwrap_err().to_string();
    assert!(text.contains("listening there? stop it"), "{text}");
    drop(first);
    VpcdReader::open(&Url::parse(&taken)).unwrap();
}

#[test]
fn power_commands_and_removal() {
    let mut slot = Slot::new();
    assert_eq!(slot.present(), Presence::Absent);
    assert_eq!(slot.reader.activate(Reset::Cold).unwrap_err().gone(), Gone::Removed);
    let card = slot.insert(|stream| {
        start(stream, &COLD);
        expect(stream, &message(&COMMAND));
        // In two parts, as some cards send it.
        stream.write_all(&[0, 4]).unwrap();
        stream.write_all(&[0xAA, 0xBB, 0x90, 0x00]).unwrap();
        start(stream, &WARM);
        expect(stream, &message(&COMMAND));
        say(stream, &[0x6A, 0x82]);
        expect(stream, &message(&[0]));
    });
    slot.activate(Reset::Cold);
    assert_eq!(slot.command().unwrap(), (What::Message, vec![0xAA, 0xBB, 0x90, 0x00]));
    slot.activate(Reset::Warm);
    assert_eq!(slot.command().unwrap(), (What::Message, vec![0x6A, 0x82]));
    assert_eq!(slot.reader.line_octets(), (10, 14));
    slot.reader.deactivate();
    card.join().unwrap();
    assert!(matches!(slot.receive(), Err(ReaderError::Removed)));
    assert_eq!(slot.present(), Presence::Absent);
}

#[test]
fn a_card_that_leaves_in_a_command_is_removed() {
    let mut slot = Slot::new();
    let card = slot.insert(|stream| {
        start(stream, &COLD);
        expect(stream, &message(&COMMAND));
        stream.write_all(&[0, 4, 0xAA]).unwrap();
    });
    slot.activate(Reset::Cold);
    assert!(matches!(slot.command(), Err(ReaderError::Removed)));
    card.join().unwrap();
}

#[test]
fn one_card_at_a_time() {
    let mut slot = Slot::new();
    let card = slot.insert(|stream| start(stream, &COLD));
    let mut second = slot.connect();
    slot.activate(Reset::Cold);
    card.join().unwrap();
    // The end of the first comes before the second's turn, which is not carried over.
    assert!(matches!(slot.receive(), Err(ReaderError::Removed)));
    slot.until(Presence::Present);
    let mut third = slot.connect();
    let until = clock::now().after(Duration::from_millis(1));
    let received = slot.reader.receive(&mut [0; 300], Some(until), &slot.waker).unwrap();
    assert_eq!(received, Received::default());
    shown_out(&mut third);
    assert_eq!(slot.present(), Presence::Present, "the one that is in stays");
    say(&mut second, &[]);
    slot.until(Presence::Absent);
}

/// What a client says in place of its answer to reset, and what it is told.
#[test]
fn bad_answers_to_reset_free_the_slot() {
    let long = message(&[0x3B; 34]);
    let twice = [message(&ATR), message(&ATR)].concat();
    let table: &[(&[u8], &str)] = &[
        (&[], "no answer to reset within 100ms"),
        (&[0], "1 of ? octets of a message within 50ms"),
        (&[0, 4, 0x3B], "3 of 6 octets of a message within 50ms"),
        (b"GET / HTTP/1.1\r\n\r\n", "a message of 18245 octets, expected 33 at most"),
        (&long, "a message of 34 octets, expected 33 at most"),
        (&twice, "octets that nobody had asked for"),
    ];
    for (octets, why) in table {
        let mut slot = Slot::new();
        let octets = octets.to_vec();
        let card = slot.insert(move |stream| {
            expect(stream, &COLD);
            stream.write_all(&octets).unwrap();
            shown_out(stream);
        });
        if why.contains("within") {
            slot.reader.limits = IMPATIENT;
        }
        let error = slot.reader.activate(Reset::Cold).unwrap_err();
        assert_eq!(error.gone(), Gone::Removed);
        let text = error.to_string();
        assert!(text.starts_with("vpcd 127.0.0.1:") && text.ends_with(why), "{text}");
        assert_eq!(slot.present(), Presence::Absent);
        card.join().unwrap();
        slot.reader.limits = Limits::USUAL;
        let next = slot.insert(|stream| start(stream, &COLD));
        slot.activate(Reset::Cold);
        next.join().unwrap();
    }
}

#[test]
fn bad_answers_to_commands_free_the_slot() {
    let twice = [message(&[0x90, 0x00]), message(&[0x90, 0x00])].concat();
    for (octets, why) in [
        (vec![0], "1 of ? octets of a message within 50ms"),
        (vec![0xFF, 0xFF, 1, 2], "4 of 65537 octets of a message within 50ms"),
        (twice, "octets that nobody had asked for"),
    ] {
        let mut slot = Slot::new();
        let card = slot.insert(move |stream| {
            start(stream, &COLD);
            expect(stream, &message(&COMMAND));
            stream.write_all(&octets).unwrap();
            shown_out(stream);
        });
        slot.activate(Reset::Cold);
        if why.contains("within") {
            slot.reader.limits.message = IMPATIENT.message;
        }
        let text = slot.command().unwrap_err().to_string();
        assert!(text.ends_with(why), "{text}");
        assert_eq!(slot.present(), Presence::Absent);
        card.join().unwrap();
    }
}

#[test]
fn a_client_that_speaks_unasked_is_shown_out() {
    for octets in [&b"GET / HTTP/1.1\r\n\r\n"[..], &message(&ATR), &[0, 0], &[0]] {
        let mut slot = Slot::new();
        let mut stream = slot.connect();
        slot.until(Presence::Present);
        stream.write_all(octets).unwrap();
        slot.reader.limits = IMPATIENT;
        let error = slot.receive().unwrap_err();
        assert!(matches!(error, ReaderError::Dismissed { .. }), "{octets:02X?}: {error}");
        shown_out(&mut stream);
        assert_eq!(slot.present(), Presence::Absent);
    }
}

#[test]
fn a_client_that_reads_nothing_is_shown_out() {
    let mut slot = Slot::new();
    let stream = slot.connect();
    slot.until(Presence::Present);
    slot.reader.limits = IMPATIENT;
    let error = loop {
        if let Err(error) = slot.reader.send(&[0; 0xFFFF]) {
            break error.to_string();
        }
    };
    assert!(error.ends_with("it took no more octets for 50ms"), "{error}");
    drop(stream);
    let error = slot.reader.send(&[0; 0x1_0000]).unwrap_err().to_string();
    assert!(error.contains("65536 octets, a message has 65535 at most"), "{error}");
}

/// WI 250 and BWI 9: a card that may take longer than usual has that time, the next one has not.
#[test]
fn a_card_has_its_own_waiting_time() {
    let t0: &[u8] = &[0x3B, 0x80, 0x40, 0xFA];
    let t1: &[u8] = &[0x3B, 0x80, 0x81, 0x31, 0xFE, 0x95, 0x5B];
    for (atr, seconds) in [(t0, 24), (t1, 51), (&ATR[..], 10), (&[0x3B], 10)] {
        let mut slot = Slot::new();
        slot.reader.limits.answer = Duration::from_secs(60);
        let card = slot.insert(move |stream| {
            expect(stream, &COLD);
            say(stream, atr);
            expect(stream, &message(&COMMAND));
        });
        slot.reader.activate(Reset::Cold).unwrap();
        slot.receive().unwrap();
        let before = clock::now();
        slot.reader.send(&COMMAND).unwrap();
        let Expected::Answer(due) = slot.reader.expected else { panic!("{atr:02X?}") };
        let given = due.since(before);
        assert!(given >= Duration::from_secs(seconds), "{atr:02X?}: {given:?}");
        assert!(given < Duration::from_secs(seconds + 3), "{atr:02X?}: {given:?}");
        card.join().unwrap();
    }
}

/// The answer to a command that was given up comes before the answer to reset, or never.
#[test]
fn a_late_answer_answers_nothing_else() {
    for late in [Some(&[0xAA, 0xBB, 0x90, 0x00][..]), Some(&[0x3B; 300]), Some(&[]), None] {
        let mut slot = Slot::new();
        let card = slot.insert(move |stream| {
            start(stream, &COLD);
            expect(stream, &message(&COMMAND));
            expect(stream, &WARM);
            let late = late.map(message).unwrap_or_default();
            stream.write_all(&[late, message(&ATR)].concat()).unwrap();
            expect(stream, &message(&COMMAND));
            say(stream, &[0x90, 0x00]);
        });
        slot.activate(Reset::Cold);
        slot.reader.limits.answer = IMPATIENT.answer;
        assert_eq!(slot.command().unwrap(), (What::Unanswered, Vec::new()));
        slot.reader.limits = Limits::USUAL;
        slot.activate(Reset::Warm);
        assert_eq!(slot.command().unwrap(), (What::Message, vec![0x90, 0x00]), "{late:02X?}");
        card.join().unwrap();
    }
}

/// It looks like an answer to reset: the real one is then one too many.
#[test]
fn a_late_answer_in_disguise_costs_the_connection() {
    let mut slot = Slot::new();
    let card = slot.insert(|stream| {
        start(stream, &COLD);
        expect(stream, &message(&COMMAND));
        expect(stream, &WARM);
        say(stream, &[0x3B, 0x02, 0x90, 0x00]);
        say(stream, &ATR);
        shown_out(stream);
    });
    slot.activate(Reset::Cold);
    slot.reader.limits.answer = IMPATIENT.answer;
    assert_eq!(slot.command().unwrap().0, What::Unanswered);
    let told = slot.reader.activate(Reset::Warm).and_then(|()| slot.receive()).and_then(|_| {
        // Nothing more is expected, and something more comes.
        slot.receive()
    });
    assert!(matches!(told, Err(ReaderError::Dismissed { .. })));
    card.join().unwrap();
}

#[test]
fn an_answer_longer_than_the_buffer_is_none() {
    let mut slot = Slot::new();
    let card = slot.insert(|stream| {
        start(stream, &COLD);
        for length in [0xFFFF, 300] {
            expect(stream, &message(&COMMAND));
            say(stream, &vec![0x90; length]);
        }
    });
    slot.activate(Reset::Cold);
    slot.reader.send(&COMMAND).unwrap();
    let (received, octets) = slot.receive().unwrap();
    assert_eq!((received.what, received.damaged), (What::Unanswered, true));
    assert!(octets.is_empty());
    assert_eq!(slot.command().unwrap(), (What::Message, vec![0x90; 300]));
    card.join().unwrap();
}

#[test]
fn the_waker_ends_a_wait_and_costs_nothing() {
    let mut slot = Slot::new();
    slot.waker.wake();
    assert!(slot.receive().unwrap().0.woken);
    let waker = slot.waker.clone();
    let card = slot.insert(move |stream| {
        start(stream, &COLD);
        expect(stream, &message(&COMMAND));
        waker.wake();
        expect(stream, &[0]);
    });
    slot.activate(Reset::Cold);
    slot.reader.send(&COMMAND).unwrap();
    let (received, octets) = slot.receive().unwrap();
    assert!(received.woken && octets.is_empty());
    // One octet is enough for the card to go on.
    slot.reader.tell(&[0]).unwrap();
    card.join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a client says, it is gone or understood in bounded time, and the next one is
    /// served.
    #[test]
    fn any_octets(first: Vec<u8>, second: Vec<u8>) {
        let mut slot = Slot::new();
        slot.reader.limits = Limits {
            message: Duration::from_millis(5),
            atr: Duration::from_millis(5),
            answer: Duration::from_millis(5),
        };
        let card = slot.insert(move |stream| {
            let _ = stream.write_all(&first);
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(&second);
        });
        if slot.reader.activate(Reset::Cold).is_ok() {
            let _ = slot.receive();
            let _ = slot.command();
        }
        card.join().unwrap();
        slot.until(Presence::Absent);
        slot.reader.limits = Limits::USUAL;
        let next = slot.insert(|stream| start(stream, &COLD));
        slot.activate(Reset::Cold);
        next.join().unwrap();
    }
}
