// SPDX-License-Identifier: Apache-2.0
//! Numbers that name something. They begin at 1: what is absent is left out, and no number stands
//! for it.

use crate::error::EncodeError;
use cam_types::DecodeError;

/// What was read, if it names something.
pub(crate) fn named<T: Default + PartialEq>(
    number: T,
    field: &'static str,
) -> Result<T, DecodeError> {
    if number == T::default() {
        Err(DecodeError::Wrong { field, got: 0, expected: "1 or more" })
    } else {
        Ok(number)
    }
}

/// The same before it is written.
pub(crate) fn check<T: Default + PartialEq>(
    number: T,
    field: &'static str,
) -> Result<(), EncodeError> {
    named(number, field).map(drop).map_err(|_| EncodeError::Invalid(field))
}
