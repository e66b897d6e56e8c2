// SPDX-License-Identifier: Apache-2.0
//! A heap on which the same attempt takes the same instructions.
//!
//! What an allocator searches, and how a copy is aligned, depends on all that was allocated before.
//! While refusals are counted, memory comes from one large piece in steps of 64 octets, and nothing
//! goes back. While they are timed, it is the system's heap.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

/// The longest line of a cache that copying is laid out for.
const STEP: usize = 64;
/// The counted attempts need a small part of it; what is not touched costs nothing.
const LEN: usize = 1 << 30;

/// Copying looks at where a page ends.
const PAGE: usize = 4096;

struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

/// Null as long as the system's heap is used.
static START: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static USED: AtomicUsize = AtomicUsize::new(0);

/// From here on memory comes in steps, for the rest of the process.
pub(crate) fn in_steps() {
    let piece = Layout::from_size_align(LEN, PAGE).unwrap();
    // SAFETY: its length is not 0.
    let start = unsafe { System.alloc(piece) };
    assert!(!start.is_null(), "no address space for the heap");
    START.store(start, Relaxed);
}

/// The next piece begins a page: an attempt that begins so lies as the one before.
pub(crate) fn on_a_page() {
    USED.store(USED.load(Relaxed).next_multiple_of(PAGE), Relaxed);
}

// SAFETY: every piece in steps is handed out once, inside what `in_steps` was given; the system's
// heap keeps its own promises.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = START.load(Relaxed);
        if start.is_null() {
            // SAFETY: the caller's promises are the same.
            return unsafe { System.alloc(layout) };
        }
        let at = USED.fetch_add(layout.size().next_multiple_of(STEP), Relaxed);
        if layout.align() > STEP || at + layout.size() > LEN {
            return ptr::null_mut();
        }
        // SAFETY: `at` and what follows are inside the piece.
        unsafe { start.add(at) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if START.load(Relaxed).is_null() {
            // SAFETY: before `in_steps` all memory is the system's.
            unsafe { System.dealloc(memory, layout) }
        }
    }
}
