// SPDX-License-Identifier: Apache-2.0
//! Texts, octets and lists that come from the caller, checked before anything reads them.

use crate::error::{Error, Result};
use core::ffi::{CStr, c_char};
use core::slice;

/// A text that may be missing.
///
/// # Safety
///
/// `pointer` is NULL or points to a text that ends with a zero.
pub(crate) unsafe fn optional(pointer: *const c_char, what: &str) -> Result<Option<String>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller upholds this function's contract.
    let text = unsafe { CStr::from_ptr(pointer) };
    match text.to_str() {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(Error::argument(format!("{what} is not UTF-8"))),
    }
}

/// A text that must be there.
///
/// # Safety
///
/// As for [`optional`].
pub(crate) unsafe fn required(pointer: *const c_char, what: &str) -> Result<String> {
    // SAFETY: the contract is the same.
    unsafe { optional(pointer, what) }?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Error::argument(format!("{what} is missing")))
}

/// Octets, of which there may be none.
///
/// # Safety
///
/// `pointer` points to `len` octets that are readable for `'a`, or is NULL.
pub(crate) unsafe fn octets<'a>(pointer: *const u8, len: usize, what: &str) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Error::argument(format!("{what} is NULL, but its length is {len}")));
    }
    if isize::try_from(len).is_err() {
        return Err(Error::argument(format!("length of {what} cannot be {len}")));
    }
    // SAFETY: not NULL, and the caller upholds this function's contract.
    Ok(unsafe { slice::from_raw_parts(pointer, len) })
}

/// `N` octets.
///
/// # Safety
///
/// `pointer` points to `N` readable octets, or is NULL.
pub(crate) unsafe fn array<const N: usize>(pointer: *const u8, what: &str) -> Result<[u8; N]> {
    if pointer.is_null() {
        return Err(Error::argument(format!("{what} is NULL")));
    }
    // SAFETY: not NULL; octets have no alignment; readable by the caller's contract.
    Ok(unsafe { pointer.cast::<[u8; N]>().read() })
}

/// The most numbers in a list.
pub(crate) const MAX_NUMBERS: usize = 256;

/// A list of numbers.
///
/// # Safety
///
/// `pointer` points to `count` numbers that are readable for `'a`, or is NULL.
pub(crate) unsafe fn numbers<'a>(
    pointer: *const u16,
    count: usize,
    what: &str,
) -> Result<&'a [u16]> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() || !pointer.is_aligned() || count > MAX_NUMBERS {
        return Err(Error::argument(format!("{what} is not a list of {count} numbers")));
    }
    // SAFETY: not NULL, aligned, of a sane length, and readable by the caller's contract.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// Copies a text into an array that ends with a zero, cut at a character.
pub(crate) fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    let mut end = text.len().min(N.saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let bytes = text.bytes().take(end);
    array.iter_mut().zip(bytes).for_each(|(to, from)| *to = from.cast_signed() as c_char);
    array
}
