// SPDX-License-Identifier: Apache-2.0
//! Every sequence of up to six of ten things that a box, a viewer or an attacker does to a card: no
//! word, right or fen without its precondition.
//!
//! A tree is walked depth first, each node once: the card is twinned, RAM and pages, for each of
//! the ten branches. What it answers and holds is compared with a model of a few lines, which knows
//! nothing of the card's code. A cut is taken at every commit page that the next command writes,
//! before and behind; PURCHASE asks for the next event, and beside that once more for the last.

mod chip;
mod model;

use cam_types::{Aid, EventId, Fen, Key, StatusWord, TerminalSequence, interindustry};
use chip::{Chip, MOMENTS, Moment};
use ecm_emm::card::{
    EcmAnswer, INS_ECM, INS_PURCHASE, INS_VERIFY, PinAnswer, PinBlock, PurchaseAnswer,
    PurchaseRequest, VERIFY_PURCHASE,
};
use ecm_emm::keys::pairing_keys;
use gp::scp03::{Initialize, ScpError, Session, StaticKeys};
use model::{LETTERS, Letter, Model, Said};
use std::thread;
use system_tests::demo::*;
use vcard::{Card, Random};

/// Everything that is sealed, once.
struct Air {
    keys: StaticKeys,
    ecm: Vec<u8>,
    events: Vec<Vec<u8>>,
}

impl Air {
    fn new() -> Self {
        let events: Vec<_> = (1..=6).map(|n| cinema(event(n), NOON)).collect();
        Self { keys: pairing_keys(&Key::new(K_PAIR), STB), ecm: events[0].clone(), events }
    }

    /// Instruction, P2 and data.
    fn command(&self, letter: Letter, request: u32) -> (u8, u8, Vec<u8>) {
        let pin = |digits| PinBlock::from_ascii(digits).unwrap().expose().to_vec();
        match letter {
            Letter::Ecm => (INS_ECM, 0, self.ecm.clone()),
            Letter::VerifyRight => (INS_VERIFY, VERIFY_PURCHASE, pin(PIN)),
            Letter::VerifyWrong => (INS_VERIFY, VERIFY_PURCHASE, pin(WRONG_PIN)),
            Letter::Purchase => {
                let mut data = Vec::new();
                PurchaseRequest {
                    terminal_sequence: TerminalSequence::new(request),
                    terminal: TERMINAL,
                    expected_price: PRICE,
                    flags: 0,
                    section: &self.events[request as usize - 1],
                }
                .emit(&mut data)
                .unwrap();
                (INS_PURCHASE, 0, data)
            }
            other => panic!("{other:?} needs no session"),
        }
    }
}

/// The event of request n.
fn event(n: u32) -> EventId {
    EventId::new(EVENT.value() - 1 + n)
}

/// A challenge that has come no more than once.
fn numbered(n: u8) -> Random {
    Random::new(move |octets| octets.fill(n))
}

/// The box's end. A session is played again from its beginning where it is needed.
#[derive(Clone, Default)]
struct Line {
    challenges: u8,
    /// EXTERNAL AUTHENTICATE for the newest challenge, and for the one before.
    proofs: [Option<Vec<u8>>; 2],
    /// The answer to the newest INITIALIZE UPDATE.
    answer: Vec<u8>,
    /// The answer to that of the newest session, and what went through it.
    session: Option<(Vec<u8>, Vec<Exchange>)>,
}

type Exchange = (u8, u8, Vec<u8>, Vec<u8>);

impl Line {
    fn initialize(air: &Air) -> Initialize {
        Initialize::new(air.keys.clone(), 0x3F, *b"hostrand")
    }

    fn session(&self, air: &Air) -> Option<Session> {
        let (answer, exchanges) = self.session.as_ref()?;
        let open = Self::initialize(air).answer(answer).unwrap();
        let mut session = open.finish(StatusWord::OK).unwrap();
        let mut scratch = Vec::new();
        for (ins, p2, data, response) in exchanges {
            session.wrap(0x80, *ins, 0, *p2, data, &mut scratch).ok()?;
            let _ = session.unwrap(response, &mut scratch);
        }
        Some(session)
    }

    fn proof(&self, letter: Letter) -> Vec<u8> {
        let nothing = || [&[0x84, 0x82, 0x33, 0x00, 0x10][..], &[0; 16]].concat();
        match (letter, &self.proofs) {
            (Letter::ProveWrongly, [_, Some(before)]) => before.clone(),
            (Letter::ProveWrongly, [Some(newest), None]) => {
                let mut wrong = newest.clone();
                *wrong.last_mut().unwrap() ^= 1;
                wrong
            }
            (_, [newest, _]) => newest.clone().unwrap_or_else(nothing),
        }
    }
}

struct Node {
    card: Card,
    chip: Chip,
    line: Line,
    model: Model,
    armed: bool,
    path: Vec<Letter>,
}

impl Node {
    fn new(memory: &[u8]) -> Self {
        let chip = Chip::new(memory);
        let mut card = Card::with_random(Box::new(chip.clone()), numbered(0)).unwrap();
        assert!(!card.power_on().is_empty());
        let (line, model) = (Line::default(), Model::new());
        Self { card, chip, line, model, armed: false, path: Vec::new() }
    }

    fn twin(&self, letter: Letter) -> Self {
        let chip = self.chip.copy();
        let random = numbered(self.line.challenges + 1);
        let card = self.card.twin(Box::new(chip.clone()), random);
        let path = self.path.iter().copied().chain([letter]).collect();
        Self { card, chip, line: self.line.clone(), model: self.model.clone(), path, ..*self }
    }

    /// The same with power again.
    fn powered(&mut self) {
        self.card.power_off();
        assert!(!self.card.power_on().is_empty(), "{:?}", self.path);
        self.armed = false;
    }

    /// What can come of a letter. The first is what counts as the sequence.
    fn next(&self, letter: Letter, air: &Air) -> Vec<Self> {
        let mut next = self.twin(letter);
        match letter {
            Letter::Reset => {
                next.model = next.model.reset();
                next.powered();
                vec![next]
            }
            Letter::Cut => vec![Self { armed: true, ..next }],
            _ if self.armed => self.torn(letter, air),
            _ => {
                let mut all = vec![next];
                if letter == Letter::Purchase && self.model.was_told() {
                    all.push(self.twin(letter));
                }
                for (n, node) in all.iter_mut().enumerate() {
                    let wrapped = node.line.session.is_some();
                    let once_more = n == 1;
                    let request = node.model.request(once_more);
                    let expected = node.model.hear(letter, wrapped, once_more);
                    let said = node.say(letter, request, air);
                    assert_eq!(said, Some(expected), "{:?}", node.path);
                }
                all
            }
        }
    }

    /// The power goes in this command, at each of its transactions.
    fn torn(&self, letter: Letter, air: &Air) -> Vec<Self> {
        let mut all = Vec::new();
        for moment in MOMENTS {
            let mut next = self.twin(letter);
            let wrapped = next.line.session.is_some();
            next.chip.arm(moment);
            let said = next.say(letter, self.model.request(false), air);
            assert_eq!(next.chip.mend(), said.is_none(), "{:?}, {moment:?}", next.path);
            let torn = self.model.torn(letter, wrapped, moment);
            let is_sure = letter != Letter::Ecm;
            let mut whole = self.model.clone();
            let expected = whole.hear(letter, wrapped, false);
            match said {
                None => {
                    next.model = torn.unwrap_or_else(|| panic!("{:?} wrote", next.path));
                }
                Some(said) => {
                    assert!(torn.is_none() || !is_sure, "{:?} did not write", next.path);
                    assert_eq!(said, expected, "{:?}", next.path);
                    next.model = whole.reset();
                }
            }
            next.powered();
            all.push(next);
            if moment == Moment::Before && said.is_some() {
                break;
            }
        }
        all
    }

    /// One command; the answer, unless the power went.
    fn say(&mut self, letter: Letter, request: u32, air: &Air) -> Option<Said> {
        let status = |response: &[u8]| {
            Said::Status(u16::from_be_bytes(*response.last_chunk().expect("a status word")))
        };
        match letter {
            Letter::Select => {
                let select: Vec<u8> = interindustry::select(Aid::CAS.octets()).collect();
                self.card.transmit(&select).ok().map(|response| status(&response))
            }
            Letter::Initialize => {
                let initialize = Line::initialize(air);
                let response = self.card.transmit(&initialize.command()).ok()?;
                if response.len() > 2 {
                    let answer = response[..response.len() - 2].to_vec();
                    let open = initialize.answer(&answer).unwrap();
                    let [newest, before] = &mut self.line.proofs;
                    *before = newest.replace(open.command().to_vec());
                    self.line.answer = answer;
                    self.line.challenges += 1;
                }
                Some(status(&response))
            }
            Letter::Prove | Letter::ProveWrongly => {
                let response = self.card.transmit(&self.line.proof(letter)).ok()?;
                if response == [0x90, 0x00] {
                    self.line.session = Some((self.line.answer.clone(), Vec::new()));
                }
                Some(status(&response))
            }
            _ => {
                let (ins, p2, data) = air.command(letter, request);
                let Some(mut session) = self.line.session(air) else {
                    let apdu = [&[0x80, ins, 0, p2, data.len() as u8][..], &data].concat();
                    return self.card.transmit(&apdu).ok().map(|response| status(&response));
                };
                let mut apdu = Vec::new();
                if session.wrap(0x80, ins, 0, p2, &data, &mut apdu).is_err() {
                    // It was told that there is none; an attacker goes on with what he has.
                    apdu = [&[0x84, ins, 0, p2, 8][..], &[0; 8]].concat();
                    return self.card.transmit(&apdu).ok().map(|response| status(&response));
                }
                let response = self.card.transmit(&apdu).ok()?;
                let mut plain = Vec::new();
                let opened = session.unwrap(&response, &mut plain);
                self.line.session.as_mut().unwrap().1.push((ins, p2, data, response));
                Some(match opened {
                    Ok(StatusWord::OK) => self.heard(letter, &plain),
                    Ok(sw) | Err(ScpError::Refused(sw)) => Said::Status(sw.0),
                    Err(error) => panic!("{:?}: {error}", self.path),
                })
            }
        }
    }

    fn heard(&self, letter: Letter, plain: &[u8]) -> Said {
        match letter {
            Letter::Ecm => Said::Words(EcmAnswer::parse(plain).unwrap().ecw.is_some()),
            Letter::Purchase => {
                let answer = PurchaseAnswer::parse(plain).unwrap();
                Said::Result(answer.result.0)
            }
            _ => {
                let answer = PinAnswer::parse(plain).unwrap();
                Said::Pin(answer.right, answer.tries)
            }
        }
    }

    /// What the card holds is what the model says; rights are read where something was written.
    fn check(&self, before: &Self) {
        let (held, model) = (self.card.status(), &self.model);
        let balance = Fen::new(10_000 - model.paid * PRICE.fen());
        let found = (held.balance, held.debits, held.purchases, held.pin_tries);
        let expected = (balance, model.paid, model.paid as usize, model.tries);
        assert_eq!(found, expected, "{:?}", self.path);
        if held.page_writes != before.card.status().page_writes {
            let rights = self.twin(Letter::Reset).card.inspect().unwrap().rights;
            let of = |n| format!("event {},", event(n).value());
            let owned: Vec<bool> =
                (1..=6).map(|n| rights.iter().any(|line| line.starts_with(&of(n)))).collect();
            let paid: Vec<bool> = (1..=6).map(|n| n <= model.paid).collect();
            assert_eq!(owned, paid, "{:?}: {rights:?}", self.path);
        }
    }
}

/// Sequences, ways through them, and how often each kind of answer came.
#[derive(Default)]
struct Count {
    sequences: u32,
    ways: u32,
    paid: u32,
    words: u32,
}

fn walk(node: &Node, depth: usize, counted: bool, air: &Air, count: &mut Count) {
    for letter in LETTERS {
        for (n, next) in node.next(letter, air).into_iter().enumerate() {
            let counted = counted && n == 0;
            next.check(node);
            count.sequences += u32::from(counted);
            count.ways += 1;
            count.paid += u32::from(next.model.paid > node.model.paid);
            count.words += u32::from(letter == Letter::Ecm && next.model.paid > 0);
            if depth > 1 {
                walk(&next, depth - 1, counted, air, count);
            }
        }
    }
}

/// Everything of this depth behind these letters, on all cores.
fn explore(first: &[Letter], depth: usize) -> Count {
    let (air, memory) = (&Air::new(), &memory());
    let branches = thread::scope(|scope| {
        let started: Vec<_> = LETTERS
            .into_iter()
            .map(|letter| {
                scope.spawn(move || {
                    let mut node = Node::new(memory);
                    for said in first {
                        node = node.next(*said, air).remove(0);
                    }
                    let mut count = Count { sequences: 1, ways: 1, ..Count::default() };
                    let next = node.next(letter, air).remove(0);
                    next.check(&node);
                    count.paid = next.model.paid;
                    walk(&next, depth - 1, true, air, &mut count);
                    count
                })
            })
            .collect();
        started.into_iter().map(|branch| branch.join().unwrap()).collect::<Vec<_>>()
    });
    branches.into_iter().fold(Count::default(), |sum, part| Count {
        sequences: sum.sequences + part.sequences,
        ways: sum.ways + part.ways,
        paid: sum.paid + part.paid,
        words: sum.words + part.words,
    })
}

/// T15, T16, T18, T28, T29: from a reset, 1,111,110 sequences.
#[test]
fn every_six_after_a_reset() {
    let count = explore(&[], 6);
    assert_eq!(count.sequences, 1_111_110);
    assert!(count.paid > 0, "nothing was bought");
}

/// T15, T28, T29: five more with the session that they need to get anywhere.
#[test]
fn every_five_in_a_session() {
    let count = explore(&[Letter::Select, Letter::Initialize, Letter::Prove], 5);
    assert_eq!(count.sequences, 111_110);
    assert!(count.ways > 111_110 && count.paid > 100 && count.words > 100);
}
