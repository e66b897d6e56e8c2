// SPDX-License-Identifier: Apache-2.0
//! What ciphers leave behind where no type can wipe it: on the stack below a call, in the vector
//! registers, and in memory that was given back to the heap.
//!
//! A key that moves leaves its old place as it was, and a compiler spills round keys where it
//! likes. `docs/spec/abi.md`, Promises.
#![expect(unsafe_code, reason = "the stack below, registers and the heap have no safe door")]

use core::arch::asm;
use core::ptr;
use std::alloc::{GlobalAlloc, Layout, System};

/// More than any call chain of the library that sees a secret takes from the stack.
const DEPTH: usize = 32 * 1024;

/// The same for opening, which makes and moves the largest structures.
const DEEP: usize = 64 * 1024;

/// Runs `body` in a frame of its own, and wipes that frame and those below it.
pub fn behind<R>(body: impl FnOnce() -> R) -> R {
    let result = apart(body);
    wipe();
    result
}

/// The same for opening.
pub fn deep_behind<R>(body: impl FnOnce() -> R) -> R {
    let result = apart(body);
    below::<DEEP>();
    result
}

/// Runs `body` in a frame of its own, which the next wipe of the caller's reaches.
#[inline(never)]
pub fn apart<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// Wipes the stack below the caller, and the registers that a cipher works in.
pub fn wipe() {
    below::<DEPTH>();
}

#[inline(never)]
fn below<const LEN: usize>() {
    let mut stack = core::mem::MaybeUninit::<[u8; LEN]>::uninit();
    zero(stack.as_mut_ptr().cast(), LEN);
    registers();
}

fn zero(at: *mut u8, len: usize) {
    // SAFETY: the callers own `len` octets there, which nobody reads any more; the assembler
    // changes nothing, and for all the compiler knows reads the zeros.
    unsafe {
        ptr::write_bytes(at, 0, len);
        asm!("/* {0} */", in(reg) at, options(nostack, preserves_flags));
    }
}

/// No caller expects anything in them: none outlives a call in the C calling convention.
#[cfg(target_arch = "x86_64")]
fn registers() {
    if std::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has them. `memcpy` of the C library uses 16 to 31.
        unsafe { wide() }
    }
    if std::is_x86_feature_detected!("avx") {
        // SAFETY: the processor has AVX.
        unsafe { core::arch::x86_64::_mm256_zeroall() }
    } else {
        // SAFETY: SSE2 belongs to the architecture; the registers are named as changed.
        unsafe {
            asm!(
                "pxor xmm0, xmm0", "pxor xmm1, xmm1", "pxor xmm2, xmm2", "pxor xmm3, xmm3",
                "pxor xmm4, xmm4", "pxor xmm5, xmm5", "pxor xmm6, xmm6", "pxor xmm7, xmm7",
                "pxor xmm8, xmm8", "pxor xmm9, xmm9", "pxor xmm10, xmm10", "pxor xmm11, xmm11",
                "pxor xmm12, xmm12", "pxor xmm13, xmm13", "pxor xmm14, xmm14", "pxor xmm15, xmm15",
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
                out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
                out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _,
                out("xmm15") _, options(nostack, nomem)
            );
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn wide() {
    // SAFETY: the caller has seen that they are there; they are named as changed.
    unsafe {
        asm!(
            "vpxorq zmm16, zmm16, zmm16", "vpxorq zmm17, zmm17, zmm17",
            "vpxorq zmm18, zmm18, zmm18", "vpxorq zmm19, zmm19, zmm19",
            "vpxorq zmm20, zmm20, zmm20", "vpxorq zmm21, zmm21, zmm21",
            "vpxorq zmm22, zmm22, zmm22", "vpxorq zmm23, zmm23, zmm23",
            "vpxorq zmm24, zmm24, zmm24", "vpxorq zmm25, zmm25, zmm25",
            "vpxorq zmm26, zmm26, zmm26", "vpxorq zmm27, zmm27, zmm27",
            "vpxorq zmm28, zmm28, zmm28", "vpxorq zmm29, zmm29, zmm29",
            "vpxorq zmm30, zmm30, zmm30", "vpxorq zmm31, zmm31, zmm31",
            out("zmm16") _, out("zmm17") _, out("zmm18") _, out("zmm19") _, out("zmm20") _,
            out("zmm21") _, out("zmm22") _, out("zmm23") _, out("zmm24") _, out("zmm25") _,
            out("zmm26") _, out("zmm27") _, out("zmm28") _, out("zmm29") _, out("zmm30") _,
            out("zmm31") _, options(nostack, nomem)
        );
    }
}

/// The first eight are all that 32 bits can name.
#[cfg(all(target_arch = "x86", target_feature = "sse2"))]
fn registers() {
    if std::is_x86_feature_detected!("avx") {
        // SAFETY: the processor has AVX.
        unsafe { core::arch::x86::_mm256_zeroall() }
    } else {
        // SAFETY: the target has SSE2; the registers are named as changed.
        unsafe {
            asm!(
                "pxor xmm0, xmm0", "pxor xmm1, xmm1", "pxor xmm2, xmm2", "pxor xmm3, xmm3",
                "pxor xmm4, xmm4", "pxor xmm5, xmm5", "pxor xmm6, xmm6", "pxor xmm7, xmm7",
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
                out("xmm5") _, out("xmm6") _, out("xmm7") _, options(nostack, nomem)
            );
        }
    }
}

/// AES works in them by the processor's own instructions. Of 8 to 15 the lower halves are the
/// caller's, which the compiler puts back; the upper ones are zero from then on.
#[cfg(target_arch = "aarch64")]
fn registers() {
    // SAFETY: they belong to the architecture as Rust knows it, and are named as changed.
    unsafe {
        asm!(
            "movi v0.2d, #0", "movi v1.2d, #0", "movi v2.2d, #0", "movi v3.2d, #0",
            "movi v4.2d, #0", "movi v5.2d, #0", "movi v6.2d, #0", "movi v7.2d, #0",
            "movi v8.2d, #0", "movi v9.2d, #0", "movi v10.2d, #0", "movi v11.2d, #0",
            "movi v12.2d, #0", "movi v13.2d, #0", "movi v14.2d, #0", "movi v15.2d, #0",
            "movi v16.2d, #0", "movi v17.2d, #0", "movi v18.2d, #0", "movi v19.2d, #0",
            "movi v20.2d, #0", "movi v21.2d, #0", "movi v22.2d, #0", "movi v23.2d, #0",
            "movi v24.2d, #0", "movi v25.2d, #0", "movi v26.2d, #0", "movi v27.2d, #0",
            "movi v28.2d, #0", "movi v29.2d, #0", "movi v30.2d, #0", "movi v31.2d, #0",
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _,
            out("v6") _, out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _,
            out("v12") _, out("v13") _, out("v14") _, out("v15") _, out("v16") _, out("v17") _,
            out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _,
            out("v30") _, out("v31") _, options(nostack, nomem)
        );
    }
}

/// Those that a call may change and every such processor has. The ciphers do not work in them
/// here, but the C library copies through them; a NEON unit's d16 to d31, which it uses too, the
/// compiler cannot name for this target (`docs/security.md`, T1).
#[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
fn registers() {
    // SAFETY: the ABI passes floating-point numbers in them, so they are there.
    unsafe {
        asm!(
            "vmov d0, {zero}, {zero}", "vmov d1, {zero}, {zero}", "vmov d2, {zero}, {zero}",
            "vmov d3, {zero}, {zero}", "vmov d4, {zero}, {zero}", "vmov d5, {zero}, {zero}",
            "vmov d6, {zero}, {zero}", "vmov d7, {zero}, {zero}",
            zero = in(reg) 0,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _,
            out("d6") _, out("d7") _, options(nostack, nomem)
        );
    }
}

/// Of other processors nobody has said which registers a cipher works in (`docs/security.md`, T1).
#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "x86", target_feature = "sse2"),
    target_arch = "aarch64",
    all(target_arch = "arm", target_abi = "eabihf")
)))]
fn registers() {}

/// The system's allocator, which gets nothing back that is not wiped. A buffer that grows leaves
/// none of its octets in its old place either.
pub struct WipingAllocator;

// SAFETY: every call goes to the system's allocator, and what is given back is no longer read. The
// method that is not here, realloc, comes through `alloc` and `dealloc`.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        zero(at, layout.size());
        // SAFETY: `at` came from `System.alloc` with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;

    extern "C" fn wiping() {
        wipe();
    }

    extern "C" fn nothing() {}

    /// A vector register's two halves behind a call, in front of which it was full.
    fn left_by(call: extern "C" fn()) -> (u64, u64) {
        let (low, high);
        // SAFETY: what a call in C may change is named as changed.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            asm!(
                "pcmpeqd xmm5, xmm5", "call rax", "movq rax, xmm5", "psrldq xmm5, 8",
                "movq rdx, xmm5", inlateout("rax") call => low, out("rdx") high, clobber_abi("C"),
            );
        }
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        unsafe {
            asm!(
                "movi v20.16b, #255", "blr x9", "mov x9, v20.d[0]", "mov x10, v20.d[1]",
                inlateout("x9") call => low, out("x10") high, clobber_abi("C"),
            );
        }
        (low, high)
    }

    /// T1: what a cipher has left in a vector register is gone behind the call.
    #[test]
    fn registers_are_wiped() {
        assert_eq!(left_by(nothing), (u64::MAX, u64::MAX), "it is seen where it stays");
        assert_eq!(left_by(wiping), (0, 0));
    }
}
