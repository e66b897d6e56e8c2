// SPDX-License-Identifier: Apache-2.0
#![no_main]
//! Sections, descriptors and messages of the broadcast, and what a card answers to them: what is
//! malformed is refused, never a panic.
use ecm_emm::box_emm::BoxEmm;
use ecm_emm::ca_pmt::CaPmt;
use ecm_emm::card::{CardInfo, EcmAnswer, EmmResult};
use ecm_emm::cat::Cat;
use ecm_emm::ecm::Ecm;
use ecm_emm::emm::Emm;
use ecm_emm::pat::Pat;
use ecm_emm::pmt::Pmt;
use ecm_emm::report::{Report, ReportHeader};
use ecm_emm::sdt::Sdt;
use ecm_emm::vct::Vct;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let _ = Pat::parse(octets);
    let _ = Cat::parse(octets);
    let _ = Pmt::parse(octets);
    let _ = CaPmt::parse(octets);
    let _ = Ecm::parse(octets);
    let _ = Emm::parse(octets);
    let _ = BoxEmm::parse(octets);
    let _ = EcmAnswer::parse(octets);
    let _ = EmmResult::parse(octets);
    let _ = CardInfo::parse(octets);
    let _ = ReportHeader::parse(octets);
    let _ = Report::count_sealed(octets);
    let _ = Vct::parse(octets);
    if let Ok(sdt) = Sdt::parse(octets) {
        sdt.services.iter().for_each(|service| drop(service.name()));
    }
});
