// SPDX-License-Identifier: Apache-2.0
//! The software key ladder: what a chip with a key ladder does inside, for boxes and hosts without
//! one.
//!
//! Normative references:
//!  - ETSI TS 103 162 (key ladder: K3 → K2 → K1 → CW)
//!  - `docs/spec/abi.md`, "Key ladder"

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, KeyInit};
use cam_types::{ControlWord, Key};
use zeroize::Zeroize;

/// A three-step ladder with AES-128. The root key never leaves it, and neither does a key between
/// the root and the control word.
pub struct Ladder {
    root: Aes128,
    /// Decrypts control words; present once the two encrypted keys were loaded.
    k_cw: Option<Aes128>,
}

impl Ladder {
    /// A ladder with the root key that the chip's factory would have burnt in.
    pub fn new(root: &Key) -> Self {
        Self { root: Aes128::new(&Array::from(*root.expose())), k_cw: None }
    }

    /// Loads the two encrypted keys of a pairing: K2 = D(K3, EK2), then K1 = D(K2, EK1). From now
    /// on control words are those encrypted under K1.
    pub fn load(&mut self, ek2: &[u8; 16], ek1: &[u8; 16]) {
        let k2 = decrypt(&self.root, ek2);
        let k1 = decrypt(&Aes128::new(&Array::from(*k2.expose())), ek1);
        self.k_cw = Some(Aes128::new(&Array::from(*k1.expose())));
    }

    /// The control word inside `ecw`, or `None` while no pairing is loaded.
    pub fn cw(&self, ecw: &[u8; 16]) -> Option<ControlWord> {
        self.k_cw.as_ref().map(|key| decrypt(key, ecw))
    }

    /// Forgets the pairing; the root key stays.
    pub fn unload(&mut self) {
        self.k_cw = None;
    }

    /// Whether a pairing is loaded.
    pub const fn is_loaded(&self) -> bool {
        self.k_cw.is_some()
    }
}

fn decrypt(key: &Aes128, encrypted: &[u8; 16]) -> Key {
    let mut block = Array::from(*encrypted);
    key.decrypt_block(&mut block);
    let clear = Key::new(block.into());
    block.as_mut_slice().zeroize();
    clear
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    /// Source: `openssl enc -d -aes-128-ecb -nopad` three times over.
    #[test]
    fn a_cw_comes_down_the_ladder() {
        let mut ladder = Ladder::new(&Key::new(hex!("707172737475767778797a7b7c7d7e7f")));
        let encrypted = hex!("00112233445566778899aabbccddeeff");
        assert!(ladder.cw(&encrypted).is_none(), "nothing is loaded yet");
        ladder.load(
            &hex!("000102030405060708090a0b0c0d0e0f"),
            &hex!("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
        );
        let expected = ControlWord::new(hex!("4b3f50b35931f8b076a98075abf732ad"));
        assert!(ladder.cw(&encrypted) == Some(expected));
        ladder.unload();
        assert!(ladder.cw(&encrypted).is_none(), "the pairing is gone");
    }
}
