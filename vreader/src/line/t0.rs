// SPDX-License-Identifier: Apache-2.0
//! T=0, the card's end.
//!
//! Normative references:
//!  - ISO/IEC 7816-3:2006 clause 10 (procedure octets) and 12.2 (APDUs over T=0)
//!
//! Read before changing it: a T=0 header does not say which way the data goes; only the card's
//! operating system knows it, from the instruction, and tells it by [`super::Policy`].

use super::{Actions, Input, Output};
use cam_types::Instant;
use cam_types::interindustry::INS_GET_RESPONSE;
use iso7816::apdu::StatusWord;
use std::time::Duration;

/// The T=0 machine of a card.
#[derive(Debug)]
pub struct T0 {
    /// The waiting time: the terminal gives up when the card is silent for so long.
    wt: Duration,
    takes_data: fn(u8, u8) -> bool,
    /// NULL octets that precede the next answer.
    nulls: u32,
    received: Vec<u8>,
    /// An answer that the terminal has to fetch.
    kept: Option<Kept>,
    state: State,
    actions: Actions,
}

/// An answer kept for GET RESPONSE (after `61 xx`) or for the same command with the right length
/// (after `6C xx`).
#[derive(Clone, Debug, Eq, PartialEq)]
struct Kept {
    /// The header without P3 that `6C xx` was the answer to.
    header: Option<[u8; 4]>,
    data: Vec<u8>,
    sw: [u8; 2],
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum State {
    /// A header is awaited or incomplete; an incomplete one is forgotten at this moment.
    Header { forget: Option<Instant> },
    /// The header was acknowledged; so many octets of data are to come.
    Data { header: [u8; 5] },
    /// The operating system works. At this moment the terminal is told to wait on.
    Executing { header: [u8; 5], data: Data, null: Instant },
}

/// Which way the data of a command goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Data {
    /// To the card, or there is none.
    Incoming,
    /// To the terminal.
    Outgoing,
}

impl T0 {
    /// The machine as it is after the answer to reset or PPS.
    pub fn new(wt: Duration, takes_data: fn(u8, u8) -> bool) -> Self {
        Self {
            wt,
            takes_data,
            nulls: 0,
            received: Vec::new(),
            kept: None,
            state: State::Header { forget: None },
            actions: Actions::default(),
        }
    }

    /// One input; then [`T0::poll_output`] until it says [`Output::Wait`].
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Received(octets) => {
                for &octet in octets {
                    self.octet(now, octet);
                }
            }
            // The error signal asks for it again. A reader that cannot repeat has lost it.
            Input::Damaged(_) => {}
            Input::Executed(response) => self.executed(response),
            Input::Timeout => self.timeout(now),
        }
    }

    /// The next answer comes after so many NULL octets.
    pub(super) const fn say_null(&mut self, count: u32) {
        self.nulls = count;
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Output<'_> {
        let deadline = match self.state {
            State::Header { forget } => forget,
            State::Data { .. } => None,
            State::Executing { null, .. } => Some(null),
        };
        self.actions.next(deadline)
    }

    fn octet(&mut self, now: Instant, octet: u8) {
        match self.state {
            State::Header { .. } => {
                self.received.push(octet);
                if let Ok(header) = <[u8; 5]>::try_from(self.received.as_slice()) {
                    self.received.clear();
                    self.state = State::Header { forget: None };
                    self.header(now, header);
                } else {
                    self.state = State::Header { forget: Some(now.after(self.wt)) };
                }
            }
            State::Data { header } => {
                self.received.push(octet);
                if self.received.len() == usize::from(header[4]) {
                    let mut apdu = header.to_vec();
                    apdu.append(&mut self.received);
                    self.execute(now, header, Data::Incoming, apdu);
                }
            }
            // The line is the card's: an octet now collides and is lost.
            State::Executing { .. } => {}
        }
    }

    fn header(&mut self, now: Instant, header: [u8; 5]) {
        let [cla, ins, p1, p2, p3] = header;
        // 10.3.2: INS 6X and 9X would be taken for a status word.
        if matches!(ins >> 4, 0x6 | 0x9) {
            return self.finish(StatusWord::UNKNOWN_INS.to_be_bytes());
        }
        let kept = self.kept.take();
        if ins == INS_GET_RESPONSE {
            return match kept {
                Some(kept) if kept.header.is_none() => self.fetch(p3, ins, kept),
                _ => self.finish(StatusWord::CONDITIONS.to_be_bytes()),
            };
        }
        if let Some(kept) = kept
            && kept.header == Some([cla, ins, p1, p2])
        {
            return self.fetch(p3, ins, kept);
        }
        if !(self.takes_data)(cla, ins) {
            self.execute(now, header, Data::Outgoing, header.to_vec());
        } else if p3 == 0 {
            // Case 1: no data, and P3 is not sent on.
            self.execute(now, header, Data::Incoming, vec![cla, ins, p1, p2]);
        } else {
            self.state = State::Data { header };
            self.actions.transmit(&[ins]);
        }
    }

    fn execute(&mut self, now: Instant, header: [u8; 5], data: Data, apdu: Vec<u8>) {
        self.state = State::Executing { header, data, null: now.after(self.wt / 2) };
        self.actions.execute(apdu);
    }

    fn timeout(&mut self, now: Instant) {
        match self.state {
            State::Header { forget: Some(at) } if at <= now => {
                self.received.clear();
                self.state = State::Header { forget: None };
            }
            State::Executing { header, data, null } if null <= now => {
                self.state = State::Executing { header, data, null: now.after(self.wt / 2) };
                self.actions.transmit(&[NULL]);
            }
            _ => {}
        }
    }

    fn executed(&mut self, response: &[u8]) {
        let State::Executing { header: [cla, ins, p1, p2, p3], data: way, .. } = self.state else {
            // Nobody asked.
            return;
        };
        for _ in 0..std::mem::take(&mut self.nulls) {
            self.actions.transmit(&[NULL]);
        }
        let Some((data, sw)) = response.split_last_chunk::<2>() else {
            return self.finish(StatusWord::NO_DIAGNOSIS.to_be_bytes());
        };
        if data.is_empty() {
            self.finish(*sw);
        } else if way == Data::Outgoing {
            let header = Some([cla, ins, p1, p2]);
            self.fetch(p3, ins, Kept { header, data: data.to_vec(), sw: *sw });
        } else {
            self.finish([0x61, length_octet(data.len())]);
            self.kept = Some(Kept { header: None, data: data.to_vec(), sw: *sw });
        }
    }

    /// Gives the terminal `p3` octets of the answer, or says how many there are.
    fn fetch(&mut self, p3: u8, ins: u8, mut kept: Kept) {
        let wanted = if p3 == 0 { 256 } else { usize::from(p3) };
        // GET RESPONSE may fetch an answer in parts, a command with the wrong length may not.
        if wanted > kept.data.len() || (kept.header.is_some() && wanted < kept.data.len()) {
            self.finish([0x6C, length_octet(kept.data.len())]);
            self.kept = Some(kept);
            return;
        }
        let rest = kept.data.split_off(wanted);
        let mut out = vec![ins];
        out.append(&mut kept.data);
        if rest.is_empty() {
            out.extend_from_slice(&kept.sw);
        } else {
            out.extend_from_slice(&[0x61, length_octet(rest.len())]);
            self.kept = Some(Kept { data: rest, ..kept });
        }
        self.state = State::Header { forget: None };
        self.actions.transmit(&out);
    }

    fn finish(&mut self, sw: [u8; 2]) {
        self.state = State::Header { forget: None };
        self.actions.transmit(&sw);
    }
}

const NULL: u8 = 0x60;

/// A length in one octet, in which `00` stands for 256 or more.
fn length_octet(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(0)
}

#[cfg(test)]
mod tests;
