// SPDX-License-Identifier: Apache-2.0
//! Structures that grow: their first member says how long the caller's one is.
//!
//! A structure shorter than the first version's is refused. A shorter one than ours comes from a
//! program built for an earlier version: what it lacks is zero, which is its default, and nothing
//! is written beyond its end. A longer one comes from a program built for a later version: what it
//! asks for beyond our end must be zero, and what it expects beyond our end it gets as zeros.

use crate::error::{Error, Result};
use crate::result::{STBCAM_E_ARG, STBCAM_E_BUFFER, STBCAM_E_STRUCT_SIZE};
use core::mem::MaybeUninit;
use core::ptr;

/// A structure of the C ABI that starts with its own size.
///
/// # Safety
///
/// The type is `repr(C)`, its first member is `struct_size: usize`, it has no invariant that
/// octets from a caller could break, and no member that needs dropping.
pub(crate) unsafe trait CStruct: Copy {
    /// The size that it had in the first version that had it: where members were added since, the
    /// offset of the first of them (`docs/spec/abi.md`, What is kept).
    const FIRST: usize = size_of::<Self>();
}

/// Longer than any structure will ever be: what is longer was not initialised.
const MAX: usize = 4096;

/// Refuses a size that no version of the structure has; `what` is the caller's name for it.
pub(crate) fn check_size<T: CStruct>(size: usize, what: &str) -> Result {
    if (T::FIRST..=MAX).contains(&size) {
        return Ok(());
    }
    let name = core::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
    Err(Error::new(
        STBCAM_E_STRUCT_SIZE,
        format!("{what} of {name} is {size}, expected {} to {MAX}", T::FIRST),
    ))
}

/// `name` is the caller's parameter.
pub(crate) fn check_pointer<T>(pointer: *const T, name: &str) -> Result {
    if pointer.is_null() {
        return Err(Error::new(STBCAM_E_ARG, format!("{name} is NULL")));
    }
    if !pointer.is_aligned() {
        let octets = align_of::<T>();
        let text = format!("{name} is not aligned: expected a multiple of {octets}");
        return Err(Error::new(STBCAM_E_ARG, text));
    }
    Ok(())
}

/// Copies a structure from the caller.
///
/// # Safety
///
/// `pointer` is NULL or points to a structure as long as its first member says.
pub(crate) unsafe fn take<T: CStruct>(pointer: *const T, name: &str) -> Result<T> {
    check_pointer(pointer, name)?;
    // SAFETY: the structure starts with its size (CStruct), and is there by our contract.
    let size = unsafe { pointer.cast::<usize>().read() };
    check_size::<T>(size, "struct_size")?;
    let known = size.min(size_of::<T>());
    // SAFETY: so many octets are readable by our contract.
    let tail =
        unsafe { core::slice::from_raw_parts(pointer.cast::<u8>().add(known), size - known) };
    if let Some(at) = tail.iter().position(|octet| *octet != 0) {
        return Err(Error::new(
            STBCAM_E_STRUCT_SIZE,
            format!(
                "{name}: octet {} of {size} is set, which is a member that this version of the library \
                 does not know",
                known + at
            ),
        ));
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `known` octets are readable, and there is room for them; any octets are a T, so zeros
    // where the caller has none.
    unsafe {
        ptr::copy_nonoverlapping(pointer.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), known);
        Ok(value.assume_init())
    }
}

/// Writes as much of `value` as a structure of `size` octets has room for, zeros behind it, and its
/// size.
///
/// # Safety
///
/// `place` points to `size` writable octets, aligned, and at least as many as `T::FIRST`.
unsafe fn fill<T: CStruct>(place: *mut T, size: usize, value: &T) {
    let known = size.min(size_of::<T>());
    let octets = place.cast::<u8>();
    // SAFETY: neither is longer than `size`, and the size is the first member.
    unsafe {
        ptr::copy_nonoverlapping(ptr::from_ref(value).cast::<u8>(), octets, known);
        ptr::write_bytes(octets.add(known), 0, size - known);
        place.cast::<usize>().write(size);
    }
}

/// Copies `value` to the caller's structure, whose own size stays.
///
/// # Safety
///
/// `pointer` is NULL or points to a writable structure as long as its first member says.
pub(crate) unsafe fn put<T: CStruct>(pointer: *mut T, name: &str, value: T) -> Result {
    check_pointer(pointer, name)?;
    // SAFETY: the structure starts with its size (CStruct), and is there by our contract.
    let size = unsafe { pointer.cast::<usize>().read() };
    check_size::<T>(size, "struct_size")?;
    // SAFETY: so many octets are writable by our contract, which the check has found to be enough.
    unsafe { fill(pointer, size, &value) };
    Ok(())
}

/// Copies `items` to the caller's array, whose elements are `elem_size` apart. `count` holds how
/// many fit, and afterwards how many there are. With more items than room the first ones are
/// copied and `STBCAM_E_BUFFER` says so.
///
/// # Safety
///
/// `count` is NULL or points to a number; `array` points to `*count` elements of `elem_size`
/// octets, all of them writable; or `array` is NULL and `*count` is 0.
pub(crate) unsafe fn put_all<T: CStruct>(
    array: *mut T,
    elem_size: usize,
    count: *mut usize,
    items: &[T],
) -> Result {
    check_pointer(count, "count")?;
    // SAFETY: not NULL, aligned, and a number by our contract.
    let room = unsafe { count.read() };
    if room > 0 {
        check_pointer(array, "array")?;
        check_size::<T>(elem_size, "elem_size")?;
        if !elem_size.is_multiple_of(align_of::<T>()) {
            return Err(Error::new(
                STBCAM_E_STRUCT_SIZE,
                format!("elem_size is {elem_size}, expected a multiple of {}", align_of::<T>()),
            ));
        }
    }
    for (index, item) in items.iter().take(room).enumerate() {
        // SAFETY: `index` is below the number of elements, all of which are writable.
        unsafe { fill(array.byte_add(index * elem_size), elem_size, item) };
    }
    // SAFETY: as above.
    unsafe { count.write(items.len()) };
    if items.len() > room {
        return Err(Error::new(
            STBCAM_E_BUFFER,
            format!("room for {room} elements, but there are {}", items.len()),
        ));
    }
    Ok(())
}

/// As [`put_all`], for a list that is read piece by piece: `cursor` is 0 at the start and is moved
/// on; `count` is 0 at the end.
///
/// # Safety
///
/// As for [`put_all`], and `cursor` is NULL or points to a number.
pub(crate) unsafe fn put_from<T: CStruct>(
    cursor: *mut u64,
    array: *mut T,
    elem_size: usize,
    count: *mut usize,
    items: &[T],
) -> Result {
    check_pointer(cursor, "cursor")?;
    check_pointer(count, "count")?;
    // SAFETY: both are not NULL, aligned, and numbers by our contract.
    let (start, room) = unsafe { (cursor.read(), count.read()) };
    let start = usize::try_from(start).unwrap_or(usize::MAX).min(items.len());
    let piece = items.get(start..).unwrap_or(&[]);
    let piece = piece.get(..room).unwrap_or(piece);
    // SAFETY: the contract is the same.
    unsafe { put_all(array, elem_size, count, piece) }?;
    // SAFETY: as above.
    unsafe { cursor.write((start + piece.len()) as u64) };
    Ok(())
}

/// Writes one value through an optional pointer.
///
/// # Safety
///
/// `pointer` is NULL or writable.
pub(crate) unsafe fn put_optional<T>(pointer: *mut T, name: &str, value: T) -> Result {
    if pointer.is_null() {
        return Ok(());
    }
    check_pointer(pointer, name)?;
    // SAFETY: not NULL and aligned, writable by our contract.
    unsafe { pointer.write(value) };
    Ok(())
}

/// Refuses a pointer through which a result must go.
pub(crate) fn needed<T>(pointer: *mut T, name: &str) -> Result {
    check_pointer(pointer, name)
}

#[cfg(test)]
mod tests;
