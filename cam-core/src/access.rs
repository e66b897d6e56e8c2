use core::fmt;

use cam_types::{CaSystemId, CasTime, OperatorId};

/// What a session may show and why: the access code of the card's answer, and the numbers that the
/// C ABI calls `reason`. A code never heard of keeps its number.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct AccessStatus(pub u8);

/// The answer to "may this be watched, and if not, why not".
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Access {
    /// The family of `reason`.
    pub state: AccessState,
    /// The reason in one number.
    pub reason: AccessStatus,
    /// Who or what can change it.
    pub remedy: Remedy,
    /// The card's last status word for this session, 0 when it has not spoken yet.
    pub sw: u16,
    /// The CA system that the session uses, if one is ours.
    pub ca_system_id: Option<CaSystemId>,
    /// The operator of the ECM stream in use.
    pub operator: Option<OperatorId>,
    /// Copy control information of the last answer.
    pub cci: u8,
    /// The rating of the last answer.
    pub rating: u8,
    /// The card wants the PIN for the programme on air.
    pub pin_needed: bool,
    /// The end of the right that granted, if the card has told it.
    pub expires: Option<CasTime>,
    /// How many offers [`crate::Engine::offers`] has for the session.
    pub offers: u8,
    /// The crypto period of the keys in use, if there are any.
    pub crypto_period: Option<u32>,
}

/// The families of access reasons.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AccessState {
    /// The card has not been asked yet.
    #[default]
    Pending,
    /// The programme is not scrambled.
    Clear,
    /// Keys are given.
    Granted,
    /// Keys are given for a trial.
    Preview,
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
    /// Time: it will settle by itself.
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

impl AccessStatus {
    /// No answer yet.
    pub const PENDING: Self = Self(0x00);
    /// By subscription.
    pub const GRANTED_SUBSCRIPTION: Self = Self(0x01);
    /// By a bought event.
    pub const GRANTED_EVENT: Self = Self(0x02);
    /// By a bought time slice.
    pub const GRANTED_TIME: Self = Self(0x03);
    /// By tier.
    pub const GRANTED_TIER: Self = Self(0x04);
    /// Free to every card.
    pub const GRANTED_FREE: Self = Self(0x05);
    /// A trial.
    pub const PREVIEW: Self = Self(0x10);
    /// It can be bought.
    pub const PURCHASABLE: Self = Self(0x20);
    /// The card has no right to it.
    pub const NO_RIGHT: Self = Self(0x30);
    /// The right has not begun.
    pub const NOT_YET_VALID: Self = Self(0x31);
    /// The right has ended.
    pub const EXPIRED: Self = Self(0x32);
    /// The card does not belong to this operator.
    pub const UNKNOWN_OPERATOR: Self = Self(0x33);
    /// Not in this region.
    pub const REGION: Self = Self(0x34);
    /// Blacked out.
    pub const BLACKOUT: Self = Self(0x35);
    /// Above the allowed rating.
    pub const RATING: Self = Self(0x36);
    /// The card is paired with no box.
    pub const NOT_PAIRED: Self = Self(0x37);
    /// The card is paired with another box.
    pub const PAIRED_ELSEWHERE: Self = Self(0x38);
    /// The card is blocked.
    pub const CARD_BLOCKED: Self = Self(0x39);
    /// The card has expired.
    pub const CARD_EXPIRED: Self = Self(0x3A);
    /// Not enough money.
    pub const FUNDS: Self = Self(0x3B);
    /// The purchase log is full.
    pub const LOG_FULL: Self = Self(0x3C);
    /// The trial is used up.
    pub const PREVIEW_USED: Self = Self(0x3D);
    /// The card needs its messages first.
    pub const EMM_NEEDED: Self = Self(0x3E);
    /// No card.
    pub const NO_CARD: Self = Self(0x40);
    /// The card does not answer.
    pub const MUTE_CARD: Self = Self(0x41);
    /// Not a card of this system.
    pub const UNKNOWN_CARD: Self = Self(0x42);
    /// The card is busy.
    pub const CARD_BUSY: Self = Self(0x43);
    /// No key for this period.
    pub const NO_KEY: Self = Self(0x44);
    /// The card could not read the ECM.
    pub const MALFORMED_ECM: Self = Self(0x45);
    /// The ECM is not authentic.
    pub const REFUSED_ECM: Self = Self(0x46);
    /// The ECM's time is out of range.
    pub const CLOCK: Self = Self(0x47);
    /// The reader does not work.
    pub const READER_FAULT: Self = Self(0x48);
    /// A purchase is not settled yet.
    pub const OUTCOME_UNKNOWN: Self = Self(0x49);
    /// The ECM belongs to another channel.
    pub const CHANNEL_MISMATCH: Self = Self(0x4A);
    /// Not scrambled.
    pub const CLEAR: Self = Self(0x7F);
}

impl fmt::Display for AccessStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "access {:02X}", self.0)
    }
}
