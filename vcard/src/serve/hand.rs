//! What a hand does to the card: the commands of the control socket, carried out.

use super::{ServeError, Server, Supply};
use crate::Cut;
use crate::control::{Command, refusal};
use crate::os::Request;
use serde_json::json;

impl Server {
    /// Commands of the control socket; false after `quit`.
    pub(super) fn commands(&mut self) -> Result<bool, ServeError> {
        let Some(control) = &mut self.control else { return Ok(true) };
        for (client, command) in control.commands() {
            let answer = match command {
                Command::Cut(cut) => {
                    self.os.request(self.life, Request::ArmCut(cut));
                    json!({ "ok": true, "cut": name(cut) })
                }
                Command::Remove if self.inserted => {
                    self.inserted = false;
                    self.power_off(self.now());
                    json!({ "ok": true, "inserted": false })
                }
                Command::Remove => refusal("remove: there is no card in the reader"),
                Command::Insert if !self.inserted => {
                    self.inserted = true;
                    json!({ "ok": true, "inserted": true })
                }
                Command::Insert => refusal("insert: the card is in the reader already"),
                Command::Status => {
                    self.os.request(self.life, Request::Status(client));
                    continue;
                }
                Command::Quit => json!({ "ok": true }),
            };
            if let Some(control) = &mut self.control {
                control.answer(client, &answer);
            }
            if command == Command::Quit {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn answer_status(
        &mut self,
        client: u64,
        mut status: serde_json::Map<String, serde_json::Value>,
    ) {
        let power = match (&self.supply, self.inserted, self.held) {
            (_, false, _) => "removed",
            (_, true, true) => "reset",
            (Supply::Off, true, false) => "mute",
            (Supply::Starting { .. }, true, false) => "starting",
            (Supply::On, true, false) => "on",
        };
        status.insert("ok".into(), true.into());
        status.insert("card".into(), power.into());
        status.insert("resets".into(), self.resets.into());
        status.insert("bit_rate".into(), self.params.baud().into());
        status.insert("octets_from_terminal".into(), self.received.into());
        status.insert("octets_from_card".into(), self.sent.into());
        if let Some(control) = &mut self.control {
            control.answer(client, &status.into());
        }
    }
}

/// A point of power cut as the control command spells it.
const fn name(cut: Cut) -> &'static str {
    match cut {
        Cut::BeforeCommit => "before-commit",
        Cut::AfterCommit => "after-commit",
    }
}
