// SPDX-License-Identifier: Apache-2.0
//! What terminals and operator know of a card's money, and whether the card agrees.

use cam_types::Aid;
use ecm_emm::card::{INS_ACK, INS_REPORT, ReportRequest};
use ecm_emm::report::{Ack, Report};
use system_tests::demo::*;
use vcard::Card;
use wallet::{LogRecord, TransactionType};

/// A programme: the request's number, the card's, and the place among what is reported.
#[derive(Clone, Copy)]
pub(crate) struct Owned {
    pub number: u32,
    pub sequence: u16,
    pub place: usize,
}

/// What terminals and operator know: each transaction that was made, in its order.
#[derive(Default)]
pub(crate) struct Ledger {
    pub made: Vec<(TransactionType, u32)>,
    /// Programmes that were paid and not given back.
    pub owned: Vec<Owned>,
    /// What the operator was told by reports, and the receipt up to which; what there is to be
    /// told.
    reported: usize,
    receipt: [u8; 8],
    pub to_report: Vec<(TransactionType, u32)>,
    /// Messages that were sent, and programmes that were bought.
    pub sent: Vec<Vec<u8>>,
    pub bought: Vec<u32>,
    pub top_ups: u16,
}

impl Ledger {
    fn loads(&self) -> impl Iterator<Item = u32> {
        self.made.iter().filter(|(kind, _)| *kind == TransactionType::LOAD).map(|made| made.1)
    }

    pub(crate) fn debits(&self) -> impl Iterator<Item = u32> {
        self.made.iter().filter(|(kind, _)| *kind != TransactionType::LOAD).map(|made| made.1)
    }

    pub(crate) fn balance(&self) -> u32 {
        10_000 + self.loads().sum::<u32>() - self.debits().sum::<u32>()
    }

    pub(crate) fn agrees(&self, card: &Card) -> Result<(), String> {
        let status = card.status();
        let of_card = (status.balance.fen(), status.offline_sequence, status.online_sequence);
        let (debits, loads) = (self.debits().count() as u16, self.loads().count() as u16);
        match (self.balance(), debits, loads) {
            of_ledger if of_ledger == of_card => Ok(()),
            of_ledger => Err(format!(
                "balance, offline and online sequence: ledger {of_ledger:?}, card {of_card:?}"
            )),
        }
    }

    pub(crate) fn make(&mut self, kind: TransactionType, amount: u32) {
        self.made.push((kind, amount));
        self.to_report.push((kind, amount));
    }

    /// The operator collects reports, follows their chain, finds in them what it knows of, and
    /// acknowledges.
    pub(crate) fn collect(&mut self, card: &mut Card) -> Result<(), String> {
        assert!(!card.power_on().is_empty());
        let k_rcp = key(K_RCP);
        loop {
            let nonce = [0xA0; 8];
            let mut request = Vec::new();
            ReportRequest { nonce, from: 0 }.emit(&mut request);
            let sealed = Stb::open(card).send(card, INS_REPORT, 0, &request);
            let sealed = sealed.map_err(|error| format!("no report: {error:?}"))?;
            let (_, report) =
                Report::open(&sealed, nonce, &k_rcp).map_err(|error| format!("{error:?}"))?;
            if report.balance.fen() != self.balance() {
                return Err(format!("{} reported, {} known", report.balance, self.balance()));
            }
            if report.chain_before != self.receipt {
                return Err("the report does not follow from the last one".to_owned());
            }
            if report.records.is_empty() {
                break;
            }
            for record in &report.records {
                let purse = LogRecord::parse(&record.purse).map_err(|error| error.to_string())?;
                let told = (purse.transaction.kind, purse.transaction.amount.fen());
                if self.to_report.get(self.reported) != Some(&told) {
                    let known = self.to_report.get(self.reported);
                    return Err(format!("the report has {told:?}, the operator {known:?}"));
                }
                self.reported += 1;
            }
            self.receipt = report.chain_after;
            let mut ack = Vec::new();
            Ack { chain: self.receipt }
                .seal(&REPORT_HEADER, &k_rcp, &mut ack)
                .map_err(|error| format!("{error:?}"))?;
            let mut apdu = vec![0x80, INS_ACK, 0, 0, ack.len() as u8];
            apdu.extend(ack);
            if send(card, &apdu).1 != 0x9000 {
                return Err("the acknowledgement is refused".to_owned());
            }
        }
        match (self.reported, self.to_report.len()) {
            (told, made) if told == made => Ok(()),
            (told, made) => Err(format!("{told} of {made} transactions reported")),
        }
    }

    /// The card's log holds the latest transactions, and its rights are the programmes that were
    /// not given back.
    pub(crate) fn agrees_in_full(&self, card: &mut Card) -> Result<(), String> {
        let inside = card.inspect().map_err(|error| error.to_string())?;
        let events = inside.rights.iter().filter(|line| line.starts_with("event "));
        let events = events.filter(|line| !line.ends_with("revoked")).count();
        if events != self.owned.len() {
            return Err(format!("{events} rights, {} programmes paid", self.owned.len()));
        }
        card.power_on();
        select(card, Aid::PURSE.octets());
        for (age, (kind, amount)) in (1..=10).zip(self.made.iter().rev()) {
            let (data, sw) = send(card, &LogRecord::read_command(age));
            let found = LogRecord::parse(&data).map_err(|error| format!("{sw:04X}: {error}"))?;
            let found = found.transaction;
            if (found.kind, found.amount.fen()) != (*kind, *amount) {
                return Err(format!("record {age} of the log is {found:?}, not {kind:?} {amount}"));
            }
        }
        Ok(())
    }
}
