// SPDX-License-Identifier: Apache-2.0
//! What the reader has to know of a card to keep its times: the protocol data structure.
//!
//! Normative references:
//!  - USB device class specification for integrated circuit cards (CCID), revision 1.1,
//!    clause 6.1.7
use iso7816::atr::{Atr, AtrPolicy};
use iso7816::etu::{Convention, LineParams, rate_codes};
use iso7816::pps::Pps;
use iso7816::t1::{Edc, T1Params};
use std::time::Duration;

/// The card in the slot, as its answer to reset and the card line describe it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters {
    line: LineParams,
    atr: Option<Atr>,
    /// The reader knows them.
    pub known: bool,
}

/// How one transfer has to be waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Patience {
    /// How often the reader is to wait the block waiting time.
    pub bwi: u8,
    /// Longer than the reader waits for the card.
    pub limit: Duration,
}

impl Parameters {
    /// What holds before the first answer to reset.
    pub(super) const fn new(clock_hz: u32) -> Self {
        Self { line: LineParams::initial(clock_hz), atr: None, known: false }
    }

    /// The card has answered reset.
    pub(super) fn answered(&mut self, octets: &[u8]) {
        self.line = LineParams::initial(self.line.clock_hz);
        self.atr = Atr::parse(octets, AtrPolicy::TOLERANT).ok();
        self.known = false;
    }

    /// The card line has new parameters.
    pub(super) fn configure(&mut self, line: &LineParams) {
        self.known &= self.line == *line;
        self.line = *line;
    }

    /// T, and its data structure in `out`; how many octets of it.
    pub(super) fn emit(&self, out: &mut [u8; 7]) -> (u8, usize) {
        let LineParams { f, d, .. } = self.line;
        let atr = self.atr.as_ref();
        let rate = rate_codes(f, d, atr.and_then(Atr::ta1));
        let convention = atr.map_or(Convention::Direct, Atr::convention);
        let inverse = if convention == Convention::Inverse { 0x02 } else { 0x00 };
        let guard = atr.map_or(0, Atr::extra_guard);
        if self.line.protocol != 1 {
            let [five @ .., _, _] = out;
            *five = [rate, inverse, guard, self.wi(), 0];
            return (0, five.len());
        }
        let T1Params { ifsc, bwi, cwi, edc } = self.t1();
        let crc = if edc == Edc::Crc { 0x01 } else { 0x00 };
        *out = [rate, 0x10 | inverse | crc, guard, bwi << 4 | cwi, 0, ifsc, 0];
        (1, out.len())
    }

    /// How long these octets may take. An answer to S(WTX) asks for what the card wanted.
    pub(super) fn patience(&self, octets: &[u8]) -> Patience {
        let line = &self.line;
        let both_ways = line.sending(octets.len() + Self::LONGEST_ANSWER);
        let (bwi, card) = match *octets {
            [Pps::PPSS, ..] => (0, line.etus(2 * 9600)),
            [_, 0xE3, 1, n, ..] if line.protocol == 1 => (n, self.bwt().saturating_mul(n.into())),
            _ if line.protocol == 1 => (0, self.bwt()),
            // Before the first procedure byte, and once behind it.
            _ => (0, line.wt(self.wi(), self.fi()).saturating_mul(2)),
        };
        Patience { bwi, limit: card.saturating_add(both_ways).saturating_add(Self::READER) }
    }

    fn wi(&self) -> u8 {
        self.atr.as_ref().map_or(10, Atr::wi)
    }

    fn fi(&self) -> u16 {
        self.atr.as_ref().map_or(372, |atr| atr.rate().0)
    }

    fn t1(&self) -> T1Params {
        self.atr.as_ref().map_or_else(T1Params::default, Atr::t1)
    }

    fn bwt(&self) -> Duration {
        self.line.bwt(self.t1().bwi)
    }

    /// Characters of the longest answer: 256 of data, status word and procedure bytes.
    const LONGEST_ANSWER: usize = 260;
    /// What the reader and its cable add.
    const READER: Duration = Duration::from_millis(1500);
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use iso7816::etu::GEMPC_CLOCK_HZ;

    #[test]
    fn data_structures() {
        /// Answer to reset; T, F and D; the structure.
        type Row<'a> = (&'a [u8], u8, (u16, u8), &'a [u8]);
        let table: &[Row<'_>] = &[
            (&hex!("3B 00"), 0, (372, 1), &hex!("11 00 00 0A 00")),
            (&hex!("3F 90 18 40 02"), 0, (372, 12), &hex!("18 02 00 02 00")),
            (&hex!("3B 94 95 40 20 01 02 03 04"), 0, (512, 16), &hex!("95 00 00 20 00")),
            // N = 255, IFSC 254, BWI 4 and CWI 5, CRC
            (&hex!("3B D0 18 FF 81 71 FE 45 01 7A"), 1, (372, 12), &hex!("18 11 FF 45 00 FE 00")),
            (&hex!("3F 80 01"), 1, (372, 1), &hex!("11 12 00 4D 00 20 00")),
        ];
        for (atr, protocol, (f, d), expected) in table {
            let mut parameters = Parameters::new(GEMPC_CLOCK_HZ);
            parameters.answered(atr);
            let line = LineParams::initial(GEMPC_CLOCK_HZ);
            parameters.configure(&LineParams { protocol: *protocol, f: *f, d: *d, ..line });
            let mut out = [0; 7];
            let (t, len) = parameters.emit(&mut out);
            assert_eq!((t, &out[..len]), (*protocol, *expected), "{atr:02X?}");
        }
    }

    #[test]
    fn the_card_gets_the_time_that_it_wants() {
        let mut parameters = Parameters::new(GEMPC_CLOCK_HZ);
        let line = LineParams { protocol: 1, ..LineParams::initial(GEMPC_CLOCK_HZ) };
        parameters.configure(&line);
        let one = parameters.patience(&hex!("00 E3 01 01 E3"));
        let seven = parameters.patience(&hex!("00 E3 01 07 E5"));
        assert_eq!((one.bwi, seven.bwi), (1, 7));
        assert_eq!(seven.limit - one.limit, line.bwt(4) * 6);
        assert_eq!(parameters.patience(&hex!("00 00 05 E3 01 07 00 00 E5")).bwi, 0);
        assert!(one.limit < Duration::from_secs(5));
    }

    #[test]
    fn the_reader_is_told_once_and_again_when_something_changes() {
        let mut parameters = Parameters::new(GEMPC_CLOCK_HZ);
        parameters.answered(&hex!("3B 00"));
        assert!(!parameters.known);
        parameters.known = true;
        parameters.configure(&LineParams::initial(GEMPC_CLOCK_HZ));
        assert!(parameters.known);
        parameters.configure(&LineParams { d: 2, ..LineParams::initial(GEMPC_CLOCK_HZ) });
        assert!(!parameters.known);
    }
}
