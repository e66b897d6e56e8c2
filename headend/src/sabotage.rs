// SPDX-License-Identifier: Apache-2.0
//! Where the faults of [`crate::fault`] are done: around the works, which know nothing of them.

pub mod emm;
