//! What is timed: a box buys a programme, a till and a gate take a fare.

use crate::bench::*;
use crate::card::Watched;
use cam_types::{Key, PackageId, Secret, TerminalSequence};
use ecm_emm::card::{
    AID_CAS, AccessStatus, EcmAnswer, INS_ECM, INS_PURCHASE, INS_VERIFY, PinAnswer, PinBlock,
    PurchaseAnswer, PurchaseRequest, PurchaseResult,
};
use ecm_emm::ecm::{ControlWords, Criteria, EcmBody, Ppt};
use ecm_emm::keys::pairing_keys;
use gp::scp03::{Initialize, Session};
use hex_literal::hex;
use wallet::port::CardPort as _;

/// The ECM of a programme with four packages; and the largest there is, with sixteen and slices of time.
pub fn programme(packages: u16, largest: bool) -> Vec<u8> {
    let slice = Ppt { event: EVENT, price: PRICE, slice_s: 600 };
    let criteria = Criteria {
        packages: (100..100 + packages).map(PackageId::new).collect(),
        ppv: Some(ppv(EVENT, NOON)),
        ppt: largest.then_some(slice),
        ..Criteria::default()
    };
    let words = ControlWords::Words64 {
        even: Secret::new(hex!("0102030405060708")),
        odd: Secret::new(hex!("1112131415161718")),
    };
    let body = body(NOON, criteria);
    seal_ecm(CINEMA_SERVICE, &if largest { body } else { EcmBody { words, ..body } })
}

/// A box with a session.
pub struct SetTopBox<'c> {
    card: &'c mut Watched,
    session: Session,
}

impl<'c> SetTopBox<'c> {
    /// SELECT, INITIALIZE UPDATE, EXTERNAL AUTHENTICATE.
    pub fn open(card: &'c mut Watched) -> Self {
        let mut select = vec![0x00, 0xA4, 0x04, 0x00, AID_CAS.len() as u8];
        select.extend(AID_CAS);
        select.push(0x00);
        card.transmit(&select).unwrap();
        let initialize = Initialize::new(pairing_keys(&Key::new(K_PAIR), STB), 0x3F, *b"hostrand");
        let response = card.transmit(&initialize.command()).unwrap();
        let open = initialize.answer(response.strip_suffix(&[0x90, 0x00]).unwrap()).unwrap();
        assert_eq!(card.transmit(open.command()).unwrap(), [0x90, 0x00]);
        let session = open.finish(0x9000).unwrap();
        Self { card, session }
    }

    fn send(&mut self, ins: u8, data: &[u8]) -> Vec<u8> {
        let mut apdu = Vec::new();
        self.session.wrap(0x80, ins, 0, 0, data, &mut apdu).unwrap();
        let response = self.card.transmit(&apdu).unwrap();
        let mut plain = Vec::new();
        assert_eq!(self.session.unwrap(&response, &mut plain), Ok(0x9000));
        plain
    }

    pub fn verify(&mut self) {
        let answer = self.send(INS_VERIFY, PinBlock::from_ascii(PIN).unwrap().expose());
        assert!(PinAnswer::parse(&answer).unwrap().right);
    }

    pub fn purchase(&mut self, section: &[u8]) {
        let mut data = Vec::new();
        PurchaseRequest {
            terminal_sequence: TerminalSequence::new(1),
            terminal: TERMINAL,
            expected_price: PRICE,
            flags: 0,
            section,
        }
        .emit(&mut data)
        .unwrap();
        let answer = PurchaseAnswer::parse(&self.send(INS_PURCHASE, &data)).unwrap();
        assert_eq!(answer.result, PurchaseResult::PAID);
    }

    pub fn watch(&mut self, section: &[u8]) {
        let answer = EcmAnswer::parse(&self.send(INS_ECM, section)).unwrap();
        assert_eq!(answer.status, AccessStatus::GRANTED_EVENT);
    }
}
