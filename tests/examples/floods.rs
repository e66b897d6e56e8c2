// SPDX-License-Identifier: Apache-2.0
//! What floods do to a box on the slowest line, in virtual time.
//!
//! `cargo run -p system-tests --example floods [FILE]` prints a table, writes it to FILE as JSON,
//! and fails when a limit is missed.
#![allow(clippy::unwrap_used, reason = "what cannot be measured ends the measuring")]
#![allow(clippy::print_stdout, reason = "the table goes there")]

use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;
use system_tests::flood::{Flood, Forger, Junk, forged_ecm, p99, purchase, quiet, under_emms};

const PERIODS: u32 = 100;

fn main() -> ExitCode {
    let mut rows = Vec::new();
    let mut good = true;
    println!("                                 services   p99 ms   longest   applied s   asked");
    for services in [1, 4] {
        let quiet = quiet(services, PERIODS);
        let (line, longest) = (p99(&quiet), *quiet.last().unwrap());
        rows.push(row("quiet", services, [line, longest], None, 0));
        for (name, junk) in [
            ("to this card", Junk::Unique),
            ("to its group", Junk::Shared),
            ("to all", Junk::Global),
            ("bad signatures", Junk::Signed),
        ] {
            let mut forger = Forger::new(junk);
            let told = under_emms(junk, services, PERIODS, 100, |n| Some(forger.section(n)));
            let times = [told.p99, told.longest];
            rows.push(row(name, services, times, told.applied, told.refused));
            let applied = told.applied.is_some_and(|took| took < Duration::from_secs(10));
            let in_time = told.p99.as_micros() * 10 <= line.as_micros() * 11;
            good &= applied && in_time && told.writes == 0;
        }
    }
    let mut flood = Flood::new(1);
    let from = flood.stb.line.now();
    flood.periods(PERIODS + 1, |flood, n| {
        let forged = forged_ecm(flood.ecm(), n);
        flood.stb.section(flood.first_pid(), &forged);
    });
    let all = flood.latencies(from);
    let refused = flood.stats().ecm_refused;
    rows.push(row("forged ECMs", 1, [p99(&all), *all.last().unwrap()], None, refused));
    let mut forger = Forger::new(Junk::Unique);
    let times = [purchase(|_| None), purchase(|n| Some(forger.section(n / 20)))];
    println!("a purchase: {:.0} ms, under EMMs {:.0} ms", ms(times[0]), ms(times[1]));
    let told = json!({ "rows": rows, "purchase_ms": times.map(ms) });
    if let Some(file) = std::env::args().nth(1) {
        std::fs::write(file, format!("{told:#}\n")).unwrap();
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(
    name: &str,
    services: u16,
    [p99, longest]: [Duration; 2],
    applied: Option<Duration>,
    asked: u64,
) -> Value {
    let applied = applied.map(|took| took.as_secs_f64());
    let shown = applied.map_or("-".to_owned(), |took| format!("{took:.2}"));
    let (p99, longest) = (ms(p99), ms(longest));
    println!("{name:32} {services:8} {p99:8.0} {longest:9.0} {shown:>11} {asked:7}");
    json!({ "flood": name, "services": services, "p99_ms": p99, "longest_ms": longest,
        "applied_s": applied, "asked": asked })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
