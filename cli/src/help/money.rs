// SPDX-License-Identifier: Apache-2.0
//! What follows the options of the money commands: examples that `tests/money_help.rs` types, and
//! what holds for all of them.

pub(crate) const WALLET: &str = "\
Examples, with a virtual card, in the project's own folder; everything is made in target/bench:
  mkdir -p target/bench
  vcard personalise --from examples/demo/card.toml --memory target/bench/card.nvm
  vcard serve --memory target/bench/card.nvm --link target/bench/card0 &
  cp examples/wallet/* target/bench

  stbcam wallet balance --reader serial:target/bench/card0
  stbcam wallet load --amount 20.00 --pin - --reader serial:target/bench/card0 \\
      --keys target/bench/keys.toml --terminal 001122334455
  stbcam wallet purchase --amount 12.34 --reader serial:target/bench/card0 \\
      --keys target/bench/keys.toml --terminal 001122334455
  stbcam wallet log --reader serial:target/bench/card0

The PIN of that card is in its file. The same card over its antenna, when nobody serves its contacts any more
(`kill %1`); commands wait at the address, and the card comes there, to the first one within 3 s:
  vcard serve --memory target/bench/card.nvm --vpcd 127.0.0.1:35963 --slot contactless &
  stbcam wallet balance --wait --reader vpcd:127.0.0.1:35963

Commands and what they need:
  balance, log   a reader
  load           keys of role load; at contacts the PIN
  purchase       keys of role purchase, or a PSAM; over the card's own limits the PIN
  capp           the same, and the records
  prove          the state directory of the terminal that has something to settle
  settle         the same directory, and who says so; no card
  pin-change     both PINs

Keys (--keys FILE), in TOML; no message ever shows a value of it:
  [[key]]
  role = \"purchase\"       # purchase (DPK), load (DLK), tac (DTK: to check TACs)
  version = 1             # as the card names it in INITIALIZE; 1 unless told
  master = \"0011…EEFF\"    # cards' keys come from it by --profile; or card = \"…\", one card's own

Before money may move the transaction is written to the state directory (--state), and taken off it when
its outcome is known. When an answer is lost, the card is reset and asked at once. When that does not help
the exit status is 4: put the card back and ask with `prove`; where the card can tell no more, enter what the
acquirer says with `settle`. Any later transaction with that card asks it
first, tells what had become of the earlier one, and ends with status 5.

Exit status: 0 done; 1 failed; 2 wrong command line, file or PIN as typed; 3 refused by card, PSAM, host or
terminal; 4 not settled, money may have moved; 5 an earlier transaction was settled first. With 1, 2, 3 and 5
no money has moved by this command.";

pub(crate) const LOAD: &str = "\
Examples (`stbcam wallet --help` says how to come by the card):
  stbcam wallet load --amount 20.00 --pin - --reader serial:target/bench/card0 \\
      --keys target/bench/keys.toml --terminal 001122334455
  stbcam wallet load --batch target/bench/batch.csv --pin - --reader serial:target/bench/card0 \\
      --keys target/bench/keys.toml --terminal 001122334455

A batch is CSV, one serial,amount,reference a line, or TOML ([[load]] with these three as text). A reference
is loaded once, whatever happens: FILE.journal has its intent before CREDIT goes out and its outcome after,
and what is not settled there is settled by the card before anything else. Run the batch again after a crash,
or to try refused entries again; change no entry that was begun. With --pin - each card's PIN is the next line.
The last line has the sums. Exit status: 0 all are loaded; 1 entries wait for their cards; 3 some were
refused; 4 some are not settled.

At contacts our card wants the PIN before a load, over the antenna it does not.";

pub(crate) const PURCHASE: &str = "\
Examples (`stbcam wallet --help` says how to come by the card):
  stbcam wallet purchase --amount 12.34 --reader serial:target/bench/card0 \\
      --keys target/bench/keys.toml --terminal 001122334455
  With a PSAM at a second reader instead of a purchase key:
    vcard personalise --from examples/demo/psam.toml --memory target/bench/psam.nvm
    vcard serve --memory target/bench/psam.nvm --link target/bench/psam0 &
    stbcam wallet purchase --amount 12.34 --reader serial:target/bench/card0 \\
        --psam serial:target/bench/psam0 --state target/bench/stbcam-state

The receipt has the balance before and after, both numbers, and the TAC, which is checked when a key of role
tac is there. What follows is what the card has shown of the conventions that cards differ in.";

pub(crate) const CAPP: &str = "\
Example (`stbcam wallet --help` says how to come by the card): a record of 18 octets, for nothing
  stbcam wallet capp --amount 0.00 --record 221000112233445566778899AABBCCDDEEFF \\
      --reader serial:target/bench/card0 --keys target/bench/keys.toml --terminal 001122334455

Money and records change in one transaction, or nothing does. A record is written over the one with the same
first octet, or with --number over that one.";

pub(crate) const PROVE: &str = "\
Examples (`stbcam wallet --help` says how to come by the card):
  stbcam wallet prove --reader serial:target/bench/card0 --keys target/bench/keys.toml
  stbcam wallet prove --sequence 1 --type 06 --reader serial:target/bench/card0 \\
      --keys target/bench/keys.toml

Without --sequence: what is in the state directory for this card is settled. The card is asked for its proof
under the number after the transaction, then under the one before; MAC or TAC must check. Where neither can,
its counter, its balance and its log decide, or the transaction stays not settled (exit status 4). When the
card can tell no more, the message says so, and `stbcam wallet settle` takes the acquirer's word.";

pub(crate) const SETTLE: &str = "\
Examples: what is open, and the acquirer's word on it
  stbcam wallet settle --keys target/bench/keys.toml
  stbcam wallet settle --serial 90000000000000004711 --not-made --by 'acquirer, desk 4' \\
      --why 'not in the clearing of 2026-12-01' --keys target/bench/keys.toml

For a transaction of which its card can tell no more: it has moved on, or it is lost. Ask the card first
(`prove`). No card is needed, and none is told: --made and --not-made move no money, they say what has
moved. Who, why and when stay in the state directory (verdict-…), or for an entry of a batch in its journal;
say no PIN there and no key. What is settled so is not asked again.

Without --made and --not-made: what is open. Exit status 2: nothing is open there, and what is.";

pub(crate) const GATE: &str = "\
Examples (`stbcam wallet --help` says how to come by the card):
  stbcam gate entry --station 1 --fares target/bench/fares.toml --reader serial:target/bench/card0 \\
      --keys target/bench/keys.toml --terminal 001122334455
  stbcam gate exit --station 3 --fares target/bench/fares.toml --reader serial:target/bench/card0 \\
      --keys target/bench/keys.toml --terminal 001122334455
  One traveller after the other over the antenna (Ctrl-C ends it):
    vcard serve --memory target/bench/card.nvm --vpcd 127.0.0.1:35963 --slot contactless &
    stbcam gate entry --loop --station 1 --fares target/bench/fares.toml --reader vpcd:127.0.0.1:35963 \\
        --keys target/bench/keys.toml --terminal 001122334455

The entry is a compound purchase of nothing that writes the card's transit record, the exit one of the fare.
The gate stays shut (exit status 3, no money has moved) for a card that is inside already, that wants out and
has not come in, that does not cover the fare (at entry: the least of all fares), or whose way has no fare.
A card whose last passage is not settled is asked first.

Fares (--fares FILE), in TOML:
  [[fare]]                # a pair of stations, both ways
  from = 1
  to = 9
  fare = \"12.00\"
  [[band]]                # every other pair, by the number of stops
  stops = 3
  fare = \"2.00\"";

pub(crate) const TILL: &str = "\
Examples (`stbcam wallet --help` says how to come by the card):
  stbcam till --amount 9.90 --reader serial:target/bench/card0 --keys target/bench/keys.toml \\
      --terminal 001122334455
  stbcam till --amount 60.00 --pin - --reader serial:target/bench/card0 --keys target/bench/keys.toml \\
      --terminal 001122334455

Up to --pin-free no PIN is asked for. Above it the PIN is verified first, at contacts only: over the antenna
the till says that the card is to be inserted. Cards have limits of their own, and may want the PIN earlier.";
