// SPDX-License-Identifier: Apache-2.0
//! What follows the options in `--help`.
mod money;

pub(crate) use money::{CAPP, GATE, LOAD, PROVE, PURCHASE, SETTLE, TILL, WALLET};

use crate::secrets;
use stb_shim::readers;

/// `stbcam --help`
pub(crate) fn general() -> String {
    format!("{GENERAL}{}{GENERAL_JSON}{}{GENERAL_END}", readers::help(), secrets::list())
}

const GENERAL: &str = "\
Examples:
  What card is this?
    stbcam atr --explain --reader serial:/dev/ttyUSB0
    stbcam atr --explain --hex '3B D6 18 FF 81 31 FE 25 53 54 42 43 41 4D 50'
  Select the conditional access application and ask it who it is, with a trace:
    stbcam apdu 00A4040008F05354424341530100 8032000000 --reader serial:/dev/ttyUSB0 --trace -
  Does the detect line work, and does the card survive being pulled?
    stbcam card watch --reader 'serial:/dev/ttyUSB0?detect=!cts'
  Can this port run a card with TA1 96?
    stbcam line test --reader 'serial:/dev/ttyS0?clock=3579545'
  How much is in the purse? (`stbcam wallet --help` begins with a virtual card)
    stbcam wallet balance --reader serial:/dev/ttyUSB0

Readers (--reader URL), as libstbcam takes them:
";

const GENERAL_JSON: &str = "
JSON (--json): one object a line. Its field \"event\" names it; octets are hexadecimal in pairs.
  atr       atr, odd (null: nothing is); with a reader line: protocol, level (characters, tpdu, apdu)
            and, unless the reader sees to that, f, d, bit_rate, guard_etu, convention, clock
  octets    at, octets, name, meaning
  response  command, data, sw (null on T=14), meaning, ms
  card      t, state (absent, inserted, up, unknown, mute, removed), atr, why
  reader    t, state (watching, unplugged, replugged), why
  port      port, kind, driver, lines (name, high), reset, detect, clock, baud_base, parity (errors are
            seen), low_latency, latency_timer; null: not known, or nothing to know
  rate      f, d, ta1, wanted, made, error_percent, usable
  latency   of (echo, atr, apdu), count, median_ms, worst_ms, line_ms (null: the reader's business)
  balance   balance (the holder's own; negative when overdrawn, null: the card does not say), drawable, coding
            (pboc, low31, overdraft; null: not known), serial. Amounts are text, as in \"12.34\"
  logged    file (18 the log, 1A loads of cards that log them apart), number, sequence, kind, type, amount,
            terminal, date, time
  paid      serial, kind, type, amount, terminal, date, time, before, after, card_sequence (before it),
            terminal_sequence, tac, tac_check (right, wrong, no_key, not_shown), mac2, balance_check (of the
            balance after it, as GET BALANCE tells), held (where it is wrong), settled_by, ms
  loaded    the same without terminal_sequence and mac2
  passed    the same as paid; way, station, from, fare
  settled   outcome (made, not_made, open), serial, kind, type, amount, terminal, date, time, after,
            terminal_sequence, settled_by
  shown     shown: on which side of what cards disagree about this one was met
  proven    sequence, type, mac, tac
  entry     reference, serial, amount, outcome (loaded, refused, unsettled), after, tac, why
  batch     entries, loaded, loaded_sum, earlier, refused, unsettled, unsettled_sum, waiting
  note      note: why something was not measured, or what there was nothing of
  trace     t, what (reset, off, runs, sent, received, ready, command, response, failed), octets, text
  error     error; standard error says the same

These commands may carry a PIN or a key. Neither the trace nor `apdu` shows their data, nor the trace
the characters of their exchange; every octet is two dots:
";

const GENERAL_END: &str = "
The environment variable RUST_LOG (error, warn, info, debug) says what is logged to standard error.
Exit status: 0 done; 1 failed, standard error says why; 2 the command line is wrong; 3 the card's last
answer was an error, or card, PSAM or terminal said no to a transaction; 4 a transaction is not settled:
money may have moved; 5 an earlier one was settled first, and this one has not begun. With all but 0 and 4
no money has moved by the command; a batch tells of each entry.";

pub(crate) const ATR_USAGE: &str = "\
stbcam atr [OPTIONS] --reader <URL>
       stbcam atr [OPTIONS] --hex <HEX>";

pub(crate) const ATR: &str = "\
Examples:
  stbcam atr --reader 'serial:/dev/ttyUSB0?clock=6000000'
  stbcam atr --explain --hex 3F672500212000400F689F00 --clock 6000000

With a reader the first line is the answer to reset, the second how the line has run since: protocol,
rate and guard time after PPS. With --explain one line follows for every octet: the octet, its name in
ISO/IEC 7816-3, what it says to a reader with this clock. What is odd but tolerated is told in a line
\"odd:\". When the card does not come up, what it sent is explained all the same.";

pub(crate) const APDU: &str = "\
Examples:
  stbcam apdu '00 A4 04 00 08 F053544243415301 00' '80 32 00 00 00' --reader serial:/dev/ttyUSB0
  stbcam apdu --reader serial:/dev/ttyUSB0 - < dialogue.txt

The card is reset, then the APDUs are sent in order; after each its answer: data, status word, what
that says, how long it took. 61xx and 6Cxx are followed by the card line. On standard input # begins a
comment. Nothing is sent before all APDUs are known to be well-formed, and nothing twice: when a command
fails the message says whether the card may have executed it.

Exit status 3: the last status word was not 90xx, 61xx, 62xx or 63xx.";

pub(crate) const WATCH: &str = "\
Example:
  stbcam card watch --json --reader serial:/dev/ttyUSB0

One line for each change, with seconds since the start: card inserted, card is up (with its answer to
reset), unknown card (it answers, but not to be used; why), card is mute, card removed, no card (at the
start), reader unplugged, reader plugged in again. Without a detect line the card is sent GET RESPONSE every 400 ms,
and whether it is mute or gone cannot be told.

SIGINT or SIGTERM: exit status 0, and the card is switched off.";

pub(crate) const LINE: &str = "\
Example:
  stbcam line test --reader 'serial:/dev/ttyUSB0?echo=1'

Needs no card. It tells the modem lines and what is used for reset and detect, the kind of UART, whether
parity errors are seen, whether low latency is set and how; for the usual F and D at this clock the bit
rate that a card needs, what the port makes of it, the error, and whether the card line would use it (at
most 2 % off); the latency of a character where the reader echoes, and, if a card is in, of its answer to
reset and of a short APDU, beside the time that their characters take on the line.";
