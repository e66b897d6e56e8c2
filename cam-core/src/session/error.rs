// SPDX-License-Identifier: Apache-2.0
//! Why a session is not opened or changed: what is wrong with its table, or with the request.

use core::fmt;

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
    /// The table or object is not yet applicable: current_next_indicator is 0.
    Next,
    /// The PMT is another programme's.
    OtherProgramme {
        /// program_number of the session.
        session: u16,
        /// program_number of the PMT.
        got: u16,
    },
    /// A ca_pmt_list_management that EN 50221 does not have.
    ListManagement(u8),
    /// A ca_pmt_cmd_id that EN 50221 does not have.
    Command(u8),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no open session has this id"),
            Self::Full { max } => {
                write!(f, "all {max} sessions are open: close one, or allow more (max_sessions)")
            }
            Self::Table(why) => write!(f, "malformed: {why}"),
            Self::Next => f.write_str(
                "current_next_indicator is 0, the table is not yet applicable: \
                 give it when it is current",
            ),
            Self::OtherProgramme { session, got } => write!(
                f,
                "the PMT is of programme {got}, the session of programme {session}: \
                 open a session for each"
            ),
            Self::ListManagement(got) => write!(
                f,
                "ca_pmt_list_management 0x{got:02X} is not known, \
                 expected 0x00 (more) to 0x05 (update)"
            ),
            Self::Command(got) => write!(
                f,
                "ca_pmt_cmd_id 0x{got:02X} is not known, \
                 expected 0x01 (ok_descrambling) to 0x04 (not_selected)"
            ),
        }
    }
}

impl core::error::Error for SessionError {}
