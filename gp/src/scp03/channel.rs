// SPDX-License-Identifier: Apache-2.0
//! What both ends of a session share: its keys, the MAC chain and the counter.

use super::{Level, Mode, ScpError, StaticKeys};
use crate::cipher::Aes128;
use crate::kdf_cmac;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use alloc::vec::Vec;
use cam_types::{Judge, Key, Secret, StatusWord};
use cmac::{Cmac, Mac};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

const CARD_CRYPTOGRAM: u8 = 0x00;
const HOST_CRYPTOGRAM: u8 = 0x01;
const S_ENC: u8 = 0x04;
const S_MAC: u8 = 0x06;
const S_RMAC: u8 = 0x07;

/// Challenges of both sides, host first: the context of every session derivation.
#[derive(Clone)]
pub(super) struct Challenges {
    octets: [u8; 32],
    pub(super) mode: Mode,
}

impl Challenges {
    /// `None` unless both have the same length, 8 or 16.
    pub(super) fn new(host: &[u8], card: &[u8]) -> Option<Self> {
        let mode = Mode::of_challenge(host.len())?;
        if card.len() != host.len() {
            return None;
        }
        let mut octets = [0; 32];
        for (slot, octet) in octets.iter_mut().zip(host.iter().chain(card)) {
            *slot = *octet;
        }
        Some(Self { octets, mode })
    }

    fn context(&self) -> &[u8] {
        match self.mode {
            Mode::S8 => &self.octets[..16],
            Mode::S16 => &self.octets,
        }
    }

    pub(super) fn card(&self) -> &[u8] {
        match self.mode {
            Mode::S8 => &self.octets[8..16],
            Mode::S16 => &self.octets[16..],
        }
    }
}

/// A cryptogram or a MAC as it is sent: 8 or 16 octets.
pub(super) struct Tag {
    octets: [u8; 16],
    len: usize,
}

impl Tag {
    fn new(octets: [u8; 16], mode: Mode) -> Self {
        Self { octets, len: mode.octets() }
    }

    pub(super) fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&self.octets)
    }

    /// In constant time, as often as this judge compares.
    pub(super) fn verify(&self, received: &[u8], judge: Judge) -> Result<(), ScpError> {
        if judge.finds(|| self.octets().ct_eq(received).into()) {
            Ok(())
        } else {
            Err(ScpError::Authentication)
        }
    }
}

/// Session keys, the MAC chain and the encryption counter.
#[derive(Clone)]
pub(super) struct Channel {
    enc: Aes128,
    mac: Cmac<Aes128>,
    rmac: Cmac<Aes128>,
    chain: [u8; 16],
    counter: u128,
    pub(super) mode: Mode,
    card_cryptogram: [u8; 16],
    host_cryptogram: [u8; 16],
}

impl Channel {
    pub(super) fn new(keys: &StaticKeys, challenges: &Challenges) -> Result<Self, ScpError> {
        let derive = |key: &Key, constant| -> Result<Key, ScpError> {
            let mut octets = [0; 16];
            kdf_cmac(key.expose(), constant, challenges.context(), &mut octets)
                .map_err(|_| ScpError::Malformed("session key"))?;
            let key = Secret::new(octets);
            octets.zeroize();
            Ok(key)
        };
        let mac = derive(&keys.mac, S_MAC)?;
        let cryptogram = |constant| -> Result<[u8; 16], ScpError> {
            let mut octets = [0; 16];
            kdf_cmac(
                mac.expose(),
                constant,
                challenges.context(),
                octets.get_mut(..challenges.mode.octets()).unwrap_or_default(),
            )
            .map_err(|_| ScpError::Malformed("cryptogram"))?;
            Ok(octets)
        };
        Ok(Self {
            card_cryptogram: cryptogram(CARD_CRYPTOGRAM)?,
            host_cryptogram: cryptogram(HOST_CRYPTOGRAM)?,
            enc: Aes128::new(derive(&keys.enc, S_ENC)?.expose().into()),
            rmac: Cmac::new(derive(&keys.mac, S_RMAC)?.expose().into()),
            mac: Cmac::new(mac.expose().into()),
            chain: [0; 16],
            counter: 0,
            mode: challenges.mode,
        })
    }

    pub(super) fn card_cryptogram(&self) -> Tag {
        Tag::new(self.card_cryptogram, self.mode)
    }

    pub(super) fn host_cryptogram(&self) -> Tag {
        Tag::new(self.host_cryptogram, self.mode)
    }

    /// The C-MAC of a command whose data is `data`; the chain moves on to it.
    ///
    /// `header` is CLA INS P1 P2 as sent, `Lc` counts the MAC. The logical channel is not covered.
    pub(super) fn command_mac(&mut self, header: [u8; 4], data: &[u8]) -> Result<Tag, ScpError> {
        let [cla, ins, p1, p2] = header;
        let lc = u8::try_from(data.len() + self.mode.octets())
            .map_err(|_| ScpError::TooLong(data.len()))?;
        let mac = self
            .mac
            .clone()
            .chain_update(self.chain)
            .chain_update([(cla & !0x03) | 0x04, ins, p1, p2, lc])
            .chain_update(data);
        self.chain = mac.finalize().into_bytes().into();
        Ok(Tag::new(self.chain, self.mode))
    }

    /// The R-MAC of a response. The chain stays where the command left it.
    pub(super) fn response_mac(&self, data: &[u8], sw: StatusWord) -> Tag {
        let mac = self
            .rmac
            .clone()
            .chain_update(self.chain)
            .chain_update(data)
            .chain_update(sw.to_be_bytes());
        Tag::new(mac.finalize().into_bytes().into(), self.mode)
    }

    /// Every command after EXTERNAL AUTHENTICATE moves the counter, with or without data.
    pub(super) fn next_command(&mut self) {
        self.counter = self.counter.wrapping_add(1);
    }

    fn command_iv(&self) -> [u8; 16] {
        let mut iv = self.counter.to_be_bytes().into();
        self.enc.encrypt_block(&mut iv);
        iv.into()
    }

    fn response_iv(&self) -> [u8; 16] {
        let mut iv = (self.counter | 0x80 << 120).to_be_bytes().into();
        self.enc.encrypt_block(&mut iv);
        iv.into()
    }

    /// Pads and encrypts what follows `start` in `out` (C-ENC).
    pub(super) fn encrypt_command(&self, out: &mut Vec<u8>, start: usize) {
        self.encrypt(self.command_iv(), out, start);
    }

    /// Pads and encrypts what follows `start` in `out` (R-ENC).
    pub(super) fn encrypt_response(&self, out: &mut Vec<u8>, start: usize) {
        self.encrypt(self.response_iv(), out, start);
    }

    /// Decrypts all of `out` and takes the padding off (C-ENC).
    pub(super) fn decrypt_command(&self, out: &mut Vec<u8>) -> Result<(), ScpError> {
        self.decrypt(self.command_iv(), out)
    }

    /// Decrypts all of `out` and takes the padding off (R-ENC).
    pub(super) fn decrypt_response(&self, out: &mut Vec<u8>) -> Result<(), ScpError> {
        self.decrypt(self.response_iv(), out)
    }

    /// AES-CBC with ISO/IEC 9797-1 padding method 2.
    fn encrypt(&self, iv: [u8; 16], out: &mut Vec<u8>, start: usize) {
        out.push(0x80);
        while !(out.len() - start).is_multiple_of(16) {
            out.push(0);
        }
        let mut previous = iv;
        let (blocks, _) = out.get_mut(start..).unwrap_or_default().as_chunks_mut::<16>();
        for block in blocks {
            for (octet, mask) in block.iter_mut().zip(previous) {
                *octet ^= mask;
            }
            self.enc.encrypt_block(block.into());
            previous = *block;
        }
    }

    fn decrypt(&self, iv: [u8; 16], out: &mut Vec<u8>) -> Result<(), ScpError> {
        let (blocks, rest) = out.as_chunks_mut::<16>();
        if !rest.is_empty() {
            return Err(ScpError::Malformed("encrypted data field"));
        }
        let mut previous = iv;
        for block in blocks {
            let cipher = *block;
            self.enc.decrypt_block(block.into());
            for (octet, mask) in block.iter_mut().zip(previous) {
                *octet ^= mask;
            }
            previous = cipher;
        }
        let padding = out.iter().rev().take(16).position(|octet| *octet != 0);
        let marker = padding.and_then(|zeros| out.len().checked_sub(zeros + 1));
        match marker {
            Some(at) if out.get(at) == Some(&0x80) => {
                out.truncate(at);
                Ok(())
            }
            _ => Err(ScpError::Malformed("padding of the data field")),
        }
    }
}

impl Level {
    /// What an encrypting side does with a data field: nothing when there is none.
    pub(super) const fn encrypts_command(self, data: &[u8]) -> bool {
        self.command_encryption() && !data.is_empty()
    }

    /// The same for the answer.
    pub(super) const fn encrypts_response(self, data: &[u8]) -> bool {
        self.response_encryption() && !data.is_empty()
    }
}
