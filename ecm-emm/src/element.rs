// SPDX-License-Identifier: Apache-2.0
//! An element `tag1 len1 value`, of which the plaintexts of ECM and EMM and the card's answers are
//! flat lists.

use cam_types::{DecodeError, Reader};

/// Takes the next element: its tag and its value. One that is cut is an error that names `element`.
pub(crate) fn read<'a>(
    r: &mut Reader<'a>,
    element: &'static str,
) -> Result<(u8, &'a [u8]), DecodeError> {
    let [tag, len] = *r.array(element)?;
    Ok((tag, r.bytes(len.into(), element)?))
}
