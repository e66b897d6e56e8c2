// SPDX-License-Identifier: Apache-2.0
//! Everything that events tell, as it stands: for a host that has lost some of them.

use crate::Event;
use crate::engine::Engine;
use alloc::vec::Vec;

impl Engine {
    /// The events that bring a host that knows nothing to where things are: card, filters, rights,
    /// purse, each session's access, terms and offers, each purchase that has something to say, and
    /// a report that waits to be taken. What it is not told of is not there, offers above all.
    pub fn present_state(&self) -> Vec<Event> {
        let card = Event::Card { state: self.card.state, reason: self.card.reason };
        let mut events = Vec::from([card, Event::Filters, Event::Rights]);
        events.extend(self.purchases.wallet().map(Event::Wallet));
        for session in self.sessions.iter() {
            let (id, access) = (session.id(), session.access());
            events.push(Event::Access { session: id, access });
            events.push(Event::Terms { session: id, access });
            events.extend(session.on_sale().iter().map(|offer| Event::Offer(*offer)));
        }
        let purchases = self.purchases.standing();
        events.extend(purchases.map(|(txn, outcome)| Event::Purchase { txn, outcome }));
        events.extend(self.reports.standing().map(|(nonce, pages)| Event::Report { nonce, pages }));
        events
    }
}
