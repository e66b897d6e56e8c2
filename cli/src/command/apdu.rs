// SPDX-License-Identifier: Apache-2.0
//! `stbcam apdu`: sends command APDUs, and says what the card answers and what that means.
use crate::args::{Common, ReaderArgs};
use crate::bench::Bench;
use crate::failure::Failure;
use crate::record::Record;
use crate::{hex, secrets, status};
use clap::Args;
use iso7816::apdu::{Lengths, Response};
use stb_shim::clock;
use std::io::BufRead as _;

/// T of the protocol whose answers have no status word.
const T14: u8 = 14;

#[derive(Args, Clone, Debug)]
pub(crate) struct ApduArgs {
    #[command(flatten)]
    pub reader: ReaderArgs,
    /// When no card answers, wait until one does
    #[arg(long)]
    pub wait: bool,
    /// Command APDUs in hexadecimal, one an argument, or `-` for standard input, one a line
    ///
    /// Cases 1 to 4 with short or extended lengths; blanks may stand between the pairs of digits.
    /// Of an APDU with a PIN or a key in it only standard input leaves no trace in the shell's
    /// history.
    #[arg(value_name = "HEX", required = true)]
    pub apdus: Vec<String>,
}

pub(super) fn run(args: &ApduArgs, common: &Common) -> Result<(), Failure> {
    let apdus = read(&args.apdus)?;
    let mut bench = Bench::open(&args.reader.reader, common)?;
    if let Err(error) = bench.bring_up(args.wait.into()) {
        return Err(Failure::Failed(bench.not_up(&error)));
    }
    let mut good = true;
    for (count, apdu) in (1..).zip(&apdus) {
        let start = clock::now();
        let answer = bench.slot.transmit(apdu, None, &bench.stop.waker).map_err(|error| {
            Failure::Failed(format!("APDU {count} ({}): {error}", secrets::shown(apdu)))
        })?;
        let ms = clock::now().since(start).as_micros() as f64 / 1000.0;
        let command = secrets::shown(apdu);
        let (data, sw, meaning) = match Response::parse(&answer) {
            Ok(response) if bench.slot.line().protocol() != T14 => {
                good = status::good(response.sw);
                let sw = hex::text(&response.sw.to_be_bytes());
                (hex::text(response.data), Some(sw), status::meaning(response.sw))
            }
            _ => (hex::text(&answer), None, "answered on T=14".to_owned()),
        };
        common.out().say(&Record::Response { command, data, sw, meaning, ms })?;
    }
    if good { Ok(()) } else { Err(Failure::Refused) }
}

/// All of them are read before the first is sent: a typing error in the last costs nothing.
fn read(arguments: &[String]) -> Result<Vec<Vec<u8>>, Failure> {
    let mut apdus = Vec::new();
    for (count, argument) in (1..).zip(arguments) {
        if argument != "-" {
            apdus.push(apdu(argument, || format!("APDU {count}"))?);
            continue;
        }
        for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
            let line = line.map_err(|error| format!("standard input: {error}"))?;
            let text = line.split('#').next().unwrap_or_default().trim();
            if !text.is_empty() {
                apdus.push(apdu(text, || format!("standard input, line {number}"))?);
            }
        }
    }
    if apdus.is_empty() {
        return Err(Failure::Usage("standard input: no APDU, expected one a line".into()));
    }
    Ok(apdus)
}

fn apdu(text: &str, place: impl Fn() -> String) -> Result<Vec<u8>, Failure> {
    let apdu = hex::parse(text).map_err(|why| Failure::Usage(format!("{}: {why}", place())))?;
    match Lengths::parse(&apdu) {
        Ok(_) => Ok(apdu),
        Err(why) => Err(Failure::Usage(format!("{}: {why}", place()))),
    }
}
