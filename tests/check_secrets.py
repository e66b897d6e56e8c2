#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No key, control word or PIN of the demo stands in anything that was recorded.

Looks for every 8-octet window of every secret, and for each PIN as ASCII, BCD and PIN block, in the card line's
recording, in every log (all at level trace) and in the reports. First a demo plants one secret through each recorder,
where the search must find it, and in each way of writing octets.

    check_secrets.py DIR
"""

import base64
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import cas
import ts

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / "target" / "release"
DEMO = ROOT / "examples" / "demo"
WINDOW = 8
RECORDS = ("line.txt", "box.log", "card.log", "headend.log", "box.err", "box.events", "report.json", "headend.json")
# The box is switched on three times more after its power cut.
MORE_RECORDS = tuple(f"power-cut/{name}/{record}" for name in ("bought", "settled", "emptied")
                     for record in ("box.log", "box.events", "box.err"))
WRONG_PIN = "11112222"

passed = failed = 0


def check(name, good, detail):
    global passed, failed
    passed, failed = passed + good, failed + (not good)
    print(f"{'ok     ' if good else 'FAILED '} {name}: {detail}")


# ---- what must not be found ------------------------------------------------------------------------------------------


def keys_of(table):
    """Every key in a TOML file: 16 octets or more; numbers and addresses are shorter, and an empty record is no key."""
    if isinstance(table, list):
        return [k for item in table for k in keys_of(item)]
    if isinstance(table, dict):
        return [k for item in table.values() for k in keys_of(item)]
    written = isinstance(table, str) and re.fullmatch(r"([0-9A-Fa-f]{2}){16,}", table)
    return [bytes.fromhex(table)] if written and table.strip("0") else []


def cws(scrambled, operator):
    keys = {(k["slot"], k["epoch"]): bytes.fromhex(k["key"]) for k in operator["service_key"]}
    found = set()
    for pid in {p.pid for p in scrambled}:
        for _, section in ts.sections([p for p in scrambled if p.pid == pid], pid) if pid not in (0, 0x1FFF) else ():
            if section[0] in (0x80, 0x81) and len(section) > 40:
                try:
                    found.update(cas.Ecm(section, keys).cw)
                except Exception:  # a forged one
                    continue
    return found


def seal_keys(operator):
    """What the service keys are used as."""
    number = operator["operator"].to_bytes(2, "big")
    for k in operator["service_key"]:
        context = bytes([0x15]) + number + bytes([k["slot"]]) + k["epoch"].to_bytes(2, "big")
        yield cas.kdf(bytes.fromhex(k["key"]), 0x41, context, 256)


def session_keys(line, operator):
    """The keys of every session on the line, from the challenges that passed there in clear. A card cryptogram that
    is not the one on the line means that they are not the keys."""
    pairing = operator["pairing"][0]
    enc, mac = (cas.kdf(bytes.fromhex(pairing["k_pair"]), 0x44, bytes.fromhex(pairing["box"]) + bytes([k]), 128)
                for k in (1, 2))
    host = re.findall(r"80503F0008([0-9A-F]{16})", line["T"])
    card = re.findall(r"0{20}3F0360([0-9A-F]{16})([0-9A-F]{16})", line["C"])
    keys, good = {enc, mac}, bool(host) and len(host) == len(card)
    for challenge, (answer, cryptogram) in zip(host, card):
        context = bytes.fromhex(challenge + answer)
        session = [cas.kdf(key, constant, context, 128) for key, constant in ((enc, 4), (mac, 6), (mac, 7))]
        good &= cas.kdf(session[1], 0, context, 64).hex().upper() == cryptogram
        keys.update(session)
    check("session keys recomputed from the line", good, f"{len(host)} sessions")
    return keys


def needles(secrets, pins):
    """What must not be found: (name, octets)."""
    for secret in secrets:
        for at in range(len(secret) - WINDOW + 1):
            yield "key or control word", secret[at : at + WINDOW]
    for pin in pins:
        yield "PIN in ASCII", pin.encode()
        yield "PIN in BCD", bytes.fromhex(pin)
        yield "PIN block", bytes.fromhex(f"2{len(pin):X}{pin}".ljust(16, "F"))


# ---- where it is looked for ------------------------------------------------------------------------------------------


def line_octets(text):
    """What went over the line in each direction, T to the card and C from it, as hexadecimal."""
    rows = [line.split() for line in text.splitlines()]
    return {to: "".join(row[2] for row in rows if len(row) == 3 and row[1] == to) for to in "TC"}


class Haystack:
    """One recording: its octets as they are, and everything in it that is octets in writing."""

    def __init__(self, name, data):
        self.forms = [data]
        text = data.decode(errors="replace")
        if name == "line.txt":
            self.forms += map(bytes.fromhex, line_octets(text).values())
        for run in re.findall(r"(?:(?:0[xX])?[0-9A-Fa-f]{2}[ :,]{0,2}){4,}", text):
            digits = re.sub(r"0[xX]|[ :,]", "", run)
            for start in (0, 1):  # an odd digit may stand in front
                self.forms.append(bytes.fromhex(digits[start : start + (len(digits) - start) // 2 * 2]))
        for run in re.findall(r"(?:\b\d{1,3}\b[, ]{1,2}){3,}\d{1,3}\b", text):
            self.forms.append(bytes(n for n in map(int, re.findall(r"\d+", run)) if n < 256))
        for run in re.findall(r"[A-Za-z0-9+/_-]{11,}", text):
            for start in range(4):
                digits = run[start : len(run) - ((len(run) - start) % 4 == 1)]
                digits += "=" * (-len(digits) % 4)
                self.forms.append(base64.b64decode(digits, altchars=b"-_" if re.search("[-_]", run) else b"+/"))
        self.joined = b"\x00--\x00".join(self.forms)

    def find(self, wanted):
        return sorted({name for name, octets in wanted if octets in self.joined})


def check_search(secret):
    """The search finds the secret in every way of writing octets."""
    half = len(secret) // 2
    writings = {
        "octets": b"a" + secret + b"z",
        "hexadecimal": b"key " + secret.hex().encode(),
        "hexadecimal, capitals, in the middle of more": b"F00" + secret.hex().upper().encode() + b"11",
        "hexadecimal with spaces": secret.hex(" ").encode(),
        "hexadecimal with colons": secret.hex(":").encode(),
        "a list of 0x": ", ".join(f"0x{o:02x}" for o in secret).encode(),
        "a list of hexadecimal": ("[" + ", ".join(f"{o:02X}" for o in secret) + "]").encode(),
        "a list of decimal numbers": str(list(secret)).encode(),
        "base64": b"key=" + base64.b64encode(secret),
        "two records of the line": f"0.1 T 00{secret[:half].hex()}\n0.2 C 6100\n0.3 T {secret[half:].hex()}\n".upper()
                                   .encode(),
    }
    missed = [w for w, data in writings.items() if not Haystack("line.txt", data).find([("planted", secret)])]
    check("the search knows every way of writing octets", not missed, f"{len(writings)} ways, missed {missed}")


def check_recorders(directory, secret):
    """A whole demo writes the secret through every recorder, where the search must find it. The player says nothing on
    standard error as long as all is well: it is given a reader that does not exist."""
    out = directory / f"plant-{secret.hex()}"
    told = subprocess.run([sys.executable, DEMO / "story.py", "--unpaced", "--plant", secret.hex(), "--out", out],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    mute = subprocess.run([BIN / "player", "--reader", f"serial:/dev/{secret.hex()}", "--box", out / "box.txt",
                           "--state", out / "state", "--unpaced", "-o", "/dev/null", out / "scrambled.ts"],
                          stderr=(out / "box.err").open("w"), stdin=subprocess.DEVNULL, check=False)
    check("a demo with a secret in every recorder", told.returncode == 0 and mute.returncode == 1,
          f"status {told.returncode} and {mute.returncode}")
    for name in RECORDS:
        found = Haystack(name, (out / name).read_bytes()).find([("planted", secret)])
        check(f"planted in {name}", bool(found), "found" if found else "not found")


def main():
    directory = Path(sys.argv[1]).resolve()
    operator = tomllib.loads((DEMO / "operator.toml").read_text())
    card = tomllib.loads((DEMO / "card.toml").read_text())
    sealed = cws(ts.read(directory / "scrambled.ts"), operator)
    planted = max(sorted(sealed), key=len)[:WINDOW]
    check_search(planted)
    check_recorders(directory, planted)
    line = line_octets((directory / "line.txt").read_text())
    secrets = set(keys_of(operator)) | set(keys_of(card)) | sealed | set(seal_keys(operator))
    secrets |= session_keys(line, operator)
    wanted = list(needles(secrets, (card["pin"], WRONG_PIN)))
    for name in RECORDS + MORE_RECORDS:
        data = (directory / name).read_bytes()
        found = Haystack(name, data).find(wanted)
        check(name, not found, f"{', '.join(found) or 'nothing'} ({len(data)} octets, {len(secrets)} secrets, "
                               f"{len(sealed)} of them control words)")
    print(f"{passed} passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
