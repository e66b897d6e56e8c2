// SPDX-License-Identifier: Apache-2.0
//! What several commands take.
use crate::failure::Failure;
use crate::record::Out;
use crate::trace::Trace;
use clap::Args;

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// Say everything as JSON, one object a line (see `stbcam --help`)
    #[arg(long, global = true)]
    pub json: bool,
    /// Write what passes between terminal and card to FILE, `-` for standard output
    ///
    /// One line each: seconds since the start, a letter, hexadecimal. R: reset. A: answer to reset,
    /// whole. P: the line runs so from here on. T: to the card, C: from the card, as a UART sees
    /// them. > and <: command and response APDU. !: failure. O: power off. PINs and keys are not in
    /// it (see `stbcam --help`).
    #[arg(long, global = true, value_name = "FILE")]
    trace: Option<String>,
}

/// A reader.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReaderArgs {
    /// The reader's address, as in serial:/dev/ttyUSB0 (see `stbcam --help`)
    #[arg(long, value_name = "URL")]
    pub reader: String,
}

impl Common {
    pub(crate) const fn out(&self) -> Out {
        Out { json: self.json }
    }

    /// The trace, if one is wanted.
    pub(crate) fn trace(&self) -> Result<Option<Trace>, Failure> {
        let Some(path) = &self.trace else { return Ok(None) };
        let trace =
            Trace::to(path, self.json).map_err(|error| format!("--trace {path}: {error}"))?;
        Ok(Some(trace))
    }
}
