//! CA_PMT: the list of programmes that an EN 50221 host has chosen, and the reply to each object.

use alloc::vec::Vec;

use cam_types::Instant;
use ecm_emm::ca_pmt::{CaPmt, CommandId, ListManagement};
use ecm_emm::card::AccessStatus;

use crate::programme::Programme;
use crate::session::Session;
use crate::{CardState, Engine, SessionError, SessionId};

/// The reply to an EN 50221 CA_PMT object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CaPmtReply {
    /// The session that the object opened or changed, if it is to be descrambled.
    pub session: Option<SessionId>,
    /// CA_enable (EN 50221 §8.4.3.5): 01 possible, 02 with purchase, 03 with dialogue, 71 no
    /// right, 73 technical.
    pub ca_enable: u8,
}

impl Engine {
    /// Takes an EN 50221 CA_PMT object, list management included.
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
        let programme = Programme::of_ca_pmt(
            &object,
            |command| command.is_none_or(|command| command == CommandId::OK_DESCRAMBLING),
            &self.config.ca_system_ids,
        );
        let listed = |session: &Session| session.listed && session.source == source;
        // "first" and "only" begin a new list: what the old one held and the new one does not repeat
        // ends (EN 50221 §8.4.3.4). A list is taken up programme by programme, so an old session
        // of this programme goes on.
        if matches!(object.list_management, ListManagement::FIRST | ListManagement::ONLY) {
            let gone: Vec<SessionId> = self
                .sessions
                .iter()
                .filter(|session| listed(session) && session.programme.number != programme.number)
                .map(|session| session.id)
                .collect();
            for id in gone {
                self.close(id)?;
            }
        }
        let known = self
            .sessions
            .iter()
            .find(|session| listed(session) && session.programme.number == programme.number)
            .map(|session| session.id);
        let mut infos = object.program.iter().chain(object.streams.iter().flat_map(|s| &s.info));
        let first_command = infos.next().map(|info| info.command);
        let reply = match first_command {
            Some(CommandId::NOT_SELECTED) => {
                if let Some(id) = known {
                    self.close(id)?;
                }
                CaPmtReply { session: None, ca_enable: 0 }
            }
            Some(CommandId::QUERY) => {
                let plan = programme.plan(&self.abilities);
                let technical = self.card.state != CardState::Ready;
                let ca_enable = match (
                    plan.streams.is_empty() && programme.unserved() != AccessStatus::CLEAR,
                    technical,
                ) {
                    (true, _) => 0x71,
                    (false, true) => 0x73,
                    (false, false) => 0x01,
                };
                CaPmtReply { session: None, ca_enable }
            }
            _ => {
                let id = match known {
                    Some(id) => {
                        self.update(id, programme);
                        id
                    }
                    None => self.open(source, programme)?,
                };
                if let Some(session) = self.sessions.find_mut(id) {
                    session.listed = true;
                }
                CaPmtReply { session: Some(id), ca_enable: 0x01 }
            }
        };
        self.turn(now);
        Ok(reply)
    }
}
