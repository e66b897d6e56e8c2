// SPDX-License-Identifier: Apache-2.0
//! Terminals and hosts at the purse: purchase, compound purchase, load; settled by GET TRANSACTION
//! PROVE.

use crate::account::Account;
use crate::operation::{Attempt, Operation};
use cam_types::{Aid, BcdDate, BcdTime, Fen, Key, Secret, TerminalId, TerminalSequence};
use hex_literal::hex;
use system_tests::desk::Desk;
use wallet::TransactionType;
use wallet::compound::{CompoundPurchase, Update};
use wallet::formula::{mac2_load, tac_load, tac_purchase};
use wallet::keys::{LoadKey, PurchaseKey, TacKey};
use wallet::load::{Credit, Load};
use wallet::proof::{Settlement, Unsettled};
use wallet::psam::{CardIdentity, SoftPsam};
use wallet::purchase::{Debit, Debiting, Purchase};

const TERMINAL: TerminalId = TerminalId::new(hex!("001122334455"));
const DATE: BcdDate = BcdDate(hex!("20261201"));
/// A gate's record: tag, length, value.
const RECORD: [u8; 32] = hex!("21 1E 0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E");

/// A terminal serves one card a second; in the log of a card, two alike of one second cannot be
/// told apart.
fn time(round: u32) -> BcdTime {
    let bcd = |number: u32| (number / 10 * 16 + number % 10) as u8;
    BcdTime([0x20, bcd(round / 60 % 60), bcd(round % 60)])
}

fn dtk() -> TacKey {
    TacKey::new(Key::new(hex!("13579bdf02468ace1122446688aaccee")))
}

/// The PSAM of a round: its numbers are never those of another round.
fn psam(round: u32) -> SoftPsam {
    let dpk = PurchaseKey::new(Secret::new(hex!("616387a00bd54711468a910d848aae69")));
    SoftPsam::new(TERMINAL, TerminalSequence::new(100 * round)).with_key(1, dpk)
}

fn select(desk: &mut dyn Desk) -> Option<()> {
    desk.select(Aid::PURSE)?.ends_with(&[0x90, 0x00]).then_some(())
}

/// DEBIT, if the terminal has come so far.
fn debit(desk: &mut dyn Desk, authorised: Option<Debiting>, psam: &mut SoftPsam) -> Attempt {
    let Some(debiting) = authorised else { return Attempt::Unsent };
    let response = desk.transmit(&debiting.command());
    match debiting.finish(response.as_deref(), psam) {
        Debit::Paid(_) => Attempt::Made,
        Debit::Refused(_) => Attempt::Unsent,
        Debit::Unsettled(unsettled) => Attempt::Lost(unsettled.octets()),
    }
}

/// Asks for the proof, and takes it only if its transaction code is right.
fn prove(desk: &mut dyn Desk, lost: &[u8]) -> Result<bool, String> {
    let unsettled = Unsettled::parse(lost).map_err(|error| error.to_string())?;
    let Unsettled { transaction, terminal_sequence, sequence, balance, .. } = unsettled;
    let tac = match transaction.kind {
        TransactionType::LOAD => tac_load(&dtk().fold(), balance, sequence, &transaction),
        _ => tac_purchase(&dtk().fold(), &transaction, terminal_sequence),
    };
    select(desk).ok_or("no purse")?;
    let mut settlement = Settlement::Ask(unsettled.inquire());
    loop {
        settlement = match settlement {
            Settlement::Ask(inquiry) => {
                let response = desk.transmit(&inquiry.command());
                inquiry.answer(response.as_deref(), |proof| proof.tac == tac)
            }
            Settlement::Made(_) => return Ok(true),
            Settlement::NotMade(_) => return Ok(false),
            open => return Err(format!("not settled: {open:?}")),
        }
    }
}

/// A till's purchase.
pub(crate) struct TillPurchase;

impl Operation for TillPurchase {
    fn name(&self) -> &'static str {
        "purchase"
    }

    fn attempt(&self, desk: &mut dyn Desk, round: u32) -> Attempt {
        let mut psam = psam(round);
        let authorised = (|| {
            select(desk)?;
            let order = Purchase::new(1, Fen::new(350), TERMINAL).unwrap();
            let response = desk.transmit(&order.command())?;
            let agreed = order.initialized(&response).ok()?;
            agreed.authorise(DATE, time(round), &CardIdentity::default(), &mut psam).ok()
        })();
        debit(desk, authorised, &mut psam)
    }

    fn settle(&self, desk: &mut dyn Desk, lost: &[u8]) -> Result<bool, String> {
        prove(desk, lost)
    }

    fn count(&self, account: &Account) -> usize {
        account.count(TransactionType::PURCHASE)
    }
}

/// A gate's compound purchase: money and a record.
pub(crate) struct GatePurchase;

impl Operation for GatePurchase {
    fn name(&self) -> &'static str {
        "compound purchase"
    }

    fn attempt(&self, desk: &mut dyn Desk, round: u32) -> Attempt {
        let mut psam = psam(round);
        let authorised = (|| {
            select(desk)?;
            let order = CompoundPurchase::new(1, Fen::new(200), TERMINAL);
            let response = desk.transmit(&order.command())?;
            let update = Update::by_identifier(0x17, &RECORD).unwrap();
            let updating = order.initialized(&response).ok()?.update(update);
            let response = desk.transmit(&updating.command())?;
            let updated = updating.updated(&response).ok()?;
            updated.authorise(DATE, time(round), &CardIdentity::default(), &mut psam).ok()
        })();
        debit(desk, authorised, &mut psam)
    }

    fn settle(&self, desk: &mut dyn Desk, lost: &[u8]) -> Result<bool, String> {
        prove(desk, lost)
    }

    fn count(&self, account: &Account) -> usize {
        account.count(TransactionType::COMPOUND)
    }

    fn inspect(&self, account: &Account, done: bool) -> Result<(), String> {
        match account.record.starts_with(&RECORD) == done {
            true => Ok(()),
            false => Err(format!("paid: {done}, but the record says {:02X?}", account.record)),
        }
    }
}

/// A kiosk's load, with the PIN.
pub(crate) struct KioskLoad;

impl Operation for KioskLoad {
    fn name(&self) -> &'static str {
        "load"
    }

    fn attempt(&self, desk: &mut dyn Desk, round: u32) -> Attempt {
        let mut authorised = || {
            select(desk)?;
            let verified = desk.transmit(&hex!("00200000 04 40962718"))?;
            if verified != [0x90, 0x00] {
                return None;
            }
            let order = Load::new(1, Fen::new(500), TERMINAL).unwrap();
            let response = desk.transmit(&order.command())?;
            let agreed = order.initialized(&response).ok()?;
            let dlk = LoadKey::new(Secret::new(hex!("0f1e2d3c4b5a69788796a5b4c3d2e1f0")));
            assert!(agreed.is_from(&dlk));
            let session = dlk.session(agreed.random, agreed.online_sequence);
            let mac2 = mac2_load(&session, &agreed.transaction(DATE, time(round)));
            Some(agreed.credit(DATE, time(round), mac2))
        };
        let Some(crediting) = authorised() else { return Attempt::Unsent };
        let response = desk.transmit(&crediting.command());
        match crediting.finish_checked(response.as_deref(), &dtk()) {
            Credit::Loaded(_) => Attempt::Made,
            Credit::Refused(_) => Attempt::Unsent,
            Credit::Unsettled(unsettled) => Attempt::Lost(unsettled.octets()),
        }
    }

    fn settle(&self, desk: &mut dyn Desk, lost: &[u8]) -> Result<bool, String> {
        prove(desk, lost)
    }

    fn count(&self, account: &Account) -> usize {
        account.count(TransactionType::LOAD)
    }
}
