use core::fmt;

use cam_types::Pid;

/// Names a session. Generation-checked: the id of a closed session is refused, whoever has its
/// place now. Never 0; fits 24 bits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SessionId(pub u32);

/// Why a session was not opened or changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SessionError {
    /// The id is of no open session.
    Unknown,
    /// All places are taken.
    Full {
        /// How many there are.
        max: usize,
    },
    /// The table or object is malformed.
    Table(cam_types::DecodeError),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no open session has this id"),
            Self::Full { max } => write!(f, "all {max} sessions are open"),
            Self::Table(why) => write!(f, "malformed table: {why}"),
        }
    }
}

impl core::error::Error for SessionError {}

/// A section filter that the library wants set now.
///
/// `matching[0]` is the table_id; `matching[1..]` compares from octet 3 of the section on (the rule
/// of DVB demultiplexers: the length is not compared).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Filter {
    /// The demux or tuner.
    pub source: u8,
    /// The PID.
    pub pid: Pid,
    /// How many octets of `matching` and `mask` count.
    pub depth: u8,
    /// ECMs: do not let them wait.
    pub urgent: bool,
    /// What the octets must be.
    pub matching: [u8; 16],
    /// Which bits of them are compared.
    pub mask: [u8; 16],
}

/// The reply to an EN 50221 CA_PMT object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CaPmtReply {
    /// The session that the object opened or changed, if it is to be descrambled.
    pub session: Option<SessionId>,
    /// CA_enable (EN 50221 §8.4.3.5): 01 possible, 02 with purchase, 03 with dialogue, 71 no
    /// right, 73 technical.
    pub ca_enable: u8,
}
