// SPDX-License-Identifier: Apache-2.0
//! The terminal's end of SCP03.

use super::channel::{Challenges, Channel};
use super::{
    INS_EXTERNAL_AUTHENTICATE, INS_INITIALIZE_UPDATE, Level, Mode, ScpError, StaticKeys,
    status_is_protected,
};
use alloc::vec::Vec;
use cam_types::{Judge, Reader, StatusWord};
use zeroize::Zeroize;

/// A session about to be opened: INITIALIZE UPDATE.
pub struct Initialize {
    keys: StaticKeys,
    key_version: u8,
    level: Level,
    challenge: [u8; 16],
    mode: Mode,
}

impl Initialize {
    /// A session of level 33 with 8-octet challenges.
    ///
    /// Key version 00 is whichever the card takes first. `host_challenge` must be random: it is
    /// what keeps an old session from being played back.
    pub fn new(keys: StaticKeys, key_version: u8, host_challenge: [u8; 8]) -> Self {
        let mut challenge = [0; 16];
        challenge[..8].copy_from_slice(&host_challenge);
        Self { keys, key_version, level: Level::FULL, challenge, mode: Mode::S8 }
    }

    /// A session of another level, with challenges, cryptograms and MACs of 16 octets.
    pub fn wide(keys: StaticKeys, key_version: u8, level: Level, host_challenge: [u8; 16]) -> Self {
        Self { keys, key_version, level, challenge: host_challenge, mode: Mode::S16 }
    }

    /// The same session at another level.
    #[must_use]
    pub fn with_level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// The command to send.
    pub fn command(&self) -> Vec<u8> {
        let challenge = self.challenge();
        let mut apdu = Vec::with_capacity(6 + challenge.len());
        apdu.extend([
            0x80,
            INS_INITIALIZE_UPDATE,
            self.key_version,
            0x00,
            self.mode.octets() as u8,
        ]);
        apdu.extend_from_slice(challenge);
        apdu.push(0x00);
        apdu
    }

    /// Takes the card's answer (without its status word) and checks that the card holds the keys.
    pub fn answer(self, response_data: &[u8]) -> Result<Open, ScpError> {
        let malformed = |_| ScpError::Malformed("answer to INITIALIZE UPDATE");
        let mut r = Reader::new(response_data);
        let len = self.mode.octets();
        r.bytes(10, "key diversification data").map_err(malformed)?;
        let key_version = r.u8("key version").map_err(malformed)?;
        let scp = r.u8("SCP number").map_err(malformed)?;
        // What follows is laid out in another way by every other protocol.
        if scp != 0x03 {
            return Err(ScpError::OtherProtocol(scp));
        }
        let i = r.u8("SCP option").map_err(malformed)?;
        let challenge = r.bytes(len, "card challenge").map_err(malformed)?;
        let cryptogram = r.bytes(len, "card cryptogram").map_err(malformed)?;
        if i & !0x10 != 0x60 {
            return Err(ScpError::Option(i));
        }
        if i & 0x10 != 0 {
            r.bytes(3, "sequence counter").map_err(malformed)?;
        }
        r.finish("answer to INITIALIZE UPDATE").map_err(malformed)?;
        // 00 leaves the choice to the card.
        if self.key_version != 0 && key_version != self.key_version {
            return Err(ScpError::KeyVersion { got: key_version, expected: self.key_version });
        }
        let challenges = Challenges::new(self.challenge(), challenge)
            .ok_or(ScpError::Malformed("card challenge"))?;
        let mut channel = Channel::new(&self.keys, &challenges)?;
        channel.card_cryptogram().verify(cryptogram, Judge::ONCE)?;
        let header = [0x84, INS_EXTERNAL_AUTHENTICATE, self.level.value(), 0x00];
        let host = channel.host_cryptogram();
        let mac = channel.command_mac(header, host.octets())?;
        let mut command = Vec::with_capacity(5 + 2 * len);
        command.extend(header);
        command.push(2 * len as u8);
        command.extend_from_slice(host.octets());
        command.extend_from_slice(mac.octets());
        Ok(Open { channel, level: self.level, command })
    }

    fn challenge(&self) -> &[u8] {
        self.challenge.get(..self.mode.octets()).unwrap_or(&self.challenge)
    }
}

/// A session that the card has proved itself for: EXTERNAL AUTHENTICATE.
pub struct Open {
    channel: Channel,
    level: Level,
    command: Vec<u8>,
}

impl Open {
    /// The command to send, MAC included.
    pub fn command(&self) -> &[u8] {
        &self.command
    }

    /// Takes the card's status word.
    pub fn finish(self, sw: StatusWord) -> Result<Session, ScpError> {
        if sw != StatusWord::OK {
            return Err(ScpError::Refused(sw));
        }
        Ok(Session { channel: self.channel, level: self.level, over: false })
    }
}

/// An open session: commands go out wrapped, answers come back verified.
///
/// One `wrap`, then one `unwrap` of its answer. Buffers are the caller's and are reused: nothing is
/// allocated once they have grown.
pub struct Session {
    channel: Channel,
    level: Level,
    over: bool,
}

impl Session {
    /// Writes the protected command, with Le, into `out`.
    ///
    /// A command that does not fit is refused before anything of the session moves.
    pub fn wrap(
        &mut self,
        cla: u8,
        ins: u8,
        p1: u8,
        p2: u8,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ScpError> {
        out.clear();
        if self.over {
            return Err(ScpError::Over);
        }
        let encrypted = self.level.encrypts_command(data);
        let body = if encrypted { (data.len() / 16 + 1) * 16 } else { data.len() };
        let lc = u8::try_from(body + self.channel.mode.octets())
            .map_err(|_| ScpError::TooLong(data.len()))?;
        let header = [cla | 0x04, ins, p1, p2];
        out.reserve(usize::from(lc) + 6);
        out.extend(header);
        out.push(lc);
        out.extend_from_slice(data);
        self.channel.next_command();
        if encrypted {
            self.channel.encrypt_command(out, 5);
        }
        let mac = self.channel.command_mac(header, out.get(5..).unwrap_or_default())?;
        out.extend_from_slice(mac.octets());
        out.push(0x00);
        Ok(())
    }

    /// Verifies and decrypts the answer (data and status word) to the last command into `out`.
    ///
    /// A status word that carries no MAC comes back as [`ScpError::Refused`]: nobody vouches for
    /// it, but the session goes on, unless the card says that it has none. Anything that fails
    /// verification ends the session.
    pub fn unwrap(&mut self, response: &[u8], out: &mut Vec<u8>) -> Result<StatusWord, ScpError> {
        out.zeroize();
        if self.over {
            return Err(ScpError::Over);
        }
        let result = self.verified(response, out);
        match result {
            Ok(_) => {}
            Err(ScpError::Refused(sw)) => {
                let sessionless = [StatusWord::SECURITY_STATUS, StatusWord::SECURE_MESSAGING];
                self.over = sessionless.contains(&sw);
            }
            Err(_) => self.over = true,
        }
        if result.is_err() {
            out.zeroize();
        }
        result
    }

    /// The session ended with an error: open a new one.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    fn verified(&self, response: &[u8], out: &mut Vec<u8>) -> Result<StatusWord, ScpError> {
        let (body, sw) = response.split_last_chunk::<2>().ok_or(ScpError::Malformed("response"))?;
        let sw = StatusWord::from_be_bytes(*sw);
        if !status_is_protected(sw) {
            return Err(ScpError::Refused(sw));
        }
        if !self.level.response_mac() {
            out.extend_from_slice(body);
            return Ok(sw);
        }
        let data_len = body
            .len()
            .checked_sub(self.channel.mode.octets())
            .ok_or(ScpError::Malformed("response: no MAC"))?;
        let (data, mac) = body.split_at_checked(data_len).unwrap_or((body, &[]));
        self.channel.response_mac(data, sw).verify(mac, Judge::ONCE)?;
        out.extend_from_slice(data);
        if self.level.encrypts_response(data) {
            self.channel.decrypt_response(out)?;
        }
        Ok(sw)
    }
}
