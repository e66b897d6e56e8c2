// SPDX-License-Identifier: Apache-2.0
//! DES and two-key triple DES on single blocks: what the purse's keys and MACs are made of.

use cam_types::{Key, Secret};
use des::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use des::{Des, TdesEde2};

/// A block of either cipher.
pub type Block = [u8; 8];

/// One block under single DES.
pub fn des_encrypt(key: &Secret<8>, block: Block) -> Block {
    count(1);
    let mut block = block.into();
    Des::new(key.expose().into()).encrypt_block(&mut block);
    block.into()
}

/// One block back under single DES.
pub fn des_decrypt(key: &Secret<8>, block: Block) -> Block {
    count(1);
    let mut block = block.into();
    Des::new(key.expose().into()).decrypt_block(&mut block);
    block.into()
}

/// One block under two-key triple DES (EDE).
pub fn triple_des_encrypt(key: &Key, block: Block) -> Block {
    count(3);
    let mut block = block.into();
    TdesEde2::new(key.expose().into()).encrypt_block(&mut block);
    block.into()
}

/// One block back under two-key triple DES (EDE).
pub fn triple_des_decrypt(key: &Key, block: Block) -> Block {
    count(3);
    let mut block = block.into();
    TdesEde2::new(key.expose().into()).decrypt_block(&mut block);
    block.into()
}

/// Counts blocks of single DES, when somebody measures.
#[cfg(feature = "meter")]
fn count(blocks: u64) {
    cam_types::meter::des(blocks);
}

#[cfg(not(feature = "meter"))]
const fn count(_blocks: u64) {}
