// SPDX-License-Identifier: Apache-2.0
//! Texts, octets and lists that come from the caller, checked before anything reads them.

use crate::error::{Error, Result};
use crate::size;
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
    if pointer.is_null() {
        return Err(Error::argument(format!("{what} is NULL, but its count is {count}")));
    }
    size::check_pointer(pointer, what)?;
    if count > MAX_NUMBERS {
        let text = format!("{what} has {count} numbers, expected at most {MAX_NUMBERS}");
        return Err(Error::argument(text));
    }
    // SAFETY: not NULL, aligned, of a sane length, and readable by the caller's contract.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// Copies a text into an array that ends with a zero. One that is too long loses its middle: what
/// was wrong stands at its beginning, and what would work at its end.
pub(crate) fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    const GAP: &str = "\u{2026}";
    let room = N.saturating_sub(1);
    let (head, gap, tail) = if text.len() <= room {
        (text, "", "")
    } else {
        let half = room.saturating_sub(GAP.len()) / 2;
        let head = (0..=half).rev().find_map(|end| text.get(..end));
        let tail = (text.len().saturating_sub(half)..=text.len()).find_map(|at| text.get(at..));
        (head.unwrap_or(""), GAP, tail.unwrap_or(""))
    };
    let mut array = [0; N];
    let bytes = head.bytes().chain(gap.bytes()).chain(tail.bytes());
    array.iter_mut().take(room).zip(bytes).for_each(|(to, from)| {
        *to = from.cast_signed() as c_char;
    });
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was wrong stands at a text's beginning, what would work at its end: a long name goes
    /// out of the middle.
    #[test]
    fn a_text_that_is_too_long_keeps_both_ends() {
        let text = format!("port /dev/{}: no such file", "\u{e9}".repeat(300));
        let array: [c_char; 192] = fixed(&text);
        let bytes: Vec<u8> =
            array.iter().take_while(|to| **to != 0).map(|to| to.cast_unsigned()).collect();
        let cut = String::from_utf8(bytes).unwrap();
        assert!(
            cut.starts_with("port /dev/\u{e9}") && cut.ends_with("\u{e9}: no such file"),
            "{cut}"
        );
        assert!(cut.contains("\u{e9}\u{2026}\u{e9}") && cut.len() > 185, "{cut}");
        let array: [c_char; 5] = fixed("four");
        assert_eq!(array.map(|to| to.cast_unsigned()), *b"four\0");
    }

    #[test]
    fn a_list_that_is_none_says_why() {
        let told = |pointer, count| {
            // SAFETY: what cannot be read is refused.
            let refused = unsafe { numbers(pointer, count, "ids") };
            refused.unwrap_err().text
        };
        let some = [1u16; 2];
        assert_eq!(told(core::ptr::null(), 2), "ids is NULL, but its count is 2");
        assert_eq!(told(some.as_ptr(), 257), "ids has 257 numbers, expected at most 256");
        let odd = some.as_ptr().cast::<u8>().wrapping_add(1).cast();
        assert_eq!(told(odd, 1), "ids is not aligned: expected a multiple of 2");
    }
}
