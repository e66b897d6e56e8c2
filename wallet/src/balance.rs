// SPDX-License-Identifier: Apache-2.0
//! What a purse holds. Four octets say it, and not all card schemes mean the same by them.
//!
//! Normative references:
//!  - `docs/spec/purse.md` section 6: what is published of each scheme's cards

use crate::command::INS_BALANCE;
use crate::transaction::Account;
use cam_types::{Aid, Fen};
use core::fmt;

/// What the cards of a scheme mean by a balance.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum BalanceCoding {
    /// PBOC: 32 bits of money.
    #[default]
    Pboc,
    /// 31 bits of money; bit 31 is set and means something else (Shenzhen).
    LowBits,
    /// The same, and an overdraft limit counted in, which P1 of GET BALANCE takes apart (T-Union).
    Overdraft,
    /// Nobody has said: 31 bits of money, and with bit 31 set no balance that can be told.
    Unknown,
}

impl BalanceCoding {
    /// Those that can be told beforehand, by name.
    pub const ALL: [(&'static str, Self); 3] =
        [("pboc", Self::Pboc), ("low31", Self::LowBits), ("overdraft", Self::Overdraft)];
    /// Bit 31, which some cards set.
    const FLAG: u32 = 1 << 31;
    /// Applications by the beginning of their names.
    const NAMES: [(&'static [u8], Self); 3] = [
        (Aid::PURSE.octets(), Self::Pboc),
        (b"PAY.SZT", Self::LowBits),
        (&[0xA0, 0x00, 0x00, 0x06, 0x32, 0x01, 0x01, 0x05], Self::Overdraft),
    ];

    /// That of the application with this name.
    pub fn of(aid: &[u8]) -> Self {
        let found = Self::NAMES.iter().find(|(name, _)| aid.starts_with(name));
        found.map_or(Self::Unknown, |(_, coding)| *coding)
    }

    /// The money in a balance as the card sends it.
    pub const fn money(self, sent: Fen) -> Result<Fen, BalanceError> {
        match self {
            Self::Pboc => Ok(sent),
            Self::LowBits | Self::Overdraft => Ok(Fen::new(sent.fen() & !Self::FLAG)),
            Self::Unknown if sent.fen() & Self::FLAG == 0 => Ok(sent),
            Self::Unknown => Err(BalanceError::Unclear { sent }),
        }
    }

    /// Whether two balances of one card are the same, whatever its scheme means by bit 31.
    pub(crate) const fn are_same(one: Fen, other: Fen) -> bool {
        (one.fen() ^ other.fen()) & !Self::FLAG == 0
    }
}

/// P1 of GET BALANCE: which part of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// What can be drawn, the overdraft limit counted in.
    Drawable = 0,
    /// The overdraft limit.
    Limit = 1,
    /// How much of the limit is in use.
    Overdrawn = 2,
    /// What is the holder's own.
    Own = 3,
}

impl Part {
    /// GET BALANCE.
    pub const fn command(self, account: Account) -> [u8; 5] {
        [0x80, INS_BALANCE, self as u8, account as u8, 0x04]
    }
}

/// What a purse holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Balance {
    /// What can be drawn.
    pub drawable: Fen,
    /// What is the holder's own; `None` when the card does not say how much of what can be drawn is
    /// an overdraft.
    pub own: Option<Own>,
}

/// What is the holder's own: printed with a minus when it is owed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Own {
    /// So much.
    Holds(Fen),
    /// Nothing, and so much is overdrawn; never zero.
    Owes(Fen),
}

impl Own {
    /// What is left of `held` when `less` is not the holder's.
    fn difference(held: Fen, less: Fen) -> Self {
        match (held.checked_sub(less), less.checked_sub(held)) {
            (None, Some(owed)) => Self::Owes(owed),
            (rest, _) => Self::Holds(rest.unwrap_or(Fen::ZERO)),
        }
    }
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds(amount) => write!(f, "{amount}"),
            Self::Owes(amount) => write!(f, "-{amount}"),
        }
    }
}

impl Balance {
    /// Of a card without an overdraft.
    pub const fn without_overdraft(balance: Fen) -> Self {
        Self { drawable: balance, own: Some(Own::Holds(balance)) }
    }

    /// Of a card with one, from the parts that it tells. Two ways lead to what is the holder's own,
    /// and cards go one, the other or both: they have to agree.
    pub fn with_overdraft(
        drawable: Fen,
        limit: Option<Fen>,
        overdrawn: Option<Fen>,
        own: Option<Fen>,
    ) -> Result<Self, BalanceError> {
        let by_limit = limit.map(|limit| Own::difference(drawable, limit));
        let by_use = match (own, overdrawn) {
            (Some(own), Some(overdrawn)) => Some(Own::difference(own, overdrawn)),
            (Some(own), None) if own != Fen::ZERO => Some(Own::Holds(own)),
            _ => None,
        };
        let agree = match (by_limit, by_use) {
            (Some(one), Some(other)) => one == other,
            // Without anything of one's own nothing is held.
            (Some(Own::Holds(held)), None) => own.is_none() || held == Fen::ZERO,
            _ => true,
        };
        match agree {
            true => Ok(Self { drawable, own: by_limit.or(by_use) }),
            false => Err(BalanceError::Contradiction { drawable, limit, overdrawn, own }),
        }
    }
}

/// Why a balance cannot be told. Nothing has moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BalanceError {
    /// Of cards of this name it is not known whether bit 31 is money.
    Unclear {
        /// What the card has sent.
        sent: Fen,
    },
    /// The parts do not make one balance.
    Contradiction {
        /// GET BALANCE, P1 00.
        drawable: Fen,
        /// P1 01.
        limit: Option<Fen>,
        /// P1 02.
        overdrawn: Option<Fen>,
        /// P1 03.
        own: Option<Fen>,
    },
}

impl fmt::Display for BalanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclear { sent } => write!(
                f,
                "card sends the balance {:08X}, and of cards with this application's name it is not \
                 known whether bit 31 is money",
                sent.fen()
            ),
            Self::Contradiction { drawable, limit, overdrawn, own } => {
                write!(f, "the card's balances contradict each other: {drawable} can be drawn")?;
                for (part, what) in
                    [(limit, "is the limit"), (overdrawn, "overdrawn"), (own, "the holder's own")]
                {
                    part.map_or(Ok(()), |part| write!(f, ", {part} {what}"))?;
                }
                Ok(())
            }
        }
    }
}

impl core::error::Error for BalanceError {}
