// SPDX-License-Identifier: Apache-2.0
//! 7. Access, card, entitlements
//!
//! What the subscriber may see and why, as things stand now. `STBCAM_EV_ACCESS`, `STBCAM_EV_CARD`
//! and `STBCAM_EV_ENTITLEMENTS` say when it has changed.

use crate::error::Error;
use crate::guard::guard;
use crate::reason::c_reason;
use crate::result::{STBCAM_E_NO_SESSION, stbcam_result_t};
use crate::size::{self, CStruct};
use crate::types::{stbcam_session_t, stbcam_t};
use cam_core::{AccessState, CardState, KeyVersion, Remedy, Right, SessionId};
use iso7816::atr::Atr;

/// The card has not been asked yet.
pub const STBCAM_ACCESS_PENDING: i32 = 0;
/// The programme is not scrambled.
pub const STBCAM_ACCESS_CLEAR: i32 = 1;
/// Keys are given.
pub const STBCAM_ACCESS_GRANTED: i32 = 2;
/// Keys are given for a trial.
pub const STBCAM_ACCESS_PREVIEW: i32 = 3;
/// It can be bought: see `stbcam_offers`.
pub const STBCAM_ACCESS_PURCHASABLE: i32 = 4;
/// The card says no.
pub const STBCAM_ACCESS_DENIED: i32 = 5;
/// Something does not work.
pub const STBCAM_ACCESS_TECHNICAL: i32 = 6;

/// Nothing needs to change.
pub const STBCAM_REMEDY_NONE: i32 = 0;
/// It passes by itself: wait.
pub const STBCAM_REMEDY_WAIT: i32 = 1;
/// A message of the operator: keep the box on its channel.
pub const STBCAM_REMEDY_EMM: i32 = 2;
/// The subscriber's PIN.
pub const STBCAM_REMEDY_PIN: i32 = 3;
/// Money: buy it, or load the purse.
pub const STBCAM_REMEDY_MONEY: i32 = 4;
/// Somebody who looks at the box or the card.
pub const STBCAM_REMEDY_TECHNICIAN: i32 = 5;

/// The card wants the PIN for the programme on air.
pub const STBCAM_ACCESS_PIN_NEEDED: u32 = 0x01;

/// What a session may show, and why.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_access_t {
    /// sizeof(stbcam_access_t), by the caller.
    pub struct_size: usize,
    /// One of `STBCAM_ACCESS_*`.
    pub state: i32,
    /// One of `STBCAM_REASON_*`.
    pub reason: i32,
    /// One of `STBCAM_REMEDY_*`: who or what can change it.
    pub remedy: i32,
    /// `STBCAM_ACCESS_PIN_NEEDED`.
    pub flags: u32,
    /// The card's last status word for this session, 0 before it has spoken.
    pub sw: u16,
    /// The CA system in use, 0 for none of ours.
    pub ca_system_id: u16,
    /// The card's operator that the ECMs in use are for; 0 before a card is known, and where the
    /// PMT does not name it.
    pub operator_id: u16,
    /// Copy control information of the last answer.
    pub copy_control: u8,
    /// The rating of the last answer.
    pub rating: u8,
    /// The crypto period of the keys in use, if `has_keys`.
    pub crypto_period: u32,
    /// 1 when the descrambler holds keys of this session.
    pub has_keys: u32,
    /// How many offers `stbcam_offers` has.
    pub offers: u32,
    /// 0.
    pub reserved: u32,
    /// The end of the right that opened the programme, as the card told it with its last answer, in
    /// seconds of the Unix epoch. Of several rights it is the one that lasts longest. 0 where no
    /// right opened it (free, a preview, refused), or the card does not tell it.
    pub expires_utc: i64,
    /// It opens until this moment, in seconds of the Unix epoch, and from then on only if the
    /// operator's message has reached the card before (`STBCAM_REASON_EMM_NEEDED`, remedy
    /// `STBCAM_REMEDY_EMM`): the subscriber is to leave the box on. 0 where nothing is missing.
    pub update_by_utc: i64,
}

// SAFETY: repr(C), starts with struct_size, numbers only.
unsafe impl CStruct for stbcam_access_t {
    const FIRST: usize = core::mem::offset_of!(stbcam_access_t, update_by_utc);
}

/// The access of a session now.
///
/// STBCAM_E_NO_SESSION: not open.
///
/// Threads: any.
///
/// # Safety
///
/// * `out` points to a stbcam_access_t whose struct_size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_access(
    cam: *mut stbcam_t,
    session: stbcam_session_t,
    out: *mut stbcam_access_t,
) -> stbcam_result_t {
    guard(cam, |context| {
        let access = context
            .cam
            .query(|engine| engine.access(SessionId(session)))
            .ok_or_else(|| Error::plain(STBCAM_E_NO_SESSION))?;
        let value = stbcam_access_t {
            struct_size: 0,
            state: c_state(access.state),
            reason: c_reason(access.reason),
            remedy: c_remedy(access.remedy),
            flags: if access.pin_needed { STBCAM_ACCESS_PIN_NEEDED } else { 0 },
            sw: access.sw.0,
            ca_system_id: access.ca_system_id.map_or(0, |id| id.value()),
            operator_id: access.operator.map_or(0, |id| id.value()),
            copy_control: access.cci,
            rating: access.rating,
            crypto_period: access.crypto_period.unwrap_or(0),
            has_keys: access.crypto_period.is_some().into(),
            offers: access.offers.into(),
            reserved: 0,
            expires_utc: access.expires.map_or(0, |end| end.to_unix()),
            update_by_utc: access.update_by.map_or(0, |at| at.to_unix()),
        };
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put(out, "out", value) }
    })
}

/// No card answers.
pub const STBCAM_CARD_ABSENT: i32 = 0;
/// Its reset or selection is on the way; or nobody has looked yet whether there is one.
pub const STBCAM_CARD_STARTING: i32 = 1;
/// A card that cannot be used; the reason says why.
pub const STBCAM_CARD_UNUSABLE: i32 = 2;
/// Not paired with this box: it takes EMMs only.
pub const STBCAM_CARD_UNPAIRED: i32 = 3;
/// In session.
pub const STBCAM_CARD_READY: i32 = 4;

/// What is known of the card.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_card_t {
    /// sizeof(stbcam_card_t), by the caller.
    pub struct_size: usize,
    /// One of `STBCAM_CARD_*`.
    pub state: i32,
    /// One of `STBCAM_REASON_*`: why it is in this state. In session CARD_READY, or CARD_BLOCKED.
    pub reason: i32,
    /// The card's clock as seconds of the Unix epoch, 0 when not known.
    pub clock_utc: i64,
    /// Its pseudonym, by which the operator's messages address it.
    pub address: [u8; 8],
    /// Its operator, 0 when not known.
    pub operator_id: u16,
    /// The status word of its last refusal, or 0.
    pub sw: u16,
    /// Its answer to reset.
    pub atr: [u8; 33],
    /// Octets that count in `atr`.
    pub atr_len: u8,
    /// The transmission protocol, 0 or 1.
    pub protocol: u8,
    /// PIN tries left, 255 when not known.
    pub pin_tries_left: u8,
    /// The pairing slot in use, 255 for none.
    pub pairing_slot: u8,
    /// The pairing slots that are taken: bit n for slot n.
    pub pairing_slots: u8,
    /// 1 when the operator has blocked it.
    pub blocked: u8,
    /// 0.
    pub reserved: [u8; 5],
}

// SAFETY: repr(C), starts with struct_size, numbers only.
unsafe impl CStruct for stbcam_card_t {}

/// The card now.
///
/// Threads: any.
///
/// # Safety
///
/// * `out` points to a stbcam_card_t whose struct_size is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_card(
    cam: *mut stbcam_t,
    out: *mut stbcam_card_t,
) -> stbcam_result_t {
    guard(cam, |context| {
        let card = context.cam.query(|engine| engine.card().clone());
        let mut atr = [0; Atr::MAX_LEN];
        atr.iter_mut().zip(&card.atr).for_each(|(to, from)| *to = *from);
        let value = stbcam_card_t {
            struct_size: 0,
            state: c_card_state(card.state),
            reason: c_reason(card.reason),
            clock_utc: card.now.map_or(0, |now| now.to_unix()),
            address: card.pseudonym.map_or([0; 8], |pseudonym| *pseudonym.octets()),
            operator_id: card.operator.map_or(0, |id| id.value()),
            sw: card.sw.0,
            atr,
            atr_len: card.atr.len().min(Atr::MAX_LEN) as u8,
            protocol: card.protocol,
            pin_tries_left: card.pin_tries.unwrap_or(255),
            pairing_slot: card.pairing_slot.unwrap_or(255),
            pairing_slots: card.pairing_slots,
            blocked: card.blocked.into(),
            reserved: [0; 5],
        };
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put(out, "out", value) }
    })
}

/// A subscription to a package.
pub const STBCAM_ENTITLEMENT_PACKAGE: u32 = 1;
/// A bought event.
pub const STBCAM_ENTITLEMENT_EVENT: u32 = 2;
/// A bought slice of time.
pub const STBCAM_ENTITLEMENT_SLICE: u32 = 3;

/// A right on the card.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_entitlement_t {
    /// The elem_size of the caller's array, by the library.
    pub struct_size: usize,
    /// One of `STBCAM_ENTITLEMENT_*`.
    pub kind: u32,
    /// The package or event.
    pub id: u32,
    /// The first second of it, as seconds of the Unix epoch.
    pub start_utc: i64,
    /// The first second after it, as seconds of the Unix epoch.
    pub end_utc: i64,
    /// The tier of an event.
    pub tier: u8,
    /// The service key slot that it is good for.
    pub slot: u8,
    /// As the card tells them (docs/spec/card.md).
    pub flags: u8,
    /// 0.
    pub reserved: u8,
    /// The generation of the slot's key that opens ECMs now; 0 when not known.
    pub key_version: u32,
}

// SAFETY: repr(C), starts with struct_size, numbers only.
unsafe impl CStruct for stbcam_entitlement_t {}

/// Lists the rights on the card, piece by piece: `*cursor` is 0 at the start and is moved on;
/// `*count` says how many fit `array` and becomes how many were copied, 0 at the end.
///
/// Threads: any.
///
/// # Safety
///
/// * `array` points to `*count` writable elements of `elem_size` octets; `cursor` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_entitlements(
    cam: *mut stbcam_t,
    cursor: *mut u64,
    array: *mut stbcam_entitlement_t,
    elem_size: usize,
    count: *mut usize,
) -> stbcam_result_t {
    guard(cam, |context| {
        let rights: Vec<_> = context.cam.query(|engine| {
            let keys = engine.key_versions();
            engine.rights().iter().map(|right| c_right(right, keys)).collect()
        });
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put_from(cursor, array, elem_size, count, &rights) }
    })
}

/// The generations of a service key, as the card tells them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct stbcam_service_key_t {
    /// The elem_size of the caller's array, by the library.
    pub struct_size: usize,
    /// The service key slot.
    pub slot: u8,
    /// The suite of the key (docs/spec/ecm.md).
    pub suite: u8,
    /// The newest generation that opened an ECM.
    pub active: u16,
    /// The newest generation on the card.
    pub newest: u16,
    /// Everything below is erased.
    pub floor: u16,
}

// SAFETY: repr(C), starts with struct_size, numbers only.
unsafe impl CStruct for stbcam_service_key_t {}

/// Lists the versions of the service keys on the card. `*count` says how many fit `array` and
/// becomes how many there are.
///
/// STBCAM_E_BUFFER: there are more than fit; the first ones were copied.
///
/// Threads: any.
///
/// # Safety
///
/// * `array` points to `*count` writable elements of `elem_size` octets, or `*count` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_service_keys(
    cam: *mut stbcam_t,
    array: *mut stbcam_service_key_t,
    elem_size: usize,
    count: *mut usize,
) -> stbcam_result_t {
    guard(cam, |context| {
        let keys: Vec<_> =
            context.cam.query(|engine| engine.key_versions().iter().map(c_key).collect());
        // SAFETY: the caller upholds this function's contract.
        unsafe { size::put_all(array, elem_size, count, &keys) }
    })
}

fn c_key(key: &KeyVersion) -> stbcam_service_key_t {
    stbcam_service_key_t {
        struct_size: 0,
        slot: key.slot,
        suite: key.suite,
        active: key.key.active.value(),
        newest: key.key.newest.value(),
        floor: key.key.floor.value(),
    }
}

fn c_right(right: &Right, keys: &[KeyVersion]) -> stbcam_entitlement_t {
    let key = keys.iter().find(|key| key.slot == right.slot);
    stbcam_entitlement_t {
        struct_size: 0,
        kind: right.kind.into(),
        id: right.id,
        start_utc: right.start.to_unix(),
        end_utc: right.end.to_unix(),
        tier: right.tier,
        slot: right.slot,
        flags: right.flags,
        reserved: 0,
        key_version: key.map_or(0, |key| key.key.active.value().into()),
    }
}

pub(crate) const fn c_state(state: AccessState) -> i32 {
    match state {
        AccessState::Pending => STBCAM_ACCESS_PENDING,
        AccessState::Clear => STBCAM_ACCESS_CLEAR,
        AccessState::Granted => STBCAM_ACCESS_GRANTED,
        AccessState::Preview => STBCAM_ACCESS_PREVIEW,
        AccessState::Purchasable => STBCAM_ACCESS_PURCHASABLE,
        AccessState::Denied => STBCAM_ACCESS_DENIED,
        AccessState::Technical => STBCAM_ACCESS_TECHNICAL,
    }
}

pub(crate) const fn c_remedy(remedy: Remedy) -> i32 {
    match remedy {
        Remedy::None => STBCAM_REMEDY_NONE,
        Remedy::Wait => STBCAM_REMEDY_WAIT,
        Remedy::Emm => STBCAM_REMEDY_EMM,
        Remedy::Pin => STBCAM_REMEDY_PIN,
        Remedy::Money => STBCAM_REMEDY_MONEY,
        Remedy::Technician => STBCAM_REMEDY_TECHNICIAN,
    }
}

pub(crate) const fn c_card_state(state: CardState) -> i32 {
    match state {
        CardState::Absent => STBCAM_CARD_ABSENT,
        CardState::Starting => STBCAM_CARD_STARTING,
        CardState::Unusable => STBCAM_CARD_UNUSABLE,
        CardState::Unpaired => STBCAM_CARD_UNPAIRED,
        CardState::Ready => STBCAM_CARD_READY,
    }
}
