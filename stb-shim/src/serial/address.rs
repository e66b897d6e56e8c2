// SPDX-License-Identifier: Apache-2.0
//! The address of a serial reader and what its options mean on a given port.
use crate::reader::ReaderError;
use crate::url::{Url, UrlError};
use iso7816::emv::Profile;
use iso7816::etu::USUAL_CLOCK_HZ;
use nix::libc::{self, c_int};
use std::fmt;

/// The modem lines and their names in an address.
pub(super) const MODEM_LINES: [(&str, c_int); 6] = [
    ("rts", libc::TIOCM_RTS),
    ("dtr", libc::TIOCM_DTR),
    ("cts", libc::TIOCM_CTS),
    ("dsr", libc::TIOCM_DSR),
    ("dcd", libc::TIOCM_CD),
    ("ri", libc::TIOCM_RI),
];

/// What resets the card.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ResetLine {
    /// A modem line; raised it holds reset, inverted when dropped.
    Modem { line: c_int, inverted: bool },
    /// Rate 0, which drops RTS and DTR, and is what a pseudo terminal can see.
    Rate0,
    /// Nothing: the reader cannot reset its card.
    None,
}

/// What shows that a card is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct DetectLine {
    pub line: c_int,
    pub inverted: bool,
}

impl fmt::Display for ResetLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Modem { line, inverted } => modem_line(f, *line, *inverted),
            Self::Rate0 => f.write_str("b0"),
            Self::None => f.write_str("none"),
        }
    }
}

impl fmt::Display for DetectLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        modem_line(f, self.line, self.inverted)
    }
}

/// As in an address.
fn modem_line(f: &mut fmt::Formatter<'_>, line: c_int, inverted: bool) -> fmt::Result {
    let name = MODEM_LINES.iter().find(|(_, known)| *known == line).map_or("?", |(name, _)| name);
    write!(f, "{}{name}", if inverted { "!" } else { "" })
}

/// `PATH?reset=…&detect=…&clock=…&base=…&echo=…&policy=…`
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Address {
    pub path: String,
    /// `None`: whatever the port has.
    pub reset: Option<ResetLine>,
    /// `None`: whatever the port has.
    pub detect: Option<Option<DetectLine>>,
    pub clock_hz: u32,
    /// The UART divides this bit rate by whole numbers; `None` when it makes any rate.
    pub baud_base: Option<u32>,
    pub echo: bool,
    /// Whose rules the card is held to.
    pub profile: Profile,
}

const RESETS: &str = "rts, !rts, dtr, !dtr, b0 or none";
const DETECTS: &str = "cts, !cts, dsr, !dsr, dcd, !dcd, ri, !ri or none";

impl Address {
    pub(super) fn parse(url: &Url<'_>) -> Result<Self, UrlError> {
        let wrong = |key, got: &str, expected| url.wrong(key, got, expected);
        if url.path.is_empty() {
            return Err(wrong("path", url.path, "the port, as in serial:/dev/ttyS0"));
        }
        let mut address = Self {
            path: url.path.to_owned(),
            reset: None,
            detect: None,
            clock_hz: USUAL_CLOCK_HZ,
            baud_base: None,
            echo: false,
            profile: Profile::Iso,
        };
        for (key, value) in url.options() {
            let (inverted, name) = match value.strip_prefix('!') {
                Some(name) => (true, name),
                None => (false, value),
            };
            match key {
                "reset" => {
                    address.reset = Some(match (name, inverted) {
                        ("rts", inverted) => ResetLine::Modem { line: libc::TIOCM_RTS, inverted },
                        ("dtr", inverted) => ResetLine::Modem { line: libc::TIOCM_DTR, inverted },
                        ("b0", false) => ResetLine::Rate0,
                        ("none", false) => ResetLine::None,
                        _ => return Err(wrong("reset", value, RESETS)),
                    });
                }
                "detect" => {
                    let line = match (name, inverted) {
                        ("cts", _) => libc::TIOCM_CTS,
                        ("dsr", _) => libc::TIOCM_DSR,
                        ("dcd", _) => libc::TIOCM_CD,
                        ("ri", _) => libc::TIOCM_RI,
                        ("none", false) => {
                            address.detect = Some(None);
                            continue;
                        }
                        _ => return Err(wrong("detect", value, DETECTS)),
                    };
                    address.detect = Some(Some(DetectLine { line, inverted }));
                }
                "clock" => address.clock_hz = url.clock(value)?,
                "base" => {
                    let base =
                        value.parse().ok().filter(|base| (9_600..=100_000_000).contains(base));
                    let expected = "9600 to 100000000 bit/s";
                    address.baud_base = Some(base.ok_or_else(|| wrong("base", value, expected))?);
                }
                "echo" => {
                    address.echo = match value {
                        "0" => false,
                        "1" => true,
                        _ => return Err(wrong("echo", value, "0 or 1")),
                    };
                }
                "policy" => {
                    address.profile = match value {
                        "iso" => Profile::Iso,
                        "emv" => Profile::EmvLevel1,
                        _ => return Err(wrong("policy", value, "iso or emv")),
                    };
                }
                _ => {
                    let expected = "reset, detect, clock, base, echo or policy";
                    return Err(wrong("option", key, expected));
                }
            }
        }
        Ok(address)
    }

    /// The lines to use on a port with these modem lines; `None`: it has none.
    pub(super) fn lines(
        &self,
        modem: Option<c_int>,
    ) -> Result<(ResetLine, Option<DetectLine>), ReaderError> {
        let modem = modem.is_some();
        let missing =
            |key, expected| ReaderError::NoLine { port: self.path.clone(), key, expected };
        let reset = match self.reset {
            Some(ResetLine::Modem { .. }) if !modem => {
                return Err(missing("reset", "reset=b0 or reset=none"));
            }
            Some(reset) => reset,
            None if modem => ResetLine::Modem { line: libc::TIOCM_RTS, inverted: false },
            None => ResetLine::Rate0,
        };
        let detect = match self.detect {
            Some(Some(_)) if !modem => return Err(missing("detect", "detect=none")),
            Some(detect) => detect,
            None if modem => Some(DetectLine { line: libc::TIOCM_CTS, inverted: false }),
            None => None,
        };
        Ok((reset, detect))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let url =
            "serial:/dev/ttyUSB0?reset=!dtr&detect=dcd&clock=6000000&base=115200&echo=1&policy=emv";
        let address = Address::parse(&Url::parse(url)).unwrap();
        assert_eq!(address.path, "/dev/ttyUSB0");
        assert_eq!((address.clock_hz, address.echo), (6_000_000, true));
        assert_eq!(address.baud_base, Some(115_200));
        assert_eq!(address.profile, Profile::EmvLevel1);
        let (reset, detect) = address.lines(Some(0)).unwrap();
        assert_eq!(reset, ResetLine::Modem { line: libc::TIOCM_DTR, inverted: true });
        assert_eq!(detect, Some(DetectLine { line: libc::TIOCM_CD, inverted: false }));
        assert_eq!((reset.to_string(), detect.unwrap().to_string()), ("!dtr".into(), "dcd".into()));
        assert!(address.lines(None).is_err());
    }

    #[test]
    fn what_the_port_has_is_the_default() {
        let address = Address::parse(&Url::parse("serial:/dev/ttyS0")).unwrap();
        assert_eq!(address.profile, Profile::Iso);
        let (reset, detect) = address.lines(Some(0)).unwrap();
        assert_eq!(reset, ResetLine::Modem { line: libc::TIOCM_RTS, inverted: false });
        assert_eq!(detect, Some(DetectLine { line: libc::TIOCM_CTS, inverted: false }));
        assert_eq!(address.lines(None).unwrap(), (ResetLine::Rate0, None));
    }
}
