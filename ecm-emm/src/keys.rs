//! Keys: their roles, the context that separates them and how a card's keys come from a master.
//!
//! Normative references:
//!  - `docs/spec/emm.md` (key roles), NIST SP 800-108 (derivation)

use crate::suite::SealKey;
use cam_types::{CardId, DecodeError, Epoch, Key, OperatorId, Secret, Slot, StbId};
use core::fmt;
use gp::scp03::StaticKeys;
use zeroize::Zeroize;

/// What a derived key is for: the derivation constant.
pub mod constant {
    /// A card's key from the operator's master key.
    pub const CARD_KEY: u8 = 0x40;
    /// Sealing ECMs and EMMs.
    pub const SEAL: u8 = 0x41;
    /// Wrapping keys inside a sealed message.
    pub const WRAP: u8 = 0x43;
    /// The SCP03 key set of a pairing.
    pub const PAIRING: u8 = 0x44;
    /// Transaction authentication codes of suite 2.
    pub const TAC: u8 = 0x61;
    /// Sealing reports.
    pub const REPORT: u8 = 0x62;
    /// Sealing acknowledgements.
    pub const ACKNOWLEDGEMENT: u8 = 0x63;
    /// The receipt chain.
    pub const RECEIPT: u8 = 0x64;
    /// The check octets of a request id.
    pub const REQUEST: u8 = 0x65;
}

/// What a key is for and who holds it. It selects what an EMM under the key may do.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Role {
    /// K_ind: one card, EMM-U.
    Individual = 0x11,
    /// K_grp: a group of cards, EMM-S.
    Group = 0x12,
    /// K_glb: every card of the operator, EMM-G.
    Global = 0x13,
    /// K_rec: one card, dormant, from a master kept offline.
    Recovery = 0x14,
    /// SK: a family of services, ECM.
    Service = 0x15,
    /// K_sig: the operator's signature on EMM-G.
    Signature = 0x16,
    /// K_rcp: one card, receipts and reports.
    Receipt = 0x17,
    /// K_wal: one card's wallet, EMM-U.
    Wallet = 0x21,
    /// K_wrec: one card's wallet, dormant.
    WalletRecovery = 0x24,
    /// K_tac2: one card, transaction authentication codes of suite 2.
    Tac = 0x27,
    /// K_box: one set-top box.
    Box = 0x41,
}

impl Role {
    /// As messages carry it.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The key lives in the wallet's domain and never enters the CAS.
    pub const fn is_wallet(self) -> bool {
        self.number() >> 4 == 2
    }

    const ALL: [Self; 11] = [
        Self::Individual,
        Self::Group,
        Self::Global,
        Self::Recovery,
        Self::Service,
        Self::Signature,
        Self::Receipt,
        Self::Wallet,
        Self::WalletRecovery,
        Self::Tac,
        Self::Box,
    ];
}

impl TryFrom<u8> for Role {
    type Error = DecodeError;

    fn try_from(number: u8) -> Result<Self, DecodeError> {
        let invalid = DecodeError::Invalid { field: "key role", got: number.into() };
        Self::ALL.into_iter().find(|role| role.number() == number).ok_or(invalid)
    }
}

/// Everything that tells one use of a key from another; 6 octets of every derivation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct KeyContext {
    /// What the key is for.
    pub role: Role,
    /// Whose it is.
    pub operator: OperatorId,
    /// The service key slot for role 15, else 0.
    pub slot: u8,
    /// Its generation.
    pub epoch: Epoch,
}

impl KeyContext {
    /// The context of a service key.
    pub const fn service(operator: OperatorId, slot: Slot, epoch: Epoch) -> Self {
        Self { role: Role::Service, operator, slot: slot.value(), epoch }
    }

    /// The context of any other key.
    pub const fn new(role: Role, operator: OperatorId, epoch: Epoch) -> Self {
        Self { role, operator, slot: 0, epoch }
    }

    /// role1 ‖ operator2 ‖ slot1 ‖ epoch2.
    pub const fn octets(&self) -> [u8; 6] {
        let [o1, o2] = self.operator.to_be_bytes();
        let [e1, e2] = self.epoch.to_be_bytes();
        [self.role.number(), o1, o2, self.slot, e1, e2]
    }
}

/// A symmetric key of either length. Never printed, wiped when dropped.
#[derive(Clone, Eq, PartialEq)]
pub enum KeyMaterial {
    /// 16 octets.
    Bits128(Key),
    /// 32 octets.
    Bits256(Secret<32>),
}

impl KeyMaterial {
    /// A key of 16 or 32 octets; `None` for any other length.
    pub fn from_slice(octets: &[u8]) -> Option<Self> {
        if let Ok(octets) = octets.try_into() {
            Some(Self::Bits128(Secret::new(octets)))
        } else {
            octets.try_into().ok().map(|octets| Self::Bits256(Secret::new(octets)))
        }
    }

    /// The octets, for a cipher to use.
    pub const fn expose(&self) -> &[u8] {
        match self {
            Self::Bits128(key) => key.expose(),
            Self::Bits256(key) => key.expose(),
        }
    }

    /// A key of 128 bits, if it is one.
    pub const fn bits128(&self) -> Option<&Key> {
        match self {
            Self::Bits128(key) => Some(key),
            Self::Bits256(_) => None,
        }
    }
}

impl From<Key> for KeyMaterial {
    fn from(key: Key) -> Self {
        Self::Bits128(key)
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaterial { .. }")
    }
}

/// A card's key of this role and generation, from the operator's master key; same suite.
pub fn card_key(
    master: &SealKey,
    role: Role,
    operator: OperatorId,
    card: CardId,
    generation: Epoch,
) -> SealKey {
    let mut context = [0; 13];
    let fields = [role.number()]
        .into_iter()
        .chain(operator.to_be_bytes())
        .chain(*card.octets())
        .chain(generation.to_be_bytes());
    for (slot, octet) in context.iter_mut().zip(fields) {
        *slot = octet;
    }
    master.derived(constant::CARD_KEY, &context)
}

/// The SCP03 key set between a card and a box: ENC, MAC and DEK from what they share.
pub fn pairing_keys(k_pair: &Key, stb: StbId) -> StaticKeys {
    let derive = |k: u8| {
        let mut context = [k; 9];
        context[..8].copy_from_slice(stb.octets());
        let mut octets = [0; 16];
        gp::kdf_cmac(k_pair.expose(), constant::PAIRING, &context, &mut octets)
            .expect("a 16-octet key derives 16 octets");
        let key = Key::new(octets);
        octets.zeroize();
        key
    };
    StaticKeys { enc: derive(1), mac: derive(2), dek: derive(3) }
}
