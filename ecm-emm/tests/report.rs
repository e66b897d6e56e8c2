// SPDX-License-Identifier: Apache-2.0
//! Reports and acknowledgements: what another implementation seals, and what is refused.

use crate::values::{epoch, event, fen, key, octets, operator, suite, time};
use cam_types::{
    CardId, CasTime, DecodeError, Epoch, EventId, Fen, OperatorId, Pseudonym, TerminalSequence,
};
use ecm_emm::OpenError;
use ecm_emm::card::{AckResult, CardInfo, ReportRequest};
use ecm_emm::keys::KeyMaterial;
use ecm_emm::report::{Ack, Report, ReportHeader, ReportRecord};
use ecm_emm::suite::{SealKey, Suite};
use hex_literal::hex;
use proptest::prelude::*;

const NONCE: [u8; 8] = hex!("f1f2f3f4f5f6f7f8");
const CARD: CardId = CardId::new(hex!("0102030405060708"));

struct Vector {
    suite: Suite,
    key: &'static [u8],
    chain: [u8; 8],
    report: [u8; 148],
    ack: [u8; 37],
}

/// Source: computed from docs/spec/report.md with OpenSSL (AES-SIV, CMAC, HMAC) through Python's
/// `cryptography`.
const VECTORS: &[Vector] = &[
    Vector {
        suite: Suite::Cmac128,
        key: &hex!("b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"),
        chain: hex!("d45ebcedc17fe2a1"),
        report: hex!(
            "121201a1b2c3d4e5f607180003be0752a89787f8596e3e7cdc77d25fcb6e091421bba88557a66627
             bd8a3ac55753bbc7e69715db418e24c631b62be897bebb68689abb211f5c2686c7d0172f31ae6c54
             92b78ab4ca229c54ea3c6d247fd18b3f38d3c9c54a916d5afee473e2a0eae8992912a10751f5fa9f
             508378bb23eb1bf2be63ed721f8b3b5157405d05308a998dc6b75b26"
        ),
        ack: hex!("121201a1b2c3d4e5f6071800035ee56e3c7214b9e599088dc57a19072d53b14c0e2fa183c0"),
    },
    Vector {
        suite: Suite::Cmac256,
        key: &hex!("b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"),
        chain: hex!("8b452ed05dbef9a1"),
        report: hex!(
            "131201a1b2c3d4e5f60718000383f14460e1b2865c89c2587a7a1a489648ab559e1e2769268eda9f
             514b8abeef5f821645bae4d34d9f24fbbb053d1e957e87242b0679ac85d4ec2e867ae4eae0acabe4
             82abc86b83b7c98adb1bb5337e395370808442e8d2772013940a14ab8bc503604f78d2f620c38bc8
             1ed0aa4be2393432fb5bc9bc479a05c6bd39a28220a7ed8253517a6a"
        ),
        ack: hex!("131201a1b2c3d4e5f60718000314654913266d6e628c73c6c79335c0b80943f7a3e454fad5"),
    },
    Vector {
        suite: Suite::Hmac,
        key: &hex!("b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"),
        chain: hex!("d59a6947b1db9730"),
        report: hex!(
            "151201a1b2c3d4e5f6071800036578598cf397e152b3ecab64cc1387ec08c2e3d4f1e29b40a37c7a
             524b3a44346199d033972a13e25733eee300dc5fbb2d0711769a9d99cb5a4a61a2ce872bd5601bf4
             02deb1c436a7878f421280e2f9da3d5b84215206b18a45bcc37b6111d60565654ccf2fbc26a5ad3f
             3d05d750f6e60635d09cd106d83f938836f963a26f7e790748251533"
        ),
        ack: hex!("151201a1b2c3d4e5f6071800031bec9d299fde3a2bb9242216938eb10580004fa7da784360"),
    },
];

fn header(suite: Suite) -> ReportHeader {
    ReportHeader {
        suite,
        operator: OperatorId::new(0x1201),
        pseudonym: Pseudonym::new(hex!("a1b2c3d4e5f60718")),
        epoch: Epoch::new(3),
    }
}

/// A purchase and a top-up.
fn records() -> Vec<ReportRecord> {
    vec![
        ReportRecord {
            purse: hex!("0001 000000 000004b0 09 530000000001 20261201 200002"),
            terminal_sequence: TerminalSequence::new(7),
            balance: Fen::new(8800),
            event: EventId::new(2001),
            tier: 1,
            end: CasTime::new(0x32A1_6B10),
            state: 1,
            tac: hex!("a1a2a3a4"),
        },
        ReportRecord {
            purse: hex!("0001 000000 00000352 02 530000000009 20261202 080000"),
            terminal_sequence: TerminalSequence::new(1),
            balance: Fen::new(9650),
            event: EventId::new(0),
            tier: 0,
            end: CasTime::new(0),
            state: 1,
            tac: hex!("b1b2b3b4"),
        },
    ]
}

fn report(chain_after: [u8; 8]) -> Report {
    Report {
        balance: Fen::new(9650),
        offline_sequence: 1,
        online_sequence: 1,
        time: CasTime::new(0x32A1_7D20),
        chain_before: hex!("1112131415161718"),
        chain_after,
        records: records(),
    }
}

#[test]
fn what_another_implementation_seals() {
    for vector in VECTORS {
        let material = KeyMaterial::from_slice(vector.key).unwrap();
        let key = SealKey::new(vector.suite, material).unwrap();
        let header = header(vector.suite);
        let chain = records().iter().fold(hex!("1112131415161718"), |previous, record| {
            record.receipt(&key, &header.key_context(), CARD, previous)
        });
        assert_eq!(chain, vector.chain, "{:?}", vector.suite);
        let report = report(chain);
        let mut sealed = Vec::new();
        report.seal(&header, NONCE, &key, &mut sealed).unwrap();
        assert_eq!(sealed, vector.report, "{:?}", vector.suite);
        assert_eq!(Report::open(&sealed, NONCE, &key), Ok((header, report)));
        assert_eq!(Report::count_sealed(&sealed), Some(2));
        let (ack, mut sealed) = (Ack { chain }, Vec::new());
        ack.seal(&header, &key, &mut sealed).unwrap();
        assert_eq!(sealed, vector.ack, "{:?}", vector.suite);
        assert_eq!(Ack::open(&sealed, &key), Ok((header, ack)));
    }
}

#[test]
fn every_octet_the_nonce_and_the_purpose_are_covered() {
    for vector in VECTORS {
        let key = SealKey::new(vector.suite, KeyMaterial::from_slice(vector.key).unwrap()).unwrap();
        for place in 0..vector.report.len() {
            let mut altered = vector.report;
            altered[place] ^= 0x01;
            assert!(Report::open(&altered, NONCE, &key).is_err(), "octet {place}");
            let cut = vector.report.split_at(place).0;
            assert!(Report::open(cut, NONCE, &key).is_err(), "cut at {place}");
        }
        for place in 0..vector.ack.len() {
            let mut altered = vector.ack;
            altered[place] ^= 0x01;
            assert!(Ack::open(&altered, &key).is_err(), "octet {place}");
        }
        let old = hex!("f1f2f3f4f5f6f7f9");
        assert_eq!(Report::open(&vector.report, old, &key), Err(OpenError::Authentication));
        assert_eq!(Ack::open(&vector.report, &key), Err(OpenError::Authentication));
        assert_eq!(Report::open(&vector.ack, NONCE, &key), Err(OpenError::Authentication));
        let other = crate::values::key(vector.suite, 0x55);
        assert_eq!(Report::open(&vector.report, NONCE, &other), Err(OpenError::Authentication));
    }
}

#[test]
fn a_page_has_four_records_and_fits_one_answer() {
    let key = key(Suite::Cmac128, 1);
    let mut full = report([9; 8]);
    full.records = records().into_iter().cycle().take(4).collect();
    let mut sealed = Vec::new();
    full.seal(&header(Suite::Cmac128), NONCE, &key, &mut sealed).unwrap();
    assert_eq!((sealed.len(), Report::MAX_LEN), (238, 238));
    assert_eq!(Report::count_sealed(&sealed), Some(4));
    full.records.push(records()[0]);
    assert!(full.seal(&header(Suite::Cmac128), NONCE, &key, &mut Vec::new()).is_err());
    for (octets, count) in
        [(57, None), (58, Some(0)), (59, None), (102, None), (103, Some(1)), (283, None)]
    {
        assert_eq!(Report::count_sealed(&vec![0; octets]), count, "{octets}");
    }
    assert!(full.seal(&header(Suite::Hmac), NONCE, &key, &mut Vec::new()).is_err());
}

#[test]
fn the_request_shows_in_the_cards_introduction() {
    let request = ReportRequest { nonce: NONCE, from: 0x0102 };
    let mut data = Vec::new();
    request.emit(&mut data);
    assert_eq!(data, hex!("f1f2f3f4f5f6f7f8 0102"));
    assert_eq!(ReportRequest::parse(&data), Ok(request));
    assert_eq!(ReportRequest::parse(&data[..9]), Err(DecodeError::Missing("first record")));
    let info = CardInfo { report: Some(request), ..CardInfo::default() };
    let mut answer = Vec::new();
    info.emit(&mut answer).unwrap();
    assert_eq!(answer[answer.len() - 12..], hex!("08 0a f1f2f3f4f5f6f7f8 0102"));
    assert_eq!(CardInfo::parse(&answer), Ok(info));
}

#[test]
fn results_of_an_acknowledgement() {
    for (octet, taken, text) in [
        (0x01, true, "records acknowledged"),
        (0x02, true, "acknowledged before"),
        (0x10, false, "acknowledgement not authentic"),
        (0x11, false, "no record has this receipt"),
        (0x7E, false, "ACK result 0x7E"),
    ] {
        let result = AckResult::parse(&[octet]).unwrap();
        assert_eq!((result.is_taken(), result.to_string().as_str()), (taken, text));
    }
    assert!(AckResult::parse(&[]).is_err() && AckResult::parse(&[1, 2]).is_err());
}

prop_compose! {
    fn record()(
        purse in octets(23), sequence in any::<u32>(), balance in fen(), event in event(),
        tier in any::<u8>(), end in time(), state in any::<u8>(), tac in any::<[u8; 4]>(),
    ) -> ReportRecord {
        let purse = purse.try_into().unwrap();
        let terminal_sequence = TerminalSequence::new(sequence);
        ReportRecord { purse, terminal_sequence, balance, event, tier, end, state, tac }
    }
}

proptest! {
    #[test]
    fn what_is_sealed_opens(
        suite in suite(), operator in operator(), epoch in epoch(), time in time(),
        pseudonym in any::<[u8; 8]>(), balance in fen(), sequences in any::<(u16, u16)>(),
        chains in any::<([u8; 8], [u8; 8])>(), nonce in any::<[u8; 8]>(),
        records in prop::collection::vec(record(), 0..=4),
    ) {
        let pseudonym = Pseudonym::new(pseudonym);
        let header = ReportHeader { suite, operator, pseudonym, epoch };
        let report = Report {
            balance, time, offline_sequence: sequences.0, online_sequence: sequences.1,
            chain_before: chains.0, chain_after: chains.1, records,
        };
        let (key, mut sealed) = (key(suite, 7), Vec::new());
        report.seal(&header, nonce, &key, &mut sealed).unwrap();
        prop_assert_eq!(Report::count_sealed(&sealed), Some(report.records.len()));
        prop_assert_eq!(Report::open(&sealed, nonce, &key), Ok((header, report)));
    }

    /// Also octets that only the key's holder can make.
    #[test]
    fn no_octets_panic(suite in suite(), message in octets(0..300)) {
        let key = key(suite, 7);
        let _ = ReportHeader::parse(&message);
        let _ = Report::count_sealed(&message);
        prop_assert!(Report::open(&message, NONCE, &key).is_err());
        prop_assert!(Ack::open(&message, &key).is_err());
        let _ = ReportRequest::parse(&message);
        let _ = AckResult::parse(&message);
    }
}
