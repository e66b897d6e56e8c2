// SPDX-License-Identifier: Apache-2.0
//! `stbcam atr`: a card's answer to reset, or one that was typed, octet by octet if wanted.
use crate::args::Common;
use crate::bench::Bench;
use crate::explain::{explain, oddities};
use crate::failure::Failure;
use crate::hex;
use crate::record::{Out, Record, Running};
use clap::Args;
use iso7816::etu::{CLOCKS_HZ, USUAL_CLOCK_HZ};

#[derive(Args, Clone, Debug)]
pub(crate) struct AtrArgs {
    /// The reader's address, as in serial:/dev/ttyUSB0 (see `stbcam --help`)
    #[arg(long, value_name = "URL", required_unless_present = "hex")]
    pub reader: Option<String>,
    /// Take this answer to reset instead of a card's; implies --explain
    #[arg(long, value_name = "HEX", conflicts_with = "reader")]
    pub hex: Option<String>,
    /// Say what every octet means
    #[arg(long)]
    pub explain: bool,
    /// When no card answers, wait until one does
    #[arg(long, conflicts_with = "hex")]
    pub wait: bool,
    /// The card clock in Hz that --hex is explained for
    #[arg(long, value_name = "HZ", default_value_t = USUAL_CLOCK_HZ, conflicts_with = "reader",
        value_parser = clap::value_parser!(u32)
            .range(i64::from(*CLOCKS_HZ.start())..=i64::from(*CLOCKS_HZ.end())))]
    pub clock: u32,
}

pub(super) fn run(args: &AtrArgs, common: &Common) -> Result<(), Failure> {
    let out = common.out();
    if let Some(text) = &args.hex {
        let octets = hex::parse(text).map_err(|why| Failure::Usage(format!("--hex: {why}")))?;
        out.say(&Record::atr(&octets, None, oddities(&octets, args.clock)))?;
        return rows(out, &octets, args.clock);
    }
    let url = args.reader.as_deref().unwrap_or_default();
    let mut bench = Bench::open(url, common)?;
    let atr = match bench.bring_up(args.wait.into()) {
        Ok(atr) => atr,
        Err(error) => {
            let heard = bench.heard();
            if args.explain && !heard.is_empty() {
                rows(out, &heard, bench.clock_hz)?;
            }
            return Err(Failure::Failed(bench.not_up(&error)));
        }
    };
    let line = Running::new(bench.slot.line());
    let odd = (!atr.warnings().is_empty()).then(|| atr.warnings().to_string());
    out.say(&Record::atr(atr.octets(), Some(line), odd))?;
    if args.explain { rows(out, atr.octets(), bench.clock_hz) } else { Ok(()) }
}

fn rows(out: Out, octets: &[u8], clock_hz: u32) -> Result<(), Failure> {
    for row in explain(octets, clock_hz) {
        out.say(&Record::from(&row))?;
    }
    Ok(())
}
