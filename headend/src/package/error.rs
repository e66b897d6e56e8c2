// SPDX-License-Identifier: Apache-2.0
//! Why a stream was not packaged.

use crate::carousel::entries::CarouselError;
use crate::coverage::Dark;
use crate::ecm::EcmError;
use crate::files::FileError;
use crate::psi::PsiError;
use crate::timebase::ClockError;
use cam_types::Pid;
use std::fmt;

/// Why a stream was not packaged.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are named after what the text shows")]
pub enum PackageError {
    /// The source's tables.
    Psi(PsiError),
    /// No PCR at all.
    NoClock,
    /// The source's clock.
    Clock(ClockError),
    /// The files, or an ECM that cannot be made.
    Ecm(EcmError),
    /// An EMM that cannot be made.
    Emm(CarouselError),
    /// A service without a component that carries PES packets.
    NoComponents { service: u16 },
    /// A component of two services.
    SharedComponent { pid: Pid, services: [u16; 2] },
    /// A PID that the broadcast needs is in the source.
    PidTaken { field: &'static str, pid: Pid, packet: usize, free: Option<Pid> },
    /// A bit rate that is no higher than the source's, or far above it.
    BitRate { wanted: u64, source: u64, most: u64 },
    /// Too few null packets: boxes would be in the dark.
    Dark(Dark),
}

impl From<PsiError> for PackageError {
    fn from(error: PsiError) -> Self {
        Self::Psi(error)
    }
}

impl From<Dark> for PackageError {
    fn from(error: Dark) -> Self {
        Self::Dark(error)
    }
}

impl From<ClockError> for PackageError {
    fn from(error: ClockError) -> Self {
        Self::Clock(error)
    }
}

impl From<EcmError> for PackageError {
    fn from(error: EcmError) -> Self {
        Self::Ecm(error)
    }
}

impl From<CarouselError> for PackageError {
    fn from(error: CarouselError) -> Self {
        Self::Emm(error)
    }
}

impl From<FileError> for PackageError {
    fn from(error: FileError) -> Self {
        Self::Ecm(EcmError::File(error))
    }
}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Psi(error) => error.fmt(f),
            Self::NoClock => f.write_str(
                "no PCR in the source: no time base for the schedule; any service's will do, so take \
                 a cut of the whole multiplex",
            ),
            Self::Clock(error) => error.fmt(f),
            Self::Ecm(error) => error.fmt(f),
            Self::Emm(error) => error.fmt(f),
            Self::NoComponents { service } => {
                write!(
                    f,
                    "service {service} has no component that carries PES packets, and sections are \
                     never scrambled: take it out of the schedule"
                )
            }
            Self::SharedComponent { pid, services: [a, b] } => write!(
                f,
                "PID {pid} belongs to services {a} and {b}: put both under one ECM \
                 (`also = [{b}]` in the table of service {a}), or leave it in clear \
                 (`shared = \"clear\"`)"
            ),
            Self::PidTaken { field, pid, packet, free } => {
                write!(f, "{field} {pid} is taken in the source, first at packet {packet}")?;
                free.map_or(Ok(()), |free| write!(f, "; {free} is free"))
            }
            Self::BitRate { wanted, source, most } => write!(
                f,
                "--bit-rate {wanted}: the source has {source} bit/s, expected more, up to {most}"
            ),
            Self::Dark(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PackageError {}
