#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input says what was wrong and where, exits non-zero, and leaves nothing half done.

    check_bad_input.py DIR        scratch folder
"""

import fcntl
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import tty
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / "target" / "release"
DEMO = ROOT / "examples" / "demo"
SOURCE = ROOT / "examples" / "media" / "two-services.ts"

passed = failed = 0


def expect(name, command, *patterns):
    """The command fails, by its own will, and its message holds each pattern."""
    global passed, failed
    run = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60,
                         stdin=subprocess.DEVNULL, check=False)
    said = run.stderr + run.stdout
    missing = [p for p in patterns if not re.search(p, said)]
    good = run.returncode in range(1, 100) and not missing and "panicked" not in said
    passed, failed = passed + good, failed + (not good)
    print(f"{'ok     ' if good else 'FAILED '} {name}: {run.stderr.strip().splitlines()[-1] if run.stderr.strip() else said[-200:]}")
    if not good:
        print(f"         status {run.returncode}, missing {missing}\n{said[-800:]}")


def nothing_made(name, *paths):
    """What was refused has left nothing behind."""
    global passed, failed
    there = [path.name for path in paths if path.exists()]
    passed, failed = passed + (not there), failed + bool(there)
    print(f"{'FAILED ' if there else 'ok     '} {name}: {', '.join(there) or 'nothing is there'}")


def changed(original, path, pattern, replacement):
    text = original.read_text()
    new = re.sub(pattern, replacement, text, count=1, flags=re.M)
    assert new != text, f"{pattern} does not occur in {original.name}"
    path.write_text(new)
    return path


def package(schedule, source, out):
    return [BIN / "headend", "package", "--schedule", schedule, "--operator", DEMO / "operator.toml",
            "--in", source, "--out", out / "x.ts", "--report", out / "x.json"]


def player(out, reader, stream, box):
    state = out / "state"
    state.mkdir(exist_ok=True)
    return [BIN / "player", "--reader", reader, "--box", box, "--state", state, "--unpaced", "--watch", "1",
            "-o", out / "out.ts", stream]


def bench(out):
    """The bench tool and ports that it cannot open."""
    stbcam, (_, slave) = BIN / "stbcam", pty.openpty()
    port = os.ttyname(slave)

    def atr(address, *command):
        return [*(command or (stbcam,)), "atr", "--reader", address]

    expect("bench: not a port", atr(f"serial:{out / 'not.ts'}"), "not.ts", "serial port or terminal")
    expect("bench: unknown key", atr(f"serial:{port}?speed=9600"), "'speed'", "reset, detect, clock, base, echo or policy")
    expect("bench: no modem lines", atr(f"serial:{port}?reset=rts"), port, "reset=b0")
    fcntl.flock(slave, fcntl.LOCK_EX)
    expect("bench: busy", atr(f"serial:{port}"), port, "another program")
    fcntl.flock(slave, fcntl.LOCK_UN)
    os.chmod(port, 0)
    with tempfile.TemporaryDirectory() as place:
        command = [stbcam]
        if os.geteuid() == 0:  # who may open everything, and perhaps is alone to reach the program
            os.chmod(place, 0o755)
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", shutil.copy(stbcam, place)]
        expect("bench: no permission", atr(f"serial:{port}", *command), port, "Permission denied", "dialout")
    expect("bench: half an octet", [stbcam, "apdu", "803", "--reader", f"serial:{port}"], "APDU 1", "one is missing")


def nonsense_card(master):
    """Says octets that mean nothing, asked or not."""
    try:
        while True:
            select.select([master], [], [], 0.02)
            os.write(master, b"\x5a\xa5\x00nonsense")
            if select.select([master], [], [], 0)[0]:
                os.read(master, 256)
    except OSError:
        pass


def main():
    out = Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    schedule, card = DEMO / "schedule.toml", DEMO / "card.toml"

    not_ts = out / "not.ts"
    not_ts.write_bytes(b"This is not a transport stream. " * 100)
    cut = out / "cut.ts"
    cut.write_bytes(SOURCE.read_bytes()[:157])
    empty = out / "empty.ts"
    empty.write_bytes(b"")

    expect("head-end: not a transport stream", package(schedule, not_ts, out), "not.ts", "transport stream|sync")
    expect("head-end: truncated stream", package(schedule, cut, out), "cut.ts", "188|truncated|cut")
    expect("head-end: empty stream", package(schedule, empty, out), "empty.ts")
    expect("head-end: no such stream", package(schedule, out / "none.ts", out), "none.ts")
    expect("head-end: unknown field",
           package(changed(schedule, out / "s1.toml", r"^crypto_period_s", "crypto_perriod_s"), SOURCE, out),
           "s1.toml", "crypto_perriod_s")
    expect("head-end: wrong value",
           package(changed(schedule, out / "s2.toml", r"^crypto_period_s *=.*", 'crypto_period_s = "five"'), SOURCE, out),
           "s2.toml", "crypto_period_s")
    expect("head-end: start that is no time",
           package(changed(schedule, out / "s3.toml", r"^start *=.*", 'start = "yesterday"'), SOURCE, out),
           "s3.toml", "start")
    expect("head-end: short key",
           [*package(schedule, SOURCE, out)[:4], "--operator",
            changed(DEMO / "operator.toml", out / "o1.toml", r'^(key *= *")..', r"\1"), "--in", SOURCE, "--out", out / "x.ts"],
           "o1.toml", "line", "key", "30 characters, expected 32")
    expect("head-end: a service that is not there",
           package(changed(schedule, out / "s4.toml", r"^service *= *2", "service = 7"), SOURCE, out), "service 7", "PAT")
    expect("head-end: event 0", package(changed(schedule, out / "s5.toml", r"^id *= *2001", "id = 0"), SOURCE, out),
           "s5.toml", "id", "start at 1")
    expect("head-end: a pairing with a number of others",
           [*package(schedule, SOURCE, out)[:4], "--operator",
            changed(DEMO / "operator.toml", out / "o2.toml", r"^sequence *= *1$", "sequence = 10"), "--in", SOURCE, "--out",
            out / "x.ts"], "o2.toml", "pairing", "sequence", "next_sequence")
    half = out / "cards.json"
    half.write_text('{ "format": 2, "cards": { "a1b2c3d4')
    expect("head-end: half of what was verified",
           [BIN / "headend", "verify-report", "--operator", DEMO / "operator.toml", "--previous", half, "--ack", out / "x.ack",
            empty], "cards.json", "cut short")
    nothing_made("head-end: no broadcast, no acknowledgement", out / "x.ts", out / "x.ack")
    expect("card: short key",
           [BIN / "vcard", "personalise", "--memory", out / "x.nvm", "--from",
            changed(card, out / "c1.toml", r'^(value *= *")..', r"\1")], "c1.toml", "key", "15|16|30|32")
    expect("card: unknown field",
           [BIN / "vcard", "personalise", "--memory", out / "x.nvm", "--from",
            changed(card, out / "c2.toml", r"^pin_tries", "pin_trys")], "c2.toml", "pin_trys")
    expect("card: no tries of its PIN",
           [BIN / "vcard", "personalise", "--memory", out / "x.nvm", "--from",
            changed(card, out / "c3.toml", r"^pin_tries *=.*", "pin_tries = 0")], "c3.toml", "pin_tries", "counted from 1")
    nothing_made("card: no card was made", out / "x.nvm")
    expect("card: no memory file", [BIN / "vcard", "serve", "--memory", out / "none.nvm", "--link", out / "t"], "none.nvm")
    garbage = out / "garbage.nvm"
    garbage.write_bytes(os.urandom(5000))
    expect("card: memory that is none", [BIN / "vcard", "serve", "--memory", garbage, "--link", out / "t"], "garbage.nvm")

    box = out / "box.txt"
    box.write_text("stb_id 5354423030303031\nbox_key " + "11" * 16 + "\nladder_key " + "22" * 16 + "\n")
    short_box = out / "short-box.txt"
    short_box.write_text("stb_id 5354423030303031\nbox_key " + "11" * 15 + "\nladder_key " + "22" * 16 + "\n")
    missing = f"serial:{out / 'no-such-port'}"
    expect("player: port that does not exist", player(out, missing, SOURCE, box), "no-such-port")
    expect("player: not a port", player(out, f"serial:{not_ts}", SOURCE, box), "not.ts", "terminal|serial")
    expect("player: unknown key in the reader's URL", player(out, "serial:/dev/null?rest=rts", SOURCE, box), "rest")
    expect("player: unknown kind of reader", player(out, "parallel:/dev/lp0", SOURCE, box), "parallel")
    expect("player: a virtual card from anywhere", player(out, "vpcd:0.0.0.0:35963", SOURCE, box), "0.0.0.0", "loopback")
    expect("player: a virtual card from nowhere", player(out, "vpcd:", SOURCE, box), "vpcd:127.0.0.1:35963")
    expect("player: an option that a reader has not", player(out, "vpcd:127.0.0.1:0?clock=1", SOURCE, box), "clock", "none")
    expect("player: short box key", player(out, missing, SOURCE, short_box), "short-box.txt", "box_key")

    bench(out)

    subprocess.run([str(c) for c in package(schedule, SOURCE, out)], check=True, capture_output=True)
    on_air = out / "x.ts"
    master, slave = pty.openpty()
    tty.setraw(slave)
    threading.Thread(target=nonsense_card, args=(master,), daemon=True).start()
    os.write(master, b"\x5a\xa5\x00nonsense")
    reader = f"serial:{os.ttyname(slave)}"
    expect("player: not a transport stream", player(out, reader, not_ts, box), "not.ts", "transport stream|sync")
    expect("player: truncated stream", player(out, reader, cut, box), "cut.ts", "truncated|188|cut")
    expect("player: a card that answers nonsense", player(out, reader, on_air, box),
           "service 1", "card", "nonsense|mute|unknown|no card|not a card|ATR|answer")
    print(f"{passed} passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
