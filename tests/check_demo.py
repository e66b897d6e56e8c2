#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recomputes the demo from its files: source, scrambled and descrambled stream, schedule and keys.

Shares no code with the project: OpenSSL through PyPI's `cryptography`, Debian's libdvbcsa, ffmpeg. What the report
says is compared with what the files show.

    check_demo.py DIR [--no-frames]       DIR holds scrambled.ts, descrambled.ts, report.json
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
CAT_PID = 1
LAG_S = 0.25  # seconds between a change and the first packet that shows it
SILENCE_S = 1.0  # without an answer, and the keys of a card go (docs/spec/abi.md, Keys and a silent card)
POLL_S = 0.3  # until an idle card is asked
CIPHERS = {0x02: cas.Csa2, 0x10: cas.Cissa, 0x70: cas.Idsa, 0xDE: cas.Scte52}

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
        self.ecms, self.forged = [], []
        for index, section in ts.sections(scrambled, self.ecm_pid):
            try:
                self.ecms.append((index, cas.Ecm(section, keys)))
            except cas_errors():
                self.forged.append(index)
        self.cws = {}
        self.next_cws = {}
        self.scrambled, self.short = [], 0  # packets on air
        self.clear, self.dark = [], []  # packets as the box saw them
        for index, ecm in self.ecms:
            for period, cw in ecm.cws().items():
                known = self.cws.setdefault(period, cw)
                assert known == cw, f"crypto period {period} has two control words on air"
                if period > ecm.cp_number:
                    self.next_cws.setdefault(period, index)


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


def check_carousels(source, scrambled, services, times, schedule):
    """An ECM of each service falls due every 100 ms and takes the first null packet after it is due; the CAT takes the
    next one, and what is left is for EMMs (a forged ECM is one of these)."""
    period = {s.ecm_pid: schedule["ecm_period_ms"] / 1000 for s in services}
    period[CAT_PID] = schedule["cat_period_ms"] / 1000
    due = {pid: 0.0 for pid in period}
    on_air = {pid: [] for pid in period}
    forged = {index for s in services for index in s.forged}
    wrong = early = 0
    slack = times[1] - times[0]
    for before, after in zip(source, scrambled):
        now = times[before.index]
        turn = after.pid if after.pid in due and after.index not in forged else None
        waiting = [pid for pid, when in due.items() if when < now - slack]
        if before.pid != ts.NULL_PID:
            wrong += turn is not None
        elif turn is None:
            wrong += bool(waiting)
        else:
            wrong += turn == CAT_PID and any(pid != CAT_PID for pid in waiting)
            early += due[turn] > now + slack
            on_air[turn].append(now)
            while due[turn] <= now + 1e-9:
                due[turn] += period[turn]
    check("what is due takes the first null packet: ECM, then CAT, then EMM", wrong == early == 0,
          f"{wrong} late, {early} early")
    for s in services:
        seen = on_air[s.ecm_pid]
        worst = max(b - a for a, b in zip(seen, seen[1:]))
        check(f"service {s.number}: ECM interval", worst < 0.25, f"{len(seen)} ECMs, worst {worst*1000:.0f} ms")
    worst = max(b - a for a, b in zip(on_air[CAT_PID], on_air[CAT_PID][1:]))
    check("CAT interval", worst < 2 * period[CAT_PID], f"{len(on_air[CAT_PID])} CATs, worst {worst*1000:.0f} ms")
    return on_air


def at(rows, second):
    """The row of a schedule's list that is in force at this second."""
    return next((r for r in rows if r["from_s"] <= second < r.get("until_s", 1e9)), None)


def check_schedule(services, schedule):
    """Key generation, packages, event and price of each ECM are the schedule's for its crypto period."""
    for s, planned in zip(services, schedule["service"]):
        first = min(ecm.cp_number for _, ecm in s.ecms)
        wrong, epochs = 0, set()
        for _, ecm in s.ecms:
            second = (ecm.cp_number - first) * schedule["crypto_period_s"]
            rotated = [r["epoch"] for r in planned.get("rotation", []) if r["from_s"] <= second]
            event = at(planned.get("event", []), second)
            packages = b"".join(p.to_bytes(2, "big") for p in planned.get("packages", []))
            criteria = dict(ecm.criteria)
            wrong += ecm.epoch != (rotated or [planned["epoch"]])[-1] or ecm.slot != planned["slot"]
            wrong += ecm.channel != planned["channel"] or criteria.get(cas.SUB, b"") != packages
            price = (event["id"], fen(event["price"])) if event else None
            told = criteria.get(cas.PPV)
            wrong += price != (told and (int.from_bytes(told[:4], "big"), int.from_bytes(told[4:8], "big")))
            epochs.add(ecm.epoch)
        check(f"service {s.number}: ECMs are as scheduled", wrong == 0 and s.ecms,
              f"key generations {sorted(epochs)}, {wrong} wrong")


def fen(yuan):
    whole, cents = yuan.split(".")
    return int(whole) * 100 + int(cents)


def check_on_air(source, scrambled, services, times, period):
    """Every long enough payload is scrambled as libdvbcsa and OpenSSL scramble it."""
    for s in services:
        wrong = clear = 0
        toggles, previous = [], None
        cp = None
        first = {}
        for before, after in zip(source, scrambled):
            if before.pid not in s.pids or not before.payload:
                continue
            if len(before.payload) < s.cipher.shortest:
                s.short += 1
                wrong += before.payload != after.payload
                continue
            if after.scrambling < 2:
                clear += 1
                continue
            s.scrambled.append(before.index)
            parity = after.scrambling & 1
            if cp is None:
                cp = min(n for n in s.cws if n & 1 == parity)
            elif parity != previous:
                cp += 1
                toggles.append(times[after.index])
            first.setdefault(cp, after.index)
            previous = parity
            cw = s.cws.get(cp)
            clear += before.payload == after.payload
            wrong += cw is None or s.cipher.scramble(cw, before.payload) != after.payload
        check(f"service {s.number}: every long enough payload is scrambled", clear == 0 and s.scrambled,
              f"{len(s.scrambled)} scrambled, {s.short} too short, {clear} clear")
        check(f"service {s.number}: recomputed with {s.cipher.name}", wrong == 0, f"{wrong} differ")
        late = [t for k, t in enumerate(toggles) if not 0 <= t - period * (k + 1) < 0.1]
        check(f"service {s.number}: crypto periods of {period} s", toggles and not late,
              ", ".join(f"{t:.2f}" for t in toggles))
        early = [times[first[n]] - times[s.next_cws[n]] for n in first if n in s.next_cws]
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
    for before, air, after in zip(source, scrambled, descrambled):
        s = owner.get(before.pid)
        if s is None:
            other += air.data != after.data
        elif not before.payload:
            wrong += before.data != after.data
        elif before.index in granted[s.number]:
            s.clear.append(before.index)
            wrong += before.data != after.data
        else:
            s.dark.append(before.index)
            wrong += air.data != after.data
    check("granted windows equal the source, all else equals what was on air", wrong == 0, f"{wrong} differ")
    check("the rest of the multiplex is untouched", other == 0, f"{other} differ")
    for s, least in zip(services, (0.80, 0.40)):
        share = len(s.clear) / (len(s.clear) + len(s.dark))
        check(f"service {s.number}: in clear for at least {least:.0%}", share >= least, f"{share:.1%}")
    return windows


def check_rights(report, windows, services, times, schedule):
    """The picture is there when the schedule, the purchases and the hand at the card say so, and at no other time."""
    pulled, back = (next(m["at_s"] for m in report["marks"] if m["what"] == w) for w in ("card pulled", "card back"))
    end = times[-1]
    for s, planned in zip(services, schedule["service"]):
        wanted = [(0.0, end)] if planned.get("packages") else [
            (p["at_s"], next(e for e in planned["event"] if e["id"] == p["event"]).get("until_s", end))
            for p in report["purchases"]
        ]
        wanted = [part for a, b in wanted for part in ((a, min(b, pulled)), (max(a, back), b)) if part[0] < part[1]]
        seen = [(times[a], times[b]) for a, b in windows[s.number]]
        good = len(seen) == len(wanted)
        for (a, b), (begin, stop) in zip(seen, wanted):
            # Up to a second until the first key; at a pulled card the silence until the keys are wiped.
            good &= begin - LAG_S <= a <= begin + 1.0
            good &= stop - 0.1 <= b <= stop + (POLL_S + SILENCE_S if stop == pulled else LAG_S)
        check(f"service {s.number}: the picture is there when it was paid for, and the card is in", good,
              ", ".join(f"{a:.2f}-{b:.2f} s" for a, b in seen))


def check_report(report, services, times, on_air, descrambled):
    """The report's numbers are the files' numbers."""
    said = report["packets"]
    for s in services:
        s.shown = [i for i in s.scrambled if descrambled[i].scrambling == 0]
    rotation = next(m["at_s"] for m in report["marks"] if m["what"] == "rotation")
    near = {i for i in services[0].scrambled if abs(times[i] - rotation) < 1.0}
    found = {"scrambled": sum(len(s.scrambled) for s in services), "too_short": sum(s.short for s in services),
             "descrambled": sum(len(s.shown) for s in services), "mismatched": 0,
             "lost_at_rotation": len(near - set(services[0].shown))}
    check("the report counts packets as they are", said == found, f"{said}")
    for s in services:
        told = report["services"][str(s.number)]
        good = len(told["ecms_s"]) == len(on_air[s.ecm_pid])
        good &= abs(told["share_in_clear"] - len(s.shown) / len(s.scrambled)) < 1e-3
        good &= sorted(s.cws)[: len(told["crypto_periods"])] == [c["number"] for c in told["crypto_periods"]]
        check(f"service {s.number}: the report tells ECMs, crypto periods and share as they are", good,
              f"{len(told['ecms_s'])} ECMs, {len(told['crypto_periods'])} crypto periods, {told['share_in_clear']:.1%}")


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


def check_money(report, card, schedule):
    """Every fen adds up, each price is the schedule's, and each TAC is the one that PBOC's formula gives."""
    dtk = bytes.fromhex(next(k["value"] for k in card["key"] if k["role"] == "tac"))
    prices = {e["id"]: fen(e["price"]) for s in schedule["service"] for e in s.get("event", [])}
    balance = report["purse"]["balance_start"]
    chained = balance == card["purse"]["balance"]
    for p in report["purchases"]:
        chained &= p["balance_before"] == balance
        balance -= p["price"]
        tac = cas.purchase_tac(
            dtk, p["price"], 0x09, bytes.fromhex(p["terminal"]), p["terminal_sequence"],
            bytes.fromhex(p["date"].replace("-", "")), bytes.fromhex(p["time"].replace(":", "")),
        )
        check(f"event {p['event']}: the TAC is PBOC's", tac.hex() == p["tac"], p["tac"])
        check(f"event {p['event']}: the price is the schedule's", p["price"] == prices[p["event"]], f"{p['price']} fen")
        chained &= p["balance_after"] == balance
    check("balances add up over all purchases", chained and balance == report["purse"]["balance_end"],
          f"{report['purse']['balance_start']} to {balance} fen in {len(report['purchases'])} purchases")
    sequences = [p["card_sequence"] for p in report["purchases"]]
    check("one card sequence per purchase", sequences == sorted(set(sequences)), f"{sequences}")


def check_card_report(report, card):
    """The card's report is sealed for this request, its records lead from receipt to receipt, and they are the
    purchases: amount, sequences, event, balance, code."""
    values = {k["role"]: bytes.fromhex(k["value"]) for k in card["key"]}
    told, card_id = report["card_report"], bytes.fromhex(card["card_id"])
    nonce, pages = bytes.fromhex(told["nonce"]), [bytes.fromhex(page) for page in told["pages"]]
    try:
        opened = [cas.Report(page, nonce, values["receipt"]) for page in pages]
        ack = cas.acknowledged(bytes.fromhex(told["ack"]), values["receipt"])
    except cas_errors():
        opened = ack = None
    check("report and acknowledgement open, with the nonce of the request", opened, f"{len(pages)} pages")
    if not opened:
        return
    receipt, whole = bytes(8), True
    for page in opened:
        whole &= page.before == receipt and page.chain(card_id, values["receipt"]) == page.after
        receipt = page.after
    check("the records lead from receipt to receipt", whole, receipt.hex())
    check("the acknowledgement names the last receipt", ack == receipt)
    records = [r for page in opened for r in page.records]
    number = lambda octets: int.from_bytes(octets, "big")  # noqa: E731
    reported = [
        {"event": number(r[31:35]), "price": number(r[5:9]), "balance_after": number(r[27:31]),
         "card_sequence": number(r[:2]), "terminal": r[10:16].hex(), "terminal_sequence": number(r[23:27]),
         "tac": r[41:45].hex()} for r in records
    ]
    bought = [{k: p[k] for k in reported[0]} for p in report["purchases"]] if reported else None
    check("the records are the purchases", reported == bought, f"{len(records)} records")
    codes = [cas.purchase_tac(values["tac"], number(r[5:9]), r[9], r[10:16], number(r[23:27]), r[16:20], r[20:23])
             for r in records]
    check("each record's TAC is PBOC's", codes == [r[41:45] for r in records])
    check("the purse holds what the records leave", opened[-1].balance == report["purse"]["balance_end"])
    altered = bytes([*pages[0][:-1], pages[0][-1] ^ 1])
    for name, page, with_nonce in (("an altered report", altered, nonce), ("a replayed report", pages[0], bytes(8))):
        try:
            cas.Report(page, with_nonce, values["receipt"])
            check(f"{name} does not open", False)
        except cas_errors():
            check(f"{name} does not open", True)


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
    on_air = check_carousels(source, scrambled, services, times, schedule)
    check_schedule(services, schedule)
    check_on_air(source, scrambled, services, times, schedule["crypto_period_s"])
    windows = check_windows(report, source, scrambled, descrambled, services)
    check_rights(report, windows, services, times, schedule)
    check_report(report, services, times, on_air, descrambled)
    if "--no-frames" not in sys.argv:
        check_frames(source, descrambled, services, windows)
    check_money(report, card, schedule)
    check_card_report(report, card)
    print(f"{passed} passed, {len(failures)} failed")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
