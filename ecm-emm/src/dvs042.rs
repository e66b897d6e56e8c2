// SPDX-License-Identifier: Apache-2.0
//! Cipher block chaining over the payload of one transport packet, ended as DVS 042 ends it:
//! SCTE 52 with DES, IDSA with AES. Nothing stays in clear.
//!
//! Normative references:
//!  - ANSI/SCTE 52 §4 (DES-CBC, residual and solitary termination blocks)
//!  - ATIS-0800006 (IDSA: the same with AES-128)
//!  - `docs/spec/scrambling.md` §3

use aes::Aes128;
use aes::cipher::{
    Array, Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt,
    InnerIvInit, KeyInit,
};
use cam_types::ControlWord;
use des::Des;
use zeroize::Zeroizing;

/// The initialisation vectors of SCTE 52: constants of a network, which no table carries and which
/// are no secrets. Without anything said both are zero.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Scte52Ivs {
    iv: [u8; 8],
    short: [u8; 8],
}

impl Scte52Ivs {
    /// `short` is for payloads shorter than a block, from the edition of 2008 on; before that, and
    /// without it here, `iv` serves them too.
    pub fn new(iv: [u8; 8], short: Option<[u8; 8]>) -> Self {
        Self { iv, short: short.unwrap_or(iv) }
    }
}

/// A control word of SCTE 52, ready for packets.
pub type Scte52 = Dvs042<Des>;
/// A control word of IDSA, ready for packets.
pub type Idsa = Dvs042<Aes128>;

/// A block cipher with its key and initialisation vectors. The key schedule wipes itself when
/// dropped.
pub struct Dvs042<C: BlockCipherEncrypt> {
    cipher: C,
    iv: Block<C>,
    short: Block<C>,
}

impl Scte52 {
    /// Takes the first 8 octets. DES does not look at the lowest bit of each.
    pub fn scte52(cw: &ControlWord, ivs: &Scte52Ivs) -> Self {
        let mut key = Zeroizing::new([0; 8]);
        key.iter_mut().zip(cw.expose()).for_each(|(to, from)| *to = *from);
        Self { cipher: Des::new((&*key).into()), iv: ivs.iv.into(), short: ivs.short.into() }
    }
}

impl Idsa {
    /// Takes all 16 octets. Both initialisation vectors are zero.
    pub fn idsa(cw: &ControlWord) -> Self {
        let cipher = Aes128::new(cw.expose().into());
        Self { cipher, iv: Block::<Aes128>::default(), short: Block::<Aes128>::default() }
    }
}

impl<C: BlockCipherEncrypt + BlockCipherDecrypt> Dvs042<C> {
    /// Scrambles a payload in place.
    pub fn scramble(&self, payload: &mut [u8]) {
        let (blocks, residue) = Array::slice_as_chunks_mut(payload);
        cbc::Encryptor::<&C>::inner_iv_init(&self.cipher, &self.iv).encrypt_blocks(blocks);
        self.terminate(blocks.last(), residue);
    }

    /// Descrambles a payload in place.
    pub fn descramble(&self, payload: &mut [u8]) {
        let (blocks, residue) = Array::slice_as_chunks_mut(payload);
        // The residue hangs on the last block as it was on air.
        self.terminate(blocks.last(), residue);
        cbc::Decryptor::<&C>::inner_iv_init(&self.cipher, &self.iv).decrypt_blocks(blocks);
    }

    /// What does not fill a block, in either direction. `last` is the last block on air before it.
    fn terminate(&self, last: Option<&Block<C>>, residue: &mut [u8]) {
        if residue.is_empty() {
            return;
        }
        let mut mask = last.unwrap_or(&self.short).clone();
        self.cipher.encrypt_block(&mut mask);
        residue.iter_mut().zip(&mask).for_each(|(octet, mask)| *octet ^= mask);
    }
}
