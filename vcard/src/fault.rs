// SPDX-License-Identifier: Apache-2.0
//! Faults that a test may switch on, one at a time, to see that somebody notices. All off by
//! default.

use std::fmt;
use std::str::FromStr;

macro_rules! faults {
    ($(#[doc = $doc:literal] $name:ident = $text:literal,)*) => {
        /// A way in which the card misbehaves on purpose.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Fault { $(#[doc = $doc] $name,)* }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name on the command line.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it does, as text.
            pub fn about(self) -> &'static str {
                match self { $(Self::$name => $doc.trim(),)* }
            }
        }
    };
}

faults! {
    /// News is refused although it is subscribed.
    RefuseSubscription = "refuse-subscription",
    /// One bit of the current encrypted control word is wrong.
    WrongEcw = "wrong-ecw",
    /// A pay-per-view offer names one fen more than the ECM.
    WrongPrice = "wrong-price",
    /// Every PIN is right.
    AcceptAnyPin = "accept-any-pin",
    /// A wrong PIN costs no try.
    PinTriesStuck = "pin-tries-stuck",
    /// The price that the subscriber saw is not compared with the price of the ECM.
    PriceIgnored = "price-ignored",
    /// A purchase takes its price twice.
    DoubleDebit = "double-debit",
    /// A terminal's DEBIT takes one fen too much, its CREDIT gives one too little, unsaid.
    WrongSubtraction = "wrong-subtraction",
    /// A repeated request and an owned event are debited again.
    RepeatDebit = "repeat-debit",
    /// A receipt shows one fen too much left.
    WrongBalance = "wrong-balance",
    /// A receipt carries a transaction code that the purse key did not make.
    WrongTac = "wrong-tac",
    /// A purchase is answered as paid and forgotten with the next reset.
    ForgetCommit = "forget-commit",
    /// A question for an old purchase is answered with "not paid".
    IgnoreQuery = "ignore-query",
    /// Pages are written in place, without the journal.
    NoJournal = "no-journal",
    /// A repeated EMM is reported as applied.
    ApplyDuplicates = "apply-duplicates",
    /// An EMM with a wrong tag is reported as applied.
    AcceptForged = "accept-forged",
    /// An ECM with a wrong tag is answered like a denied one.
    AcceptForgedEcm = "accept-forged-ecm",
    /// A delivered key is reported as applied and not kept.
    LoseKey = "lose-key",
    /// A report leaves out a record.
    ReportOmits = "report-omits",
    /// A report names another amount than was paid.
    ReportAlters = "report-alters",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no fault of this name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownFault(String);

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown fault {:?}; there are:", self.0)?;
        Fault::ALL.iter().try_for_each(|fault| write!(f, " {fault}"))
    }
}

impl std::error::Error for UnknownFault {}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        Self::ALL
            .iter()
            .copied()
            .find(|fault| fault.name() == text)
            .ok_or_else(|| UnknownFault(text.to_owned()))
    }
}
