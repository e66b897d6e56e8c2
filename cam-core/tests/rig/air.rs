// SPDX-License-Identifier: Apache-2.0
//! What is on air: tables, ECMs, EMMs, and forgeries of them.

use super::card::{CARD, OPERATOR, STB, key, slot};
use cam_types::{
    CaSystemId, CasTime, ChannelId, Epoch, EventId, Fen, Key, PackageId, Pid, Pseudonym, Secret,
};
use ecm_emm::box_emm::{self, BoxCommand, BoxHeader, BoxPairing};
use ecm_emm::ca_descriptor::{CaDescriptor, CaPrivate};
use ecm_emm::cat::Cat;
use ecm_emm::descriptor::Descriptors;
use ecm_emm::ecm::{
    Cci, ControlWords, Criteria, EcmBody, EcmHeader, EcmKind, Ppv, Rating, Regions,
};
use ecm_emm::emm::{self, Address, EmmCommand, EmmHeader, KeyDelivery, KeyTarget};
use ecm_emm::keys::{KeyMaterial, Role};
use ecm_emm::pmt::{Pmt, Stream, Streams};
use ecm_emm::suite::{SealKey, Suite, WrappedKey};

pub(crate) const SYSTEM: CaSystemId = CaSystemId::new(0x4AF0);
pub(crate) const NEWS_ECM: Pid = Pid::from_field(0x0140);
pub(crate) const CINEMA_ECM: Pid = Pid::from_field(0x0141);
pub(crate) const EMM: Pid = Pid::from_field(0x0150);

/// A PMT with one CA_descriptor for all components.
pub(crate) fn pmt(number: u16, ecm_pid: Pid, mode: Option<u8>, first_es: u16) -> Vec<u8> {
    pmt_of(number, &ca_descriptors(&[(SYSTEM, ecm_pid, OPERATOR.value(), 2)]), mode, first_es)
}

pub(crate) fn pmt_of(number: u16, ca: &[u8], mode: Option<u8>, first_es: u16) -> Vec<u8> {
    let mut descriptors = ca.to_vec();
    if let Some(mode) = mode {
        descriptors.extend([0x65, 1, mode]);
    }
    let mut streams = Vec::new();
    for (n, stream_type) in [(0, 0x02), (1, 0x03)] {
        let stream = Stream {
            stream_type,
            pid: Pid::from_field(first_es + n),
            descriptors: Descriptors::default(),
        };
        stream.emit(&mut streams).unwrap();
    }
    let pmt = Pmt {
        program_number: number,
        version: 0,
        current: true,
        pcr_pid: Pid::from_field(first_es),
        descriptors: Descriptors::parse(&descriptors).unwrap(),
        streams: Streams::parse(&streams).unwrap(),
    };
    let mut out = Vec::new();
    pmt.emit(&mut out).unwrap();
    out
}

/// A PMT whose components have CA_descriptors of their own.
pub(crate) fn pmt_by_component(number: u16, ca: &[Vec<u8>], first_es: u16) -> Vec<u8> {
    let mut streams = Vec::new();
    for (pid, descriptors) in (first_es..).zip(ca) {
        let descriptors = Descriptors::parse(descriptors).unwrap();
        Stream { stream_type: 0x1B, pid: Pid::from_field(pid), descriptors }
            .emit(&mut streams)
            .unwrap();
    }
    let pmt = Pmt {
        program_number: number,
        version: 0,
        current: true,
        pcr_pid: Pid::from_field(first_es),
        descriptors: Descriptors::default(),
        streams: Streams::parse(&streams).unwrap(),
    };
    let mut out = Vec::new();
    pmt.emit(&mut out).unwrap();
    out
}

pub(crate) fn ca_descriptors(of: &[(CaSystemId, Pid, u16, u8)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (system, pid, operator, suite) in of {
        let operator = cam_types::OperatorId::new(*operator);
        let private = CaPrivate { operator, suite: *suite, channel: None }.octets();
        let descriptor = CaDescriptor { system: *system, pid: *pid, private: &private };
        descriptor.emit(&mut out).unwrap();
    }
    out
}

/// The news, whose PMT says of which channel its ECMs are. They are of 0101.
pub(crate) fn news_of_channel(channel: u16) -> Vec<u8> {
    pmt_of(1, &ca_of_channel(NEWS_ECM, channel), Some(0x10), 0x100)
}

/// A CA_descriptor that names the channel.
pub(crate) fn ca_of_channel(pid: Pid, channel: u16) -> Vec<u8> {
    let channel = Some(ChannelId::new(channel));
    let private = CaPrivate { operator: OPERATOR, suite: 2, channel }.octets();
    let mut out = Vec::new();
    CaDescriptor { system: SYSTEM, pid, private: &private }.emit(&mut out).unwrap();
    out
}

pub(crate) fn news() -> Vec<u8> {
    pmt(1, NEWS_ECM, Some(0x10), 0x100)
}

pub(crate) fn cinema() -> Vec<u8> {
    pmt(2, CINEMA_ECM, None, 0x102)
}

pub(crate) fn cat() -> Vec<u8> {
    let descriptors = ca_descriptors(&[(SYSTEM, EMM, OPERATOR.value(), 2)]);
    let cat = Cat {
        version: 0,
        current: true,
        number: (0, 0),
        descriptors: Descriptors::parse(&descriptors).unwrap(),
    };
    let mut out = Vec::new();
    cat.emit(&mut out).unwrap();
    out
}

/// The control word of a crypto period.
pub(crate) fn cw(period: u32) -> [u8; 16] {
    [period as u8 | 0x40; 16]
}

pub(crate) fn ecm_with(
    slot_number: u8,
    epoch: u16,
    period: u32,
    key: &SealKey,
    criteria: Criteria,
) -> Vec<u8> {
    rated_ecm(slot_number, epoch, period, key, criteria, 0)
}

/// The same with an age rating.
pub(crate) fn rated_ecm(
    slot_number: u8,
    epoch: u16,
    period: u32,
    key: &SealKey,
    criteria: Criteria,
    rating: u8,
) -> Vec<u8> {
    let (even, odd) = if period & 1 == 0 { (period, period + 1) } else { (period + 1, period) };
    let header = EcmHeader {
        kind: EcmKind::Cw128,
        suite: Suite::Cmac128,
        operator: OPERATOR,
        slot: slot(slot_number),
        epoch: Epoch::new(epoch),
        cp_number: period,
    };
    let body = EcmBody {
        channel: ChannelId::new(0x0101),
        time: CasTime::new(1000 + period),
        cci: Cci(0),
        rating: Rating(rating),
        regions: Regions::ALL,
        emm_floor: 0,
        cw: ControlWords::Cw128 { even: Secret::new(cw(even)), odd: Secret::new(cw(odd)) },
        criteria,
    };
    let mut out = Vec::new();
    body.seal(&header, key, &mut out).unwrap();
    out
}

pub(crate) fn news_ecm(period: u32) -> Vec<u8> {
    ecm_with(1, 1, period, &key(0x20), package(1))
}

pub(crate) fn package(number: u16) -> Criteria {
    Criteria { packages: vec![PackageId::new(number)], ..Criteria::default() }
}

pub(crate) fn ppv(event: u32, price: u32) -> Criteria {
    let ppv = Ppv {
        event: EventId::new(event),
        price: Fen::new(price),
        tier: 1,
        start: CasTime::new(0),
        end: CasTime::new(9000),
        preview_s: 0,
    };
    Criteria { ppv: Some(ppv), ..Criteria::default() }
}

pub(crate) fn cinema_ecm(period: u32, event: u32, price: u32) -> Vec<u8> {
    ecm_with(2, 1, period, &key(0x30), ppv(event, price))
}

/// An offer section: good for a purchase only.
pub(crate) fn offer(number: u32, event: u32, price: u32) -> Vec<u8> {
    let header = EcmHeader {
        kind: EcmKind::Offer,
        suite: Suite::Cmac128,
        operator: OPERATOR,
        slot: slot(2),
        epoch: Epoch::new(1),
        cp_number: number,
    };
    let body = EcmBody {
        channel: ChannelId::new(0x0201),
        time: CasTime::new(1000),
        cci: Cci(0),
        rating: Rating(0),
        regions: Regions::ALL,
        emm_floor: 0,
        cw: ControlWords::None,
        criteria: ppv(event, price),
    };
    let mut out = Vec::new();
    body.seal(&header, &key(0x30), &mut out).unwrap();
    out
}

/// The same section with its last octet turned round.
pub(crate) fn forged(section: &[u8]) -> Vec<u8> {
    let mut out = section.to_vec();
    if let Some(last) = out.last_mut() {
        *last ^= 0xFF;
    }
    out
}

/// The `number`-th forgery of a section: no two are alike.
pub(crate) fn forgery(section: &[u8], number: u32) -> Vec<u8> {
    let mut out = section.to_vec();
    let tag = out.iter_mut().skip(13);
    tag.zip((number + 1).to_be_bytes()).for_each(|(to, from)| *to ^= from);
    out
}

pub(crate) fn emm(seq: u32, commands: &[EmmCommand]) -> Vec<u8> {
    emm_to(Address::Unique(CARD), seq, commands)
}

pub(crate) fn emm_to(address: Address, seq: u32, commands: &[EmmCommand]) -> Vec<u8> {
    let header = emm_header(address, seq);
    let mut out = Vec::new();
    emm::seal(&header, commands, &key(0x1D), &mut out).unwrap();
    out
}

fn emm_header(address: Address, seq: u32) -> EmmHeader {
    let role = match address {
        Address::Unique(_) => Role::Individual,
        Address::Shared(_) => Role::Group,
        Address::Global => Role::Global,
    };
    EmmHeader {
        address,
        suite: Suite::Cmac128,
        operator: OPERATOR,
        role,
        epoch: Epoch::new(1),
        seq,
    }
}

pub(crate) fn grant(package: u16) -> EmmCommand {
    grant_until(package, 9000)
}

pub(crate) fn grant_until(package: u16, end: u32) -> EmmCommand {
    EmmCommand::Grant {
        package: PackageId::new(package),
        start: CasTime::new(0),
        end: CasTime::new(end),
        version: 1,
        horizon: None,
    }
}

/// A new generation of the service key of slot 1.
pub(crate) fn deliver(seq: u32, epoch: u16, octet: u8) -> Vec<u8> {
    let header = emm_header(Address::Unique(CARD), seq);
    let delivery = KeyDelivery {
        target: KeyTarget::Service(slot(1)),
        epoch: Epoch::new(epoch),
        suite: 2,
        usage: 0,
        wrapped: key(0x1D).wrap(&header.key_context(), key(octet).material()),
        kcv: key(octet).kcv(),
        not_before: CasTime::new(0),
    };
    emm(seq, &[EmmCommand::KeyDeliver(delivery)])
}

pub(crate) fn activate(seq: u32, epoch: u16) -> Vec<u8> {
    let target = KeyTarget::Service(slot(1));
    let epoch = Epoch::new(epoch);
    emm(seq, &[EmmCommand::KeyActivate { target, epoch, floor: epoch }])
}

fn box_message(seq: u32, command: impl Fn(&BoxHeader, &SealKey) -> BoxCommand) -> Vec<u8> {
    let k_box = key(0x60);
    let header = BoxHeader {
        stb: STB,
        suite: Suite::Cmac128,
        operator: OPERATOR,
        epoch: Epoch::new(1),
        seq,
    };
    let mut out = Vec::new();
    box_emm::seal(&header, &[command(&header, &k_box)], &k_box, &mut out).unwrap();
    out
}

pub(crate) fn box_pair(seq: u32, card: Pseudonym, pairing_slot: u8) -> Vec<u8> {
    box_message(seq, |header, k_box| {
        let k_pair = KeyMaterial::from(Key::new([0x80; 16]));
        let kcv = key(0x80).kcv();
        let WrappedKey::Short(k_pair) = k_box.wrap(&header.key_context(), &k_pair) else {
            panic!("a key of 128 bits wraps into 24 octets")
        };
        BoxCommand::Pair(BoxPairing {
            card,
            slot: pairing_slot,
            clear_cw_allowed: true,
            k_pair,
            ek2: [2; 16],
            ek1: [1; 16],
            kcv,
        })
    })
}

pub(crate) fn box_unpair(seq: u32) -> Vec<u8> {
    box_message(seq, |_, _| BoxCommand::Unpair(CARD))
}

pub(crate) fn stored_pairing() -> Vec<(String, Vec<u8>)> {
    vec![("pairing.0".to_owned(), box_pair(1, CARD, 0))]
}
