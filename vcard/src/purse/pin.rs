//! VERIFY at the purse.

use super::Purse;
use crate::cos::Interface;
use crate::firewall::Context;
use crate::pin::{self, Verdict};
use crate::vault::Stop;
use ecm_emm::card::PinBlock;
use iso7816::apdu::{Command, StatusWord};

impl Purse<'_> {
    /// VERIFY: the PIN as PBOC writes it, two digits in an octet.
    pub(super) fn verify(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        self.ram.pin_verified = false;
        if self.interface == Interface::Contactless {
            return Err(StatusWord::CONDITIONS.into());
        }
        if command.p1 != 0 || command.p2 != 0 {
            return Err(StatusWord::WRONG_P1P2.into());
        }
        if !(2..=6).contains(&command.data.len()) {
            return Err(StatusWord::WRONG_LENGTH.into());
        }
        let digits: zeroize::Zeroizing<Vec<u8>> = zeroize::Zeroizing::new(
            command
                .data
                .iter()
                .flat_map(|octet| [octet >> 4, octet & 0x0F])
                .filter(|nibble| *nibble != 0x0F)
                .map(|nibble| b'0' + nibble)
                .collect(),
        );
        let block = PinBlock::from_ascii(&digits).map_err(|_| StatusWord::WRONG_DATA)?;
        match pin::verify(self.vault, Context::PURSE, &block)? {
            Verdict::Right => {
                self.ram.pin_verified = true;
                Ok(Vec::new())
            }
            Verdict::Wrong(tries) => Err(StatusWord(0x63C0 | u16::from(tries & 0x0F)).into()),
            Verdict::Blocked => Err(StatusWord::BLOCKED.into()),
        }
    }
}
