// SPDX-License-Identifier: Apache-2.0
//! The purse's keys: one type per use, their diversification and their session keys.

use crate::cipher::{Block, triple_des_encrypt};
use crate::mac::{Mac, halves, mac, retail_mac, xor};
use cam_types::{Key, Secret, TerminalSequence};

/// A session key or the folded TAC key: what MACs and TACs are made with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionKey(Secret<8>);

impl SessionKey {
    /// From its octets.
    pub const fn new(octets: Secret<8>) -> Self {
        Self(octets)
    }

    /// The MAC over `data`, from an initial vector of zeros.
    pub fn mac(&self, data: &[u8]) -> Mac {
        mac(&self.0, [0; 8], data)
    }
}

/// The key of a card, or of one more level, from a master key and a factor of 8 octets: the left
/// half encrypts the factor, the right half its complement.
pub fn diversify(master: &Key, factor: Block) -> Key {
    let left = triple_des_encrypt(master, factor);
    let right = triple_des_encrypt(master, factor.map(|octet| !octet));
    let mut key = [0; 16];
    key.iter_mut().zip(left.into_iter().chain(right)).for_each(|(to, from)| *to = from);
    Secret::new(key)
}

macro_rules! purse_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub struct $name(Key);

        impl $name {
            /// A card's key or a master key.
            pub const fn new(key: Key) -> Self {
                Self(key)
            }

            /// The card's key under this master key.
            #[must_use]
            pub fn diversify(&self, factor: Block) -> Self {
                Self(diversify(&self.0, factor))
            }
        }
    };
}

purse_key! {
    /// DPK: purchase, cash, compound purchase.
    PurchaseKey
}
purse_key! {
    /// DLK: load.
    LoadKey
}
purse_key! {
    /// DTK: transaction codes, which only the acquirer can check.
    TacKey
}

purse_key! {
    /// DULK: unload of the passbook.
    UnloadKey
}
purse_key! {
    /// DUK: update of the passbook's overdraft limit.
    OverdraftKey
}

impl PurchaseKey {
    /// SESPK. Only the low two octets of the terminal sequence enter it.
    pub fn session(
        &self,
        random: [u8; 4],
        offline_sequence: [u8; 2],
        terminal_sequence: TerminalSequence,
    ) -> SessionKey {
        let [a, b, c, d] = random;
        let [e, f] = offline_sequence;
        let [_, _, g, h] = terminal_sequence.to_be_bytes();
        SessionKey(Secret::new(triple_des_encrypt(&self.0, [a, b, c, d, e, f, g, h])))
    }
}

impl LoadKey {
    /// SESLK.
    pub fn session(&self, random: [u8; 4], online_sequence: [u8; 2]) -> SessionKey {
        online_session(&self.0, random, online_sequence)
    }
}

impl UnloadKey {
    /// SESULK.
    pub fn session(&self, random: [u8; 4], online_sequence: [u8; 2]) -> SessionKey {
        online_session(&self.0, random, online_sequence)
    }
}

impl OverdraftKey {
    /// The session key of an update.
    pub fn session(&self, random: [u8; 4], online_sequence: [u8; 2]) -> SessionKey {
        online_session(&self.0, random, online_sequence)
    }
}

/// The session key of whatever a host authorises.
fn online_session(key: &Key, random: [u8; 4], online_sequence: [u8; 2]) -> SessionKey {
    let [a, b, c, d] = random;
    let [e, f] = online_sequence;
    SessionKey(Secret::new(triple_des_encrypt(key, [a, b, c, d, e, f, 0x80, 0x00])))
}

impl TacKey {
    /// The MAC over `data` under the whole key, as the manual has the TAC of an overdraft update.
    pub(crate) fn whole(&self, data: &[u8]) -> Mac {
        retail_mac(&self.0, [0; 8], data)
    }

    /// The two halves folded into one DES key.
    pub fn fold(&self) -> SessionKey {
        let (left, right) = halves(&self.0);
        SessionKey(Secret::new(xor(*left.expose(), *right.expose())))
    }
}
