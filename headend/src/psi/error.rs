// SPDX-License-Identifier: Apache-2.0
//! Why the source's tables do not serve.

use cam_types::{DecodeError, Pid};
use ecm_emm::EncodeError;
use std::fmt;

/// Why the source's tables do not serve.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are named after what the text shows")]
pub enum PsiError {
    /// No good PAT section that is current on PID 0.
    NoPat,
    /// The PAT does not name the service.
    NoService { service: u16, services: Vec<u16> },
    /// The PAT sends the PMT elsewhere in mid-stream.
    PmtMoves { service: u16, packet: usize, places: [Pid; 2] },
    /// The PID named by the PAT carries no current PMT of the service.
    NoPmt { service: u16, pmt_pid: Pid },
    /// A PMT that cannot be read.
    Pmt { service: u16, packet: usize, error: DecodeError },
    /// The rewritten PMT cannot be built.
    NewPmt { service: u16, packet: usize, error: EncodeError },
    /// A component is scrambled in the source.
    Scrambled { pid: Pid, packet: usize },
    /// The CAT cannot be built.
    Cat(EncodeError),
}

impl fmt::Display for PsiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPat => f.write_str(
                "no program association table that is current on PID 0x0000: begin the cut at \
                     one, or take a longer one; half a second of a stream has several",
            ),
            Self::NoService { service, services } => {
                write!(
                    f,
                    "service {service} is not in the PAT, which names {services:?}: `service` in the \
                     schedule is one of these"
                )
            }
            Self::PmtMoves { service, packet, places: [from, to] } => write!(
                f,
                "the PAT moves the PMT of service {service} from PID {from} to {to} at packet \
                 {packet}: cut the stream there and package the parts one by one"
            ),
            Self::NoPmt { service, pmt_pid } => {
                write!(
                    f,
                    "no current PMT of service {service} on PID {pmt_pid}: take a longer cut, or \
                     another service; `headend inspect` tells which have one"
                )
            }
            Self::Pmt { service, packet, error } => {
                write!(
                    f,
                    "PMT of service {service} at packet {packet}: {error}; put it right at its \
                     multiplexer, or cut the stream around it"
                )
            }
            Self::NewPmt { service, packet, error } => write!(
                f,
                "PMT of service {service} at packet {packet}, with CA_descriptor and \
                 scrambling_descriptor: {error}; take descriptors out of the source's"
            ),
            Self::Scrambled { pid, packet } => {
                write!(
                    f,
                    "PID {pid} is scrambled in the source already, at packet {packet}: package the \
                     stream from before its scrambler"
                )
            }
            Self::Cat(error) => write!(f, "CAT: {error}"),
        }
    }
}

impl std::error::Error for PsiError {}
