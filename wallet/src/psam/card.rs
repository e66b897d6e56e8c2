// SPDX-License-Identifier: Apache-2.0
//! A PSAM that is a card: INIT SAM FOR PURCHASE and CREDIT SAM FOR PURCHASE at a reader of its own.
//!
//! Normative references:
//!  - `docs/spec/purse.md`, 7

use super::{MAX_FACTORS, Psam, SamError, SamPurchase};
use crate::cipher::Block;
use crate::command::{INS_SAM_CREDIT, INS_SAM_INITIALIZE};
use crate::mac::Mac;
use crate::port::CardPort;
use crate::response::split;
use alloc::vec::Vec;
use cam_types::interindustry::{INS_GET_DATA, INS_READ_BINARY, INS_SELECT, select};
use cam_types::{DecodeError, Reader, StatusWord, TerminalId, TerminalSequence};

/// A PSAM that is a card of its own, at another reader than the purse.
///
/// After [`SamError::NoAnswer`] reset the card and open it again: what it knew of a purchase is
/// gone, and the number that it may have given to it is not used again.
#[derive(Debug)]
pub struct CardPsam<P> {
    port: P,
    terminal: TerminalId,
}

/// Where a PSAM keeps its purchase keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SamApplication {
    select: Vec<u8>,
}

impl SamApplication {
    /// A dedicated file, by its identifier.
    pub fn file([high, low]: [u8; 2]) -> Self {
        Self { select: [0x00, INS_SELECT, 0x00, 0x00, 0x02, high, low, 0x00].into() }
    }

    /// An application, by its name of 5 to 16 octets (ISO/IEC 7816-4).
    pub fn name(name: &[u8]) -> Option<Self> {
        (5..=16)
            .contains(&name.len())
            .then(|| Self { select: select(name).chain([0x00]).collect() })
    }
}

impl Default for SamApplication {
    /// The file 1001, as most PSAMs have it.
    fn default() -> Self {
        Self::file([0x10, 0x01])
    }
}

impl<P: CardPort> CardPsam<P> {
    /// Reads the terminal id and selects the keys of a module that has just been reset.
    pub fn open(mut port: P, application: &SamApplication) -> Result<Self, SamError> {
        // EF 0016 is in the root.
        let id = exchange(&mut port, &[0x00, INS_READ_BINARY, 0x96, 0x00, TerminalId::LEN as u8])?;
        let terminal =
            parse(&id, "terminal id", |r| Ok(TerminalId::new(*r.array("terminal id")?)))?;
        exchange(&mut port, &application.select)?;
        Ok(Self { port, terminal })
    }

    /// The reader, to end with it.
    pub fn into_port(self) -> P {
        self.port
    }
}

impl<P: CardPort> Psam for CardPsam<P> {
    fn terminal(&mut self) -> Result<TerminalId, SamError> {
        Ok(self.terminal)
    }

    fn start(&mut self, purchase: &SamPurchase<'_>) -> Result<(TerminalSequence, Mac), SamError> {
        let SamPurchase { transaction, card, .. } = purchase;
        // The module is not told the terminal: it makes MAC1 over its own.
        if transaction.terminal != self.terminal {
            let (got, expected) = (transaction.terminal, self.terminal);
            return Err(SamError::OtherTerminal { got, expected });
        }
        if card.factors.len() > MAX_FACTORS {
            return Err(SamError::Factors { got: card.factors.len() });
        }
        if let Some(code) = card.authentication_code {
            let mut apdu = [0x80, INS_GET_DATA, 0x00, 0x00, code.len() as u8].to_vec();
            apdu.extend(code);
            exchange(&mut self.port, &apdu)?;
        }
        let answer = exchange(&mut self.port, &init_sam_for_purchase(purchase));
        let answer = answer.map_err(|error| match error {
            SamError::Refused(StatusWord::NO_KEY | StatusWord::REFERENCE_NOT_FOUND) => {
                SamError::NoKey { version: purchase.key_version, algorithm: purchase.algorithm }
            }
            SamError::Refused(StatusWord::COUNTER_EXHAUSTED) => SamError::Exhausted,
            other => other,
        })?;
        parse(&answer, "answer", |r| {
            let sequence = TerminalSequence::from_be_bytes(*r.array("terminal sequence")?);
            Ok((sequence, Mac(*r.array("MAC1")?)))
        })
    }

    fn credit(&mut self, mac2: Mac) -> Result<(), SamError> {
        let mut apdu = [0x80, INS_SAM_CREDIT, 0x00, 0x00, mac2.0.len() as u8].to_vec();
        apdu.extend(mac2.0);
        match exchange(&mut self.port, &apdu) {
            Ok(_) => Ok(()),
            Err(SamError::Refused(StatusWord::WRONG_MAC)) => Err(SamError::WrongMac2),
            Err(error) => Err(error),
        }
    }
}

fn init_sam_for_purchase(purchase: &SamPurchase<'_>) -> Vec<u8> {
    let transaction = &purchase.transaction;
    let factors = &purchase.card.factors;
    // `MAX_FACTORS` keeps the length within an octet.
    let len = 0x14 + size_of::<Block>() * factors.len();
    let mut apdu = [0x80, INS_SAM_INITIALIZE, 0x00, 0x00, len as u8].to_vec();
    apdu.extend(purchase.random);
    apdu.extend(purchase.offline_sequence);
    apdu.extend(transaction.amount.to_be_bytes());
    apdu.push(transaction.kind.0);
    apdu.extend(transaction.date.0);
    apdu.extend(transaction.time.0);
    apdu.extend([purchase.key_version, purchase.algorithm]);
    apdu.extend(factors.iter().flatten());
    apdu.push(0x08);
    apdu
}

/// The data of an answer with status 9000.
fn exchange(port: &mut impl CardPort, command: &[u8]) -> Result<Vec<u8>, SamError> {
    let mut response = port.transmit(command).ok_or(SamError::NoAnswer)?;
    let (data, sw) = split(&response).map_err(SamError::Malformed)?;
    if sw != StatusWord::OK {
        return Err(SamError::Refused(sw));
    }
    let len = data.len();
    response.truncate(len);
    Ok(response)
}

fn parse<T>(
    data: &[u8],
    message: &'static str,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<T, SamError> {
    let mut r = Reader::new(data);
    let value = read(&mut r).map_err(SamError::Malformed)?;
    r.finish(message).map_err(SamError::Malformed)?;
    Ok(value)
}
