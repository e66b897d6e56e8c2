//! An exchange through the `gempc:` reader takes nothing from the heap once it is warm.
#![allow(clippy::unwrap_used)] // a test that cannot go on panics

mod stage;

use iso7816::line::{Input, Output};
use stage::{Card, Event, INFO, SELECT, Terminal};
use stb_shim::clock;
use stb_shim::sys::Waker;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: the system's allocator does everything; this one counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract.
        unsafe { System.dealloc(place, layout) }
    }
}

/// One exchange as the card thread drives it; how many octets the answer has.
fn exchange(terminal: &mut Terminal, waker: &Waker) -> usize {
    let Terminal { line, reader } = terminal;
    let command = Input::Command { apdu: &INFO, patience: None };
    line.handle_input(clock::now(), command);
    let mut buf = [0; 300];
    loop {
        match line.poll_output() {
            Output::Transmit(octets) => reader.send(octets).unwrap(),
            Output::Response(response) => return response.len(),
            Output::Wait(until) => {
                let received = reader.receive(&mut buf, until, waker).unwrap();
                if let Some(input) = received.input(&buf) {
                    line.handle_input(clock::now(), input);
                }
            }
            _ => return 0,
        }
    }
}

#[test]
fn a_warm_exchange_allocates_nothing() {
    for protocol in ["t0", "t1"] {
        let options = ["--line", "gempc-twin", "--protocol", protocol];
        let card = Card::new(&format!("gempc-heap-{protocol}"), &options);
        let mut terminal = Terminal::open(&card.url("gempc"));
        assert_eq!(terminal.activate(), Event::Ready);
        assert!(matches!(terminal.command(&SELECT), Event::Response(_)));
        let waker = Waker::new().unwrap();
        assert!((0..100).all(|_| exchange(&mut terminal, &waker) > 2));
        let before = COUNT.load(Ordering::Relaxed);
        assert!((0..100).all(|_| exchange(&mut terminal, &waker) > 2));
        assert_eq!(COUNT.load(Ordering::Relaxed) - before, 0, "{protocol}");
    }
}
