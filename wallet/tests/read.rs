// SPDX-License-Identifier: Apache-2.0
//! Balance and log, on cards of both kinds.

use cam_types::{DecodeError, Fen, StatusWord};
use hex_literal::hex;
use wallet::read::{LogReading, ReadError, balance, balance_command};
use wallet::refusal::Step;
use wallet::{Account, LogRecord, Refusal};

#[test]
fn a_balance() {
    assert_eq!(balance_command(Account::Purse), hex!("80 5C 00 02 04"));
    assert_eq!(balance_command(Account::Passbook), hex!("80 5C 00 01 04"));
    let blocked = Refusal::new(Step::Read, StatusWord(0x6985));
    for (response, expected) in [
        (&hex!("0000223E 9000")[..], Ok(Fen::new(8766))),
        (&hex!("00223E 9000")[..], Err(ReadError::Malformed(DecodeError::Missing("balance")))),
        (
            &hex!("0000223E00 9000")[..],
            Err(ReadError::Malformed(DecodeError::Trailing { message: "balance", octets: 1 })),
        ),
        (&hex!("6985")[..], Err(ReadError::Refused(blocked))),
        (&[], Err(ReadError::Malformed(DecodeError::Missing("status word")))),
    ] {
        assert_eq!(balance(response), expected);
    }
    assert_eq!(ReadError::Refused(blocked).to_string(), "purse is blocked (SW=6985)");
}

/// Source: the log of transcript applet-02-purchase.
const NEWEST: [u8; 25] = hex!("0000000000000004D20600112233445520240115094500 9000");
const OLDEST: [u8; 25] = hex!("0000000000000027100200112233445520240115093000 9000");

/// The log ends at a record that is not there, or at one that was never written.
#[test]
fn a_log() {
    let mut filled = vec![0xFF; 23];
    filled.extend([0x90, 0x00]);
    let mut zeros = vec![0x00; 23];
    zeros.extend([0x90, 0x00]);
    for end in [&hex!("6A83")[..], &filled, &zeros] {
        let reading = LogReading::new();
        assert_eq!(reading.command(), hex!("00 B2 01 C4 17"));
        let (record, next) = reading.answer(&NEWEST).unwrap().unwrap();
        assert_eq!(record, LogRecord::parse(&NEWEST[..23]).unwrap());
        let reading = next.unwrap();
        assert_eq!(reading.command(), hex!("00 B2 02 C4 17"));
        let (record, next) = reading.answer(&OLDEST).unwrap().unwrap();
        assert_eq!(record.transaction.amount, Fen::new(10_000));
        assert_eq!(next.unwrap().answer(end), Ok(None));
    }
    let wanted = Refusal::new(Step::Read, StatusWord::SECURITY_STATUS);
    assert_eq!(LogReading::new().answer(&hex!("6982")), Err(ReadError::Refused(wanted)));
    assert_eq!(
        LogReading::new().answer(&hex!("0000 9000")),
        Err(ReadError::Malformed(DecodeError::Missing("overdraft limit")))
    );
}

/// A card that has a record for every number is read to the last number and not for ever.
#[test]
fn a_log_without_end_ends() {
    let mut reading = Some(LogReading::new());
    let mut records = 0;
    while let Some(next) = reading {
        reading = next.answer(&NEWEST).unwrap().unwrap().1;
        records += 1;
    }
    assert_eq!(records, 255);
}
