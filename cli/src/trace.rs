// SPDX-License-Identifier: Apache-2.0
//! The trace: everything that passes between terminal and card, with times, without secrets.
use crate::{hex, owners, secrets};
use cam_types::Instant;
use iso7816::etu::Convention;
use iso7816::line::Reset;
use serde::Serialize;
use stb_shim::clock;
use stb_shim::slot::Seen;
use std::io::{self, Write};

/// A trace under way.
pub(crate) struct Trace {
    sink: Box<dyn Write + Send>,
    json: bool,
    start: Instant,
    /// The command that is under way may carry a secret: no character of its exchange is shown.
    secret: bool,
    failed: bool,
}

/// One line of it.
#[derive(Debug, Serialize)]
struct Line {
    event: &'static str,
    t: f64,
    what: What,
    #[serde(skip_serializing_if = "String::is_empty")]
    octets: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Reset,
    Off,
    Runs,
    Sent,
    Received,
    Ready,
    Command,
    Response,
    Failed,
}

impl What {
    const fn letter(self) -> char {
        match self {
            Self::Reset => 'R',
            Self::Off => 'O',
            Self::Runs => 'P',
            Self::Sent => 'T',
            Self::Received => 'C',
            Self::Ready => 'A',
            Self::Command => '>',
            Self::Response => '<',
            Self::Failed => '!',
        }
    }
}

impl Trace {
    /// A trace to this file, or with `-` to standard output.
    pub(crate) fn to(path: &str, json: bool) -> io::Result<Self> {
        let sink: Box<dyn Write + Send> =
            if path == "-" { Box::new(io::stdout()) } else { Box::new(owners::create(path)?) };
        Ok(Self::new(sink, json))
    }

    fn new(sink: Box<dyn Write + Send>, json: bool) -> Self {
        Self { sink, json, start: clock::now(), secret: false, failed: false }
    }

    /// Writes down what has passed.
    pub(crate) fn see(&mut self, at: Instant, seen: &Seen<'_>) {
        let plain = |what, octets: &[u8]| (what, hex::text(octets), String::new());
        let note = |what, text: String| (what, String::new(), text);
        let (what, octets, text) = match seen {
            Seen::Reset(reset) => {
                self.secret = false;
                note(What::Reset, if *reset == Reset::Cold { "cold" } else { "warm" }.into())
            }
            Seen::Deactivated => note(What::Off, String::new()),
            Seen::Runs(params) => {
                let convention = match params.convention {
                    Convention::Direct => "direct",
                    Convention::Inverse => "inverse",
                };
                let (rate, guard) = (params.baud(), params.guard_etu);
                let text = format!(
                    "{}/{}, {rate} bit/s, {guard} etu, {convention} convention",
                    params.f, params.d
                );
                note(What::Runs, text)
            }
            Seen::Sent(octets) if self.secret => {
                (What::Sent, secrets::hidden(octets.len()), String::new())
            }
            Seen::Sent(octets) => plain(What::Sent, octets),
            Seen::Received { octets, damaged } => {
                // A reader may echo.
                let octets =
                    if self.secret { secrets::hidden(octets.len()) } else { hex::text(octets) };
                (What::Received, octets, if *damaged { "damaged" } else { "" }.into())
            }
            Seen::Ready(atr) => plain(What::Ready, atr.octets()),
            Seen::Command(apdu) => {
                self.secret = secrets::may_carry(apdu);
                (What::Command, secrets::shown(apdu), String::new())
            }
            Seen::Response(apdu) => {
                self.secret = false;
                plain(What::Response, apdu)
            }
            Seen::Failed(error) => note(What::Failed, error.to_string()),
            Seen::ReaderFailed(error) => note(What::Failed, error.to_string()),
            _ => return,
        };
        let t = seconds(at.since(self.start));
        self.write(&Line { event: "trace", t, what, octets, text });
    }

    fn write(&mut self, line: &Line) {
        let text = if self.json {
            serde_json::to_string(line).unwrap_or_default()
        } else {
            let Line { t, what, octets, text, .. } = line;
            let mut line = format!("{t:.6} {}", what.letter());
            for part in [octets, text].into_iter().filter(|part| !part.is_empty()) {
                line.push(' ');
                line.push_str(part);
            }
            line
        };
        if let Err(error) = writeln!(self.sink, "{text}").and_then(|()| self.sink.flush())
            && !std::mem::replace(&mut self.failed, true)
        {
            log::error!("the trace ends here, it cannot be written: {error}");
        }
    }
}

/// To the microsecond.
pub(crate) fn seconds(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use iso7816::etu::LineParams;
    use iso7816::etu::USUAL_CLOCK_HZ;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// T1: also where a file of that name was everybody's.
    #[test]
    fn a_trace_is_its_owners() {
        let path = std::env::temp_dir().join(format!("stbcam-trace-{}", std::process::id()));
        std::fs::write(&path, "older").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        Trace::to(path.to_str().unwrap(), TEXT).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(mode & 0o777, 0o600);
    }

    const TEXT: bool = false;
    const JSON: bool = true;

    fn written(json: bool, seen: &[Seen<'_>]) -> String {
        let sink = Sink::default();
        let mut trace = Trace::new(Box::new(sink.clone()), json);
        trace.start = Instant::from_micros(1_000_000);
        for (count, seen) in (1..).zip(seen) {
            trace.see(trace.start.after(Duration::from_micros(1500 * count)), seen);
        }
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    const VERIFY: [u8; 9] = hex!("00 20 00 80 04 40 96 27 18");

    #[test]
    fn lines() {
        let runs =
            LineParams { f: 372, d: 12, guard_etu: 11, ..LineParams::initial(USUAL_CLOCK_HZ) };
        let text = written(
            TEXT,
            &[
                Seen::Reset(Reset::Cold),
                Seen::Received { octets: &hex!("3B 00"), damaged: true },
                Seen::Runs(runs),
                Seen::Command(&VERIFY),
                Seen::Sent(&VERIFY),
                Seen::Received { octets: &hex!("90 00"), damaged: false },
                Seen::Response(&hex!("90 00")),
                Seen::Sent(&hex!("80 32")),
                Seen::Deactivated,
            ],
        );
        assert_eq!(
            text,
            "0.001500 R cold\n\
             0.003000 C 3B 00 damaged\n\
             0.004500 P 372/12, 115469 bit/s, 11 etu, direct convention\n\
             0.006000 > 00 20 00 80 04 .. .. .. ..\n\
             0.007500 T .. .. .. .. .. .. .. .. ..\n\
             0.009000 C .. ..\n\
             0.010500 < 90 00\n\
             0.012000 T 80 32\n\
             0.013500 O\n"
        );
    }

    /// What is sent again after a failure is as secret as before.
    #[test]
    fn a_secret_stays_one_until_it_is_answered() {
        let sent = [
            Seen::Command(&VERIFY),
            Seen::Sent(&VERIFY),
            Seen::Received { octets: &VERIFY, damaged: true },
            Seen::Sent(&VERIFY),
        ];
        for json in [TEXT, JSON] {
            let text = written(json, &sent);
            assert!(!text.contains("40 96"), "{text}");
            assert!(text.matches(".. .. .. ..").count() >= 3, "{text}");
        }
    }

    #[test]
    fn objects() {
        let text = written(JSON, &[Seen::Sent(&hex!("80 32")), Seen::Reset(Reset::Warm)]);
        assert_eq!(
            text,
            "{\"event\":\"trace\",\"t\":0.0015,\"what\":\"sent\",\"octets\":\"80 32\"}\n\
             {\"event\":\"trace\",\"t\":0.003,\"what\":\"reset\",\"text\":\"warm\"}\n"
        );
    }
}
