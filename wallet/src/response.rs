// SPDX-License-Identifier: Apache-2.0
//! A response APDU in its two parts.

use cam_types::{DecodeError, StatusWord};

/// Splits a response APDU into data and status.
pub(crate) fn split(response: &[u8]) -> Result<(&[u8], StatusWord), DecodeError> {
    let (data, sw) = response.split_last_chunk::<2>().ok_or(DecodeError::Missing("status word"))?;
    Ok((data, StatusWord::from_be_bytes(*sw)))
}
