// SPDX-License-Identifier: Apache-2.0
//! One property for each machine: whatever the card says, in any split and at any time, nothing
//! panics, nothing waits past its limits, and nothing is allocated on the way.

use cam_types::Instant;
use hex_literal::hex;
use iso7816::atr::{Atr, AtrPolicy, AtrWarnings, Expect};
use iso7816::emv::Profile;
use iso7816::etu::{LineParams, USUAL_CLOCK_HZ};
use iso7816::line::{CardLine, Input, Output, Policy};
use iso7816::pps::Pps;
use iso7816::t0::{self, T0, T0Policy};
use iso7816::t1::{self, Block, Edc, Fault, MAX_BLOCK, Supervisory, T1, T1Params};
use iso7816::t14::{self, T14};
use proptest::prelude::*;
use std::time::Duration;

const LATENCY: Duration = Duration::from_millis(40);

/// What the card does next.
#[derive(Clone, Debug)]
enum Said {
    /// These octets at once.
    Octets(Vec<u8>),
    /// One with a parity error.
    Damaged(u8),
    /// Nothing, until the machine has had enough.
    Silence,
    /// Nothing for so many microseconds.
    Pause(u32),
}

/// Octets that mean something to T=0.
fn procedure() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![0x60, 0x34, 0xCB, 0x90, 0x61, 0x6C, 0x00, 0xC0, 0x3F, 0xC2])
            .prop_map(|octet| vec![octet]),
        prop::sample::select(vec![[0x90, 0x00], [0x61, 0x10], [0x61, 0x00], [0x6C, 0x08]])
            .prop_map(|sw| sw.to_vec()),
    ]
}

/// Blocks of T=1 with either epilogue: most of them right, all of them possible.
fn block() -> impl Strategy<Value = Vec<u8>> {
    let inf = prop::collection::vec(any::<u8>(), 0..40);
    let kind = prop_oneof![
        Just(Supervisory::Resynch),
        any::<u8>().prop_map(Supervisory::Ifs),
        Just(Supervisory::Abort),
        any::<u8>().prop_map(Supervisory::Wtx),
    ];
    let fault = prop::sample::select(vec![Fault::None, Fault::Edc, Fault::Other]);
    (0..3_u8, any::<bool>(), any::<bool>(), inf, kind, fault).prop_map(
        |(which, bit, more, inf, kind, fault)| {
            let block = match which {
                0 => Block::I { ns: bit, more, inf: &inf },
                1 => Block::R { nr: bit, fault },
                _ => Block::S { response: bit, kind },
            };
            let mut out = [0; MAX_BLOCK];
            let len = block.emit(Edc::Lrc, &mut out).unwrap();
            out[..len].to_vec()
        },
    )
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        4 => procedure().prop_map(Said::Octets),
        6 => block().prop_map(Said::Octets),
        3 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Said::Octets),
        1 => any::<u8>().prop_map(Said::Damaged),
        4 => Just(Said::Silence),
        2 => (0..3_000_000_u32).prop_map(Said::Pause),
    ]
}

fn line() -> LineParams {
    LineParams::initial(USUAL_CLOCK_HZ)
}

/// A machine of one protocol with a command out, its virtual clock, and what it must keep to.
struct Run<M> {
    machine: M,
    now: Instant,
    deadline: Option<Instant>,
    /// No wait is longer.
    patience: Duration,
    over: bool,
}

/// What a machine of one protocol has in common with the others.
trait Machine {
    fn damaged(&mut self, now: Instant);
    fn received(&mut self, now: Instant, octets: &[u8]);
    fn timeout(&mut self, now: Instant);
    /// Whether the exchange is over, or the deadline; `None` when there is more to poll.
    fn poll(&mut self) -> Option<Result<(), Option<Instant>>>;
}

macro_rules! machine {
    ($machine:ty, $doors:ident) => {
        impl Machine for $machine {
            fn damaged(&mut self, now: Instant) {
                self.handle_input(now, $doors::Input::Damaged);
            }

            fn received(&mut self, now: Instant, octets: &[u8]) {
                self.handle_input(now, $doors::Input::Received(octets));
            }

            fn timeout(&mut self, now: Instant) {
                self.handle_input(now, $doors::Input::Timeout);
            }

            fn poll(&mut self) -> Option<Result<(), Option<Instant>>> {
                match self.poll_output() {
                    $doors::Output::Response(_) | $doors::Output::Failed(_) => Some(Ok(())),
                    $doors::Output::Wait(deadline) => Some(Err(deadline)),
                    _ => None,
                }
            }
        }
    };
}

machine!(T0, t0);
machine!(T1, t1);
machine!(T14, t14);

impl<M: Machine> Run<M> {
    fn new(machine: M, patience: Duration) -> Self {
        let now = moments::first();
        let mut run = Self { machine, now, deadline: None, patience, over: false };
        run.drain();
        run
    }

    fn drain(&mut self) {
        for _ in 0..4 {
            match self.machine.poll() {
                Some(Ok(())) => self.over = true,
                Some(Err(deadline)) => {
                    self.deadline = deadline;
                    let wait = deadline.map_or(Duration::ZERO, |at| at.since(self.now));
                    assert!(wait <= self.patience, "waits for {wait:?}");
                    return;
                }
                None => {}
            }
        }
        panic!("the machine does not come to rest");
    }

    fn hear(&mut self, said: &Said, split: usize) {
        match said {
            Said::Octets(octets) => {
                for part in octets.chunks(split) {
                    self.machine.received(self.now, part);
                    self.drain();
                }
            }
            Said::Damaged(octet) => {
                self.machine.damaged(self.now);
                self.machine.received(self.now, &[*octet]);
                self.drain();
            }
            Said::Silence => self.wait(),
            Said::Pause(micros) => {
                self.now = self.now.after(Duration::from_micros((*micros).into()));
                self.machine.timeout(self.now);
                self.drain();
            }
        }
    }

    fn wait(&mut self) {
        if let Some(at) = self.deadline {
            self.now = self.now.max(at);
            self.machine.timeout(self.now);
            self.drain();
        }
    }

    /// All that is said, then silence. Left alone, the exchange is over after so many waits.
    fn play(mut self, script: &[Said], split: usize, waits: usize) {
        let before = allocations::here();
        for said in script {
            self.hear(said, split);
        }
        for _ in 0..waits {
            self.wait();
        }
        let allocated = allocations::here() - before;
        assert!(self.over && self.deadline.is_none(), "still waiting");
        assert_eq!(allocated, 0, "allocations");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// An answer to reset is collected to an end of at most 33 octets, and taken or refused.
    #[test]
    fn atr(octets in prop::collection::vec(any::<u8>(), 0..80), reserved_ifsc in any::<u8>()) {
        let octets = [&[0x3B][..], &octets].concat();
        let before = allocations::here();
        let mut len = 1;
        while let Some(collected) = octets.get(..len)
            && let Expect::More(_) = Atr::expect(collected)
        {
            len += 1;
        }
        let tolerant = AtrPolicy { reserved_ifsc, ..AtrPolicy::TOLERANT };
        let taken = Atr::parse(&octets[..len.min(octets.len())], tolerant);
        let strict = Atr::parse(&octets, AtrPolicy::STRICT);
        prop_assert_eq!(allocations::here(), before);
        prop_assert!(len <= Atr::MAX_LEN + 1);
        if let Ok(atr) = taken {
            prop_assert!((1..=254).contains(&atr.t1().ifsc) && atr.t1().bwi <= 9);
        }
        prop_assert!(strict.is_err() || strict.unwrap().warnings() == AtrWarnings::default());
    }

    /// What parses as PPS emits back alike, and is agreed only when nothing in it is new.
    #[test]
    fn pps(octets in prop::collection::vec(any::<u8>(), 0..10), fix in any::<bool>()) {
        let mut octets = [&[0xFF][..], &octets].concat();
        if fix {
            let wanted = octets.get(1).map_or(0, |pps0| Pps::len_by_pps0(*pps0));
            octets.resize(wanted.clamp(3, 6), 0x11);
            let last = octets.len() - 1;
            octets[last] = octets[..last].iter().fold(0, |sum, octet| sum ^ octet);
        }
        if let Ok(pps) = Pps::parse(&octets) {
            prop_assert_eq!(&*pps.emit(), &octets[..]);
            let request = Pps { protocol: 1, pps1: Some(0x18), pps2: None, pps3: None };
            let known = pps == request || pps == Pps { pps1: None, ..request };
            prop_assert_eq!(request.agree(&pps).is_ok(), known);
        }
    }

    #[test]
    fn t0(
        script in prop::collection::vec(said(), 0..40),
        split in 1..50_usize,
        command in prop::sample::select(vec![
            hex!("80340000").to_vec(),
            hex!("8034000010").to_vec(),
            hex!("80340000 03 010203").to_vec(),
            hex!("80340000 03 010203 00").to_vec(),
            hex!("80340000 000003 010203 0000").to_vec(),
        ]),
        vpp in any::<bool>(),
    ) {
        let policy = T0Policy { get_response_after_ok: vpp, vpp_procedure_bytes: vpp, profile: Profile::Iso };
        let mut t0 = T0::new(261, 258, LATENCY, policy);
        let wt = line().wt(10, 372);
        t0.reset(line(), wt);
        t0.handle_input(moments::first(), t0::Input::Command(&command));
        // One silence ends it, or turns the line round and then ends it.
        Run::new(t0, wt + line().sending(261) + LATENCY).play(&script, split, 6);
    }

    #[test]
    fn t1(
        script in prop::collection::vec(said(), 0..60),
        split in 1..300_usize,
        announce in any::<bool>(),
        emv in any::<bool>(),
        probe in any::<bool>(),
        length in 4..200_u8,
    ) {
        let profile = if emv { Profile::EmvLevel1 } else { Profile::Iso };
        let offer = if announce { 254 } else { 32 };
        let mut t1 = T1::new(261, 100, LATENCY, offer, profile);
        t1.reset(line(), T1Params::default());
        if probe {
            t1.probe(moments::first());
        } else {
            t1.handle_input(moments::first(), t1::Input::Command(&vec![0; length.into()]));
        }
        // Three offers, three blocks and three RESYNCH, and the end of a block before each.
        let patience = line().bwt(4) * 255 + line().etus(960) + line().sending(MAX_BLOCK) + LATENCY;
        Run::new(t1, patience).play(&script, split, 20);
    }

    #[test]
    fn t14(script in prop::collection::vec(said(), 0..40), split in 1..300_usize) {
        let mut t14 = T14::new(LATENCY);
        t14.reset(line(), Duration::from_secs(1));
        t14.handle_input(moments::first(), t14::Input::Command(&hex!("0102000002 AABB")));
        Run::new(t14, Duration::from_secs(6)).play(&script, split, 3);
    }

    /// The whole line, on a card that says the same things over and over, before and inside
    /// exchanges: it is up or down within the limits, and so is every exchange.
    #[test]
    fn card_line(
        atr in prop::sample::select(vec![
            hex!("3B 00").to_vec(),
            hex!("3B 80 81 31 FE 15 5B").to_vec(),
            hex!("3B 90 95 91 81 31 FE 15 CE").to_vec(),
            hex!("3B 80 0E 8E").to_vec(),
            hex!("3B 90 18 80 01 09").to_vec(),
        ]),
        script in prop::collection::vec(said(), 1..30),
        split in 1..300_usize,
    ) {
        let limit = Duration::from_secs(10);
        let policy = Policy { exchange_limit: limit, ..Policy::new(USUAL_CLOCK_HZ) };
        let mut card = Whole::new(policy, atr, split);
        let before = allocations::here();
        card.input(Input::Activate);
        // Three attempts and three refused PPS, each with the longest wait of a start.
        card.until_over(&script, Duration::from_secs(60) + limit * 3);
        for _ in 0..3 {
            card.over = false;
            card.input(Input::Command { apdu: &hex!("80340000 03 010203 00"), patience: None });
            card.until_over(&script, limit);
        }
        prop_assert_eq!(allocations::here(), before);
    }
}

/// A card line whose card answers resets and PPS, and for the rest does as it likes.
struct Whole {
    line: CardLine,
    atr: Vec<u8>,
    split: usize,
    now: Instant,
    deadline: Option<Instant>,
    /// The last thing that was begun has ended.
    over: bool,
}

impl Whole {
    fn new(policy: Policy, atr: Vec<u8>, split: usize) -> Self {
        let line = CardLine::new(policy);
        Self { line, atr, split, now: moments::first(), deadline: None, over: false }
    }

    fn input(&mut self, input: Input<'_>) {
        self.line.handle_input(self.now, input);
        let mut answer = [0; 33];
        for _ in 0..16 {
            let len = match self.line.poll_output() {
                Output::Activate(_) => {
                    answer[..self.atr.len()].copy_from_slice(&self.atr);
                    self.atr.len()
                }
                Output::Transmit(octets) if octets.starts_with(&[0xFF]) => {
                    answer[..octets.len()].copy_from_slice(octets);
                    octets.len()
                }
                Output::Ready(_) | Output::Response(_) => {
                    self.over = true;
                    0
                }
                Output::Failed(error) => {
                    self.over |= !error.recovering();
                    0
                }
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return;
                }
                Output::Deactivate | Output::Configure(_) | Output::Transmit(_) => 0,
            };
            if len > 0 {
                self.line.handle_input(self.now, Input::Timeout);
                self.line.handle_input(self.now, Input::Received(&answer[..len]));
            }
        }
        panic!("the line does not come to rest");
    }

    /// So much time passes; the driver wakes up whenever it should.
    fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        for _ in 0..1000 {
            let Some(at) = self.deadline.filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.input(Input::Timeout);
        }
        panic!("a deadline that has passed stays");
    }

    fn until_over(&mut self, script: &[Said], limit: Duration) {
        let begin = self.now;
        for said in script.iter().cycle().take(100_000) {
            if self.over {
                return;
            }
            match said {
                Said::Octets(octets) => {
                    for part in octets.chunks(self.split) {
                        self.input(Input::Received(part));
                    }
                }
                Said::Damaged(octet) => {
                    self.line.handle_input(self.now, Input::Damaged);
                    self.input(Input::Received(&[*octet]));
                }
                Said::Silence => {
                    self.now = self.deadline.map_or(self.now, |at| at.max(self.now));
                    self.input(Input::Timeout);
                }
                Said::Pause(micros) => self.pass(Duration::from_micros((*micros).into())),
            }
            self.pass(Duration::from_millis(1));
            let took = self.now.since(begin);
            let recovered = Duration::from_secs(60);
            assert!(took <= limit + recovered + Duration::from_secs(3), "takes {took:?}");
        }
        panic!("takes for ever");
    }
}
