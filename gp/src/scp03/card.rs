// SPDX-License-Identifier: Apache-2.0
//! The card's end of SCP03.

use super::channel::{Challenges, Channel};
use super::{INS_EXTERNAL_AUTHENTICATE, Level, ScpError, StaticKeys, status_is_protected};
use crate::kdf_cmac;
use alloc::vec::Vec;
use cam_types::{Judge, StatusWord};
use zeroize::Zeroize;

const CARD_CHALLENGE: u8 = 0x02;

/// The card after INITIALIZE UPDATE: it has answered with a challenge and waits for the terminal
/// to prove itself. It is cloned with an emulated card only, which is twinned.
#[derive(Clone)]
pub struct Challenge {
    channel: Channel,
    challenges: Challenges,
    /// The sequence counter, in the option with pseudo-random challenges (i=70).
    sequence: Option<[u8; 3]>,
    judge: Judge,
}

impl Challenge {
    /// Option i=60: `card_challenge` is true randomness, as long as the host's.
    pub fn random(
        keys: &StaticKeys,
        host_challenge: &[u8],
        card_challenge: &[u8],
    ) -> Result<Self, ScpError> {
        let challenges = Challenges::new(host_challenge, card_challenge)
            .ok_or(ScpError::Malformed("host challenge"))?;
        let channel = Channel::new(keys, &challenges)?;
        Ok(Self { channel, challenges, sequence: None, judge: Judge::ONCE })
    }

    /// Option i=70: the challenge comes from the sequence counter, which must never repeat, and the
    /// AID of the security domain.
    pub fn pseudo_random(
        keys: &StaticKeys,
        host_challenge: &[u8],
        sequence: [u8; 3],
        aid: &[u8],
    ) -> Result<Self, ScpError> {
        let mut context = Vec::with_capacity(3 + aid.len());
        context.extend(sequence);
        context.extend_from_slice(aid);
        let mut challenge = [0; 16];
        let challenge = challenge
            .get_mut(..host_challenge.len())
            .ok_or(ScpError::Malformed("host challenge"))?;
        kdf_cmac(keys.enc.expose(), CARD_CHALLENGE, &context, challenge)
            .map_err(|_| ScpError::Malformed("host challenge"))?;
        let opened = Self::random(keys, host_challenge, challenge)?;
        Ok(Self { sequence: Some(sequence), ..opened })
    }

    /// The same, whose cryptograms and MACs this judge compares; so it does the session's.
    #[must_use]
    pub fn judged_by(self, judge: Judge) -> Self {
        Self { judge, ..self }
    }

    /// The data of the answer to INITIALIZE UPDATE.
    pub fn answer(&self, diversification: [u8; 10], key_version: u8) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        out.extend(diversification);
        let i = if self.sequence.is_some() { 0x70 } else { 0x60 };
        out.extend([key_version, 0x03, i]);
        out.extend_from_slice(self.challenges.card());
        out.extend_from_slice(self.channel.card_cryptogram().octets());
        if let Some(sequence) = self.sequence {
            out.extend(sequence);
        }
        out
    }

    /// Takes EXTERNAL AUTHENTICATE: CLA INS P1 P2 and data. A wrong one uses the challenge up.
    pub fn authenticate(mut self, header: [u8; 4], data: &[u8]) -> Result<Session, ScpError> {
        let [cla, ins, p1, p2] = header;
        if cla & !0x03 != 0x84 || ins != INS_EXTERNAL_AUTHENTICATE || p2 != 0 {
            return Err(ScpError::Malformed("EXTERNAL AUTHENTICATE"));
        }
        let level = Level::new(p1).ok_or(ScpError::Malformed("security level"))?;
        let len = self.channel.mode.octets();
        let (cryptogram, mac) =
            data.split_at_checked(len).ok_or(ScpError::Malformed("host cryptogram"))?;
        let expected_mac = self.channel.command_mac(header, cryptogram)?;
        expected_mac.verify(mac, self.judge)?;
        self.channel.host_cryptogram().verify(cryptogram, self.judge)?;
        Ok(Session { channel: self.channel, level, over: false, judge: self.judge })
    }
}

/// An open session: commands come in verified, answers go out protected.
#[derive(Clone)]
pub struct Session {
    channel: Channel,
    level: Level,
    over: bool,
    judge: Judge,
}

impl Session {
    /// Verifies and decrypts a command (CLA INS P1 P2 and data) into `out`.
    ///
    /// Any failure ends the session: the card answers 6988 and forgets it.
    pub fn unwrap(
        &mut self,
        header: [u8; 4],
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ScpError> {
        out.zeroize();
        if self.over {
            return Err(ScpError::Over);
        }
        let result = self.verified(header, data, out);
        if result.is_err() {
            self.over = true;
            out.zeroize();
        }
        result
    }

    /// Writes the protected answer, status word included, into `out`.
    ///
    /// Errors go out bare, as Amendment D wants it.
    pub fn wrap(&mut self, data: &[u8], sw: StatusWord, out: &mut Vec<u8>) -> Result<(), ScpError> {
        out.clear();
        if status_is_protected(sw) {
            let encrypted = self.level.encrypts_response(data);
            let body = if encrypted { (data.len() / 16 + 1) * 16 } else { data.len() };
            if body + self.channel.mode.octets() > 256 {
                return Err(ScpError::TooLong(data.len()));
            }
            out.reserve(body + self.channel.mode.octets() + 2);
            out.extend_from_slice(data);
            if encrypted {
                self.channel.encrypt_response(out, 0);
            }
            if self.level.response_mac() {
                let mac = self.channel.response_mac(out, sw);
                out.extend_from_slice(mac.octets());
            }
        }
        out.extend(sw.to_be_bytes());
        Ok(())
    }

    /// What this session protects.
    pub const fn level(&self) -> Level {
        self.level
    }

    fn verified(
        &mut self,
        header: [u8; 4],
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ScpError> {
        if header[0] & 0x04 == 0 {
            return Err(ScpError::Malformed("command without secure messaging"));
        }
        let body_len = data
            .len()
            .checked_sub(self.channel.mode.octets())
            .ok_or(ScpError::Malformed("command without MAC"))?;
        let (body, mac) = data.split_at_checked(body_len).unwrap_or((data, &[]));
        self.channel.command_mac(header, body)?.verify(mac, self.judge)?;
        self.channel.next_command();
        out.extend_from_slice(body);
        if self.level.encrypts_command(body) {
            self.channel.decrypt_command(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cam_types::Secret;

    /// One host in the field encrypts an empty data field as a block of padding.
    #[test]
    fn padding_alone_is_an_empty_data_field() {
        let key = |octet| Secret::new([octet; 16]);
        let keys = StaticKeys { enc: key(1), mac: key(2), dek: key(3) };
        let challenges = Challenges::new(&[7; 8], &[9; 8]).unwrap();
        let mut host = Channel::new(&keys, &challenges).unwrap();
        let channel = Channel::new(&keys, &challenges).unwrap();
        let mut card = Session { channel, level: Level::FULL, over: false, judge: Judge::ONCE };
        host.next_command();
        let header = [0x84, 0x32, 0, 0];
        let mut data = Vec::new();
        host.encrypt_command(&mut data, 0);
        assert_eq!(data.len(), 16);
        let mac = host.command_mac(header, &data).unwrap();
        data.extend_from_slice(mac.octets());
        let mut plain = Vec::from([1]);
        assert_eq!(card.unwrap(header, &data, &mut plain), Ok(()));
        assert!(plain.is_empty());
    }
}
