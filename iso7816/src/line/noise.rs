// SPDX-License-Identifier: Apache-2.0
//! What stands in front of an answer to reset and is none of it: a contact that bounces, a UART
//! that makes an octet of the edge of reset.
use super::activation::{Activation, MAX_NOISE, ROOM};
use super::queue::Out;
use super::{CardLine, Cause, Level, State};
use crate::atr::{Atr, AtrError, AtrPolicy, AtrWarnings, Expect};
use crate::emv::Profile;
use crate::etu::Convention;
use cam_types::Instant;

impl CardLine {
    /// An octet where TS is due. The window in which the answer has to begin stays as it is. EMV
    /// wants a reset.
    pub(super) fn noise(&mut self, now: Instant, octet: u8) {
        let State::Starting(activation) = &mut self.state else { return };
        let (first, count) = activation.noise.unwrap_or((octet, 0));
        activation.noise = Some((first, count.saturating_add(1)));
        // The parity error was this octet's. Was it another's that came along, the answer has to
        // come twice all the same.
        activation.damaged = false;
        if count >= MAX_NOISE || self.policy.profile == Profile::EmvLevel1 {
            self.again(now, Cause::NotACard(AtrError::Ts(first)));
        }
    }

    /// The answer behind octets that look like TS and are not. The line then runs as its own TS
    /// says.
    pub(super) fn behind_noise(
        &mut self,
        activation: &Activation,
        read: &Result<Atr, AtrError>,
    ) -> Option<Atr> {
        if self.level != Level::Characters || self.policy.profile == Profile::EmvLevel1 {
            return None;
        }
        let (ts, mut atr) = activation.behind_noise(self.mapped, self.policy.atr)?;
        // Where both can be read, TCK decides.
        if read.is_ok_and(|read| read.warnings().is_empty()) && (1..15).all(|t| !atr.offers(t)) {
            return None;
        }
        atr.warn(AtrWarnings::NOISE);
        let convention = if ts == 0x3B { Convention::Direct } else { Convention::Inverse };
        self.mapped = ts == 0x03;
        if self.params.convention != convention {
            self.params.convention = convention;
            self.queue.push(Out::Configure(self.params));
        }
        Some(atr)
    }
}

impl Activation {
    /// Behind one octet, or the same several times, an answer that ends with the last octet and has
    /// nothing odd about it; with its TS as a UART sees it.
    fn behind_noise(&self, mapped: bool, policy: AtrPolicy) -> Option<(u8, Atr)> {
        let heard = if mapped { Convention::Inverse } else { Convention::Direct };
        let mut raw = [0; ROOM];
        for (place, octet) in raw.iter_mut().zip(self.received()) {
            *place = heard.map(*octet);
        }
        let raw = raw.get(..self.received().len())?;
        let first = raw.first()?;
        let same = raw.iter().take_while(|octet| *octet == first).count();
        (1..=same).find_map(|from| {
            let (ts, rest) = raw.get(from..)?.split_first()?;
            let convention = match ts {
                0x3B | 0x3F => Convention::Direct,
                0x03 => Convention::Inverse,
                _ => return None,
            };
            let mut octets = [0; ROOM];
            let octets = octets.get_mut(..=rest.len())?;
            for (place, octet) in octets.iter_mut().zip(raw.get(from..)?) {
                *place = convention.map(*octet);
            }
            let whole = Atr::expect(octets) == Expect::Complete(octets.len());
            let atr = Atr::parse(octets, policy).ok().filter(|_| whole)?;
            atr.warnings().is_empty().then_some((*ts, atr))
        })
    }
}
