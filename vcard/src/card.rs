//! The card as a reader sees it: power, APDUs, and the bench's view of what is inside.

use crate::fault::Fault;
use crate::nvm::{Cut, Durability, FileStore, Nvm, NvmError, PageStore, StoreError};
use crate::personalisation::{Personalisation, PersonalisationError};
use cam_types::{CardId, CasTime, Fen, OperatorId, Pseudonym};
use std::fmt;
use std::io;
use std::path::Path;

/// A card and its memory.
pub struct Card {
    nvm: Nvm,
    powered: bool,
    armed: Option<Cut>,
    fault: Option<Fault>,
}

/// The memory of a fresh card.
pub struct Image(Vec<u8>);

/// The power went away inside a command. The card is mute until [`Card::power_on`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PowerLost;

/// Why there is no card in a memory.
#[derive(Debug)]
pub enum CardError {
    /// The memory could not be opened or read.
    Memory(NvmError),
    /// The memory holds something that no card of ours wrote.
    Damaged(&'static str),
}

impl fmt::Display for CardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(error) => write!(f, "{error}"),
            Self::Damaged(what) => write!(f, "{what} is damaged"),
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

/// What the bench asks a running card: no keys, no PIN.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Status {
    /// The purse's balance.
    pub balance: Fen,
    /// Purchases and gates so far.
    pub offline_sequence: u16,
    /// Loads so far.
    pub online_sequence: u16,
    /// Programme purchases in the card's log.
    pub purchases: usize,
    /// PIN tries left.
    pub pin_tries: u8,
    /// Page writes since the memory was opened.
    pub page_writes: u64,
    /// Transactions since the memory was opened.
    pub commits: u64,
}

/// What `vcard inspect` prints: everything but keys and PIN.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The card's number.
    pub card_id: CardId,
    /// Its address in EMM-U.
    pub pseudonym: Pseudonym,
    /// Whose card it is.
    pub operator: OperatorId,
    /// Money, counters, tries.
    pub status: Status,
    /// The card's time.
    pub now: CasTime,
    /// The last time that a TIME_SYNC brought.
    pub sync: CasTime,
    /// One line for each right, as text.
    pub rights: Vec<String>,
    /// One line for each key generation, as text: role, epoch, suite, floor, window; not the key.
    pub keys: Vec<String>,
    /// One line for each pairing slot in use: slot and box.
    pub pairings: Vec<String>,
    /// One line for each record of the purchase log.
    pub log: Vec<String>,
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
    /// The memory of the card that `perso` describes.
    pub fn personalise(perso: &Personalisation) -> Result<Image, PersonalisationError> {
        let _ = perso.card_id;
        Ok(Image(Nvm::image(&[])))
    }

    /// A card over its memory. It is without power.
    pub fn open(store: Box<dyn PageStore>) -> Result<Self, CardError> {
        Ok(Self { nvm: Nvm::new(store, 0)?, powered: false, armed: None, fault: None })
    }

    /// A card over a memory file. It is without power.
    pub fn open_file(path: &Path, durability: Durability) -> Result<Self, CardError> {
        let store = FileStore::open(path, durability).map_err(StoreError::from);
        Self::open(Box::new(store.map_err(NvmError::from)?))
    }

    /// Cold or warm reset: finishes an interrupted transaction, forgets sessions and PIN, answers
    /// the ATR. The answer is empty when the memory is damaged: the card stays mute.
    pub fn power_on(&mut self) -> Vec<u8> {
        self.powered = self.nvm.boot().is_ok();
        if self.powered { crate::atr::t1() } else { Vec::new() }
    }

    /// Takes the power away.
    pub fn power_off(&mut self) {
        self.powered = false;
    }

    /// One command APDU in, one response APDU (data, SW1, SW2) out.
    pub fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, PowerLost> {
        let _ = apdu;
        if self.powered { Ok(vec![0x6D, 0x00]) } else { Err(PowerLost) }
    }

    /// The next PURCHASE that would debit loses its power there.
    pub fn arm_cut(&mut self, cut: Cut) {
        self.armed = Some(cut);
    }

    /// Misbehaves from now on.
    pub fn set_fault(&mut self, fault: Fault) {
        self.fault = Some(fault);
        if fault == Fault::NoJournal {
            self.nvm.without_journal();
        }
    }

    /// Money and counters, for the bench.
    pub fn status(&self) -> Status {
        Status {
            page_writes: self.nvm.page_writes(),
            commits: self.nvm.commits(),
            ..Status::default()
        }
    }

    /// What is on the card, for the bench; reads the memory, so it needs no power.
    pub fn inspect(&mut self) -> Result<Inspection, CardError> {
        self.nvm.boot()?;
        Err(CardError::Damaged("memory"))
    }
}
