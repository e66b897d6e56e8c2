// SPDX-License-Identifier: Apache-2.0
//! 1. Version and capabilities
//!
//! One box may meet two versions of the library: ask the one that is loaded. Structures grow at
//! their end only; their first member says how long the caller's one is.

use core::ffi::c_char;
use stb_shim::readers::SCHEMES;

/// Incremented when a program must be changed. The shared library's name carries it.
pub const STBCAM_VERSION_MAJOR: u32 = 1;
/// Incremented when functions, members or numbers are added.
pub const STBCAM_VERSION_MINOR: u32 = 0;
/// Incremented by corrections.
pub const STBCAM_VERSION_PATCH: u32 = 0;

/// The version of the loaded library: major, minor and patch in one octet each,
/// `0x00MMmmpp`.
///
/// Threads: any, also from a callback.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_version() -> u32 {
    STBCAM_VERSION_MAJOR << 16 | STBCAM_VERSION_MINOR << 8 | STBCAM_VERSION_PATCH
}

/// The version as text, such as "1.0.0". Static: never freed.
///
/// Threads: any, also from a callback.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_version_string() -> *const c_char {
    const TEXT: &core::ffi::CStr = match core::ffi::CStr::from_bytes_with_nul(
        concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
    ) {
        Ok(text) => text,
        Err(_) => panic!("a version has no zero inside"),
    };
    TEXT.as_ptr()
}

/// Card readers on a serial port ("serial:").
pub const STBCAM_FEATURE_READER_SERIAL: u64 = 0x01;
/// A software descrambler with a software key ladder.
pub const STBCAM_FEATURE_SOFT_DESCRAMBLER: u64 = 0x02;
/// The software descrambler knows DVB-CSA2.
pub const STBCAM_FEATURE_SOFT_CSA2: u64 = 0x04;
/// The software descrambler knows DVB-CISSA version 1.
pub const STBCAM_FEATURE_SOFT_CISSA: u64 = 0x08;
/// Virtual cards over TCP ("vpcd:").
pub const STBCAM_FEATURE_READER_VPCD: u64 = 0x10;
/// Readers behind PC/SC ("pcsc:"). Only in a library that was built with `FEATURES=pcsc`.
pub const STBCAM_FEATURE_READER_PCSC: u64 = 0x20;
/// Readers with the frames of a GemPC Twin ("gempc:").
pub const STBCAM_FEATURE_READER_GEMPC: u64 = 0x40;
/// UARTs in the kernel's ISO 7816 mode ("iso7816:").
pub const STBCAM_FEATURE_READER_ISO7816: u64 = 0x80;
/// The software descrambler knows ATIS-0800006 (IDSA).
pub const STBCAM_FEATURE_SOFT_IDSA: u64 = 0x100;
/// The software descrambler knows SCTE 52.
pub const STBCAM_FEATURE_SOFT_SCTE52: u64 = 0x200;

/// What the loaded library can do: a set of `STBCAM_FEATURE_*`.
///
/// Threads: any, also from a callback.
#[unsafe(no_mangle)]
pub extern "C" fn stbcam_features() -> u64 {
    let software = STBCAM_FEATURE_SOFT_DESCRAMBLER
        | STBCAM_FEATURE_SOFT_CSA2
        | STBCAM_FEATURE_SOFT_CISSA
        | STBCAM_FEATURE_SOFT_IDSA
        | STBCAM_FEATURE_SOFT_SCTE52;
    let readers = SCHEMES.iter().filter(|scheme| scheme.is_built());
    readers.fold(software, |features, scheme| features | scheme.feature())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of reader has its feature under its name and number, and no other reader has one.
    #[test]
    fn header_and_readers_have_the_same_features() {
        let header = include_str!("../../include/stbcam.h").lines();
        let mut header: Vec<_> = header
            .filter_map(|line| line.strip_prefix("#define STBCAM_FEATURE_READER_"))
            .map(str::to_owned)
            .collect();
        let mut readers: Vec<_> = SCHEMES
            .iter()
            .map(|scheme| format!("{} 0x{:02X}", scheme.name().to_uppercase(), scheme.feature()))
            .collect();
        header.sort_unstable();
        readers.sort_unstable();
        assert_eq!(header, readers);
    }

    /// Whoever is refused is told how to get it.
    #[test]
    fn pcsc_is_a_matter_of_the_build() {
        let told = stb_shim::readers::open("pcsc:?no").err().map(|error| error.to_string());
        let has = stbcam_features() & STBCAM_FEATURE_READER_PCSC != 0;
        let expected = if has { "option is 'no'" } else { "built with the feature pcsc" };
        assert!(told.is_some_and(|told| told.contains(expected)));
    }

    /// The text is the version of `Cargo.toml`; the numbers stand here for the header.
    #[test]
    fn number_and_text_agree() {
        // SAFETY: the text is static and ends with a zero.
        let text = unsafe { core::ffi::CStr::from_ptr(stbcam_version_string()) };
        let [_, major, minor, patch] = stbcam_version().to_be_bytes();
        assert_eq!(text.to_str().unwrap(), format!("{major}.{minor}.{patch}"));
    }
}
