// SPDX-License-Identifier: Apache-2.0
//! A small card: real seals and a real secure channel, no memory, one PIN, one purse.

mod purse;

use cam_types::{
    Aid, CasTime, Epoch, EventId, Fen, Key, OperatorId, PackageId, Pseudonym, Slot, StatusWord,
    StbId, TerminalId, TerminalSequence,
};
use ecm_emm::card::{
    self, AccessStatus, AckResult, CardInfo, EcmAnswer, EmmDetail, EmmOutcome, EmmResult, KeyInfo,
    Offer, OpenedBy, OperatorInfo, PinBlock, PurchaseAnswer, ReportRequest, RightRow, RightsPage,
    SlotInfo,
};
use ecm_emm::ecm::{Cci, Ecm, EcmBody, Rating};
use ecm_emm::emm::{Emm, EmmCommand, KeyTarget};
use ecm_emm::keys::{KeyMaterial, pairing_keys};
use ecm_emm::report::{Ack, Report, ReportHeader, ReportRecord};
use ecm_emm::suite::{SealKey, Suite};
use gp::scp03::card::{Challenge, Session};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const OPERATOR: OperatorId = OperatorId::new(0x1201);
pub(crate) const CARD: Pseudonym = Pseudonym::new([0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0x07, 0x18]);
pub(crate) const STB: StbId = StbId::new(*b"STB00001");
pub(crate) const PIN: &[u8] = b"40962718";
pub(crate) const GROUP: u32 = 1;

/// A key of 128 bits in suite 2.
pub(crate) fn key(octet: u8) -> SealKey {
    SealKey::new(Suite::Cmac128, KeyMaterial::from(Key::new([octet; 16]))).unwrap()
}

/// K_rcp.
pub(crate) fn k_rcp() -> SealKey {
    key(0xB0)
}

/// The header of the card's reports.
pub(crate) fn report_header() -> ReportHeader {
    let epoch = Epoch::new(1);
    ReportHeader { suite: Suite::Cmac128, operator: OPERATOR, pseudonym: CARD, epoch }
}

/// When the power goes in the middle of the next debit.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Cut {
    BeforeCommit,
    AfterCommit,
}

pub(crate) struct ModelCard {
    pub pseudonym: Pseudonym,
    pub pairing_slots: u8,
    pub k_pair: Key,
    pub k_ind: SealKey,
    pub service: BTreeMap<(u8, Epoch), SealKey>,
    pub active: BTreeMap<u8, Epoch>,
    /// Each with its end.
    pub packages: BTreeMap<PackageId, CasTime>,
    pub blocked: bool,
    /// Programmes above this need the PIN, once in a session.
    pub rating_limit: u8,
    rating_lifted: bool,
    pub events: BTreeSet<EventId>,
    pub balance: Fen,
    pub tries: u8,
    pub pin: PinBlock,
    pub log: BTreeMap<(TerminalId, TerminalSequence), PurchaseAnswer>,
    pub debits: usize,
    applied: BTreeSet<u32>,
    verified: bool,
    selected: bool,
    challenge: Option<Challenge>,
    channel: Option<Session>,
    challenges: u8,
    dead: bool,
    pub cut: Option<Cut>,
    /// The next so many commands with this INS get this status word instead of an answer; 0000
    /// stands for silence.
    pub refuse: Option<(u8, u16, usize)>,
    /// What somebody on the line answers in the card's place to this INS outside a session.
    pub in_clear: Option<(u8, Vec<u8>)>,
    /// The INS whose answers are damaged on their way: an octet in front of the status word.
    pub damaged: Option<u8>,
    /// The card's clock.
    pub now: CasTime,
    /// Sections that end in a signature, and whether that holds.
    pub signed: BTreeMap<Vec<u8>, bool>,
    /// ECMs before it looks at a signature again.
    rest: u8,
    /// What it says behind its answers to ECMs and EMMs: it is a newer card.
    pub elements: &'static [u8],
    /// INS of every command, as the card understood it.
    pub seen: Vec<u8>,
    /// Every ECM that was judged, and how.
    pub judged: Vec<(Vec<u8>, AccessStatus)>,
    /// It has no room for another channel so many times.
    pub no_room: usize,
    /// A card of another system.
    pub foreign: bool,
    /// Records to be reported.
    pub reported: usize,
    /// The report that the operator has asked for.
    pub report: Option<ReportRequest>,
}

impl ModelCard {
    pub(crate) fn new() -> Self {
        Self {
            pseudonym: CARD,
            pairing_slots: 1,
            k_pair: Key::new([0x80; 16]),
            k_ind: key(0x1D),
            service: BTreeMap::from([
                ((1, Epoch::new(1)), key(0x20)),
                ((2, Epoch::new(1)), key(0x30)),
            ]),
            active: BTreeMap::from([(1, Epoch::new(1)), (2, Epoch::new(1))]),
            packages: BTreeMap::from([(PackageId::new(1), CasTime::new(9000))]),
            blocked: false,
            rating_limit: 0xFF,
            rating_lifted: false,
            events: BTreeSet::new(),
            balance: Fen::new(10_000),
            tries: 3,
            pin: PinBlock::from_ascii(PIN).unwrap(),
            log: BTreeMap::new(),
            debits: 0,
            applied: BTreeSet::new(),
            verified: false,
            selected: false,
            challenge: None,
            channel: None,
            challenges: 0,
            dead: false,
            cut: None,
            refuse: None,
            no_room: 0,
            in_clear: None,
            damaged: None,
            now: CasTime::new(0),
            signed: BTreeMap::new(),
            rest: 0,
            elements: &[],
            seen: Vec::new(),
            judged: Vec::new(),
            foreign: false,
            reported: 0,
            report: None,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.dead = false;
        self.selected = false;
        self.challenge = None;
        self.rest = 0;
        self.end_session();
    }

    pub(crate) fn end_session(&mut self) {
        self.channel = None;
        self.verified = false;
        self.rating_lifted = false;
    }

    pub(crate) fn count(&self, ins: u8) -> usize {
        self.seen.iter().filter(|seen| **seen == ins).count()
    }

    /// `None`: not one character.
    pub(crate) fn transmit(&mut self, apdu: &[u8]) -> Option<Vec<u8>> {
        let mut answer = self.answer(apdu)?;
        if self.damaged.is_some() && self.damaged == apdu.get(1).copied() {
            answer.iter_mut().rev().skip(2).take(1).for_each(|octet| *octet ^= 1);
        }
        Some(answer)
    }

    fn answer(&mut self, apdu: &[u8]) -> Option<Vec<u8>> {
        if self.dead {
            return None;
        }
        let [cla, ins, p1, p2, rest @ ..] = apdu else { return Some(vec![0x67, 0x00]) };
        let data: &[u8] = match rest {
            [] | [_] => &[],
            [lc, data @ ..] => &data[..usize::from(*lc)],
        };
        self.seen.push(*ins);
        if let Some((of, sw, times)) = self.refuse.filter(|(of, _, times)| of == ins && *times > 0)
        {
            self.refuse = Some((of, sw, times - 1));
            return (sw != 0).then(|| sw.to_be_bytes().to_vec());
        }
        let header = [*cla, *ins, *p1, *p2];
        if *cla & 0x04 == 0 {
            if let Some((_, answer)) = self.in_clear.as_ref().filter(|(of, _)| of == ins) {
                return Some(answer.clone());
            }
            let answer = self.plain_command(header, data);
            return Some(match answer {
                Ok(mut data) => {
                    data.extend([0x90, 0x00]);
                    data
                }
                Err(sw) => sw.to_be_bytes().to_vec(),
            });
        }
        if *ins == 0x82 {
            let Some(challenge) = self.challenge.take() else { return Some(vec![0x69, 0x85]) };
            return Some(match challenge.authenticate(header, data) {
                Ok(session) => {
                    self.channel = Some(session);
                    vec![0x90, 0x00]
                }
                Err(_) => vec![0x63, 0x00],
            });
        }
        let Some(mut channel) = self.channel.take() else { return Some(vec![0x69, 0x82]) };
        let mut plain = Vec::new();
        if channel.unwrap(header, data, &mut plain).is_err() {
            self.verified = false;
            return Some(vec![0x69, 0x88]);
        }
        let answer = self.command(*ins, [*p1, *p2], &plain);
        if self.dead {
            return None;
        }
        let mut out = Vec::new();
        match answer {
            Ok(data) => channel.wrap(&data, StatusWord::OK, &mut out).unwrap(),
            Err(sw) => channel.wrap(&[], StatusWord(sw), &mut out).unwrap(),
        }
        self.channel = Some(channel);
        Some(out)
    }

    fn plain_command(&mut self, header: [u8; 4], data: &[u8]) -> Result<Vec<u8>, u16> {
        match header[1] {
            0xA4 if self.foreign => Err(0x6A82),
            0xA4 => {
                self.selected = data == Aid::CAS.octets();
                self.end_session();
                if self.selected { Ok(Vec::new()) } else { Err(0x6A82) }
            }
            _ if !self.selected => Err(0x6D00),
            0x50 => {
                let slot =
                    0x3F_u8.checked_sub(header[2]).filter(|slot| *slot < 4).ok_or(0x6A88_u16)?;
                if self.pairing_slots >> slot & 1 == 0 {
                    return Err(0x6A88);
                }
                let keys = pairing_keys(&self.k_pair, STB);
                self.challenges = self.challenges.wrapping_add(1);
                let challenge = Challenge::random(&keys, data, &[self.challenges; 8]).unwrap();
                let answer = challenge.answer([0; 10], header[2]);
                self.challenge = Some(challenge);
                Ok(answer)
            }
            card::INS_INFO | card::INS_EMM | card::INS_ACK => {
                self.command(header[1], [header[2], header[3]], data)
            }
            _ => Err(0x6982),
        }
    }

    fn command(&mut self, ins: u8, [p1, p2]: [u8; 2], data: &[u8]) -> Result<Vec<u8>, u16> {
        let mut out = Vec::new();
        match ins {
            card::INS_INFO => self.info().emit(&mut out).unwrap(),
            card::INS_ECM => {
                let answer = self.ecm(u16::from_be_bytes([p1, p2]), data)?;
                self.judged.push((data.to_vec(), answer.status));
                answer.emit(&mut out);
                if !self.elements.is_empty() {
                    out[1] |= EcmAnswer::ELEMENTS;
                    out.extend(self.elements);
                }
            }
            card::INS_EMM => {
                self.emm(data).emit(&mut out);
                out.extend(self.elements);
            }
            card::INS_RIGHTS if p2 == card::RIGHTS_WALLET => self.wallet().emit(&mut out),
            card::INS_RIGHTS if p2 == card::RIGHTS_NUMBER => self.highest(data).emit(&mut out),
            card::INS_RIGHTS => self.rights().emit(&mut out).unwrap(),
            card::INS_VERIFY => self.verify(p2, data)?.emit(&mut out),
            card::INS_CHANGE_PIN => self.change_pin(data)?.emit(&mut out),
            card::INS_PURCHASE => self.purchase(data)?.emit(&mut out),
            card::INS_REPORT => self.report_page(p1, data, &mut out),
            card::INS_ACK => out.push(self.acknowledge(data).0),
            _ => return Err(0x6D00),
        }
        Ok(out)
    }

    /// Its records are all alike: what is in them is not the box's.
    fn report_page(&self, page: u8, data: &[u8], out: &mut Vec<u8>) {
        let request = ReportRequest::parse(data).unwrap();
        let record = ReportRecord {
            purse: [0; 23],
            terminal_sequence: TerminalSequence::new(1),
            balance: self.balance,
            event: EventId::new(1),
            tier: 1,
            end: CasTime::new(0),
            state: 1,
            tac: [0; 4],
        };
        let left = self.reported.saturating_sub(usize::from(page) * Report::MAX_RECORDS);
        let report = Report {
            balance: self.balance,
            offline_sequence: 0,
            online_sequence: 0,
            time: CasTime::new(0),
            chain_before: [0; 8],
            chain_after: [0; 8],
            records: vec![record; left.min(Report::MAX_RECORDS)],
        };
        report.seal(&report_header(), request.nonce, &k_rcp(), out).unwrap();
    }

    fn acknowledge(&mut self, data: &[u8]) -> AckResult {
        match Ack::open(data, &k_rcp()) {
            Ok(_) => {
                self.reported = 0;
                self.report = None;
                AckResult::FREED
            }
            Err(_) => AckResult::AUTHENTICATION,
        }
    }

    fn info(&self) -> CardInfo {
        let slots = self.active.iter().map(|(slot, active)| {
            let newest = self.service.keys().filter(|(of, _)| of == slot).map(|(_, epoch)| *epoch);
            let newest = newest.max().unwrap_or_default();
            let key = KeyInfo { active: *active, newest, floor: Epoch::new(1) };
            SlotInfo { slot: *slot, suite: 2, key }
        });
        CardInfo {
            version: 0x0102,
            pseudonym: self.pseudonym,
            pairing_slots: self.pairing_slots,
            pin_tries: self.tries,
            blocked: self.blocked,
            operators: vec![OperatorInfo {
                operator: OPERATOR,
                suites_allowed: 0x04,
                emm_level: 0,
            }],
            groups: vec![(0, GROUP)],
            slots: slots.collect(),
            report: self.report,
            now: self.now,
            ..CardInfo::default()
        }
    }

    fn open(&self, section: &[u8]) -> Result<(u8, Epoch, EcmBody), AccessStatus> {
        let ecm = Ecm::parse(section).map_err(|_| AccessStatus::MALFORMED_ECM)?;
        if ecm.header.operator != OPERATOR {
            return Err(AccessStatus::UNKNOWN_OPERATOR);
        }
        let (slot, epoch) = (ecm.header.slot.value(), ecm.header.epoch);
        let key = self.service.get(&(slot, epoch)).ok_or(AccessStatus::NO_KEY)?;
        let body = ecm.open(key).map_err(|_| AccessStatus::REFUSED_ECM)?;
        Ok((slot, epoch, body))
    }

    fn ecm(&mut self, expected: u16, section: &[u8]) -> Result<EcmAnswer, u16> {
        let refusal = |status| Ok(EcmAnswer::refusal(status, Cci(0), Rating(0)));
        self.rest = self.rest.saturating_sub(1);
        let (slot, epoch, body) = match self.open(section) {
            Ok(opened) => opened,
            Err(status) => return refusal(status),
        };
        if expected != 0 && expected != body.channel.value() {
            return refusal(AccessStatus::CHANNEL_MISMATCH);
        }
        let active = self.active.entry(slot).or_default();
        *active = (*active).max(epoch);
        let criteria = &body.criteria;
        let bought = criteria.ppv.is_some_and(|ppv| self.events.contains(&ppv.event));
        let subscribed = criteria.packages.iter().filter_map(|package| {
            let (package, end) = self.packages.get_key_value(package)?;
            Some(OpenedBy { kind: RightRow::PACKAGE, id: package.value().into(), end: *end })
        });
        let subscribed = subscribed.max_by_key(|right| right.end);
        let status = if self.blocked {
            AccessStatus::CARD_BLOCKED
        } else if body.rating.0 > self.rating_limit && !self.rating_lifted {
            AccessStatus::RATING
        } else if subscribed.is_some() {
            AccessStatus::GRANTED_SUBSCRIPTION
        } else if bought {
            AccessStatus::GRANTED_EVENT
        } else if criteria.free {
            AccessStatus::GRANTED_FREE
        } else if criteria.ppv.is_some_and(|ppv| ppv.preview_s > 0) {
            AccessStatus::PREVIEW
        } else if criteria.ppv.is_some() {
            AccessStatus::PURCHASABLE
        } else {
            AccessStatus::NO_RIGHT
        };
        if status.has_ecw() && self.no_room > 0 {
            self.no_room -= 1;
            return Ok(EcmAnswer::refusal(AccessStatus::CHANNELS, body.cci, body.rating));
        }
        let (even, odd) = body.cw.blocks().ok_or(0x6985_u16)?;
        Ok(EcmAnswer {
            status,
            flags: if bought { EcmAnswer::OWNED } else { EcmAnswer::PIN_NEEDED },
            cci: body.cci,
            rating: body.rating,
            ecw: status.has_ecw().then(|| (*even.expose(), *odd.expose())),
            offer: criteria.ppv.map(|ppv| Offer {
                kind: Offer::PPV,
                event: ppv.event,
                price: ppv.price,
                preview_s: ppv.preview_s,
                start: ppv.start,
                end: ppv.end,
                slice_s: 0,
            }),
            opened_by: match status {
                AccessStatus::GRANTED_SUBSCRIPTION => subscribed,
                AccessStatus::GRANTED_EVENT => criteria.ppv.map(|ppv| OpenedBy {
                    kind: RightRow::EVENT,
                    id: ppv.event.value(),
                    end: ppv.end,
                }),
                _ => None,
            },
            update_by: None,
        })
    }

    fn emm(&mut self, section: &[u8]) -> EmmResult {
        let Ok(emm) = Emm::parse(section) else { return EmmResult::refused(EmmDetail::MALFORMED) };
        // The number goes before the seal (`docs/spec/emm.md` §2).
        if self.applied.contains(&emm.header.seq) {
            return EmmResult::DUPLICATE;
        }
        let Ok(body) = emm.open(&self.k_ind) else {
            return EmmResult::refused(EmmDetail::AUTHENTICATION);
        };
        // The signature goes behind the seal, where the card has seen that there is one.
        match self.signed.get(section) {
            Some(_) if self.rest > 0 => {
                return EmmResult::new(EmmOutcome::LATER, EmmDetail::BUSY);
            }
            Some(false) => {
                self.rest = 8;
                return EmmResult::refused(EmmDetail::SIGNATURE);
            }
            Some(true) | None => {}
        }
        for command in &body.commands {
            match command {
                EmmCommand::KeyDeliver(delivery) => {
                    let KeyTarget::Service(slot) = delivery.target else { continue };
                    let key = self.k_ind.unwrap(&emm.header.key_context(), &delivery.wrapped);
                    let key = SealKey::new(Suite::Cmac128, key.unwrap()).unwrap();
                    self.service.insert((slot.value(), delivery.epoch), key);
                }
                EmmCommand::KeyActivate { target: KeyTarget::Service(slot), floor, .. } => {
                    if !self.service.contains_key(&(slot.value(), *floor)) {
                        return EmmResult::new(EmmOutcome::LATER, EmmDetail::NO_KEY);
                    }
                    self.service.retain(|(of, epoch), _| *of != slot.value() || epoch >= floor);
                }
                EmmCommand::Grant { package, end, .. } => {
                    self.packages.insert(*package, *end);
                }
                EmmCommand::Revoke { package, .. } => {
                    self.packages.remove(package);
                }
                EmmCommand::CardState { blocked } => self.blocked = *blocked,
                _ => {}
            }
        }
        self.applied.insert(emm.header.seq);
        EmmResult::APPLIED
    }

    fn rights(&self) -> RightsPage {
        let row = |kind, slot, id, end| RightRow {
            kind,
            slot,
            id,
            tier: 1,
            start: CasTime::new(0),
            end,
            flags: 0,
        };
        let packages = self
            .packages
            .iter()
            .map(|(package, end)| row(RightRow::PACKAGE, 1, package.value().into(), *end));
        let end = CasTime::new(9000);
        let events = self.events.iter().map(|event| row(RightRow::EVENT, 2, event.value(), end));
        RightsPage { next: None, rows: packages.chain(events).collect() }
    }
}

/// The service key slot of a test's service.
pub(crate) const fn slot(number: u8) -> Slot {
    Slot::new(number)
}
