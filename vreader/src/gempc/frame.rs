// SPDX-License-Identifier: Apache-2.0
//! Frames of the serial cable: `03 06`, a CCID message, and the exclusive-or of everything before.

/// Takes octets of the host, gives frames.
#[derive(Debug, Default)]
pub struct Frames {
    octets: Vec<u8>,
}

/// What the host has sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// A CCID message, at least a header.
    Message(Vec<u8>),
    /// A frame that arrived damaged, or with a length that no frame has: raw, for the echo.
    Damaged(Vec<u8>),
    /// `03 15 16`: the host wants the last answer again.
    Again,
}

impl Frames {
    /// More octets.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// The next frame. Octets between frames are noise and vanish.
    pub fn take(&mut self) -> Option<Frame> {
        loop {
            let begin = self.octets.iter().position(|&octet| octet == SYNC);
            self.octets.drain(..begin.unwrap_or(self.octets.len()));
            match *self.octets.get(1)? {
                ACK => {}
                NAK => {
                    let lrc = *self.octets.get(2)?;
                    self.octets.drain(..if lrc == SYNC ^ NAK { 3 } else { 1 });
                    if lrc == SYNC ^ NAK {
                        return Some(Frame::Again);
                    }
                    continue;
                }
                _ => {
                    self.octets.drain(..1);
                    continue;
                }
            }
            let length = self.octets.get(3..7)?.try_into().map_or(0, u32::from_le_bytes);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > LONGEST_DATA {
                return Some(Frame::Damaged(std::mem::take(&mut self.octets)));
            }
            let whole = 2 + HEADER + length + 1;
            if self.octets.len() < whole {
                return None;
            }
            let frame: Vec<u8> = self.octets.drain(..whole).collect();
            return Some(match frame.iter().fold(0, |sum, octet| sum ^ octet) {
                0 => Frame::Message(frame.get(2..whole - 1).unwrap_or_default().to_vec()),
                _ => Frame::Damaged(frame),
            });
        }
    }

    /// Part of a frame is there.
    pub const fn begun(&self) -> bool {
        !self.octets.is_empty()
    }

    /// The rest of a frame does not come.
    pub fn forget(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.octets)
    }
}

/// The frame of a message.
pub fn emit(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![SYNC, ACK];
    frame.extend_from_slice(message);
    frame.push(frame.iter().fold(0, |sum, octet| sum ^ octet));
    frame
}

/// The reader wants the last command again.
pub const REFUSAL: [u8; 3] = [SYNC, NAK, SYNC ^ NAK];
/// Octets of a message's header.
pub const HEADER: usize = 10;
/// The longest message has 271 octets.
pub const LONGEST_DATA: usize = 271 - HEADER;
const SYNC: u8 = 0x03;
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    #[test]
    fn frames() {
        let status = hex!("65 00000000 00 07 000000");
        let mut frames = Frames::default();
        frames.push(&hex!("00 FF 03 03 06 65 00000000 00 07"));
        assert_eq!(frames.take(), None);
        frames.push(&hex!("000000 67 03 15 16 03 15 00"));
        assert_eq!(frames.take(), Some(Frame::Message(status.to_vec())));
        assert_eq!(frames.take(), Some(Frame::Again));
        assert_eq!(frames.take(), None);
        assert!(!frames.begun());
        assert_eq!(emit(&status), hex!("03 06 65 00000000 00 07 000000 67"));
        frames.push(&hex!("03 06 65 00000000 00 07 000000 66"));
        assert!(matches!(frames.take(), Some(Frame::Damaged(raw)) if raw.len() == 13));
        frames.push(&hex!("03 06 6F 06010000 00 07"));
        assert!(matches!(frames.take(), Some(Frame::Damaged(_))));
        assert!(!frames.begun());
    }

    proptest! {
        #[test]
        fn any_octets(octets: Vec<u8>, data in prop::collection::vec(any::<u8>(), 0..=LONGEST_DATA)) {
            let mut frames = Frames::default();
            frames.push(&octets);
            while frames.take().is_some() {}
            let _ = frames.forget();
            let mut message = vec![0x6F];
            message.extend((data.len() as u32).to_le_bytes());
            message.extend([0; 5]);
            message.extend(&data);
            frames.push(&emit(&message));
            prop_assert_eq!(frames.take(), Some(Frame::Message(message)));
        }
    }
}
