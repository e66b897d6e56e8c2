#!/usr/bin/env python3
"""Recomputes the demo from its files: source, scrambled and descrambled stream, schedule and keys.

Shares no code with the project: OpenSSL through PyPI's `cryptography`, Debian's libdvbcsa, ffmpeg.

    check_demo.py DIR        DIR holds scrambled.ts, descrambled.ts, report.json
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import cas
import ts

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "examples" / "demo"
ECM_PERIOD = 0.1
CIPHERS = {0x02: cas.Csa2, 0x10: cas.Cissa}

passed = 0
failures = []


def check(name, good, detail=""):
    global passed
    if good:
        passed += 1
        print(f"ok      {name}" + (f": {detail}" if detail else ""))
    else:
        failures.append(name)
        print(f"FAILED  {name}" + (f": {detail}" if detail else ""))


class Service:
    """A scrambled service, as the PMT on air describes it."""

    def __init__(self, pmt, keys, scrambled):
        self.number = pmt.program
        self.pids = set(pmt.streams)
        mode = [d for tag, d in pmt.descriptors if tag == 0x65]
        self.cipher = CIPHERS[mode[0][0]]()
        ca = [d for tag, d in pmt.descriptors if tag == 0x09]
        self.ecm_pid = int.from_bytes(ca[0][2:4], "big") & 0x1FFF
        self.ecms, self.refused = [], 0
        for index, section in ts.sections(scrambled, self.ecm_pid):
            try:
                self.ecms.append((index, cas.Ecm(section, keys)))
            except cas_errors():
                self.refused += 1
        self.control_words = {}
        self.next_words = {}
        for index, ecm in self.ecms:
            for period, cw in ecm.control_words().items():
                known = self.control_words.setdefault(period, cw)
                assert known == cw, f"crypto period {period} has two control words on air"
                if period > ecm.cp_number:
                    self.next_words.setdefault(period, index)


def cas_errors():
    from cryptography.exceptions import InvalidTag

    return (InvalidTag, KeyError)


def load(directory):
    report = json.loads((directory / "report.json").read_text())
    source = ts.read(ROOT / "examples" / "media" / "two-services.ts")
    return report, source, ts.read(directory / "scrambled.ts"), ts.read(directory / "descrambled.ts")


def service_keys(operator):
    return {(k["slot"], k["epoch"]): bytes.fromhex(k["key"]) for k in operator["service_key"]}


def check_places(source, scrambled):
    """Packet i of the result is packet i of the source; what is new stands where a null packet stood."""
    check("the stream keeps its length", len(source) == len(scrambled), f"{len(source)} packets")
    pmt_pids = set(ts.programs(source).values())
    new_pids, moved = set(), 0
    for before, after in zip(source, scrambled):
        if before.pid == ts.NULL_PID:
            if after.pid != ts.NULL_PID:
                new_pids.add(after.pid)
        elif before.pid in pmt_pids:
            moved += before.pid != after.pid or before.data[1:4] != after.data[1:4]
        else:
            moved += before.unscrambled_header() != after.unscrambled_header()
    check("every packet keeps its place, header, PCR and continuity counter", moved == 0, f"{moved} moved")
    taken = new_pids & {p.pid for p in source}
    check("new packets use new PIDs", not taken, f"{sorted(hex(p) for p in new_pids)}")
    wrong, last = 0, {}
    for packet in scrambled:
        pid = packet.pid
        if pid == ts.NULL_PID:
            continue
        if pid in last and packet.has_payload and not packet.discontinuity:
            wrong += packet.continuity != (last[pid] + 1) % 16
        last[pid] = packet.continuity
    reference = {}
    wrong_in_source = 0
    for packet in source:
        pid = packet.pid
        if pid != ts.NULL_PID:
            if pid in reference and packet.has_payload and not packet.discontinuity:
                wrong_in_source += packet.continuity != (reference[pid] + 1) % 16
            reference[pid] = packet.continuity
    check("continuity counters are right", wrong == wrong_in_source == 0, f"{wrong} breaks")


def check_signalling(source, scrambled, schedule):
    """CAT, PMT: descriptors there, CRC right, the rest as in the source."""
    cats = list(ts.sections(scrambled, 1))
    check("the CAT is on air with a good CRC", bool(cats) and all(ts.crc32(s) == 0 for _, s in cats))
    before, after = ts.programs(source), ts.programs(scrambled)
    check("the PAT is untouched", before == after)
    good = True
    for pid in after.values():
        old = ts.Pmt(next(ts.sections(source, pid))[1])
        sections = [s for _, s in ts.sections(scrambled, pid)]
        good &= all(ts.crc32(s) == 0 for s in sections)
        new = ts.Pmt(sections[0])
        good &= new.streams == old.streams and new.pcr_pid == old.pcr_pid
        good &= new.version != old.version
        good &= [d for d in new.descriptors if d[0] not in (0x09, 0x65)] == old.descriptors
        good &= any(
            tag == 0x09 and int.from_bytes(d[:2], "big") == schedule["ca_system_id"]
            for tag, d in new.descriptors
        )
    check("each PMT carries CA_descriptor and scrambling_descriptor, and the rest as before", good)


def check_ecm_schedule(source, scrambled, services, times):
    """An ECM of each service falls due every 100 ms and takes the first null packet after it is due."""
    due = {s.ecm_pid: 0.0 for s in services}
    on_air = {s.ecm_pid: [] for s in services}
    authentic = {index for s in services for index, _ in s.ecms}
    misplaced = 0
    slack = times[1] - times[0]
    for before, after in zip(source, scrambled):
        now = times[before.index]
        if after.pid in due and after.index in authentic:
            misplaced += before.pid != ts.NULL_PID or due[after.pid] > now + slack
            on_air[after.pid].append(now)
            while due[after.pid] <= now + 1e-9:
                due[after.pid] += ECM_PERIOD
        elif before.pid == ts.NULL_PID:
            misplaced += any(d < now - slack for d in due.values())
    check("each ECM takes the first null packet after it is due", misplaced == 0, f"{misplaced} misplaced")
    for s in services:
        seen = on_air[s.ecm_pid]
        worst = max(b - a for a, b in zip(seen, seen[1:]))
        check(f"service {s.number}: ECM interval", worst < 0.25, f"{len(seen)} ECMs, worst {worst*1000:.0f} ms")


def check_on_air(source, scrambled, services, times, period):
    """Every long enough payload is scrambled as libdvbcsa and OpenSSL scramble it."""
    for s in services:
        wrong = clear = short = count = 0
        toggles, previous = [], None
        cp = None
        first = {}
        for before, after in zip(source, scrambled):
            if before.pid not in s.pids or not before.payload:
                continue
            if len(before.payload) < s.cipher.shortest:
                short += 1
                wrong += before.payload != after.payload
                continue
            if after.scrambling < 2:
                clear += 1
                continue
            count += 1
            parity = after.scrambling & 1
            if cp is None:
                cp = min(n for n in s.control_words if n & 1 == parity)
            elif parity != previous:
                cp += 1
                toggles.append(times[after.index])
            first.setdefault(cp, after.index)
            previous = parity
            cw = s.control_words.get(cp)
            clear += before.payload == after.payload
            wrong += cw is None or s.cipher.scramble(cw, before.payload) != after.payload
        check(f"service {s.number}: every long enough payload is scrambled", clear == 0 and count > 0,
              f"{count} scrambled, {short} too short, {clear} clear")
        check(f"service {s.number}: recomputed with {s.cipher.name}", wrong == 0, f"{wrong} differ")
        late = [t for k, t in enumerate(toggles) if not 0 <= t - period * (k + 1) < 0.1]
        check(f"service {s.number}: crypto periods of {period} s", toggles and not late,
              ", ".join(f"{t:.2f}" for t in toggles))
        early = [times[first[n]] - times[s.next_words[n]] for n in first if n in s.next_words]
        check(f"service {s.number}: the next control word is on air at least 1 s ahead",
              len(early) >= len(toggles) and min(early) >= 1.0, f"at least {min(early):.2f} s")


def check_windows(report, source, scrambled, descrambled, services):
    """In a granted window the picture is the source's, outside it is what was on air."""
    check("the descrambled stream keeps its length", len(descrambled) == len(scrambled))
    owner = {pid: s for s in services for pid in s.pids}
    windows = {s.number: report["services"][str(s.number)]["windows"] for s in services}
    granted = {
        s.number: {i for first, last in windows[s.number] for i in range(first, last + 1)} for s in services
    }
    wrong = other = 0
    clear = {s.number: 0 for s in services}
    total = {s.number: 0 for s in services}
    for before, air, after in zip(source, scrambled, descrambled):
        s = owner.get(before.pid)
        if s is None:
            other += air.data != after.data
            continue
        if not before.payload:
            wrong += before.data != after.data
            continue
        total[s.number] += 1
        if before.index in granted[s.number]:
            clear[s.number] += 1
            wrong += before.data != after.data
        else:
            wrong += air.data != after.data
    check("granted windows equal the source, all else equals what was on air", wrong == 0, f"{wrong} differ")
    check("the rest of the multiplex is untouched", other == 0, f"{other} differ")
    for s, least in zip(services, (0.80, 0.40)):
        share = clear[s.number] / total[s.number]
        check(f"service {s.number}: in clear for at least {least:.0%}", share >= least, f"{share:.1%}")
    return windows


def check_frames(source, descrambled, services, windows):
    """ffmpeg decodes as many frames in the fully granted windows as from the source."""
    for s in services:
        for first, last in windows[s.number]:
            frames = []
            for stream in (source, descrambled):
                chosen = [p for p in stream if p.pid == 0 or first <= p.index <= last]
                pmt_pid = ts.programs(source)[s.number]
                head = [next(p for p in source if p.pid == pid) for pid in (0, pmt_pid)]
                keep = s.pids
                data = b"".join(p.data for p in head) + b"".join(p.data for p in chosen if p.pid in keep)
                frames.append(decode(data))
            (want, _), (got, errors) = frames
            check(f"service {s.number}: ffmpeg decodes packets {first} to {last}",
                  got == want > 0 and errors == frames[0][1], f"{got} frames, source {want}")


def decode(data):
    run = subprocess.run(
        ["ffmpeg", "-hide_banner", "-v", "error", "-stats", "-f", "mpegts", "-i", "-", "-map", "0:v:0",
         "-f", "null", "-"],
        input=data, capture_output=True, check=False,
    )
    text = run.stderr.decode(errors="replace")
    counts = re.findall(r"frame=\s*(\d+)", text)
    errors = [line for line in text.splitlines() if "frame=" not in line and line.strip()]
    return (int(counts[-1]) if counts else 0), len(errors)


def check_money(report, card):
    """Every fen adds up, and each TAC is the one that PBOC's formula gives."""
    dtk = bytes.fromhex(next(k["value"] for k in card["key"] if k["role"] == "tac"))
    balance = report["purse"]["balance_start"]
    chained = True
    for p in report["purchases"]:
        balance -= p["price"]
        tac = cas.purchase_tac(
            dtk, p["price"], 0x09, bytes.fromhex(p["terminal"]), p["terminal_sequence"],
            bytes.fromhex(p["date"].replace("-", "")), bytes.fromhex(p["time"].replace(":", "")),
        )
        check(f"event {p['event']}: the TAC is PBOC's", tac.hex() == p["tac"], p["tac"])
        chained &= p["balance_after"] == balance
    check("balances add up over all purchases", chained and balance == report["purse"]["balance_end"],
          f"{report['purse']['balance_start']} to {balance} fen in {len(report['purchases'])} purchases")
    sequences = [p["card_sequence"] for p in report["purchases"]]
    check("one card sequence per purchase", sequences == sorted(set(sequences)), f"{sequences}")


def main():
    directory = Path(sys.argv[1])
    schedule = tomllib.loads((DEMO / "schedule.toml").read_text())
    operator = tomllib.loads((DEMO / "operator.toml").read_text())
    card = tomllib.loads((DEMO / "card.toml").read_text())
    report, source, scrambled, descrambled = load(directory)
    check("the demo says ok", report["demo"] == "ok")
    times = ts.packet_times(source)
    keys = service_keys(operator)
    services = [
        Service(ts.Pmt(next(ts.sections(scrambled, pid))[1]), keys, scrambled)
        for _, pid in sorted(ts.programs(scrambled).items())
    ]
    check_places(source, scrambled)
    check_signalling(source, scrambled, schedule)
    check_ecm_schedule(source, scrambled, services, times)
    check_on_air(source, scrambled, services, times, schedule["crypto_period_s"])
    windows = check_windows(report, source, scrambled, descrambled, services)
    check_frames(source, descrambled, services, windows)
    check_money(report, card)
    print(f"{passed} passed, {len(failures)} failed")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
