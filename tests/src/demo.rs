// SPDX-License-Identifier: Apache-2.0
//! The demo's card in memory, a paired box, and an operator who seals messages.

use crate::entropy::Sevens;
use cam_core::Config;
use cam_types::{
    Aid, CasTime, ChannelId, ControlWord, Epoch, EventId, Fen, Key, OperatorId, PackageId,
    Pseudonym, Secret, Slot, StatusWord, StbId, TerminalId, TerminalSequence, interindustry,
};
use ecm_emm::box_emm::{self, BoxCommand, BoxHeader, BoxPairing};
use ecm_emm::card::{
    CardInfo, EcmAnswer, EmmResult, INS_ECM, INS_EMM, INS_INFO, INS_PURCHASE, INS_RIGHTS,
    INS_VERIFY, PinAnswer, PinBlock, PurchaseAnswer, PurchaseRequest, VERIFY_PURCHASE, WalletInfo,
};
use ecm_emm::ecm::{
    Cci, ControlWords, Criteria, EcmBody, EcmHeader, EcmKind, Ppv, Rating, Regions,
};
use ecm_emm::emm::{self, Address, EmmCommand, EmmHeader, KeyDelivery, KeyTarget};
use ecm_emm::keys::{KeyMaterial, Role, pairing_keys};
use ecm_emm::report::ReportHeader;
use ecm_emm::suite::{SealKey, Suite, WrappedKey};
use gp::scp03::{Initialize, ScpError, Session};
use hex_literal::hex;
use std::path::Path;
use vcard::nvm::{PageStore, RamStore};
use vcard::{Card, Personalisation, Random};

pub const OPERATOR: OperatorId = OperatorId::new(0x1201);
pub const PSEUDONYM: Pseudonym = Pseudonym::new(hex!("A1B2C3D4E5F60718"));
pub const STB: StbId = StbId::new(*b"STB00001");
pub const TERMINAL: TerminalId = TerminalId::new(hex!("530000000001"));
pub const PIN: &[u8] = b"40962718";
pub const WRONG_PIN: &[u8] = b"11112222";
pub const K_PAIR: [u8; 16] = hex!("808182838485868788898a8b8c8d8e8f");
pub const K_CW: [u8; 16] = hex!("909192939495969798999a9b9c9d9e9f");
pub const K_IND: [u8; 16] = hex!("8acbae1a01fb6754ff5491664bd245d4");
pub const K_GRP: [u8; 16] = hex!("404142434445464748494a4b4c4d4e4f");
pub const K_GLB: [u8; 16] = hex!("505152535455565758595a5b5c5d5e5f");
pub const K_WAL: [u8; 16] = hex!("d0d1d2d3d4d5d6d7d8d9dadbdcdddedf");
pub const NEWS_1: [u8; 16] = hex!("202122232425262728292a2b2c2d2e2f");
pub const NEWS_2: [u8; 16] = hex!("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
pub const K_RCP: [u8; 16] = hex!("b0b1b2b3b4b5b6b7b8b9babbbcbdbebf");
pub const BOX_KEY: [u8; 16] = [0x60; 16];
pub const CINEMA: [u8; 16] = hex!("303132333435363738393a3b3c3d3e3f");

/// 2026-12-01T12:00:00Z, the demo's noon; the card's clock stands a day and a half before.
pub const NOON: CasTime = CasTime::new(849_441_600);
pub const DAY: u32 = 86_400;

pub const EVENT: EventId = EventId::new(2001);
pub const PRICE: Fen = Fen::new(1200);

/// Demo file and pairing of slot 0; `more` comes in front.
pub fn file(more: &str) -> String {
    let demo = include_str!("../../examples/demo/card.toml");
    let pairing = r#"
        [[pairing]]
        slot = 0
        stb_id = "5354423030303031"
        k_pair = "808182838485868788898a8b8c8d8e8f"
        k_cw = "909192939495969798999a9b9c9d9e9f"
    "#;
    format!("{more}\n{demo}\n{pairing}")
}

/// What the card of this file is made from.
pub fn personalisation(more: &str) -> Personalisation {
    let path = Path::new("card.toml");
    Personalisation::from_text(&file(more), path).unwrap_or_else(|e| panic!("{e}"))
}

/// The memory of the demo's card.
pub fn memory() -> Vec<u8> {
    Card::personalise(&personalisation("")).unwrap_or_else(|e| panic!("{e}")).octets().to_vec()
}

/// Random numbers that are the same every time.
pub fn counting() -> Random {
    let mut next = 0_u8;
    Random::new(move |octets| {
        for octet in octets {
            next = next.wrapping_mul(5).wrapping_add(113);
            *octet = next;
        }
    })
}

/// The demo's card, powered.
pub fn card() -> Card {
    powered(Box::new(RamStore::new(&memory())))
}

pub fn powered(store: Box<dyn PageStore>) -> Card {
    let mut card = Card::with_random(store, counting()).unwrap_or_else(|e| panic!("{e}"));
    assert!(!card.power_on().is_empty());
    card
}

/// A command in clear; data and status word.
pub fn send(card: &mut Card, apdu: &[u8]) -> (Vec<u8>, u16) {
    let mut response = card.transmit(apdu).unwrap();
    let low = response.pop().unwrap();
    let high = response.pop().unwrap();
    (response, u16::from_be_bytes([high, low]))
}

pub fn select(card: &mut Card, aid: &[u8]) -> u16 {
    send(card, &interindustry::select(aid).collect::<Vec<_>>()).1
}

/// A box with an open session.
pub struct Stb {
    session: Session,
}

/// How a command under secure messaging failed.
#[derive(Debug, Eq, PartialEq)]
pub enum Failed {
    /// The power went.
    PowerLost,
    /// A bare status word.
    Status(u16),
}

impl Stb {
    pub fn open(card: &mut Card) -> Self {
        Self::with_keys(card, 0x3F, &Key::new(K_PAIR), STB).unwrap()
    }

    pub fn with_keys(card: &mut Card, kvn: u8, k_pair: &Key, stb: StbId) -> Result<Self, ScpError> {
        assert_eq!(select(card, Aid::CAS.octets()), 0x9000);
        let initialize = Initialize::new(pairing_keys(k_pair, stb), kvn, *b"hostrand");
        let (answer, sw) = send(card, &initialize.command());
        if sw != 0x9000 {
            return Err(ScpError::Refused(StatusWord(sw)));
        }
        let open = initialize.answer(&answer)?;
        let (_, sw) = send(card, open.command());
        Ok(Self { session: open.finish(StatusWord(sw))? })
    }

    pub fn wrapped(&mut self, ins: u8, p1: u8, p2: u8, data: &[u8]) -> Vec<u8> {
        let mut apdu = Vec::new();
        self.session.wrap(0x80, ins, p1, p2, data, &mut apdu).unwrap();
        apdu
    }

    pub fn send(
        &mut self,
        card: &mut Card,
        ins: u8,
        p2: u8,
        data: &[u8],
    ) -> Result<Vec<u8>, Failed> {
        let apdu = self.wrapped(ins, 0, p2, data);
        let response = card.transmit(&apdu).map_err(|_| Failed::PowerLost)?;
        let mut plain = Vec::new();
        match self.session.unwrap(&response, &mut plain) {
            Ok(StatusWord::OK) => Ok(plain),
            Ok(sw) | Err(ScpError::Refused(sw)) => Err(Failed::Status(sw.0)),
            Err(error) => panic!("{error}"),
        }
    }

    pub fn ecm(&mut self, card: &mut Card, section: &[u8]) -> EcmAnswer {
        EcmAnswer::parse(&self.send(card, INS_ECM, 0, section).unwrap()).unwrap()
    }

    /// For one purchase.
    pub fn verify(&mut self, card: &mut Card, pin: &[u8]) -> Result<PinAnswer, Failed> {
        self.verify_for(card, VERIFY_PURCHASE, pin)
    }

    /// For what P2 says.
    pub fn verify_for(
        &mut self,
        card: &mut Card,
        purpose: u8,
        pin: &[u8],
    ) -> Result<PinAnswer, Failed> {
        let block = PinBlock::from_ascii(pin).unwrap();
        let answer = self.send(card, INS_VERIFY, purpose, block.expose())?;
        Ok(PinAnswer::parse(&answer).unwrap())
    }

    pub fn purchase(
        &mut self,
        card: &mut Card,
        sequence: u32,
        expected_price: Fen,
        section: &[u8],
    ) -> Result<PurchaseAnswer, Failed> {
        let flags = if section.is_empty() { PurchaseRequest::QUERY } else { 0 };
        let mut data = Vec::new();
        let terminal_sequence = TerminalSequence::new(sequence);
        PurchaseRequest { terminal_sequence, terminal: TERMINAL, expected_price, flags, section }
            .emit(&mut data)
            .unwrap();
        let answer = self.send(card, INS_PURCHASE, 0, &data)?;
        Ok(PurchaseAnswer::parse(&answer).unwrap())
    }

    /// With the right PIN.
    pub fn buy(
        &mut self,
        card: &mut Card,
        sequence: u32,
        section: &[u8],
    ) -> Result<PurchaseAnswer, Failed> {
        self.verify(card, PIN)?;
        self.purchase(card, sequence, PRICE, section)
    }

    pub fn query(&mut self, card: &mut Card, sequence: u32) -> PurchaseAnswer {
        self.purchase(card, sequence, Fen::ZERO, &[]).unwrap()
    }

    pub fn wallet(&mut self, card: &mut Card) -> WalletInfo {
        WalletInfo::parse(&self.send(card, INS_RIGHTS, 1, &[]).unwrap()).unwrap()
    }
}

/// CAS INFO in clear. Selects the application, which ends a session.
pub fn info(card: &mut Card) -> CardInfo {
    select(card, Aid::CAS.octets());
    let (data, sw) = send(card, &[0x80, INS_INFO, 0, 0, 0]);
    assert_eq!(sw, 0x9000);
    CardInfo::parse(&data).unwrap()
}

/// An EMM in clear, which leaves a session alone.
pub fn emm(card: &mut Card, section: &[u8]) -> EmmResult {
    let mut apdu = vec![0x80, INS_EMM, 0, 0, section.len() as u8];
    apdu.extend_from_slice(section);
    let (data, sw) = send(card, &apdu);
    assert_eq!(sw, 0x9000);
    EmmResult::parse(&data).unwrap()
}

pub fn key(octets: [u8; 16]) -> SealKey {
    SealKey::new(Suite::Cmac128, KeyMaterial::from(Key::new(octets))).unwrap()
}

/// A service key on the air.
#[derive(Clone, Copy)]
pub struct Service {
    pub slot: u8,
    pub epoch: u16,
    pub key: [u8; 16],
}

pub const NEWS: Service = Service { slot: 1, epoch: 1, key: NEWS_1 };
pub const CINEMA_SERVICE: Service = Service { slot: 2, epoch: 1, key: CINEMA };

pub const CW_EVEN: [u8; 16] = hex!("E0E1E2E3E4E5E6E7E8E9EAEBECEDEEEF");
pub const CW_ODD: [u8; 16] = hex!("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF");

/// The body of an ECM that gives nothing to anybody.
pub fn body(time: CasTime, criteria: Criteria) -> EcmBody {
    EcmBody {
        channel: ChannelId::new(0x0101),
        time,
        cci: Cci(0x0F),
        rating: Rating(0),
        regions: Regions::ALL,
        emm_floor: 0,
        cw: ControlWords::Cw128 { even: ControlWord::new(CW_EVEN), odd: ControlWord::new(CW_ODD) },
        criteria,
    }
}

pub fn seal_ecm(service: Service, body: &EcmBody) -> Vec<u8> {
    seal_period(service, 2, body)
}

/// The ECM of a crypto period.
pub fn seal_period(service: Service, cp_number: u32, body: &EcmBody) -> Vec<u8> {
    let header = EcmHeader {
        kind: body.cw.kind(),
        suite: Suite::Cmac128,
        operator: OPERATOR,
        slot: Slot::new(service.slot),
        epoch: Epoch::new(service.epoch),
        cp_number,
    };
    let mut section = Vec::new();
    body.seal(&header, &key(service.key), &mut section).unwrap();
    section
}

/// News: package 1.
pub fn news(time: CasTime) -> Vec<u8> {
    seal_ecm(NEWS, &body(time, subscription()))
}

pub fn subscription() -> Criteria {
    Criteria { packages: vec![PackageId::new(1)], ..Criteria::default() }
}

pub fn ppv(event: EventId, start: CasTime) -> Ppv {
    Ppv { event, price: PRICE, tier: 1, start, end: start.saturating_add(3600), preview_s: 0 }
}

/// Cinema: the event of this moment.
pub fn cinema(event: EventId, time: CasTime) -> Vec<u8> {
    let criteria = Criteria { ppv: Some(ppv(event, NOON)), ..Criteria::default() };
    let cw = ControlWords::Cw64 {
        even: Secret::new(hex!("0102030405060708")),
        odd: Secret::new(hex!("1112131415161718")),
    };
    seal_ecm(CINEMA_SERVICE, &EcmBody { cw, ..body(time, criteria) })
}

/// The same as an offer, without control words.
pub fn cinema_offer(event: EventId, time: CasTime) -> Vec<u8> {
    let criteria = Criteria { ppv: Some(ppv(event, NOON)), ..Criteria::default() };
    let section =
        seal_ecm(CINEMA_SERVICE, &EcmBody { cw: ControlWords::None, ..body(time, criteria) });
    assert_eq!(EcmKind::Offer, ecm_emm::ecm::Ecm::parse(&section).unwrap().header.kind);
    section
}

/// Who sends an EMM, and under which key.
#[derive(Clone, Copy)]
pub struct Sender {
    pub address: Address,
    pub role: Role,
    pub epoch: u16,
    pub key: [u8; 16],
}

pub const TO_CARD: Sender =
    Sender { address: Address::Unique(PSEUDONYM), role: Role::Individual, epoch: 1, key: K_IND };
pub const TO_GROUP: Sender =
    Sender { address: Address::Shared(1), role: Role::Group, epoch: 1, key: K_GRP };
pub const TO_ALL: Sender =
    Sender { address: Address::Global, role: Role::Global, epoch: 1, key: K_GLB };
pub const TO_PURSE: Sender =
    Sender { address: Address::Unique(PSEUDONYM), role: Role::Wallet, epoch: 1, key: K_WAL };

impl Sender {
    pub const fn header(&self, seq: u32) -> EmmHeader {
        EmmHeader {
            address: self.address,
            suite: Suite::Cmac128,
            operator: OPERATOR,
            role: self.role,
            epoch: Epoch::new(self.epoch),
            seq,
        }
    }

    pub fn seal(&self, seq: u32, commands: &[EmmCommand]) -> Vec<u8> {
        let mut section = Vec::new();
        emm::seal(&self.header(seq), commands, &key(self.key), &mut section).unwrap();
        section
    }

    /// KEY_DELIVER of a suite-2 key, or a suite-1 key for the purse.
    pub fn delivery(&self, target: KeyTarget, epoch: u16, suite: u8, new: [u8; 16]) -> EmmCommand {
        EmmCommand::KeyDeliver(self.key_delivery(target, epoch, suite, new))
    }

    pub fn key_delivery(
        &self,
        target: KeyTarget,
        epoch: u16,
        suite: u8,
        new: [u8; 16],
    ) -> KeyDelivery {
        let carrier = key(self.key);
        KeyDelivery {
            target,
            epoch: Epoch::new(epoch),
            suite,
            usage: 0,
            wrapped: carrier.wrap(&self.header(1).key_context(), &KeyMaterial::from(Key::new(new))),
            kcv: key(new).kcv(),
            not_before: CasTime::new(0),
        }
    }
}

/// The demo's box as its engine is told: paired with the card.
pub fn paired() -> Config {
    let mut config = Config::new(STB, Key::new(BOX_KEY), Box::new(Sevens));
    config.stored = vec![box_pairing(STB, 0, K_PAIR, PSEUDONYM)];
    config
}

/// The SK of News.
pub fn news_target() -> KeyTarget {
    KeyTarget::Service(Slot::new(1))
}

impl Stb {
    /// The data of a protected answer with status 9000.
    pub fn opened(&mut self, response: &[u8]) -> Vec<u8> {
        self.verify_answer(response).unwrap()
    }

    /// The same, or why it is none.
    pub fn verify_answer(&mut self, response: &[u8]) -> Result<Vec<u8>, ScpError> {
        let mut plain = Vec::new();
        match self.session.unwrap(response, &mut plain)? {
            StatusWord::OK => Ok(plain),
            sw => Err(ScpError::Refused(sw)),
        }
    }
}

/// A section with any plaintext, sealed without asking whether a card would take it.
pub fn raw(sender: Sender, seq: u32, plain: &[u8]) -> Vec<u8> {
    let header = sender.header(seq);
    let len = header.aad_len() + 16 + plain.len() - 3;
    let mut section = vec![header.table_id(), 0x70 | (len >> 8) as u8, len as u8];
    match sender.address {
        Address::Unique(pseudonym) => section.extend(pseudonym.octets()),
        Address::Shared(group) => section.extend(group.to_be_bytes()),
        Address::Global => {}
    }
    section.push(0x12);
    section.extend(OPERATOR.to_be_bytes());
    section.push(sender.role.number());
    section.extend(sender.epoch.to_be_bytes());
    section.extend(seq.to_be_bytes());
    let aad = section.clone();
    key(sender.key).seal(&header.key_context(), &aad, plain, &mut section);
    section
}

/// The header of this card's reports.
pub const REPORT_HEADER: ReportHeader = ReportHeader {
    suite: Suite::Cmac128,
    operator: OPERATOR,
    pseudonym: PSEUDONYM,
    epoch: Epoch::new(1),
};

/// A box's half of its pairing with a card, as its storage holds it. Its own key is [`BOX_KEY`].
pub fn box_pairing(stb: StbId, slot: u8, k_pair: [u8; 16], card: Pseudonym) -> (String, Vec<u8>) {
    let k_box = key(BOX_KEY);
    let header =
        BoxHeader { stb, suite: Suite::Cmac128, operator: OPERATOR, epoch: Epoch::new(1), seq: 1 };
    let wrapped = k_box.wrap(&header.key_context(), &KeyMaterial::from(Key::new(k_pair)));
    let WrappedKey::Short(wrapped) = wrapped else { panic!("a key of 128 bits is a short one") };
    let command = BoxCommand::Pair(BoxPairing {
        card,
        slot,
        clear_cw_allowed: false,
        k_pair: wrapped,
        ek2: [2; 16],
        ek1: [1; 16],
        kcv: key(k_pair).kcv(),
    });
    let mut section = Vec::new();
    box_emm::seal(&header, &[command], &k_box, &mut section).unwrap();
    (format!("pairing.{slot}"), section)
}
