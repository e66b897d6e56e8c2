// SPDX-License-Identifier: Apache-2.0
//! The secure module of a terminal (PSAM): it holds master purchase keys and counts the terminal
//! sequence.
//!
//! Normative references:
//!  - `docs/spec/purse.md`, section 7
//!
//! A card is a PSAM or it is not: who is personalised as one has neither the purse nor conditional
//! access.

mod crypt;
mod delivered;
pub(crate) mod store;

use crate::binary;
use crate::context::Context;
use crate::decide::decide;
use crate::persist::Guarded;
use crate::stop::Stop;
use crate::vault::Vault;
use cam_types::interindustry::{INS_GET_DATA, INS_READ_BINARY};
use cam_types::{BcdDate, BcdTime, DecodeError, Fen, Reader, TerminalSequence};
use delivered::Delivered;
use iso7816::apdu::{Command, StatusWord};
use store::{KeyUse, PsamStore};
use wallet::cipher::Block;
use wallet::command::{INS_SAM_CREDIT, INS_SAM_CRYPT, INS_SAM_DELIVER, INS_SAM_INITIALIZE};
use wallet::formula::{mac1_purchase_input, mac2_purchase};
use wallet::keys::{PurchaseKey, SessionKey};
use wallet::{Mac, Transaction, TransactionType};

/// The file that holds the purchase keys: another name of the application.
pub(crate) const FILE: [u8; 2] = [0x10, 0x01];

/// What the module knows until it is deselected or loses its power.
#[derive(Clone, Default)]
pub(crate) struct PsamRam {
    /// The code of a MOHURD card, for the next purchase.
    code: Option<[u8; 9]>,
    /// The purchase whose MAC1 was made: what its MAC2 is checked with.
    started: Option<(SessionKey, Fen)>,
    delivered: Option<Delivered>,
}

/// The module at work on one command.
pub(crate) struct Psam<'a> {
    /// What lasts: the memory, of which it reaches its own part.
    pub vault: &'a mut Vault,
    /// What ends with a reset or the SELECT of an application.
    pub ram: &'a mut PsamRam,
}

/// The card is a PSAM.
pub(crate) fn is_personalised(vault: &Vault) -> bool {
    store(vault).is_ok()
}

/// READ BINARY of the files in the root: 0015, what the module is, and 0016, which terminal.
pub(crate) fn read_binary(vault: &Vault, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
    let psam = store(vault)?;
    let file = match command.p1 {
        // Serial number, version 1, no card of keys, nothing of the issuer's own.
        0x95 => [&psam.serial[..], &[0x01, 0x00, 0x00, 0x00]].concat(),
        0x96 => psam.terminal.octets().to_vec(),
        0x80..=0x9F => return Err(StatusWord::NOT_FOUND.into()),
        _ => return Err(StatusWord::WRONG_P1P2.into()),
    };
    Ok(binary::read(&file, command.p2.into(), command.le)?)
}

fn store(vault: &Vault) -> Result<&PsamStore, Stop> {
    let psam = vault.objects().psam.get(Context::PSAM)?.as_ref();
    psam.ok_or(Stop::Status(StatusWord::UNKNOWN_INS))
}

fn wrong_length(_: DecodeError) -> Stop {
    StatusWord::WRONG_LENGTH.into()
}

impl Psam<'_> {
    /// One command.
    pub(crate) fn process(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let tries = store(self.vault)?.tries.0;
        if !decide(|| tries > 0) {
            return Err(StatusWord::APPLICATION_BLOCKED.into());
        }
        match (command.cla, command.ins) {
            (0x00, INS_READ_BINARY) => read_binary(self.vault, command),
            (0x80, INS_SAM_DELIVER) => self.deliver(command),
            (0x80, INS_SAM_INITIALIZE) => self.init_sam_for_purchase(command),
            (0x80, INS_SAM_CREDIT) => self.credit_sam_for_purchase(command),
            (0x80, INS_GET_DATA) => self.authentication_code(command),
            (0x80, INS_SAM_CRYPT) => self.des_crypt(command),
            (0x00 | 0x80, _) => Err(StatusWord::UNKNOWN_INS.into()),
            _ => Err(StatusWord::UNKNOWN_CLA.into()),
        }
    }

    /// The authentication code of a MOHURD card, for the purchase that comes next.
    fn authentication_code(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        zero_p1p2(command)?;
        let code = <[u8; 9]>::try_from(command.data).map_err(|_| StatusWord::WRONG_LENGTH)?;
        self.ram.code = Some(code);
        Ok(Vec::new())
    }

    /// INIT_SAM_FOR_PURCHASE: the number is in memory before MAC1 leaves, so that no cut gives it
    /// out twice.
    fn init_sam_for_purchase(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        self.ram.started = None;
        let code = self.ram.code.take();
        zero_p1p2(command)?;
        let mut r = Reader::new(command.data);
        let order = Order::read(&mut r).map_err(wrong_length)?;
        let factors = factors(r.rest())?;
        let psam = store(self.vault)?;
        // As with cards, 00 and 01 are triple DES.
        let master = psam
            .key(KeyUse::PURCHASE, order.key_version)
            .filter(|_| order.algorithm <= 0x01)
            .ok_or(StatusWord::NO_KEY)?
            .clone();
        let sequence = psam.sequence.0.checked_add(1);
        let sequence = sequence.ok_or(StatusWord::COUNTER_EXHAUSTED)?;
        let purchase = Transaction {
            amount: order.amount,
            kind: order.kind,
            terminal: psam.terminal,
            date: order.date,
            time: order.time,
        };
        self.change(|psam| psam.sequence = Guarded(sequence))?;
        let sequence = TerminalSequence::new(sequence);
        let session = factors
            .iter()
            .fold(PurchaseKey::new(master), |key, factor| key.diversify(*factor))
            .session(order.random, order.card_sequence, sequence);
        let mut input = mac1_purchase_input(&purchase);
        input.extend(code.iter().flatten());
        let mac1 = session.mac(&input);
        self.ram.started = Some((session, order.amount));
        Ok([sequence.to_be_bytes(), mac1.0].concat())
    }

    /// CREDIT_SAM_FOR_PURCHASE. Every MAC2 costs a try, in memory before it is compared; a right
    /// one gives all back.
    fn credit_sam_for_purchase(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        zero_p1p2(command)?;
        let mac2 = Mac(<[u8; 4]>::try_from(command.data).map_err(|_| StatusWord::WRONG_LENGTH)?);
        if self.ram.started.is_none() {
            return Err(StatusWord::NOT_INITIALIZED.into());
        }
        self.change(|psam| psam.tries.0 = psam.tries.0.saturating_sub(1))?;
        let (session, amount) = self.ram.started.as_ref().ok_or(StatusWord::NOT_INITIALIZED)?;
        let expected = mac2_purchase(session, *amount);
        if !decide(|| expected == mac2) {
            return Err(StatusWord::WRONG_MAC.into());
        }
        self.change(PsamStore::restore_tries)?;
        self.ram.started = None;
        Ok(Vec::new())
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut PsamStore) -> T) -> Result<T, Stop> {
        self.vault.change(|objects| {
            let psam = objects.psam.get_mut(Context::PSAM)?.as_mut();
            psam.map(change).ok_or(StatusWord::UNKNOWN_INS.into())
        })
    }
}

/// What INIT_SAM_FOR_PURCHASE begins with.
struct Order {
    random: [u8; 4],
    card_sequence: [u8; 2],
    amount: Fen,
    kind: TransactionType,
    date: BcdDate,
    time: BcdTime,
    key_version: u8,
    algorithm: u8,
}

impl Order {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            random: *r.array("random number")?,
            card_sequence: *r.array("offline sequence")?,
            amount: Fen::from_be_bytes(*r.array("amount")?),
            kind: TransactionType(r.u8("transaction type")?),
            date: BcdDate(*r.array("date")?),
            time: BcdTime(*r.array("time")?),
            key_version: r.u8("key version")?,
            algorithm: r.u8("algorithm")?,
        })
    }
}

/// Diversification factors: at least one, for a master key is no card's key.
fn factors(octets: &[u8]) -> Result<&[Block], Stop> {
    match octets.as_chunks::<8>() {
        (factors @ [_, ..], []) => Ok(factors),
        _ => Err(StatusWord::WRONG_LENGTH.into()),
    }
}

fn zero_p1p2(command: &Command<'_>) -> Result<(), Stop> {
    match (command.p1, command.p2) {
        (0, 0) => Ok(()),
        _ => Err(StatusWord::WRONG_P1P2.into()),
    }
}
