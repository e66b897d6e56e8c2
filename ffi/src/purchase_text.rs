// SPDX-License-Identifier: Apache-2.0
//! What the subscriber is told of a purchase, in each language: what became of it and, always, of
//! the money.

use crate::result::{
    STBCAM_E_ALREADY_OWNED, STBCAM_E_CARD_BLOCKED, STBCAM_E_CARD_FULL, STBCAM_E_CLOCK,
    STBCAM_E_FUNDS, STBCAM_E_LIMIT, STBCAM_E_NO_CARD, STBCAM_E_NO_KEY, STBCAM_E_NOT_FOR_SALE,
    STBCAM_E_NOT_PAID, STBCAM_E_OFFER_EXPIRED, STBCAM_E_OFFER_FORGED, STBCAM_E_OFFER_MALFORMED,
    STBCAM_E_PIN_BLOCKED, STBCAM_E_PIN_REQUIRED, STBCAM_E_PIN_WRONG, STBCAM_E_PRICE_CHANGED,
    STBCAM_E_RATING, STBCAM_E_SEQUENCE, STBCAM_E_STORAGE, stbcam_result_t,
};
use cam_core::{AccessStatus, Outcome};

/// One text in each of [`AccessStatus::LANGUAGES`].
type Texts = [&'static str; AccessStatus::LANGUAGES.len()];

const NOT_MOVED: Texts = ["; no money has moved", "；未扣款"];

/// `result` is the one that the event of this outcome carries.
pub(crate) fn purchase_text(
    outcome: &Outcome,
    result: stbcam_result_t,
    language: Option<&str>,
) -> String {
    let language = AccessStatus::language(language);
    let in_full = match outcome {
        Outcome::Paid(_) => ["paid", "支付成功"],
        Outcome::Refunded(_) => ["paid, and given back since", "已支付，款项已退回"],
        Outcome::Settling => [
            "the purchase is being settled: please wait, and do not pay again",
            "购买结果确认中，请勿重复支付",
        ],
        Outcome::Forgotten => [
            "the purchase is not known, or no longer; nothing is debited for it",
            "无法查询该笔购买；不会再为其扣款",
        ],
        _ => return said(not_paid(outcome, result), language) + said_of(NOT_MOVED, language),
    };
    said(in_full, language)
}

/// Why no money has moved.
const fn not_paid(outcome: &Outcome, result: stbcam_result_t) -> Texts {
    if let Outcome::Cancelled = outcome {
        return ["cancelled", "已取消"];
    }
    match result {
        STBCAM_E_ALREADY_OWNED => ["bought already", "已购买"],
        STBCAM_E_PIN_WRONG => ["the PIN is wrong", "密码错误"],
        STBCAM_E_PIN_BLOCKED => ["the PIN is blocked", "密码已锁定"],
        STBCAM_E_PIN_REQUIRED => ["the PIN is needed", "需要输入密码"],
        STBCAM_E_STORAGE => ["this box cannot store the purchase", "机顶盒无法保存购买记录"],
        STBCAM_E_NO_CARD => ["the card was not ready to pay", "智能卡未就绪"],
        STBCAM_E_NOT_PAID => ["not paid after all", "支付未完成"],
        STBCAM_E_OFFER_FORGED => ["the offer is not genuine", "购买信息无效"],
        STBCAM_E_OFFER_MALFORMED => ["the offer cannot be read", "无法读取购买信息"],
        STBCAM_E_OFFER_EXPIRED => ["the offer has ended", "购买时间已过"],
        STBCAM_E_CLOCK => ["the time of the broadcast is out of range", "播出时间异常"],
        STBCAM_E_RATING => ["above the allowed age rating", "超出允许的年龄级别"],
        STBCAM_E_NOT_FOR_SALE => ["not for sale to this card", "本卡不能购买本节目"],
        STBCAM_E_PRICE_CHANGED => ["the price has changed", "价格已变动"],
        STBCAM_E_LIMIT => ["the price is over the card's limit", "超出智能卡消费限额"],
        STBCAM_E_CARD_FULL => ["the card has no room for another purchase", "购买记录已满"],
        STBCAM_E_FUNDS => ["the balance on the card is too low", "卡内余额不足"],
        STBCAM_E_SEQUENCE => ["the purchase was overtaken: please buy again", "请重新购买"],
        STBCAM_E_NO_KEY => ["the card is waiting for a key", "等待密钥更新"],
        STBCAM_E_CARD_BLOCKED => ["the card is blocked", "智能卡已停用"],
        _ => ["the card refuses", "智能卡拒绝购买"],
    }
}

fn said(texts: Texts, language: usize) -> String {
    said_of(texts, language).to_owned()
}

fn said_of(texts: Texts, language: usize) -> &'static str {
    let [first, ..] = texts;
    texts.get(language).copied().unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purchase::purchase_result;

    fn unpaid() -> impl Iterator<Item = Outcome> {
        let refused = (0..=0xFF).map(|result| Outcome::Refused { result, balance: None });
        refused.chain([
            Outcome::PinBlocked,
            Outcome::PinRequired,
            Outcome::NotPaid,
            Outcome::NotStored,
            Outcome::CardGone,
            Outcome::Cancelled,
            Outcome::PinWrong { tries_left: 1 },
            Outcome::Owned(None),
        ])
    }

    fn text(outcome: &Outcome, language: &str) -> String {
        purchase_text(outcome, purchase_result(outcome).1, Some(language))
    }

    /// Whoever reads only the text knows what became of the money, in every language.
    #[test]
    fn every_refusal_says_that_no_money_has_moved() {
        for outcome in unpaid() {
            for (language, not_moved) in AccessStatus::LANGUAGES.into_iter().zip(NOT_MOVED) {
                let text = text(&outcome, language);
                assert_eq!(text.matches(not_moved).count(), 1, "{outcome:?}: {text}");
            }
        }
    }

    /// A box that speaks Chinese does so when it is about money.
    #[test]
    fn a_purchase_is_told_in_the_language_of_the_box() {
        for outcome in unpaid().chain([Outcome::Settling, Outcome::Forgotten]) {
            let (english, chinese) = (text(&outcome, "en"), text(&outcome, "zh-Hans-CN"));
            assert!(english.is_ascii(), "{english}");
            assert!(chinese.chars().all(|c| !c.is_ascii()), "{chinese}");
            assert_eq!(text(&outcome, "xx"), english);
        }
    }

    /// What the card did not say is not put into its mouth.
    #[test]
    fn each_end_of_a_purchase_has_its_own_words() {
        let [not_paid, not_stored, gone] =
            [Outcome::NotPaid, Outcome::NotStored, Outcome::CardGone].map(|end| text(&end, "en"));
        assert!(not_paid.starts_with("not paid after all"), "{not_paid}");
        assert!(not_stored.starts_with("this box cannot store"), "{not_stored}");
        assert!(gone.starts_with("the card was not ready"), "{gone}");
    }
}
