// SPDX-License-Identifier: Apache-2.0
//! What the conditional access application keeps.

use super::barred::Barred;
use super::log::PurchaseLog;
use super::previews::Previews;
use super::rights::Right;
use crate::decide::decide;
use crate::keyring::KeyPair;
use crate::persist::{Checked, Guarded, Table, persist};
use crate::set_by::SetBy;
use cam_types::{CardId, CasTime, Key, OperatorId, Pseudonym, StbId};
use ecm_emm::card::{CardInfo, PAIRING_SLOTS, ReportRequest};
use ecm_emm::ecm::EcmBody;
use ecm_emm::emm::{KeyTarget, ResetNumber, Window};
use ecm_emm::keys::Role;

/// Rows for rights.
pub(crate) const RIGHTS: usize = 64;
/// Group addresses of a card.
const GROUPS: usize = CardInfo::MAX_GROUPS;
/// Service key slots.
const SLOTS: usize = CardInfo::MAX_SLOTS;
/// Boxes that a card may be paired with.
const PAIRINGS: usize = PAIRING_SLOTS as usize;

/// The card's time, stored.
#[derive(Clone, Copy)]
pub struct Clock {
    now: Guarded<u32>,
    sync: Guarded<u32>,
}

persist!(Clock {
    now: Guarded<u32>,
    sync: Guarded<u32>,
});

impl Clock {
    /// A clock that shows these two times.
    pub const fn new(now: CasTime, sync: CasTime) -> Self {
        Self { now: Guarded(now.seconds()), sync: Guarded(sync.seconds()) }
    }

    /// The latest authenticated time that was stored.
    pub const fn now(&self) -> CasTime {
        CasTime::new(self.now.0)
    }

    /// The time of the last TIME_SYNC that was stored.
    pub const fn sync(&self) -> CasTime {
        CasTime::new(self.sync.0)
    }
}

/// The operator's public key with the window of signed messages.
#[derive(Clone)]
pub struct SignatureKey {
    /// The number of this key; a lower one never comes back.
    pub epoch: u8,
    /// x ‖ y.
    pub key: [u8; 64],
    /// The numbers of signed messages.
    pub window: Window,
}

persist!(SignatureKey { epoch: u8, key: [u8; 64], window: Window });

/// A box that the card works with.
#[derive(Clone)]
pub struct Pairing {
    /// The number of the box.
    pub stb: StbId,
    /// The key of their sessions.
    pub k_pair: Key,
    /// The key under which control words leave the card.
    pub k_cw: Key,
}

persist!(Pairing { stb: StbId, k_pair: Key, k_cw: Key });

/// The numbers of the messages that set what a later message takes back. Of roles 11 and 14, which
/// number from one series.
#[derive(Clone)]
pub struct Setters {
    /// CARD_STATE.
    pub state: SetBy,
    /// PIN_RESET.
    pub pin: SetBy,
    /// REPORT_REQUEST.
    pub report: SetBy,
    /// GROUP_ASSIGN, by index.
    pub groups: Table<SetBy, GROUPS>,
    /// PAIR and UNPAIR, by pairing slot.
    pub pairings: Table<SetBy, PAIRINGS>,
}

persist!(Setters {
    state: SetBy,
    pin: SetBy,
    report: SetBy,
    groups: Table<SetBy, GROUPS>,
    pairings: Table<SetBy, PAIRINGS>,
});

impl Setters {
    /// All as the factory made it.
    pub fn new() -> Self {
        Self {
            state: SetBy::default(),
            pin: SetBy::default(),
            report: SetBy::default(),
            groups: Table::filled(SetBy::default),
            pairings: Table::filled(SetBy::default),
        }
    }
}

persist!(ReportRequest { nonce: [u8; 8], from: u16 });

/// Everything that lasts in the conditional access application.
#[derive(Clone)]
pub struct CasStore {
    /// The card's number; goes into receipts only.
    pub card: CardId,
    /// What the card is called on the air.
    pub pseudonym: Pseudonym,
    /// Whose card it is.
    pub operator: OperatorId,
    /// The card serves no longer.
    pub blocked: bool,
    /// What set what a later message takes back.
    pub set_by: Setters,
    /// The end of the card's own life.
    pub expires: CasTime,
    /// Where the card lives, 0 to 15.
    pub region: u8,
    /// Ratings above want the PIN.
    pub rating_limit: u8,
    /// Channels that it keeps open without a token.
    pub channels: u8,
    /// The EMM level that it has reached, which ECMs may ask for; forward only.
    pub emm_level: Guarded<u16>,
    /// The card's time.
    pub clock: Clock,
    /// The number of the last RESET of the clock.
    pub reset: Option<Guarded<u16>>,
    /// Suites allowed, roles 11 to 17.
    pub suites: Table<Guarded<u16>, 7>,
    /// Group addresses.
    pub groups: Table<Option<u32>, GROUPS>,
    /// K_ind: messages to this card.
    pub own: KeyPair,
    /// K_rec: messages to this card that give it back its other keys.
    pub recovery: KeyPair,
    /// K_glb: messages to all cards.
    pub global: KeyPair,
    /// K_rcp: receipts and reports.
    pub receipt: KeyPair,
    /// K_sig: the operator's signature under messages to all.
    pub signature: Option<SignatureKey>,
    /// K_grp: messages to a group, by its index.
    pub group: Table<KeyPair, GROUPS>,
    /// SK: ECMs, by slot.
    pub service: Table<KeyPair, SLOTS>,
    /// The boxes that it works with, by pairing slot.
    pub pairings: Table<Option<Pairing>, PAIRINGS>,
    /// Rights, each with a checksum.
    pub rights: Table<Option<Checked<Right>>, RIGHTS>,
    /// Previews that have begun.
    pub previews: Previews,
    /// Purchases, loads and refunds.
    pub log: PurchaseLog,
    /// The report that was asked for over the air and not acknowledged.
    pub report: Option<ReportRequest>,
    /// The boxes that it does not work with, whatever it is paired with.
    pub barred: Barred,
}

persist!(CasStore {
    card: CardId,
    pseudonym: Pseudonym,
    operator: OperatorId,
    blocked: bool,
    set_by: Setters,
    expires: CasTime,
    region: u8,
    rating_limit: u8,
    channels: u8,
    emm_level: Guarded<u16>,
    clock: Clock,
    reset: Option<Guarded<u16>>,
    suites: Table<Guarded<u16>, 7>,
    groups: Table<Option<u32>, GROUPS>,
    own: KeyPair,
    recovery: KeyPair,
    global: KeyPair,
    receipt: KeyPair,
    signature: Option<SignatureKey>,
    group: Table<KeyPair, GROUPS>,
    service: Table<KeyPair, SLOTS>,
    pairings: Table<Option<Pairing>, PAIRINGS>,
    rights: Table<Option<Checked<Right>>, RIGHTS>,
    previews: Previews,
    log: PurchaseLog,
    report: Option<ReportRequest>,
    barred: Barred,
});

impl CasStore {
    /// Suites allowed for keys of this role: bit n for suite n.
    pub fn suites(&self, role: Role) -> u16 {
        self.suites_place(role).and_then(|n| self.suites.get(n)).map_or(0, |mask| mask.0)
    }

    /// The same, to narrow it.
    pub fn suites_mut(&mut self, role: Role) -> Option<&mut u16> {
        let place = self.suites_place(role)?;
        self.suites.get_mut(place).map(|mask| &mut mask.0)
    }

    /// The key that a message means, if this domain has it.
    pub fn pair(&self, target: KeyTarget) -> Option<&KeyPair> {
        match target {
            KeyTarget::Service(slot) => self.service.get(slot.value().into()),
            KeyTarget::Own => Some(&self.own),
            KeyTarget::Group(index) => self.group.get(index.into()),
            KeyTarget::Global => Some(&self.global),
            KeyTarget::OwnRecovery => Some(&self.recovery),
            KeyTarget::Receipt => Some(&self.receipt),
            _ => None,
        }
    }

    /// The same, to change it.
    pub fn pair_mut(&mut self, target: KeyTarget) -> Option<&mut KeyPair> {
        match target {
            KeyTarget::Service(slot) => self.service.get_mut(slot.value().into()),
            KeyTarget::Own => Some(&mut self.own),
            KeyTarget::Group(index) => self.group.get_mut(index.into()),
            KeyTarget::Global => Some(&mut self.global),
            KeyTarget::OwnRecovery => Some(&mut self.recovery),
            KeyTarget::Receipt => Some(&mut self.receipt),
            _ => None,
        }
    }

    /// All keys of a role.
    pub fn pairs_of(&self, role: Role) -> Vec<&KeyPair> {
        match role {
            Role::Individual => vec![&self.own],
            Role::Recovery => vec![&self.recovery],
            Role::Global => vec![&self.global],
            Role::Receipt => vec![&self.receipt],
            Role::Group => self.group.iter().collect(),
            Role::Service => self.service.iter().collect(),
            _ => Vec::new(),
        }
    }

    /// A RESET of the clock with this number, or a later one, was taken.
    pub fn was_reset(&self, number: ResetNumber) -> bool {
        decide(|| self.reset.is_some_and(|last| last.0 >= number.value()))
    }

    /// The pairing in a slot, unless its box is listed out: whoever asks who may work with the card
    /// asks here.
    pub fn pairing(&self, slot: usize) -> Option<&Pairing> {
        let pairing = self.pairings.get(slot)?.as_ref()?;
        decide(|| !self.barred.has(pairing.stb)).then_some(pairing)
    }

    /// The card has the EMM level that an ECM asks for.
    pub fn reaches(&self, level: u16) -> bool {
        decide(|| level <= self.emm_level.0)
    }

    /// From when on ECMs like this one ask for more than the card has reached.
    pub fn update_needed(&self, body: &EcmBody) -> Option<CasTime> {
        body.criteria.floor_ahead.filter(|(level, _)| !self.reaches(*level)).map(|(_, at)| at)
    }

    fn suites_place(&self, role: Role) -> Option<usize> {
        match role.number() {
            number @ 0x11..=0x17 => Some(usize::from(number - 0x11)),
            _ => None,
        }
    }
}
