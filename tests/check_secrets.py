#!/usr/bin/env python3
"""No key, control word or PIN of the demo stands in anything that was recorded.

Looks for every 8-octet window of every secret, and for the PIN as ASCII, BCD and PIN block, in the card line's
recording, in every log and in the reports. First it plants one secret through each recorder and must find it.

    check_secrets.py DIR
"""

import json
import os
import re
import subprocess
import sys
import termios
import time
import tomllib
import tty
from pathlib import Path

import cas
import ts

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / "target" / "release"
DEMO = ROOT / "examples" / "demo"
WINDOW = 8
RECORDS = ("line.txt", "box.log", "card.log", "box.err", "box.events", "report.json", "headend.json")
KEY_NAMES = re.compile(r"^(key|value|enc|mac|dek|\w*_key|master|seed)$")


def keys_of(table):
    """Every key in a TOML file, by the names that keys have."""
    if isinstance(table, list):
        return [k for item in table for k in keys_of(item)]
    found = []
    if isinstance(table, dict):
        for name, value in table.items():
            if isinstance(value, str) and KEY_NAMES.match(name) and re.fullmatch(r"[0-9A-Fa-f]{16,}", value):
                found.append(bytes.fromhex(value))
            else:
                found += keys_of(value)
    return found


def control_words(scrambled, operator):
    keys = {(k["slot"], k["epoch"]): bytes.fromhex(k["key"]) for k in operator["service_key"]}
    words = set()
    for pid in {p.pid for p in scrambled}:
        for _, section in ts.sections([p for p in scrambled if p.pid == pid], pid) if pid not in (0, 0x1FFF) else ():
            if section[0] in (0x80, 0x81) and len(section) > 40:
                try:
                    words.update(cas.Ecm(section, keys).cw)
                except Exception:  # a forged one
                    continue
    return words


def needles(secrets, pin):
    """What must not be found: (name, octets)."""
    for secret in secrets:
        for at in range(len(secret) - WINDOW + 1):
            yield "key or control word", secret[at : at + WINDOW]
    yield "PIN in ASCII", pin.encode()
    yield "PIN in BCD", bytes.fromhex(pin)
    block = f"2{len(pin):X}{pin}".ljust(16, "F")
    yield "PIN block", bytes.fromhex(block)


class Haystack:
    """One recording: its octets as they are, and all hexadecimal in it decoded, in every alignment."""

    def __init__(self, name, data):
        self.name = name
        self.forms = [data]
        if name == "line.txt":
            for direction in "TC":
                octets = "".join(line.split()[2] for line in data.decode().splitlines()
                                 if len(line.split()) == 3 and line.split()[1] == direction)
                self.forms.append(bytes.fromhex(octets))
        text = data.decode(errors="replace")
        for run in re.findall(r"(?:[0-9A-Fa-f]{2}[ :,]?){4,}", text):
            digits = re.sub(r"[^0-9A-Fa-f]", "", run)
            self.forms.append(bytes.fromhex(digits[: len(digits) // 2 * 2]))
            self.forms.append(bytes.fromhex(digits[1 : 1 + (len(digits) - 1) // 2 * 2]))
        self.text = text.upper()

    def find(self, wanted):
        joined = b"\x00--\x00".join(self.forms)
        return sorted({name for name, octets in wanted if octets in joined or octets.hex().upper() in self.text})


def plant_line(directory, secret):
    """Sends the secret to a card over its line; the recording must show it."""
    memory, link, record = (directory / n for n in ("plant.nvm", "plant.tty", "plant-line.txt"))
    subprocess.run([BIN / "vcard", "personalise", "--from", directory / "card.toml", "--memory", memory], check=True)
    process = subprocess.Popen([BIN / "vcard", "serve", "--memory", memory, "--link", link, "--record", record],
                               stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not link.is_symlink() and time.monotonic() < deadline:
        time.sleep(0.01)
    line = os.open(link, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    speeds = termios.tcgetattr(line)
    speeds[4] = speeds[5] = termios.B0
    termios.tcsetattr(line, termios.TCSANOW, speeds)
    time.sleep(0.05)
    speeds[4] = speeds[5] = termios.B9600
    termios.tcsetattr(line, termios.TCSANOW, speeds)
    os.set_blocking(line, False)
    found = False
    while time.monotonic() < deadline and not found:
        time.sleep(0.05)
        os.write(line, secret)
        time.sleep(0.05)
        found = record.exists() and bool(Haystack("line.txt", record.read_bytes()).find([("planted", secret)]))
    os.close(line)
    process.terminate()
    process.wait(10)
    return found


def plant_log(directory, secret):
    """Names the secret in a reader's path: the library's log and the player's error must show it."""
    log = directory / "plant.log"
    run = subprocess.run(
        [BIN / "player", "--reader", f"serial:/dev/{secret.hex()}", "--box", directory / "box.txt", "--state",
         directory / "plant-state", "--log", log, "--unpaced", "-o", "/dev/null", directory / "scrambled.ts"],
        capture_output=True, stdin=subprocess.DEVNULL, check=False,
    )
    wanted = [("planted", secret)]
    in_log = Haystack("box.log", log.read_bytes() if log.exists() else b"").find(wanted)
    return bool(in_log and Haystack("box.err", run.stderr).find(wanted))


def plant_report(directory, secret):
    report = json.loads((directory / "report.json").read_text())
    report["marks"].append({"at_s": 0, "what": secret.hex()})
    return bool(Haystack("report.json", json.dumps(report).encode()).find([("planted", secret)]))


def main():
    directory = Path(sys.argv[1]).resolve()
    operator = tomllib.loads((DEMO / "operator.toml").read_text())
    card = tomllib.loads((DEMO / "card.toml").read_text())
    words = control_words(ts.read(directory / "scrambled.ts"), operator)
    secrets = set(keys_of(operator)) | set(keys_of(card)) | words
    failures = 0
    planted = next(iter(sorted(words, key=len, reverse=True)))[:WINDOW]
    for recorder, plant in (("card line", plant_line), ("log and messages", plant_log), ("report", plant_report)):
        found = plant(directory, planted)
        failures += not found
        print(f"{'ok     ' if found else 'FAILED '} planted in the {recorder}: {'found' if found else 'not found'}")
    wanted = list(needles(secrets, card["pin"]))
    for name in RECORDS:
        path = directory / name
        if not path.exists():
            failures += 1
            print(f"FAILED  {name} is missing")
            continue
        found = Haystack(name, path.read_bytes()).find(wanted)
        failures += bool(found)
        print(f"{'FAILED ' if found else 'ok     '} {name}: {', '.join(found) or 'nothing'} "
              f"({path.stat().st_size} octets, {len(secrets)} secrets, {len(words)} of them control words)")
    print(f"{len(RECORDS) + 3 - failures} passed, {failures} failed")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
