// SPDX-License-Identifier: Apache-2.0
//! Whose card it is, what its keys come by, and what was met on it.

use cam_types::{Aid, BcdDate, BcdTime, Fen, Secret, StatusWord, TerminalId, TerminalSequence};
use hex_literal::hex;
use wallet::card::{ApplicationData, AuthenticationCode, IdentityError, Level};
use wallet::keys::PurchaseKey;
use wallet::psam::SoftPsam;
use wallet::purchase::{Debit, Purchase};
use wallet::read::ReadError;
use wallet::refusal::Step;
use wallet::select::{Select, SelectError};
use wallet::{LogRecord, Met, Profile, Refusal, Transaction, TransactionType};

/// Source: EF 0015 of transcript applet-01-load.
const EF15: [u8; 30] = hex!("A000000000000001 02 10 00001234567890123456 20240101 20341231 5555");

fn application() -> ApplicationData {
    ApplicationData::parse(&EF15).unwrap()
}

#[test]
fn application_data() {
    assert_eq!(ApplicationData::COMMAND, hex!("00 B0 95 00 1E"));
    let mut response = EF15.to_vec();
    response.extend([0x90, 0x00]);
    let read = ApplicationData::answer(&response).unwrap();
    assert_eq!(read, application());
    assert_eq!(read.serial, hex!("00001234567890123456"));
    assert_eq!((read.start, read.expiry), (BcdDate(hex!("20240101")), BcdDate(hex!("20341231"))));
    response.remove(0);
    assert!(matches!(ApplicationData::answer(&response), Err(ReadError::Malformed(_))));
}

#[test]
fn a_selected_application() {
    let select = || Select::new(Aid::PURSE.octets());
    assert_eq!(select().command(), hex!("00 A4 04 00 09 A00000000386980701 00"));
    assert_eq!(select().command_without_le(), hex!("00 A4 04 00 09 A00000000386980701"));
    let bare = hex!("6F0B 8409A00000000386980701 9000");
    assert_eq!(select().answer(&bare).unwrap().application, None);
    let mut full = hex!("6F2E 8409A00000000386980701 A521 9F0C1E").to_vec();
    full.extend(EF15);
    full.extend([0x90, 0x00]);
    assert_eq!(select().answer(&full).unwrap().application, Some(application()));
    // The first application of that beginning has another name, and is taken.
    assert_eq!(
        Select::new(&Aid::PURSE.octets()[..5]).answer(&bare).unwrap().aid,
        Aid::PURSE.octets()
    );
    let other = select().answer(&hex!("6F0B 8409A00000000386980702 9000"));
    assert_eq!(other, Err(SelectError::OtherName(hex!("A00000000386980702").to_vec())));
}

#[test]
fn levels_of_diversification() {
    for (level, factor) in [
        (Level::Serial, hex!("1234567890123456")),
        (Level::Uid, hex!("04A1B2C3 80000000")),
        (Level::IssuerTwice, hex!("A0000000 A0000000")),
        (Level::IssuerPadded, hex!("A0000000 FFFFFFFF")),
    ] {
        assert_eq!(level.factor(&application(), Some(hex!("04A1B2C3"))), Ok(factor));
    }
    let identity = |profile: Profile| profile.identity(&application(), None, None);
    assert_eq!(identity(Profile::PBOC).unwrap().factors, [hex!("1234567890123456")]);
    let area = [hex!("A0000000 A0000000"), hex!("1234567890123456")];
    assert_eq!(identity(Profile::AREA).unwrap().factors, area);
    assert_eq!(identity(Profile::CAMPUS), Err(IdentityError::NoUid));
    assert_eq!(identity(Profile::MOHURD), Err(IdentityError::NoCode));
}

/// The code of a city card ends the input of MAC1, and a card of the plain kind never hears of it.
#[test]
fn an_authentication_code_enters_mac1() {
    assert_eq!(AuthenticationCode::COMMAND, hex!("80 CA 00 00 09"));
    let code = AuthenticationCode::answer(&hex!("010203040506070809 9000")).unwrap();
    assert!(AuthenticationCode::answer(&hex!("0102030405060708 9000")).is_err());
    assert!(AuthenticationCode::answer(&hex!("01020304050607080910 9000")).is_err());
    let terminal = TerminalId::new(hex!("001122334455"));
    let (date, time) = (BcdDate(hex!("20161216")), BcdTime(hex!("134600")));
    let master = PurchaseKey::new(Secret::new(hex!("00112233445566778899AABBCCDDEEFF")));
    let mac1 = |profile: Profile| {
        let card = profile.identity(&application(), None, Some(code)).unwrap();
        let mut psam =
            SoftPsam::new(terminal, TerminalSequence::new(0)).with_key(1, master.clone());
        let debiting = Purchase::new(1, Fen::new(1), terminal)
            .unwrap()
            .initialized(&hex!("00002000 0000 000000 01 00 584633C9 9000"))
            .unwrap()
            .authorise(date, time, &card, &mut psam)
            .unwrap();
        debiting.command()[16..20].to_vec()
    };
    let session = master.diversify(hex!("1234567890123456")).session(
        hex!("584633C9"),
        [0, 0],
        TerminalSequence::new(1),
    );
    let plain = hex!("00000001 06 001122334455 20161216 134600");
    assert_eq!(mac1(Profile::PBOC), session.mac(&plain).0);
    assert_eq!(mac1(Profile::MOHURD), session.mac(&[&plain[..], &code.0].concat()).0);
}

#[test]
fn what_was_met_is_told() {
    let mut met = Met::default();
    assert_eq!(met.to_string(), "nothing yet");
    let transaction = Transaction {
        amount: Fen::new(1),
        kind: TransactionType::PURCHASE,
        terminal: TerminalId::new(hex!("001122334455")),
        date: BcdDate(hex!("20161216")),
        time: BcdTime(hex!("134600")),
    };
    let record = |sequence| LogRecord { sequence, overdraft: [0; 3], transaction };
    // Another transaction's record, and a number that is neither, say nothing.
    let other = Transaction { amount: Fen::new(2), ..transaction };
    met.logged([0, 1], &other, &record(1));
    met.logged([0, 1], &transaction, &record(3));
    assert_eq!(met, Met::default());
    met.logged([0xFF, 0xFF], &transaction, &record(0));
    met.refused(&Refusal::new(Step::Commit, StatusWord(0x6982)));
    met.refused(&Refusal::new(Step::InitializeDebit, StatusWord(0x6A80)));
    assert_eq!(
        met.to_string(),
        "log under the number after the transaction; the MAC is wrong: SW=6982; \
         balance does not cover the amount: SW=6A80"
    );
    met.logged([0, 1], &transaction, &record(1));
    assert!(met.to_string().starts_with("log under the number before"));
}

/// A wrong MAC1 is refused by a status word of each kind of card, and nothing is left to settle.
#[test]
fn a_refused_mac1_leaves_nothing_open() {
    let terminal = TerminalId::new(hex!("001122334455"));
    let (date, time) = (BcdDate(hex!("20161216")), BcdTime(hex!("134600")));
    for status in [0x9302, 0x6982, 0x6988] {
        let key = PurchaseKey::new(Secret::new([7; 16]));
        let mut psam = SoftPsam::new(terminal, TerminalSequence::new(0)).with_key(1, key);
        let debit = Purchase::new(1, Fen::new(1), terminal)
            .unwrap()
            .initialized(&hex!("00002000 0000 000000 01 00 584633C9 9000"))
            .unwrap()
            .authorise(date, time, &Default::default(), &mut psam)
            .unwrap()
            .finish(Some(&u16::to_be_bytes(status)), &mut psam);
        assert_eq!(debit, Debit::Refused(Refusal::new(Step::Commit, StatusWord(status))));
    }
}
