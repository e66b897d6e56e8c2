// SPDX-License-Identifier: Apache-2.0
//! The terminal's secure module: what it computes, and what it says when it does not.
//!
//! The numbers are OpenSSL's (`-provider legacy`). A card's key: `openssl enc -des-ede -nopad -K
//! MASTER` over the factor, then over its complement. SESPK: the same under the card's key over
//! random, sequence and the low half of the terminal sequence. A MAC: `openssl enc -des-cbc -nopad
//! -K SESPK -iv 0` over the input padded with 80 00…, the left half of the last block.

use cam_types::{BcdDate, BcdTime, Fen, Secret, StatusWord, TerminalId, TerminalSequence};
use hex_literal::hex;
use wallet::keys::PurchaseKey;
use wallet::psam::{CardIdentity, Psam, SamError, SamPurchase, SoftPsam};
use wallet::{Mac, Transaction, TransactionType};

const TERMINAL: TerminalId = TerminalId::new(hex!("001122334455"));

fn soft(sequence: u32) -> SoftPsam {
    SoftPsam::new(TERMINAL, TerminalSequence::new(sequence))
        .with_key(1, PurchaseKey::new(Secret::new(hex!("00112233445566778899AABBCCDDEEFF"))))
}

fn purchase(card: &CardIdentity) -> SamPurchase<'_> {
    SamPurchase {
        random: hex!("584633C9"),
        offline_sequence: hex!("0007"),
        transaction: Transaction {
            amount: Fen::new(0x1000),
            kind: TransactionType::PURCHASE,
            terminal: TERMINAL,
            date: BcdDate(hex!("20261201")),
            time: BcdTime(hex!("200000")),
        },
        key_version: 1,
        algorithm: 0,
        card,
    }
}

#[test]
fn a_module_comes_to_the_cards_key_level_by_level() {
    let serial = CardIdentity::of_serial(hex!("8600 1122334455667788"));
    assert_eq!(serial.factors, [hex!("1122334455667788")]);
    let area = [serial.factors[0], hex!("07550755FFFFFFFF")].to_vec();
    let code = Some(*b"123456789");
    // Factors, authentication code, MAC1, MAC2.
    let table = [
        (vec![], None, hex!("206EAEF0"), hex!("9D6A2F38")),
        (vec![], code, hex!("A27B54DD"), hex!("9D6A2F38")),
        (serial.factors.clone(), None, hex!("214E5139"), hex!("B30B352F")),
        (serial.factors, code, hex!("D2FEAA8D"), hex!("B30B352F")),
        (area.clone(), None, hex!("1CA0525C"), hex!("318A6894")),
        (area, code, hex!("E47CE0E9"), hex!("318A6894")),
    ];
    for (factors, authentication_code, mac1, mac2) in table {
        let card = CardIdentity { factors, authentication_code };
        let mut psam = soft(0);
        assert_eq!(psam.start(&purchase(&card)), Ok((TerminalSequence::new(1), Mac(mac1))));
        assert_eq!(psam.credit(Mac([0; 4])), Err(SamError::WrongMac2));
        assert_eq!(psam.credit(Mac(mac2)), Ok(()), "the proof of GET TRANSACTION PROVE");
        let again = Err(SamError::Refused(StatusWord::NOT_INITIALIZED));
        assert_eq!(psam.credit(Mac(mac2)), again, "a purchase is credited once");
    }
}

#[test]
fn a_module_counts_every_start_and_says_why_it_does_not() {
    let card = CardIdentity::default();
    let mut psam = soft(u32::MAX - 1);
    assert_eq!(psam.terminal(), Ok(TERMINAL));
    let no_key = |version, algorithm| Err(SamError::NoKey { version, algorithm });
    let asked = |key_version, algorithm| SamPurchase { key_version, algorithm, ..purchase(&card) };
    assert_eq!(psam.start(&asked(2, 0)), no_key(2, 0));
    assert_eq!(psam.start(&asked(1, 2)), no_key(1, 2));
    let mut elsewhere = purchase(&card);
    elsewhere.transaction.terminal = TerminalId::new([9; 6]);
    let got = elsewhere.transaction.terminal;
    let other = SamError::OtherTerminal { got, expected: TERMINAL };
    assert_eq!(psam.start(&elsewhere), Err(other));
    assert_eq!(psam.sequence(), TerminalSequence::new(u32::MAX - 1), "no number is lost");
    let (last, _) = psam.start(&asked(1, 1)).unwrap();
    assert_eq!(last, TerminalSequence::new(u32::MAX));
    assert_eq!(psam.start(&purchase(&card)), Err(SamError::Exhausted));
    let dropped = Err(SamError::Refused(StatusWord::NOT_INITIALIZED));
    assert_eq!(psam.credit(Mac([0; 4])), dropped, "a start that fails ends the one before");
}
