//! The purse: the PBOC commands of a terminal or host, and what other applications may ask of it.
//!
//! Normative references:
//!  - `docs/spec/purse.md` (PBOC electronic purse, and where cards differ)

mod emm;
pub mod sharing;
pub mod store;
mod tac;

pub(crate) use emm::{Abort, not_opened};

use crate::cos::{Interface, Random};
use crate::firewall::Context;
use crate::persist::Guarded;
use crate::pin::{self, Verdict};
use crate::vault::{Stop, Vault};
use cam_types::{BcdDate, BcdTime, Fen, Reader, Secret, TerminalId, TerminalSequence};
use ecm_emm::card::PinBlock;
use iso7816::apdu::{Command, StatusWord};
use wallet::formula::{
    mac1_load, mac1_purchase, mac2_load, mac2_purchase, tac_load_input, tac_purchase_input,
};
use wallet::keys::{LoadKey, PurchaseKey, SessionKey};
use wallet::{LogRecord, Mac, PurseStatus, Transaction, TransactionType};

/// The only key index of each role.
const KEY_INDEX: u8 = 1;
/// Keys of 16 octets are triple DES.
const TRIPLE_DES: u8 = 0;

/// What the purse knows until it is deselected or loses its power.
#[derive(Default)]
pub struct PurseRam {
    initialized: Option<Initialized>,
    pin_verified: bool,
}

/// An INITIALIZE in force.
enum Initialized {
    Load { session: SessionKey, amount: Fen, terminal: TerminalId },
    Purchase { random: [u8; 4], amount: Fen, terminal: TerminalId },
}

const fn status(sw: PurseStatus) -> Stop {
    Stop::Status(StatusWord(sw.0))
}

/// The purse at work on one command.
pub struct Purse<'a> {
    /// What lasts.
    pub vault: &'a mut Vault,
    /// What does not.
    pub ram: &'a mut PurseRam,
    /// Where the command came from.
    pub interface: Interface,
    /// The card's random numbers.
    pub random: &'a mut Random,
}

impl Purse<'_> {
    /// One command.
    pub fn process(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        if self.vault.objects().purse.get(Context::PURSE)?.blocked {
            return Err(status(PurseStatus::BLOCKED));
        }
        match (command.cla, command.ins) {
            (0x00, 0x20) => self.verify(command),
            (0x00, 0xB2) => self.read_record(command),
            (0x80, 0x50) => self.initialize(command),
            (0x80, 0x52) => self.credit_for_load(command),
            (0x80, 0x54) => self.debit_for_purchase(command),
            (0x80, 0x5A) => self.prove(command),
            (0x80, 0x5C) => self.balance(command),
            (0x00 | 0x80, _) => Err(StatusWord::UNKNOWN_INS.into()),
            _ => Err(StatusWord::UNKNOWN_CLA.into()),
        }
    }

    /// VERIFY: the PIN as PBOC writes it, two digits in an octet.
    fn verify(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        self.ram.pin_verified = false;
        if self.interface == Interface::Contactless {
            return Err(StatusWord::CONDITIONS.into());
        }
        if command.p1 != 0 || command.p2 != 0 {
            return Err(StatusWord::WRONG_P1P2.into());
        }
        if !(2..=6).contains(&command.data.len()) {
            return Err(StatusWord::WRONG_LENGTH.into());
        }
        let digits: zeroize::Zeroizing<Vec<u8>> = zeroize::Zeroizing::new(
            command
                .data
                .iter()
                .flat_map(|octet| [octet >> 4, octet & 0x0F])
                .filter(|nibble| *nibble != 0x0F)
                .map(|nibble| b'0' + nibble)
                .collect(),
        );
        let block = PinBlock::from_ascii(&digits).map_err(|_| StatusWord::WRONG_DATA)?;
        match pin::verify(self.vault, Context::PURSE, &block)? {
            Verdict::Right => {
                self.ram.pin_verified = true;
                Ok(Vec::new())
            }
            Verdict::Wrong(tries) => Err(StatusWord(0x63C0 | u16::from(tries & 0x0F)).into()),
            Verdict::Blocked => Err(StatusWord::BLOCKED.into()),
        }
    }

    /// GET BALANCE.
    fn balance(&self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x00, 0x02, 0)?;
        Ok(self.vault.objects().purse.get(Context::PURSE)?.balance.0.to_be_bytes().to_vec())
    }

    /// READ RECORD of the log: record 1 is the newest.
    fn read_record(&self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        if command.p2 != 0xC4 {
            return Err(StatusWord::WRONG_P1P2.into());
        }
        if !matches!(command.le, None | Some(256) | Some(23)) {
            return Err(StatusWord(0x6C00 | LogRecord::LEN as u16).into());
        }
        let age = usize::from(command.p1).checked_sub(1);
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        age.and_then(|age| purse.newest_first().nth(age))
            .map(|entry| entry.octets().to_vec())
            .ok_or(Stop::Status(StatusWord(0x6A83)))
    }

    /// GET TRANSACTION PROVE: by type and the sequence that the log shows.
    fn prove(&self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x00, command.p2, 2)?;
        let Ok(sequence) = <[u8; 2]>::try_from(command.data) else {
            return Err(StatusWord::WRONG_LENGTH.into());
        };
        let sequence = u16::from_be_bytes(sequence);
        let kind = TransactionType(command.p2);
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        purse
            .newest_first()
            .find(|entry| {
                entry.record().is_some_and(|record| {
                    record.sequence == sequence && record.transaction.kind == kind
                })
            })
            .map(|entry| entry.proof().to_vec())
            .ok_or(status(PurseStatus::NO_PROOF))
    }

    /// INITIALIZE FOR LOAD and INITIALIZE FOR PURCHASE.
    fn initialize(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        self.ram.initialized = None;
        let is_load = match (command.p1, command.p2) {
            (0x00, 0x02) => true,
            (0x01, 0x02) => false,
            _ => return Err(StatusWord::WRONG_P1P2.into()),
        };
        expect(command, command.p1, command.p2, 11)?;
        let mut r = Reader::new(command.data);
        let wrong = |_| Stop::Status(StatusWord::WRONG_LENGTH);
        let index = r.u8("key index").map_err(wrong)?;
        let amount = Fen::from_be_bytes(*r.array("amount").map_err(wrong)?);
        let terminal = TerminalId::new(*r.array("terminal").map_err(wrong)?);
        if index != KEY_INDEX {
            return Err(status(PurseStatus::NO_KEY));
        }
        let mut random = [0; 4];
        self.random.fill(&mut random);
        if is_load {
            self.initialize_load(amount, terminal, random)
        } else {
            self.initialize_purchase(amount, terminal, random)
        }
    }

    fn initialize_load(
        &mut self,
        amount: Fen,
        terminal: TerminalId,
        random: [u8; 4],
    ) -> Result<Vec<u8>, Stop> {
        // The host's MAC2 authorises a load; at a contact reader the holder agrees with the PIN.
        if self.interface == Interface::Contact && !self.ram.pin_verified {
            return Err(StatusWord::SECURITY_STATUS.into());
        }
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let (balance, sequence) = (purse.balance.0, purse.online_sequence.0);
        if sequence == u16::MAX {
            return Err(status(PurseStatus::COUNTER_EXHAUSTED));
        }
        if purse.balance_with(amount).is_none() {
            return Err(StatusWord::CONDITIONS.into());
        }
        let (key, version) = des_key(purse.load.oldest())?;
        let session = LoadKey::new(key).session(random, sequence.to_be_bytes());
        let kind = TransactionType::LOAD;
        let mac1 = mac1_load(&session, balance, amount, kind, terminal);
        let mut out = Vec::with_capacity(16);
        out.extend(balance.to_be_bytes());
        out.extend(sequence.to_be_bytes());
        out.extend([version, TRIPLE_DES]);
        out.extend(random);
        out.extend(mac1.0);
        self.ram.initialized = Some(Initialized::Load { session, amount, terminal });
        Ok(out)
    }

    fn initialize_purchase(
        &mut self,
        amount: Fen,
        terminal: TerminalId,
        random: [u8; 4],
    ) -> Result<Vec<u8>, Stop> {
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let (balance, sequence) = (purse.balance.0, purse.offline_sequence.0);
        let (_, version) = des_key(purse.purchase.oldest())?;
        if balance < amount {
            return Err(status(PurseStatus::INSUFFICIENT_BALANCE));
        }
        if sequence == u16::MAX {
            return Err(status(PurseStatus::COUNTER_EXHAUSTED));
        }
        let mut out = Vec::with_capacity(15);
        out.extend(balance.to_be_bytes());
        out.extend(sequence.to_be_bytes());
        out.extend([0; 3]);
        out.extend([version, TRIPLE_DES]);
        out.extend(random);
        self.ram.initialized = Some(Initialized::Purchase { random, amount, terminal });
        Ok(out)
    }

    /// CREDIT FOR LOAD.
    fn credit_for_load(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x00, 0x00, 11)?;
        let Some(Initialized::Load { session, amount, terminal }) = &self.ram.initialized else {
            return Err(status(PurseStatus::NOT_INITIALIZED));
        };
        let mut r = Reader::new(command.data);
        let (date, time) = date_time(&mut r)?;
        let load = Transaction {
            amount: *amount,
            kind: TransactionType::LOAD,
            terminal: *terminal,
            date,
            time,
        };
        if mac2_load(session, &load) != mac(&mut r)? {
            return Err(status(PurseStatus::WRONG_MAC));
        }
        let tac = self.vault.change(|objects| {
            let purse = objects.purse.get_mut(Context::PURSE)?;
            let before = purse.online_sequence.0;
            let balance = purse.balance_with(load.amount).ok_or(StatusWord::CONDITIONS)?;
            let sequence = before.checked_add(1).ok_or(status(PurseStatus::COUNTER_EXHAUSTED))?;
            let fields = tac_load_input(balance, before.to_be_bytes(), &load);
            let tac = tac::code(purse, &fields).ok_or(status(PurseStatus::NO_KEY))?;
            purse.balance = Guarded(balance);
            purse.online_sequence = Guarded(sequence);
            purse.log(&LogRecord { sequence, overdraft: [0; 3], transaction: load }, NO_MAC, tac);
            Ok::<_, Stop>(tac)
        })?;
        self.ram.initialized = None;
        Ok(tac.0.to_vec())
    }

    /// DEBIT FOR PURCHASE.
    fn debit_for_purchase(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        expect(command, 0x01, 0x00, 15)?;
        let Some(Initialized::Purchase { random, amount, terminal }) = self.ram.initialized else {
            return Err(status(PurseStatus::NOT_INITIALIZED));
        };
        let mut r = Reader::new(command.data);
        let terminal_sequence = r.array("terminal sequence");
        let terminal_sequence = TerminalSequence::from_be_bytes(
            *terminal_sequence.map_err(|_| StatusWord::WRONG_LENGTH)?,
        );
        let (date, time) = date_time(&mut r)?;
        let purchase =
            Transaction { amount, kind: TransactionType::PURCHASE, terminal, date, time };
        let purse = self.vault.objects().purse.get(Context::PURSE)?;
        let (key, _) = des_key(purse.purchase.oldest())?;
        let before = purse.offline_sequence.0;
        let session =
            PurchaseKey::new(key).session(random, before.to_be_bytes(), terminal_sequence);
        if mac1_purchase(&session, &purchase) != mac(&mut r)? {
            return Err(status(PurseStatus::WRONG_MAC));
        }
        let mac2 = mac2_purchase(&session, amount);
        let tac = self.vault.change(|objects| {
            let purse = objects.purse.get_mut(Context::PURSE)?;
            let balance = purse.balance.0.checked_sub(amount);
            let balance = balance.ok_or(status(PurseStatus::INSUFFICIENT_BALANCE))?;
            let sequence = before.checked_add(1).ok_or(status(PurseStatus::COUNTER_EXHAUSTED))?;
            let tac = tac::code(purse, &tac_purchase_input(&purchase, terminal_sequence))
                .ok_or(status(PurseStatus::NO_KEY))?;
            purse.balance = Guarded(balance);
            purse.offline_sequence = Guarded(sequence);
            purse.log(&LogRecord { sequence, overdraft: [0; 3], transaction: purchase }, mac2, tac);
            Ok::<_, Stop>(tac)
        })?;
        self.ram.initialized = None;
        Ok([tac.0, mac2.0].concat())
    }
}

/// No terminal key takes part in a load: its proof has no MAC.
const NO_MAC: Mac = Mac([0; 4]);

/// The key in use of a pair, and its version: the low octet of its generation.
fn des_key(generation: Option<&crate::keyring::Generation>) -> Result<(Secret<16>, u8), Stop> {
    let generation = generation.ok_or(status(PurseStatus::NO_KEY))?;
    let key = generation.material.bits128().ok_or(status(PurseStatus::NO_KEY))?;
    Ok((Secret::new(*key.expose()), generation.epoch.value().to_be_bytes()[1]))
}

/// P1, P2 and the length of the data field.
fn expect(command: &Command<'_>, p1: u8, p2: u8, len: usize) -> Result<(), Stop> {
    if (command.p1, command.p2) != (p1, p2) {
        Err(StatusWord::WRONG_P1P2.into())
    } else if command.data.len() != len {
        Err(StatusWord::WRONG_LENGTH.into())
    } else {
        Ok(())
    }
}

fn date_time(r: &mut Reader<'_>) -> Result<(BcdDate, BcdTime), Stop> {
    let wrong = |_| Stop::Status(StatusWord::WRONG_LENGTH);
    Ok((BcdDate(*r.array("date").map_err(wrong)?), BcdTime(*r.array("time").map_err(wrong)?)))
}

fn mac(r: &mut Reader<'_>) -> Result<Mac, Stop> {
    Ok(Mac(*r.array("MAC").map_err(|_| StatusWord::WRONG_LENGTH)?))
}
