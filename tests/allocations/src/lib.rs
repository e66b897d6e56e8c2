// SPDX-License-Identifier: Apache-2.0
//! A global allocator that counts, for tests which say that something takes nothing from the heap.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static EVERYWHERE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// What this thread has taken from the heap so far.
pub fn here() -> usize {
    HERE.get()
}

/// What all threads have taken from the heap so far.
pub fn everywhere() -> usize {
    EVERYWHERE.load(Ordering::SeqCst)
}

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing. The
// methods that are not here, realloc and alloc_zeroed, come through `alloc`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HERE.set(HERE.get() + 1);
        EVERYWHERE.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `System.alloc` with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}
