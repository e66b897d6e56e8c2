#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clear streams of others, packaged, played and judged: what docs/field.md says of real streams is found out with this.

The judges are those of check_broadcast.py, and the player with the virtual card. A stream that is refused is packaged once
more at the bit rate that the refusal names.

    check_streams.py [--bit-rate BITS] DIR STREAM…        DIR is a scratch folder
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cas
import tr101290
import ts
from check_broadcast import SCHEDULE, carried
from check_demo import service_keys

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples" / "demo"))
import story  # noqa: E402
from actors import BIN, READERS, Card, Headend  # noqa: E402

CIPHERS = (("cissa", cas.Cissa), ("csa2", cas.Csa2))
SERVICE = """[[service]]
name = "{number}"
service = {number}
also = {also}
channel = {number}
slot = 1
epoch = 1
scrambling = "{scrambling}"
ecm_pid = {ecm_pid}
free = true
"""


# ---- the source -----------------------------------------------------------------------------------------------------------


def framed(octets):
    """The packets of 188 octets, of whichever length, wherever they begin; what is out of step is left out."""
    for length, head in ((188, 0), (192, 4), (204, 0)):
        for start in range(min(3 * length, len(octets))):
            if all(octets[at : at + 1] == b"\x47" for at in range(start + head, start + head + 6 * length, length)):
                return in_step(octets, length, start + head)
    return []


def in_step(octets, length, at):
    packets = []

    def locked(place):
        return all(octets[place + n * length : place + n * length + 1] in (b"\x47", b"") for n in range(3))

    while at + 188 <= len(octets):
        if octets[at] == 0x47 or all(octets[at + n * length : at + n * length + 1] in (b"\x47", b"") for n in (1, 2)):
            packets.append(b"\x47" + octets[at + 1 : at + 188])
            at += length
            continue
        at = next((place for place in range(at + 1, len(octets) - 188) if locked(place)), len(octets))
    return packets


def good(packets, pid, table):
    """The sections of this table that are undamaged and current."""
    clear = [p for p in packets if p.pid == pid and not p.data[1] & 0x80]
    for _, section in ts.sections([p for p in clear if p.payload], pid):
        if len(section) >= 12 and section[0] == table and ts.crc32(section) == 0 and section[5] & 1:
            yield section


def services(packets):
    """{service: its components} as PAT and PMTs say, with those only that carry PES packets."""
    numbers = {}
    for section in good(packets, 0, 0):
        for at in range(8, len(section) - 4, 4):
            number, pid = (int.from_bytes(section[n : n + 2], "big") for n in (at, at + 2))
            if number:
                numbers.setdefault(number, pid & 0x1FFF)
    pes = {p.pid for p in packets if p.unit_start and p.payload[:3] == b"\0\0\1"}
    found = {}
    for number, pid in numbers.items():
        pids = {one for s in good(packets, pid, 2) if (pmt := ts.Pmt(s)).program == number for one in pmt.streams}
        if pids & pes:
            found[number] = pids & pes
    return numbers, found


def groups(found):
    """Services with a component in common are under the same ECMs."""
    together = []
    for number, pids in sorted(found.items()):
        joined = [g for g in together if g[1] & pids]
        together = [g for g in together if g not in joined]
        together.append(([n for g in joined for n in g[0]] + [number], pids.union(*(g[1] for g in joined))))
    return together


def free_pids(packets):
    used = {p.pid for p in packets}
    return (pid for pid in range(0x0140, 0x1FF0) if pid not in used)


# ---- package and play -----------------------------------------------------------------------------------------------------


class Bench(story.Story):
    """The head-end and the card of the demo, and a box for each stream."""

    def __init__(self, out):
        super().__init__(out, paced=False, reader=READERS[0])
        self.pairing = Headend(out, None).pair(self.card_file["card_id"], self.operator["box"][0]["stb_id"])

    def package(self, source, packets, members, arguments):
        pids = free_pids(packets)
        text = SCHEDULE.replace("0x0150", str(next(pids)))
        rows = []
        for n, (numbers, components) in enumerate(members):
            name, cipher = CIPHERS[n % 2]
            ecm_pid = next(pids)
            text += SERVICE.format(number=numbers[0], also=numbers[1:], scrambling=name, ecm_pid=ecm_pid)
            rows.append((components, cipher(), ecm_pid))
        schedule, result = self.out / "streams.toml", self.out / "result.ts"
        schedule.write_text(text)
        result.unlink(missing_ok=True)
        run = subprocess.run([str(c) for c in (
            BIN / "headend", "package", "--schedule", schedule, "--operator", story.HERE / "operator.toml", "--in", source,
            "--out", result, *arguments)], capture_output=True, text=True, check=False, timeout=300)
        return run, result, rows

    def play(self, stream, members):
        """The packets as a box with a new card leaves them."""
        card = Card(self.out, self.personalisation(self.pairing), (), self.reader)
        state, result = self.out / "state", self.out / "played.ts"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        shutil.copy(self.pairing / "box-pair.section", state / "pairing.0")
        watched = [str(word) for numbers, _ in members for number in numbers for word in ("--watch", number)]
        run = subprocess.run([str(c) for c in (
            BIN / "player", "--reader", card.url, "--box", self.box_file(), "--state", state, "--unpaced", *watched, "-o",
            result, stream)], capture_output=True, text=True, timeout=300, check=False)
        card.close()
        return run, ts.read(result) if result.exists() else []


def descrambled(packets, rows, keys):
    """Each scrambled packet by libdvbcsa or OpenSSL, with the control words of the ECMs; and how many there are."""
    owner, words = {}, []
    for n, (components, cipher, ecm_pid) in enumerate(rows):
        words.append({})
        for _, section in ts.sections(packets, ecm_pid):
            if section[0] in (0x80, 0x81):
                words[n].update(cas.Ecm(section, keys).cws())
        owner.update({pid: (n, cipher) for pid in components})
    period, out, scrambled = {}, [], 0
    for packet in packets:
        data = packet.data
        if packet.pid in owner and packet.scrambling >= 2:
            number, cipher = owner[packet.pid]
            now = period.setdefault(number, min(n for n in words[number] if n & 1 == packet.scrambling & 1))
            if now & 1 != packet.scrambling & 1:
                now = period[number] = now + 1
            payload = packet.payload
            if len(payload) >= cipher.shortest:
                payload = cipher.descramble(words[number][now], payload)
                scrambled += 1
            data = packet.unscrambled_header() + payload
        out.append(ts.Packet(data, packet.index))
    return out, set(owner), scrambled


def opened(packets, listed, numbers, ecm_pid):
    """Where a box that is on from the start has PAT, PMT and, behind them, an ECM."""
    at = next((n for n, _ in ts.sections(packets, 0)), 0)
    at = max(next((n for n, _ in ts.sections(packets, listed[number]) if n > at), 0) for number in numbers)
    return next((n for n, _ in ts.sections(packets, ecm_pid) if n > at), 0)


# ---- judging --------------------------------------------------------------------------------------------------------------


def packaged(bench, path, packets, members, bit_rate):
    """Packages it, at the bit rate that a refusal names where it is refused."""
    refusals = []
    for _ in range(2):
        run, result, rows = bench.package(path, packets, members, ("--bit-rate", bit_rate) if bit_rate else ())
        if run.returncode == 0:
            return result, rows, bit_rate, refusals
        said = run.stderr.strip().splitlines()[-1] if run.stderr.strip() else f"status {run.returncode}"
        refusals.append(said)
        rate = re.search(r"--bit-rate (\d+)", said)
        if not rate or str(bit_rate) == rate[1]:
            break
        bit_rate = rate[1]
    return None, None, bit_rate, refusals


def row(bench, path, keys, wanted):
    packets = [ts.Packet(data, n) for n, data in enumerate(framed(path.read_bytes()))]
    listed, found = services(packets)
    members = groups(found) or [([min(listed, default=1)], set())]
    what = f"{len(packets)} packets, services {len(listed)}, with PES {len(found)}"
    result, rows, bit_rate, refusals = packaged(bench, path, packets, members, wanted)
    for said in refusals:
        print(f"        {path.name}: refused: {said}")
    if result is None:
        return {"stream": path.name, "what": what, "refused": refusals[-1:], "failed": []}
    on_air = ts.read(result)
    clear, components, scrambled = descrambled(on_air, rows, keys)
    before, after = carried(packets, components), carried(clear, components)
    # A packet with a PCR alone may have been added by a higher rate.
    after = [p for p in after if has_payload(p)] if bit_rate else after
    before = [p for p in before if has_payload(p)] if bit_rate else before
    wrong = sum(a != b for a, b in zip(before, after)) + abs(len(before) - len(after))
    counts = tr101290.counts(b"".join(p.data for p in packets))
    now = tr101290.counts(b"".join(p.data for p in on_air))
    now["PTS_error"] = tr101290.counts(b"".join(p.data for p in clear))["PTS_error"]
    more = tr101290.added(counts, now)
    run, played = bench.play(result, members)
    known = {pid: at for (numbers, pids), (_, _, ecm_pid) in zip(members, rows)
             for at in [opened(on_air, listed, numbers, ecm_pid)] for pid in pids}
    shown, dark, differ, late = 0, 0, 0, 0
    for a, b in zip(clear, played):
        if a.pid in components and a.payload:
            dark += b.scrambling != 0
            late += b.scrambling != 0 and a.index > known[a.pid]
            shown += b.scrambling == 0
            differ += b.scrambling == 0 and a.data != b.data
    player = run.returncode or differ or late
    failed = [name for name, bad in (("wrong", wrong), ("tr101290", more), ("player", player)) if bad]
    return {"stream": path.name, "what": what, "bit_rate": bit_rate, "refused": refusals, "scrambled": scrambled, "wrong": wrong,
            "more": more, "errors": f"{sum(counts.values())}->{sum(now.values())}", "shown": shown, "dark": dark,
            "late": late, "differ": differ, "status": run.returncode, "said": run.stderr.strip()[-300:], "failed": failed}


def has_payload(data):
    return bool(data[3] & 0x10)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bit-rate")
    parser.add_argument("dir", type=Path)
    parser.add_argument("streams", nargs="+", type=Path)
    arguments = parser.parse_args()
    out = arguments.dir.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    bench = Bench(out)
    keys = service_keys(bench.operator)
    bad = 0
    for path in arguments.streams:
        found = row(bench, path, keys, arguments.bit_rate)
        bad += bool(found["failed"])
        print(f"{'FAILED ' if found['failed'] else 'ok     '} " + ", ".join(f"{k} {v}" for k, v in found.items()), flush=True)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
