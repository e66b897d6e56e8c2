// SPDX-License-Identifier: Apache-2.0
//! Access is told when it shows something else, and what may be done with a programme when that
//! changes.

use crate::rig::card::key;
use crate::rig::{Rig, air};
use cam_core::{AccessStatus, Event, Remedy, SessionId};

/// What an event of the access carries, for this session.
fn told(events: &[Event], of: SessionId) -> Vec<(AccessStatus, Remedy, bool)> {
    let told = events.iter().filter_map(|event| match event {
        Event::Access { session, access } if *session == of => {
            Some((access.reason, access.remedy, access.crypto_period.is_some()))
        }
        _ => None,
    });
    told.collect()
}

/// A crypto period more is no news: the session stands as it did.
#[test]
fn access_is_told_when_it_shows_something_else() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    for period in 4..12 {
        rig.carousel(air::NEWS_ECM, &air::news_ecm(period), 2000);
    }
    assert_eq!(rig.engine.access(news).unwrap().crypto_period, Some(11), "asked for, it is there");
    let events = rig.take_events();
    assert_eq!(
        told(&events, news),
        [
            (AccessStatus::PENDING, Remedy::Wait, false),
            (AccessStatus::GRANTED_SUBSCRIPTION, Remedy::None, true)
        ]
    );
}

/// Whoever records or plays out hears of it, while the access stands as it did.
#[test]
fn terms_are_told_when_they_change() {
    let mut rig = Rig::ready();
    let news = rig.open(&air::news());
    for (period, rating) in [(4, 0), (5, 12), (6, 12), (7, 0)] {
        let ecm = air::rated_ecm(1, 1, period, &key(0x20), air::package(1), rating);
        rig.carousel(air::NEWS_ECM, &ecm, 2000);
    }
    let events = rig.take_events();
    assert_eq!(told(&events, news).len(), 2);
    let ratings: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Terms { session, access } if *session == news => Some(access.rating),
            _ => None,
        })
        .collect();
    // With the first answer the end of the right is told, too.
    assert_eq!(ratings, [0, 12, 0]);
}
