// SPDX-License-Identifier: Apache-2.0
//! What a hand does to the card: the commands of the control socket, carried out.

use super::port::Port;
use super::power::Supply;
use super::{Front, ServeError, Server};
use crate::control::{Command, Control, refusal};
use crate::gempc::{self, Presence};
use crate::os::Request;
use cam_types::Instant;
use serde_json::json;
use vcard::Cut;

impl Server {
    /// Commands of the control socket; false after `quit`.
    pub(super) fn commands(&mut self) -> Result<bool, ServeError> {
        let commands = self.control.as_mut().map(Control::commands).unwrap_or_default();
        let now = self.now();
        for (client, command) in commands {
            let answer = match command {
                Command::Cut(cut) => {
                    self.os.request(self.life, Request::ArmCut(cut));
                    json!({ "ok": true, "cut": name(cut) })
                }
                Command::Remove if self.inserted => {
                    self.remove(now)?;
                    json!({ "ok": true, "inserted": false })
                }
                Command::Remove => refusal("remove: there is no card in the reader"),
                Command::Insert if !self.inserted => {
                    self.insert(now)?;
                    json!({ "ok": true, "inserted": true })
                }
                Command::Insert => refusal("insert: the card is in the reader already"),
                Command::Unplug if self.port.is_some() => {
                    self.unplug(now);
                    json!({ "ok": true, "plugged": false })
                }
                Command::Unplug => refusal("unplug: the reader is unplugged already"),
                Command::Plug if self.port.is_none() => match self.plug() {
                    Ok(()) => json!({ "ok": true, "plugged": true, "port": self.path }),
                    Err(error) => refusal(&format!("plug: {error}")),
                },
                Command::Plug => refusal("plug: the reader is plugged in already"),
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

    /// Pulls the card.
    pub(super) fn remove(&mut self, now: Instant) -> Result<(), ServeError> {
        self.inserted = false;
        self.power_off(now);
        self.tell_front(now, gempc::Input::Removed)
    }

    /// Puts the card back.
    pub(super) fn insert(&mut self, now: Instant) -> Result<(), ServeError> {
        self.insert_at = None;
        self.inserted = true;
        self.tell_front(now, gempc::Input::Inserted)
    }

    /// Pulls the reader's cable, and with it the card's power.
    pub(super) fn unplug(&mut self, now: Instant) {
        self.port = None;
        self.held = false;
        self.power_off(now);
    }

    /// Plugs the reader in again: it starts anew.
    pub(super) fn plug(&mut self) -> Result<(), ServeError> {
        self.plug_at = None;
        let port = Port::create(self.link.as_deref())?;
        self.path = port.pty.path().to_owned();
        self.port = Some(port);
        let presence = if self.inserted { Presence::Present } else { Presence::Absent };
        self.front = Front::new(self.kind, &self.initial, presence);
        Ok(())
    }

    pub(super) fn answer_status(
        &mut self,
        client: u64,
        mut status: serde_json::Map<String, serde_json::Value>,
    ) {
        let power = match (&self.supply, self.inserted, self.held) {
            _ if self.port.is_none() => "unplugged",
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
pub(super) const fn name(cut: Cut) -> &'static str {
    match cut {
        Cut::BeforeCommit => "before-commit",
        Cut::AfterCommit => "after-commit",
    }
}
