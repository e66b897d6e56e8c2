#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the head-end makes of what broadcasters have: sources in many shapes, each packaged and judged.

The judges: TR 101 290 (tests/tr101290.py: no indicator counts more than in the source), libdvbcsa and OpenSSL with the control
words of the ECMs (every payload is the source's again), ffmpeg (as many frames, no more errors).

    check_broadcast.py DIR        scratch folder
"""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import cas
import tr101290
import ts
from check_demo import decode, service_keys

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "examples" / "demo"
SOURCE = ROOT / "examples" / "media" / "two-services.ts"
HEADEND = ROOT / "target" / "release" / "headend"
PACKETS = 8000  # 13 s
GHOST, EMM_PID = 0x0ABC, 0x0150
SCHEDULE = """start = 2026-12-01T12:00:00Z
ca_system_id = 0x4AF0
crypto_period_s = 4
emm_pid = 0x0150
"""
SERVICE = """[[service]]
name = "{0}"
service = {0}
channel = {0}
slot = {0}
epoch = 1
scrambling = "{1}"
ecm_pid = {2}
free = true
"""
SERVICES = ((1, "cissa", cas.Cissa, 0x0140), (2, "csa2", cas.Csa2, 0x0141))
failed = 0


def check(what, holds, detail=""):
    global failed
    failed += not holds
    print(f"{'ok     ' if holds else 'FAILED '} {what}{': ' if detail else ''}{detail}")


# ---- sources ------------------------------------------------------------------------------------------------------------


def sealed(section):
    return section[:-4] + tr101290.crc32(section[:-4]).to_bytes(4, "big")


def with_pid(packet, pid):
    return packet[:1] + (int.from_bytes(packet[1:3], "big") & 0xE000 | pid).to_bytes(2, "big") + packet[3:]


def packed(pid, sections):
    """Packets of sections one behind the other."""
    octets, starts = b"".join(sections), [sum(map(len, sections[:n])) for n in range(len(sections))]
    at, packets = 0, []
    while at < len(octets):
        start = next((s for s in starts if at <= s < at + 183), None)
        room = 184 if start is None else 183
        head = b"" if start is None else bytes([start - at])
        indicator = 0 if start is None else 0x4000
        packets.append((b"\x47" + (indicator | pid).to_bytes(2, "big") + b"\x10" + head + octets[at : at + room])
                       .ljust(188, b"\xff"))
        at += room
    return packets


def long_table(table, extension, version, data):
    length = len(data) + 9
    return sealed(bytes([table, 0xB0 | length >> 8, length & 0xFF]) + extension.to_bytes(2, "big")
                  + bytes([0xC1 | version << 1, 0, 0]) + data + bytes(4))


def longer(pmt, octets):
    """The PMT with private descriptors of so many octets."""
    private = b"".join(b"\x80" + bytes([n]) + b"\xab" * n for n in (octets // 2 - 2, octets - octets // 2 - 2))
    info = (int.from_bytes(pmt[10:12], "big") & 0x0FFF) + len(private)
    data = pmt[8:10] + (0xF000 | info).to_bytes(2, "big") + private + pmt[12:-4]
    return long_table(2, int.from_bytes(pmt[3:5], "big"), pmt[5] >> 1 & 0x1F, data)


def tables(packets, change):
    """The stream with other tables: `change` gives, for the packet of a table, the packets that take its place; what is more
    than one goes into the next null packets."""
    out, waiting = [], []
    for n, packet in enumerate(packets):
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        new = change(n, pid, packet)
        if new is not None:
            waiting += new
        if waiting and (new is not None or pid == ts.NULL_PID):
            packet = waiting.pop(0)
        elif new is not None:
            packet = b"\x47\x1f\xff\x10" + b"\xff" * 184
        out.append(packet)
    return counted(out)


def counted(packets):
    """Continuity counters of what has changed anew."""
    counters, out = {}, []
    for packet in packets:
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        if pid in (0, 1, 0x11, 0x1000, 0x1001, GHOST):
            counter = counters[pid] = (counters.get(pid, -1) + 1) % 16
            packet = packet[:3] + bytes([packet[3] & 0xF0 | counter]) + packet[4:]
        out.append(packet)
    return out


def sources():
    """(name, the file, the packets that are in it, more arguments of the head-end)."""
    plain = [p.data for p in ts.read(SOURCE)[:PACKETS]]
    pmts = {pid: next(ts.sections([ts.Packet(p, n) for n, p in enumerate(plain)], pid))[1] for pid in (0x1000, 0x1001)}
    yield "as it is", b"".join(plain), plain, ()
    yield "192 octets, cut at both ends", b"".join(bytes([n & 0xFF] * 4) + p for n, p in enumerate(plain))[99:-99], \
        plain[1:-1], ()
    yield "204 octets, cut at both ends", b"".join(p + bytes([n & 0xFF] * 16) for n, p in enumerate(plain))[99:-99], \
        plain[1:-1], ()
    lost = list(plain)
    lost[1000] = b"\x46" + lost[1000][1:]
    yield "a damaged sync octet", b"".join(lost), plain, ()

    flagged = [p[:1] + bytes([p[1] | 0x80]) + p[2:] if n % 700 == 13 else p for n, p in enumerate(plain)]
    yield "transport_error_indicator", b"".join(flagged), flagged, ()

    full = [with_pid(p, GHOST) if p[1] & 0x1F == 0x1F and p[2] == 0xFF else p for p in plain]
    yield "no null packets, a higher rate", *twice(counted(full)), ("--bit-rate", "1100000")

    grown = {pid: packed(pid, [longer(pmt, 400)]) for pid, pmt in pmts.items()}
    yield "long PMTs", *twice(tables(plain, lambda n, pid, p: grown.get(pid))), ()

    def changing(n, pid, _):
        pmt = pmts.get(pid)
        version = 7 if n < PACKETS // 2 else 8
        return pmt and packed(pid, [long_table(2, int.from_bytes(pmt[3:5], "big"), version, pmt[8:-4])])

    yield "PMTs that change", *twice(tables(plain, changing)), ()

    pat = next(ts.sections([ts.Packet(p, n) for n, p in enumerate(plain)], 0))[1]
    shared = packed(0x1000, [long_table(0xC0, 9, 0, b"private" * 9), pmts[0x1000], pmts[0x1001]])
    one_pat = packed(0, [sealed(pat.replace(b"\xf0\x01", b"\xf0\x00"))])
    yield "two PMTs on one PID, behind a private table", *twice(tables(
        plain, lambda n, pid, p: {0: one_pat, 0x1000: shared, 0x1001: []}.get(pid))), ()

    cat = long_table(1, 0xFFFF, 3, bytes.fromhex("0904 1863 e321 0904 0500 e322"))
    places = {n for n, p in enumerate(plain) if p[1] & 0x1F == 0x1F and p[2] == 0xFF and n % 40 < 3}
    yield "a CAT", *twice(tables(plain, lambda n, pid, p: packed(1, [cat]) if n in places else None)), ()

    yield "a clock that starts anew", *twice(anew(plain, PACKETS // 2)), ()


def twice(packets):
    return b"".join(packets), packets


def anew(packets, place):
    """From this packet on every PCR is an hour further, the first of each PID with discontinuity_indicator."""
    told, out = set(), []
    for n, packet in enumerate(packets):
        one = ts.Packet(packet, n)
        if n >= place and one.pcr is not None:
            pcr = one.pcr + 3600 * ts.PCR_HZ
            base, extension = divmod(pcr % ((1 << 33) * 300), 300)
            octets = (base << 15 | 0x7E00 | extension).to_bytes(6, "big")
            flags = packet[5] | (0 if one.pid in told else 0x80)
            told.add(one.pid)
            packet = packet[:5] + bytes([flags]) + octets + packet[12:]
        out.append(packet)
    return out


# ---- judging ------------------------------------------------------------------------------------------------------------


def package(out, name, octets, arguments):
    stem = out / name.replace(" ", "-").replace(",", "")
    source, result, schedule = stem.with_suffix(".ts"), stem.with_suffix(".out.ts"), out / "schedule.toml"
    source.write_bytes(octets)
    schedule.write_text(SCHEDULE + "".join(SERVICE.format(number, name, pid) for number, name, _, pid in SERVICES))
    run = subprocess.run([HEADEND, "package", "--schedule", schedule, "--operator", DEMO / "operator.toml", "--in", source,
                          "--out", result, *arguments], capture_output=True, text=True, check=False, timeout=120)
    check(f"{name}: packaged", run.returncode == 0, run.stderr.strip()[-200:])
    return ts.read(result) if run.returncode == 0 else None


def descrambled(packets, keys):
    """The result as a box with the control words of the ECMs makes it; a first ECM may come behind its packets."""
    programs = ts.programs(packets)
    owner, words = {}, {}
    for number, _, cipher, ecm_pid in SERVICES:
        pmt = next(pmt for _, s in ts.sections(packets, programs[number]) if s[0] == 2 and (pmt := ts.Pmt(s)).program == number)
        words[number] = {}
        for _, section in ts.sections(packets, ecm_pid):
            if section[0] in (0x80, 0x81):
                words[number].update(cas.Ecm(section, keys).cws())
        for pid in pmt.streams:
            owner[pid] = number, cipher()
    period, out = {}, []
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
            data = packet.unscrambled_header() + payload
        out.append(ts.Packet(data, packet.index))
    return out, set(owner)


def carried(packets, pids):
    """What the components carry, PCRs aside: a higher rate restamps those."""
    def without_pcr(packet):
        data = packet.data
        return data if packet.pcr is None else data[:6] + bytes(6) + data[12:]

    return [without_pcr(p) for p in packets if p.pid in pids]


def marked(packets):
    """Every service of the SDT has free_CA_mode."""
    flags = []
    for _, section in ts.sections(packets, 0x11):
        at = 11
        while at < len(section) - 4:
            flags.append(section[at + 3] & 0x10)
            at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0x0FFF)
    return flags and all(flags)


def judge(out, keys, name, octets, packets, arguments):
    result = package(out, name, octets, arguments)
    if result is None:
        return
    clear, components = descrambled(result, keys)
    source = [ts.Packet(data, n) for n, data in enumerate(packets)]
    before, after = carried(source, components), carried(clear, components)
    wrong = sum(a != b for a, b in zip(before, after))
    check(f"{name}: every payload is the source's again", len(before) == len(after) and wrong == 0,
          f"{wrong} of {len(before)} differ")
    # PES headers can be read in the descrambled one only, and whether there are scrambled packets in the other.
    counts = tr101290.counts(b"".join(packets))
    on_air = tr101290.counts(b"".join(p.data for p in result))
    in_clear = tr101290.counts(b"".join(p.data for p in clear))
    on_air["PTS_error"] = in_clear["PTS_error"]
    more = tr101290.added(counts, on_air)
    check(f"{name}: TR 101 290", not more, " ".join(f"{k} {a}->{b}" for k, (a, b) in more.items())
          or f"{sum(on_air.values())} errors, source {sum(counts.values())}")
    frames = [decode(b"".join(p.data for p in stream)) for stream in (source, clear)]
    check(f"{name}: ffmpeg", frames[1][0] == frames[0][0] > 0 and frames[1][1] <= frames[0][1],
          f"{frames[1][0]} frames, {frames[1][1]} errors; source {frames[0][0]}, {frames[0][1]}")
    check(f"{name}: free_CA_mode", marked(result))
    if name == "a CAT":
        (_, cat), *_ = ts.sections(result, 1)
        pids = [int.from_bytes(d[2:4], "big") & 0x1FFF for tag, d in ts.descriptors(cat[8:-4]) if tag == 9]
        check("a CAT: joined, one version on", (cat[5] >> 1 & 0x1F, pids) == (4, [0x321, 0x322, EMM_PID]), str(pids))


# ---- the judge itself ---------------------------------------------------------------------------------------------------


def noticed():
    """Each indicator counts what it is for: a judge that sees nothing would hold every stream for good."""
    plain = [p.data for p in ts.read(SOURCE)[:PACKETS]]
    pid_of = [int.from_bytes(p[1:3], "big") & 0x1FFF for p in plain]

    def without(pid):
        return [with_pid(p, ts.NULL_PID) if pid_of[n] == pid and 2000 < n < 6000 else p for n, p in enumerate(plain)]

    def changed(n, data):
        return plain[:n] + [data] + plain[n + 1 :]

    def octet(n, at, value):
        return changed(n, plain[n][:at] + bytes([plain[n][at] ^ value]) + plain[n][at + 1 :])

    def first(wanted, behind=3000):
        return next(n for n in range(behind, PACKETS) if wanted(n))

    clock = first(lambda n: ts.Packet(plain[n], n).pcr is not None)
    video = first(lambda n: pid_of[n] == 0x100)
    spoilt = {
        "TS_sync_loss": changed(3000, bytes(188))[:3001] + [bytes(188)] + plain[3002:],
        "Sync_byte_error": changed(3000, bytes(188)),
        "PAT_error_2": without(0),
        "Continuity_count_error": plain[:video] + plain[video + 1 :],
        "PMT_error_2": without(0x1000),
        "PID_error": without(0x101),
        "Transport_error": octet(video, 1, 0x80),
        "CRC_error": octet(first(lambda n: pid_of[n] == 0x1001), 30, 0x01),
        "PCR_repetition_error": [p[:5] + bytes([p[5] & 0xEF]) + p[6:] if 3000 < n < 3400 and p[3] & 0x20 and p[4] else p
                                 for n, p in enumerate(plain)],
        "PCR_discontinuity_indicator_error": octet(clock, 7, 0x40),
        "PCR_accuracy_error": octet(clock, 11, 0x40),
        "PTS_error": [p if n < 3000 or n > 4500 else with_pid(p, ts.NULL_PID) for n, p in enumerate(plain)],
        "CAT_error": [p[:3] + bytes([p[3] | 0x80]) + p[4:] if pid_of[n] == 0x100 else p for n, p in enumerate(plain)],
    }
    good = tr101290.counts(b"".join(plain))
    check("the judge finds nothing in the source", not any(good.values()), str({k: v for k, v in good.items() if v}))
    for name, packets in spoilt.items():
        more = tr101290.added(good, tr101290.counts(b"".join(packets)))
        check(f"the judge notices: {name}", name in more, str(more))


def main():
    out = Path(sys.argv[1]).resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    noticed()
    keys = service_keys(tomllib.loads((DEMO / "operator.toml").read_text()))
    for source in sources():
        judge(out, keys, *source)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
