// SPDX-License-Identifier: Apache-2.0
//! The address of a reader: `SCHEME:PATH?name=value&name=value`.
use iso7816::etu::CLOCKS_HZ;
use std::fmt;

/// A reader's address in its parts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Url<'a> {
    whole: &'a str,
    /// What kind of reader.
    pub scheme: &'a str,
    /// Which one of them.
    pub path: &'a str,
    options: &'a str,
}

impl<'a> Url<'a> {
    /// Takes an address apart. Whether its parts make sense is for the reader to say.
    pub fn parse(whole: &'a str) -> Self {
        let (scheme, rest) = whole.split_once(':').unwrap_or((whole, ""));
        let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
        Self { whole, scheme, path, options }
    }

    /// The whole address, as it was given.
    pub const fn whole(&self) -> &'a str {
        self.whole
    }

    /// Names and values of the options; an option without `=` has an empty value.
    pub fn options(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let options = self.options.split('&').filter(|option| !option.is_empty());
        options.map(|option| option.split_once('=').unwrap_or((option, "")))
    }

    /// The card's clock in Hz, which several kinds of reader let one say.
    pub fn clock(&self, value: &str) -> Result<u32, UrlError> {
        let hz = value.parse().ok().filter(|hz| CLOCKS_HZ.contains(hz));
        hz.ok_or_else(|| self.wrong("clock", value, "1000000 to 20000000 Hz"))
    }

    /// What `key` holds is not good.
    pub fn wrong(&self, key: &'static str, got: &str, expected: &'static str) -> UrlError {
        UrlError { url: self.whole.to_owned(), key, got: got.to_owned(), expected }
    }
}

/// An address has a key or a value that does not exist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UrlError {
    /// The whole address.
    pub url: String,
    /// Which key of the address is wrong, or has a wrong value.
    pub key: &'static str,
    /// What it holds.
    pub got: String,
    /// What would work.
    pub expected: &'static str,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, key, got, expected } = self;
        write!(f, "reader '{url}': {key} is '{got}', expected {expected}")
    }
}

impl std::error::Error for UrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let url = Url::parse("serial:/dev/ttyS0?reset=!rts&&echo&clock=4=5");
        assert_eq!((url.scheme, url.path), ("serial", "/dev/ttyS0"));
        let options: Vec<_> = url.options().collect();
        assert_eq!(options, [("reset", "!rts"), ("echo", ""), ("clock", "4=5")]);
        assert_eq!(Url::parse("vpcd:127.0.0.1:35963").path, "127.0.0.1:35963");
        assert_eq!(Url::parse("serial").path, "");
        assert_eq!(Url::parse("").scheme, "");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = Url::parse("serial:x?reset=y").wrong("reset", "y", "rts or none").to_string();
        assert_eq!(text, "reader 'serial:x?reset=y': reset is 'y', expected rts or none");
    }
}
