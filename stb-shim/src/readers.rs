// SPDX-License-Identifier: Apache-2.0
//! All readers that there are: which scheme of an address opens which of them.
use crate::gempc::GemPcReader;
use crate::iso_uart::IsoUartReader;
use crate::reader::{Reader, ReaderError};
use crate::serial::SerialReader;
use crate::url::Url;
use crate::vpcd::VpcdReader;

/// What [`open`] takes, for whoever has to choose.
pub const ADDRESSES: &str =
    "  serial:PATH?reset=rts|!rts|dtr|!dtr|b0|none&detect=cts|!cts|dsr|!dsr|dcd|!dcd|ri|!ri|none
         &clock=HZ&base=BIT/S&echo=0|1
     A Phoenix or Smartmouse reader. Without reset and detect a port with modem lines resets by RTS
     and detects by CTS; one without (a pseudo terminal) resets by rate 0 and does not detect.
     clock: the card's, 3579545 unless told. base: the UART divides this rate by whole numbers;
     without it the port is believed to make any rate. echo=1: the reader echoes what is sent.
  iso7816:PATH?reset=…&detect=…&clock=HZ
     The same lines, on a UART that the kernel runs in ISO 7816 mode.
  gempc:PATH?clock=HZ&baud=BIT/S
     A GemPC Twin, or another reader with its frames, on a serial port.
  vpcd:HOST:PORT
     A virtual card that comes to this loopback address, as it would come to pcscd's vpcd.
  pcsc:NAME
     A reader of pcscd, where the library is built with the feature pcsc.
";

/// Opens the reader that `url` describes, one of [`ADDRESSES`].
pub fn open(url: &str) -> Result<Box<dyn Reader>, ReaderError> {
    log::info!("opening {url}");
    let url = Url::parse(url);
    match url.scheme {
        "serial" => Ok(Box::new(SerialReader::open(&url)?)),
        "iso7816" => Ok(Box::new(IsoUartReader::open(&url)?)),
        "gempc" => Ok(Box::new(GemPcReader::open(&url)?)),
        "vpcd" => Ok(Box::new(VpcdReader::open(&url)?)),
        #[cfg(feature = "pcsc")]
        "pcsc" => Ok(Box::new(crate::pcsc::PcscReader::open(&url)?)),
        scheme => Err(url.wrong("scheme", scheme, SCHEMES).into()),
    }
}

#[cfg(feature = "pcsc")]
const SCHEMES: &str = "serial:PATH, iso7816:PATH, gempc:PATH, vpcd:HOST:PORT or pcsc:NAME";
#[cfg(not(feature = "pcsc"))]
const SCHEMES: &str = "serial:PATH, iso7816:PATH, gempc:PATH or vpcd:HOST:PORT \
                       (or pcsc:NAME, where the library is built with the feature pcsc)";
