// SPDX-License-Identifier: Apache-2.0
//! Secure messaging: commands that end with a MAC over the card's challenge, and data that only the
//! card can read.

use crate::cipher::{Block, des_decrypt, des_encrypt, triple_des_decrypt, triple_des_encrypt};
use crate::command::{INS_BLOCK, INS_BLOCK_CARD, INS_UNBLOCK};
use crate::mac::{Mac, mac, retail_mac};
use crate::refusal::{Reason, Refusal, Step};
use crate::response::split;
use alloc::vec::Vec;
use cam_types::interindustry::INS_GET_CHALLENGE;
use cam_types::{DecodeError, Key, Secret, StatusWord};
use core::fmt;
use zeroize::Zeroizing;

/// How long a challenge the cards of a scheme give for this.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChallengeLength {
    /// Four octets; zeros make up the block.
    Four = 4,
    /// Eight octets.
    Eight = 8,
}

impl ChallengeLength {
    /// GET CHALLENGE.
    pub const fn command(self) -> [u8; 5] {
        [0x00, INS_GET_CHALLENGE, 0x00, 0x00, self as u8]
    }

    /// Reads the card's answer.
    pub fn answer(self, response: &[u8]) -> Result<Challenge, SecuredError> {
        match (self, split(response).map_err(SecuredError::Malformed)?) {
            (Self::Four, (&[a, b, c, d], StatusWord::OK)) => {
                Ok(Challenge([a, b, c, d, 0, 0, 0, 0]))
            }
            (Self::Eight, (&[a, b, c, d, e, f, g, h], StatusWord::OK)) => {
                Ok(Challenge([a, b, c, d, e, f, g, h]))
            }
            (_, (_, StatusWord::OK)) => Err(SecuredError::Malformed(DecodeError::Missing(
                "challenge of the length asked for",
            ))),
            (_, (_, sw)) => Err(SecuredError::Refused(Refusal::new(Step::Read, sw))),
        }
    }
}

/// The card's challenge: the initial vector of one MAC.
///
/// Not `Clone`: the card takes it once.
#[derive(Debug, Eq, PartialEq)]
pub struct Challenge(Block);

impl Challenge {
    /// As known from elsewhere.
    pub const fn new(initial_vector: Block) -> Self {
        Self(initial_vector)
    }
}

/// A key of secure messaging: maintenance (DAMK), PIN unblock (DPUK), line protection of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SecureKey {
    /// Eight octets: single DES.
    Single(Secret<8>),
    /// Sixteen octets: triple DES and the retail MAC.
    Double(Key),
}

impl SecureKey {
    /// The MAC over a command, its Lc counting the MAC.
    pub fn mac(&self, challenge: Challenge, command: &[u8]) -> Mac {
        match self {
            Self::Single(key) => mac(key, challenge.0, command),
            Self::Double(key) => retail_mac(key, challenge.0, command),
        }
    }

    /// Length and data, each block for itself. Padding is 80 00…, and none where the blocks are
    /// full.
    pub fn encipher(&self, data: &[u8]) -> Vec<u8> {
        let mut plain = Zeroizing::new(Vec::with_capacity(data.len() + 1 + 8));
        plain.push(data.len() as u8);
        plain.extend(data);
        if !plain.len().is_multiple_of(8) {
            plain.push(0x80);
            let full = plain.len().next_multiple_of(8);
            plain.resize(full, 0x00);
        }
        let (blocks, _) = plain.as_chunks::<8>();
        let encrypt = |block: &Block| match self {
            Self::Single(key) => des_encrypt(key, *block),
            Self::Double(key) => triple_des_encrypt(key, *block),
        };
        blocks.iter().flat_map(encrypt).collect()
    }

    /// The data that [`SecureKey::encipher`] was given; `None` when these are not its blocks.
    pub fn decipher(&self, blocks: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (blocks, []) = blocks.as_chunks::<8>() else { return None };
        let decrypt = |block: &Block| match self {
            Self::Single(key) => des_decrypt(key, *block),
            Self::Double(key) => triple_des_decrypt(key, *block),
        };
        // Room for all at once: a vector that grows leaves copies behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(8 * blocks.len()));
        blocks.iter().for_each(|block| plain.extend(decrypt(block)));
        let (length, rest) = plain.split_first()?;
        let (data, padding) = rest.split_at_checked((*length).into())?;
        let padded = match padding {
            [] => true,
            [0x80, zeros @ ..] => zeros.len() < 7 && zeros.iter().all(|octet| *octet == 0),
            _ => false,
        };
        padded.then(|| Zeroizing::new(data.to_vec()))
    }

    /// A command with its MAC. `data` leaves room for it in one octet of Lc: 251 octets at most.
    pub fn secure(&self, challenge: Challenge, header: [u8; 4], data: &[u8]) -> Vec<u8> {
        let mut apdu = header.to_vec();
        apdu.push((data.len() as u8).wrapping_add(4));
        apdu.extend(data);
        let Mac(mac) = self.mac(challenge, &apdu);
        apdu.extend(mac);
        apdu
    }
}

/// What the maintenance key (DAMK) orders.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// APPLICATION BLOCK, until it is unblocked.
    Block,
    /// APPLICATION BLOCK, for good.
    BlockForGood,
    /// APPLICATION UNBLOCK.
    Unblock,
    /// CARD BLOCK.
    BlockCard,
}

impl Order {
    /// The command with its MAC over the card's challenge, to be sent at once.
    pub fn command(self, key: &SecureKey, challenge: Challenge) -> Vec<u8> {
        let header = match self {
            Self::Block => [0x84, INS_BLOCK, 0x00, 0x00],
            Self::BlockForGood => [0x84, INS_BLOCK, 0x00, 0x01],
            Self::Unblock => [0x84, INS_UNBLOCK, 0x00, 0x00],
            Self::BlockCard => [0x84, INS_BLOCK_CARD, 0x00, 0x00],
        };
        key.secure(challenge, header, &[])
    }

    /// Reads the card's answer, `None` when none came.
    pub fn answer(self, response: Option<&[u8]>) -> Result<(), SecuredError> {
        done(response)
    }
}

/// Reads the answer to a command under secure messaging that brings no data.
pub(crate) fn done(response: Option<&[u8]>) -> Result<(), SecuredError> {
    match split(response.ok_or(SecuredError::Lost)?).map_err(SecuredError::Malformed)? {
        (_, StatusWord::OK) => Ok(()),
        (_, sw) => Err(SecuredError::Refused(Refusal::new(Step::Secured, sw))),
    }
}

/// Why an order was not carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SecuredError {
    /// The card refused. Three wrong MACs in a row block the application for good.
    Refused(Refusal),
    /// No answer came: it may have been carried out.
    Lost,
    /// The card's answer is not an answer to this command.
    Malformed(DecodeError),
}

impl fmt::Display for SecuredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why @ Refusal { reason: Reason::WrongMac, .. }) => {
                write!(f, "{why}: three in a row block the application for good")
            }
            Self::Refused(why) => write!(f, "{why}"),
            Self::Lost => f.write_str("card did not answer: the order may have been carried out"),
            Self::Malformed(error) => write!(f, "the card's answer: {error}"),
        }
    }
}

impl core::error::Error for SecuredError {}
