// SPDX-License-Identifier: Apache-2.0
//! Transparent files (ISO/IEC 7816-4): what READ BINARY takes out of them.

use iso7816::apdu::StatusWord;

/// `le` octets from `offset` on; all that are left, if it does not say.
pub(crate) fn read(file: &[u8], offset: usize, le: Option<u16>) -> Result<Vec<u8>, StatusWord> {
    let rest = file.get(offset..).filter(|rest| !rest.is_empty()).ok_or(StatusWord::OUT_OF_FILE)?;
    match le.map_or(256, usize::from) {
        256 => Ok(rest.to_vec()),
        le => rest.get(..le).map(<[u8]>::to_vec).ok_or(StatusWord::with_right_length(rest.len())),
    }
}
