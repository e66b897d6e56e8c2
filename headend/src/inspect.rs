// SPDX-License-Identifier: Apache-2.0
//! What a transport stream says about itself: tables, descriptors, ECMs and EMMs by their headers.

use crate::carriage::{self, Carried};
use crate::psi::{self, PsiError};
use crate::stream::{self, Packet, Stream};
use crate::stream_type;
use cam_types::Pid;
use ecm_emm::ca_descriptor::{CaDescriptor, CaPrivate};
use ecm_emm::cat::Cat;
use ecm_emm::descriptor::Descriptors;
use ecm_emm::ecm::Ecm;
use ecm_emm::emm::Emm;
use ecm_emm::pmt::Pmt;
use ecm_emm::sdt::Sdt;
use ecm_emm::suite::Suite;
use ecm_emm::vct::{Channel, Vct};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// The text that `headend inspect` prints.
pub fn inspect(stream: &Stream) -> Result<String, PsiError> {
    let packets = stream.packets();
    let mut text = String::new();
    // Writing to a String never fails.
    let _ = write(packets, &psi::programs(packets)?, &mut text);
    Ok(text)
}

fn write(packets: &[Packet], programs: &[ecm_emm::pat::Program], text: &mut String) -> fmt::Result {
    let nulls = packets.iter().filter(|packet| stream::pid(packet) == Pid::NULL).count();
    writeln!(text, "{} packets, {nulls} of them null", packets.len())?;
    let cats = carriage::sections(packets, Pid::CAT);
    let mut current = cats.iter().filter_map(|carried| Cat::parse(&carried.section).ok());
    match current.find(|cat| cat.current) {
        Some(cat) => {
            writeln!(text, "CAT: {} times, version {}", cats.len(), cat.version)?;
            for descriptor in cat.descriptors.ca_descriptors() {
                writeln!(text, "  EMM PID {}: {}", descriptor.pid, system(&descriptor))?;
                messages(&carriage::sections(packets, descriptor.pid), text)?;
            }
        }
        None => writeln!(text, "CAT: none")?,
    }
    let names = names(packets);
    for program in programs.iter().filter(|program| program.number != 0) {
        let name = names.get(&program.number).map_or("", String::as_str);
        service(packets, *program, name, text)?;
    }
    Ok(())
}

/// What services are called, each behind a space: by the SDT, else by the VCT.
fn names(packets: &[Packet]) -> BTreeMap<u16, String> {
    let mut names = BTreeMap::new();
    for carried in carriage::sections(packets, Sdt::PID) {
        let Ok(sdt) = Sdt::parse(&carried.section) else { continue };
        for service in sdt.services.iter().filter(|_| sdt.current) {
            if let Some(name) = service.name() {
                names.entry(service.service_id).or_insert(format!(" {name:?}"));
            }
        }
    }
    for carried in carriage::sections(packets, Vct::PID) {
        let Ok(vct) = Vct::parse(&carried.section) else { continue };
        // It names other multiplexes' channels, too.
        let ours = |channel: &&Channel<'_>| {
            vct.current && channel.transport_stream_id == vct.transport_stream_id
        };
        for channel in vct.channels.iter().filter(ours) {
            names
                .entry(channel.program_number)
                .or_insert_with(|| format!(" {:?} ({})", channel.short_name, channel.number));
        }
    }
    names
}

fn service(
    packets: &[Packet],
    program: ecm_emm::pat::Program,
    name: &str,
    text: &mut String,
) -> fmt::Result {
    let sections = carriage::sections(packets, program.pid);
    let pmt = sections
        .iter()
        .filter_map(|carried| Pmt::parse(&carried.section).ok())
        .find(|pmt| pmt.program_number == program.number && pmt.current);
    let Some(pmt) = pmt else {
        let (number, pid) = (program.number, program.pid);
        return writeln!(text, "service {number}{name}: no current PMT on PID {pid}");
    };
    let mode = match pmt.scrambling_mode() {
        Some(mode) => match mode.algorithm() {
            Some(algorithm) => format!("scrambling mode {:02X} ({algorithm})", mode.0),
            None => format!("scrambling mode {:02X}", mode.0),
        },
        None => "no scrambling_descriptor".to_owned(),
    };
    writeln!(
        text,
        "service {}{name}: PMT PID {} version {}, PCR PID {}, {mode}",
        program.number, program.pid, pmt.version, pmt.pcr_pid
    )?;
    ecm_streams(packets, pmt.descriptors(), text)?;
    for component in pmt.streams() {
        let mut marks = [0_usize; 4];
        for packet in packets.iter().filter(|packet| stream::pid(packet) == component.pid) {
            if let Some(count) = marks.get_mut(usize::from(stream::scrambling_control(packet))) {
                *count += 1;
            }
        }
        let [clear, reserved, even, odd] = marks;
        write!(text, "  PID {} type {:02X}", component.pid, component.stream_type)?;
        if let Some(name) = stream_type::name(component.stream_type) {
            write!(text, " ({name})")?;
        }
        write!(text, ": {even} even, {odd} odd, {clear} clear")?;
        if reserved != 0 {
            write!(text, ", {reserved} with the reserved mark")?;
        }
        writeln!(text)?;
        ecm_streams(packets, component.descriptors, text)?;
    }
    Ok(())
}

fn ecm_streams(packets: &[Packet], descriptors: Descriptors<'_>, text: &mut String) -> fmt::Result {
    for descriptor in descriptors.ca_descriptors() {
        writeln!(text, "  ECM PID {}: {}", descriptor.pid, system(&descriptor))?;
        messages(&carriage::sections(packets, descriptor.pid), text)?;
    }
    Ok(())
}

/// The descriptor's system; its private data as ours where they can be.
fn system(descriptor: &CaDescriptor<'_>) -> String {
    let mut text = format!("CA_system_id 0x{:04X}", descriptor.system.value());
    let ours = CaPrivate::parse(descriptor.private).ok().filter(|private| {
        descriptor.private == private.octets() && Suite::try_from(private.suite).is_ok()
    });
    // Writing to a String never fails.
    if let Some(private) = ours {
        let operator = private.operator.value();
        let _ = write!(text, ", operator 0x{operator:04X}, suite {}", private.suite);
        if let Some(channel) = private.channel {
            let _ = write!(text, ", channel 0x{:04X}", channel.value());
        }
    } else if !descriptor.private.is_empty() {
        text += ", private data ";
        for octet in descriptor.private {
            let _ = write!(text, "{octet:02X}");
        }
    }
    text
}

/// Equal headers are counted in one line, in the order of their first appearance.
fn messages(sections: &[Carried], text: &mut String) -> fmt::Result {
    let mut lines: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
    for carried in sections {
        let place = carried.packet;
        let (_, last, count) = lines.entry(header(&carried.section)).or_insert((place, place, 0));
        (*last, *count) = (place, *count + 1);
    }
    let mut lines: Vec<_> = lines.into_iter().collect();
    lines.sort_by_key(|(_, (first, ..))| *first);
    writeln!(text, "    {} sections", sections.len())?;
    for (header, (first, last, count)) in lines {
        writeln!(text, "    {header}: {count} times, packets {first} to {last}")?;
    }
    Ok(())
}

/// What a section says in clear.
fn header(section: &[u8]) -> String {
    let octets = section.len();
    if let Ok(ecm) = Ecm::parse(section) {
        let header = ecm.header;
        let kind = if header.is_offer() { "offer" } else { "ECM" };
        return format!(
            "{kind} {:02X}, slot {} epoch {} crypto period {}, {octets} octets",
            header.table_id(),
            header.slot,
            header.epoch,
            header.cp_number
        );
    }
    if let Ok(emm) = Emm::parse(section) {
        let header = emm.header;
        return format!(
            "EMM {:02X}, role {:02X} epoch {} number {}, {octets} octets",
            header.table_id(),
            header.role.number(),
            header.epoch,
            header.seq
        );
    }
    let table_id = section.first().copied().unwrap_or_default();
    format!("table {table_id:02X}, {octets} octets")
}
