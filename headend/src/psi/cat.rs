// SPDX-License-Identifier: Apache-2.0
//! The CAT of the broadcast: the source's, if it has one, with our EMM stream.
//!
//! Normative references:
//!  - ISO/IEC 13818-1 §2.4.4.6

use super::PsiError;
use super::announce::ca_descriptor;
use crate::carriage;
use crate::files::schedule::Schedule;
use crate::stream::Packet;
use cam_types::Pid;
use ecm_emm::EncodeError;
use ecm_emm::ca_descriptor::CaPrivate;
use ecm_emm::cat::Cat;
use ecm_emm::descriptor::Descriptors;
use std::collections::BTreeMap;

/// The longest loop of a CAT's section: 1024 octets, but for header and CRC_32.
const MOST: usize = 1024 - 12;

/// A CAT, from a packet of the source on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CatVersion {
    /// The packet that the source's begins in; the first one holds from the start.
    pub from: usize,
    /// All its sections.
    pub sections: Vec<Vec<u8>>,
}

/// One CAT of the source.
#[derive(Default)]
struct Source {
    from: usize,
    version: u8,
    loops: BTreeMap<u8, Vec<u8>>,
}

/// The CATs of the broadcast: at least one.
pub fn versions(
    packets: &[Packet],
    schedule: &Schedule,
    private: CaPrivate,
) -> Result<Vec<CatVersion>, PsiError> {
    let mut sources: Vec<Source> = Vec::new();
    for carried in carriage::sections(packets, Pid::CAT) {
        let Ok(cat) = Cat::parse(&carried.section) else { continue };
        if !cat.current {
            continue;
        }
        let (number, octets) = (cat.number.0, cat.descriptors.octets());
        // A section that differs under the same version is a new table all the same.
        let same = sources.last_mut().filter(|source| {
            source.version == cat.version
                && source.loops.get(&number).is_none_or(|known| known == octets)
        });
        match same {
            Some(source) => drop(source.loops.insert(number, octets.to_vec())),
            None => sources.push(Source {
                from: carried.packet,
                version: cat.version,
                loops: BTreeMap::from([(number, octets.to_vec())]),
            }),
        }
    }
    if sources.is_empty() {
        sources.push(Source { version: 31, ..Source::default() }); // ours is the next one: 0
    }
    let joined = |source: &Source| {
        let sections = joined(source, schedule, private).map_err(PsiError::Cat)?;
        Ok(CatVersion { from: source.from, sections })
    };
    sources.iter().map(joined).collect()
}

/// The source's descriptors with ours behind them, in as many sections as they take.
fn joined(
    source: &Source,
    schedule: &Schedule,
    private: CaPrivate,
) -> Result<Vec<Vec<u8>>, EncodeError> {
    let mut all: Vec<u8> = source.loops.values().flatten().copied().collect();
    ca_descriptor(schedule, schedule.emm_pid, private, &mut all)?;
    let all = Descriptors::parse(&all).map_err(|_| EncodeError::Invalid("descriptor"))?;
    let mut loops: Vec<Vec<u8>> = vec![Vec::new()];
    for descriptor in all.iter() {
        let mut octets = Vec::new();
        descriptor.emit(&mut octets)?;
        match loops.last_mut().filter(|last| last.len() + octets.len() <= MOST) {
            Some(last) => last.extend(octets),
            None => loops.push(octets),
        }
    }
    let last = u8::try_from(loops.len() - 1).map_err(|_| EncodeError::Invalid("CAT"))?;
    let section = |(number, octets): (u8, &Vec<u8>)| {
        let descriptors =
            Descriptors::parse(octets).map_err(|_| EncodeError::Invalid("descriptor"))?;
        let version = (source.version + 1) & 0x1F;
        let mut section = Vec::new();
        Cat { version, current: true, number: (number, last), descriptors }.emit(&mut section)?;
        Ok(section)
    };
    (0..=last).zip(&loops).map(section).collect()
}
