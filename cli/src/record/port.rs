// SPDX-License-Identifier: Apache-2.0
//! What `line test` says: the port, its bit rates, its latencies.
use serde::Serialize;
use stb_shim::reader::{self, Capabilities};
use stb_shim::serial::Survey;
use std::fmt;
use std::time::Duration;

/// What a port is and has.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Port {
    port: String,
    kind: Option<String>,
    driver: Option<String>,
    /// Modem lines with their state.
    lines: Vec<Line>,
    reset: String,
    detect: String,
    clock: u32,
    baud_base: Option<u32>,
    /// Parity errors are seen; null where the reader sees to that.
    parity: Option<bool>,
    /// Low latency is set; null where there is nothing to set.
    low_latency: Option<bool>,
    /// Milliseconds for which a USB adapter collects octets.
    latency_timer: Option<u32>,
}

#[derive(Clone, Debug, Serialize)]
struct Line {
    name: &'static str,
    high: bool,
}

impl Port {
    /// A serial port that was looked at.
    pub(crate) fn of_survey(survey: &Survey, latency: reader::Latency) -> Self {
        let line = |line: &stb_shim::serial::ModemLine| Line { name: line.name, high: line.high };
        Self {
            port: survey.port.clone(),
            kind: survey.kind.clone(),
            driver: survey.driver.clone(),
            lines: survey.lines.iter().map(line).collect(),
            reset: survey.reset.clone(),
            detect: survey.detect.clone(),
            clock: survey.clock_hz,
            baud_base: survey.baud_base,
            parity: Some(survey.marks_parity),
            low_latency: set(latency),
            latency_timer: survey.latency_timer,
        }
    }

    /// A reader that keeps to itself what its line is.
    pub(crate) fn of_reader(url: &str, capabilities: &Capabilities) -> Self {
        let by_itself = |able| if able { "by the reader" } else { "none" };
        Self {
            port: url.to_owned(),
            kind: None,
            driver: None,
            lines: Vec::new(),
            reset: by_itself(capabilities.reset).into(),
            detect: by_itself(capabilities.detect).into(),
            clock: capabilities.clock_hz,
            baud_base: capabilities.baud_base,
            parity: None,
            low_latency: set(capabilities.latency),
            latency_timer: None,
        }
    }
}

const fn set(latency: reader::Latency) -> Option<bool> {
    match latency {
        reader::Latency::Low => Some(true),
        reader::Latency::Refused => Some(false),
        reader::Latency::Fixed => None,
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = || "not known".to_owned();
        let lines: Vec<String> = self
            .lines
            .iter()
            .map(|line| format!("{} {}", line.name, if line.high { "high" } else { "low" }))
            .collect();
        let base = match self.baud_base {
            Some(base) => format!("{base} bit/s divided by whole numbers"),
            None => "any, as far as is known; base=BIT/S in the address limits them".into(),
        };
        let timer = self.latency_timer.map_or(String::new(), |ms| format!(" (timer {ms} ms)"));
        writeln!(f, "port          {}", self.port)?;
        writeln!(f, "kind          {}", self.kind.clone().unwrap_or_else(unknown))?;
        writeln!(f, "driver        {}", self.driver.clone().unwrap_or_else(unknown))?;
        let lines = if lines.is_empty() { "none".into() } else { lines.join(", ") };
        writeln!(f, "modem lines   {lines}")?;
        writeln!(f, "reset         {}", self.reset)?;
        writeln!(f, "detect        {}", self.detect)?;
        writeln!(f, "card clock    {} Hz", self.clock)?;
        writeln!(f, "bit rates     {base}")?;
        let parity = match self.parity {
            Some(true) => "checked, damaged characters are seen",
            Some(false) => "not checked: damaged characters pass as good ones",
            None => "the reader's business",
        };
        writeln!(f, "parity        {parity}")?;
        let low_latency = match self.low_latency {
            Some(true) => "set",
            Some(false) => "not set: no right to",
            None => "nothing to set",
        };
        write!(f, "low latency   {low_latency}{timer}")
    }
}

/// A bit rate that cards ask for, and what the port makes of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Rate {
    pub f: u16,
    pub d: u8,
    pub ta1: String,
    pub wanted: u32,
    pub made: u32,
    pub error_percent: f64,
    pub usable: bool,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { f: fi, d, ta1, wanted, made, error_percent, usable } = self;
        let fraction = format!("{fi}/{d}");
        let usable = if *usable { "usable" } else { "not usable" };
        write!(
            f,
            "TA1 {ta1}  {fraction:<6}  {wanted:>7} bit/s wanted  {made:>7} made  \
             {error_percent:>+7.2} %  {usable}"
        )
    }
}

/// How long something takes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    of: LatencyOf,
    count: usize,
    median_ms: f64,
    worst_ms: f64,
    /// What its characters take on the line; null where the reader does not tell.
    line_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LatencyOf {
    /// A character to the reader and its echo.
    Echo,
    /// From the beginning of reset until the card takes commands.
    Atr,
    /// GET RESPONSE and its answer.
    Apdu,
}

impl Latency {
    /// Nothing was measured: nothing to say. `line` is what the characters take, zero if unknown.
    pub(crate) fn of(of: LatencyOf, mut times: Vec<Duration>, line: Duration) -> Option<Self> {
        times.sort_unstable();
        let ms = |time: Duration| time.as_micros() as f64 / 1000.0;
        Some(Self {
            of,
            count: times.len(),
            median_ms: ms(*times.get(times.len() / 2)?),
            worst_ms: ms(*times.last()?),
            line_ms: (!line.is_zero()).then(|| ms(line)),
        })
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.of {
            LatencyOf::Echo => "character and its echo",
            LatencyOf::Atr => "reset to first command",
            LatencyOf::Apdu => "GET RESPONSE",
        };
        let Self { count, median_ms, worst_ms, .. } = self;
        if *count == 1 {
            write!(f, "{of}: {median_ms:.2} ms")?;
        } else {
            write!(f, "{of}: median {median_ms:.2} ms, worst {worst_ms:.2} ms of {count}")?;
        }
        match self.line_ms {
            Some(line) => write!(f, "; its characters take {line:.2} ms on a real line"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_worst() {
        let times = [5, 1, 9].map(Duration::from_millis).to_vec();
        let latency = Latency::of(LatencyOf::Apdu, times, Duration::ZERO).unwrap();
        assert_eq!((latency.median_ms, latency.worst_ms, latency.line_ms), (5.0, 9.0, None));
        assert!(Latency::of(LatencyOf::Echo, Vec::new(), Duration::ZERO).is_none());
    }
}
