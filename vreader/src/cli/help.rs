// SPDX-License-Identifier: Apache-2.0
//! What follows the options in `vcard --help`.

use std::fmt::Write as _;
use vcard::Fault;
use vreader::script::GRAMMAR;

pub(super) fn help() -> String {
    let mut text = String::from(HELP);
    for fault in Fault::ALL {
        let _ = writeln!(text, "  {:<22}{}", fault.name(), fault.about());
    }
    text.push_str(SCRIPT);
    text.push_str(GRAMMAR);
    text.push_str(HELP_END);
    text
}

const HELP: &str = "\
Examples:
  A card that is paired, and the box's half, in a new directory; then put it into a reader that a
  box opens as serial:demo/card0, with demo/box.txt and demo/state (player --help):
    vcard demo --out demo
    vcard serve --memory demo/card.nvm --link demo/card0
  Make a card, and put it into a reader that a set-top box opens as /tmp/card0:
    vcard personalise --from examples/demo/card.toml --memory card.nvm
    vcard serve --memory card.nvm --link /tmp/card0
  The same at the speed of a real line, recorded, and with a hand at the card:
    vcard serve --memory card.nvm --link /tmp/card0 --pace --record line.txt --control /tmp/card0.ctl
    echo remove | nc -U -q 1 /tmp/card0.ctl
  In a GemPC Twin reader, which pcscd reads with Debian's libccid, and in pcscd's vpcd:
    vcard serve --memory card.nvm --line gempc-twin --link /tmp/card0
    vcard serve --memory card.nvm --vpcd 127.0.0.1:35963
  The secure module of a terminal (PSAM), in a reader of its own:
    vcard personalise --from examples/demo/psam.toml --memory psam.nvm
    vcard serve --memory psam.nvm --link /tmp/psam0
  What is on the card, when nobody serves it:
    vcard inspect --memory card.nvm

Control commands (serve --control SOCKET), one a line; each is answered by one line of JSON,
{\"ok\":true,...} or {\"ok\":false,\"error\":\"...\"}:
  cut before-commit   The next purchase that debits loses the card's power before it is written:
                      nothing was paid. The card is mute until the next reset.
  cut after-commit    The same after it is written and before the answer: it was paid, and only
                      the card knows.
  remove              Pulls the card: mute at once, and no answer to reset.
  insert              Puts it back: it answers the next reset.
  unplug              Pulls the reader's cable: its port is gone, as when a USB reader is pulled.
  plug                Plugs the reader in again: a new port, and the same link to it.
  status              Tells the balance in fen, sequence numbers, debits (\"transactions\"), PIN
                      tries, memory commits and page writes since the start, a digest of the
                      whole memory, and the state of the line.
  quit                Ends the process as a signal would.

Faults (serve --fault NAME), to see that somebody notices:
";

const SCRIPT: &str = "
Fault scripts (serve --script FILE): one fault a line, PLACE NUMBER FAULT, # begins a comment.
Over vpcd there are commands only, and of their faults delay, mute and remove; who is mute there
leaves for a second. An octet that the card gets with wrong parity is lost on T=0, spoils its block
on T=1, and in a PPS request makes the card mute.
  card 14 damage                      # on the way to the terminal
  command 3 wtx 20 5                  # the third command takes a while
  command 2/1 unplug 2000             # the first command after the second reset
";

const HELP_END: &str = "
The environment variable RUST_LOG (error, warn, info, debug) says what is logged to standard error.
Exit status: 0 done, also after SIGTERM or SIGINT; 1 failed, standard error names the file; 2 the
command line is wrong.";
