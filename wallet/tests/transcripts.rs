// SPDX-License-Identifier: Apache-2.0
//! Sessions recorded with an applet of others, from the terminal's side: every command of SELECT,
//! VERIFY, load, purchase, balance, log and proof is made by our flows, octet for octet, and every
//! answer that was recorded goes back into them. The rest is that applet's own set-up.

use cam_types::{BcdDate, BcdTime, Fen, Secret, StatusWord, TerminalId, TerminalSequence};
use hex_literal::hex;
use serde_json::Value;
use wallet::formula::{mac2_load, tac_load, tac_purchase};
use wallet::keys::{LoadKey, PurchaseKey, TacKey};
use wallet::load::{Credit, Crediting, Load};
use wallet::met::ProofMac;
use wallet::pin::{Pin, PinAnswer, Verify};
use wallet::proof::{Evidence, Numbering, Proof, Settlement, Unsettled, prove_command};
use wallet::psam::{CardIdentity, SoftPsam};
use wallet::purchase::{Debit, Debiting, Purchase};
use wallet::read::{LogReading, balance, balance_command};
use wallet::refusal::{Reason, Step};
use wallet::select::Select;
use wallet::{Account, LogRecord, Mac, Met, Refusal, TransactionType};

const AID: [u8; 16] = hex!("D15600000145442F4550000000000000");
const DPK: [u8; 16] = hex!("0123456789ABCDEFFEDCBA9876543210");
const DLK: [u8; 16] = hex!("11223344556677888877665544332211");
const DTK: [u8; 16] = hex!("00112233445566778899AABBCCDDEEFF");
const TERMINAL: TerminalId = TerminalId::new(hex!("001122334455"));
const LOADED: (BcdDate, BcdTime) = (BcdDate(hex!("20240115")), BcdTime(hex!("093000")));
const BOUGHT: (BcdDate, BcdTime) = (BcdDate(hex!("20240115")), BcdTime(hex!("094500")));
const LATER: (BcdDate, BcdTime) = (BcdDate(hex!("20240116")), BcdTime(hex!("120000")));

/// A recorded session, played back against what we send.
struct Transcript {
    steps: std::vec::IntoIter<Value>,
    driven: usize,
}

impl Transcript {
    fn open(text: &str) -> Self {
        let mut file: Value = serde_json::from_str(text).unwrap();
        for (role, key) in [("DPK", DPK), ("DLK", DLK), ("DTK", DTK)] {
            assert_eq!(octets(&file["keys"][role]), key, "{role}");
        }
        let Value::Array(steps) = file["steps"].take() else { panic!("no steps") };
        Self { steps: steps.into_iter(), driven: 0 }
    }

    /// The card's answer to the next command that was recorded, which has to be this one.
    fn send(&mut self, command: &[u8]) -> Vec<u8> {
        let step = self.steps.find(|step| !is_setup(step)).expect("the session is over");
        assert_eq!(octets(&step["capdu"]), command, "{}", step["name"]);
        self.driven += 1;
        let mut response = octets(&step["rapdu"]);
        response.extend(octets(&step["sw"]));
        response
    }

    /// Nothing is left, and so many commands were ours.
    fn end(mut self, commands: usize) {
        assert!(self.steps.all(|step| is_setup(&step)), "commands are left");
        assert_eq!(self.driven, commands);
    }

    fn select(&mut self) {
        let select = Select::new(&AID);
        let response = self.send(&select.command_without_le());
        assert_eq!(select.answer(&response).unwrap().aid, AID);
    }

    fn balance(&mut self, expected: u32) {
        let response = self.send(&balance_command(Account::Purse));
        assert_eq!(balance(&response), Ok(Fen::new(expected)));
    }

    fn verify(&mut self, digits: &str) -> PinAnswer {
        let verify = Verify::new(0, &Pin::from_digits(digits).unwrap());
        let response = self.send(verify.command());
        verify.answer(Some(&response))
    }

    /// A load; what is left to settle if its last answer had been lost, and the TAC.
    fn load(&mut self, amount: u32, old_balance: u32) -> (Unsettled, Mac) {
        let load = Load::new(1, Fen::new(amount), TERMINAL).unwrap();
        let answer = self.send(&load.command());
        let crediting = || -> Crediting {
            let initialized = load.clone().initialized(&answer).unwrap();
            let key = LoadKey::new(Secret::new(DLK));
            assert!(initialized.is_from(&key));
            assert_eq!(initialized.balance, Fen::new(old_balance));
            let session = key.session(initialized.random, initialized.online_sequence);
            let mac2 = mac2_load(&session, &initialized.transaction(LOADED.0, LOADED.1));
            initialized.credit(LOADED.0, LOADED.1, mac2)
        };
        let response = self.send(&crediting().command());
        let Credit::Loaded(receipt) = crediting().finish(Some(&response)) else {
            panic!("not loaded")
        };
        let tac_key = TacKey::new(Secret::new(DTK)).fold();
        let (sequence, transaction) = (receipt.online_sequence, receipt.transaction);
        assert_eq!(receipt.tac, tac_load(&tac_key, receipt.balance, sequence, &transaction));
        let Credit::Unsettled(unsettled) = crediting().finish(None) else { panic!("settled") };
        (unsettled, receipt.tac)
    }

    fn initialize(&mut self, purchase: &Purchase) -> Vec<u8> {
        self.send(&purchase.command())
    }

    /// A purchase; what is left to settle if its last answer had been lost, and the TAC.
    fn purchase(
        &mut self,
        amount: u32,
        terminal: TerminalId,
        terminal_sequence: u32,
        (date, time): (BcdDate, BcdTime),
    ) -> (Unsettled, Mac) {
        let purchase = Purchase::new(1, Fen::new(amount), terminal).unwrap();
        let answer = self.initialize(&purchase);
        let debiting = || -> (Debiting, SoftPsam) {
            let initialized = purchase.clone().initialized(&answer).unwrap();
            let mut psam = SoftPsam::new(terminal, TerminalSequence::new(terminal_sequence - 1))
                .with_key(1, PurchaseKey::new(Secret::new(DPK)));
            (initialized.authorise(date, time, &CardIdentity::default(), &mut psam).unwrap(), psam)
        };
        let (debit, mut psam) = debiting();
        let response = self.send(&debit.command());
        let Debit::Paid(receipt) = debit.finish(Some(&response), &mut psam) else {
            panic!("not paid")
        };
        assert_eq!(receipt.unchecked, None);
        let tac_key = TacKey::new(Secret::new(DTK)).fold();
        let tac = tac_purchase(&tac_key, &receipt.transaction, receipt.terminal_sequence);
        assert_eq!(receipt.tac, tac);
        let (debit, mut psam) = debiting();
        let Debit::Unsettled(unsettled) = debit.finish(None, &mut psam) else { panic!("settled") };
        (unsettled, receipt.tac)
    }

    /// Two records of the log at most, the newest first.
    fn log(&mut self, count: usize) -> Vec<LogRecord> {
        let mut reading = Some(LogReading::new());
        let mut records = Vec::new();
        for _ in 0..count {
            let next = reading.take().unwrap();
            let response = self.send(&next.command());
            let (record, next) = next.answer(&response).unwrap().unwrap();
            records.push(record);
            reading = next;
        }
        records
    }

    /// The card is asked by the number before, and shows the TAC without a MAC.
    fn prove(&mut self, unsettled: Unsettled, tac: Mac, met: &mut Met) {
        let transaction = unsettled.transaction;
        let inquiry = unsettled.inquire_by(Numbering::Before);
        let response = self.send(&inquiry.command());
        let proof = Proof { mac: Mac([0; 4]), tac };
        let Settlement::Made(made) = inquiry.answer(Some(&response), |shown| shown.tac == tac)
        else {
            panic!("not proved")
        };
        assert_eq!(made.transaction, transaction);
        assert_eq!(made.evidence, Evidence::Proof(proof, Numbering::Before));
        met.proved(&made);
    }
}

fn octets(hex: &Value) -> Vec<u8> {
    let text = hex.as_str().unwrap();
    let octet = |i| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(octet).collect()
}

/// What belongs to the applet's own set-up, or is no command.
fn is_setup(step: &Value) -> bool {
    let name = step["name"].as_str().unwrap();
    ["CREATE FS", "UPDATE BINARY", "UPDATE RECORD", "END PERSO", "RESET"]
        .iter()
        .any(|setup| name.starts_with(setup))
}

#[test]
fn applet_01_load() {
    let mut card = Transcript::open(include_str!("vectors/applet-01-load.json"));
    let mut met = Met::default();
    card.select();
    card.balance(0);
    assert_eq!(card.verify("123456"), PinAnswer::Right);
    let (unsettled, tac) = card.load(10_000, 0);
    card.balance(10_000);
    let records = card.log(1);
    met.logged(unsettled.sequence, &unsettled.transaction, &records[0]);
    card.prove(unsettled, tac, &mut met);
    assert_eq!((met.proof, met.log), (Some(Numbering::Before), Some(Numbering::Before)));
    card.end(8);
}

#[test]
fn applet_02_purchase() {
    let mut card = Transcript::open(include_str!("vectors/applet-02-purchase.json"));
    let mut met = Met::default();
    card.select();
    assert_eq!(card.verify("123456"), PinAnswer::Right);
    let (load, _) = card.load(10_000, 0);
    let (unsettled, tac) = card.purchase(1_234, TERMINAL, 1, BOUGHT);
    card.balance(8_766);
    let records = card.log(2);
    met.logged(unsettled.sequence, &unsettled.transaction, &records[0]);
    met.logged(load.sequence, &load.transaction, &records[1]);
    card.prove(unsettled, tac, &mut met);
    let elsewhere = TerminalId::new(hex!("010203040506"));
    let (second, _) = card.purchase(1, elsewhere, 0xFFFF, LATER);
    card.balance(8_765);
    let (third, _) = card.purchase(8_765, TERMINAL, 0xA1B2_C3D4, LATER);
    card.balance(0);
    assert_eq!((second.sequence, third.sequence), ([0, 1], [0, 2]));
    assert_eq!(
        met.to_string(),
        "proof under the number before the transaction; proof with zeros for the MAC; \
         log under the number before the transaction"
    );
    card.end(16);
}

/// The applet shows a proof once, under the number before, and forgets it at the next INITIALIZE.
#[test]
fn applet_05_prove() {
    let mut card = Transcript::open(include_str!("vectors/applet-05-prove.json"));
    let mut met = Met::default();
    let no_proof = |response: &[u8]| {
        let status = StatusWord(u16::from_be_bytes(response.try_into().unwrap()));
        assert_eq!(Refusal::new(Step::Prove, status).reason, Reason::NoProof);
        status.0
    };
    card.select();
    let before_any = card.send(&prove_command(TransactionType::PURCHASE, [0, 0]));
    assert_eq!(no_proof(&before_any), 0x6985);
    assert_eq!(card.verify("123456"), PinAnswer::Right);
    let (load, _) = card.load(500, 0);
    let (unsettled, tac) = card.purchase(100, TERMINAL, 1, BOUGHT);
    // Our first question goes by the number after, as real cards want it.
    let inquiry = unsettled.inquire();
    let response = card.send(&inquiry.command());
    let Settlement::Ask(inquiry) = inquiry.answer(Some(&response), |_| true) else {
        panic!("settled by a refusal")
    };
    let of_the_load = card.send(&prove_command(load.transaction.kind, load.sequence));
    assert_eq!(no_proof(&of_the_load), 0x9406);
    card.select();
    let response = card.send(&inquiry.command());
    let Settlement::Made(made) = inquiry.answer(Some(&response), |proof| proof.tac == tac) else {
        panic!("not proved")
    };
    met.proved(&made);
    assert_eq!((met.proof, met.mac), (Some(Numbering::Before), Some(ProofMac::Zeros)));
    let again = card.send(&prove_command(TransactionType::PURCHASE, made.sequence));
    assert_eq!(no_proof(&again), 0x6985);
    let (second, _) = card.purchase(50, TERMINAL, 2, BOUGHT);
    let third = Purchase::new(1, Fen::new(50), TERMINAL).unwrap();
    let answer = card.initialize(&third);
    assert_eq!(third.initialized(&answer).unwrap().balance, Fen::new(350));
    // Asked by the number before, this card evades; its counter would tell.
    let inquiry = second.inquire_by(Numbering::Before);
    let response = card.send(&inquiry.command());
    assert_eq!(no_proof(&response), 0x6985);
    assert!(matches!(inquiry.answer(Some(&response), |_| true), Settlement::Ask(_)));
    card.end(16);
}

/// The applet counts tries in 6Cxx, where others would see a wrong length.
#[test]
fn applet_07_pin() {
    let mut card = Transcript::open(include_str!("vectors/applet-07-pin.json"));
    let wrong = |tries| PinAnswer::Wrong { tries, status: StatusWord(0x6C00 | u16::from(tries)) };
    card.select();
    assert_eq!(card.verify("111111"), wrong(2));
    assert_eq!(card.verify("111111"), wrong(1));
    assert_eq!(card.verify("123456"), PinAnswer::Right);
    for tries in [2, 1, 0] {
        assert_eq!(card.verify("111111"), wrong(tries));
    }
    assert_eq!(card.verify("123456"), PinAnswer::Blocked(StatusWord(0x6A83)));
    card.end(8);
}
