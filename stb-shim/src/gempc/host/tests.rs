// SPDX-License-Identifier: Apache-2.0
//! Dialogues of the host with a reader, octet by octet, in virtual time.
use super::super::frame::Header;
use super::*;
use hex_literal::hex;
use iso7816::etu::{GEMPC_CLOCK_HZ, LineParams};
use proptest::prelude::*;

#[derive(Debug, PartialEq)]
enum Heard {
    Send(Vec<u8>),
    AnswerToReset(Vec<u8>),
    Message(Vec<u8>),
    Unanswered { damaged: bool },
    Removed,
    Dead,
}

struct Rig {
    host: Host,
    now: Instant,
    wait: Option<Instant>,
}

impl Rig {
    /// A host with a reader that echoes, and a card that is up and idle.
    fn ready(atr: &[u8]) -> Self {
        let mut rig =
            Self { host: Host::new(GEMPC_CLOCK_HZ), now: Instant::from_micros(1), wait: None };
        assert_eq!(rig.tell(Input::Greet), [command(0x6B, 1, &[0], &hex!("02"))]);
        let greeted = rig.answer(0x83, 1, &[0], b"GemTwin");
        assert_eq!(greeted, [command(0x6B, 2, &[0], &hex!("010001"))]);
        let told = rig.answer(0x83, 2, &[0], &[]);
        assert_eq!(told, [command(0x65, 3, &[0], &[])]);
        assert_eq!(rig.answer(0x81, 3, &[1], &[]), []);
        assert!(rig.host.present() && rig.host.idle());
        let on = rig.tell(Input::Activate(Reset::Cold));
        assert_eq!(on, [command(0x62, 4, &[1], &[])]);
        let answered = rig.answer(0x80, 4, &[0], atr);
        assert_eq!(answered, [Heard::AnswerToReset(atr.to_vec())]);
        rig
    }

    /// A card of T=0 that has had its parameters and its first command; the next is number 7.
    fn used() -> Self {
        let mut rig = Self::ready(&hex!("3B 00"));
        let set = rig.tell(Input::Transfer(&TPDU));
        assert_eq!(set, [command(0x61, 5, &[0], &hex!("11 00 00 0A 00"))]);
        let sent = rig.answer(0x82, 5, &[0], &hex!("11 00 00 0A 00"));
        assert_eq!(sent, [transfer(6)]);
        let done = rig.answer(0x80, 6, &[0], &OK);
        assert_eq!(done, [Heard::Message(OK.to_vec())]);
        rig
    }

    /// One that has sent its command 7.
    fn busy() -> Self {
        let mut rig = Self::used();
        assert_eq!(rig.tell(Input::Transfer(&TPDU)), [transfer(7)]);
        rig
    }

    fn tell(&mut self, input: Input<'_>) -> Vec<Heard> {
        self.host.handle_input(self.now, input);
        let mut heard = Vec::new();
        loop {
            heard.push(match self.host.poll_output() {
                Output::Send(octets) => Heard::Send(octets.to_vec()),
                Output::AnswerToReset => Heard::AnswerToReset(self.host.answer().to_vec()),
                Output::Message => Heard::Message(self.host.answer().to_vec()),
                Output::Unanswered { damaged } => Heard::Unanswered { damaged },
                Output::Removed => Heard::Removed,
                Output::Dead => Heard::Dead,
                Output::Wait(until) => {
                    self.wait = until;
                    return heard;
                }
            });
        }
    }

    fn reader(&mut self, octets: &[u8]) -> Vec<Heard> {
        self.tell(Input::Received(octets))
    }

    /// The echo of what was sent last.
    fn echo(&mut self) -> Vec<Heard> {
        let echo = self.host.frame[..self.host.frame_len].to_vec();
        self.reader(&echo)
    }

    /// The echo, and an answer with this status and error.
    fn answer(&mut self, kind: u8, sequence: u8, status: &[u8], data: &[u8]) -> Vec<Heard> {
        let _ = self.echo();
        self.reader(&framed(kind, sequence, status, data))
    }

    /// Time passes until the host does something.
    fn pass(&mut self) -> Vec<Heard> {
        for _ in 0..10 {
            let Some(until) = self.wait else { panic!("the host waits for nothing") };
            self.now = self.now.max(until);
            let heard = self.tell(Input::Timeout);
            if !heard.is_empty() {
                return heard;
            }
        }
        panic!("the host wakes up for nothing");
    }
}

const TPDU: [u8; 5] = hex!("80 CA 00 00 01");
const OK: [u8; 3] = hex!("AA 90 00");

fn framed(kind: u8, sequence: u8, own: &[u8], data: &[u8]) -> Vec<u8> {
    let mut three = [0; 3];
    three[..own.len()].copy_from_slice(own);
    let mut out = vec![0; LONGEST];
    let header = Header { kind, slot: 0, sequence, own: three };
    let len = header.emit(data, &mut out).unwrap();
    out.truncate(len);
    out
}

fn command(kind: u8, sequence: u8, own: &[u8], data: &[u8]) -> Heard {
    Heard::Send(framed(kind, sequence, own, data))
}

fn transfer(sequence: u8) -> Heard {
    command(0x6F, sequence, &[0], &TPDU)
}

fn refusal() -> Heard {
    Heard::Send(REFUSAL.to_vec())
}

fn done() -> Vec<u8> {
    framed(0x80, 7, &[0], &OK)
}

#[test]
fn pps_comes_before_the_parameters_and_wtx_stretches_the_wait() {
    let mut rig = Rig::ready(&hex!("3B 90 18 01 89"));
    let pps = hex!("FF 11 18 F6");
    assert_eq!(rig.tell(Input::Transfer(&pps)), [command(0x6F, 5, &[0], &pps)]);
    assert_eq!(rig.answer(0x80, 5, &[0], &pps), [Heard::Message(pps.to_vec())]);
    let line = LineParams { d: 12, protocol: 1, ..LineParams::initial(GEMPC_CLOCK_HZ) };
    assert_eq!(rig.tell(Input::Configure(&line)), []);
    let ifs = hex!("00 C1 01 FE 3E");
    let structure = hex!("18 10 00 4D 00 20 00");
    assert_eq!(rig.tell(Input::Transfer(&ifs)), [command(0x61, 6, &[1], &structure)]);
    let sent = rig.answer(0x82, 6, &[0], &structure);
    assert_eq!(sent, [command(0x6F, 7, &[0], &ifs)]);
    let answer = hex!("00 E1 01 FE 1E");
    assert_eq!(rig.answer(0x80, 7, &[0], &answer), [Heard::Message(answer.to_vec())]);
    let wtx = hex!("00 E3 01 05 E7");
    assert_eq!(rig.tell(Input::Transfer(&wtx)), [command(0x6F, 8, &[5], &wtx)]);
    // The card's own reset needs its power taken away first.
    let off = rig.tell(Input::Activate(Reset::Cold));
    assert_eq!(off, [command(0x63, 9, &[0], &[])]);
    assert_eq!(rig.answer(0x81, 9, &[1], &[]), [command(0x62, 10, &[1], &[])]);
    let warm = rig.tell(Input::Activate(Reset::Warm));
    assert_eq!(warm, [command(0x62, 11, &[1], &[])]);
    // The answer to what was given up is not taken for the one to this.
    assert_eq!(rig.answer(0x80, 10, &[0], &hex!("3B 01 99")), []);
    let mute = rig.answer(0x80, 11, &[0x41, 0xFE], &[]);
    assert_eq!(mute, [Heard::AnswerToReset(vec![])]);
    let lower = rig.tell(Input::Activate(Reset::Cold));
    assert_eq!(lower, [command(0x62, 12, &[2], &[])]);
}

#[test]
fn a_refused_frame_goes_again_as_it_is() {
    let mut rig = Rig::busy();
    for _ in 1..TRIES {
        assert_eq!(rig.reader(&REFUSAL), [transfer(7)]);
    }
    assert_eq!(rig.reader(&REFUSAL), [Heard::Dead]);
    // Damaged on its way, so is its echo.
    let mut rig = Rig::busy();
    let mut echo = framed(0x6F, 7, &[0], &TPDU);
    echo[14] ^= 0x10;
    echo.extend(REFUSAL);
    assert_eq!(rig.reader(&echo), [transfer(7)]);
    let _ = rig.echo();
    assert_eq!(rig.reader(&done()), [Heard::Message(OK.to_vec())]);
}

#[test]
fn a_command_that_arrived_never_goes_again() {
    let mut rig = Rig::busy();
    let _ = rig.echo();
    // Nobody knows what it refuses.
    assert_eq!(rig.reader(&REFUSAL), []);
    assert_eq!(rig.reader(&done()), [Heard::Message(OK.to_vec())]);
    assert_eq!(rig.reader(&REFUSAL), []);
    // Overdue: the answer is asked for, and an older one comes.
    let mut rig = Rig::busy();
    let _ = rig.echo();
    for _ in 0..TRIES {
        assert_eq!(rig.pass(), [refusal()]);
        assert_eq!(rig.reader(&framed(0x80, 6, &[0], &OK)), []);
    }
    assert_eq!(rig.pass(), [Heard::Unanswered { damaged: true }]);
    assert!(rig.host.idle());
}

#[test]
fn a_command_of_which_nothing_arrived_goes_again() {
    let mut rig = Rig::busy();
    assert_eq!(rig.pass(), [refusal()]);
    assert_eq!(rig.reader(&framed(0x80, 6, &[0], &OK)), [transfer(7)]);
    let _ = rig.echo();
    assert_eq!(rig.reader(&done()), [Heard::Message(OK.to_vec())]);
    // A damaged echo is the echo of something.
    let mut rig = Rig::busy();
    assert_eq!(rig.reader(&hex!("03 06 6F 05")), []);
    assert_eq!(rig.pass(), [refusal()]);
    assert_eq!(rig.reader(&framed(0x80, 6, &[0], &OK)), []);
}

#[test]
fn a_damaged_answer_is_asked_for_soon() {
    for (name, at) in [("sync", 0), ("length", 3), ("sequence", 8), ("data", 12), ("sum", 15)] {
        for mishap in 0..3 {
            let mut rig = Rig::busy();
            let _ = rig.echo();
            let mut answer = done();
            match mishap {
                0 => answer[at] ^= 0x10,
                1 => drop(answer.remove(at)),
                _ => answer.insert(at, answer[at]),
            }
            let began = rig.now;
            let heard = rig.reader(&answer);
            let heard = if heard.is_empty() {
                assert_eq!(rig.pass(), [refusal()], "{name} {mishap}");
                assert!(rig.now.since(began) <= SILENCE);
                rig.reader(&done())
            } else {
                heard
            };
            assert_eq!(heard, [Heard::Message(OK.to_vec())], "{name} {mishap}");
            assert!(rig.host.idle());
        }
    }
}

#[test]
fn time_that_the_reader_wants_it_gets() {
    let mut rig = Rig::busy();
    let _ = rig.echo();
    for request in [&[0x80][..], &[0xFF], &framed(0x80, 7, &[0x80, 3], &[])] {
        rig.now = rig.wait.unwrap();
        assert_eq!(rig.reader(request), []);
        assert!(rig.wait > Some(rig.now), "{request:02X?}");
    }
    // One that was damaged costs a question, not the exchange.
    assert_eq!(rig.reader(&[0x00]), []);
    assert_eq!(rig.pass(), [refusal()]);
    assert_eq!(rig.reader(&framed(0x80, 6, &[0], &OK)), []);
    assert_eq!(rig.reader(&done()), [Heard::Message(OK.to_vec())]);
}

#[test]
fn what_the_reader_says_of_a_failed_transfer() {
    let table = [
        (hex!("40 FE"), Heard::Unanswered { damaged: false }),
        (hex!("40 FD"), Heard::Unanswered { damaged: true }),
        (hex!("40 F4"), Heard::Unanswered { damaged: true }),
        (hex!("41 00"), Heard::Unanswered { damaged: false }),
        (hex!("42 FE"), Heard::Removed),
    ];
    for (status, expected) in table {
        let mut rig = Rig::busy();
        assert_eq!(rig.answer(0x80, 7, &status, &[]), [expected], "{status:02X?}");
        assert!(rig.host.idle());
    }
}

#[test]
fn cards_come_and_leave() {
    let (out, come) = (hex!("50 02"), hex!("50 03"));
    // In an exchange: the rest of it is about a card that is gone.
    let mut rig = Rig::busy();
    let _ = rig.echo();
    assert_eq!(rig.reader(&out), [Heard::Removed]);
    assert_eq!(rig.reader(&framed(0x80, 7, &[0x42, 0xFE], &[])), []);
    assert!(!rig.host.present());
    assert_eq!(rig.reader(&come), []);
    assert!(rig.host.present());
    // With no card in there is nothing to reset.
    assert_eq!(rig.reader(&out), [Heard::Removed]);
    let _ = rig.tell(Input::Activate(Reset::Cold));
    assert_eq!(rig.answer(0x80, 8, &[0x42, 0xFE], &[]), [Heard::Removed]);
    // Between exchanges; and a card that comes while another is in is another.
    let mut rig = Rig::used();
    assert_eq!(rig.reader(&come), [Heard::Removed]);
    assert!(rig.host.present());
    // A reader that says nothing is asked, now and then.
    let mut rig = Rig::used();
    assert_eq!(rig.tell(Input::Look), []);
    rig.now = rig.now.after(LOOK);
    assert_eq!(rig.tell(Input::Look), [command(0x65, 7, &[0], &[])]);
    assert_eq!(rig.tell(Input::Look), []);
    // A command waits for that, and goes out without parameters told twice.
    assert_eq!(rig.tell(Input::Transfer(&TPDU)), []);
    assert_eq!(rig.answer(0x81, 7, &[0], &[]), [transfer(8)]);
    assert_eq!(rig.answer(0x80, 8, &[0], &OK), [Heard::Message(OK.to_vec())]);
    rig.now = rig.now.after(LOOK);
    let _ = rig.tell(Input::Look);
    assert_eq!(rig.answer(0x81, 9, &[2], &[]), [Heard::Removed]);
}

#[test]
fn a_reader_without_an_answer_is_dead_in_time() {
    let mut rig = Rig { host: Host::new(GEMPC_CLOCK_HZ), now: Instant::from_micros(1), wait: None };
    let _ = rig.tell(Input::Greet);
    for _ in 0..TRIES {
        assert_eq!(rig.pass(), [refusal()]);
    }
    assert_eq!(rig.pass(), [Heard::Dead]);
    assert!(rig.now.since(Instant::default()) < Duration::from_secs(3));
    assert!(rig.host.idle());
}

#[test]
fn a_port_that_babbles_is_no_reader() {
    let mut rig = Rig { host: Host::new(GEMPC_CLOCK_HZ), now: Instant::from_micros(1), wait: None };
    let _ = rig.tell(Input::Greet);
    let end = rig.now.after(Duration::from_secs(3));
    loop {
        rig.now = rig.now.after(Duration::from_millis(10));
        assert!(rig.now < end);
        let mut heard = rig.reader(&hex!("80 FF 9A 00 50"));
        heard.extend(rig.tell(Input::Timeout));
        if heard.contains(&Heard::Dead) {
            return;
        }
    }
}

#[test]
fn a_rate_that_the_reader_refuses_ends_the_exchange() {
    let mut rig = Rig::ready(&hex!("3B 00"));
    let _ = rig.tell(Input::Transfer(&TPDU));
    let heard = rig.answer(0x82, 5, &[0x40, 0x0A], &[]);
    assert_eq!(heard, [Heard::Unanswered { damaged: false }]);
    assert!(rig.host.idle());
}

proptest! {
    /// Whatever the reader says: no panic, and every transfer ends within a minute of silence.
    #[test]
    fn any_octets(parts in prop::collection::vec(
        (0..6u8, prop::collection::vec(any::<u8>(), 0..40)), 0..60)
    ) {
        let mut rig = Rig::used();
        for (kind, octets) in parts {
            let _ = match kind {
                0 => rig.reader(&octets),
                1 if rig.host.idle() => rig.tell(Input::Transfer(&TPDU)),
                2 => rig.tell(Input::Activate(Reset::Cold)),
                3 => {
                    let own = [octets.first().copied().unwrap_or(0), 0xFE];
                    let kind = 0x80 | octets.get(1).copied().unwrap_or(0) & 0x03;
                    let sequence = rig.host.sequence;
                    rig.answer(kind, sequence, &own, &octets)
                }
                4 => rig.echo(),
                _ => {
                    rig.now = rig.wait.unwrap_or(rig.now);
                    rig.tell(Input::Timeout)
                }
            };
        }
        let _ = rig.tell(Input::Activate(Reset::Warm));
        let end = rig.now.after(Duration::from_secs(60));
        while !rig.host.idle() {
            let Some(until) = rig.wait else { panic!("waits for nothing") };
            prop_assert!(until < end);
            rig.now = rig.now.max(until);
            let _ = rig.tell(Input::Timeout);
        }
    }
}
