// SPDX-License-Identifier: Apache-2.0
//! Messages to the purse: through the CAS application, but not for its eyes.

use cam_types::{Aid, BcdDate, BcdTime, Fen, TerminalId};
use ecm_emm::card::{
    AccessStatus, EmmDetail, EmmOutcome, EmmResult, PurchaseResult, PurchaseState,
};
use ecm_emm::emm::{EmmCommand, KeyTarget};
use hex_literal::hex;
use system_tests::demo::*;
use vcard::Card;

const APPLIED: EmmResult = EmmResult::APPLIED;

fn topup(number: u16, amount: u32) -> EmmCommand {
    EmmCommand::Topup {
        number,
        amount: Fen::new(amount),
        date: BcdDate(hex!("20261130")),
        time: BcdTime(hex!("080000")),
        agent: TerminalId::new(hex!("A00000000001")),
    }
}

fn balance(card: &mut Card) -> u32 {
    card.status().balance.fen()
}

/// T9: a top-up counts once, under whatever message it comes.
#[test]
fn a_top_up_counts_once() {
    let mut card = card();
    info(&mut card);
    let first = TO_PURSE.seal(1, &[topup(1, 500)]);
    assert_eq!(emm(&mut card, &first), APPLIED);
    assert_eq!(emm(&mut card, &first), EmmResult::DUPLICATE);
    assert_eq!(emm(&mut card, &TO_PURSE.seal(2, &[topup(1, 500)])), EmmResult::DUPLICATE);
    assert_eq!(emm(&mut card, &TO_PURSE.seal(3, &[topup(2, 300)])), APPLIED);
    assert_eq!(balance(&mut card), 10_800);
    // The window of top-ups outlives the key.
    let deliver = TO_PURSE.delivery(KeyTarget::Own, 2, 2, [0x21; 16]);
    assert_eq!(emm(&mut card, &TO_PURSE.seal(4, &[deliver])), APPLIED);
    let new = Sender { epoch: 2, key: [0x21; 16], ..TO_PURSE };
    assert_eq!(emm(&mut card, &new.seal(1, &[topup(2, 300)])), EmmResult::DUPLICATE);
    card.power_on();
    info(&mut card);
    assert_eq!(emm(&mut card, &first), EmmResult::DUPLICATE);
    assert_eq!(balance(&mut card), 10_800);
}

/// T9, T34: the contactless interface takes no message, neither new nor old; a top-up counts once
/// on the other.
#[test]
fn a_top_up_counts_once_across_both_interfaces() {
    let mut card = card();
    let first = TO_PURSE.seal(1, &[topup(1, 500)]);
    let mut apdu = vec![0x80, ecm_emm::card::INS_EMM, 0, 0, first.len() as u8];
    apdu.extend_from_slice(&first);
    for (expected, paid) in [(APPLIED, 10_500), (EmmResult::DUPLICATE, 10_500)] {
        let before = balance(&mut card);
        assert!(!card.power_on_at(vcard::Interface::Contactless).is_empty());
        select(&mut card, Aid::CAS.octets());
        assert_ne!(send(&mut card, &apdu).1, 0x9000);
        assert_eq!(balance(&mut card), before);
        card.power_on();
        info(&mut card);
        assert_eq!(emm(&mut card, &first), expected);
        assert_eq!(balance(&mut card), paid);
    }
}

/// T31: a refund gives money back once, for this card's purchase, and ends the right with it.
#[test]
fn a_refund_ends_the_right() {
    let mut card = card();
    let mut stb = Stb::open(&mut card);
    let paid = stb.buy(&mut card, 1, &cinema(EVENT, NOON)).unwrap();
    let refund = |sequence, amount| {
        [EmmCommand::Refund { event: EVENT, sequence, amount: Fen::new(amount) }]
    };
    let not_found = EmmResult::refused(EmmDetail::NOT_FOUND);
    for (name, commands) in [
        ("another purchase", refund(2, 1200)),
        ("more than was paid", refund(paid.offline_sequence, 1201)),
    ] {
        assert_eq!(emm(&mut card, &TO_PURSE.seal(1, &commands)), not_found, "{name}");
    }
    let commands = refund(paid.offline_sequence, 1200);
    assert_eq!(emm(&mut card, &TO_PURSE.seal(1, &commands)), APPLIED);
    assert_eq!(emm(&mut card, &TO_PURSE.seal(2, &commands)), not_found);
    assert_eq!(balance(&mut card), 10_000);
    let done = stb.query(&mut card, 1);
    assert_eq!((done.result, done.state), (PurchaseResult::DONE, PurchaseState::REFUNDED));
    let watched = stb.ecm(&mut card, &cinema(EVENT, NOON));
    assert_eq!(watched.status, AccessStatus::PURCHASABLE);
    assert_eq!(stb.buy(&mut card, 2, &cinema(EVENT, NOON)).unwrap().result, PurchaseResult::PAID);
}

#[test]
fn a_blocked_purse_pays_nobody() {
    let mut card = card();
    info(&mut card);
    let block = TO_PURSE.seal(1, &[EmmCommand::WalletBlock { blocked: true }]);
    assert_eq!(emm(&mut card, &block), APPLIED);
    let mut stb = Stb::open(&mut card);
    let refused = stb.buy(&mut card, 1, &cinema(EVENT, NOON)).unwrap();
    assert_eq!(refused.result, PurchaseResult::CARD_BLOCKED);
    assert_eq!(select(&mut card, Aid::PURSE.octets()), 0x9000);
    assert_eq!(send(&mut card, &hex!("805C000204")).1, 0x6A81);
    info(&mut card);
    let unblock = TO_PURSE.seal(2, &[EmmCommand::WalletBlock { blocked: false }]);
    assert_eq!(emm(&mut card, &unblock), APPLIED);
    let mut stb = Stb::open(&mut card);
    assert_eq!(stb.buy(&mut card, 2, &cinema(EVENT, NOON)).unwrap().result, PurchaseResult::PAID);
}

/// T3, T23, T32: keys of the two domains do not speak for each other.
#[test]
fn neither_domain_speaks_for_the_other() {
    let mut card = card();
    info(&mut card);
    // The CAS key on a wallet message, and the other way round.
    let forged = Sender { key: K_IND, ..TO_PURSE }.seal(1, &[topup(1, 500)]);
    assert_eq!(emm(&mut card, &forged), EmmResult::refused(EmmDetail::AUTHENTICATION));
    let forged =
        Sender { key: K_WAL, ..TO_CARD }.seal(1, &[EmmCommand::EmmLevel { level: 1, after: None }]);
    assert_eq!(emm(&mut card, &forged), EmmResult::refused(EmmDetail::AUTHENTICATION));
    let elsewhere = cam_types::Pseudonym::new([0; 8]);
    let elsewhere = Sender { address: ecm_emm::emm::Address::Unique(elsewhere), ..TO_PURSE };
    assert_eq!(
        emm(&mut card, &elsewhere.seal(1, &[topup(1, 500)])),
        EmmResult::refused(EmmDetail::ADDRESS)
    );
    assert_eq!(balance(&mut card), 10_000);
    assert_eq!(card.status().commits, 0);
}

/// The purse's keys move in the same two phases; the key version shows it to terminals.
#[test]
fn purse_keys_are_replaced() {
    let mut card = card();
    info(&mut card);
    let (epoch, floor) = (cam_types::Epoch::new(2), cam_types::Epoch::new(2));
    let deliver = TO_PURSE.delivery(KeyTarget::Purchase, 2, 1, [0x31; 16]);
    let activate = EmmCommand::KeyActivate { target: KeyTarget::Purchase, epoch, floor };
    let version = |card: &mut Card| {
        select(card, Aid::PURSE.octets());
        send(card, &hex!("805001020B 01 00000001 001122334455 0F")).0[9]
    };
    let activate = TO_PURSE.seal(2, &[activate]);
    assert_eq!(emm(&mut card, &activate).outcome, EmmOutcome::LATER);
    assert_eq!(emm(&mut card, &TO_PURSE.seal(1, &[deliver])), APPLIED);
    assert_eq!(version(&mut card), 1);
    info(&mut card);
    assert_eq!(emm(&mut card, &activate), APPLIED);
    assert_eq!(version(&mut card), 2);
}
