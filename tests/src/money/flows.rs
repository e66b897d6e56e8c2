// SPDX-License-Identifier: Apache-2.0
//! A till and a gate take a fare, with their secure module at a second reader.

use crate::demo::*;
use crate::money::nominal::{Exchange, Watched};
use cam_types::{Aid, BcdDate, BcdTime, Fen};
use hex_literal::hex;
use std::path::Path;
use vcard::{Card, Interface, Personalisation};
use wallet::flow::fare::{FareTable, Station};
use wallet::flow::gate::Gate;
use wallet::flow::till::{Side, Till};
use wallet::flow::{Order, Purse, Scheme};
use wallet::profile::Profile;
use wallet::psam::{CardPsam, SamApplication};
use wallet::purchase::Debit;

/// What passed at the two readers of a terminal.
pub struct Tap {
    pub purse: Vec<Exchange>,
    /// INIT_SAM_FOR_PURCHASE and CREDIT_SAM_FOR_PURCHASE.
    pub module: Vec<Exchange>,
}

/// The demo's secure module, opened when its terminal was switched on.
fn module() -> CardPsam<Watched> {
    let file = include_str!("../../../examples/demo/psam.toml");
    let personalisation = Personalisation::from_text(file, Path::new("psam.toml"));
    let memory = Card::personalise(&personalisation.unwrap_or_else(|error| panic!("{error}")));
    let port = Watched::new(memory.unwrap().octets(), Interface::Contact);
    CardPsam::open(port, &SamApplication::default()).unwrap()
}

/// What the module did for each of its purchases.
fn purchases(module: CardPsam<Watched>) -> impl Iterator<Item = Vec<Exchange>> {
    let exchanges = module.into_port().exchanges;
    // READ BINARY and SELECT came when it was opened.
    let purchases: Vec<_> = exchanges[2..].chunks(2).map(<[Exchange]>::to_vec).collect();
    purchases.into_iter()
}

const SCHEME: Scheme<'_> = Scheme { aid: Aid::PURSE.octets(), profile: Profile::PBOC, uid: None };

fn order(amount: u32) -> Order {
    Order {
        key_index: 1,
        amount: Fen::new(amount),
        date: BcdDate(hex!("20261201")),
        time: BcdTime(hex!("200000")),
    }
}

/// A till takes 3.50 without a PIN: from SELECT to the answer of DEBIT.
pub fn sold(interface: Interface) -> Tap {
    let mut card = Watched::new(&memory(), interface);
    let side = match interface {
        Interface::Contact => Side::Contact,
        Interface::Contactless => Side::Contactless,
    };
    let mut psam = module();
    let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
    let till = Till { pin_free: Fen::new(1000), side };
    let debiting = till.sell(&mut purse, &order(350), None, &mut psam).unwrap();
    let Debit::Paid(receipt) = purse.debit(debiting, &mut psam) else { panic!("not paid") };
    assert_eq!((receipt.balance, receipt.unchecked), (Fen::new(9650), None));
    Tap { purse: card.exchanges, module: purchases(psam).next().unwrap() }
}

/// A gate lets a card in at station 1, and out at station 4 for 2.00.
pub fn passed() -> [Tap; 2] {
    let mut card = Watched::new(&memory(), Interface::Contactless);
    let mut psam = module();
    let fares = FareTable::new(Vec::new(), vec![(3, Fen::new(200))]);
    let [entry, exit] = [(1, Fen::new(10_000)), (4, Fen::new(9800))].map(|(station, left)| {
        card.exchanges.clear();
        let gate = Gate { station: Station(station), fares: &fares, sfi: 0x17, identifier: 0x21 };
        let mut purse = Purse::open(&mut card, &SCHEME).unwrap();
        let passage = match station {
            1 => gate.entry(&mut purse, &order(0), &mut psam),
            _ => gate.exit(&mut purse, &order(0), &mut psam),
        };
        let Debit::Paid(receipt) = purse.debit(passage.unwrap().debiting, &mut psam) else {
            panic!("not paid")
        };
        assert_eq!((receipt.balance, receipt.unchecked), (left, None));
        card.exchanges.clone()
    });
    let mut modules = purchases(psam);
    [entry, exit].map(|purse| Tap { purse, module: modules.next().unwrap() })
}
