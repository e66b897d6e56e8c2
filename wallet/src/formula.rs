// SPDX-License-Identifier: Apache-2.0
//! What the MACs and TACs of purse and passbook are made over.
//!
//! Sequence numbers are the ones that INITIALIZE returned, before they are counted up.

use crate::keys::SessionKey;
use crate::mac::Mac;
use crate::overdraft_limit::OverdraftLimit;
use crate::transaction::{Transaction, TransactionType};
use alloc::vec::Vec;
use cam_types::{Fen, TerminalId, TerminalSequence};

/// MAC1 of a load or an unload: the card shows its balance to the host.
pub fn mac1_load(
    session: &SessionKey,
    old_balance: Fen,
    amount: Fen,
    kind: TransactionType,
    terminal: TerminalId,
) -> Mac {
    session.mac(&concat(&[
        &old_balance.to_be_bytes(),
        &amount.to_be_bytes(),
        &[kind.0],
        terminal.octets(),
    ]))
}

/// MAC2 of a load or an unload: the host authorises it.
pub fn mac2_load(session: &SessionKey, load: &Transaction) -> Mac {
    session.mac(&load.octets())
}

/// TAC of a load, under the folded TAC key.
pub fn tac_load(
    tac_key: &SessionKey,
    new_balance: Fen,
    online_sequence: [u8; 2],
    load: &Transaction,
) -> Mac {
    tac_key.mac(&tac_load_input(new_balance, online_sequence, load))
}

/// What the TAC of a load is made over.
pub fn tac_load_input(new_balance: Fen, online_sequence: [u8; 2], load: &Transaction) -> Vec<u8> {
    concat(&[&new_balance.to_be_bytes(), &online_sequence, &load.octets()])
}

/// MAC1 of a purchase: the terminal's PSAM authorises it.
pub fn mac1_purchase(session: &SessionKey, purchase: &Transaction) -> Mac {
    session.mac(&mac1_purchase_input(purchase))
}

/// What MAC1 of a purchase is made over; cards of the MOHURD profile have their authentication code
/// behind it.
pub fn mac1_purchase_input(purchase: &Transaction) -> Vec<u8> {
    purchase.octets().to_vec()
}

/// MAC2 of a purchase: the card has paid.
pub fn mac2_purchase(session: &SessionKey, amount: Fen) -> Mac {
    session.mac(&amount.to_be_bytes())
}

/// TAC of a purchase, under the folded TAC key.
pub fn tac_purchase(
    tac_key: &SessionKey,
    purchase: &Transaction,
    terminal_sequence: TerminalSequence,
) -> Mac {
    tac_key.mac(&tac_purchase_input(purchase, terminal_sequence))
}

/// What the TAC of a purchase is made over, under whatever algorithm.
pub fn tac_purchase_input(purchase: &Transaction, terminal_sequence: TerminalSequence) -> Vec<u8> {
    concat(&[
        &purchase.amount.to_be_bytes(),
        &[purchase.kind.0],
        purchase.terminal.octets(),
        &terminal_sequence.to_be_bytes(),
        &purchase.date.0,
        &purchase.time.0,
    ])
}

/// MAC3 of an unload: the card has given the money back. Its input is that of a load's TAC.
pub fn mac3_unload(
    session: &SessionKey,
    new_balance: Fen,
    online_sequence: [u8; 2],
    unload: &Transaction,
) -> Mac {
    session.mac(&tac_load_input(new_balance, online_sequence, unload))
}

/// MAC1 of an update of the overdraft limit: the card shows balance and limit to the host.
pub fn mac1_overdraft(
    session: &SessionKey,
    balance: Fen,
    old_limit: OverdraftLimit,
    terminal: TerminalId,
) -> Mac {
    session.mac(&concat(&[
        &balance.to_be_bytes(),
        &old_limit.to_be_bytes(),
        &[TransactionType::OVERDRAFT.0],
        terminal.octets(),
    ]))
}

/// MAC2 of an update of the overdraft limit, whose transaction's amount is the new limit: the host
/// authorises it.
pub fn mac2_overdraft(session: &SessionKey, update: &Transaction) -> Mac {
    session.mac(&overdraft_input(update))
}

/// What the TAC of an update of the overdraft limit is made over.
pub fn tac_overdraft_input(
    new_balance: Fen,
    online_sequence: [u8; 2],
    update: &Transaction,
) -> Vec<u8> {
    concat(&[&new_balance.to_be_bytes(), &online_sequence, &overdraft_input(update)])
}

fn overdraft_input(update: &Transaction) -> Vec<u8> {
    let [_, limit @ ..] = update.amount.to_be_bytes();
    concat(&[&limit, &[update.kind.0], update.terminal.octets(), &update.date.0, &update.time.0])
}

fn concat(fields: &[&[u8]]) -> Vec<u8> {
    fields.concat()
}
