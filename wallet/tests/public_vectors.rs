// SPDX-License-Identifier: Apache-2.0
//! Every number of `vectors/public.json`: published by others, some produced by real cards.

use cam_types::{BcdDate, BcdTime, Fen, Key, Secret, TerminalId, TerminalSequence};
use serde_json::Value;
use wallet::cipher::{des_encrypt, triple_des_encrypt};
use wallet::formula::{mac1_load, mac1_purchase, mac2_load, mac2_purchase, tac_load, tac_purchase};
use wallet::keys::{LoadKey, PurchaseKey, SessionKey, TacKey, diversify};
use wallet::mac::{mac, retail_mac};
use wallet::{LogRecord, Mac, Transaction, TransactionType};

struct Vector<'a>(&'a Value);

impl Vector<'_> {
    fn id(&self) -> &str {
        self.0["id"].as_str().unwrap()
    }

    fn hex(&self, group: &str, name: &str) -> Option<Vec<u8>> {
        let text = self.0[group][name].as_str()?;
        let digit = |i| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
        Some((0..text.len()).step_by(2).map(digit).collect())
    }

    fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.hex("inputs", name)
            .unwrap_or_else(|| panic!("{}: {name}", self.id()))
            .try_into()
            .unwrap()
    }

    fn key(&self, name: &str) -> Key {
        Secret::new(self.array(name))
    }

    /// Compares with the published number, when there is one; says whether there was.
    fn expect(&self, name: &str, got: &[u8]) -> usize {
        match self.hex("expect", name) {
            Some(expected) => {
                assert_eq!(got, expected, "{} {name}", self.id());
                1
            }
            None => 0,
        }
    }

    fn expect_session(&self, name: &str, session: &SessionKey) -> usize {
        match self.hex("expect", name) {
            Some(key) => {
                let published = SessionKey::new(Secret::new(key.try_into().unwrap()));
                assert_eq!(*session, published, "{} {name}", self.id());
                1
            }
            None => 0,
        }
    }

    fn transaction(&self) -> Transaction {
        let datetime: [u8; 7] =
            self.hex("inputs", "datetime").unwrap_or(vec![0; 7]).try_into().unwrap();
        let [y1, y2, m, d, hh, mm, ss] = datetime;
        Transaction {
            amount: Fen::from_be_bytes(self.array("amount")),
            kind: TransactionType(self.array::<1>("type")[0]),
            terminal: TerminalId::new(self.array("terminal_id")),
            date: BcdDate([y1, y2, m, d]),
            time: BcdTime([hh, mm, ss]),
        }
    }

    fn load(&self) -> usize {
        let (random, sequence) = (self.array("rand"), self.array::<2>("seq"));
        let load = self.transaction();
        let session = LoadKey::new(self.key("DLK")).session(random, sequence);
        let mut checked = self.expect_session("SESLK", &session);
        checked += self.expect("MAC2", &mac2_load(&session, &load).0);
        if let Some(old) = self.hex("inputs", "old_balance") {
            let old = Fen::from_be_bytes(old.try_into().unwrap());
            let mac1 = mac1_load(&session, old, load.amount, load.kind, load.terminal);
            checked += self.expect("MAC1", &mac1.0);
            if self.hex("expect", "TAC").is_some() {
                let tac_key = TacKey::new(self.key("DTK")).fold();
                let new = old.checked_add(load.amount).unwrap();
                checked += self.expect("TAC", &tac_load(&tac_key, new, sequence, &load).0);
            }
        }
        checked + self.tac_key() + self.record(&load, sequence)
    }

    fn purchase(&self) -> usize {
        let (random, sequence) = (self.array("rand"), self.array::<2>("seq"));
        let terminal_sequence = TerminalSequence::from_be_bytes(self.array("terminal_seq"));
        let purchase = self.transaction();
        let session =
            PurchaseKey::new(self.key("DPK")).session(random, sequence, terminal_sequence);
        let mut checked = self.expect_session("SESPK", &session);
        checked += self.expect("MAC1", &mac1_purchase(&session, &purchase).0);
        checked += self.expect("MAC2", &mac2_purchase(&session, purchase.amount).0);
        if self.hex("expect", "TAC").is_some() {
            let tac_key = TacKey::new(self.key("DTK")).fold();
            checked += self.expect("TAC", &tac_purchase(&tac_key, &purchase, terminal_sequence).0);
        }
        checked + self.tac_key()
    }

    fn tac_key(&self) -> usize {
        match self.hex("expect", "TAC_key") {
            Some(_) => self.expect_session("TAC_key", &TacKey::new(self.key("DTK")).fold()),
            None => 0,
        }
    }

    fn record(&self, load: &Transaction, sequence: [u8; 2]) -> usize {
        let Some(published) = self.hex("expect", "record") else { return 0 };
        let record = LogRecord {
            sequence: u16::from_be_bytes(sequence) + 1,
            overdraft: [0; 3],
            transaction: *load,
        };
        let mut emitted = Vec::new();
        record.emit(&mut emitted);
        assert_eq!(LogRecord::parse(&published), Ok(record), "{}", self.id());
        self.expect("record", &emitted)
    }

    fn mac(&self) -> usize {
        let (iv, data) = (self.array("iv"), self.hex("inputs", "data").unwrap());
        let Mac(got) = match self.hex("inputs", "key").unwrap().len() {
            8 => mac(&Secret::new(self.array("key")), iv, &data),
            _ => retail_mac(&self.key("key"), iv, &data),
        };
        self.expect("MAC", &got)
    }

    fn ecb(&self) -> usize {
        let data = self.hex("inputs", "data").unwrap();
        let short = self.hex("inputs", "key").unwrap().len() == 8;
        let encrypt = |block: &[u8; 8]| match short {
            true => des_encrypt(&Secret::new(self.array("key")), *block),
            false => triple_des_encrypt(&self.key("key"), *block),
        };
        let cipher: Vec<u8> = data.as_chunks::<8>().0.iter().flat_map(encrypt).collect();
        self.expect("cipher", &cipher)
    }
}

const IDS: [&str; 22] = [
    "V1", "V2", "V3a", "V3b", "V3c", "V4", "V4b", "V4c", "V5", "V6", "V7a", "V7b", "V9a", "V9b",
    "V9c", "V9d", "V9e", "V10", "V11a", "V11b", "V11c", "V11d",
];

#[test]
fn every_published_number_recomputes() {
    let file: Value = serde_json::from_str(include_str!("vectors/public.json")).unwrap();
    let (mut checked, mut published) = (0, 0);
    let ids =
        file["vectors"].as_array().unwrap().iter().map(|vector| vector["id"].as_str().unwrap());
    assert_eq!(ids.collect::<Vec<_>>(), IDS);
    for value in file["vectors"].as_array().unwrap() {
        let vector = Vector(value);
        published += value["expect"].as_object().unwrap().len();
        let before = checked;
        checked += match value["kind"].as_str().unwrap() {
            "load" => vector.load(),
            "purchase" => vector.purchase(),
            "diversify" => {
                let key = diversify(&vector.key("master"), vector.array("factor"));
                vector.expect("key", key.expose())
            }
            "mac" => vector.mac(),
            "ecb" => vector.ecb(),
            other => panic!("{}: unknown kind {other}", vector.id()),
        };
        assert!(checked > before, "{}: nothing was compared", vector.id());
    }
    assert_eq!(checked, published, "a published number was not compared");
}
