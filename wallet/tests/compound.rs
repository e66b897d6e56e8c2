// SPDX-License-Identifier: Apache-2.0
//! Compound purchases: what a gate sends, and that nothing can be left out.

use cam_types::{BcdDate, BcdTime, Fen, Secret, StatusWord, TerminalId, TerminalSequence};
use hex_literal::hex;
use wallet::compound::{CompoundPurchase, Initialized, Update};
use wallet::formula::mac2_purchase;
use wallet::keys::PurchaseKey;
use wallet::psam::{CardIdentity, SoftPsam};
use wallet::purchase::{Debit, PurchaseError};
use wallet::refusal::Step;
use wallet::{Mac, Refusal, TransactionType};

const DPK: [u8; 16] = hex!("00112233445566778899AABBCCDDEEFF");
const GATE: TerminalId = TerminalId::new(hex!("001122334455"));
const RECORD: [u8; 6] = hex!("AA 04 11223344");

fn initialized(amount: u32) -> Initialized {
    CompoundPurchase::new(1, Fen::new(amount), GATE)
        .initialized(&hex!("00002000 0000 000000 01 00 584633C9 9000"))
        .unwrap()
}

fn update() -> Update {
    Update::by_identifier(0x19, &RECORD).unwrap()
}

/// An entry moves no money, an exit pays the fare; both write their records.
#[test]
fn entry_and_exit() {
    for (amount, command) in [
        (0, hex!("80 50 03 02 0B 01 00000000 001122334455 0F")),
        (350, hex!("80 50 03 02 0B 01 0000015E 001122334455 0F")),
    ] {
        assert_eq!(CompoundPurchase::new(1, Fen::new(amount), GATE).command(), command);
        let updating = initialized(amount).update(update());
        assert_eq!(updating.command(), hex!("80 DC AA C8 06 AA0411223344"));
        let updating = updating
            .updated(&hex!("9000"))
            .unwrap()
            .update(Update::by_number(0x17, 2, &RECORD).unwrap());
        assert_eq!(updating.command(), hex!("80 DC 02 BC 06 AA0411223344"));
        let mut psam = SoftPsam::new(GATE, TerminalSequence::new(0))
            .with_key(1, PurchaseKey::new(Secret::new(DPK)));
        let (date, time) = (BcdDate(hex!("20261201")), BcdTime(hex!("200000")));
        let updated = updating.updated(&hex!("9000")).unwrap();
        let debiting = updated.authorise(date, time, &CardIdentity::default(), &mut psam).unwrap();
        let command = debiting.command();
        assert_eq!(command[..16], hex!("80 54 01 00 0F 00000001 20261201 200000"));
        let session = PurchaseKey::new(Secret::new(DPK)).session(
            hex!("584633C9"),
            [0, 0],
            TerminalSequence::new(1),
        );
        let mut response = hex!("8AF270DC").to_vec();
        response.extend(mac2_purchase(&session, Fen::new(amount)).0);
        response.extend([0x90, 0x00]);
        let Debit::Paid(receipt) = debiting.finish(Some(&response), &mut psam) else {
            panic!("not paid")
        };
        assert_eq!(receipt.transaction.kind, TransactionType::COMPOUND);
        assert_eq!(receipt.balance, Fen::new(0x2000 - amount));
        assert_eq!(receipt.tac, Mac(hex!("8AF270DC")));
    }
}

#[test]
fn a_record_that_the_card_does_not_take_ends_it() {
    for status in [0x6A83, 0x6A84, 0x6982, 0x6700, 0x6A81] {
        let response = u16::to_be_bytes(status);
        let refusal = Refusal::new(Step::Update, StatusWord(status));
        let updated = initialized(0).update(update()).updated(&response);
        assert_eq!(updated, Err(PurchaseError::Refused(refusal)));
    }
}

#[test]
fn records_that_no_command_carries() {
    for record in [&[][..], &[0; 256][..]] {
        let refused = Update::by_number(0x17, 1, record).map_err(|error| error.to_string());
        let text = format!(
            "record of {} octets: a record has 1 to 255, under line protection 4 less; no money has moved",
            record.len()
        );
        assert_eq!(refused, Err(text));
        assert!(Update::by_identifier(0x17, record).is_err());
    }
}
