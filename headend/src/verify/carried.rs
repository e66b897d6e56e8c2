// SPDX-License-Identifier: Apache-2.0
//! A report on its way from the card to who verifies it.

use ecm_emm::report::Report;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// A report as it came, with a name for the texts.
pub struct Carried {
    /// Where it came from.
    pub name: String,
    /// As the card gave them; nothing is checked yet.
    pub octets: Vec<u8>,
}

/// A report's file. One that is longer than any report is read no further.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let limit = Report::MAX_LEN as u64 + 1;
    File::open(path)?.take(limit).read_to_end(&mut octets)?;
    Ok(octets)
}
