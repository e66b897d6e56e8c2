// SPDX-License-Identifier: Apache-2.0
//! How a home page proves that it is what was written, where it was written.
//!
//! Normative references:
//!  - ISO/IEC 13239 (frame check sequence of 16 bits; CRC_B of ISO/IEC 14443-3)

use super::PAGE;
use cam_types::DecodeError;
use crc::{CRC_16_IBM_SDLC, Crc};

/// Octets of a home page that are the stores'.
pub(crate) const BODY: usize = PAGE - CHECK;
const CHECK: usize = 2;

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_SDLC);

/// Over the page's number too: a page in another's place is none.
fn check(number: usize, body: &[u8]) -> [u8; CHECK] {
    let mut digest = CRC.digest();
    digest.update(&(number as u16).to_be_bytes());
    digest.update(body);
    digest.finalize().to_be_bytes()
}

/// The home pages of these octets, the last one filled up with zeros.
pub(crate) fn pages(octets: &[u8]) -> Vec<u8> {
    let mut home = Vec::with_capacity(octets.len().div_ceil(BODY) * PAGE);
    for (number, body) in octets.chunks(BODY).enumerate() {
        let start = home.len();
        home.extend_from_slice(body);
        home.resize(start + BODY, 0);
        let check = check(number, home.get(start..).unwrap_or_default());
        home.extend(check);
    }
    home
}

/// What [`pages`] was given, if every page holds.
pub(crate) fn octets(home: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut octets = Vec::with_capacity(home.len());
    for (number, page) in home.as_chunks::<PAGE>().0.iter().enumerate() {
        let (body, found) = page.split_at(BODY);
        if check(number, body) != found {
            return Err(DecodeError::Checksum("page"));
        }
        octets.extend_from_slice(body);
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: the check value of CRC-16/IBM-SDLC for "123456789" is 906E; its first octets here
    /// are the page's number.
    #[test]
    fn the_check_is_that_of_iso_13239() {
        assert_eq!(check(0x3132, b"3456789"), [0x90, 0x6E]);
    }
}
