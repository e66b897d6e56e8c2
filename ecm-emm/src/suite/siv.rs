// SPDX-License-Identifier: Apache-2.0
//! The two halves of opening SIV, with the tag as a value: who opens compares it in a way of its
//! own, where a function that opens says no more than yes or no.
//!
//! Normative references:
//!  - RFC 5297, 2.3 (doubling), 2.4 (S2V), 2.5 (CTR)

use aes::cipher::common::BlockSizeUser;
use aes::cipher::typenum::U16;
use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipherCore};
use cmac::Mac;
use cmac::digest::OutputSizeUser;
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use zeroize::Zeroizing;

type Block = [u8; 16];

/// The tag of one header and a plaintext.
pub(super) fn s2v<M>(key: &[u8], header: &[u8], plain: &[u8]) -> Block
where
    M: Mac + KeyInit + Clone + OutputSizeUser<OutputSize = U16>,
{
    let keyed = <M as KeyInit>::new_from_slice(key).expect("half of a key of SIV");
    let mac = |parts: &[&[u8]]| -> Block {
        let mut mac = keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    };
    let d = xor(double(mac(&[&[0; 16]])), mac(&[header]));
    if let Some((rest, last)) = plain.split_last_chunk::<16>() {
        return mac(&[rest, &*Zeroizing::new(xor(*last, d))]);
    }
    let mut padded = Zeroizing::new([0; 16]);
    let filled = plain.iter().chain(&[0x80]);
    padded.iter_mut().zip(filled).for_each(|(to, from)| *to = *from);
    mac(&[&*Zeroizing::new(xor(double(d), *padded))])
}

/// CTR from the tag, two bits of which are cleared.
pub(super) fn keystream<C>(key: &[u8], tag: Block, body: &mut [u8])
where
    C: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    let mut counter = tag;
    counter[8] &= 0x7F;
    counter[12] &= 0x7F;
    let cipher = C::new_from_slice(key).expect("half of a key of SIV");
    CtrCore::<C, Ctr128BE>::inner_iv_init(cipher, &counter.into())
        .apply_keystream_partial(body.into());
}

/// Times x in GF(2^128).
fn double(block: Block) -> Block {
    let number = u128::from_be_bytes(block);
    // In constant time: the bit that falls out, times the polynomial.
    ((number << 1) ^ ((number >> 127) * 0x87)).to_be_bytes()
}

fn xor(a: Block, b: Block) -> Block {
    (u128::from_be_bytes(a) ^ u128::from_be_bytes(b)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cmac::Cmac;
    use gp::cipher::Aes128;
    use hex_literal::hex;

    /// Source: RFC 5297 A.1; all lengths against the crate that seals.
    #[test]
    fn the_tag_is_that_of_rfc_5297() {
        let key = hex!("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
        let (mac, cipher) = key.split_at(16);
        let header = hex!("101112131415161718191a1b1c1d1e1f2021222324252627");
        let mut body = hex!("40c02b9690c4dc04daef7f6afe5c");
        let tag = hex!("85632d07c6e8f37f950acd320a2ecc93");
        keystream::<Aes128>(cipher, tag, &mut body);
        assert_eq!(body, hex!("112233445566778899aabbccddee"));
        assert_eq!(s2v::<Cmac<Aes128>>(mac, &header, &body), tag);
        for len in 0..70 {
            let plain = &[0xA7; 70][..len];
            let mut theirs = <aes_siv::siv::CmacSiv<Aes128> as KeyInit>::new((&key).into());
            let mut sealed = plain.to_vec();
            let tag = theirs.encrypt_inout_detached([header], sealed.as_mut_slice().into());
            assert_eq!(s2v::<Cmac<Aes128>>(mac, &header, plain), tag.unwrap().0, "{len}");
        }
    }
}
