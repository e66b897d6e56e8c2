// SPDX-License-Identifier: Apache-2.0
//! Four boxes at one card: each has keys of its own, from the session down to the control word.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use cam_types::{Aid, ControlWord, Key, StatusWord, StbId};
use ecm_emm::card::{EmmResult, INS_ECM};
use ecm_emm::emm::{EmmCommand, Pairing};
use ecm_emm::keys::KeyMaterial;
use ecm_emm::suite::WrappedKey;
use gp::scp03::ScpError;
use stb_shim::ladder::Ladder;
use system_tests::demo::*;
use vcard::Card;

/// A box: its name, its pairing with the card, and its chip.
#[derive(Clone, Copy)]
struct Receiver {
    slot: u8,
    stb: StbId,
    k_pair: [u8; 16],
    k_cw: [u8; 16],
    root: [u8; 16],
}

impl Receiver {
    /// No two have a key in common.
    const fn new(slot: u8, number: u8) -> Self {
        let stb = StbId::new([b'B', b'O', b'X', b'0', b'0', b'0', b'0', b'0' + number]);
        let [k_pair, k_cw, root] = [[0xA0 + number; 16], [0xB0 + number; 16], [0xC0 + number; 16]];
        Self { slot, stb, k_pair, k_cw, root }
    }

    /// The key version of its slot.
    const fn kvn(&self) -> u8 {
        0x3F - self.slot
    }

    /// The card's half of its pairing.
    fn pair(&self) -> EmmCommand {
        let context = TO_CARD.header(1).key_context();
        let wrap = |octets| match key(K_IND).wrap(&context, &KeyMaterial::from(Key::new(octets))) {
            WrappedKey::Short(wrapped) => wrapped,
            WrappedKey::Long(_) => panic!("a key of 16 octets"),
        };
        EmmCommand::Pair(Pairing {
            slot: self.slot,
            stb: self.stb,
            k_pair: wrap(self.k_pair),
            k_cw: wrap(self.k_cw),
            kcv: key(self.k_pair).kcv(),
        })
    }

    /// A session of its own. Selecting the application ends any other.
    fn open(&self, card: &mut Card) -> Result<Stb, ScpError> {
        Stb::with_keys(card, self.kvn(), &Key::new(self.k_pair), self.stb)
    }

    /// EK2 and EK1 of its pairing: K2 = D(K3, EK2), K_cw = D(K2, EK1).
    fn encrypted(&self) -> ([u8; 16], [u8; 16]) {
        let k2 = [0xD0 ^ self.slot; 16];
        let encrypt = |key: [u8; 16], octets: [u8; 16]| -> [u8; 16] {
            let mut block = octets.into();
            Aes128::new(&key.into()).encrypt_block(&mut block);
            block.into()
        };
        (encrypt(self.root, k2), encrypt(k2, self.k_cw))
    }

    /// What its ladder makes of ECWs.
    fn cws(&self, (even, odd): ([u8; 16], [u8; 16])) -> Option<[ControlWord; 2]> {
        let (ek2, ek1) = self.encrypted();
        let mut ladder = Ladder::new(&Key::new(self.root));
        ladder.load(&ek2, &ek1);
        Some([ladder.cw(&even)?, ladder.cw(&odd)?])
    }
}

const BOXES: [Receiver; 4] =
    [Receiver::new(0, 1), Receiver::new(1, 2), Receiver::new(2, 3), Receiver::new(3, 4)];

/// The demo's card, paired with all four.
fn four() -> Card {
    let mut card = card();
    assert_eq!(select(&mut card, Aid::CAS.octets()), 0x9000);
    for (number, receiver) in (1..).zip(&BOXES) {
        let paired = emm(&mut card, &TO_CARD.seal(number, &[receiver.pair()]));
        assert_eq!(paired, EmmResult::APPLIED);
    }
    card
}

fn right() -> Option<[ControlWord; 2]> {
    Some([ControlWord::new(CW_EVEN), ControlWord::new(CW_ODD)])
}

fn serves(card: &mut Card, receiver: &Receiver) -> bool {
    let Ok(mut stb) = receiver.open(card) else { return false };
    stb.ecm(card, &news(NOON)).ecw.and_then(|ecw| receiver.cws(ecw)) == right()
}

/// T2: all four pairings are in use, by turns; of a fifth box there is no place, no key version and
/// no session, under whatever key it asks.
#[test]
fn four_boxes_take_turns_and_a_fifth_is_refused() {
    let mut card = four();
    for _ in 0..3 {
        for receiver in &BOXES {
            assert!(serves(&mut card, receiver), "{}", receiver.stb);
        }
    }
    let fifth = Receiver::new(4, 5);
    assert_eq!(fifth.open(&mut card).err(), Some(ScpError::Refused(StatusWord(0x6A88))));
    for slot in 0..4 {
        let guest = Receiver { slot, ..fifth };
        assert_eq!(guest.open(&mut card).err(), Some(ScpError::Authentication), "{slot}");
        // Nor with the key of a box whose name it has not, nor in another's slot.
        for host in &BOXES {
            let copied = Receiver { stb: fifth.stb, slot, ..*host };
            assert_eq!(copied.open(&mut card).err(), Some(ScpError::Authentication));
            let elsewhere = Receiver { slot: (host.slot + 1) % 4, ..*host };
            assert_eq!(elsewhere.open(&mut card).err(), Some(ScpError::Authentication));
        }
    }
    assert!(BOXES.iter().all(|receiver| serves(&mut card, receiver)), "and none has lost its own");
}

/// T2: one session at a time: the box that opens one ends the other's.
#[test]
fn a_box_that_opens_a_session_ends_the_others() {
    let mut card = four();
    let [first, second, ..] = &BOXES;
    let mut before = first.open(&mut card).unwrap();
    let mut after = second.open(&mut card).unwrap();
    let answer = before.send(&mut card, INS_ECM, 0, &news(NOON));
    assert!(matches!(answer, Err(Failed::Status(0x6988 | 0x6982))), "{answer:?}");
    // What came from the other one has ended this session as well: it does not verify.
    let answer = after.send(&mut card, INS_ECM, 0, &news(NOON));
    assert!(matches!(answer, Err(Failed::Status(0x6982))), "{answer:?}");
    assert!(serves(&mut card, second) && serves(&mut card, first));
}

/// T2: another box in one slot: the one before has no session any more, and the other three stay.
#[test]
fn another_box_in_one_slot_leaves_the_others() {
    let mut card = four();
    let newcomer = Receiver::new(2, 6);
    let paired = emm(&mut card, &TO_CARD.seal(9, &[newcomer.pair()]));
    assert_eq!(paired, EmmResult::APPLIED);
    let [first, second, replaced, fourth] = &BOXES;
    for _ in 0..2 {
        assert_eq!(replaced.open(&mut card).err(), Some(ScpError::Authentication));
        for receiver in [first, second, &newcomer, fourth] {
            assert!(serves(&mut card, receiver), "{}", receiver.stb);
        }
        card.power_on();
    }
}

/// T2: the control words that the card gives one box are of no use to another's ladder: neither
/// what the card answered, nor what any of the four chips makes of it, is a control word.
#[test]
fn ecws_of_one_box_open_in_no_other_ladder() {
    let mut card = four();
    let answers = BOXES.map(|receiver| {
        let mut stb = receiver.open(&mut card).unwrap();
        stb.ecm(&mut card, &news(NOON)).ecw.unwrap()
    });
    for (from, ecw) in BOXES.iter().zip(answers) {
        for to in &BOXES {
            let [even, odd] = to.cws(ecw).unwrap();
            let [right_even, right_odd] = right().unwrap();
            let opens = [even == right_even, odd == right_odd];
            assert_eq!(opens, [from.slot == to.slot; 2], "{} to {}", from.slot, to.slot);
        }
        assert_ne!(ecw, (CW_EVEN, CW_ODD), "never in clear");
    }
    // Nor where a copy of the first box's pairing is loaded into the second one's chip.
    let [first, second, ..] = &BOXES;
    let (ek2, ek1) = first.encrypted();
    let mut copied = Ladder::new(&Key::new(second.root));
    copied.load(&ek2, &ek1);
    let [(even, _), ..] = answers;
    assert!(copied.cw(&even) != Some(ControlWord::new(CW_EVEN)));
}
