//! An ECM that goes through the engine costs no heap allocation once warm.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod bench;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bench::card::{CARD, ModelCard};
use bench::{air, config};
use cam_core::{CardState, Engine, Input, Output};
use cam_types::Instant;
use ecm_emm::card::{AccessStatus, INS_ECM};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `System.alloc` with this layout.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Drives engine and card until the engine rests; gives the allocations of the engine alone and how
/// many control words came out.
fn settle(engine: &mut Engine, card: &mut ModelCard, now: Instant) -> (usize, usize) {
    let mut allocations = 0;
    let mut words = 0;
    loop {
        let before = ALLOCATIONS.get();
        let output = engine.poll_output();
        allocations += ALLOCATIONS.get() - before;
        let response = match output {
            Output::Wait(_) => return (allocations, words),
            Output::ActivateCard => {
                card.reset();
                engine.handle_input(now, Input::CardReady { atr: &[0x3B, 0x00], protocol: 1 });
                continue;
            }
            Output::SetControlWords(_) => {
                words += 1;
                continue;
            }
            Output::Command { apdu, .. } => card.transmit(apdu).unwrap(),
            _ => continue,
        };
        let before = ALLOCATIONS.get();
        engine.handle_input(now, Input::Response(&response));
        allocations += ALLOCATIONS.get() - before;
    }
}

#[test]
fn an_ecm_costs_no_allocation_once_warm() {
    let now = Instant::from_micros(1_000_000);
    let mut engine = Engine::new(config(air::stored_pairing()));
    let mut card = ModelCard::new();
    settle(&mut engine, &mut card, now);
    assert_eq!(engine.card().state, CardState::Ready);
    assert_eq!(engine.card().pseudonym, Some(CARD));
    let news = engine.session_open(now, 0, &air::news()).unwrap();
    let cinema = engine.session_open(now, 1, &air::cinema()).unwrap();
    settle(&mut engine, &mut card, now);
    for period in 0..50 {
        let news_ecm = air::news_ecm(period);
        let cinema_ecm = air::cinema_ecm(period, 2001, 1200);
        let mut allocations = 0;
        let mut words = 0;
        for (source, pid, octets) in [
            (0, air::NEWS_ECM, &news_ecm),
            (0, air::NEWS_ECM, &news_ecm),
            (1, air::CINEMA_ECM, &cinema_ecm),
        ] {
            let before = ALLOCATIONS.get();
            engine.handle_input(now, Input::Section { source, pid, octets });
            allocations += ALLOCATIONS.get() - before;
            let (of_engine, set) = settle(&mut engine, &mut card, now);
            allocations += of_engine;
            words += set;
        }
        assert_eq!(words, 1);
        if period >= 2 {
            assert_eq!(allocations, 0, "crypto period {period}");
        }
    }
    assert_eq!(card.count(INS_ECM), 100);
    assert_eq!(
        engine.access(news).map(|access| access.reason),
        Some(AccessStatus::GRANTED_SUBSCRIPTION)
    );
    assert_eq!(engine.access(cinema).map(|access| access.reason), Some(AccessStatus::PURCHASABLE));
}
