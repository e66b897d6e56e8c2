// SPDX-License-Identifier: Apache-2.0
//! Everything that can be made with keys that were taken out of a card: one row for each command
//! there is, so that a new one joins by itself.

use crate::emm::{memory_with_signature, signing_key};
use cam_types::Pseudonym;
use ecm_emm::card::{EmmDetail, EmmResult};
use ecm_emm::emm::{
    self, Address, EmmCommand, Signature, Signing, TimeStep, role_permitted, signature_domain, tag,
};
use ecm_emm::keys::Role;
use p256::ecdsa::signature::Signer;
use system_tests::demo::*;
use system_tests::memory::Memory;
use vcard::Card;

/// What values begin with where not everything is taken: a role, a group and its key.
const BEGINNINGS: [&[u8]; 3] = [&[], &[0x15, 0x00, 0x04], &[0, 0, 0, 0, 1, 2, 0, 2]];

/// The command with this tag, of the first value that the parser takes; a key is wrapped as it
/// should be.
pub(crate) fn sample(sender: Sender, tag: u8) -> Vec<u8> {
    // What is old or does not open is answered before a signature is looked at.
    let good = match tag {
        tag::KEY_DELIVER => Some(sender.delivery(news_target(), 2, 2, NEWS_2)),
        tag::TIME_SYNC => {
            let time = NOON.saturating_add(DAY);
            Some(EmmCommand::TimeSync { time, step: TimeStep::Forward })
        }
        _ => None,
    };
    if let Some(good) = good {
        let mut plain = Vec::new();
        good.emit(&mut plain).unwrap();
        return plain;
    }
    for len in 0..=200 {
        for (beginning, rest) in BEGINNINGS.into_iter().flat_map(|it| [(it, 0), (it, 1)]) {
            let octets = beginning.iter().copied().chain(std::iter::repeat(rest));
            let value: Vec<u8> = octets.take(len).collect();
            if EmmCommand::parse(tag, &value).is_ok() {
                return [&[tag, value.len() as u8][..], &value].concat();
            }
        }
    }
    panic!("no sample of {tag:02X}");
}

/// A card whose pages are looked at.
struct Target {
    card: Card,
    memory: Memory,
    before: Vec<u8>,
}

impl Target {
    fn new() -> Self {
        let before = memory_with_signature();
        let memory = Memory::new(&before);
        let mut card = powered(memory.store());
        info(&mut card);
        Self { card, memory, before }
    }

    /// The message is refused so, and no page has changed.
    fn refuses(&mut self, section: &[u8], allowed: &[EmmDetail], name: &str) {
        let result = emm(&mut self.card, section);
        let one = allowed.iter().any(|detail| result == EmmResult::refused(*detail));
        assert!(one, "{name}: {result:?}");
        assert!(self.memory.octets() == self.before, "{name}: something was written");
    }
}

/// A genuine signature of this sender's domain, copied from behind another message.
fn copied(sender: Sender) -> Vec<u8> {
    let another = [signature_domain(sender.address), b"another message"].concat();
    let signature: p256::ecdsa::Signature = signing_key().sign(&another);
    let octets: [u8; 64] = signature.to_bytes().into();
    [&[Signature::TAG, 64][..], &octets].concat()
}

/// T4: whoever has K_grp and K_glb can say, unsigned or with a copied signature, nothing but what
/// the table gives to those keys alone.
#[test]
fn the_keys_of_many_cards_say_what_their_rows_allow() {
    let mut tried = 0;
    for sender in [TO_GROUP, TO_ALL] {
        let table = sender.header(1).table_id();
        for (tag, name) in tag::ALL {
            let plain = sample(sender, *tag);
            let seq = u32::from(*tag != tag::TIME_SYNC);
            let unsigned = emm::permitted(sender.role, table, Signing::Unsigned, *tag);
            if !unsigned {
                let section = raw(sender, seq, &plain);
                Target::new().refuses(&section, &[EmmDetail::PERMISSION], name);
                tried += 1;
            }
            // Signed commands have a number of their own, or none.
            let allowed = [EmmDetail::PERMISSION, EmmDetail::SIGNATURE, EmmDetail::MALFORMED];
            for seq in [0, 1] {
                let section = raw(sender, seq, &[plain.clone(), copied(sender)].concat());
                Target::new().refuses(&section, &allowed, name);
            }
            tried += 2;
        }
        // Under the tables of others, whatever it says.
        for address in [TO_CARD.address, TO_GROUP.address, TO_ALL.address] {
            let forged = Sender { address, ..sender };
            if role_permitted(sender.role, forged.header(1).table_id()) {
                continue;
            }
            for (tag, name) in tag::ALL {
                let section = raw(forged, 1, &sample(forged, *tag));
                Target::new().refuses(&section, &[EmmDetail::PERMISSION], name);
                tried += 1;
            }
        }
    }
    assert!(tried >= 6 * tag::ALL.len(), "{tried}");
}

/// T4: a forged message with the highest number silences nothing that is signed.
#[test]
fn the_highest_number_of_all_silences_nothing_signed() {
    let mut target = Target::new();
    let osd = [EmmCommand::Osd { id: 1, attributes: 0, text: "x".into() }];
    assert_eq!(emm(&mut target.card, &TO_ALL.seal(u32::MAX, &osd)), EmmResult::APPLIED);
    for seq in [1, 2, 200] {
        let level = [EmmCommand::EmmLevel { level: seq as u16, after: None }];
        let section = crate::emm::signed(seq, &level, &signing_key());
        assert_eq!(emm(&mut target.card, &section), EmmResult::APPLIED, "{seq}");
    }
    assert_eq!(info(&mut target.card).operators[0].emm_level, 200);
}

/// T3: with all keys of card A, no command gets into card B: not addressed to B under A's own keys,
/// nor A's own message, nor under the keys that both have but for what the rows of those allow.
#[test]
fn all_keys_of_one_card_open_no_other() {
    const OTHER: Pseudonym = Pseudonym::new([0xB2; 8]);
    let other = [0x5B; 16];
    let to_other = Address::Unique(PSEUDONYM);
    let mut tried = 0;
    for role in [Role::Individual, Role::Recovery, Role::Wallet, Role::WalletRecovery] {
        // What A knows: its own keys, and those of everybody.
        for key in [K_IND, K_WAL, K_GRP, K_GLB, K_RCP, NEWS_1, CINEMA, K_PAIR, other] {
            let genuine = match role {
                Role::Individual => Some(K_IND),
                Role::Wallet => Some(K_WAL),
                _ => None,
            };
            // The card under test is B: its own keys are what A does not know.
            if genuine == Some(key) {
                continue;
            }
            for (tag, name) in tag::ALL {
                let seq = u32::from(*tag != tag::TIME_SYNC || role.is_wallet());
                for (address, allowed) in [
                    (to_other, [EmmDetail::AUTHENTICATION, EmmDetail::NO_KEY, EmmDetail::SUITE]),
                    (Address::Unique(OTHER), [EmmDetail::ADDRESS; 3]),
                ] {
                    let sender = Sender { address, role, epoch: 1, key };
                    Target::new().refuses(&raw(sender, seq, &sample(sender, *tag)), &allowed, name);
                    tried += 1;
                }
            }
        }
    }
    assert!(tried >= 60 * tag::ALL.len(), "{tried}");
}
