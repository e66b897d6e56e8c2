// SPDX-License-Identifier: Apache-2.0
//! REPORT and ACK: every record goes out sealed and chained, and gives way only when it has
//! arrived.

use cam_types::{Aid, BcdDate, BcdTime, CardId, Epoch, EventId, Fen, TerminalId};
use ecm_emm::OpenError;
use ecm_emm::card::{
    AckResult, EmmOutcome, EmmResult, INS_ACK, INS_REPORT, PurchaseResult, ReportRequest,
};
use ecm_emm::emm::EmmCommand;
use ecm_emm::report::{Ack, Report, ReportHeader};
use ecm_emm::suite::{SealKey, Suite};
use hex_literal::hex;
use system_tests::demo::*;
use system_tests::memory::{CONTENTS, Cut, Memory};
use vcard::Card;
use vcard::nvm::RamStore;

const CARD: CardId = CardId::new(hex!("0102030405060708"));
const NONCE: [u8; 8] = hex!("a0a1a2a3a4a5a6a7");

fn k_rcp() -> SealKey {
    key(K_RCP)
}

/// The demo's card with money for many purchases, and nothing asked without need.
fn rich() -> Card {
    let text = file("").replace("balance = 10000", "balance = 1000000");
    let path = std::path::Path::new("card.toml");
    let perso = vcard::Personalisation::from_text(&text, path).unwrap();
    powered(Box::new(RamStore::new(Card::personalise(&perso).unwrap().octets())))
}

fn buy(stb: &mut Stb, card: &mut Card, numbers: impl Iterator<Item = u32>) -> Vec<[u8; 8]> {
    let mut receipts = Vec::new();
    for n in numbers {
        let paid = stb.buy(card, n, &cinema(EventId::new(4000 + n), NOON)).unwrap();
        assert_eq!(paid.result, PurchaseResult::PAID, "{n}");
        receipts.push(paid.receipt);
    }
    receipts
}

fn sealed(stb: &mut Stb, card: &mut Card, page: u8, from: u16) -> Vec<u8> {
    let mut data = Vec::new();
    ReportRequest { nonce: NONCE, from }.emit(&mut data);
    let apdu = stb.wrapped(INS_REPORT, page, 0, &data);
    let response = card.transmit(&apdu).unwrap();
    stb.opened(&response)
}

fn page(stb: &mut Stb, card: &mut Card, page: u8, from: u16) -> Report {
    let (header, report) = Report::open(&sealed(stb, card, page, from), NONCE, &k_rcp()).unwrap();
    assert_eq!(header, REPORT_HEADER);
    let chain = report.records.iter().fold(report.chain_before, |previous, record| {
        record.receipt(&k_rcp(), &REPORT_HEADER.key_context(), CARD, previous)
    });
    assert_eq!(chain, report.chain_after, "the page's chain");
    report
}

fn ack(chain: [u8; 8]) -> Vec<u8> {
    let mut out = Vec::new();
    Ack { chain }.seal(&REPORT_HEADER, &k_rcp(), &mut out).unwrap();
    out
}

fn acknowledge(card: &mut Card, message: &[u8]) -> AckResult {
    let mut apdu = vec![0x80, INS_ACK, 0, 0, message.len() as u8];
    apdu.extend_from_slice(message);
    let (data, sw) = send(card, &apdu);
    assert_eq!(sw, 0x9000);
    AckResult::parse(&data).unwrap()
}

fn numbers(report: &Report) -> Vec<u32> {
    report.records.iter().map(|record| record.terminal_sequence.value()).collect()
}

#[test]
fn pages_of_four_lead_from_receipt_to_receipt() {
    let mut card = rich();
    let mut stb = Stb::open(&mut card);
    let empty = page(&mut stb, &mut card, 0, 0);
    assert_eq!((empty.records.len(), empty.chain_before, empty.chain_after), (0, [0; 8], [0; 8]));
    assert_eq!(empty.balance, Fen::new(1_000_000));
    let receipts = buy(&mut stb, &mut card, 1..=6);
    let commits = card.status().commits;
    assert_eq!(sealed(&mut stb, &mut card, 0, 0).len(), 238);
    let first = page(&mut stb, &mut card, 0, 0);
    assert_eq!(numbers(&first), [1, 2, 3, 4]);
    assert_eq!((first.chain_before, first.chain_after), ([0; 8], receipts[3]));
    let last = page(&mut stb, &mut card, 1, 0);
    assert_eq!(numbers(&last), [5, 6]);
    assert_eq!((last.chain_before, last.chain_after), (receipts[3], receipts[5]));
    assert_eq!((last.offline_sequence, last.online_sequence), (6, 0));
    assert_eq!(last.balance, Fen::new(1_000_000 - 6 * 1200));
    assert_eq!(last.records[1].balance, last.balance);
    let beyond = page(&mut stb, &mut card, 2, 0);
    assert_eq!((beyond.records.len(), beyond.chain_before), (0, receipts[5]));
    assert_eq!(numbers(&page(&mut stb, &mut card, 0xFF, 0)), [0_u32; 0]);
    assert_eq!(card.status().commits, commits, "a report writes nothing");
    // An old report answers no new request.
    let old = sealed(&mut stb, &mut card, 0, 0);
    assert_eq!(Report::open(&old, [0; 8], &k_rcp()), Err(OpenError::Authentication));
}

#[test]
fn acknowledged_records_are_passed_over_and_can_be_asked_for() {
    let mut card = rich();
    let mut stb = Stb::open(&mut card);
    let receipts = buy(&mut stb, &mut card, 1..=6);
    assert_eq!(acknowledge(&mut card, &ack(receipts[3])), AckResult::FREED);
    assert_eq!(numbers(&page(&mut stb, &mut card, 0, 0)), [5, 6]);
    assert_eq!(numbers(&page(&mut stb, &mut card, 0, 1)), [1, 2, 3, 4]);
    assert_eq!(numbers(&page(&mut stb, &mut card, 1, 1)), [5, 6]);
    let from_three = page(&mut stb, &mut card, 0, 3);
    assert_eq!(numbers(&from_three), [3, 4, 5, 6]);
    assert_eq!(from_three.chain_before, receipts[1]);
    assert_eq!(numbers(&page(&mut stb, &mut card, 0, 7)), [0_u32; 0]);
    // Replayed, and an older one than the last: harmless.
    let commits = card.status().commits;
    for receipt in [receipts[3], receipts[0]] {
        assert_eq!(acknowledge(&mut card, &ack(receipt)), AckResult::KNOWN);
    }
    assert_eq!(card.status().commits, commits);
    assert_eq!(numbers(&page(&mut stb, &mut card, 0, 0)), [5, 6]);
}

#[test]
fn an_acknowledgement_that_is_not_ours_frees_nothing() {
    let mut card = rich();
    let mut stb = Stb::open(&mut card);
    let receipts = buy(&mut stb, &mut card, 1..=2);
    let good = ack(receipts[1]);
    let with = |header: ReportHeader, key: &SealKey| {
        let mut out = Vec::new();
        Ack { chain: receipts[1] }.seal(&header, key, &mut out).unwrap();
        out
    };
    let mut altered = good.clone();
    altered[36] ^= 1;
    let other_card = ReportHeader { pseudonym: cam_types::Pseudonym::new([7; 8]), ..REPORT_HEADER };
    let other_epoch = ReportHeader { epoch: Epoch::new(2), ..REPORT_HEADER };
    let other_suite = ReportHeader { suite: Suite::Hmac, ..REPORT_HEADER };
    let hmac = SealKey::new(Suite::Hmac, k_rcp().material().clone()).unwrap();
    for (message, expected) in [
        (ack([9; 8]), AckResult::UNKNOWN),
        (ack([0; 8]), AckResult::UNKNOWN),
        (altered, AckResult::AUTHENTICATION),
        (with(REPORT_HEADER, &key([1; 16])), AckResult::AUTHENTICATION),
        (with(other_card, &k_rcp()), AckResult::ADDRESS),
        (with(other_epoch, &k_rcp()), AckResult::NO_KEY),
        (with(other_suite, &hmac), AckResult::NO_KEY),
        (good[..36].to_vec(), AckResult::MALFORMED),
        ([&good[..], &[0]].concat(), AckResult::MALFORMED),
        (sealed(&mut stb, &mut card, 0, 0), AckResult::MALFORMED),
    ] {
        assert_eq!(acknowledge(&mut card, &message), expected);
        assert_eq!(numbers(&page(&mut stb, &mut card, 0, 0)), [1, 2]);
    }
    assert_eq!(acknowledge(&mut card, &good), AckResult::FREED);
}

/// The ring has turned: the chain still begins where the records that are gone ended.
#[test]
fn a_full_log_goes_on_after_an_acknowledgement() {
    let mut card = rich();
    let mut stb = Stb::open(&mut card);
    let mut receipts = buy(&mut stb, &mut card, 1..=32);
    let section = cinema(EventId::new(5000), NOON);
    assert_eq!(stb.buy(&mut card, 33, &section).unwrap().result, PurchaseResult::LOG_FULL);
    assert_eq!(acknowledge(&mut card, &ack(receipts[9])), AckResult::FREED);
    receipts.extend(buy(&mut stb, &mut card, 34..=43));
    assert_eq!(stb.buy(&mut card, 44, &section).unwrap().result, PurchaseResult::LOG_FULL);
    let mut chain = receipts[9];
    for n in 0..8 {
        let report = page(&mut stb, &mut card, n, 0);
        assert_eq!((report.records.len(), report.chain_before), (4, chain), "page {n}");
        chain = report.chain_after;
    }
    assert_eq!(chain, receipts[41]);
    assert_eq!(page(&mut stb, &mut card, 8, 0).records, []);
    assert_eq!(acknowledge(&mut card, &ack(receipts[0])), AckResult::UNKNOWN, "it is gone");
    assert_eq!(acknowledge(&mut card, &ack(receipts[41])), AckResult::FREED);
    assert_eq!(page(&mut stb, &mut card, 0, 0).chain_before, receipts[41]);
    assert_eq!(page(&mut stb, &mut card, 0, 1).records.len(), 4, "the last 32 stay");
}

#[test]
fn top_ups_and_refunds_are_reported_too() {
    let mut card = rich();
    let mut stb = Stb::open(&mut card);
    let receipts = buy(&mut stb, &mut card, 1..=1);
    let top_up = EmmCommand::Topup {
        number: 7,
        amount: Fen::new(500),
        date: BcdDate(hex!("20261201")),
        time: BcdTime(hex!("120000")),
        agent: TerminalId::new(hex!("530000000009")),
    };
    assert_eq!(emm(&mut card, &TO_PURSE.seal(1, &[top_up])), EmmResult::APPLIED);
    let refund =
        EmmCommand::Refund { event: EventId::new(4001), sequence: 1, amount: Fen::new(1200) };
    assert_eq!(emm(&mut card, &TO_PURSE.seal(2, &[refund])), EmmResult::APPLIED);
    let report = page(&mut stb, &mut card, 0, 0);
    assert_eq!(numbers(&report), [1, 7, 1]);
    let states: Vec<_> = report.records.iter().map(|r| (r.purse[9], r.state)).collect();
    assert_eq!(states, [(0x09, 2), (0x02, 1), (0x02, 1)], "the state is the one of now");
    let first = report.records[0].receipt(&k_rcp(), &REPORT_HEADER.key_context(), CARD, [0; 8]);
    assert_eq!(first, receipts[0], "the receipt is the one of then");
    assert_eq!((report.offline_sequence, report.online_sequence), (1, 2));
    assert_eq!(report.balance, Fen::new(1_000_500));
}

#[test]
fn a_request_over_the_air_stays_until_it_is_acknowledged() {
    let mut card = rich();
    assert_eq!(info(&mut card).report, None);
    let request =
        |seq, nonce, from| TO_CARD.seal(seq, &[EmmCommand::ReportRequest { nonce, from }]);
    assert_eq!(emm(&mut card, &request(1, [1; 8], 0)), EmmResult::APPLIED);
    assert_eq!(emm(&mut card, &request(2, NONCE, 3)), EmmResult::APPLIED);
    card.power_on();
    let wanted = Some(ReportRequest { nonce: NONCE, from: 3 });
    assert_eq!(info(&mut card).report, wanted);
    let mut stb = Stb::open(&mut card);
    let receipts = buy(&mut stb, &mut card, 1..=4);
    let unknown = emm(&mut card, &TO_CARD.seal(3, &[EmmCommand::ReportAck([9; 8])]));
    assert_eq!(unknown.outcome, EmmOutcome::REFUSED);
    assert_eq!(info(&mut card).report, wanted);
    let known = TO_CARD.seal(4, &[EmmCommand::ReportAck(receipts[2])]);
    assert_eq!(emm(&mut card, &known), EmmResult::APPLIED);
    assert_eq!(emm(&mut card, &known), EmmResult::DUPLICATE);
    assert_eq!(info(&mut card).report, None);
    let mut stb = Stb::open(&mut card);
    assert_eq!(numbers(&page(&mut stb, &mut card, 0, 0)), [4]);
    // Where everything has arrived already, the newest receipt answers.
    assert_eq!(acknowledge(&mut card, &ack(receipts[3])), AckResult::FREED);
    assert_eq!(emm(&mut card, &request(5, NONCE, 1)), EmmResult::APPLIED);
    assert_eq!(acknowledge(&mut card, &ack(receipts[1])), AckResult::KNOWN);
    assert_eq!(info(&mut card).report, Some(ReportRequest { nonce: NONCE, from: 1 }));
    assert_eq!(acknowledge(&mut card, &ack(receipts[3])), AckResult::KNOWN);
    assert_eq!(info(&mut card).report, None);
    // A card that has sold nothing has nothing but the zeros to be acknowledged.
    let mut new = rich();
    assert_eq!(info(&mut new).report, None);
    assert_eq!(emm(&mut new, &request(1, NONCE, 0)), EmmResult::APPLIED);
    assert_eq!(acknowledge(&mut new, &ack([0; 8])), AckResult::KNOWN);
    assert_eq!(info(&mut new).report, None);
}

#[test]
fn what_is_no_request_is_refused() {
    let mut card = rich();
    for (p2, data, sw) in [(1, &[0; 10][..], 0x6A86), (0, &[0; 9], 0x6A80), (0, &[0; 11], 0x6A80)] {
        let mut stb = Stb::open(&mut card);
        assert_eq!(stb.send(&mut card, INS_REPORT, p2, data), Err(Failed::Status(sw)));
    }
    let text = file("").replace("role = \"receipt\"", "role = \"recovery\"");
    let text = text.replace(
        "suite = 2\nepoch = 1\nvalue = \"b0b1b2b3b4b5b6b7b8b9babbbcbdbebf\"",
        "suite = 3\nepoch = 1\nvalue = \"0000000000000000000000000000000000000000000000000000000000000000\"",
    );
    let path = std::path::Path::new("card.toml");
    let perso = vcard::Personalisation::from_text(&text, path).unwrap();
    let mut card = powered(Box::new(RamStore::new(Card::personalise(&perso).unwrap().octets())));
    let mut stb = Stb::open(&mut card);
    assert_eq!(stb.send(&mut card, INS_REPORT, 0, &[0; 10]), Err(Failed::Status(0x6A88)));
    assert_eq!(acknowledge(&mut card, &ack([0; 8])), AckResult::NO_KEY);
}

/// The power fails in every page write of an ACK, with every content of the torn page: the records
/// are acknowledged or they are not, and the same ACK again acknowledges them.
#[test]
fn a_torn_acknowledgement_is_taken_or_not() {
    let before = Memory::new(&memory());
    let mut card = powered(before.store());
    let mut stb = Stb::open(&mut card);
    let receipts = buy(&mut stb, &mut card, 1..=3);
    drop(card);
    let before = before.octets();
    let (mut taken, mut torn_writes) = ([0; 2], 0);
    'writes: for after in 0.. {
        for torn in CONTENTS {
            let chip = Memory::new(&before);
            let mut card = powered(chip.store());
            select(&mut card, Aid::CAS.octets());
            chip.arm(Cut { after, torn: *torn });
            let mut apdu = vec![0x80, INS_ACK, 0, 0, Ack::LEN as u8];
            apdu.extend(ack(receipts[1]));
            let _ = card.transmit(&apdu);
            // What goes home after the answer goes home before the next command.
            let _ = card.transmit(&[0x80, 0x32, 0, 0, 0]);
            if !chip.mend() {
                break 'writes;
            }
            torn_writes += 1;
            let mut card = powered(chip.store());
            let mut stb = Stb::open(&mut card);
            let left = numbers(&page(&mut stb, &mut card, 0, 0));
            assert!(left == [1, 2, 3] || left == [3], "write {after}, {torn:?}: {left:?}");
            taken[usize::from(left.len() == 1)] += 1;
            let again = acknowledge(&mut card, &ack(receipts[1]));
            assert_eq!(again, if left.len() == 1 { AckResult::KNOWN } else { AckResult::FREED });
            assert_eq!(numbers(&page(&mut stb, &mut card, 0, 0)), [3]);
        }
    }
    assert!(torn_writes >= 3 * CONTENTS.len(), "{torn_writes}");
    assert!(taken.iter().all(|count| *count > 0), "{taken:?}");
}

/// The longest introduction there is: every group, every slot, and a report asked for.
#[test]
fn a_card_full_of_keys_introduces_itself() {
    let key = |role: &str, index: u8, value: u8| {
        let value = format!("{value:02x}").repeat(16);
        format!(
            "[[key]]\nrole = \"{role}\"\nindex = {index}\nsuite = 2\nepoch = 9\nvalue = \"{value}\"\n"
        )
    };
    let mut text = file("");
    for index in 1..8 {
        text += &format!("[[group]]\nindex = {index}\naddress = \"000000f{index}\"\n");
        text += &key("group", index, 0x10 + index);
    }
    for index in (0..16).filter(|index| !matches!(index, 1 | 2)) {
        text += &key("service", index, 0x20 + index);
    }
    let path = std::path::Path::new("card.toml");
    let perso = vcard::Personalisation::from_text(&text, path).unwrap();
    let mut card = powered(Box::new(RamStore::new(Card::personalise(&perso).unwrap().octets())));
    let before = info(&mut card);
    assert_eq!((before.groups.len(), before.slots.len()), (8, 16));
    let request = EmmCommand::ReportRequest { nonce: NONCE, from: 0 };
    assert_eq!(emm(&mut card, &TO_CARD.seal(1, &[request])), EmmResult::APPLIED);
    let after = info(&mut card);
    assert_eq!(after.report, Some(ReportRequest { nonce: NONCE, from: 0 }));
    assert_eq!(after.slots, before.slots);
    assert!(after.windows.iter().any(|window| window.role == 0x11 && window.hi == 1));
}
