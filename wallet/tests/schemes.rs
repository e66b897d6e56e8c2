// SPDX-License-Identifier: Apache-2.0
//! Balances as the cards of several schemes tell them, with the amount that each must come to.

use cam_types::{Aid, Fen, Secret, TerminalId};
use hex_literal::hex;
use wallet::flow::{Purse, Scheme};
use wallet::formula::mac1_load;
use wallet::keys::LoadKey;
use wallet::port::CardPort;
use wallet::purchase::PurchaseError;
use wallet::{BalanceCoding, Profile, TransactionType};

/// A card that has these answers and no others.
struct Card {
    aid: &'static [u8],
    fci: &'static [u8],
    balances: &'static [(u8, u32)],
}

impl CardPort for Card {
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        let answer = match command {
            [0x00, 0xA4, 0x04, 0x00, _, name @ .., 0x00] if name == self.aid => self.fci.to_vec(),
            [0x80, 0x5C, p1, 0x02, 0x04] => {
                let found = self.balances.iter().find(|(asked, _)| asked == p1);
                match found {
                    Some((_, balance)) => balance.to_be_bytes().to_vec(),
                    None => return Some(hex!("6A86").to_vec()),
                }
            }
            _ => return Some(hex!("6A82").to_vec()),
        };
        Some([&answer[..], &hex!("9000")].concat())
    }
}

const PLAIN: Profile = Profile { levels: &[], ..Profile::PBOC };

fn scheme(aid: &'static [u8]) -> Scheme<'static> {
    Scheme { aid, profile: PLAIN, uid: None }
}

const SHENZHEN: &[u8] = b"PAY.SZT";
const SHENZHEN_FCI: &[u8] = &hex!("6F09 8407 5041592E535A54");
/// Cities add to the name.
const T_UNION: &[u8] = &hex!("A000000632010105");
const T_UNION_FCI: &[u8] = &hex!("6F12 8410 A000000632010105 215053555A484F55");

/// Sources: the wiki of the card reader Metrodroid (Shenzhen: bit 31 was set on every card that
/// was met, its meaning is not known); the notes of the library CoreExtendedNFC (a card of
/// Shanghai that answers 00000320 to P1 00 and 01 and holds nothing; balances are P1 00 less P1
/// 01, of their low 31 bits); two wallets of Chinese makers (P1 02 is what is overdrawn, P1 03
/// the holder's own, and one of them is zero). The other numbers follow from these.
#[test]
fn a_balance_is_what_the_card_holds() {
    type Table = (&'static [u8], &'static [u8], &'static [(u8, u32)], u32, &'static str);
    let table: &[Table] = &[
        (SHENZHEN, SHENZHEN_FCI, &[(0, 0x8000_0064)], 100, "1.00"),
        (SHENZHEN, SHENZHEN_FCI, &[(0, 0x0000_0064)], 100, "1.00"),
        (SHENZHEN, &[], &[(0, 0x8000_0000)], 0, "0.00"),
        (T_UNION, T_UNION_FCI, &[(0, 0x320), (1, 0x320), (3, 0)], 0x320, "0.00"),
        (T_UNION, T_UNION_FCI, &[(0, 0x320), (1, 0x320)], 0x320, "0.00"),
        (T_UNION, T_UNION_FCI, &[(0, 0x8000_0320), (1, 0x8000_0320), (3, 0)], 0x320, "0.00"),
        (T_UNION, T_UNION_FCI, &[(0, 1550), (1, 800), (3, 750)], 1550, "7.50"),
        (T_UNION, T_UNION_FCI, &[(0, 200), (1, 800), (3, 0)], 200, "-6.00"),
        (T_UNION, &[], &[(0, 200), (2, 600), (3, 0)], 200, "-6.00"),
        (T_UNION, T_UNION_FCI, &[(0, 750), (3, 750)], 750, "7.50"),
        (T_UNION, T_UNION_FCI, &[(0, 800), (3, 0)], 800, "not told"),
        (T_UNION, T_UNION_FCI, &[(0, 800)], 800, "not told"),
        (Aid::PURSE.octets(), &[], &[(0, 0x8000_0064)], 0x8000_0064, "21474837.48"),
        (b"AP1.OTHER", &[], &[(0, 100)], 100, "1.00"),
    ];
    for (aid, fci, balances, drawable, own) in table {
        let mut card = Card { aid, fci, balances };
        let mut purse = Purse::open(&mut card, &scheme(aid)).unwrap();
        assert_eq!(purse.balance(), Ok(Fen::new(*drawable)));
        let holding = purse.holding().unwrap();
        assert_eq!(holding.drawable, Fen::new(*drawable));
        assert_eq!(holding.own.map_or("not told".into(), |own| own.to_string()), *own);
    }
}

/// What cannot be told is an error that says so, and a word from outside settles it.
#[test]
fn a_balance_that_cannot_be_told_is_not_guessed() {
    let aid = b"AP1.OTHER";
    let mut card = Card { aid, fci: &[], balances: &[(0, 0x8000_0064)] };
    let error = Purse::open(&mut card, &scheme(aid)).unwrap().balance().unwrap_err();
    assert!(error.to_string().contains("80000064") && error.to_string().contains("bit 31"));
    assert!(!error.is_refusal());
    let told = Profile { balance: Some(BalanceCoding::LowBits), ..PLAIN };
    let told = Scheme { profile: told, ..scheme(aid) };
    assert_eq!(Purse::open(&mut card, &told).unwrap().balance(), Ok(Fen::new(100)));
    let balances = &[(0, 800), (1, 800), (3, 500)];
    let mut card = Card { aid: T_UNION, fci: &[], balances };
    let error = Purse::open(&mut card, &scheme(T_UNION)).unwrap().holding().unwrap_err();
    for part in ["contradict", "8.00 is the limit", "5.00 the holder's own"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// INITIALIZE carries the balance as GET BALANCE does: a purse is not full because bit 31 is set,
/// nor does it cover a price by it.
#[test]
fn a_transaction_reckons_with_what_the_card_holds() {
    let profile = Profile { balance: Some(BalanceCoding::LowBits), ..PLAIN };
    let terminal = TerminalId::new(hex!("001122334455"));
    let load = Profile { maximum: Fen::new(1000), ..profile };
    let load = load.load(1, Fen::new(900), terminal).unwrap();
    let loaded = load.initialized(&hex!("80000064 0000 01 00 584633C9 00000000 9000")).unwrap();
    assert_eq!(loaded.balance, Fen::new(100));
    // MAC1 covers what was sent.
    let key = LoadKey::new(Secret::new(hex!("0F1E2D3C4B5A69788796A5B4C3D2E1F0")));
    let session = key.session(hex!("584633C9"), [0, 0]);
    let (sent, amount) = (Fen::new(0x8000_0064), Fen::new(900));
    let mac1 = mac1_load(&session, sent, amount, TransactionType::LOAD, terminal);
    let answer = [&hex!("80000064 0000 01 00 584633C9")[..], &mac1.0, &hex!("9000")].concat();
    let loaded = profile.load(1, amount, terminal).unwrap().initialized(&answer).unwrap();
    assert!(loaded.is_from(&key));
    let answer = hex!("80000064 0000 000000 01 00 584633C9 9000");
    let purchase = profile.purchase(1, Fen::new(101), terminal).unwrap();
    let (balance, price) = (Fen::new(100), Fen::new(101));
    assert_eq!(
        purchase.initialized(&answer),
        Err(PurchaseError::InsufficientBalance { balance, price })
    );
    let unknown = Profile { balance: Some(BalanceCoding::Unknown), ..PLAIN };
    let purchase = unknown.purchase(1, price, terminal).unwrap();
    let error = purchase.initialized(&answer).unwrap_err().to_string();
    assert!(error.contains("bit 31") && error.ends_with("no money has moved"), "{error}");
}

#[test]
fn a_select_without_control_information_selects() {
    let mut card = Card { aid: Aid::PURSE.octets(), fci: &[], balances: &[(0x00, 10_000)] };
    let mut purse = Purse::open(&mut card, &scheme(Aid::PURSE.octets())).unwrap();
    assert_eq!(purse.balance(), Ok(Fen::new(10_000)));
}
