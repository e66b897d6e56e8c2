// SPDX-License-Identifier: Apache-2.0
//! SDT and VCT: octets laid out by hand as the standards draw them, and what is wrong with others.

use cam_types::DecodeError;
use ecm_emm::sdt::Sdt;
use ecm_emm::section::LongSection;
use ecm_emm::vct::{ChannelNumber, Vct};
use hex_literal::hex;
use proptest::prelude::*;

fn section(table_id: u8, data: &[u8]) -> Vec<u8> {
    let section = LongSection {
        table_id,
        extension: 0x0801,
        version: 3,
        current: true,
        number: 0,
        last_number: 0,
        data,
    };
    let mut octets = Vec::new();
    section.emit(&mut octets).unwrap();
    octets
}

/// A channel as ATSC A/65 table 6.4 has it: short_name, F and major 7 minor 1, 8-VSB, no carrier,
/// TSID, program 3, flags and service_type, source, no descriptors.
const CHANNEL: [u8; 32] = hex!(
    "004E 0065 0077 0073 0000 0058 0058"
    "F01C01 04 00000000 0801 0003 0DC2 0001 FC00"
);

fn vct(channels: &[u8], count: u8) -> Vec<u8> {
    [&[0x00, count][..], channels, &hex!("FC02 40 00")].concat()
}

#[test]
fn a_vct_names_its_channels() {
    for table_id in [Vct::TERRESTRIAL, Vct::CABLE] {
        // The second has a descriptor, a number of one part, half a surrogate, and no end.
        let mut second = CHANNEL.to_vec();
        second[..14].copy_from_slice(&hex!("4E2D 592E D800 0031 0032 0033 0034"));
        second[14..17].copy_from_slice(&hex!("FFC40A"));
        second[30..].copy_from_slice(&hex!("FC03"));
        second.extend(hex!("A1 01 00"));
        let octets = section(table_id, &vct(&[&CHANNEL[..], &second].concat(), 2));
        let vct = Vct::parse(&octets).unwrap();
        assert_eq!((vct.transport_stream_id, vct.version, vct.current), (0x0801, 3, true));
        let [first, second] = &vct.channels[..] else { panic!("{vct:?}") };
        assert_eq!((first.short_name.as_str(), first.program_number), ("News", 3));
        assert_eq!(first.number, ChannelNumber { major: 7, minor: 1 });
        assert_eq!(first.number.to_string(), "7-1");
        assert_eq!(second.short_name, "中央\u{FFFD}1234");
        assert_eq!(second.number.to_string(), "1034");
        assert_eq!(second.descriptors.find(0xA1), Some(&[0][..]));
    }
}

#[test]
fn what_is_no_vct_is_refused_by_its_field() {
    let good = vct(&CHANNEL, 1);
    let wrong = |table_id, data: &[u8]| Vct::parse(&section(table_id, data)).unwrap_err();
    let text = |error: DecodeError| error.to_string();
    assert!(text(wrong(0xC7, &good)).contains("0xC8 (TVCT) or 0xC9 (CVCT)"));
    let mut later = good.clone();
    later[0] = 1;
    assert!(text(wrong(Vct::CABLE, &later)).contains("protocol_version"));
    assert!(text(wrong(Vct::CABLE, &vct(&CHANNEL, 2))).contains("short_name"));
    assert!(matches!(wrong(Vct::CABLE, &[&good[..], &[0]].concat()), DecodeError::Trailing { .. }));
    for len in 0..good.len() {
        wrong(Vct::TERRESTRIAL, &good[..len]);
    }
    let mut damaged = section(Vct::CABLE, &good);
    damaged[20] ^= 1;
    assert_eq!(Vct::parse(&damaged), Err(DecodeError::Checksum("section")));
}

/// Names in the standard's tables, in UTF-8 and in UTF-16; without a descriptor or a name.
#[test]
fn an_sdt_names_its_services() {
    for (descriptors, name) in [
        (&hex!("48 08 01 01 50 04 4E 65 77 73")[..], Some("News")),
        (&hex!("48 09 01 01 50 05 86 4E 87 E9 41"), Some("N\u{FFFD}A")),
        (&hex!("48 06 01 00 03 05 4E 65"), Some("Ne")),
        (&hex!("48 08 01 00 05 10 00 02 4E 65"), Some("Ne")),
        (&hex!("48 07 01 00 04 15 E4B8AD"), Some("中")),
        (&hex!("48 06 01 00 03 11 4E2D"), Some("中")),
        (&hex!("48 03 01 00 00"), None),
        (&hex!("48 03 01 00 05"), None),
        (&hex!("09 04 4AF0 E140"), None),
    ] {
        let len = 0x8000 | descriptors.len() as u16;
        let data = [&hex!("FF01 FF 0003 FC")[..], &len.to_be_bytes()[..], descriptors].concat();
        let octets = section(Sdt::TABLE_ID, &data);
        let sdt = Sdt::parse(&octets).unwrap();
        assert_eq!(sdt.services.len(), 1);
        assert_eq!(sdt.services[0].service_id, 3);
        assert_eq!(sdt.services[0].name().as_deref(), name, "{descriptors:02X?}");
        assert!(Sdt::parse(&section(Sdt::TABLE_ID, &data[..data.len() - 1])).is_err());
        assert!(Sdt::parse(&section(0x46, &data)).is_err());
    }
}

proptest! {
    #[test]
    fn noise_behind_a_good_crc_never_panics(
        noise in prop::collection::vec(any::<u8>(), 0..300), vct in any::<bool>(),
    ) {
        let octets = section(if vct { Vct::CABLE } else { Sdt::TABLE_ID }, &noise);
        let _ = Vct::parse(&octets);
        if let Ok(sdt) = Sdt::parse(&octets) {
            sdt.services.iter().for_each(|service| drop(service.name()));
        }
    }
}
