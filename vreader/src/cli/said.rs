// SPDX-License-Identifier: Apache-2.0
//! What the program says of what it did, and of a file that failed.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::Path;

/// A line, or more, of standard output.
pub(super) fn print(text: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{text}").map_err(|error| format!("standard output: {error}"))
}

/// The error of this file.
pub(super) fn at(path: &Path, error: &dyn Display) -> String {
    format!("{}: {error}", path.display())
}
