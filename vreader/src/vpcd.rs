// SPDX-License-Identifier: Apache-2.0
//! The messages between a virtual card and pcscd's driver vpcd.
//!
//! Both ways a message is a length of two octets, big endian, and so many octets. From vpcd one
//! octet is a control code and more are a command APDU. The card answers APDUs, and the request
//! for its answer to reset; it does not answer power and reset.

use std::fmt;

/// What vpcd wants of the card.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// Take the power away.
    PowerOff,
    /// Give power.
    PowerOn,
    /// A warm reset.
    Reset,
    /// Tell the answer to reset.
    Atr,
    /// Answer this command APDU.
    Command(Vec<u8>),
}

/// A control code that does not exist.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownControl(pub u8);

impl fmt::Display for UnknownControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vpcd sent the control code {:02X}, expected 00, 01, 02 or 04", self.0)
    }
}

/// Takes octets, gives messages.
#[derive(Debug, Default)]
pub struct Messages {
    octets: Vec<u8>,
}

impl Messages {
    /// More octets.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// The next message. Empty ones mean nothing and vanish.
    pub fn take(&mut self) -> Option<Result<Message, UnknownControl>> {
        loop {
            let length = self.octets.first_chunk().copied().map(u16::from_be_bytes)?;
            let whole = 2 + usize::from(length);
            if self.octets.len() < whole {
                return None;
            }
            let message: Vec<u8> = self.octets.drain(..whole).skip(2).collect();
            return Some(match *message.as_slice() {
                [] => continue,
                [0x00] => Ok(Message::PowerOff),
                [0x01] => Ok(Message::PowerOn),
                [0x02] => Ok(Message::Reset),
                [0x04] => Ok(Message::Atr),
                [control] => Err(UnknownControl(control)),
                _ => Ok(Message::Command(message)),
            });
        }
    }
}

/// The message of an answer; `None` when it is longer than a message can be.
pub fn emit(answer: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(answer.len()).ok()?;
    Some([&length.to_be_bytes(), answer].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    #[test]
    fn messages() {
        let mut messages = Messages::default();
        messages.push(&hex!("0001 01 0001 04 0000 0001 00 0001 02 0001 03 0005 00"));
        for message in [Message::PowerOn, Message::Atr, Message::PowerOff, Message::Reset] {
            assert_eq!(messages.take(), Some(Ok(message)));
        }
        assert_eq!(messages.take(), Some(Err(UnknownControl(3))));
        assert_eq!(messages.take(), None);
        messages.push(&hex!("CA0000 00"));
        assert_eq!(messages.take(), Some(Ok(Message::Command(hex!("00CA000000").to_vec()))));
        assert_eq!(emit(&hex!("9000")).unwrap(), hex!("0002 9000"));
        assert_eq!(emit(&[0; 0x1_0000]), None);
    }

    proptest! {
        #[test]
        fn any_octets(octets: Vec<u8>, split in 0..64usize) {
            let mut messages = Messages::default();
            for part in octets.chunks(split + 1) {
                messages.push(part);
                while messages.take().is_some() {}
            }
            prop_assert!(messages.octets.len() < 2 + 0xFFFF);
        }
    }
}
