// SPDX-License-Identifier: Apache-2.0
//! A slot with a reader that answers from a list.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use cam_types::Instant;
use hex_literal::hex;
use iso7816::emv::Profile;
use iso7816::etu::LineParams;
use iso7816::line::{Cause, Level, Reset};
use stb_shim::reader::{Capabilities, Latency, Presence, Reader, ReaderError, Received, What};
use stb_shim::slot::{Seen, Slot, SlotError};
use stb_shim::sys::Waker;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

const ATR: [u8; 2] = hex!("3B 00");
const COMMAND: [u8; 5] = hex!("00 B0 00 00 02");

/// A reader that takes APDUs and answers from a list.
struct Listed {
    answers: VecDeque<Result<Vec<u8>, ReaderError>>,
    resetting: bool,
}

impl Reader for Listed {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            reset: true,
            power: true,
            detect: true,
            clock_hz: 4_000_000,
            baud_base: None,
            max_baud: 1_000_000,
            level: Level::Apdu,
            latency: Latency::Fixed,
            profile: Profile::Iso,
        }
    }

    fn present(&mut self) -> Result<Presence, ReaderError> {
        match self.answers.pop_front_if(|answer| answer.is_err()) {
            Some(Err(error)) => Err(error),
            _ => Ok(Presence::Present),
        }
    }

    fn activate(&mut self, _: Reset) -> Result<(), ReaderError> {
        self.resetting = true;
        Ok(())
    }

    fn deactivate(&mut self) {}

    fn configure(&mut self, _: &LineParams) -> Result<(), ReaderError> {
        Ok(())
    }

    fn send(&mut self, _: &[u8]) -> Result<(), ReaderError> {
        Ok(())
    }

    fn receive(
        &mut self,
        buf: &mut [u8],
        until: Option<Instant>,
        waker: &Waker,
    ) -> Result<Received, ReaderError> {
        if waker.take() {
            return Ok(Received { woken: true, ..Received::default() });
        }
        let Some(answer) = self.answers.pop_front() else {
            return Ok(Received { woken: waker.wait(until), ..Received::default() });
        };
        let answer = answer?;
        buf[..answer.len()].copy_from_slice(&answer);
        let what = match (std::mem::take(&mut self.resetting), answer.is_empty()) {
            (true, _) => What::AnswerToReset { level: Level::Apdu, agreed: Some(0) },
            (false, true) => What::Unanswered,
            (false, false) => What::Message,
        };
        Ok(Received { octets: answer.len(), what, ..Received::default() })
    }

    fn line_octets(&self) -> (u64, u64) {
        (0, 0)
    }
}

fn listed(answers: Vec<Result<Vec<u8>, ReaderError>>) -> (Slot, Waker) {
    let reader = Listed { answers: answers.into(), resetting: false };
    let policy = reader.capabilities().policy();
    (Slot::new(Box::new(reader), policy), Waker::new().unwrap())
}

fn lost() -> ReaderError {
    ReaderError::Lost { port: "listed".into() }
}

#[test]
fn an_exchange_is_shown_in_order() {
    let answer = hex!("AA BB 90 00").to_vec();
    let (mut slot, waker) = listed(vec![Ok(ATR.to_vec()), Ok(answer.clone())]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shown = seen.clone();
    slot.observe(Box::new(move |_, what| {
        shown.lock().unwrap().push(match what {
            Seen::Reset(_) => "reset".to_owned(),
            Seen::Runs(_) => "runs".into(),
            Seen::Received { octets, .. } => format!("received {octets:02X?}"),
            Seen::Ready(atr) => format!("ready {:02X?}", atr.octets()),
            Seen::Command(apdu) => format!("command {apdu:02X?}"),
            Seen::Sent(octets) => format!("sent {octets:02X?}"),
            Seen::Response(apdu) => format!("response {apdu:02X?}"),
            _ => "something else".into(),
        });
    }));
    assert_eq!(slot.activate(&waker).unwrap().octets(), ATR);
    assert_eq!(slot.transmit(&COMMAND, None, &waker).unwrap(), answer);
    assert!(slot.line().atr().is_some());
    let seen = seen.lock().unwrap();
    let expected = [
        "reset",
        "received [3B, 00]",
        "ready [3B, 00]",
        "command [00, B0, 00, 00, 02]",
        "sent [00, B0, 00, 00, 02]",
        "received [AA, BB, 90, 00]",
        "response [AA, BB, 90, 00]",
    ];
    let seen: Vec<_> = seen.iter().filter(|what| *what != "runs").collect();
    assert_eq!(seen, expected.iter().collect::<Vec<_>>());
}

#[test]
fn a_failed_exchange_ends_with_the_card_up_again() {
    let (mut slot, waker) = listed(vec![Ok(ATR.to_vec()), Ok(Vec::new()), Ok(ATR.to_vec())]);
    slot.activate(&waker).unwrap();
    let error = slot.transmit(&COMMAND, None, &waker).unwrap_err();
    let SlotError::Line(error) = error else { panic!("{error}") };
    assert_eq!(error.cause(), Cause::Silent);
    assert!(error.may_have_executed());
    assert!(slot.line().atr().is_some());
}

#[test]
fn a_card_and_a_reader_that_leave_are_told_apart() {
    let (mut slot, waker) =
        listed(vec![Ok(ATR.to_vec()), Err(ReaderError::Removed), Ok(ATR.to_vec())]);
    slot.activate(&waker).unwrap();
    let error = slot.transmit(&COMMAND, None, &waker).unwrap_err();
    assert!(matches!(error, SlotError::Reader(ReaderError::Removed)), "{error}");
    slot.activate(&waker).unwrap();

    let (mut slot, waker) = listed(vec![Ok(ATR.to_vec()), Err(lost())]);
    slot.activate(&waker).unwrap();
    let error = slot.transmit(&COMMAND, None, &waker).unwrap_err();
    assert!(matches!(error, SlotError::Reader(ReaderError::Lost { .. })), "{error}");
    assert!(slot.reader().is_none());
    let error = slot.activate(&waker).unwrap_err();
    let SlotError::Line(error) = error else { panic!("{error}") };
    assert_eq!(error.cause(), Cause::ReaderLost);
    slot.replace_reader(Box::new(Listed { answers: [Ok(ATR.to_vec())].into(), resetting: false }));
    slot.activate(&waker).unwrap();
}

/// What the detect line says between exchanges is not the next exchange's failure.
#[test]
fn a_reader_that_was_found_lost_can_be_replaced() {
    let (mut slot, waker) = listed(vec![Ok(ATR.to_vec()), Err(lost())]);
    assert_eq!(slot.present().unwrap(), Presence::Present);
    slot.activate(&waker).unwrap();
    assert!(slot.detects());
    slot.present().unwrap_err();
    assert!(!slot.detects() && slot.reader().is_none());
    let reader = Listed { answers: [Ok(ATR.to_vec())].into(), resetting: false };
    slot.replace_reader(Box::new(reader));
    slot.activate(&waker).unwrap();
}

#[test]
fn the_waker_stops_a_card_that_keeps_thinking() {
    let (mut slot, waker) = listed(vec![Ok(ATR.to_vec())]);
    slot.activate(&waker).unwrap();
    waker.wake();
    let error = slot.transmit(&COMMAND, None, &waker).unwrap_err();
    assert!(matches!(error, SlotError::Stopped), "{error}");
}

#[test]
fn a_command_that_is_none_is_not_sent() {
    let (mut slot, waker) = listed(vec![Ok(ATR.to_vec())]);
    let error = slot.transmit(&COMMAND, None, &waker).unwrap_err();
    let SlotError::Line(error) = error else { panic!("{error}") };
    assert_eq!(error.cause(), Cause::NotReady);
    slot.activate(&waker).unwrap();
    let error = slot.transmit(&[0x00], None, &waker).unwrap_err();
    assert!(matches!(error, SlotError::Line(error) if !error.may_have_executed()));
}
