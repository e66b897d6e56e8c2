// SPDX-License-Identifier: Apache-2.0
//! The seam between the card's line and its operating system, and the thread the latter runs in.
//!
//! The operating system has a thread of its own so that the line stays watched while the card
//! writes its memory: a reset pulse is seen, and the terminal is asked for more time.

use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use vcard::{Cut, PowerLost};

/// What a card line needs of the operating system above it.
pub trait Os: Send {
    /// Power and clock are there, reset is released: boots and gives the answer to reset.
    fn power_on(&mut self) -> Vec<u8>;

    /// Power is gone, or reset is active: volatile state ends.
    fn power_off(&mut self);

    /// Answers a command APDU with data and status word.
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, PowerLost>;

    /// The answer has left: time for what it need not wait for.
    fn after_answer(&mut self) {}

    /// Whether a command of this CLA and INS brings data. A T=0 header does not say which way the
    /// data goes, so the line asks the one who knows the commands.
    fn takes_data(&self) -> fn(cla: u8, ins: u8) -> bool;

    /// Makes the next purchase that debits lose the card's power at this point.
    fn arm_cut(&mut self, cut: Cut);

    /// What the control command `status` tells, as a JSON object.
    fn status(&self) -> serde_json::Map<String, serde_json::Value>;

    /// Memory pages written since the process began; the pace of the nominal card counts them.
    fn pages_written(&self) -> u64;
}

/// What the line or the control socket wants of the operating system.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// Boot, and answer to reset.
    PowerOn,
    /// End.
    PowerOff,
    /// Answer this command APDU.
    Transmit(Vec<u8>),
    /// Arm a power cut.
    ArmCut(Cut),
    /// Tell the state to the control client of this number.
    Status(u64),
}

/// What the operating system answered. `life` counts the ends of power, so that an answer
/// that comes after the reset that ended it can be told from one that is waited for.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// The answer to reset.
    Atr { life: u64, atr: Vec<u8> },
    /// Data and status word of a command, and the pages that it wrote.
    Response { life: u64, response: Vec<u8>, pages: u64 },
    /// The power failed inside a command.
    PowerLost { life: u64 },
    /// The state, for the control client of this number.
    Status { client: u64, status: serde_json::Map<String, serde_json::Value> },
}

/// An operating system in its thread.
pub(crate) struct OsThread {
    requests: Option<Sender<(u64, Request)>>,
    replies: Receiver<Reply>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl OsThread {
    /// Starts the thread.
    pub(crate) fn spawn(mut os: Box<dyn Os>) -> io::Result<Self> {
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
        let (requests, inbox) = channel();
        let (sender, replies) = channel();
        let outbox = Outbox { sender: Some(sender), wake: Arc::clone(&wake) };
        let thread = std::thread::Builder::new().name("card".into()).spawn(move || {
            for (life, request) in inbox {
                let answers = matches!(request, Request::Transmit(_));
                if let Some(reply) = serve(os.as_mut(), life, request) {
                    outbox.send(reply);
                }
                if answers {
                    os.after_answer();
                }
            }
            os.power_off();
        })?;
        Ok(Self { requests: Some(requests), replies, wake, thread: Some(thread) })
    }

    /// Hands a request over; false when the thread has ended, which only a panic in it does.
    pub(crate) fn request(&self, life: u64, request: Request) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.send((life, request)).is_ok())
    }

    /// The descriptor to wait on; readable when [`OsThread::reply`] has something to say.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// The next reply, if there is one. An error when the thread has ended.
    pub(crate) fn reply(&self) -> Result<Option<Reply>, OsEnded> {
        match self.replies.try_recv() {
            Ok(reply) => Ok(Some(reply)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(OsEnded),
        }
    }

    /// Makes the descriptor unreadable until the next reply. Call it before taking the replies.
    pub(crate) fn rest(&self) {
        // Unreadable already: that is what is wanted.
        let _ = self.wake.read();
    }
}

impl Drop for OsThread {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// The thread's end of the replies. The line is woken for every reply, and for the thread's end.
struct Outbox {
    sender: Option<Sender<Reply>>,
    wake: Arc<EventFd>,
}

impl Outbox {
    fn send(&self, reply: Reply) {
        // Without a receiver the line is gone, and with it the requests: the thread ends.
        let _ = self.sender.as_ref().map(|sender| sender.send(reply));
        self.wake();
    }

    fn wake(&self) {
        // A full counter is readable already: nothing is lost.
        let _ = self.wake.write(1);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        drop(self.sender.take());
        self.wake();
    }
}

/// The operating system's thread has ended, which only a panic in it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct OsEnded;

fn serve(os: &mut dyn Os, life: u64, request: Request) -> Option<Reply> {
    match request {
        Request::PowerOn => Some(Reply::Atr { life, atr: os.power_on() }),
        Request::PowerOff => {
            os.power_off();
            None
        }
        Request::Transmit(apdu) => {
            let before = os.pages_written();
            Some(match os.transmit(&apdu) {
                Ok(response) => {
                    let pages = os.pages_written().saturating_sub(before);
                    Reply::Response { life, response, pages }
                }
                Err(PowerLost) => Reply::PowerLost { life },
            })
        }
        Request::ArmCut(cut) => {
            os.arm_cut(cut);
            None
        }
        Request::Status(client) => Some(Reply::Status { client, status: os.status() }),
    }
}
