// SPDX-License-Identifier: Apache-2.0
//! The terminal's end of a reader's port: its card line and its reader, in real time.

use hex_literal::hex;
use iso7816::line::{CardLine, Cause, Input, Output};
use stb_shim::clock;
use stb_shim::reader::{Presence, Reader, What};
use stb_shim::readers;
use stb_shim::sys::Waker;
use std::time::Duration;

/// SELECT of the application that ECMs go to.
pub const SELECT: [u8; 14] = hex!("00 A4 04 00 08 F053544243415301 00");
pub const SELECTED: [u8; 21] = hex!("6F11 8408F053544243415301 A505 5003434153 9000");
pub const INFO: [u8; 5] = hex!("80 32 00 00 00");

/// How long a test waits for somebody else.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, PartialEq)]
pub enum Event {
    Ready,
    Response(Vec<u8>),
    Failed(Cause),
}

/// The terminal: its line and its reader.
pub struct Terminal {
    pub line: CardLine,
    pub reader: Box<dyn Reader>,
}

impl Terminal {
    pub fn open(url: &str) -> Self {
        let reader = readers::open(url).unwrap();
        let line = CardLine::new(reader.capabilities().policy());
        Self { line, reader }
    }

    /// As soon as the port is there again.
    pub fn reopen(url: &str) -> Self {
        let end = clock::now().after(PATIENCE);
        while let Err(error) = readers::open(url) {
            assert!(clock::now() < end, "never plugged in again: {error}");
        }
        Self::open(url)
    }

    pub fn activate(&mut self) -> Event {
        self.run(Input::Activate)
    }

    pub fn command(&mut self, apdu: &[u8]) -> Event {
        self.run(Input::Command { apdu, patience: None })
    }

    /// What the line does by itself.
    pub fn by_itself(&mut self) -> Event {
        self.run(Input::Timeout)
    }

    /// Looks at the slot until this is what the reader says.
    pub fn until(&mut self, presence: Presence) {
        let end = clock::now().after(PATIENCE);
        let waker = Waker::new().unwrap();
        while self.reader.present().unwrap() != presence {
            assert!(clock::now() < end, "the slot is never {presence:?}");
            let soon = clock::now().after(Duration::from_millis(20));
            let _ = self.reader.receive(&mut [0; 300], Some(soon), &waker);
        }
    }

    /// Until something has happened.
    pub fn run(&mut self, input: Input<'_>) -> Event {
        let Self { line, reader } = self;
        let waker = Waker::new().unwrap();
        line.handle_input(clock::now(), input);
        loop {
            let done = match line.poll_output() {
                Output::Activate(reset) => reader.activate(reset),
                Output::Configure(params) => reader.configure(&params),
                Output::Transmit(octets) => reader.send(octets),
                Output::Deactivate => {
                    reader.deactivate();
                    Ok(())
                }
                Output::Ready(_) => return Event::Ready,
                Output::Response(response) => return Event::Response(response.to_vec()),
                Output::Failed(error) => return Event::Failed(error.cause()),
                Output::Wait(until) => {
                    let mut buf = [0; 300];
                    match reader.receive(&mut buf, until, &waker) {
                        Ok(received) => {
                            if received.damaged && received.what == What::Characters {
                                line.handle_input(clock::now(), Input::Damaged);
                            }
                            let input = received.input(&buf).unwrap_or(Input::Timeout);
                            line.handle_input(clock::now(), input);
                            Ok(())
                        }
                        Err(error) => Err(error),
                    }
                }
            };
            if let Err(error) = done {
                line.handle_input(clock::now(), Input::Gone(error.gone()));
            }
        }
    }
}
