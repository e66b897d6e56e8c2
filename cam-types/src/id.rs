// SPDX-License-Identifier: Apache-2.0
//! Identifiers of transport stream, conditional access and purse, each with its width and who gives
//! it out.

use core::fmt;

/// Even or odd: which of the two control words of a service scrambles a packet (ETSI ETR 289).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Parity {
    /// transport_scrambling_control `10`, ECM table_id 80.
    Even,
    /// transport_scrambling_control `11`, ECM table_id 81.
    Odd,
}

impl Parity {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }

    /// The parity of a crypto period: bit 0 of its number.
    pub const fn of_crypto_period(number: u32) -> Self {
        if number & 1 == 0 { Self::Even } else { Self::Odd }
    }
}

/// A packet identifier: 13 bits (ISO/IEC 13818-1 §2.4.3.3).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Pid(u16);

impl Pid {
    /// The program association table.
    pub const PAT: Self = Self(0x0000);
    /// The conditional access table is always on this PID.
    pub const CAT: Self = Self(0x0001);
    /// Null packets. In a CA_descriptor: no ECM stream for this component.
    pub const NULL: Self = Self(0x1FFF);

    /// A PID, if the number fits 13 bits.
    pub const fn new(pid: u16) -> Option<Self> {
        if pid <= 0x1FFF { Some(Self(pid)) } else { None }
    }

    /// The low 13 bits of a field whose upper bits are reserved.
    pub const fn from_field(field: u16) -> Self {
        Self(field & 0x1FFF)
    }

    /// As a number.
    pub const fn value(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04X}", self.0)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name($int);

        impl $name {
            /// From its number.
            pub const fn new(number: $int) -> Self {
                Self(number)
            }

            /// From the wire, most significant octet first.
            pub const fn from_be_bytes(octets: [u8; size_of::<$int>()]) -> Self {
                Self(<$int>::from_be_bytes(octets))
            }

            /// To the wire, most significant octet first.
            pub const fn to_be_bytes(self) -> [u8; size_of::<$int>()] {
                self.0.to_be_bytes()
            }

            /// As a number.
            pub const fn value(self) -> $int {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number! {
    /// CA_system_ID, 16 bits, assigned by DVB. Which ones are ours is configuration.
    CaSystemId(u16)
}

impl CaSystemId {
    /// The one that is ours unless the configuration names others.
    pub const DEFAULT: Self = Self(0x4AF0);
}

number! {
    /// The operator, 16 bits, given out by the issuer of the cards.
    OperatorId(u16)
}
number! {
    /// The channel that an ECM belongs to, 16 bits, given out by the operator. 0 stands for "any"
    /// in the ECM command.
    ChannelId(u16)
}
number! {
    /// A pay-per-view event, 32 bits, given out by the head-end and not reused for two years.
    EventId(u32)
}
number! {
    /// A subscription package, 16 bits, given out by the operator.
    PackageId(u16)
}
number! {
    /// The generation of a key, 16 bits, counted up by the head-end.
    Epoch(u16)
}
number! {
    /// A service key slot, 0 to 15: one family of services shares one key.
    Slot(u8)
}
number! {
    /// The terminal's transaction number, 32 bits, never used twice by one terminal.
    TerminalSequence(u32)
}

macro_rules! octets {
    ($(#[$doc:meta])* $name:ident[$len:literal]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name([u8; $len]);

        impl $name {
            /// The number of octets.
            pub const LEN: usize = $len;

            /// From its octets.
            pub const fn new(octets: [u8; $len]) -> Self {
                Self(octets)
            }

            /// Its octets.
            pub const fn octets(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

octets! {
    /// The card's number, 8 octets, given out by the issuer. It never goes on the air.
    CardId[8]
}
octets! {
    /// What a card is called on the air, 8 octets: by it EMM-U address the card and reports name
    /// it, and its number stays with issuer and operator.
    Pseudonym[8]
}
octets! {
    /// The number of a set-top box, 8 octets, given out by its factory.
    StbId[8]
}
octets! {
    /// The purse's name for a terminal, 6 octets (PBOC).
    TerminalId[6]
}
