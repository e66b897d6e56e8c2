// SPDX-License-Identifier: Apache-2.0
//! An element `tag1 len1 value`, of which the plaintexts of ECM and EMM and the card's answers are
//! flat lists.

use cam_types::{DecodeError, Reader};

/// Takes the next element: its tag and its value. One that is cut is an error that says by which of
/// `names` (tag, length, value) it was cut.
pub(crate) fn read<'a>(
    r: &mut Reader<'a>,
    names: [&'static str; 3],
) -> Result<(u8, &'a [u8]), DecodeError> {
    let [tag, len, value] = names;
    let (tag, len) = (r.u8(tag)?, r.u8(len)?);
    Ok((tag, r.bytes(len.into(), value)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn what_is_cut_says_where() {
        let names = ["command tag", "command length", "command value"];
        for (octets, expected) in [
            (&[][..], "command tag is missing or cut short"),
            (&[0x10], "command length is missing or cut short"),
            (&[0x10, 2, 0], "command value is cut short: 2 octets expected, 1 there"),
        ] {
            let error = read(&mut Reader::new(octets), names).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
