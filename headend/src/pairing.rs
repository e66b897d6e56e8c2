// SPDX-License-Identifier: Apache-2.0
//! Pairing a card with a box: two sections that say the same to either.
//!
//! Normative references:
//!  - `docs/spec/emm.md` (PAIR, BOX_PAIR)
//!  - ETSI TS 103 162 (key ladder)

use crate::cw_source::{RandomError, random};
use crate::files::FileError;
use crate::files::fields::{Octets, SecretOctets};
use crate::files::operator::{Card, Operator, Pairing, Stb};
use crate::sender::Sender;
use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use cam_types::{CardId, Epoch, Key, OperatorId, Pseudonym, Secret, StbId};
use ecm_emm::EncodeError;
use ecm_emm::box_emm::{self, BoxCommand, BoxHeader, BoxPairing};
use ecm_emm::emm::{EmmCommand, Pairing as PairCommand};
use ecm_emm::keys::KeyMaterial;
use ecm_emm::suite::{SealKey, Suite, WrappedKey};
use std::fmt;
use zeroize::Zeroizing;

/// The derivation constant of a ladder's middle key: outside the numbers of `docs/spec/emm.md`,
/// because the derivation never leaves the head-end.
const LADDER_KEY: u8 = 0x71;

/// The card's half: EMM-U with PAIR.
pub fn card_half(sender: &Sender, pairing: &Pairing) -> Result<Vec<u8>, PairingError> {
    let wrap = |key: &SecretOctets<16>| match sender.wrap(&KeyMaterial::Bits128(key.0.clone())) {
        WrappedKey::Short(wrapped) => Ok(wrapped),
        WrappedKey::Long(_) => Err(PairingError::Key),
    };
    let command = EmmCommand::Pair(PairCommand {
        slot: pairing.slot,
        stb: StbId::new(pairing.stb.0),
        k_pair: wrap(&pairing.k_pair)?,
        k_cw: wrap(&pairing.k_cw)?,
        kcv: check_value(&pairing.k_pair)?,
    });
    Ok(sender.section(pairing.sequence, &[command])?)
}

/// The box's half: table 8A with BOX_PAIR.
pub fn box_half(
    operator: &Operator,
    stb: &Stb,
    card: &Card,
    pairing: &Pairing,
) -> Result<Vec<u8>, PairingError> {
    let (header, k_box) = sealing(operator, stb, pairing.sequence)?;
    let k_pair = KeyMaterial::Bits128(pairing.k_pair.0.clone());
    let WrappedKey::Short(wrapped) = k_box.wrap(&header.key_context(), &k_pair) else {
        return Err(PairingError::Key);
    };
    let (ek2, ek1) = ladder(operator, stb, pairing)?;
    let command = BoxCommand::Pair(BoxPairing {
        card: Pseudonym::new(card.pseudonym.0),
        slot: pairing.slot,
        clear_cw_allowed: pairing.clear_control_words,
        k_pair: wrapped,
        ek2,
        ek1,
        kcv: check_value(&pairing.k_pair)?,
    });
    let mut section = Vec::new();
    box_emm::seal(&header, &[command], &k_box, &mut section)?;
    Ok(section)
}

/// The box's half taken back: table 8A with BOX_UNPAIR.
pub fn withdrawn(
    operator: &Operator,
    stb: &Stb,
    card: &Card,
    sequence: u32,
) -> Result<Vec<u8>, PairingError> {
    let (header, k_box) = sealing(operator, stb, sequence)?;
    let command = BoxCommand::Unpair(Pseudonym::new(card.pseudonym.0));
    let mut section = Vec::new();
    box_emm::seal(&header, &[command], &k_box, &mut section)?;
    Ok(section)
}

/// Header and key of a message to a box.
fn sealing(operator: &Operator, stb: &Stb, seq: u32) -> Result<(BoxHeader, SealKey), PairingError> {
    let k_box = operator.seal_key("[[box]]", stb.suite, &stb.box_key)?;
    let header = BoxHeader {
        stb: StbId::new(stb.stb_id.0),
        suite: k_box.suite(),
        operator: OperatorId::new(operator.operator),
        epoch: Epoch::new(stb.epoch),
        seq,
    };
    Ok((header, k_box))
}

/// The key check value of K_pair.
fn check_value(k_pair: &SecretOctets<16>) -> Result<[u8; 3], PairingError> {
    SealKey::new(Suite::Cmac128, KeyMaterial::Bits128(k_pair.0.clone()))
        .map(|key| key.kcv())
        .map_err(|_| PairingError::Key)
}

/// EK2 and EK1, which load K_cw into the chip's ladder: K2 = D(K3, EK2), K_cw = D(K2, EK1).
///
/// K2 is derived, so that a pairing made again is the same octets.
fn ladder(
    operator: &Operator,
    stb: &Stb,
    pairing: &Pairing,
) -> Result<([u8; 16], [u8; 16]), PairingError> {
    let mut context = [0; 20];
    let fields = pairing.card.0.into_iter().chain(pairing.stb.0);
    for (slot, octet) in context.iter_mut().zip(fields.chain(pairing.sequence.to_be_bytes())) {
        *slot = octet;
    }
    let mut k2 = Zeroizing::new([0; 16]);
    gp::kdf_cmac(operator.master_key.0.expose(), LADDER_KEY, &context, &mut *k2)
        .map_err(|_| PairingError::Key)?;
    let encrypt = |key: &[u8; 16], block: &[u8; 16]| {
        let mut block = (*block).into();
        Aes128::new(key.into()).encrypt_block(&mut block);
        <[u8; 16]>::from(block)
    };
    Ok((encrypt(stb.ladder_key.0.expose(), &k2), encrypt(&k2, pairing.k_cw.0.expose())))
}

/// Draws the keys of a new pairing, and writes the operator file's table for it.
pub fn draw(
    card: Octets<8>,
    stb: Octets<8>,
    slot: u8,
    sequence: u32,
) -> Result<(Pairing, Zeroizing<String>), RandomError> {
    let key = || random().map(|octets| SecretOctets::<16>(Key::new(octets)));
    let (k_pair, k_cw) = (key()?, key()?);
    let table = Zeroizing::new(format!(
        "[[pairing]]\ncard = \"{}\"\nbox = \"{}\"\nslot = {slot}\nsequence = {sequence}\n\
         k_pair = \"{}\"\nk_cw = \"{}\"\n",
        CardId::new(card.0),
        StbId::new(stb.0),
        *digits(&k_pair.0),
        *digits(&k_cw.0)
    ));
    let clear_control_words = false;
    Ok((Pairing { card, stb, slot, sequence, k_pair, k_cw, clear_control_words }, table))
}

fn digits(key: &Secret<16>) -> Zeroizing<String> {
    let mut digits = Zeroizing::new(String::with_capacity(32));
    for octet in key.expose() {
        for nibble in [octet >> 4, octet & 0x0F] {
            digits.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
        }
    }
    digits
}

/// Why a pairing was not made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PairingError {
    /// A key of a length that the ladder does not take.
    Key,
    /// A key of the operator file.
    File(FileError),
    /// It cannot be encoded.
    Encode(EncodeError),
}

impl From<FileError> for PairingError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<EncodeError> for PairingError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl fmt::Display for PairingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("a key of the pairing has the wrong length"),
            Self::File(error) => error.fmt(f),
            Self::Encode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PairingError {}
