// SPDX-License-Identifier: Apache-2.0
//! Programs of an earlier and of a later version than the library.

use super::*;
use core::mem::offset_of;

/// A structure that has grown by two members since its first version.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
struct Grown {
    struct_size: usize,
    old: u64,
    added: u64,
    last: u64,
}

// SAFETY: repr(C), numbers alone, its size first.
unsafe impl CStruct for Grown {
    const FIRST: usize = offset_of!(Grown, added);
}

const NOW: usize = size_of::<Grown>();
const NEW: Grown = Grown { struct_size: NOW, old: 1, added: 2, last: 3 };

/// Room for a program's structure of any version, and what stands behind it there.
#[repr(C)]
#[derive(Clone, Copy)]
struct Room {
    head: Grown,
    behind: [u64; 2],
}

const UNTOUCHED: u64 = 0xA5A5_A5A5_A5A5_A5A5;

fn room(struct_size: usize) -> Room {
    let head = Grown { struct_size, old: UNTOUCHED, added: UNTOUCHED, last: UNTOUCHED };
    Room { head, behind: [UNTOUCHED; 2] }
}

/// Each version of the structure, with what a program of it finds behind its first version.
const VERSIONS: [(usize, [u64; 4]); 4] = [
    (Grown::FIRST, [UNTOUCHED; 4]),
    (Grown::FIRST + 8, [2, UNTOUCHED, UNTOUCHED, UNTOUCHED]),
    (NOW, [2, 3, UNTOUCHED, UNTOUCHED]),
    (NOW + 8, [2, 3, 0, UNTOUCHED]),
];

fn rest(room: &Room) -> [u64; 4] {
    [room.head.added, room.head.last, room.behind[0], room.behind[1]]
}

/// Nothing is written behind the end of a program's structure, and all that it knows is.
#[test]
fn a_program_of_any_version_gets_what_it_knows() {
    for (size, expected) in VERSIONS {
        let mut room = room(size);
        // SAFETY: the structure is as long as it says.
        unsafe { put((&raw mut room).cast::<Grown>(), "out", NEW) }.unwrap();
        assert_eq!((room.head.struct_size, room.head.old), (size, 1), "{size}");
        assert_eq!(rest(&room), expected, "{size}");
    }
}

/// A member that a program does not know is zero, which is its default.
#[test]
fn a_program_of_any_version_is_understood() {
    for (size, added, last) in [(Grown::FIRST, 0, 0), (Grown::FIRST + 8, 7, 0), (NOW, 7, 8)] {
        let mut room = room(size);
        (room.head.old, room.head.added, room.head.last) = (6, 7, 8);
        // SAFETY: as above.
        let taken = unsafe { take((&raw const room).cast::<Grown>(), "in") }.unwrap();
        assert_eq!((taken.old, taken.added, taken.last), (6, added, last), "{size}");
    }
}

/// The same in lists, whose elements stand where the program expects them.
#[test]
fn a_program_of_any_version_gets_lists() {
    let members = [
        (offset_of!(Grown, old), NEW.old),
        (offset_of!(Grown, added), NEW.added),
        (offset_of!(Grown, last), NEW.last),
        (NOW, 0),
    ];
    for (size, _) in VERSIONS {
        let mut array = [UNTOUCHED; 20];
        let mut count = 2;
        // SAFETY: there is room for two elements of this size, and a third.
        let octets = unsafe {
            let items = [NEW, NEW];
            put_all(array.as_mut_ptr().cast::<Grown>(), size, &raw mut count, &items).unwrap();
            core::slice::from_raw_parts(array.as_ptr().cast::<u8>(), 3 * size)
        };
        assert_eq!(count, 2);
        for element in octets.chunks(size).take(2) {
            assert_eq!(element[..size_of::<usize>()], size.to_ne_bytes());
            for (at, value) in members.into_iter().filter(|(at, _)| *at < size) {
                assert_eq!(element[at..at + 8], value.to_ne_bytes(), "{size}, octet {at}");
            }
        }
        assert!(octets[2 * size..].iter().all(|octet| *octet == 0xA5), "{size}");
    }
}

/// Shorter than the first version, or set where this library knows nothing: refused, by name.
#[test]
fn what_no_version_has_is_refused() {
    for size in [0, Grown::FIRST - 1, MAX + 1, usize::MAX] {
        let mut room = room(size);
        // SAFETY: the size is refused before it is believed.
        let error = unsafe { put((&raw mut room).cast::<Grown>(), "out", NEW) }.unwrap_err();
        assert_eq!(error.code, STBCAM_E_STRUCT_SIZE);
        let right = format!("struct_size of Grown is {size}, expected {} to {MAX}", Grown::FIRST);
        assert_eq!(error.text, right);
        assert_eq!(rest(&room), [UNTOUCHED; 4]);
    }
    let later = room(NOW + 8);
    // SAFETY: the structure is as long as it says.
    let error = unsafe { take((&raw const later).cast::<Grown>(), "in") }.unwrap_err();
    assert_eq!(error.code, STBCAM_E_STRUCT_SIZE);
    let right = format!(
        "in: octet {NOW} of {} is set, which is a member that this version of the library does not know",
        NOW + 8
    );
    assert_eq!(error.text, right);
}
