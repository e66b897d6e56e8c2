// SPDX-License-Identifier: Apache-2.0
//! Reasons
//!
//! The same numbers as the card's answer (docs/spec/card.md). A number that is not here can come
//! from a newer card; `stbcam_reason_text` has a text for it.
//!
//! Where some scrambled components of a programme are served and others cannot be, the served ones
//! have their keys, and the reason is that of the others: FOREIGN_SYSTEM, UNKNOWN_OPERATOR, NO_KEY
//! or TOO_MANY_STREAMS, the first of these that holds. A refusal of the served ones goes before it.
//! A host that wants only the served ones leaves the others out of its CA_PMT.

use crate::text;
use cam_core::AccessStatus;
use core::ffi::c_char;

/// The card has not been asked yet.
pub const STBCAM_REASON_PENDING: i32 = 0x00;
/// By subscription.
pub const STBCAM_REASON_GRANTED_SUBSCRIPTION: i32 = 0x01;
/// By a bought event.
pub const STBCAM_REASON_GRANTED_EVENT: i32 = 0x02;
/// By a bought slice of time.
pub const STBCAM_REASON_GRANTED_TIME: i32 = 0x03;
/// By a bought tier.
pub const STBCAM_REASON_GRANTED_TIER: i32 = 0x04;
/// Free to every card.
pub const STBCAM_REASON_GRANTED_FREE: i32 = 0x05;
/// A trial.
pub const STBCAM_REASON_PREVIEW: i32 = 0x10;
/// It can be bought.
pub const STBCAM_REASON_PURCHASABLE: i32 = 0x20;
/// The card has no right to it.
pub const STBCAM_REASON_NO_RIGHT: i32 = 0x30;
/// The right has not begun.
pub const STBCAM_REASON_NOT_YET_VALID: i32 = 0x31;
/// The right has ended.
pub const STBCAM_REASON_EXPIRED: i32 = 0x32;
/// The card does not belong to this operator: the programme, or a component of it, is for others.
pub const STBCAM_REASON_UNKNOWN_OPERATOR: i32 = 0x33;
/// Not in this region.
pub const STBCAM_REASON_REGION: i32 = 0x34;
/// Blacked out.
pub const STBCAM_REASON_BLACKOUT: i32 = 0x35;
/// Above the allowed rating.
pub const STBCAM_REASON_RATING: i32 = 0x36;
/// The card is paired with no box.
pub const STBCAM_REASON_NOT_PAIRED: i32 = 0x37;
/// The card is paired with another box.
pub const STBCAM_REASON_PAIRED_ELSEWHERE: i32 = 0x38;
/// The operator has blocked the card.
pub const STBCAM_REASON_CARD_BLOCKED: i32 = 0x39;
/// The card has expired.
pub const STBCAM_REASON_CARD_EXPIRED: i32 = 0x3A;
/// Not enough money.
pub const STBCAM_REASON_FUNDS: i32 = 0x3B;
/// The purchase log is full.
pub const STBCAM_REASON_LOG_FULL: i32 = 0x3C;
/// The trial is used up.
pub const STBCAM_REASON_PREVIEW_USED: i32 = 0x3D;
/// The card needs its messages first.
pub const STBCAM_REASON_EMM_NEEDED: i32 = 0x3E;
/// The programme, or a component of it, is scrambled by other CA systems only: none of
/// `config.ca_system_ids` is there.
pub const STBCAM_REASON_FOREIGN_SYSTEM: i32 = 0x3F;
/// There is no card in the reader.
pub const STBCAM_REASON_NO_CARD: i32 = 0x40;
/// The card does not answer.
pub const STBCAM_REASON_MUTE_CARD: i32 = 0x41;
/// Not a card of this system.
pub const STBCAM_REASON_UNKNOWN_CARD: i32 = 0x42;
/// The card is busy.
pub const STBCAM_REASON_CARD_BUSY: i32 = 0x43;
/// No key for this period; or the programme, or a component of it, is the card's operator's in a
/// suite that the card does not have yet.
pub const STBCAM_REASON_NO_KEY: i32 = 0x44;
/// The card could not read the ECM.
pub const STBCAM_REASON_MALFORMED_ECM: i32 = 0x45;
/// The ECM is not authentic.
pub const STBCAM_REASON_REFUSED_ECM: i32 = 0x46;
/// The ECM's time is out of range.
pub const STBCAM_REASON_CLOCK: i32 = 0x47;
/// The reader does not work.
pub const STBCAM_REASON_READER_FAULT: i32 = 0x48;
/// A purchase is not settled yet.
pub const STBCAM_REASON_OUTCOME_UNKNOWN: i32 = 0x49;
/// The ECM belongs to another channel.
pub const STBCAM_REASON_CHANNEL_MISMATCH: i32 = 0x4A;
/// No ECM of the service is on air. It passes by itself with the next one.
pub const STBCAM_REASON_NO_ECM: i32 = 0x4B;
/// The descrambler has refused the control words or the key ladder: `set_cw` or `load_ladder` did
/// not return 0, or the software descrambler does not know the scrambling mode.
pub const STBCAM_REASON_DESCRAMBLER: i32 = 0x4C;
/// The programme has more than 16 ECM streams or 256 scrambled components: the first ones are
/// served and keep their keys, the others stay scrambled.
pub const STBCAM_REASON_TOO_MANY_STREAMS: i32 = 0x4D;
/// What the box has stored of its pairing does not open: `config.box_key` is not the key that it
/// was made for, or the row is damaged.
pub const STBCAM_REASON_PAIRING_UNREADABLE: i32 = 0x4E;
/// The card opens more channels than one household watches: it is asked again every two seconds.
pub const STBCAM_REASON_CHANNELS: i32 = 0x53;
/// The card is in session: of `STBCAM_EV_CARD` and `stbcam_card` alone.
pub const STBCAM_REASON_CARD_READY: i32 = 0x7E;
/// Not scrambled.
pub const STBCAM_REASON_CLEAR: i32 = 0x7F;

/// A reason (`STBCAM_REASON_*`) as text for the subscriber. `language` is BCP 47; NULL or a
/// language that is not there gives English. Static: never freed, never NULL.
///
/// Threads: any, also from a callback.
///
/// # Safety
///
/// * `language` is NULL or a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stbcam_reason_text(reason: i32, language: *const c_char) -> *const c_char {
    // SAFETY: the caller upholds this function's contract.
    let language = unsafe { text::optional(language, "language") }.unwrap_or(None);
    let status = u8::try_from(reason).map_or(AccessStatus(0xFF), AccessStatus);
    status.shown(language.as_deref()).as_ptr()
}

pub(crate) fn c_reason(reason: AccessStatus) -> i32 {
    reason.0.into()
}

pub(crate) fn reason_text(reason: AccessStatus, language: Option<&str>) -> &'static str {
    reason.shown(language).to_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_found_by_its_first_part() {
        let no_card = AccessStatus::NO_CARD;
        for language in ["zh", "zh-Hans-CN", "ZH_cn"] {
            assert_eq!(no_card.shown(Some(language)), c"请插入智能卡", "{language}");
        }
        for language in [None, Some("en-GB"), Some("xx"), Some("")] {
            assert_eq!(no_card.shown(language), c"please insert the card");
        }
        assert_eq!(AccessStatus(0x6E).shown(None), c"not available");
    }

    /// The header has the card's statuses and no other, by name and number; the box in C has a name
    /// for each.
    #[test]
    fn header_and_card_have_the_same_reasons() {
        let header = include_str!("../../include/stbcam.h").lines();
        let header: Vec<_> =
            header.filter_map(|line| line.strip_prefix("#define STBCAM_REASON_")).collect();
        let name = |status: &AccessStatus| status.name().expect("all of them have a row");
        let card: Vec<_> = AccessStatus::ALL
            .iter()
            .map(|status| format!("{} 0x{:02X}", name(status), status.0))
            .collect();
        assert_eq!(header, card);

        let names = include_str!("../../examples/c/names.h").split("NAME(").skip(1);
        let mut names: Vec<_> =
            names.filter_map(|name| name.split_once(", \"")?.0.into()).collect();
        let mut card: Vec<_> = AccessStatus::ALL.iter().map(name).collect();
        names.sort_unstable();
        card.sort_unstable();
        assert_eq!(names, card);
    }
}
