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
use core::ffi::{CStr, c_char};

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
/// No ECM of the service is on air. Settles by itself with the next one.
pub const STBCAM_REASON_NO_ECM: i32 = 0x4B;
/// The descrambler has refused the control words or the key ladder: `set_cw` or `load_ladder` did
/// not return 0, or the software descrambler does not know the scrambling mode.
pub const STBCAM_REASON_DESCRAMBLER: i32 = 0x4C;
/// The programme has more than 16 ECM streams or 256 scrambled components: the first ones are
/// served and keep their keys, the others stay scrambled.
pub const STBCAM_REASON_TOO_MANY_STREAMS: i32 = 0x4D;
/// Not scrambled.
pub const STBCAM_REASON_CLEAR: i32 = 0x7F;

/// A reason (`STBCAM_REASON_*`) in words for the subscriber. `language` is BCP 47; NULL or a
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
    words(status, language.as_deref()).as_ptr()
}

pub(crate) fn c_reason(reason: AccessStatus) -> i32 {
    reason.0.into()
}

pub(crate) fn reason_words(reason: AccessStatus, language: Option<&str>) -> &'static str {
    words(reason, language).to_str().unwrap_or_default()
}

/// A reason in words for the subscriber. English for a language that is not there.
fn words(reason: AccessStatus, language: Option<&str>) -> &'static CStr {
    let primary = language.and_then(|tag| tag.split(['-', '_']).next()).unwrap_or("en");
    let (english, chinese) = both(reason);
    if primary.eq_ignore_ascii_case("zh") { chinese } else { english }
}

fn both(reason: AccessStatus) -> (&'static CStr, &'static CStr) {
    match i32::from(reason.0) {
        STBCAM_REASON_PENDING => (c"one moment please", c"请稍候"),
        STBCAM_REASON_GRANTED_SUBSCRIPTION => (c"included in your subscription", c"已订购"),
        STBCAM_REASON_GRANTED_EVENT => (c"you have bought this programme", c"已购买本节目"),
        STBCAM_REASON_GRANTED_TIME => (c"you have bought this time", c"已购买本时段"),
        STBCAM_REASON_GRANTED_TIER => {
            (c"you have bought this group of programmes", c"已购买本组节目")
        }
        STBCAM_REASON_GRANTED_FREE => (c"free for every card", c"免费节目"),
        STBCAM_REASON_PREVIEW => (c"preview", c"节目预览"),
        STBCAM_REASON_PURCHASABLE => (c"this programme can be bought", c"本节目可以购买"),
        STBCAM_REASON_NO_RIGHT => (c"not included in your subscription", c"未订购本节目"),
        STBCAM_REASON_NOT_YET_VALID => (c"your subscription has not begun yet", c"订购尚未生效"),
        STBCAM_REASON_EXPIRED => (c"your subscription has ended", c"订购已到期"),
        STBCAM_REASON_UNKNOWN_OPERATOR => {
            (c"this card is not for this operator", c"智能卡不属于本运营商")
        }
        STBCAM_REASON_REGION => (c"not available in your region", c"本地区不提供本节目"),
        STBCAM_REASON_BLACKOUT => (c"not available here at this time", c"本地区暂停播出"),
        STBCAM_REASON_RATING => (c"above the allowed age rating", c"超出允许的年龄级别"),
        STBCAM_REASON_NOT_PAIRED => {
            (c"the card is not paired with this box", c"智能卡未与机顶盒配对")
        }
        STBCAM_REASON_PAIRED_ELSEWHERE => {
            (c"the card is paired with another box", c"智能卡已与其他机顶盒配对")
        }
        STBCAM_REASON_CARD_BLOCKED => (c"the card is blocked", c"智能卡已停用"),
        STBCAM_REASON_CARD_EXPIRED => (c"the card has expired", c"智能卡已过期"),
        STBCAM_REASON_FUNDS => (c"the balance on the card is too low", c"卡内余额不足"),
        STBCAM_REASON_LOG_FULL => (c"the card has no room for another purchase", c"购买记录已满"),
        STBCAM_REASON_PREVIEW_USED => (c"the preview is used up", c"预览时间已用完"),
        STBCAM_REASON_EMM_NEEDED => (c"the card is waiting for an update", c"等待授权更新"),
        STBCAM_REASON_FOREIGN_SYSTEM => {
            (c"this programme needs another provider's card", c"本节目属于其他运营商的加密系统")
        }
        STBCAM_REASON_NO_CARD => (c"please insert the card", c"请插入智能卡"),
        STBCAM_REASON_MUTE_CARD => (
            c"the card does not answer: is it the right way round?",
            c"智能卡无应答,请检查插入方向",
        ),
        STBCAM_REASON_UNKNOWN_CARD => (c"this card does not belong here", c"无法识别智能卡"),
        STBCAM_REASON_CARD_BUSY => (c"the card is busy", c"智能卡忙"),
        STBCAM_REASON_NO_KEY => (c"the card is waiting for a key", c"等待密钥更新"),
        STBCAM_REASON_MALFORMED_ECM => (c"the broadcast cannot be read", c"无法读取授权控制信息"),
        STBCAM_REASON_REFUSED_ECM => (c"the broadcast is not genuine", c"授权控制信息无效"),
        STBCAM_REASON_CLOCK => (c"the time of the broadcast is out of range", c"播出时间异常"),
        STBCAM_REASON_READER_FAULT => (c"the card reader does not work", c"读卡器故障"),
        STBCAM_REASON_OUTCOME_UNKNOWN => (c"a purchase is being settled", c"购买结果确认中"),
        STBCAM_REASON_CHANNEL_MISMATCH => (c"the broadcast is mixed up", c"频道信息不符"),
        STBCAM_REASON_NO_ECM => (c"the broadcast sends no keys at present", c"未收到授权控制信息"),
        STBCAM_REASON_DESCRAMBLER => {
            (c"this box cannot descramble the programme", c"机顶盒无法解扰本节目")
        }
        STBCAM_REASON_TOO_MANY_STREAMS => {
            (c"the programme has more parts than this box can serve", c"节目分量过多")
        }
        STBCAM_REASON_CLEAR => (c"free to air", c"免费频道"),
        _ => (c"not available", c"无法收看"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_found_by_its_first_part() {
        let no_card = AccessStatus::NO_CARD;
        for language in ["zh", "zh-Hans-CN", "ZH_cn"] {
            assert_eq!(words(no_card, Some(language)), c"请插入智能卡", "{language}");
        }
        for language in [None, Some("en-GB"), Some("xx"), Some("")] {
            assert_eq!(words(no_card, language), c"please insert the card");
        }
        assert_eq!(words(AccessStatus(0x6E), None), c"not available");
    }

    /// The ABI's numbers are the card's.
    #[test]
    fn numbers_agree_with_the_card() {
        for (abi, card) in [
            (STBCAM_REASON_GRANTED_SUBSCRIPTION, AccessStatus::GRANTED_SUBSCRIPTION),
            (STBCAM_REASON_PREVIEW, AccessStatus::PREVIEW),
            (STBCAM_REASON_PURCHASABLE, AccessStatus::PURCHASABLE),
            (STBCAM_REASON_NO_RIGHT, AccessStatus::NO_RIGHT),
            (STBCAM_REASON_EMM_NEEDED, AccessStatus::EMM_NEEDED),
            (STBCAM_REASON_NO_CARD, AccessStatus::NO_CARD),
            (STBCAM_REASON_FOREIGN_SYSTEM, AccessStatus::FOREIGN_SYSTEM),
            (STBCAM_REASON_CHANNEL_MISMATCH, AccessStatus::CHANNEL_MISMATCH),
            (STBCAM_REASON_NO_ECM, AccessStatus::NO_ECM),
            (STBCAM_REASON_DESCRAMBLER, AccessStatus::DESCRAMBLER),
            (STBCAM_REASON_TOO_MANY_STREAMS, AccessStatus::TOO_MANY_STREAMS),
            (STBCAM_REASON_CLEAR, AccessStatus::CLEAR),
        ] {
            assert_eq!(abi, i32::from(card.0));
        }
    }
}
