// SPDX-License-Identifier: Apache-2.0
//! The card's operating system: selects applications, carries their commands in and out of secure
//! channels, and forgets everything volatile on a reset.
//!
//! Normative references:
//!  - ISO/IEC 7816-4 (SELECT, status words), GlobalPlatform Amendment D (SCP03)
//!  - `docs/spec/card.md`

mod channel;
mod directory;

use crate::cas::{Cas, CasRam, sabotage};
use crate::context::Context;
use crate::decide::{Twice, decide};
use crate::interface::Interface;
use crate::isd;
use crate::psam::{self, Psam, PsamRam};
use crate::purse::{self, NO_FCI, Purse, PurseRam};
use crate::random::Random;
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::Aid;
use cam_types::interindustry::{INS_READ_BINARY, INS_SELECT};
use channel::Channel;
use directory::Directory;
use ecm_emm::card::INS_EMM;
use gp::scp03::{INS_EXTERNAL_AUTHENTICATE, INS_INITIALIZE_UPDATE};
use iso7816::apdu::{Command, StatusWord};

/// The application that commands go to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Selected {
    Issuer,
    Cas,
    Purse,
    Psam,
    /// The list of applications: by contacts (PSE) or over the antenna (PPSE).
    Directory(Directory),
}

/// The identifier of the root (MF).
const ROOT: [u8; 2] = [0x3F, 0x00];

impl Selected {
    fn by_aid(aid: &[u8]) -> Option<Self> {
        // Telecom hosts know the issuer's domain by its old name.
        const OLD_ISSUER: &[u8] = &[0xA0, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00];
        match aid {
            [] => Some(Self::Issuer),
            aid if aid == Aid::ISSUER.octets() || aid == OLD_ISSUER => Some(Self::Issuer),
            aid if aid == Aid::CAS.octets() => Some(Self::Cas),
            aid if aid == Aid::PURSE.octets() => Some(Self::Purse),
            aid if aid == Aid::PSAM.octets() => Some(Self::Psam),
            name => Directory::by_name(name).map(Self::Directory),
        }
    }

    /// By the identifier of the root, or of a secure module's file.
    fn by_file(id: &[u8]) -> Option<Self> {
        match id {
            id if id == ROOT => Some(Self::Issuer),
            id if id == psam::FILE => Some(Self::Psam),
            _ => None,
        }
    }

    /// Whether a card that is a secure module, or is not, has this application.
    const fn is_on(self, is_psam: bool) -> bool {
        match self {
            Self::Issuer => true,
            Self::Cas | Self::Purse | Self::Directory(_) => !is_psam,
            Self::Psam => is_psam,
        }
    }

    /// Whether secure channels (SCP03) lead to it.
    const fn has_channel(self) -> bool {
        matches!(self, Self::Issuer | Self::Cas)
    }

    const fn name(self) -> &'static [u8] {
        match self {
            Self::Issuer => Aid::ISSUER.octets(),
            Self::Cas => Aid::CAS.octets(),
            Self::Purse => Aid::PURSE.octets(),
            Self::Psam => Aid::PSAM.octets(),
            Self::Directory(directory) => directory.name(),
        }
    }

    /// File control information: the answer to SELECT.
    fn fci(self, vault: &Vault) -> Result<Vec<u8>, Stop> {
        let name = self.name();
        // The issuer's tells the largest command; the others are named.
        let proprietary = match self {
            Self::Issuer => vec![0x9F, 0x65, 0x01, 0xFF],
            Self::Cas => b"\x50\x03CAS".to_vec(),
            Self::Psam => b"\x50\x04PSAM".to_vec(),
            Self::Purse => purse::application_fci(vault.objects().purse.get(Context::PURSE)?),
            Self::Directory(directory) => directory.proprietary(),
        };
        let mut body = vec![0x84, name.len() as u8];
        body.extend_from_slice(name);
        body.extend([0xA5, proprietary.len() as u8]);
        body.extend(proprietary);
        let mut fci = vec![0x6F, body.len() as u8];
        fci.append(&mut body);
        Ok(fci)
    }
}

/// The operating system of a powered card: everything that a reset ends.
#[derive(Clone)]
pub(crate) struct Cos {
    interface: Twice<Interface>,
    selected: Selected,
    channel: Channel,
    cas: CasRam,
    purse: PurseRam,
    psam: PsamRam,
}

impl Cos {
    /// After a reset: the issuer's domain is selected.
    pub(crate) fn new(vault: &Vault, interface: Interface) -> Result<Self, Stop> {
        let cas = vault.objects().cas.get(Context::CAS)?;
        Ok(Self {
            interface: Twice::new(interface),
            selected: Selected::Issuer,
            channel: Channel::Closed,
            cas: CasRam::new(&cas.clock),
            purse: PurseRam::default(),
            psam: PsamRam::default(),
        })
    }

    /// One command APDU; data and status word come back, unless the power goes.
    pub(crate) fn transmit(
        &mut self,
        vault: &mut Vault,
        random: &mut Random,
        apdu: &[u8],
    ) -> Result<Vec<u8>, Stop> {
        match self.answer(vault, random, apdu) {
            Err(Stop::Status(sw)) => Ok(sw.to_be_bytes().to_vec()),
            Ok(response) => Ok(self.within_ne(apdu, response)),
            lost => lost,
        }
    }

    /// Never more data than was asked for: of what does not fit, the length alone. Commands that
    /// change something have looked before. A secured answer is as long as its MAC makes it.
    fn within_ne(&self, apdu: &[u8], response: Vec<u8>) -> Vec<u8> {
        let asked = Command::parse(apdu).ok().and_then(|command| {
            let secured = command.cla & 0x04 != 0 && self.selected.has_channel();
            command.le.filter(|_| !secured)
        });
        match (asked, response.len().checked_sub(2)) {
            (Some(le), Some(length)) if length > le.into() => {
                StatusWord::with_right_length(length).to_be_bytes().to_vec()
            }
            _ => response,
        }
    }

    fn answer(
        &mut self,
        vault: &mut Vault,
        random: &mut Random,
        apdu: &[u8],
    ) -> Result<Vec<u8>, Stop> {
        let command = Command::parse(apdu).map_err(|_| StatusWord::WRONG_LENGTH)?;
        if command.cla & 0x03 != 0 {
            // Logical channels other than the basic one.
            return Err(StatusWord::NO_CHANNEL.into());
        }
        if (command.cla, command.ins) == (0x00, INS_SELECT) {
            return self.select(vault, random, &command).map(ok);
        }
        let is_open = matches!(self.selected, Selected::Purse | Selected::Directory(_));
        if !decide(|| self.interface.get() == Interface::Contact || is_open) {
            return Err(StatusWord::CONDITIONS.into());
        }
        if self.selected != Selected::Issuer {
            Self::not_locked(vault)?;
        }
        match (command.cla, command.ins) {
            (0x80, INS_INITIALIZE_UPDATE) if self.selected.has_channel() => {
                self.end_session();
                self.initialize_update(vault, random, &command).map(ok)
            }
            (0x84, INS_EXTERNAL_AUTHENTICATE) if self.selected.has_channel() => {
                self.external_authenticate(vault, &command).map(ok)
            }
            // The purse's secure messaging is PBOC's, and its own affair.
            _ if command.cla & 0x04 != 0 && self.selected != Selected::Purse => {
                self.secured(vault, random, &command)
            }
            _ => self.dispatch(vault, random, &command, None).map(ok),
        }
    }

    /// SELECT by the whole name or, on a secure module, by file, which ends whatever was going on;
    /// or of a file of the purse.
    fn select(
        &mut self,
        vault: &mut Vault,
        random: &mut Random,
        command: &Command<'_>,
    ) -> Result<Vec<u8>, Stop> {
        let is_root = command.p1 == 0x00 && (command.data == ROOT || command.data.is_empty());
        if self.selected == Selected::Purse && command.p1 == 0x00 && !is_root {
            return self.dispatch(vault, random, command, None);
        }
        let is_psam = psam::is_personalised(vault);
        let selected = match (command.p1, command.p2) {
            (0x04, 0x00 | NO_FCI) => Selected::by_aid(command.data),
            (0x00, 0x00 | NO_FCI) if is_root => Selected::by_file(&ROOT),
            (0x00, 0x00 | NO_FCI) if is_psam => Selected::by_file(command.data),
            _ => return Err(StatusWord::WRONG_P1P2.into()),
        };
        let selected =
            selected.filter(|it| decide(|| it.is_on(is_psam))).ok_or(StatusWord::NOT_FOUND)?;
        if selected != Selected::Issuer {
            Self::not_locked(vault)?;
        }
        self.end_session();
        self.purse = PurseRam::default();
        self.psam = PsamRam::default();
        self.selected = selected;
        match command.p2 {
            NO_FCI => Ok(Vec::new()),
            _ => selected.fci(vault),
        }
    }

    /// CARD BLOCK leaves the issuer's domain alone.
    fn not_locked(vault: &Vault) -> Result<(), Stop> {
        let locked = vault.objects().issuer.get(Context::ISSUER)?.locked;
        if decide(|| !locked) { Ok(()) } else { Err(StatusWord::APPLICATION_BLOCKED.into()) }
    }

    fn end_session(&mut self) {
        self.channel = Channel::Closed;
        self.cas.end_session();
    }

    fn initialize_update(
        &mut self,
        vault: &Vault,
        random: &mut Random,
        command: &Command<'_>,
    ) -> Result<Vec<u8>, Stop> {
        let (channel, answer) = match self.selected {
            Selected::Cas => channel::challenge_pairing(vault, random, command)?,
            _ => channel::challenge_issuer(vault, command)?,
        };
        self.channel = channel;
        Ok(answer)
    }

    fn external_authenticate(
        &mut self,
        vault: &mut Vault,
        command: &Command<'_>,
    ) -> Result<Vec<u8>, Stop> {
        let waiting = std::mem::take(&mut self.channel);
        self.cas.end_session();
        self.channel = waiting.authenticate(vault, command)?;
        Ok(Vec::new())
    }

    /// A command under secure messaging.
    fn secured(
        &mut self,
        vault: &mut Vault,
        random: &mut Random,
        command: &Command<'_>,
    ) -> Result<Vec<u8>, Stop> {
        if !self.channel.is_valid(vault) {
            self.end_session();
        }
        let Channel::Open(open) = &mut self.channel else {
            return Err(StatusWord::SECURITY_STATUS.into());
        };
        let pairing = open.pairing();
        let mut data = zeroize::Zeroizing::new(Vec::new());
        let header = [command.cla, command.ins, command.p1, command.p2];
        let level = open.level.get();
        if !decide(|| u32::from(open.session.level().value()) == level)
            || open.session.unwrap(header, command.data, &mut data).is_err()
        {
            self.end_session();
            return Err(StatusWord::SECURE_MESSAGING.into());
        }
        let plain = Command { cla: command.cla & !0x04, data: &data, ..*command };
        let (answer, sw) = match self.dispatch(vault, random, &plain, pairing) {
            Ok(answer) => (answer, StatusWord::OK),
            Err(Stop::Status(sw)) => (Vec::new(), sw),
            Err(stop) => return Err(stop),
        };
        let mut out = Vec::new();
        let wrapped = match &mut self.channel {
            Channel::Open(open) => open.session.wrap(&answer, sw, &mut out),
            _ => return Err(StatusWord::SECURE_MESSAGING.into()),
        };
        if wrapped.is_err() {
            self.end_session();
            return Err(StatusWord::SECURE_MESSAGING.into());
        }
        Ok(out)
    }

    fn dispatch(
        &mut self,
        vault: &mut Vault,
        random: &mut Random,
        command: &Command<'_>,
        pairing: Option<usize>,
    ) -> Result<Vec<u8>, Stop> {
        match self.selected {
            // The files of a secure module's root.
            Selected::Issuer if (command.cla, command.ins) == (0x00, INS_READ_BINARY) => {
                psam::read_binary(vault, command)
            }
            Selected::Issuer => isd::process(vault, command),
            Selected::Psam => Psam { vault, ram: &mut self.psam }.process(command),
            Selected::Directory(directory) => Ok(directory.process(command)?),
            Selected::Cas => {
                let mut cas = Cas { vault, ram: &mut self.cas, pairing };
                let answer = sabotage::process(&mut cas, command);
                // UNPAIR or PAIR of the slot ends its session; the answer to this very command
                // still goes out under it.
                if command.ins == INS_EMM && pairing.is_none() && !self.channel.is_valid(vault) {
                    self.end_session();
                }
                answer
            }
            Selected::Purse => {
                let interface = self.interface;
                let mut purse = Purse { vault, ram: &mut self.purse, interface, random };
                purse::sabotage::process(&mut purse, command)
            }
        }
    }
}

/// Data with status 9000.
fn ok(mut data: Vec<u8>) -> Vec<u8> {
    data.extend(StatusWord::OK.to_be_bytes());
    data
}
