// SPDX-License-Identifier: Apache-2.0
//! The card as a reader sees it: power, APDUs, and the view from outside on what is inside.

use crate::atr;
use crate::cos::Cos;
use crate::decide::{Glitch, Watch};
use crate::factory;
use crate::fault::Fault;
use crate::inspect::{self, Inspection, Status};
use crate::interface::Interface;
use crate::nvm::{Cut, Durability, FileStore, Nvm, NvmError, PageStore, RamStore, StoreError};
use crate::personalisation::{Personalisation, PersonalisationError};
use crate::psam;
use crate::random::Random;
use crate::stop::Stop;
use crate::vault::{self, Unusable, Vault};
use cam_types::{Aid, DecodeError, StatusWord, interindustry};
use ecm_emm::card::{EmmOutcome, EmmResult, INS_EMM};
use std::fmt;
use std::io;
use std::path::Path;

/// A card and its memory.
pub struct Card {
    vault: Vault,
    random: Random,
    /// The operating system, while there is power.
    cos: Option<Cos>,
    watch: Watch,
}

/// The memory of a fresh card.
pub struct Image(Vec<u8>);

/// The power went away inside a command, or a check has contradicted itself. The card is mute until
/// [`Card::power_on`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PowerLost;

/// Why there is no card in a memory.
#[derive(Debug)]
pub enum CardError {
    /// The memory could not be opened or read.
    Memory(NvmError),
    /// The memory holds something that no card of ours wrote.
    Damaged(DecodeError),
    /// The memory is that of a card of another version.
    Layout([u8; 4]),
}

impl fmt::Display for CardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(error) => write!(f, "{error}"),
            Self::Damaged(what) => write!(f, "the memory is damaged: {what}"),
            Self::Layout(found) => write!(
                f,
                "memory of layout {}, this card's is {}",
                found.escape_ascii(),
                vault::LAYOUT.escape_ascii()
            ),
        }
    }
}

impl std::error::Error for CardError {}

impl fmt::Display for PowerLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the card has lost its power")
    }
}

impl std::error::Error for PowerLost {}

impl From<NvmError> for CardError {
    fn from(error: NvmError) -> Self {
        Self::Memory(error)
    }
}

impl From<Unusable> for CardError {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Memory(error) => Self::Memory(error),
            Unusable::Damaged(error) => Self::Damaged(error),
            Unusable::Layout(found) => Self::Layout(found),
        }
    }
}

impl Image {
    /// The octets of the memory file.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// Writes the memory file, readable by its owner only.
    pub fn write_to(&self, path: &Path) -> io::Result<()> {
        FileStore::create(path, &self.0)
    }
}

impl Card {
    /// The memory of the card that `perso` describes, its factory EMMs applied.
    pub fn personalise(perso: &Personalisation) -> Result<Image, PersonalisationError> {
        let fresh = Nvm::image(&vault::store(&factory::objects(perso)?));
        if perso.factory_emm.is_empty() {
            return Ok(Image(fresh));
        }
        let whole = |error: CardError| perso.error("", error.to_string());
        let mut card = Self::open(Box::new(RamStore::new(&fresh))).map_err(whole)?;
        card.power_on();
        for (name, section) in &perso.factory_emm {
            let result = card.factory_emm(section);
            match result {
                Some(EmmResult { outcome: EmmOutcome::APPLIED, .. }) => {}
                Some(EmmResult { outcome, detail }) => {
                    let why = format!("{name}: the card says {outcome}, {detail}");
                    return Err(perso.error("factory_emm", why));
                }
                None => {
                    let why = format!("{name}: is not an EMM that a card would take");
                    return Err(perso.error("factory_emm", why));
                }
            }
        }
        let objects = card.vault.objects();
        Ok(Image(Nvm::image(&vault::store(objects))))
    }

    /// A card over its memory. It is without power.
    pub fn open(store: Box<dyn PageStore>) -> Result<Self, CardError> {
        Self::with_random(store, Random::new(system_random))
    }

    /// The same, with random numbers of one's own: for tests, which want the same ones every time.
    pub fn with_random(store: Box<dyn PageStore>, random: Random) -> Result<Self, CardError> {
        Ok(Self { vault: Vault::open(store)?, random, cos: None, watch: Watch::default() })
    }

    /// The same card at the same moment, session and PIN included, over a copy of its pages: for
    /// who searches everything that may come next.
    pub fn twin(&self, store: Box<dyn PageStore>, random: Random) -> Self {
        Self { vault: self.vault.twin(store), random, cos: self.cos.clone(), watch: self.watch }
    }

    /// A card over a memory file. It is without power.
    pub fn open_file(path: &Path, durability: Durability) -> Result<Self, CardError> {
        let store = FileStore::open(path, durability).map_err(StoreError::from);
        Self::open(Box::new(store.map_err(NvmError::from)?))
    }

    /// Cold or warm reset: finishes an interrupted transaction, forgets sessions and PIN, answers
    /// the ATR. The answer is empty when the memory is damaged: the card stays mute.
    pub fn power_on(&mut self) -> Vec<u8> {
        self.power_on_at(Interface::Contact)
    }

    /// The same on one of the two interfaces.
    pub fn power_on_at(&mut self, interface: Interface) -> Vec<u8> {
        let Self { vault, watch, .. } = self;
        watch.reset();
        let booted = watch.over(|| {
            vault.boot().ok()?;
            Cos::new(vault, interface).ok()
        });
        self.cos = booted.filter(|_| !watch.is_alarmed());
        if self.cos.is_some() { atr::t1() } else { Vec::new() }
    }

    /// Takes the power away: the card is mute, and what was volatile is gone.
    pub fn power_off(&mut self) {
        self.cos = None;
    }

    /// One command APDU in, one response APDU (data, SW1, SW2) out, and what the card does after
    /// it.
    pub fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, PowerLost> {
        let response = self.answer(apdu)?;
        self.bring_home();
        Ok(response)
    }

    /// One command APDU in, one response APDU out. What it has changed is durable, but not yet in
    /// its place.
    pub fn answer(&mut self, apdu: &[u8]) -> Result<Vec<u8>, PowerLost> {
        self.bring_home();
        let cos = self.cos.as_mut().ok_or(PowerLost)?;
        let (vault, random) = (&mut self.vault, &mut self.random);
        match self.watch.over(|| cos.transmit(vault, random, apdu)) {
            Ok(response) if !self.watch.is_alarmed() => Ok(response),
            Err(Stop::Status(sw)) if !self.watch.is_alarmed() => Ok(sw.to_be_bytes().to_vec()),
            _ => {
                self.cos = None;
                Err(PowerLost)
            }
        }
    }

    /// After an answer has left: writes what it has changed into its place. The power may go here;
    /// the card is mute then, and the next boot does it.
    pub fn bring_home(&mut self) {
        if self.cos.is_some() && self.vault.bring_home().is_err() {
            self.cos = None;
        }
    }

    /// The next PURCHASE that would debit loses its power there.
    pub fn arm_cut(&mut self, cut: Cut) {
        self.vault.arm(cut);
    }

    /// Misbehaves from now on.
    pub fn set_fault(&mut self, fault: Fault) {
        self.vault.add_fault(fault);
    }

    /// One glitch: it hits the evaluation of a check that decides, or the reading of volatile
    /// memory, that has this number from here on. Of a reset, too.
    pub const fn glitch(&mut self, number: u32, glitch: Glitch) {
        self.watch.order(number, glitch);
    }

    /// Evaluations and readings that a glitch could have hit since the last [`Card::glitch`].
    pub const fn glitchable(&self) -> (u32, u32) {
        self.watch.counted()
    }

    /// Money and counters, for whoever looks from outside.
    pub fn status(&self) -> Status {
        Status {
            page_writes: self.vault.page_writes(),
            commits: self.vault.commits(),
            ..inspect::status(&self.vault).unwrap_or_default()
        }
    }

    /// It is a secure module.
    pub fn is_psam(&self) -> bool {
        psam::is_personalised(&self.vault)
    }

    /// What is on the card, for `vcard inspect` and tests; reads the memory, so it needs no power.
    pub fn inspect(&mut self) -> Result<Inspection, CardError> {
        self.vault.boot()?;
        inspect::inspect(&self.vault)
            .map_err(|_| CardError::Damaged(DecodeError::Missing("an object")))
    }

    /// An EMM from the factory, outside of any session.
    fn factory_emm(&mut self, section: &[u8]) -> Option<EmmResult> {
        let select: Vec<u8> = interindustry::select(Aid::CAS.octets()).collect();
        self.transmit(&select).ok()?;
        let mut apdu = vec![0x80, INS_EMM, 0x00, 0x00, u8::try_from(section.len()).ok()?];
        apdu.extend_from_slice(section);
        let response = self.transmit(&apdu).ok()?;
        let (data, sw) = response.split_last_chunk::<2>()?;
        (*sw == StatusWord::OK.to_be_bytes()).then(|| EmmResult::parse(data).ok()).flatten()
    }
}

/// Random numbers of the operating system. Without them there is no session worth the name, and a
/// card that cannot have them answers nothing.
fn system_random(octets: &mut [u8]) {
    getrandom::fill(octets).expect("the operating system gives random numbers");
}
