// SPDX-License-Identifier: Apache-2.0
//! The operator's messages that move money: a carousel repeats them until they have arrived.

use crate::account::Account;
use crate::operation::{Attempt, Operation};
use cam_types::{Aid, BcdDate, BcdTime, Fen, TerminalId};
use ecm_emm::card::{EmmOutcome, EmmResult, INS_EMM};
use ecm_emm::emm::EmmCommand;
use hex_literal::hex;
use system_tests::demo::*;
use system_tests::desk::Desk;
use vcard::nvm::RamStore;
use wallet::TransactionType;

/// A message, sent once; what the card says of it, if it says anything.
pub(crate) fn send_once(desk: &mut dyn Desk, section: &[u8]) -> Attempt {
    if desk.select(Aid::CAS).is_none() {
        return Attempt::Unsent;
    }
    let mut apdu = vec![0x80, INS_EMM, 0x00, 0x00, section.len() as u8];
    apdu.extend_from_slice(section);
    apdu.push(0x00);
    match desk.transmit(&apdu).as_deref().and_then(|answer| answer.strip_suffix(&[0x90, 0x00])) {
        Some(answer) => match EmmResult::parse(answer).unwrap().outcome {
            EmmOutcome::APPLIED | EmmOutcome::DUPLICATE => Attempt::Made,
            _ => Attempt::Unsent,
        },
        None => Attempt::Lost(section.to_vec()),
    }
}

/// The carousel comes round.
fn send_again(desk: &mut dyn Desk, section: &[u8]) -> Result<bool, String> {
    match send_once(desk, section) {
        Attempt::Made => Ok(true),
        other => Err(format!("sent again in vain: {other:?}")),
    }
}

/// WALLET_TOPUP.
pub(crate) struct TopUp;

impl Operation for TopUp {
    fn name(&self) -> &'static str {
        "top-up by EMM"
    }

    fn attempt(&self, desk: &mut dyn Desk, _round: u32) -> Attempt {
        let command = EmmCommand::Topup {
            number: 1,
            amount: Fen::new(500),
            date: BcdDate(hex!("20261130")),
            time: BcdTime(hex!("080000")),
            agent: TerminalId::new(hex!("A00000000001")),
        };
        send_once(desk, &TO_PURSE.seal(1, &[command]))
    }

    fn settle(&self, desk: &mut dyn Desk, lost: &[u8]) -> Result<bool, String> {
        send_again(desk, lost)
    }

    fn count(&self, account: &Account) -> usize {
        account.count(TransactionType::LOAD)
    }
}

/// WALLET_REFUND of the one programme that was bought: that its right has gone with it is an
/// invariant of the account.
pub(crate) struct Refund;

impl Operation for Refund {
    fn name(&self) -> &'static str {
        "refund by EMM"
    }

    fn before(&self) -> Vec<u8> {
        let memory = system_tests::memory::Memory::new(&memory());
        let mut card = powered(memory.store());
        let paid = Stb::open(&mut card).buy(&mut card, 1, &cinema(EVENT, NOON)).unwrap();
        assert_eq!(paid.offline_sequence, 1);
        drop(card);
        powered(Box::new(RamStore::new(&memory.octets())));
        memory.octets()
    }

    fn attempt(&self, desk: &mut dyn Desk, _round: u32) -> Attempt {
        let command = EmmCommand::Refund { event: EVENT, sequence: 1, amount: PRICE };
        send_once(desk, &TO_PURSE.seal(1, &[command]))
    }

    fn settle(&self, desk: &mut dyn Desk, lost: &[u8]) -> Result<bool, String> {
        send_again(desk, lost)
    }

    fn count(&self, account: &Account) -> usize {
        account.count(TransactionType::LOAD)
    }
}
