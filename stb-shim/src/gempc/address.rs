// SPDX-License-Identifier: Apache-2.0
//! The address of a GemPC Twin.
use crate::url::{Url, UrlError};
use iso7816::etu::GEMPC_CLOCK_HZ;

/// `PATH?clock=…&baud=…`
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Address {
    pub path: String,
    /// What the reader gives its card.
    pub clock_hz: u32,
    /// Of the cable, not of the card's line.
    pub baud: u32,
}

impl Address {
    pub(super) fn parse(url: &Url<'_>) -> Result<Self, UrlError> {
        if url.path.is_empty() {
            return Err(url.wrong("path", url.path, "the port, as in gempc:/dev/ttyS0"));
        }
        let mut address =
            Self { path: url.path.to_owned(), clock_hz: GEMPC_CLOCK_HZ, baud: 115_200 };
        for (key, value) in url.options() {
            match key {
                "clock" => address.clock_hz = url.clock(value)?,
                "baud" => {
                    let baud = value.parse().ok().filter(|baud| (9_600..=1_000_000).contains(baud));
                    let expected = "9600 to 1000000 bit/s";
                    address.baud = baud.ok_or_else(|| url.wrong("baud", value, expected))?;
                }
                _ => return Err(url.wrong("option", key, "clock or baud")),
            }
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let parse = |url| Address::parse(&Url::parse(url));
        let address = parse("gempc:/dev/ttyS0").unwrap();
        assert_eq!((address.clock_hz, address.baud), (4_000_000, 115_200));
        let address = parse("gempc:/dev/ttyS0?clock=3579545&baud=38400").unwrap();
        assert_eq!((address.clock_hz, address.baud), (3_579_545, 38_400));
        for (url, parts) in [
            ("gempc:", ["path", "gempc:/dev/ttyS0"]),
            ("gempc:x?clock=1", ["clock", "1000000 to"]),
            ("gempc:x?baud=", ["baud is ''", "9600 to"]),
            ("gempc:x?reset=rts", ["option is 'reset'", "clock or baud"]),
        ] {
            let text = parse(url).unwrap_err().to_string();
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }
}
