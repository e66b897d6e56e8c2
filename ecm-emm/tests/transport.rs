// SPDX-License-Identifier: Apache-2.0
//! Just enough of a demultiplexer to take the sections out of a capture.

use cam_types::Pid;

/// Every complete section on this PID, in its order.
pub(crate) fn sections_on(stream: &[u8], pid: Pid) -> Vec<Vec<u8>> {
    let (packets, rest) = stream.as_chunks::<188>();
    assert!(rest.is_empty() && packets.iter().all(|packet| packet[0] == 0x47));
    let mut found = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    for packet in packets {
        let payload = packet[3] & 0x10 != 0;
        if Pid::from_field(u16::from_be_bytes([packet[1], packet[2]])) != pid || !payload {
            continue;
        }
        let adaptation = if packet[3] & 0x20 != 0 { 1 + usize::from(packet[4]) } else { 0 };
        let mut octets = &packet[4 + adaptation..];
        if packet[1] & 0x40 != 0 {
            let (pointer, behind) = octets.split_first().unwrap();
            let (tail, behind) = behind.split_at(usize::from(*pointer));
            extend(&mut open, tail, &mut found);
            open = Some(Vec::new());
            octets = behind;
        }
        extend(&mut open, octets, &mut found);
    }
    found
}

fn extend(open: &mut Option<Vec<u8>>, octets: &[u8], found: &mut Vec<Vec<u8>>) {
    let Some(buffer) = open else { return };
    buffer.extend_from_slice(octets);
    let mut taken = 0;
    for section in ecm_emm::section::sections(buffer) {
        taken += section.len();
        found.push(section.to_vec());
    }
    buffer.drain(..taken);
    if buffer.first() == Some(&0xFF) {
        *open = None;
    }
}
