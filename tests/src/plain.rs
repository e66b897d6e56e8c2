// SPDX-License-Identifier: Apache-2.0
//! Any octets as the plaintext of an authentic message, given to a real card: what fuzz targets and
//! their quick versions share. Whoever has a key writes what he likes behind its seal.

use crate::demo::*;
use crate::memory::Memory;
use ecm_emm::card::{EcmAnswer, EmmOutcome, INS_ECM, PurchaseResult};
use ecm_emm::ecm::EcmHeader;
use ecm_emm::emm::signature_domain;
use ecm_emm::keys::KeyContext;
use ecm_emm::suite::Suite;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use std::sync::OnceLock;
use vcard::{Card, Inspection, Personalisation};

/// A card with an operator's public key.
fn start() -> &'static [u8] {
    static MEMORY: OnceLock<Vec<u8>> = OnceLock::new();
    MEMORY.get_or_init(|| {
        let point = operator().verifying_key().to_sec1_point(false);
        let hex: String =
            point.as_bytes()[1..].iter().map(|octet| format!("{octet:02x}")).collect();
        let text = format!("{}\n[signature]\nepoch = 1\nkey = \"{hex}\"\n", file(""));
        let perso = Personalisation::from_text(&text, std::path::Path::new("card.toml"));
        Card::personalise(&perso.unwrap()).unwrap().octets().to_vec()
    })
}

fn operator() -> SigningKey {
    SigningKey::from_slice(&[0x42; 32]).unwrap()
}

fn started() -> (Memory, Card) {
    let memory = Memory::new(start());
    let card = powered(memory.store());
    (memory, card)
}

/// The longest plaintext of either message, with a signature behind it.
const LONGEST: usize = 130;

/// The body of an ECM: the first octet says whose and which kind, and whether it is bought.
pub fn ecm(octets: &[u8]) {
    let Some((first, plain)) = octets.split_first() else { return };
    let plain = &plain[..plain.len().min(LONGEST)];
    let service = if first & 4 == 0 { NEWS } else { CINEMA_SERVICE };
    let (table, flags) = [(0x80, 0), (0x80, 1), (0x88, 2), (0x81, 0)][usize::from(first & 3)];
    let period = u32::from(table == 0x81);
    let mut section = vec![table, 0x70, 0, 0x12];
    section.extend(OPERATOR.to_be_bytes());
    section.push(service.slot << 4 | flags);
    section.extend(service.epoch.to_be_bytes());
    section.extend(period.to_be_bytes());
    assert_eq!(section.len(), EcmHeader::LEN);
    section[2] = (EcmHeader::LEN - 3 + Suite::TAG_LEN + plain.len()) as u8;
    let aad = section.clone();
    let context = KeyContext::service(
        OPERATOR,
        cam_types::Slot::new(service.slot),
        cam_types::Epoch::new(service.epoch),
    );
    key(service.key).seal(&context, &aad, plain, &mut section);

    let (memory, mut card) = started();
    let mut stb = Stb::open(&mut card);
    let is_bought = first & 8 != 0;
    if is_bought {
        stb.verify(&mut card, PIN).unwrap();
    }
    let (pages, before) = (memory.octets(), card.inspect().unwrap());
    if is_bought {
        let answer = stb.purchase(&mut card, 1, PRICE, &section).unwrap();
        let after = card.inspect().unwrap();
        if answer.result == PurchaseResult::PAID {
            assert_eq!(
                after.status.balance.checked_add(answer.amount),
                Some(before.status.balance)
            );
            assert_eq!((answer.amount, answer.balance), (PRICE, after.status.balance));
            assert_eq!(after.rights.len(), before.rights.len() + 1);
            assert_eq!((after.log.len(), after.status.debits), (1, 1));
        } else {
            assert!(memory.octets() == pages, "{:?} wrote", answer.result);
        }
    } else {
        let answer = EcmAnswer::parse(&stb.send(&mut card, INS_ECM, 0, &section).unwrap()).unwrap();
        let after = card.inspect().unwrap();
        assert_eq!((&after.log, &after.pairings), (&before.log, &before.pairings));
        assert_eq!((&after.rights, money(&after)), (&before.rights, money(&before)));
        let number = answer.status.0;
        if matches!(number, 0x33 | 0x3E | 0x44..=0x47 | 0x4A) {
            assert!(memory.octets() == pages, "{number:02X} wrote");
        }
        assert_eq!(answer.ecw.is_some(), number < 0x20, "{number:02X}");
    }
    assert!(!card.power_on().is_empty());
}

fn money(card: &Inspection) -> (u32, u32, u8, &str) {
    (card.status.balance.fen(), card.status.debits, card.status.pin_tries, &card.purse)
}

/// The commands of an EMM: the first octet says from whom, the second the number.
pub fn emm(octets: &[u8]) {
    let [first, seq, plain @ ..] = octets else { return };
    let plain = &plain[..plain.len().min(LONGEST)];
    let (sender, is_signed) = [
        (TO_CARD, false),
        (TO_GROUP, false),
        (TO_GROUP, true),
        (TO_ALL, false),
        (TO_ALL, true),
        (TO_PURSE, false),
    ][usize::from(*first) % 6];
    let mut plain = plain.to_vec();
    if is_signed {
        // The header of the message that it will be.
        let whole = [&plain[..], &[0; 66]].concat();
        let mut signed = signature_domain(sender.address).to_vec();
        let section = raw(sender, (*seq).into(), &whole);
        signed.extend(&section[..sender.header(0).aad_len()]);
        signed.extend(&plain);
        let signature: Signature = operator().sign(&signed);
        plain.extend([0x7E, 64]);
        plain.extend(signature.to_bytes());
    }
    let section = raw(sender, (*seq).into(), &plain);
    let (memory, mut card) = started();
    info(&mut card);
    let (pages, before) = (memory.octets(), card.inspect().unwrap());
    let result = crate::demo::emm(&mut card, &section);
    let after = card.inspect().unwrap();
    if result.outcome != EmmOutcome::APPLIED {
        assert!(memory.octets() == pages, "{result:?} wrote");
    }
    if sender.role != TO_PURSE.role {
        assert_eq!((after.status.balance, &after.log), (before.status.balance, &before.log));
    }
    if matches!(usize::from(*first) % 6, 1 | 3) {
        assert_eq!((after.rights.len(), &after.pairings), (before.rights.len(), &before.pairings));
        assert_eq!((money(&after), after.sync), (money(&before), before.sync));
    }
    assert!(!card.power_on().is_empty());
}
