// SPDX-License-Identifier: Apache-2.0
//! Every order in which a few messages can reach a card, searched to the end.
//!
//! A node is what the card's pages hold, with the messages that it has said it applied. From each
//! go: every message, a reset, and the power cut at every write of a message. The carousel goes on,
//! so from every node it must lead to one and the same end; and no node may give what a message
//! that was applied has taken away.

use crate::emm::{memory_with_signature, signing_key};
use crate::held_back::pair;
use crate::shared_keys::group_delivery;
use cam_types::{CasTime, Epoch, PackageId};
use ecm_emm::card::EmmResult;
use ecm_emm::emm::EmmCommand;
use ecm_emm::keys::Role;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use system_tests::demo::*;
use system_tests::memory::{Cut, Memory, Torn};
use vcard::nvm::{Nvm, PAGE};

/// What is looked at of a card.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct View {
    rights: Vec<String>,
    /// Without the numbers of EMMs: a message that came too late has none.
    keys: Vec<String>,
    pairings: Vec<String>,
    purse: String,
    blocked: bool,
    level: u16,
    suites: u16,
}

/// A message: its name and its section.
type Message = (&'static str, Vec<u8>);

/// What the pages hold, and which messages were applied: bit n for the nth.
type Node = (Vec<u8>, u8);

/// The home pages behind a boot, which finishes what was interrupted.
fn home(memory: &Memory) -> Vec<u8> {
    drop(powered(memory.store()));
    memory.octets().split_off((1 + Nvm::JOURNAL_PAGES) * PAGE)
}

/// A card with this memory gets the message; what came of it, and how many pages it wrote.
fn play(memory: &Memory, section: &[u8]) -> (EmmResult, u64) {
    let mut card = powered(memory.store());
    info(&mut card);
    let before = card.status().page_writes;
    let result = emm(&mut card, section);
    (result, card.status().page_writes - before)
}

/// The power goes at this write; the card may be mute before it has answered.
fn play_cut(memory: &Memory, section: &[u8], cut: Cut) {
    let mut card = powered(memory.store());
    info(&mut card);
    memory.arm(cut);
    let mut apdu = vec![0x80, ecm_emm::card::INS_EMM, 0, 0, section.len() as u8];
    apdu.extend_from_slice(section);
    let _ = card.transmit(&apdu);
    assert!(memory.mend(), "the power has gone");
}

fn view(home: &[u8]) -> View {
    let mut card = powered(Memory::new(&Nvm::image(home)).store());
    let told = info(&mut card);
    let inspection = card.inspect().unwrap();
    let without_number = |line: String| {
        let (front, behind) = line.split_once(", newest EMM ").unwrap();
        format!("{front}{}", behind.trim_start_matches(|c: char| c.is_ascii_digit()))
    };
    let with_window = |line: &String| line.contains(", newest EMM ");
    let mut keys: Vec<_> =
        inspection.keys.into_iter().filter(with_window).map(without_number).collect();
    // Which of its two places a generation has says nothing.
    keys.sort_unstable();
    View {
        rights: inspection.rights,
        keys,
        pairings: inspection.pairings,
        purse: inspection.purse,
        blocked: told.blocked,
        level: told.operators[0].emm_level,
        suites: told.operators[0].suites_allowed,
    }
}

/// Searches everything that these messages can make of this card. `wrong` says what may not be in a
/// node, given by name whether a message was applied. Gives the one end.
fn search(
    start: &[u8],
    messages: &[Message],
    wrong: impl Fn(&View, &dyn Fn(&str) -> bool) -> Option<String>,
) -> View {
    let first = home(&Memory::new(start));
    let mut views: BTreeMap<Vec<u8>, View> = BTreeMap::new();
    let mut edges: BTreeMap<Node, Vec<Node>> = BTreeMap::new();
    let mut open = VecDeque::from([(first, 0)]);
    let mut cuts = 0;
    while let Some(node) = open.pop_front() {
        if edges.contains_key(&node) {
            continue;
        }
        let (state, applied) = &node;
        let seen = views.entry(state.clone()).or_insert_with(|| view(state));
        let was = |name: &str| {
            let n = messages.iter().position(|(of, _)| *of == name).unwrap();
            applied >> n & 1 == 1
        };
        if let Some(why) = wrong(seen, &was) {
            panic!("{why}, with {applied:06b} applied: {seen:#?}");
        }
        let mut next = Vec::new();
        for (n, (name, section)) in messages.iter().enumerate() {
            let memory = Memory::new(&Nvm::image(state));
            let (result, writes) = play(&memory, section);
            let after = home(&memory);
            // A reset, and another.
            assert_eq!(home(&memory), after, "{name}");
            assert!(result == EmmResult::APPLIED || after == *state, "{name}: {result:?} wrote");
            for write in 0..writes {
                let torn = if write % 2 == 0 { Torn::Prefix(64) } else { Torn::Erased };
                let memory = Memory::new(&Nvm::image(state));
                play_cut(&memory, section, Cut { after: write as usize, torn });
                let found = home(&memory);
                assert!(found == *state || found == after, "{name}, cut at write {write}");
                cuts += 1;
            }
            let mark = u8::from(result == EmmResult::APPLIED) << n;
            next.push((after, applied | mark));
        }
        open.extend(next.iter().cloned());
        edges.insert(node, next);
    }
    let ends: BTreeSet<&View> = edges.keys().map(|node| &views[&end(&edges, node).0]).collect();
    assert!(edges.len() >= 64 && cuts >= 500, "{} nodes, {cuts} cuts", edges.len());
    assert_eq!(ends.len(), 1, "{ends:#?}");
    ends.into_iter().next().unwrap().clone()
}

/// Where the carousel leads from here.
fn end<'a>(edges: &'a BTreeMap<Node, Vec<Node>>, from: &'a Node) -> &'a Node {
    let messages = edges[from].len();
    let cycle = |start| (0..messages).fold(start, |node, n| &edges[node][n]);
    let mut node = from;
    for _ in 0..=edges.len() {
        match cycle(node) {
            next if next == node => return node,
            next => node = next,
        }
    }
    panic!("the carousel never comes to rest");
}

fn days(days: u32) -> CasTime {
    NOON.saturating_add(days * DAY)
}

/// T7: rights and a level.
#[test]
fn every_order_of_rights_ends_alike() {
    let package = PackageId::new(7);
    let grant = |version, end, horizon| EmmCommand::Grant {
        package,
        start: CasTime::new(0),
        end: days(end),
        version,
        horizon: Some(days(horizon)),
    };
    let bitmap =
        EmmCommand::Bitmap { base: package, bitmap: vec![0x80], end: days(30), version: 3 };
    let lease = EmmCommand::Grant {
        package,
        start: CasTime::new(0),
        end: days(60),
        version: 0,
        horizon: None,
    };
    let messages = [
        ("grant 1", TO_CARD.seal(1, &[grant(1, 10, 300)])),
        ("revoke 2", TO_CARD.seal(2, &[EmmCommand::Revoke { package, version: 2 }])),
        ("grant 3", TO_CARD.seal(3, &[grant(3, 20, 90)])),
        ("bitmap 3", TO_CARD.seal(4, &[bitmap])),
        ("lease", TO_GROUP.seal(1, &[lease])),
        ("level", TO_CARD.seal(5, &[EmmCommand::EmmLevel { level: 3, after: None }])),
    ];
    let end = search(&memory(), &messages, |view, was| {
        let row = view.rights.iter().find(|line| line.starts_with("package 7,"));
        let revoked = row.is_none_or(|line| line.ends_with("revoked"));
        let taken = was("revoke 2") && !was("grant 3") && !was("bitmap 3");
        if taken && !revoked {
            return Some("a revoked package opens".into());
        }
        if was("level") != (view.level == 3) {
            return Some("the level does not stand".into());
        }
        None
    });
    let row = end.rights.iter().find(|line| line.starts_with("package 7,")).unwrap();
    assert!(row.ends_with("to 2027-01-30"), "{row}");
    assert_eq!(end.level, 3);
}

/// T7, T14, T22: keys of a service.
#[test]
fn every_order_of_keys_ends_alike() {
    let (second, third) = ([2; 16], [3; 16]);
    let deliver =
        |seq, epoch, key| TO_CARD.seal(seq, &[TO_CARD.delivery(news_target(), epoch, 2, key)]);
    let (epoch, floor) = (Epoch::new(2), Epoch::new(2));
    let target = news_target();
    let messages = [
        ("deliver 2", deliver(1, 2, second)),
        ("deliver 2 to the group", group_delivery(&[(2, second)], &signing_key())),
        ("deliver 3", deliver(2, 3, third)),
        ("activate 2", TO_CARD.seal(3, &[EmmCommand::KeyActivate { target, epoch, floor }])),
        ("allow", TO_CARD.seal(4, &[EmmCommand::SuiteAllow { role: Role::Service, mask: 4 }])),
        ("destroy 1", TO_CARD.seal(5, &[EmmCommand::KeyDestroy { target, epoch: Epoch::new(1) }])),
    ];
    let held = |view: &View| -> Vec<String> {
        let of_news = view.keys.iter().filter(|line| line.starts_with("SK[1]: "));
        of_news.map(|line| line["SK[1]: epoch ".len()..][..1].to_owned()).collect()
    };
    let end = search(&memory_with_signature(), &messages, |view, was| {
        let held = held(view);
        if held.iter().any(|epoch| epoch == "1") && (was("activate 2") || was("destroy 1")) {
            return Some("an erased key is there".into());
        }
        if held.is_empty() && !was("destroy 1") {
            return Some("no key is left".into());
        }
        if was("deliver 3") && !held.iter().any(|epoch| epoch == "3") {
            return Some("the newest key is gone".into());
        }
        if was("allow") && view.suites != 4 {
            return Some("a barred suite is allowed".into());
        }
        None
    });
    let mut held = held(&end);
    held.sort_unstable();
    assert_eq!(held, ["2", "3"]);
}

/// T7: what one message sets and another takes back.
#[test]
fn every_order_of_states_ends_alike() {
    let state = |seq, blocked| TO_CARD.seal(seq, &[EmmCommand::CardState { blocked }]);
    let purse = |seq, blocked| TO_PURSE.seal(seq, &[EmmCommand::WalletBlock { blocked }]);
    let messages = [
        ("block", state(1, true)),
        ("unblock", state(2, false)),
        ("pair", TO_CARD.seal(3, &[pair(1)])),
        ("unpair", TO_CARD.seal(4, &[EmmCommand::Unpair(Some(1))])),
        ("block the purse", purse(1, true)),
        ("unblock the purse", purse(2, false)),
    ];
    let paired = |view: &View| view.pairings.len() == 2;
    let end = search(&memory(), &messages, |view, was| {
        let works = view.purse == "works";
        for (name, wrong) in [
            ("blocked again", was("unblock") && view.blocked),
            ("not blocked", was("block") && !was("unblock") && !view.blocked),
            ("paired again", was("unpair") && paired(view)),
            ("the purse is blocked again", was("unblock the purse") && !works),
            ("it pays", was("block the purse") && !was("unblock the purse") && works),
        ] {
            if wrong {
                return Some(name.into());
            }
        }
        None
    });
    assert!(!end.blocked && !paired(&end) && end.purse == "works", "{end:#?}");
}
