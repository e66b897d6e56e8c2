//! What is timed: a box buys a programme, a till and a gate take a fare.

use crate::bench::*;
use crate::card::{Exchange, Watched};
use cam_types::{BcdDate, BcdTime, Fen, Key, PackageId, Secret, TerminalId, TerminalSequence};
use ecm_emm::card::{
    AID_CAS, AccessStatus, EcmAnswer, INS_ECM, INS_PURCHASE, INS_VERIFY, PinAnswer, PinBlock,
    PurchaseAnswer, PurchaseRequest, PurchaseResult,
};
use ecm_emm::ecm::{ControlWords, Criteria, EcmBody, Ppt};
use ecm_emm::keys::pairing_keys;
use gp::scp03::{Initialize, Session};
use hex_literal::hex;
use vcard::Interface;
use wallet::PURSE_AID;
use wallet::flow::fare::{FareTable, Station};
use wallet::flow::gate::Gate;
use wallet::flow::till::{Side, Till};
use wallet::flow::{Order, Purse, Scheme};
use wallet::keys::PurchaseKey;
use wallet::port::CardPort as _;
use wallet::profile::Profile;
use wallet::psam::SoftPsam;
use wallet::purchase::Debit;

/// The ECM of a programme with so many packages; `slices` adds slices of time and control words of 128 bits.
pub fn programme(packages: u16, slices: bool) -> Vec<u8> {
    let slice = Ppt { event: EVENT, price: PRICE, slice_s: 600 };
    let criteria = Criteria {
        packages: (100..100 + packages).map(PackageId::new).collect(),
        ppv: Some(ppv(EVENT, NOON)),
        ppt: slices.then_some(slice),
        ..Criteria::default()
    };
    let words = ControlWords::Words64 {
        even: Secret::new(hex!("0102030405060708")),
        odd: Secret::new(hex!("1112131415161718")),
    };
    let body = body(NOON, criteria);
    seal_ecm(CINEMA_SERVICE, &if slices { body } else { EcmBody { words, ..body } })
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

/// A terminal with the master key of terminals, whose secure module takes no time of the card's.
fn psam() -> SoftPsam {
    let master = hex!("00112233445566778899aabbccddeeff");
    SoftPsam::new(TerminalId::new(hex!("001122334455")), TerminalSequence::new(0))
        .with_key(1, PurchaseKey::new(Secret::new(master)))
}

const SCHEME: Scheme<'_> = Scheme { aid: &PURSE_AID, profile: Profile::PBOC, uid: None };

fn order(amount: u32) -> Order {
    Order {
        key_index: 1,
        amount: Fen::new(amount),
        date: BcdDate(hex!("20261201")),
        time: BcdTime(hex!("200000")),
    }
}

/// A till takes 3.50 without a PIN: from SELECT to the answer of DEBIT.
pub fn sold(interface: Interface) -> Vec<Exchange> {
    let mut card = Watched::new(&memory(), interface);
    let side = match interface {
        Interface::Contact => Side::Contact,
        Interface::Contactless => Side::Contactless,
    };
    let mut psam = psam();
    let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
    let till = Till { pin_free: Fen::new(1000), side };
    let debiting = till.sell(&mut purse, &order(350), None, &mut psam).unwrap();
    let Debit::Paid(receipt) = purse.debit(debiting, &mut psam) else { panic!("not paid") };
    assert_eq!(receipt.balance, Fen::new(9650));
    card.exchanges
}

/// A gate lets a card in at station 1, and out at station 4 for 2.00.
pub fn passed() -> [Vec<Exchange>; 2] {
    let mut card = Watched::new(&memory(), Interface::Contactless);
    let mut psam = psam();
    let fares = FareTable::new(Vec::new(), vec![(3, Fen::new(200))]);
    [(1, Fen::new(10_000)), (4, Fen::new(9800))].map(|(station, left)| {
        card.exchanges.clear();
        let gate = Gate { station: Station(station), fares: &fares, sfi: 0x17, identifier: 0x21 };
        let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
        let passage = match station {
            1 => gate.entry(&mut purse, &order(0), &mut psam),
            _ => gate.exit(&mut purse, &order(0), &mut psam),
        };
        let Debit::Paid(receipt) = purse.debit(passage.unwrap().debiting, &mut psam) else {
            panic!("not paid")
        };
        assert_eq!(receipt.balance, left);
        card.exchanges.clone()
    })
}
