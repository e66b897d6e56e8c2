// SPDX-License-Identifier: Apache-2.0
//! `stbcam line test`: what a port has, which bit rates it makes, and how long an exchange takes.
use crate::args::{Common, ReaderArgs};
use crate::bench::{Bench, QUESTION};
use crate::failure::Failure;
use crate::record::{Latency, LatencyOf, Out, Port, Rate, Record};
use iso7816::etu::{LineParams, clock_rate_conversion, rate_adjustment};
use iso7816::line::{Level, Policy};
use stb_shim::clock;
use stb_shim::reader::{Capabilities, Reader as _};
use stb_shim::serial::SerialReader;
use stb_shim::url::Url;
use std::time::Duration;

/// The rates that cards ask for, as TA1 says them.
const RATES: [u8; 10] = [0x11, 0x12, 0x13, 0x14, 0x18, 0x15, 0x94, 0x95, 0x96, 0x97];
/// How often a latency is measured.
const ROUNDS: usize = 20;

pub(super) fn run(args: &ReaderArgs, common: &Common) -> Result<(), Failure> {
    let out = common.out();
    let url = Url::parse(&args.reader);
    let serial = url.scheme == "serial";
    if serial {
        port(out, SerialReader::open(&url)?)?;
    }
    let mut bench = Bench::open(&args.reader, common)?;
    if !serial && let Some(reader) = bench.slot.reader() {
        out.say(&Record::Port(Port::of_reader(&args.reader, &reader.capabilities())))?;
    }
    card(out, &mut bench)
}

/// What a serial port can do by itself.
fn port(out: Out, mut reader: SerialReader) -> Result<(), Failure> {
    let survey = reader.survey()?;
    let capabilities = Capabilities { baud_base: survey.baud_base, ..reader.capabilities() };
    let policy = capabilities.policy();
    out.say(&Record::Port(Port::of_survey(&survey, capabilities.latency)))?;
    for ta1 in RATES {
        let (Some((f, _)), Some(d)) =
            (clock_rate_conversion(ta1 >> 4), rate_adjustment(ta1 & 0x0F))
        else {
            continue;
        };
        let params = LineParams { f, d, ..LineParams::initial(survey.clock_hz) };
        let made = reader.try_rate(&params)?;
        out.say(&Record::Rate(rate(ta1, &params, made, &policy)))?;
    }
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.extend(reader.echo_time()?);
    }
    let line = LineParams::initial(survey.clock_hz).etus(10);
    say(out, Latency::of(LatencyOf::Echo, times, line))
}

/// A kernel calls a rate as it was asked for even where its divisor makes another.
fn rate(ta1: u8, params: &LineParams, told: u32, policy: &Policy) -> Rate {
    let wanted = params.baud();
    let made = policy.baud_base.filter(|_| told == wanted).map_or(told, |base| {
        let divisor = (base + wanted / 2) / wanted.max(1);
        base / divisor.max(1)
    });
    let off = (f64::from(made) - f64::from(wanted)) * 100.0 / f64::from(wanted.max(1));
    let usable = policy.runs(wanted) && off.abs() <= 2.0;
    let error_percent = (off * 100.0).round() / 100.0;
    Rate {
        f: params.f,
        d: params.d,
        ta1: format!("{ta1:02X}"),
        wanted,
        made,
        error_percent,
        usable,
    }
}

/// What a card adds, if one is in.
fn card(out: Out, bench: &mut Bench) -> Result<(), Failure> {
    let start = clock::now();
    if let Err(error) = bench.activate() {
        if bench.stop.is_stopped() {
            return Err(Failure::Failed(error.to_string()));
        }
        out.say(&Record::Note { note: format!("not measured with a card: {error}") })?;
        return Ok(());
    }
    let took = clock::now().since(start);
    let atr = octets(bench);
    let characters = bench.slot.line().level() == Level::Characters;
    // Answer to reset, PPS and IFS: all but a few of its characters come at the initial rate.
    let line = LineParams::initial(bench.clock_hz).etus(12 * (atr.0 + atr.1));
    let line = if characters { line } else { Duration::ZERO };
    say(out, Latency::of(LatencyOf::Atr, vec![took], line))?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = clock::now();
        let answer = bench.slot.transmit(&QUESTION, None, &bench.stop.waker);
        times.push(clock::now().since(start));
        if let Err(error) = answer {
            return Err(Failure::Failed(format!("GET RESPONSE: {error}")));
        }
    }
    let params = bench.slot.line().params();
    let after = octets(bench);
    let rounds = ROUNDS as u64;
    let (sent, received) = ((after.0 - atr.0) / rounds, (after.1 - atr.1) / rounds);
    let line = params.etus(sent * u64::from(params.guard_etu) + received * 12);
    let line = if characters { line } else { Duration::ZERO };
    say(out, Latency::of(LatencyOf::Apdu, times, line))
}

fn say(out: Out, latency: Option<Latency>) -> Result<(), Failure> {
    match latency {
        Some(latency) => Ok(out.say(&Record::Latency(latency))?),
        None => Ok(()),
    }
}

fn octets(bench: &mut Bench) -> (u64, u64) {
    bench.slot.reader().map_or((0, 0), |reader| reader.line_octets())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needed, made and error at UARTs that divide 115,200 and 1,500,000.
    #[test]
    fn rates_of_real_ports() {
        let table = [
            // TA1, clock, base, wanted, made, error in hundredths of a per cent, usable
            (0x11, 3_579_545, 115_200, 9_622, 9_600, -23, true),
            (0x11, 6_000_000, 115_200, 16_129, 16_457, 203, false),
            (0x13, 3_579_545, 115_200, 38_490, 38_400, -23, true),
            (0x14, 3_579_545, 115_200, 76_979, 115_200, 4965, false),
            (0x18, 3_579_545, 115_200, 115_469, 115_200, -23, true),
            (0x95, 3_579_545, 115_200, 111_861, 115_200, 298, false),
            (0x95, 3_579_545, 1_500_000, 111_861, 115_384, 315, false),
            (0x13, 6_000_000, 1_500_000, 64_516, 65_217, 109, true),
            (0x97, 5_000_000, 1_500_000, 625_000, 750_000, 2000, false),
        ];
        for (ta1, clock, base, wanted, made, error, usable) in table {
            let (f, _) = clock_rate_conversion(ta1 >> 4).unwrap();
            let d = rate_adjustment(ta1 & 0x0F).unwrap();
            let params = LineParams { f, d, ..LineParams::initial(clock) };
            let policy = Policy { baud_base: Some(base), ..Policy::new(clock) };
            let rate = rate(ta1, &params, wanted, &policy);
            assert_eq!((rate.wanted, rate.made), (wanted, made), "{ta1:02X} {clock} {base}");
            assert_eq!((rate.error_percent * 100.0).round() as i32, error, "{ta1:02X}");
            assert_eq!(rate.usable, usable, "{ta1:02X} {clock} {base}");
        }
    }

    /// A port that says itself what it makes is believed.
    #[test]
    fn a_port_that_tells() {
        let params = LineParams { f: 512, d: 64, ..LineParams::initial(5_000_000) };
        let policy = Policy::new(5_000_000);
        let told = rate(0x97, &params, 631_579, &policy);
        assert_eq!((told.made, told.usable), (631_579, true));
        let told = rate(0x97, &params, 750_000, &policy);
        assert_eq!((told.error_percent, told.usable), (20.0, false));
        // No port of ours runs above a million bits.
        let fast = LineParams { clock_hz: 20_000_000, ..params };
        assert!(!rate(0x97, &fast, fast.baud(), &policy).usable);
    }
}
