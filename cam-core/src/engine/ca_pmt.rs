// SPDX-License-Identifier: Apache-2.0
//! CA_PMT: the list of programmes that an EN 50221 host has chosen, and the reply to each object.
//!
//! Normative references:
//!  - EN 50221 §8.4.3.4 (CA_PMT), §8.4.3.5 (CA_PMT_Reply)

use crate::session::Session;
use crate::session::programme::Programme;
use crate::session::shown::with_left_out;
use crate::{AccessState, CardState, Engine, SessionError, SessionId};
use alloc::vec::Vec;
use cam_types::Instant;
use ecm_emm::ca_pmt::{CaPmt, CommandId, ListManagement};
use ecm_emm::card::AccessStatus;

/// The reply to an EN 50221 CA_PMT object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CaPmtReply {
    /// The session that the object opened or changed, if it is to be descrambled.
    pub session: Option<SessionId>,
    /// How the programme stands; `None` when the object selects no component of it.
    pub ca_enable: Option<CaEnable>,
}

/// CA_enable (EN 50221 §8.4.3.5): whether a programme can be descrambled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum CaEnable {
    /// It can, or nothing is known that speaks against it.
    Possible = 0x01,
    /// Once it is bought.
    Purchase = 0x02,
    /// Once the subscriber gave the PIN.
    Dialogue = 0x03,
    /// The card has no right to it, or it is no business of this card.
    NoRight = 0x71,
    /// Not as card, reader, descrambler or broadcast are now.
    Technical = 0x73,
}

impl CaEnable {
    fn of(reason: AccessStatus, card: CardState) -> Self {
        match AccessState::of(reason) {
            AccessState::Pending if card != CardState::Ready => Self::Technical,
            AccessState::Clear
            | AccessState::Granted
            | AccessState::Preview
            | AccessState::Pending => Self::Possible,
            AccessState::Purchasable => Self::Purchase,
            AccessState::Denied if reason == AccessStatus::RATING => Self::Dialogue,
            AccessState::Denied => Self::NoRight,
            AccessState::Technical => Self::Technical,
        }
    }
}

/// What an object wants, all components together.
enum Wish {
    Descramble,
    Query,
    Nothing,
}

impl Wish {
    /// Components without a command go with those that have one; an object without any is about a
    /// programme in clear.
    fn of(object: &CaPmt<'_>) -> Self {
        let any = |wanted: fn(CommandId) -> bool| {
            let of_streams = object.streams.iter().filter_map(|s| object.command_for(s));
            of_streams.into_iter().any(wanted)
        };
        match object.program.map(|program| program.command) {
            Some(CommandId::QUERY) if object.streams.is_empty() => Self::Query,
            _ if object.streams.is_empty() => Self::Nothing,
            _ if any(descrambles) || object.commands().next().is_none() => Self::Descramble,
            _ if any(|command| command == CommandId::QUERY) => Self::Query,
            _ => Self::Nothing,
        }
    }
}

/// ok_mmi is ok_descrambling: the dialogue is the host's, by offers and PIN.
fn descrambles(command: CommandId) -> bool {
    matches!(command, CommandId::OK_DESCRAMBLING | CommandId::OK_MMI)
}

impl Engine {
    /// Takes an EN 50221 CA_PMT object, list management included. What is refused touches nothing.
    pub fn ca_pmt(
        &mut self,
        now: Instant,
        source: u8,
        object: &[u8],
    ) -> Result<CaPmtReply, SessionError> {
        let object = CaPmt::parse(object).map_err(|why| {
            self.stats.table_malformed += 1;
            SessionError::Table(why)
        })?;
        check(&object)?;
        let session = match Wish::of(&object) {
            Wish::Descramble => Some(self.select(source, &object)),
            Wish::Query => {
                self.turn(now);
                return Ok(CaPmtReply { session: None, ca_enable: self.query(source, &object) });
            }
            Wish::Nothing => {
                self.deselect(source, &object)?;
                None
            }
        };
        self.turn(now);
        let session = session.transpose()?;
        let access = session.and_then(|id| self.access(id));
        let ca_enable = access.map(|access| CaEnable::of(access.reason, self.card.state));
        Ok(CaPmtReply { session, ca_enable })
    }

    fn select(&mut self, source: u8, object: &CaPmt<'_>) -> Result<SessionId, SessionError> {
        let wanted = |command: Option<CommandId>| command.is_none_or(descrambles);
        let programme = Programme::of_ca_pmt(object, wanted, &self.config.ca_system_ids);
        self.begin_list(source, object)?;
        let id = match self.listed(source, object.program_number) {
            Some(id) => {
                self.update(id, programme);
                id
            }
            None => self.open(source, programme)?,
        };
        if let Some(session) = self.sessions.find_mut(id) {
            session.list();
        }
        Ok(id)
    }

    fn deselect(&mut self, source: u8, object: &CaPmt<'_>) -> Result<(), SessionError> {
        self.begin_list(source, object)?;
        self.listed(source, object.program_number).map_or(Ok(()), |id| self.close(id))
    }

    /// "first" and "only" begin a new list: what the old one held and the new one does not repeat
    /// ends (EN 50221 §8.4.3.4). A list is taken up programme by programme, so an old session
    /// of this programme goes on.
    fn begin_list(&mut self, source: u8, object: &CaPmt<'_>) -> Result<(), SessionError> {
        if !matches!(object.list_management, ListManagement::FIRST | ListManagement::ONLY) {
            return Ok(());
        }
        let gone = |session: &&Session| {
            session.is_listed()
                && session.source() == source
                && session.programme().number() != object.program_number
        };
        let gone: Vec<SessionId> = self.sessions.iter().filter(gone).map(Session::id).collect();
        gone.into_iter().try_for_each(|id| self.close(id))
    }

    /// The session that a CA_PMT opened for this programme.
    fn listed(&self, source: u8, number: u16) -> Option<SessionId> {
        let mut of_programme = self.of_programme(source, number);
        of_programme.find(|session| session.is_listed()).map(Session::id)
    }

    fn of_programme(&self, source: u8, number: u16) -> impl Iterator<Item = &Session> + '_ {
        let of_source = self.sessions.iter().filter(move |session| session.source() == source);
        of_source.filter(move |session| session.programme().number() == number)
    }

    /// Answers from an open session of the programme, whoever opened it; else from what its
    /// descriptors say to the card.
    fn query(&self, source: u8, object: &CaPmt<'_>) -> Option<CaEnable> {
        if object.streams.is_empty() {
            return None;
        }
        let session = self.of_programme(source, object.program_number).next();
        let reason = session.map_or_else(
            || {
                let wanted = |command| command != Some(CommandId::NOT_SELECTED);
                let ours = &self.config.ca_system_ids;
                self.prospect(&Programme::of_ca_pmt(object, wanted, ours))
            },
            |session| session.access().reason,
        );
        Some(CaEnable::of(reason, self.card.state))
    }

    /// How the programme would stand in a session that was just opened.
    fn prospect(&self, programme: &Programme) -> AccessStatus {
        let plan = self.sessions.plan(programme);
        if plan.streams.is_empty() {
            return self.card.unserved(plan.left_out);
        }
        let told = plan.left_out.filter(|why| self.card.tells(*why));
        with_left_out(self.card.prospect(), told)
    }
}

/// What is not known is never taken for a wish to descramble.
fn check(object: &CaPmt<'_>) -> Result<(), SessionError> {
    let ListManagement(list) = object.list_management;
    if list > ListManagement::UPDATE.0 {
        return Err(SessionError::ListManagement(list));
    }
    let known = CommandId::OK_DESCRAMBLING.0..=CommandId::NOT_SELECTED.0;
    if let Some(CommandId(command)) = object.commands().find(|command| !known.contains(&command.0))
    {
        return Err(SessionError::Command(command));
    }
    if !object.current {
        return Err(SessionError::Next);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ca_enable_of_every_kind_of_reason() {
        use AccessStatus as Reason;
        use CaEnable::{Dialogue, NoRight, Possible, Purchase, Technical};
        for (reason, expected) in [
            (Reason::CLEAR, Possible),
            (Reason::PENDING, Possible),
            (Reason::GRANTED_SUBSCRIPTION, Possible),
            (Reason::GRANTED_FREE, Possible),
            (Reason::PREVIEW, Possible),
            (Reason::PURCHASABLE, Purchase),
            (Reason::RATING, Dialogue),
            (Reason::NO_RIGHT, NoRight),
            (Reason::UNKNOWN_OPERATOR, NoRight),
            (Reason::FOREIGN_SYSTEM, NoRight),
            (Reason::CARD_BLOCKED, NoRight),
            (Reason::CHANNELS, NoRight),
            (Reason::NO_CARD, Technical),
            (Reason::NO_KEY, Technical),
            (Reason::DESCRAMBLER, Technical),
            (Reason::TOO_MANY_STREAMS, Technical),
            (AccessStatus(0x6E), Technical),
        ] {
            assert_eq!(CaEnable::of(reason, CardState::Ready), expected, "{reason}");
        }
        // Nothing can be said while the card starts, but keys that are there are there.
        assert_eq!(CaEnable::of(Reason::PENDING, CardState::Starting), Technical);
        assert_eq!(CaEnable::of(Reason::GRANTED_EVENT, CardState::Starting), Possible);
    }
}
