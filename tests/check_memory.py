#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No PIN stands in the memory of a box once it is used, and no key, control word or PIN once the library is closed.

A box (tests/c/secrets.c) with keys and a PIN that are new in each run plays the head-end's stream against a vcard in
another process. Its core image is taken from here while all its threads stand still: every mapping that can be written,
with all stacks, and the registers of each thread. Searched are every 8-octet window of every key and control word, and
the PIN in ASCII, packed BCD, as digits and as PIN block. Planted ones are found first.

    check_memory.py DIR
"""

import ctypes
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import cas
import check_secrets
import ts
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / "target" / "release"
DEMO = ROOT / "examples" / "demo"
MASK = 0x55
WINDOW = 8
sys.path.insert(0, str(DEMO))
from actors import free_port  # noqa: E402

passed = failed = 0


def check(name, good, detail):
    global passed, failed
    passed, failed = passed + good, failed + (not good)
    print(f"{'ok     ' if good else 'FAILED '} {name}: {detail}")


# ---- the core image --------------------------------------------------------------------------------------------------

SEIZE, INTERRUPT, DETACH, GETREGSET = 0x4206, 0x4207, 17, 0x4204
WALL = 0x40000000
# elf.h: general registers, floating point; of x86 all vector registers.
REGISTER_SETS = (1, 2, 0x202)
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def ptrace(request, thread, address=None, data=None):
    if libc.ptrace(request, thread, address, data) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:x}")


def registers(thread):
    for which in REGISTER_SETS:
        room = ctypes.create_string_buffer(16384)
        vector = Iovec(ctypes.cast(room, ctypes.c_void_p), len(room))
        try:
            ptrace(GETREGSET, thread, which, ctypes.addressof(vector))
        except OSError:  # another processor has others
            continue
        yield f"registers {which:x} of thread {thread}", room.raw[: vector.len]


def core_image(pid):
    """(where, octets) of all that the process can write, and of its registers. It stands still meanwhile."""
    threads = [int(t) for t in os.listdir(f"/proc/{pid}/task")]
    image = []
    for thread in threads:
        ptrace(SEIZE, thread)
        ptrace(INTERRUPT, thread)
        os.waitpid(thread, WALL)
        image += registers(thread)
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, mode, *rest = line.split()
            if mode[:2] != "rw":
                continue
            start, end = (int(at, 16) for at in span.split("-"))
            memory.seek(start)
            octets = bytearray()
            while len(octets) < end - start and (piece := memory.read(end - start - len(octets))):
                octets += piece
            image.append((f"{rest[3] if len(rest) > 3 else 'anonymous'} {start:x}", bytes(octets)))
    for thread in threads:
        ptrace(DETACH, thread)
    return image


def search(image, wanted):
    """{name: [where]} of the (name, octets) that are in the image. One pass for each length of what is wanted."""
    found = {}
    for where, octets in image:
        for name, needle in wanted:
            if (at := octets.find(needle)) >= 0:
                found.setdefault(name, []).append(f"{where}+{at:x}")
    return found


def pin_needles(pin):
    return check_secrets.needles((), (pin,))


def key_needles(keys):
    for name, key in keys:
        for at in range(len(key) - WINDOW + 1):
            yield name, key[at : at + WINDOW]


# ---- the box, the card and the stream ----------------------------------------------------------------------------------


class Box:
    def __init__(self, reader, state):
        self._process = subprocess.Popen([str(ROOT / "target" / "c-test" / "secrets"), reader, str(state)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.pid, self.ladders, self.said = self._process.pid, set(), {}

    def order(self, *words):
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        while line := self._process.stdout.readline():
            name, _, value = line.strip().partition(" ")
            if name == "=":
                return int(value)
            if name == "ladder":
                self.ladders.add(value)
            else:
                self.said[name] = self.said.get(name, 0) + int(value)
        raise SystemExit(f"FAILED  the box ended with status {self._process.wait()}")

    def end(self):
        self._process.stdin.close()
        return self._process.wait(30)


def masked(octets):
    return bytes(o ^ MASK for o in octets).hex()


def new_keys(out):
    """The demo's operator and card with keys and a PIN that are of this run."""
    operator, card = ((DEMO / name).read_text() for name in ("operator.toml", "card.toml"))
    fresh = {key: secrets.token_hex(16) for key in set(re.findall(r'"([0-9a-f]{32})"', operator))}
    for old, new in fresh.items():
        operator, card = operator.replace(old, new), card.replace(old, new)
    pin = "".join(secrets.choice("0123456789") for _ in range(12))
    numbers = tomllib.loads(operator)
    number = numbers["operator"].to_bytes(2, "big")
    context = b"\x11" + number + bytes.fromhex(numbers["card"][0]["card_id"]) + (1).to_bytes(2, "big")
    own = cas.kdf(bytes.fromhex(numbers["master_key"]), 0x40, context, 128).hex()
    card = card.replace("8acbae1a01fb6754ff5491664bd245d4", own).replace('"40962718"', f'"{pin}"')
    (out / "operator.toml").write_text(operator)
    (out / "card.toml").write_text(f'factory_emm = ["{out / "pairing" / "card-pair.emm"}"]\n{card}')
    return numbers, pin


def tool(*command):
    told = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if told.returncode != 0:
        raise SystemExit(f"FAILED  {command[0]}: {told.stderr}")


def serve(out, numbers):
    tool(BIN / "headend", "keys", "pair", "--operator", out / "operator.toml", "--card", numbers["card"][0]["card_id"],
         "--box", numbers["box"][0]["stb_id"], "--slot", "0", "--out", out / "pairing")
    tool(BIN / "headend", "package", "--schedule", DEMO / "schedule.toml", "--operator", out / "operator.toml", "--in",
         ROOT / "examples" / "media" / "two-services.ts", "--out", out / "scrambled.ts", "--report", out / "headend.json")
    tool(BIN / "vcard", "personalise", "--from", out / "card.toml", "--memory", out / "card.nvm")
    (out / "state").mkdir()
    shutil.copy(out / "pairing" / "box-pair.section", out / "state" / "pairing.0")
    address = f"127.0.0.1:{free_port()}"
    with open(out / "card.log", "w") as log:
        card = subprocess.Popen([str(BIN / "vcard"), "serve", "--memory", str(out / "card.nvm"), "--vpcd", address,
                                 "--record", str(out / "line.txt")], stdout=log, stderr=log)
    return card, f"vpcd:{address}"


def story(box, scrambled):
    """Sections and packets as they come: (order, words)."""
    pids = ts.programs(scrambled)
    wanted = {1, 0x140, 0x141, 0x150, *pids.values()}
    sections = [(index, pid, section) for pid in wanted
                for index, section in ts.sections([p for p in scrambled if p.pid == pid], pid)]
    known = set()
    for _, pid, section in sorted(sections):
        if section in known:
            continue
        known.add(section)
        if pid == 1:
            yield "cat", section.hex()
        elif section[0] == 2:
            yield "pmt", section.hex()
        else:
            yield f"section {pid}", section.hex()


def main():
    out = Path(sys.argv[1]).resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    tool("make", "--silent", "-C", ROOT / "tests" / "c", "../../target/c-test/secrets")
    numbers, pin = new_keys(out)
    card, reader = serve(out, numbers)
    k_box, root = (bytes.fromhex(numbers["box"][0][name]) for name in ("box_key", "ladder_key"))
    pairing = numbers["pairing"][0]
    k_pair, k_cw = bytes.fromhex(pairing["k_pair"]), bytes.fromhex(pairing["k_cw"])
    scrambled = ts.read(out / "scrambled.ts")
    box = Box(reader, out / "state")
    plain = masked(pin.encode())

    def clean(when, wanted):
        found = search(core_image(box.pid), wanted)
        at = "; ".join(f"{name}: {len(places)}, first {places[0]}" for name, places in sorted(found.items()))
        check(when, not found, at or "nothing")

    planted = secrets.token_bytes(16)
    box.order("plant", masked(planted))
    windows = list(key_needles([("planted", planted)]))
    found = search(core_image(box.pid), windows)
    check("what is planted is found", bool(found), f"in {found.get('planted')}")
    box.order("unplant")
    clean("what is wiped is gone", windows)

    check("open", box.order("open", masked(k_box + root)) == 0, "the library is open")
    check("card", box.order("ready") == 0, "paired and in session")
    orders = list(story(box, scrambled))
    bought = None
    while orders and bought != 0:
        box.order(*orders.pop(0))
        bought = box.order("buy", plain)
    check("purchase", bought == 0, f"result {bought}")
    clean("after a purchase", list(pin_needles(pin)))
    for order in orders:
        box.order(*order)
    scrambled_ones = [p for p in scrambled if p.data[3] >> 6][-200:]
    for at in range(0, len(scrambled_ones), 50):
        box.order("packets", b"".join(p.data for p in scrambled_ones[at : at + 50]).hex())
    result = box.order("pin", plain)
    check("VERIFY", result == 0, f"result {result}")
    clean("after VERIFY", list(pin_needles(pin)))
    in_use = search(core_image(box.pid), list(key_needles([("", k_pair), ("", k_box)])))
    check("while it is open K_box or K_pair is there", bool(in_use), "found")
    check("close", box.order("close") == 0, f"{box.said}, {len(orders)} sections")
    check("control words were taken", box.said.get("taken", 0) > 5, f"{box.said.get('taken')} times")

    line = check_secrets.line_octets((out / "line.txt").read_text())
    keys = [("session or static key", key) for key in check_secrets.session_keys(line, numbers)]
    keys += [("K-DEK", cas.kdf(k_pair, 0x44, bytes.fromhex(pairing["box"]) + b"\x03", 128))]
    keys += [("K_box", k_box), ("ladder root", root), ("K_pair", k_pair), ("K_cw", k_cw)]
    keys += [("control word", cw) for cw in check_secrets.cws(scrambled, numbers)]
    check("the ladder's keys were loaded", bool(box.ladders), f"{len(box.ladders)} sets")
    for both in box.ladders:
        ladder = bytes(o ^ MASK for o in bytes.fromhex(both))
        k2 = Cipher(AES(root), modes.ECB()).decryptor().update(ladder[:16])
        keys += [("EK2", ladder[:16]), ("EK1", ladder[16:]), ("K2 of the ladder", k2)]
    time.sleep(0.05)
    clean("after stbcam_close", [*pin_needles(pin), *key_needles(keys)])
    check("end", box.end() == 0, f"{len(keys)} secrets")
    card.terminate()
    card.wait(30)
    print(f"{passed} passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
