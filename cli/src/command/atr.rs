//! `stbcam atr`
use crate::args::{AtrArgs, Common, Failure};
use crate::bench::Bench;
use crate::explain::{explain, oddities};
use crate::hex;
use crate::record::{Out, Record, Running};

pub fn run(args: &AtrArgs, common: &Common) -> Result<(), Failure> {
    let out = common.out();
    if let Some(text) = &args.hex {
        let octets = hex::parse(text).map_err(|why| Failure::Usage(format!("--hex: {why}")))?;
        out.say(&Record::atr(&octets, None, oddities(&octets, args.clock)))?;
        return rows(out, &octets, args.clock);
    }
    let url = args.reader.as_deref().unwrap_or_default();
    let mut bench = Bench::open(url, common)?;
    let atr = match bench.bring_up(args.wait) {
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
