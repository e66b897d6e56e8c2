// SPDX-License-Identifier: Apache-2.0
//! Handles that are never dereferenced.
//!
//! A handle is a number in the clothes of a pointer. It is looked up, so that a handle that was
//! closed, belongs to something else or never existed is refused instead of followed; and no
//! number is given out twice.

use core::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The open handles of one kind.
pub(crate) struct Registry<T> {
    open: RwLock<Vec<(usize, Arc<T>)>>,
    kind: usize,
}

/// Handles are multiples of this, plus their kind.
const STEP: usize = 256;

static NEXT: AtomicUsize = AtomicUsize::new(1);

impl<T> Registry<T> {
    /// An empty registry. `kind` tells its handles from others'.
    pub(crate) const fn new(kind: u8) -> Self {
        Self { open: RwLock::new(Vec::new()), kind: kind as usize }
    }

    /// A fresh handle.
    pub(crate) fn insert<H>(&self, value: Arc<T>) -> *mut H {
        let handle = NEXT.fetch_add(1, Ordering::Relaxed) * STEP + self.kind;
        self.open.write().unwrap_or_else(PoisonError::into_inner).push((handle, value));
        ptr::without_provenance_mut(handle)
    }

    /// What the handle stands for, if it is open.
    pub(crate) fn get<H>(&self, handle: *const H) -> Option<Arc<T>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.iter().find(|(of, _)| *of == handle.addr()).map(|(_, value)| Arc::clone(value))
    }

    /// Closes the handle. Calls that are under way keep what it stood for until they return.
    pub(crate) fn remove<H>(&self, handle: *const H) -> Option<Arc<T>> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let index = open.iter().position(|(of, _)| *of == handle.addr())?;
        let value = open.swap_remove(index).1;
        // The last one out frees the list: nothing is left when the host looks for leaks.
        if open.is_empty() {
            open.shrink_to_fit();
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_good_until_it_is_closed_and_never_again() {
        let (one, other) = (Registry::new(1), Registry::<u32>::new(2));
        let handle: *mut u8 = one.insert(Arc::new(7_u32));
        assert_eq!(one.get(handle).as_deref(), Some(&7));
        assert!(other.get(handle).is_none());
        assert_eq!(one.remove(handle).as_deref(), Some(&7));
        assert!(one.get(handle).is_none() && one.remove(handle).is_none());
        let next: *mut u8 = one.insert(Arc::new(8));
        assert_ne!(next, handle);
    }
}
