// SPDX-License-Identifier: Apache-2.0
//! A paired box buys a programme: VERIFY, PURCHASE, and QUERY when the answer is lost.

use crate::account::Account;
use crate::operation::{Attempt, Operation};
use cam_types::{Aid, Fen, Key, StatusWord, TerminalSequence};
use ecm_emm::card::{
    AccessStatus, EcmAnswer, INS_ECM, INS_PURCHASE, INS_VERIFY, PinBlock, PurchaseAnswer,
    PurchaseRequest, PurchaseResult,
};
use ecm_emm::keys::pairing_keys;
use gp::scp03::{Initialize, Session};
use system_tests::demo::*;
use system_tests::desk::Desk;
use wallet::TransactionType;

/// A box with an open session; `None` wherever the card does not answer as it should.
pub(crate) struct SetTopBox(Session);

impl SetTopBox {
    pub(crate) fn open(desk: &mut dyn Desk) -> Option<Self> {
        desk.select(Aid::CAS)?;
        let initialize = Initialize::new(pairing_keys(&Key::new(K_PAIR), STB), 0x3F, *b"hostrand");
        let response = desk.transmit(&initialize.command())?;
        let open = initialize.answer(response.strip_suffix(&[0x90, 0x00])?).ok()?;
        let response = desk.transmit(open.command())?;
        let (_, sw) = response.split_last_chunk::<2>()?;
        open.finish(StatusWord::from_be_bytes(*sw)).ok().map(Self)
    }

    pub(crate) fn send(&mut self, desk: &mut dyn Desk, ins: u8, data: &[u8]) -> Option<Vec<u8>> {
        let mut apdu = Vec::new();
        self.0.wrap(0x80, ins, 0, 0, data, &mut apdu).unwrap();
        let response = desk.transmit(&apdu)?;
        let mut plain = Vec::new();
        (self.0.unwrap(&response, &mut plain) == Ok(StatusWord::OK)).then_some(plain)
    }

    /// VERIFY, answered whatever the PIN is.
    pub(crate) fn verify(&mut self, desk: &mut dyn Desk, pin: &PinBlock) -> Option<Vec<u8>> {
        self.send(desk, INS_VERIFY, pin.expose())
    }

    /// PURCHASE, or QUERY without a section.
    pub(crate) fn purchase(
        &mut self,
        desk: &mut dyn Desk,
        number: u32,
        section: &[u8],
    ) -> Option<PurchaseAnswer> {
        let flags = if section.is_empty() { PurchaseRequest::QUERY } else { 0 };
        let terminal_sequence = TerminalSequence::new(number);
        let mut data = Vec::new();
        PurchaseRequest {
            terminal_sequence,
            terminal: TERMINAL,
            expected_price: PRICE,
            flags,
            section,
        }
        .emit(&mut data)
        .unwrap();
        PurchaseAnswer::parse(&self.send(desk, INS_PURCHASE, &data)?).ok()
    }
}

/// A programme for 12.00.
pub(crate) struct Programme;

impl Operation for Programme {
    fn name(&self) -> &'static str {
        "programme purchase"
    }

    fn attempt(&self, desk: &mut dyn Desk, round: u32) -> Attempt {
        let Some(mut stb) = SetTopBox::open(desk) else { return Attempt::Unsent };
        let pin = PinBlock::from_ascii(PIN).unwrap();
        if stb.verify(desk, &pin).is_none() {
            return Attempt::Unsent;
        }
        let number = 1 + round;
        match stb.purchase(desk, number, &cinema(EVENT, NOON)) {
            Some(said) if said.result == PurchaseResult::PAID => {
                assert_eq!((said.amount, said.balance), (PRICE, Fen::new(8800)));
                Attempt::Made
            }
            // Refused: no money has moved.
            Some(_) => Attempt::Unsent,
            None => Attempt::Lost(number.to_be_bytes().to_vec()),
        }
    }

    fn settle(&self, desk: &mut dyn Desk, lost: &[u8]) -> Result<bool, String> {
        let number = u32::from_be_bytes(lost.try_into().map_err(|_| "no number")?);
        let mut stb = SetTopBox::open(desk).ok_or("no session")?;
        let said = stb.purchase(desk, number, &[]).ok_or("no answer to QUERY")?;
        let watched = stb.send(desk, INS_ECM, &cinema(EVENT, NOON)).ok_or("no answer to an ECM")?;
        let watched = EcmAnswer::parse(&watched).map_err(|error| error.to_string())?.status;
        match (said.result, watched) {
            (PurchaseResult::DONE, AccessStatus::GRANTED_EVENT) => Ok(true),
            (PurchaseResult::NONE, AccessStatus::PURCHASABLE) => Ok(false),
            (said, watched) => Err(format!("QUERY says {said}, the ECM {watched}")),
        }
    }

    fn count(&self, account: &Account) -> usize {
        account.count(TransactionType::COMPOUND)
    }
}
