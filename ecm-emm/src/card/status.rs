// SPDX-License-Identifier: Apache-2.0
//! The access status: one number for "may it be watched, and if not, why not", and all there is to
//! say about it. A reason is a row of the table below; the C ABI adds its constant.
//!
//! Normative references:
//!  - `docs/spec/card.md`, 3.1

use core::ffi::CStr;
use core::fmt;

/// Whether a service may be watched, and if not, why. The numbers are also the C ABI's reasons.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AccessStatus(pub u8);

/// What is said to the subscriber, in each of [`AccessStatus::LANGUAGES`].
type Shown = [&'static CStr; AccessStatus::LANGUAGES.len()];

/// What there is to say about a status: a row of the table.
struct Row {
    name: &'static str,
    text: &'static str,
    remedy: Remedy,
    shown: Shown,
}

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $remedy:ident, $shown:expr;)*) => {
        impl AccessStatus {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// Every status that has a name, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            const fn row(self) -> Option<&'static Row> {
                match self.0 {
                    $($number => Some(&Row {
                        name: stringify!($name),
                        text: $text,
                        remedy: Remedy::$remedy,
                        shown: $shown,
                    }),)*
                    _ => None,
                }
            }
        }
    };
}

// A name and its number; a text for logs; who or what can change it; texts for the
// subscriber, in English and in Chinese.
statuses! {
    /// Not yet known.
    PENDING = 0x00, "pending", Wait,
        [c"one moment please", c"请稍候"];
    /// By a package.
    GRANTED_SUBSCRIPTION = 0x01, "granted by subscription", None,
        [c"included in your subscription", c"已订购"];
    /// By an event that was bought or given.
    GRANTED_EVENT = 0x02, "granted by event", None,
        [c"you have bought this programme", c"已购买本节目"];
    /// By a slice of time that was bought.
    GRANTED_TIME = 0x03, "granted by time", None,
        [c"you have bought this time", c"已购买本时段"];
    /// By the right for another edition of the event.
    GRANTED_TIER = 0x04, "granted by tier", None,
        [c"you have bought this group of programmes", c"已购买本组节目"];
    /// Free to every card with the service key.
    GRANTED_FREE = 0x05, "granted free", None,
        [c"free for every card", c"免费节目"];
    /// For the seconds of the preview.
    PREVIEW = 0x10, "preview", None,
        [c"preview", c"节目预览"];
    /// It can be bought.
    PURCHASABLE = 0x20, "purchasable", Money,
        [c"this programme can be bought", c"本节目可以购买"];
    /// No package, event or time opens it.
    NO_RIGHT = 0x30, "no right", Emm,
        [c"not included in your subscription", c"未订购本节目"];
    /// The right begins later.
    NOT_YET_VALID = 0x31, "right not yet valid", Wait,
        [c"your subscription has not begun yet", c"订购尚未生效"];
    /// The right has ended.
    EXPIRED = 0x32, "right expired", Emm,
        [c"your subscription has ended", c"订购已到期"];
    /// The card has nothing of this operator.
    UNKNOWN_OPERATOR = 0x33, "unknown operator", Technician,
        [c"this card is not for this operator", c"智能卡不属于本运营商"];
    /// Not in the card's region.
    REGION = 0x34, "not in this region", Technician,
        [c"not available in your region", c"本地区不提供本节目"];
    /// Blacked out in the card's region.
    BLACKOUT = 0x35, "blacked out", Wait,
        [c"not available here at this time", c"本地区暂停播出"];
    /// Over the rating that the subscriber allows.
    RATING = 0x36, "parental rating", Pin,
        [c"above the allowed age rating", c"超出允许的年龄级别"];
    /// The card knows no box.
    NOT_PAIRED = 0x37, "not paired", Emm,
        [c"the card is not paired with this box", c"智能卡未与机顶盒配对"];
    /// The card knows other boxes.
    PAIRED_ELSEWHERE = 0x38, "paired with another box", Emm,
        [c"the card is paired with another box", c"智能卡已与其他机顶盒配对"];
    /// The operator has blocked the card.
    CARD_BLOCKED = 0x39, "card blocked", Technician,
        [c"the card is blocked", c"智能卡已停用"];
    /// The card's time is over.
    CARD_EXPIRED = 0x3A, "card expired", Technician,
        [c"the card has expired", c"智能卡已过期"];
    /// The purse holds too little.
    FUNDS = 0x3B, "insufficient funds", Money,
        [c"the balance on the card is too low", c"卡内余额不足"];
    /// The purchase log is full: it must be reported first.
    LOG_FULL = 0x3C, "purchase log full", Emm,
        [c"the card has no room for another purchase", c"购买记录已满"];
    /// The preview is used up.
    PREVIEW_USED = 0x3D, "preview used up", Money,
        [c"the preview is used up", c"预览时间已用完"];
    /// The card must first receive what the operator has sent.
    EMM_NEEDED = 0x3E, "entitlement update needed", Emm,
        [c"the card is waiting for an update", c"等待授权更新"];
    /// Scrambled by other CA systems only. Told by the box, never by a card.
    FOREIGN_SYSTEM = 0x3F, "another CA system", Technician,
        [c"this programme needs another provider's card", c"本节目属于其他运营商的加密系统"];
    /// No card in the reader.
    NO_CARD = 0x40, "no card", Technician,
        [c"please insert the card", c"请插入智能卡"];
    /// The card does not answer.
    MUTE_CARD = 0x41, "mute card", Technician,
        [c"the card does not answer: is it the right way round?", c"智能卡无应答,请检查插入方向"];
    /// Not a card of ours.
    UNKNOWN_CARD = 0x42, "unknown card", Technician,
        [c"this card does not belong here", c"无法识别智能卡"];
    /// The card is at work for another service.
    CARD_BUSY = 0x43, "card busy", Wait,
        [c"the card is busy", c"智能卡忙"];
    /// The card has no key for this period.
    NO_KEY = 0x44, "no key for this period", Emm,
        [c"the card is waiting for a key", c"等待密钥更新"];
    /// The ECM cannot be read.
    MALFORMED_ECM = 0x45, "malformed ECM", Technician,
        [c"the broadcast cannot be read", c"无法读取授权控制信息"];
    /// The ECM is not authentic.
    REFUSED_ECM = 0x46, "refused ECM", Technician,
        [c"the broadcast is not genuine", c"授权控制信息无效"];
    /// The ECM's time is not the card's.
    CLOCK = 0x47, "clock unknown or wrong", Wait,
        [c"the time of the broadcast is out of range", c"播出时间异常"];
    /// The reader has failed.
    READER_FAULT = 0x48, "reader fault", Technician,
        [c"the card reader does not work", c"读卡器故障"];
    /// A purchase is being settled.
    OUTCOME_UNKNOWN = 0x49, "outcome unknown", Wait,
        [c"a purchase is being settled", c"购买结果确认中"];
    /// The ECM belongs to another channel.
    CHANNEL_MISMATCH = 0x4A, "ECM of another channel", Technician,
        [c"the broadcast is mixed up", c"频道信息不符"];
    /// No ECM of the service is on air. Told by the box, never by a card.
    NO_ECM = 0x4B, "no ECM on air", Wait,
        [c"the broadcast sends no keys at present", c"未收到授权控制信息"];
    /// The descrambler did not take the control words or the ladder's keys. Told by the box, never
    /// by a card.
    DESCRAMBLER = 0x4C, "descrambler refuses", Technician,
        [c"this box cannot descramble the programme", c"机顶盒无法解扰本节目"];
    /// More ECM streams or components than are served. Told by the box, never by a card.
    TOO_MANY_STREAMS = 0x4D, "too many streams", Technician,
        [c"the programme has more parts than this box can serve", c"节目分量过多"];
    /// What the box keeps of its pairing does not open: its key is another one, or the row is
    /// damaged. Told by the box, never by a card.
    PAIRING_UNREADABLE = 0x4E, "the box's pairing does not open", Technician,
        [c"this box cannot read its pairing with the card", c"机顶盒无法读取配对信息"];
    /// The card serves as many channels as one household watches: a token comes in two seconds.
    CHANNELS = 0x53, "too many channels", Wait,
        [c"too many channels at once: one moment please", c"同时收看的频道过多,请稍候"];
    /// The card is in session: a reason of the card's state, never of a session's access. Told by
    /// the box, never by a card.
    CARD_READY = 0x7E, "card ready", None,
        [c"the card is ready", c"智能卡已就绪"];
    /// The service is not scrambled.
    CLEAR = 0x7F, "clear", None,
        [c"free to air", c"免费频道"];
}

impl AccessStatus {
    /// Primary subtags (BCP 47) of the languages that the subscriber can be spoken to in. The first
    /// one stands in for all others.
    pub const LANGUAGES: [&str; 2] = ["en", "zh"];
    const OTHER: Shown = [c"not available", c"无法收看"];

    /// As the C ABI and the specification write it; `None` for a number of a later version.
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|row| row.name)
    }

    /// As text for logs; `None` for a number of a later version.
    pub fn text(self) -> Option<&'static str> {
        self.row().map(|row| row.text)
    }

    /// As text for the subscriber, in the language of a BCP 47 tag.
    pub fn shown(self, language: Option<&str>) -> &'static CStr {
        let shown = self.row().map_or(Self::OTHER, |row| row.shown);
        let [first, ..] = shown;
        shown.get(Self::language(language)).copied().unwrap_or(first)
    }

    /// The place in [`Self::LANGUAGES`] of the language of a BCP 47 tag.
    pub fn language(tag: Option<&str>) -> usize {
        let primary = tag.and_then(|tag| tag.split(['-', '_']).next()).unwrap_or_default();
        let mut languages = Self::LANGUAGES.iter();
        languages.position(|language| language.eq_ignore_ascii_case(primary)).unwrap_or(0)
    }

    /// Who or what can change it.
    pub fn remedy(self) -> Remedy {
        self.row().map_or_else(|| AccessState::of(self).remedy(), |row| row.remedy)
    }

    /// The same where the card wants the PIN: it comes before the money.
    pub fn remedy_with_pin(self) -> Remedy {
        if self == Self::PURCHASABLE { Remedy::Pin } else { self.remedy() }
    }

    /// The answer carries ECWs: granted or preview.
    pub const fn has_ecw(self) -> bool {
        matches!(AccessState::of(self), AccessState::Granted | AccessState::Preview)
    }
}

impl fmt::Display for AccessStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => write!(f, "access status 0x{:02X}", self.0),
        }
    }
}

/// The families of access reasons, from the best to the worst: of several ECM streams a session
/// shows the one that is worst off.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum AccessState {
    /// The programme is not scrambled.
    Clear,
    /// Keys are given.
    Granted,
    /// Keys are given for a trial.
    Preview,
    /// The card has not been asked yet.
    #[default]
    Pending,
    /// It can be bought.
    Purchasable,
    /// The card says no.
    Denied,
    /// Something does not work.
    Technical,
}

/// Who or what changes a refusal.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Remedy {
    /// Nothing needs to change.
    #[default]
    None,
    /// Time: it passes by itself.
    Wait,
    /// A message of the operator: a right, a key, a pairing.
    Emm,
    /// The subscriber's PIN.
    Pin,
    /// Money: buy it, or load the purse.
    Money,
    /// Somebody who looks at the box or the card.
    Technician,
}

impl AccessState {
    /// The family of a status, also of one of a later version.
    pub const fn of(status: AccessStatus) -> Self {
        match status.0 {
            0x00 => Self::Pending,
            0x01..=0x0F => Self::Granted,
            0x10..=0x1F => Self::Preview,
            0x20..=0x2F => Self::Purchasable,
            0x30..=0x3F | 0x50..=0x5F => Self::Denied,
            0x7F => Self::Clear,
            _ => Self::Technical,
        }
    }

    /// Who or what changes a status of a later version.
    const fn remedy(self) -> Remedy {
        match self {
            Self::Denied | Self::Technical => Remedy::Technician,
            _ => Remedy::None,
        }
    }
}
