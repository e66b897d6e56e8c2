// SPDX-License-Identifier: Apache-2.0
//! The cardholder's PIN: VERIFY, PIN CHANGE, PIN RELOAD, PIN UNBLOCK.
//!
//! A command that counts tries goes out once. Cards answer a wrong PIN with 63Cx or with 6Cxx, in
//! which a layer below may see a wrong length: whoever carries these commands must not send them
//! again.

use crate::command::{INS_CHANGE_PIN, INS_UNBLOCK_PIN};
use crate::keys::SessionKey;
use crate::mac::{Mac, halves, xor};
use crate::refusal::{Reason, Refusal, Step};
use crate::response::split;
use crate::secure_messaging::{Challenge, SecureKey, SecuredError, done};
use alloc::vec::Vec;
use cam_types::interindustry::INS_VERIFY;
use cam_types::{Key, Secret, StatusWord};
use core::fmt;
use zeroize::Zeroizing;

/// A PIN as cards take it: two digits an octet, FF-padded when their number is odd. It never prints
/// itself.
pub struct Pin(Zeroizing<Vec<u8>>);

/// A PIN on its way to the card.
#[derive(Debug)]
#[must_use = "the answer may say that a try was lost"]
pub struct Verify(PinCommand);

/// A new PIN for the old one.
#[derive(Debug)]
#[must_use = "the answer may say that a try was lost"]
pub struct Change(PinCommand);

/// A command with a PIN in it.
struct PinCommand(Zeroizing<Vec<u8>>);

/// What came of a PIN. None of it moves money.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum PinAnswer {
    /// It is the PIN.
    Right,
    /// A wrong one. So many tries are left; with none, the PIN is blocked.
    Wrong {
        /// Tries left.
        tries: u8,
        /// As the card said it.
        status: StatusWord,
    },
    /// The PIN is blocked: no PIN is taken, right or wrong, until it is unblocked.
    Blocked(StatusWord),
    /// The card refused for another reason. No try was lost.
    Refused(Refusal),
    /// No answer came, or none that can be read: a try may be lost. Ask the cardholder before
    /// another.
    Lost,
}

impl Pin {
    /// From its digits, 4 to 12.
    pub fn from_digits(digits: &str) -> Result<Self, PinError> {
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(PinError::NotDigits);
        }
        if !(4..=12).contains(&digits.len()) {
            return Err(PinError::Length(digits.len()));
        }
        let nibble = |digit: u8| digit - b'0';
        let octets = digits.as_bytes().chunks(2).map(|pair| match *pair {
            [high, low] => nibble(high) << 4 | nibble(low),
            [high] => nibble(high) << 4 | 0x0F,
            _ => 0xFF,
        });
        // Room for all at once: a vector that grows leaves copies behind.
        let mut pin = Zeroizing::new(Vec::with_capacity(6));
        pin.extend(octets);
        Ok(Self(pin))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin { .. }")
    }
}

impl fmt::Debug for PinCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinCommand { .. }")
    }
}

impl PinCommand {
    fn new(header: [u8; 4], data: &[&[u8]]) -> Self {
        let length = data.iter().map(|part| part.len()).sum::<usize>();
        let mut apdu = Zeroizing::new(Vec::with_capacity(5 + length));
        apdu.extend(header);
        // Two PINs and their MAC are shorter than 255.
        apdu.push(length as u8);
        data.iter().for_each(|part| apdu.extend(*part));
        Self(apdu)
    }
}

impl Verify {
    /// VERIFY of the PIN `id`.
    pub fn new(id: u8, pin: &Pin) -> Self {
        Self(PinCommand::new([0x00, INS_VERIFY, 0x00, id], &[&pin.0]))
    }

    /// The command. Send it once.
    pub fn command(&self) -> &[u8] {
        &self.0.0
    }

    /// Reads the card's answer, `None` when none came.
    pub fn answer(self, response: Option<&[u8]>) -> PinAnswer {
        PinAnswer::of(response)
    }
}

impl Change {
    /// PIN CHANGE of the PIN `id`, in clear.
    pub fn new(id: u8, old: &Pin, new: &Pin) -> Self {
        Self(PinCommand::new([0x80, INS_CHANGE_PIN, 0x01, id], &[&old.0, &[0xFF], &new.0]))
    }

    /// The command. Send it once.
    pub fn command(&self) -> &[u8] {
        &self.0.0
    }

    /// Reads the card's answer, `None` when none came: the old PIN or the new one holds then.
    pub fn answer(self, response: Option<&[u8]>) -> PinAnswer {
        PinAnswer::of(response)
    }
}

impl PinAnswer {
    fn of(response: Option<&[u8]>) -> Self {
        let Some(Ok((&[], status))) = response.map(split) else { return Self::Lost };
        if status == StatusWord::OK {
            return Self::Right;
        }
        // Cards that count in 6Cxx, which means something else in the standard.
        let tries = status.counter().or_else(|| (status.sw1() == 0x6C).then_some(status.sw2()));
        match tries {
            Some(tries) => Self::Wrong { tries, status },
            None => match Refusal::new(Step::Pin, status) {
                Refusal { reason: Reason::PinBlocked, .. } => Self::Blocked(status),
                Refusal { reason: Reason::Other | Reason::Memory, .. } => Self::Lost,
                refusal => Self::Refused(refusal),
            },
        }
    }
}

impl fmt::Display for PinAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Right => f.write_str("PIN accepted"),
            Self::Wrong { tries: 0, status } => {
                write!(f, "wrong PIN, and no tries left: the PIN is blocked ({status})")
            }
            Self::Wrong { tries: 1, status } => write!(f, "wrong PIN, 1 try left ({status})"),
            Self::Wrong { tries, status } => write!(f, "wrong PIN, {tries} tries left ({status})"),
            Self::Blocked(status) => write!(f, "the PIN has no tries left ({status})"),
            Self::Refused(why) => write!(f, "{why}"),
            Self::Lost => f.write_str("no answer to the PIN: a try may be lost"),
        }
    }
}

/// The reload key (DRPK): a new PIN by the issuer, without the old one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReloadKey(SessionKey);

impl ReloadKey {
    /// A card's key; its halves are folded into one DES key.
    pub fn new(key: &Key) -> Self {
        let (left, right) = halves(key);
        Self(SessionKey::new(Secret::new(xor(*left.expose(), *right.expose()))))
    }

    /// The MAC over the octets of a new PIN, and over nothing else.
    pub fn mac(&self, new: &[u8]) -> Mac {
        self.0.mac(new)
    }

    /// PIN RELOAD of the PIN `id`: the new PIN in clear, and its MAC.
    pub fn reload(&self, id: u8, new: &Pin) -> Zeroizing<Vec<u8>> {
        let Mac(mac) = self.mac(&new.0);
        PinCommand::new([0x80, INS_CHANGE_PIN, 0x00, id], &[&new.0, &mac]).0
    }

    /// Reads the card's answer, `None` when none came.
    pub fn answer(response: Option<&[u8]>) -> Result<(), SecuredError> {
        done(response)
    }
}

/// PIN UNBLOCK of the PIN `id` under the unblock key (DPUK): enciphered, with a MAC.
pub fn unblock(id: u8, pin: &Pin, key: &SecureKey, challenge: Challenge) -> Vec<u8> {
    key.secure(challenge, [0x84, INS_UNBLOCK_PIN, id, 0x00], &key.encipher(&pin.0))
}

/// Reads the card's answer to PIN UNBLOCK, `None` when none came.
pub fn unblocked(response: Option<&[u8]>) -> Result<(), SecuredError> {
    done(response)
}

/// Why a text is no PIN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PinError {
    /// Something else than decimal digits.
    NotDigits,
    /// Too few digits or too many.
    Length(usize),
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDigits => f.write_str("a PIN has decimal digits only"),
            Self::Length(got) => write!(f, "a PIN has 4 to 12 digits, not {got}"),
        }
    }
}

impl core::error::Error for PinError {}
