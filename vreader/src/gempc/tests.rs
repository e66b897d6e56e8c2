// SPDX-License-Identifier: Apache-2.0
//! Dialogues of a host with the reader and of the reader with a card.

use super::*;
use hex_literal::hex;
use iso7816::etu::GEMPC_CLOCK_HZ;
use proptest::prelude::*;

struct Rig {
    reader: GemPc,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self { reader: GemPc::new(GEMPC_CLOCK_HZ, Presence::Present), now: Instant::default() }
    }

    fn drain(&mut self) -> (Vec<Output>, Option<Instant>) {
        let mut outputs = Vec::new();
        loop {
            match self.reader.poll_output() {
                Output::Wait(deadline) => return (outputs, deadline),
                output => outputs.push(output),
            }
        }
    }

    fn input(&mut self, input: Input<'_>) -> Vec<Output> {
        self.reader.handle_input(self.now, input);
        self.drain().0
    }

    /// A command in a frame: what follows its echo.
    fn command(&mut self, message: &[u8]) -> Vec<Output> {
        let framed = frame::emit(message);
        let mut outputs = self.input(Input::Host(&framed));
        assert_eq!(outputs.remove(0), Output::ToHost(framed));
        outputs
    }

    fn card(&mut self, octets: &[u8]) -> Vec<Output> {
        octets.iter().flat_map(|&octet| self.input(Input::Card { octet, damaged: false })).collect()
    }

    fn pass_time(&mut self) -> Vec<Output> {
        let Some(deadline) = self.drain().1 else { panic!("nothing is waited for") };
        self.now = deadline;
        self.input(Input::Timeout)
    }

    fn powered(atr: &[u8]) -> Self {
        let mut rig = Self::new();
        assert_eq!(rig.command(&hex!("62 00000000 00 01 010000")), [Output::PowerOn]);
        let len = u8::try_from(atr.len()).unwrap();
        let answer = [&[0x80, len, 0, 0, 0, 0, 1, 0, 0, 0][..], atr].concat();
        assert_eq!(rig.card(atr), [answered(&answer)]);
        rig
    }
}

fn answered(message: &[u8]) -> Output {
    Output::ToHost(frame::emit(message))
}

fn to_card(octets: &[u8]) -> Output {
    Output::ToCard(octets.to_vec())
}

#[test]
fn what_needs_no_card() {
    let mut rig = Rig::new();
    let table: &[(&[u8], &[u8])] = &[
        (&hex!("65 00000000 00 01 000000"), &hex!("81 00000000 00 01 01 00 00")),
        (&hex!("65 00000000 01 02 000000"), &hex!("81 00000000 01 02 41 05 00")),
        (&hex!("6E 00000000 00 03 000000"), &hex!("81 00000000 00 03 01 00 00")),
        (&hex!("69 00000000 00 04 000000"), &hex!("81 00000000 00 04 41 00 00")),
        (&hex!("6B 03000000 00 05 000000 010101"), &hex!("83 00000000 00 05 01 00 00")),
        (&hex!("6B 01000000 00 06 000000 99"), &hex!("83 00000000 00 06 41 00 00")),
        (&hex!("6C 00000000 00 07 000000"), &hex!("82 05000000 00 07 01 00 00 1100000A00")),
        (&hex!("6F 01000000 00 08 000000 00"), &hex!("80 00000000 00 08 41 FE 00")),
        (&hex!("61 05000000 00 09 020000 0000000000"), &hex!("82 00000000 00 09 41 07 00")),
        (&hex!("61 05000000 00 0A 000000 7000000000"), &hex!("82 00000000 00 0A 41 0A 00")),
        (&hex!("61 05000000 00 0B 010000 1800000000"), &hex!("82 00000000 00 0B 41 01 00")),
    ];
    for (command, answer) in table {
        assert_eq!(rig.command(command), [answered(answer)], "{command:02X?}");
    }
    assert_eq!(
        rig.command(&hex!("6B 01000000 00 05 000000 02")),
        [answered(&[&hex!("83 10000000 00 05 01 00 00")[..], FIRMWARE].concat())]
    );
    assert_eq!(
        rig.command(&hex!("63 00000000 00 07 000000")),
        [Output::PowerOff, answered(&hex!("81 00000000 00 07 01 00 00"))]
    );
}

#[test]
fn power_pps_parameters_and_a_block() {
    let mut rig = Rig::powered(&vcard::atr::t1());
    assert_eq!(
        rig.command(&hex!("6F 04000000 00 02 000000 FF1118F6")),
        [to_card(&hex!("FF1118F6"))]
    );
    assert_eq!(
        rig.card(&hex!("FF1118F6")),
        [answered(&hex!("80 04000000 00 02 00 00 00 FF1118F6"))]
    );
    assert_eq!(rig.reader.line().baud(), 10_753);
    let parameters = hex!("61 07000000 00 03 010000 18 10 FF 15 00 FE 00");
    assert_eq!(
        rig.command(&parameters),
        [answered(&hex!("82 07000000 00 03 00 00 01 18 10 FF 15 00 FE 00"))]
    );
    assert_eq!((rig.reader.line().baud(), rig.reader.line().guard_etu), (129_032, 11));
    assert_eq!(
        rig.command(&hex!("6F 05000000 00 04 000000 00C101FE3E")),
        [to_card(&hex!("00C101FE3E"))]
    );
    assert_eq!(
        rig.card(&hex!("00E101FE1E 99")),
        [answered(&hex!("80 05000000 00 04 00 00 00 00E101FE1E"))]
    );
    // A block cut short goes to the host, who sees what it is; silence is an error.
    let block = hex!("6F 05000000 00 05 000000 0000019091");
    assert_eq!(rig.command(&block).len(), 1);
    assert_eq!(rig.card(&hex!("0000 05")), []);
    assert_eq!(rig.pass_time(), [answered(&hex!("80 03000000 00 05 00 00 00 000005"))]);
    assert_eq!(rig.command(&block).len(), 1);
    assert_eq!(rig.pass_time(), [answered(&hex!("80 00000000 00 05 40 FE 00"))]);
    assert_eq!(rig.command(&block).len(), 1);
    assert_eq!(rig.input(Input::Card { octet: 0, damaged: true }), []);
    assert_eq!(rig.card(&hex!("00 00 00")), [answered(&hex!("80 00000000 00 05 40 FD 00"))]);
    assert_eq!(rig.command(&hex!("6D 00000000 00 06 000000")).len(), 1);
    assert_eq!(rig.reader.line().baud(), 10_753);
}

#[test]
fn t0_commands() {
    /// A TPDU; then what the card says and what the reader does, in turn.
    type Row<'a> = (&'a [u8], &'a [(&'a [u8], &'a [Output])]);
    let send = |octets: &[u8]| to_card(octets);
    let done = |tpdu: &[u8]| {
        let mut message = vec![0x80];
        message.extend((tpdu.len() as u32).to_le_bytes());
        message.extend(hex!("00 09 00 00 00"));
        message.extend_from_slice(tpdu);
        answered(&message)
    };
    let wait = Output::ToHost(vec![TIME_REQUEST]);
    let failed = answered(&hex!("80 00000000 00 09 40 F4 00"));
    let table: &[Row<'_>] = &[
        (&hex!("80CA0000"), &[(&hex!("9000"), &[done(&hex!("9000"))])]),
        (
            &hex!("80CA000003"),
            &[(
                &hex!("60 60 CA 60 90 01 9000"),
                &[wait.clone(), wait.clone(), done(&hex!("609001 9000"))],
            )],
        ),
        (&hex!("80CA000002"), &[(&hex!("35 01 35 02 9000"), &[done(&hex!("0102 9000"))])]),
        (&hex!("80CA000002"), &[(&hex!("6C05"), &[done(&hex!("6C05"))])]),
        (
            &hex!("80D6000003 010203"),
            &[
                (&hex!("29"), &[send(&hex!("01"))]),
                (&hex!("D6"), &[send(&hex!("0203"))]),
                (&hex!("60 6100"), &[wait, done(&hex!("6100"))]),
            ],
        ),
        (
            &hex!("80D6000001 01"),
            &[(&hex!("D6"), &[send(&hex!("01"))]), (&hex!("D6"), std::slice::from_ref(&failed))],
        ),
        (&hex!("80CA000001"), &[(&hex!("CB"), std::slice::from_ref(&failed))]),
    ];
    let mut rig = Rig::powered(&vcard::atr::t0());
    for (tpdu, turns) in table {
        let mut message = vec![0x6F];
        message.extend((tpdu.len() as u32).to_le_bytes());
        message.extend(hex!("00 09 000000"));
        message.extend_from_slice(tpdu);
        let mut header = tpdu[..tpdu.len().min(5)].to_vec();
        header.resize(5, 0);
        assert_eq!(rig.command(&message), [to_card(&header)]);
        for (card, outputs) in *turns {
            assert_eq!(&rig.card(card), outputs, "{tpdu:02X?}");
        }
    }
    assert_eq!(
        rig.command(&hex!("6F 03000000 00 09 000000 80CA00")),
        [answered(&hex!("80 00000000 00 09 40 01 00"))]
    );
    assert_eq!(rig.command(&hex!("6F 05000000 00 09 000000 80CA000001")).len(), 1);
    assert_eq!(
        rig.input(Input::Card { octet: 0xCA, damaged: true }),
        [answered(&hex!("80 00000000 00 09 40 FD 00"))]
    );
}

#[test]
fn a_card_that_says_nothing() {
    let mut rig = Rig::new();
    assert_eq!(rig.command(&hex!("62 00000000 00 01 010000")), [Output::PowerOn]);
    assert_eq!(rig.pass_time(), [Output::PowerOff, answered(&hex!("80 00000000 00 01 41 FE 00"))]);
}

#[test]
fn damaged_frames_are_refused_and_answers_repeated() {
    let mut rig = Rig::new();
    let mut framed = frame::emit(&hex!("65 00000000 00 01 000000"));
    let refusal = Output::ToHost(frame::REFUSAL.to_vec());
    framed[12] ^= 1;
    assert_eq!(rig.input(Input::Host(&framed)), [Output::ToHost(framed.clone()), refusal.clone()]);
    assert_eq!(rig.input(Input::Host(&framed[..5])), []);
    assert_eq!(rig.pass_time(), [Output::ToHost(framed[..5].to_vec()), refusal]);
    let answer = [answered(&hex!("81 00000000 00 01 01 00 00"))];
    assert_eq!(rig.command(&hex!("65 00000000 00 01 000000")), answer);
    assert_eq!(rig.input(Input::Host(&frame::REFUSAL)), answer);
}

#[test]
fn card_movements_are_told_at_once_or_before_an_answer() {
    let mut rig = Rig::powered(&vcard::atr::t1());
    assert_eq!(rig.input(Input::Removed), [Output::ToHost(vec![0x50, 0x02])]);
    assert_eq!(rig.input(Input::Removed), []);
    assert_eq!(
        rig.command(&hex!("62 00000000 00 01 010000")),
        [answered(&hex!("80 00000000 00 01 42 FE 00"))]
    );
    assert_eq!(rig.command(&hex!("6B 03000000 00 05 000000 010101")).len(), 1);
    assert_eq!(rig.input(Input::Inserted), []);
    assert_eq!(
        rig.command(&hex!("65 00000000 00 01 000000")),
        [Output::ToHost(vec![0x50, 0x03]), answered(&hex!("81 00000000 00 01 01 00 00"))]
    );
    assert_eq!(rig.command(&hex!("6B 03000000 00 06 000000 010001")).len(), 1);
    assert_eq!(rig.input(Input::Removed), [Output::ToHost(vec![0x50, 0x02])]);
    // In the middle of an exchange.
    let mut rig = Rig::powered(&vcard::atr::t0());
    assert_eq!(rig.command(&hex!("6F 05000000 00 02 000000 80CA000001")).len(), 1);
    assert_eq!(
        rig.input(Input::Removed),
        [Output::ToHost(vec![0x50, 0x02]), answered(&hex!("80 00000000 00 02 42 FE 00"))]
    );
}

proptest! {
    /// Whatever host and card say, the reader does not panic, and answers a status request.
    #[test]
    fn any_octets(inputs in prop::collection::vec(
        (0..6u8, prop::collection::vec(any::<u8>(), 0..24)), 0..40)
    ) {
        const KINDS: [u8; 8] =
            [POWER_ON, TRANSFER, SET_PARAMETERS, POWER_OFF, ESCAPE, TRANSFER, TRANSFER, 0];
        let mut rig = Rig::new();
        for (kind, octets) in inputs {
            match kind {
                0 => drop(rig.input(Input::Host(&octets))),
                1 => {
                    let which = octets.first().copied().unwrap_or(0) % 8;
                    let data = octets.get(1..).unwrap_or_default();
                    let mut message = vec![KINDS[usize::from(which)]];
                    message.extend((data.len() as u32).to_le_bytes());
                    message.extend([0, 1, which % 2, 0, 0]);
                    message.extend_from_slice(data);
                    // After noise it may be part of another frame.
                    let _ = rig.input(Input::Host(&frame::emit(&message)));
                }
                2 => drop(rig.card(&vcard::atr::t1())),
                3 => {
                    for octet in octets {
                        let _ = rig.input(Input::Card { octet, damaged: octet == 0xFF });
                    }
                }
                4 => {
                    let moved = if octets.len() % 2 == 0 { Input::Removed } else { Input::Inserted };
                    let _ = rig.input(moved);
                }
                _ => {
                    rig.now = rig.now.after(Duration::from_millis(700));
                    let _ = rig.input(Input::Timeout);
                }
            }
        }
        rig.now = rig.now.after(Duration::from_secs(1));
        let _ = rig.input(Input::Timeout);
        let outputs = rig.command(&hex!("65 00000000 00 01 000000"));
        prop_assert!(matches!(outputs.last(), Some(Output::ToHost(answer)) if answer[2] == STATUS));
    }
}
