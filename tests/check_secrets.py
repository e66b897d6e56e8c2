#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No key, control word or PIN of the demo stands in anything that it left.

Looks for every 8-octet window of every key, of what is derived from it and of every control word, and for each PIN as
ASCII, digits, BCD and PIN block, in every file of the demo's folder but the key stores, which are named: the card line's
recording, every log (all at level trace), what the C API answered and its events, diagnostics, the box's storage, reports,
streams. First a demo plants one secret through each recorder that takes a text, where the search must find it; then one is
put into a copy of every file, and one into each way of writing octets.

    check_secrets.py DIR
"""

import array
import base64
import json
import random
import re
import shutil
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
# A text that is given to the demo comes out in each of them.
RECORDS = ("line.txt", "box.log", "card.log", "headend.log", "box.err", "box.events", "report.json", "headend.json",
           "diag.json")
# Made to hold keys, and their owner's alone. The demo writes the last two itself.
STORES = ("card.nvm", "pairing/pairing.toml", "card.toml", "box.txt")
# Its owner's alone as well.
OWNERS = STORES + ("line.txt", "cards.json", "state/pairing.0", "state/purchase.00")
# Octets of four occur in a stream by chance, and longer ones do not.
STREAM, SHORT = ".ts", 4
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


def derived(key, role, number, slot, epoch):
    """What a key is used as: for seals, wraps, codes, reports and receipts, in both lengths."""
    context = bytes([role]) + number + bytes([slot]) + epoch.to_bytes(2, "big")
    return {cas.kdf(key, constant, context, bits) for constant in (0x41, 0x43, *range(0x61, 0x66)) for bits in (128, 256)}


def derived_keys(operator, card):
    """What the keys of operator, card and box are used as, the card's own key among them."""
    number = operator["operator"].to_bytes(2, "big")
    octets = bytes.fromhex
    own = operator["card"][0]
    context = b"\x11" + number + octets(own["card_id"]) + own["epoch"].to_bytes(2, "big")
    card_key = cas.kdf(octets(operator["master_key"]), 0x40, context, 128)
    check("the card's own key derived", card_key in keys_of(card), "it is the one of its personalisation")
    keys = [(card_key, 0x11, 0, own["epoch"])]
    keys += [(octets(k["key"]), 0x15, k["slot"], k["epoch"]) for k in operator["service_key"]]
    keys += [(octets(k["key"]), 0x12, 0, k["epoch"]) for k in operator["group_key"]]
    keys += [(octets(operator["global_key"]["key"]), 0x13, 0, operator["global_key"]["epoch"])]
    keys += [(octets(k["box_key"]), 0x41, 0, k["epoch"]) for k in operator["box"]]
    roles = {"receipt": 0x17, "wallet": 0x21, "tac-suite-2": 0x27}
    keys += [(octets(k["value"]), roles[k["role"]], 0, k["epoch"]) for k in own["key"] if k["role"] in roles]
    return set().union(*(derived(key, role, number, slot, epoch) for key, role, slot, epoch in keys))


def ladder_keys(section, operator):
    """EK2, EK1 and what the box's key ladder makes of them, from the message to the box. Its last key is the card's."""
    box, pairing = operator["box"][0], operator["pairing"][0]
    number = operator["operator"].to_bytes(2, "big")
    context = b"\x41" + number + b"\x00" + box["epoch"].to_bytes(2, "big")
    seal = cas.kdf(bytes.fromhex(box["box_key"]), 0x41, context, 256)
    aad = section[:1] + bytes([0x70 | section[1] & 0x0F]) + section[2:21]
    plain = cas.AESSIV(seal).decrypt(section[21:], [aad])
    ek2, ek1 = plain[36:52], plain[52:68]
    down = lambda key, block: cas.Cipher(cas.AES(key), cas.modes.ECB()).decryptor().update(block)
    k2 = down(bytes.fromhex(box["ladder_key"]), ek2)
    check("the box's key ladder", down(k2, ek1).hex() == pairing["k_cw"], "ends in the card's K_cw")
    return {ek2, ek1, k2}


def session_keys(line, operator):
    """The keys of every session on the line, from the challenges that passed there in clear. A card cryptogram that
    is not the one on the line means that they are not the keys."""
    pairing = operator["pairing"][0]
    enc, mac, dek = (cas.kdf(bytes.fromhex(pairing["k_pair"]), 0x44, bytes.fromhex(pairing["box"]) + bytes([k]), 128)
                     for k in (1, 2, 3))
    host = re.findall(r"80503F0008([0-9A-F]{16})", line["T"])
    card = re.findall(r"0{20}3F0360([0-9A-F]{16})([0-9A-F]{16})", line["C"])
    keys, good = {enc, mac, dek}, bool(host) and len(host) == len(card)
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
        yield "PIN as digits", bytes(map(int, pin))
        yield "PIN in BCD", bytes.fromhex(pin)
        yield "PIN block", bytes.fromhex(f"2{len(pin):X}{pin}".ljust(16, "F"))


# ---- where it is looked for ------------------------------------------------------------------------------------------


def line_octets(text):
    """What went over the line in each direction, T to the card and C from it, as hexadecimal."""
    rows = re.findall(r"^\S+ ([TC]) ([0-9A-F.]+)$", text, re.MULTILINE)
    return {to: "".join(octets.replace("..", "") for side, octets in rows if side == to) for to in "TC"}


class Haystack:
    """One recording: its octets as they are, and everything in it that is octets in writing."""

    def __init__(self, name, data):
        self.forms, self.stream = [data], name.endswith(STREAM)
        self.forms += self.writings(name, data) if not self.stream else self.payloads(data)
        self.joined = b"\x00--\x00".join(self.forms)
        # Every four octets that stand somewhere, as numbers: what does not begin with one of them is not there.
        self._fours = set()
        for start in range(4):
            whole = self.joined[start : start + (len(self.joined) - start) // 4 * 4]
            self._fours.update(array.array("I", whole))

    @staticmethod
    def payloads(data):
        """Of each PID the payloads one behind the other: sections and PES packets run over packets."""
        pids = {}
        for at in range(0, len(data) // 188 * 188, 188):
            packet = ts.Packet(data[at : at + 188], at // 188)
            pids.setdefault(packet.pid, []).append(packet.payload)
        return [b"".join(payloads) for payloads in pids.values()]

    @staticmethod
    def writings(name, data):
        forms = []
        text = data.decode(errors="replace")
        if name == "line.txt":
            forms += map(bytes.fromhex, line_octets(text).values())
        for run in re.findall(r"(?:(?:0[xX])?[0-9A-Fa-f]{2}[ :,]{0,2}){4,}", text):
            digits = re.sub(r"0[xX]|[ :,]", "", run)
            for start in (0, 1):  # an odd digit may stand in front
                forms.append(bytes.fromhex(digits[start : start + (len(digits) - start) // 2 * 2]))
        for run in re.findall(r"(?:\b\d{1,3}\b[, ]{1,2}){3,}\d{1,3}\b", text):
            forms.append(bytes(n for n in map(int, re.findall(r"\d+", run)) if n < 256))
        for run in re.findall(r"[A-Za-z0-9+/_-]{11,}", text):
            for start in range(4):
                digits = run[start : len(run) - ((len(run) - start) % 4 == 1)]
                digits += "=" * (-len(digits) % 4)
                forms.append(base64.b64decode(digits, altchars=b"-_" if re.search("[-_]", run) else b"+/"))
        return forms

    def find(self, wanted):
        found = set()
        for name, octets in wanted:
            if len(octets) <= SHORT and self.stream:
                continue
            first = int.from_bytes(octets[:4], sys.byteorder)
            if first in self._fours and octets in self.joined:
                found.add(name)
        return sorted(found)


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
    header = bytes([0x47, 0x01, 0x40, 0x10])
    split = b"".join(header + part for part in (bytes(184 - half) + secret[:half], secret[half:] + bytes(184 - half)))
    writings["a section over two packets"] = split
    missed += [] if Haystack("x.ts", split).find([("planted", secret)]) else ["a section over two packets"]
    check("the search knows every way of writing octets", not missed, f"{len(writings)} ways, missed {missed}")


def check_recorders(directory, secret):
    """A whole demo writes the secret through every recorder, where the search must find it. The player says nothing on
    standard error as long as all is well: it is given a reader that does not exist."""
    out = directory / f"plant-{secret.hex()}"
    shutil.rmtree(out, ignore_errors=True)  # of the last check
    told = subprocess.run([sys.executable, DEMO / "story.py", "--unpaced", "--plant", secret.hex(), "--out", out],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, umask=0)
    mute = subprocess.run([BIN / "player", "--reader", f"serial:/dev/{secret.hex()}", "--box", out / "box.txt",
                           "--state", out / "state", "--unpaced", "-o", "/dev/null", out / "scrambled.ts"],
                          stderr=(out / "box.err").open("w"), stdin=subprocess.DEVNULL, check=False)
    check("a demo with a secret in every recorder", told.returncode == 0 and mute.returncode == 1,
          f"status {told.returncode} and {mute.returncode}")
    for name in RECORDS:
        found = Haystack(name, (out / name).read_bytes()).find([("planted", secret)])
        check(f"planted in {name}", bool(found), "found" if found else "not found")
    # What the box keeps has no text in it; the numbers of purchases, which are known, stand there as octets.
    known = {json.loads(line).get("request") for line in (out / "box.events").read_text().splitlines()}
    known |= {json.loads(line).get("request") for line in (out / "power-cut/bought/box.events").read_text().splitlines()}
    known = {bytes.fromhex(request) for request in known if request and len(request) == 32}
    rows = [Haystack(row.name, row.read_bytes()) for row in (out / "state").iterdir()]
    found = any(row.find([("planted", request)]) for row in rows for request in known)
    check("a number of a purchase in the box's storage", found, "found" if found else "not found")
    check_modes(out, OWNERS)


def check_modes(out, owners):
    """What the demo left with a umask that takes nothing away, and what the other tools make that is secret."""
    operator = DEMO / "operator.toml"
    unpaired = out / "unpaired.toml"
    unpaired.write_text(operator.read_text().split("[[pairing]]")[0])
    number = tomllib.loads(operator.read_text())["pairing"][0]
    for command in ((BIN / "headend", "keys", "pair", "--operator", unpaired, "--card", number["card"], "--box", number["box"],
                     "--slot", "0", "--out", out / "pairing"), (BIN / "vcard", "demo", "--out", out / "handed")):
        told = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, umask=0)
        check(f"{command[0].name} {command[1]}", told.returncode == 0, told.stderr.strip() or "done")
    unpaired.unlink()
    owners += tuple(f"handed/{name}" for name in ("card.nvm", "box.txt", "state/pairing.0"))
    modes = {path.relative_to(out).as_posix(): path.stat().st_mode & 0o777 for path in out.rglob("*") if path.is_file()}
    wide = [name for name in owners if modes.get(name) != 0o600]
    check("files with secrets are their owner's under umask 000", not wide, f"{len(owners)} files, not: {wide}")
    others = sum(mode == 0o666 for mode in modes.values())
    check("and the umask was that", others > 10, f"{others} others of {len(modes)} are everybody's")


def files(directory):
    """Everything that the demo has left but the key stores; sockets and links have no octets."""
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and not path.is_symlink() and name not in STORES and not name.startswith("plant-"):
            yield name, path.read_bytes()


def with_secret(name, data, secret):
    """The recording with a secret somewhere in it."""
    if name.endswith(STREAM):
        at = random.randrange(len(data) // 188) * 188 if len(data) >= 188 else 0
        return data[:at] + bytes([0x47, 0x1F, 0xFF, 0x10]) + secret + bytes(176) + data[at:]
    at = random.randrange(len(data) + 1)
    return data[:at] + secret + data[at:]


def main():
    directory = Path(sys.argv[1]).resolve()
    operator = tomllib.loads((DEMO / "operator.toml").read_text())
    card = tomllib.loads((DEMO / "card.toml").read_text())
    sealed = set().union(*(cws(ts.read(directory / name), operator)
                           for name in ("scrambled.ts", "power-cut/scrambled.ts")))
    planted = max(sorted(sealed), key=len)[:WINDOW]
    check_search(planted)
    check_recorders(directory, planted)
    line = line_octets((directory / "line.txt").read_text())
    secrets = set(keys_of(operator)) | set(keys_of(card)) | sealed | derived_keys(operator, card)
    secrets |= session_keys(line, operator)
    secrets |= ladder_keys((directory / "pairing" / "box-pair.section").read_bytes(), operator)
    check("nothing was hidden on the line", ".." not in (directory / "line.txt").read_text(),
          "the box sent no command with a PIN in clear")
    wanted = list({octets: (name, octets) for name, octets in needles(secrets, (card["pin"], WRONG_PIN))}.values())
    left = dict(files(directory))
    missing = [name for name in RECORDS if name not in left]
    check("every recorder has written", not missing, f"{len(left)} files, missing {missing}")
    for name, data in left.items():
        again = with_secret(name, data, planted)
        seen = Haystack(name, again).find([("planted", planted)])
        found = Haystack(name, data).find(wanted)
        check(name, seen and not found, f"{', '.join(found) or 'nothing'} ({len(data)} octets, {len(secrets)} secrets, "
                                        f"{len(sealed)} of them control words)"
                                        + ("" if seen else "; a secret put there is not found"))
    print(f"{passed} passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
