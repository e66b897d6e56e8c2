// SPDX-License-Identifier: Apache-2.0
//! All readers that there are: a row for each, by the scheme of its address.
use crate::gempc::GemPcReader;
use crate::iso_uart::IsoUartReader;
use crate::reader::{Reader, ReaderError};
use crate::serial::SerialReader;
use crate::url::Url;
use crate::vpcd::VpcdReader;

/// A kind of reader.
pub struct Scheme {
    /// Its addresses: the scheme, and what comes behind it.
    address: &'static str,
    /// What comes behind the address in the help: its options, then what it is for.
    help: &'static str,
    /// Its bit in what `stbcam_features` answers.
    feature: u64,
    /// `None` in a build without the feature of Cargo that has the scheme's name.
    open: Option<Open>,
}

type Open = fn(&Url<'_>) -> Result<Box<dyn Reader>, ReaderError>;

/// Every kind of reader, also those that this build leaves out.
pub const SCHEMES: &[Scheme] = &[
    Scheme {
        address: "serial:PATH",
        help: "?reset=rts|!rts|dtr|!dtr|b0|none&detect=cts|!cts|dsr|!dsr|dcd|!dcd|ri|!ri|none
         &clock=HZ&base=BIT/S&echo=0|1&policy=iso|emv
     A Phoenix or Smartmouse reader. Without reset and detect a port with modem lines resets by RTS
     and detects by CTS; one without (a pseudo terminal) resets by rate 0 and does not detect.
     clock: the card's, 3579545 unless told. base: the UART divides this rate by whole numbers;
     without it the port is believed to make any rate. echo=1: the reader echoes what is sent.
     policy=emv: the card is held to EMV contact level 1, which few pay-TV cards are made for.",
        feature: 0x01,
        open: Some(|url| Ok(Box::new(SerialReader::open(url)?))),
    },
    Scheme {
        address: "iso7816:PATH",
        help: "?reset=…&detect=…&clock=HZ&policy=…
     The same lines, on a UART that the kernel runs in ISO 7816 mode.",
        feature: 0x80,
        open: Some(|url| Ok(Box::new(IsoUartReader::open(url)?))),
    },
    Scheme {
        address: "gempc:PATH",
        help: "?clock=HZ&baud=BIT/S
     A GemPC Twin, or another reader with its frames, on a serial port.",
        feature: 0x40,
        open: Some(|url| Ok(Box::new(GemPcReader::open(url)?))),
    },
    Scheme {
        address: "vpcd:HOST:PORT",
        help: "
     A virtual card that comes to this loopback address, as it would come to pcscd's vpcd.",
        feature: 0x10,
        open: Some(|url| Ok(Box::new(VpcdReader::open(url)?))),
    },
    Scheme {
        address: "pcsc:NAME",
        help: "
     A reader of pcscd, where the library is built with the feature pcsc.",
        feature: 0x20,
        #[cfg(feature = "pcsc")]
        open: Some(|url| Ok(Box::new(crate::pcsc::PcscReader::open(url)?))),
        #[cfg(not(feature = "pcsc"))]
        open: None,
    },
];

impl Scheme {
    /// What its addresses begin with.
    pub fn name(&self) -> &'static str {
        self.address.split_once(':').map_or(self.address, |(name, _)| name)
    }

    /// Its bit in what `stbcam_features` answers.
    pub const fn feature(&self) -> u64 {
        self.feature
    }

    /// Whether this build has it.
    pub const fn is_built(&self) -> bool {
        self.open.is_some()
    }
}

/// Opens the reader that `url` describes, one of [`SCHEMES`].
pub fn open(url: &str) -> Result<Box<dyn Reader>, ReaderError> {
    log::info!("opening {url}");
    let url = Url::parse(url);
    match SCHEMES.iter().find(|scheme| scheme.name() == url.scheme).and_then(|found| found.open) {
        Some(open) => open(&url),
        None => Err(url.wrong("scheme", url.scheme, choice()).into()),
    }
}

/// What [`open`] takes, for whoever has to choose: addresses and options.
pub fn help() -> String {
    SCHEMES.iter().map(|scheme| format!("  {}{}\n", scheme.address, scheme.help)).collect()
}

/// The addresses that [`open`] takes, in a sentence.
fn choice() -> String {
    let (built, others): (Vec<_>, Vec<_>) = SCHEMES.iter().partition(|scheme| scheme.is_built());
    let addresses: Vec<_> = built.iter().map(|scheme| scheme.address).collect();
    let mut choice = match addresses.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => addresses.concat(),
    };
    for other in others {
        let (address, feature) = (other.address, other.name());
        choice +=
            &format!(" (or {address}, where the library is built with the feature {feature})");
    }
    choice
}
