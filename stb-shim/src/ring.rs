// SPDX-License-Identifier: Apache-2.0
//! Sections on their way from a demultiplexer's thread to the card thread, without waiting.

use cam_types::Pid;
use ecm_emm::section::MAX_SECTION;
use rtrb::{Consumer, Producer, RingBuffer};

/// In the ring a section stands behind its PID and its length.
const HEADER: usize = 4;

/// The shortest ring: room for the longest section.
pub const LEAST: usize = MAX_SECTION + HEADER;

/// A bounded ring that holds at least `octets` octets of sections.
pub fn section_ring(octets: usize) -> (SectionSender, SectionReceiver) {
    let (producer, consumer) = RingBuffer::new(octets.max(LEAST));
    (SectionSender { producer }, SectionReceiver { consumer })
}

/// The demultiplexer's end. It never waits.
pub struct SectionSender {
    producer: Producer<u8>,
}

/// The card thread's end.
pub struct SectionReceiver {
    consumer: Consumer<u8>,
}

/// Why a section is not in the ring.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OfferError {
    /// The card thread has not kept up: the ring is full and the section is lost.
    Full,
    /// The section is longer than a section can be.
    TooLong,
}

impl SectionSender {
    /// Puts a copy of one section into the ring, all of it or nothing.
    pub fn offer(&mut self, pid: Pid, section: &[u8]) -> Result<(), OfferError> {
        let len = u16::try_from(section.len()).map_err(|_| OfferError::TooLong)?;
        if section.len() > MAX_SECTION {
            return Err(OfferError::TooLong);
        }
        let chunk = self
            .producer
            .write_chunk_uninit(HEADER + section.len())
            .map_err(|_| OfferError::Full)?;
        let [p0, p1] = pid.value().to_be_bytes();
        let [l0, l1] = len.to_be_bytes();
        chunk.fill_from_iter([p0, p1, l0, l1].into_iter().chain(section.iter().copied()));
        Ok(())
    }
}

impl SectionReceiver {
    /// Moves the oldest section into `section`, or says that there is none. Allocates nothing once
    /// `section` has grown to the longest one.
    pub fn take(&mut self, section: &mut Vec<u8>) -> Option<Pid> {
        section.clear();
        let mut header = [0; HEADER];
        self.consumer.pop_entire_slice(&mut header).ok()?;
        let [p0, p1, l0, l1] = header;
        // A section and its header are committed in one piece.
        let chunk = self.consumer.read_chunk(usize::from(u16::from_be_bytes([l0, l1]))).ok()?;
        let (one, two) = chunk.as_slices();
        section.extend_from_slice(one);
        section.extend_from_slice(two);
        chunk.commit_all();
        Some(Pid::from_field(u16::from_be_bytes([p0, p1])))
    }

    /// Whether no section waits.
    pub fn is_empty(&self) -> bool {
        self.consumer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_full_ring_refuses_and_keeps_what_it_has() {
        let (mut sender, mut receiver) = section_ring(MAX_SECTION);
        let pid = Pid::from_field(0x140);
        assert_eq!(sender.offer(pid, &[0x80; MAX_SECTION]), Ok(()));
        assert_eq!(sender.offer(pid, &[]), Err(OfferError::Full));
        assert_eq!(sender.offer(pid, &[0; MAX_SECTION + 1]), Err(OfferError::TooLong));
        assert_eq!(sender.offer(pid, &[0; 70_000]), Err(OfferError::TooLong));
        let mut section = Vec::new();
        assert_eq!(receiver.take(&mut section), Some(pid));
        assert_eq!(section, [0x80; MAX_SECTION]);
        assert!(receiver.is_empty());
        assert_eq!(receiver.take(&mut section), None);
        assert_eq!(sender.offer(pid, &[]), Ok(()));
    }

    proptest! {
        /// What goes in comes out, in order, however puts and takes interleave.
        #[test]
        fn sections_come_out_in_order(
            steps in proptest::collection::vec(
                proptest::option::of((0u16..0x2000, proptest::collection::vec(any::<u8>(), 0..600))),
                0..200,
            )
        ) {
            let (mut sender, mut receiver) = section_ring(MAX_SECTION);
            let mut model = std::collections::VecDeque::new();
            let mut section = Vec::new();
            for step in steps {
                match step {
                    Some((pid, octets)) => {
                        if sender.offer(Pid::from_field(pid), &octets).is_ok() {
                            model.push_back((Pid::from_field(pid), octets));
                        }
                    }
                    None => {
                        let taken = receiver.take(&mut section).map(|pid| (pid, section.clone()));
                        prop_assert_eq!(taken, model.pop_front());
                    }
                }
            }
        }
    }
}
