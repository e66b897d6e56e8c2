// SPDX-License-Identifier: Apache-2.0
//! The two MACs of the purse: DES-CBC under a session key, and the retail MAC of secure messaging.
//!
//! Both always pad: 80, then 00s up to the block, a whole block when the data is already a
//! multiple.

use crate::cipher::{Block, des_decrypt, des_encrypt};
use cam_types::{Key, Secret};
use core::fmt;
use subtle::ConstantTimeEq;

/// A MAC or TAC of four octets. Comparing two takes the same time wherever they differ.
#[derive(Clone, Copy)]
pub struct Mac(pub [u8; 4]);

impl Mac {
    /// The left half of a block.
    fn of_block([a, b, c, d, ..]: Block) -> Self {
        Self([a, b, c, d])
    }
}

impl PartialEq for Mac {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Mac {}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

/// DES-CBC MAC under an 8-octet key, first four octets of the last block.
pub fn mac(key: &Secret<8>, iv: Block, data: &[u8]) -> Mac {
    Mac::of_block(chain(key, iv, data))
}

/// Retail MAC (ISO/IEC 9797-1 algorithm 3) under a 16-octet key.
pub fn retail_mac(key: &Key, iv: Block, data: &[u8]) -> Mac {
    let (left, right) = halves(key);
    let last = chain(&left, iv, data);
    Mac::of_block(des_encrypt(&left, des_decrypt(&right, last)))
}

/// The two DES keys of a double-length key.
pub(crate) fn halves(key: &Key) -> (Secret<8>, Secret<8>) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *key.expose();
    (Secret::new([a, b, c, d, e, f, g, h]), Secret::new([i, j, k, l, m, n, o, p]))
}

/// The last block of DES-CBC over the padded data.
fn chain(key: &Secret<8>, iv: Block, data: &[u8]) -> Block {
    let (blocks, rest) = data.as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest.iter().chain(&[0x80])).for_each(|(to, from)| *to = *from);
    blocks.iter().chain([&last]).fold(iv, |chained, block| des_encrypt(key, xor(chained, *block)))
}

/// The exclusive or of two blocks.
pub(crate) fn xor(mut a: Block, b: Block) -> Block {
    a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
    a
}
