// SPDX-License-Identifier: Apache-2.0
//! The file of a secure module: `kind = "psam"`.

use super::fields::{Fields, Problem};
use crate::psam::store::{KEYS, KeyUse, MasterKey, PsamStore};
use cam_types::{Secret, TerminalId};

/// Everything that a module does not have, for the objects beside it: no keys, no tries, blocked.
pub(super) const NO_CARD: &str = r#"
card_id = "0000000000000000"
pseudonym = "0000000000000000"
operator = 0
state = "blocked"
pin = "0000"
pin_tries = 0
clock = { now = 2000-01-01T00:00:00Z, sync = 2000-01-01T00:00:00Z }
purse = { serial = "00000000000000000000", balance = 0 }
"#;

/// Wrong MAC2s that a module takes, one after another, when the file does not say.
const TRIES: u8 = 10;

/// The fields of the file but `kind`.
pub(super) fn read(file: &mut Fields) -> Result<PsamStore, Problem> {
    let serial = file.octets("serial")?;
    let terminal = TerminalId::new(file.octets("terminal")?);
    let sequence = file.optional("terminal_sequence", Fields::number)?.unwrap_or(0);
    let tries = file.optional("mac_tries", Fields::number)?.unwrap_or(TRIES);
    if tries == 0 {
        return Err(file.wrong("mac_tries", "expected at least 1"));
    }
    let mut psam = PsamStore::new(serial, terminal, sequence, tries);
    file.tables("key", |key| {
        let (purpose, _) = KeyUse::ALL[key.one_of("use", &KeyUse::ALL.map(|(_, name)| name))?];
        let version = key.number("version")?;
        let value = Secret::new(key.octets("value")?);
        if psam.add(MasterKey::new(purpose, version, value)) {
            Ok(())
        } else {
            let why = format!("a key of this use and version is there already, or {KEYS} others");
            Err(key.wrong("version", why))
        }
    })?;
    Ok(psam)
}
