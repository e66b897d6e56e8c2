// SPDX-License-Identifier: Apache-2.0
//! The data field of a command: its length, and what is in it.

use crate::stop::Stop;
use cam_types::{BcdDate, BcdTime, Reader};
use iso7816::apdu::{Command, StatusWord};
use wallet::Mac;

/// P1, P2 and the length of the data field.
pub(super) fn expect(command: &Command<'_>, p1: u8, p2: u8, len: usize) -> Result<(), Stop> {
    if (command.p1, command.p2) != (p1, p2) {
        Err(StatusWord::WRONG_P1P2.into())
    } else if command.data.len() != len {
        Err(StatusWord::WRONG_LENGTH.into())
    } else {
        Ok(())
    }
}

/// Date and time of a transaction.
pub(super) fn date_time(r: &mut Reader<'_>) -> Result<(BcdDate, BcdTime), Stop> {
    let wrong = |_| Stop::Status(StatusWord::WRONG_LENGTH);
    Ok((BcdDate(*r.array("date").map_err(wrong)?), BcdTime(*r.array("time").map_err(wrong)?)))
}

/// The MAC at the end.
pub(super) fn mac(r: &mut Reader<'_>) -> Result<Mac, Stop> {
    Ok(Mac(*r.array("MAC").map_err(|_| StatusWord::WRONG_LENGTH)?))
}
