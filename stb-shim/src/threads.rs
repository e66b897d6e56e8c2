// SPDX-License-Identifier: Apache-2.0
//! Threads of the library, which take no signal.
//!
//! A host that reads its signals by `signalfd` or `sigwait` blocks them in its own threads. One of
//! ours that did not block them would be given them in its place: a handler of the host would run
//! on the card thread, in the middle of an exchange, or the default action would end the box.

use crate::residue;
use nix::sys::signal::{SigSet, SigmaskHow};
use std::io;
use std::thread::{self, JoinHandle};

/// Starts a thread that blocks every signal from its first instruction to its last. A fault of its
/// own still ends the process, as the kernel has it.
pub fn spawn<F>(name: &str, body: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    // A thread begins with the signals of the one that makes it, so that there is no moment in
    // which a signal could still come.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || residue::behind(body));
    before.thread_set_mask()?;
    thread
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::Signal;

    /// The caller's own signals stay as they were.
    #[test]
    fn a_thread_of_ours_takes_no_signal() {
        let mut own = SigSet::empty();
        own.add(Signal::SIGWINCH);
        own.thread_set_mask().unwrap();
        let thread = spawn("test", || {
            let blocked = SigSet::thread_get_mask().unwrap();
            for signal in Signal::iterator() {
                let never = matches!(signal, Signal::SIGKILL | Signal::SIGSTOP);
                assert_ne!(blocked.contains(signal), never, "{signal}");
            }
        });
        thread.unwrap().join().unwrap();
        assert_eq!(SigSet::thread_get_mask().unwrap(), own);
        SigSet::empty().thread_set_mask().unwrap();
    }
}
