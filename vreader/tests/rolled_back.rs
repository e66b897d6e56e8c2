// SPDX-License-Identifier: Apache-2.0
//! T30: the memory file of a real card is put back behind a report, and the head-end sees it.
#![allow(clippy::unwrap_used, reason = "a test fails where its helpers do")]

use cam_types::{BcdDate, BcdTime, EventId, Fen, TerminalId};
use ecm_emm::card::{AckResult, EmmResult, INS_ACK, INS_REPORT, PurchaseResult, ReportRequest};
use ecm_emm::emm::EmmCommand;
use ecm_emm::report::Report;
use headend::files::fields::Octets;
use headend::files::issued::Issued;
use headend::files::operator::Operator;
use headend::verify::state::State;
use headend::verify::{Carried, Ground, Verdict, verify};
use hex_literal::hex;
use std::fs;
use std::path::{Path, PathBuf};
use system_tests::demo::{self, NOON, Stb, TO_PURSE};
use vcard::{Card, Durability};

const NONCE: [u8; 8] = *b"head-end";
const PSEUDONYM: Octets<8> = Octets(hex!("a1b2c3d4e5f60718"));
const ISSUED: &str = r#"
    [[topup]]
    card = "0102030405060708"
    number = 1
    amount = "50.00"
    agent = "a00000000001"
    [[refund]]
    card = "0102030405060708"
    event = 4002
    sequence = 2
    amount = "12.00"
"#;

/// A card's memory file in a folder of its own, and a hand that copies and puts back.
struct Memory(PathBuf);

impl Memory {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let memory = Self(folder.join("card.nvm"));
        Card::personalise(&demo::personalisation("")).unwrap().write_to(&memory.0).unwrap();
        memory
    }

    /// With the card in its reader, and a box that it knows.
    fn with<T>(&self, act: impl FnOnce(&mut Stb, &mut Card) -> T) -> T {
        let mut card = Card::open_file(&self.0, Durability::Process).unwrap();
        card.power_on();
        let mut stb = Stb::open(&mut card);
        act(&mut stb, &mut card)
    }

    fn buy(&self, numbers: &[u32]) {
        self.with(|stb, card| {
            for &n in numbers {
                let paid = stb.buy(card, n, &demo::cinema(EventId::new(4000 + n), NOON)).unwrap();
                assert_eq!(paid.result, PurchaseResult::PAID, "{n}");
            }
        });
    }

    fn message(&self, number: u32, command: EmmCommand) {
        self.with(|_, card| {
            let section = TO_PURSE.seal(number, &[command]);
            assert_eq!(demo::emm(card, &section), EmmResult::APPLIED);
        });
    }

    /// All pages, from this purchase on.
    fn report(&self, from: u16) -> Vec<Carried> {
        let mut data = Vec::new();
        ReportRequest { nonce: NONCE, from }.emit(&mut data);
        self.with(|stb, card| {
            let mut pages = Vec::new();
            for page in 0.. {
                let command = stb.wrapped(INS_REPORT, page, 0, &data);
                let response = card.transmit(&command).unwrap();
                let octets = stb.opened(&response);
                let last = octets.len() < Report::MAX_LEN;
                pages.push(Carried { name: format!("page {}", page + 1), octets });
                if last {
                    break;
                }
            }
            pages
        })
    }

    fn acknowledge(&self, ack: &[u8]) {
        self.with(|_, card| {
            let command = [&[0x80, INS_ACK, 0, 0, ack.len() as u8], ack].concat();
            let (data, status) = demo::send(card, &command);
            assert_eq!((AckResult::parse(&data).unwrap(), status), (AckResult::FREED, 0x9000));
        });
    }
}

fn judge(pages: &[Carried], state: &State, issued: &str) -> Verdict {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo/operator.toml");
    let operator = Operator::read(&path).unwrap();
    let issued = Issued::parse(Path::new("issued.toml"), issued, &operator).unwrap();
    let ground = Ground {
        operator: &operator,
        nonce: NONCE,
        state: Some(state),
        schedule: None,
        issued: Some(&issued),
        accept_gap: &[],
    };
    verify(pages, ground).unwrap()
}

#[test]
fn a_memory_that_was_put_back_shows_in_its_report() {
    let memory = Memory::new("rolled-back");
    let fresh = fs::read(&memory.0).unwrap();
    let mut state = State::default();
    memory.buy(&[1, 2]);
    let amount = Fen::new(1200);
    memory.message(1, EmmCommand::Refund { event: EventId::new(4002), sequence: 2, amount });
    memory.message(
        2,
        EmmCommand::Topup {
            number: 1,
            amount: Fen::new(5000),
            date: BcdDate(hex!("20261130")),
            time: BcdTime(hex!("080000")),
            agent: TerminalId::new(hex!("a00000000001")),
        },
    );
    let pages = memory.report(0);
    let unissued = judge(&pages, &state, "").findings;
    assert_eq!(unissued.len(), 3, "{unissued:?}");
    let verdict = judge(&pages, &state, ISSUED);
    assert_eq!(verdict.findings, [""; 0]);
    assert!(verdict.text.contains("4 new records, 0 known of 2 reports"), "{}", verdict.text);
    let proven = verdict.proven.unwrap();
    state.keep(PSEUDONYM, proven.state);
    memory.acknowledge(&proven.ack);
    let honest = fs::read(&memory.0).unwrap();

    // Back to before both purchases, and two others in their place.
    fs::write(&memory.0, &fresh).unwrap();
    memory.buy(&[3, 4]);
    for from in [0, 1] {
        let verdict = judge(&memory.report(from), &state, ISSUED);
        assert!(verdict.findings.iter().any(|what| what.contains("a fork")), "{verdict:?}");
        assert!(verdict.proven.is_none());
    }
    // With the first record left out it begins where nobody knows, and its numbers were counted.
    let verdict = judge(&memory.report(2), &state, ISSUED);
    assert!(verdict.findings.iter().any(|what| what.contains("a fork")), "{verdict:?}");
    memory.buy(&[5]);
    let verdict = judge(&memory.report(3), &state, ISSUED);
    assert!(verdict.proven.is_none());
    // The card that went on goes on.
    fs::write(&memory.0, &honest).unwrap();
    memory.buy(&[6]);
    for (from, known) in [(0, "1 new records, 0 known"), (1, "1 new records, 4 known")] {
        let verdict = judge(&memory.report(from), &state, ISSUED);
        assert_eq!(verdict.findings, [""; 0]);
        assert!(verdict.text.contains(known), "{}", verdict.text);
    }
}
