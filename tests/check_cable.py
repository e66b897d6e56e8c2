#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A cable network's stream by the rules of ATSC and SCTE: its tables pass, SCTE 52 and IDSA are OpenSSL's, and it plays.

The demo's source becomes such a stream: MGT and VCT in place of the SDT, stream types of the user's range, cue messages. It
is packaged with either algorithm, recomputed, and played by the player with the virtual card.

    check_cable.py DIR        scratch folder
"""

import shutil
import subprocess
import sys
from pathlib import Path

import cas
import check_demo
import ts
from check_demo import check

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples" / "demo"))
import story  # noqa: E402
from actors import BIN, READERS, SOURCE, Card, Headend  # noqa: E402

SDT_PID, BASE_PID, CUE_PID = 0x0011, 0x1FFB, 0x0170
MGT, TVCT, CVCT, CUE = 0xC7, 0xC8, 0xC9, 0xFC
VIDEO, AC3, CUES, E_AC3 = 0x80, 0x81, 0x86, 0x87
NEWS, CINEMA = 1, 2
PLAYED = 12_000  # packets
IV, SHORT_IV = bytes.fromhex("0123456789abcdef"), bytes.fromhex("fedcba9876543210")
check_demo.CIPHERS[0xDE] = lambda: cas.Scte52(IV, SHORT_IV)


def section(table_id, extension, data):
    """A section of the long form, version 0."""
    head = bytes([table_id]) + (0xF000 | len(data) + 9).to_bytes(2, "big") + extension.to_bytes(2, "big") + b"\xc1\0\0"
    return head + data + ts.crc32(head + data).to_bytes(4, "big")


def pmt(old):
    """The PMT with stream types of ATSC and SCTE, and cue messages with News."""
    types = {NEWS: (VIDEO, AC3), CINEMA: (VIDEO, E_AC3)}[old.program]
    streams = [*zip(types, old.streams), *([(CUES, CUE_PID)] if old.program == NEWS else [])]
    loop = b"".join(bytes([kind]) + (0xE000 | pid).to_bytes(2, "big") + b"\xf0\0" for kind, pid in streams)
    made = section(0x02, old.program, (0xE000 | old.pcr_pid).to_bytes(2, "big") + b"\xf0\0" + loop)
    made = bytes([made[0], made[1] & 0xBF]) + made[2:-4]
    return made + ts.crc32(made).to_bytes(4, "big")


def channel(name, minor, program):
    """A channel of a VCT (ATSC A/65 table 6.4): major 7, 8-VSB or QAM 256, TSID 1, a digital television service."""
    numbers = (0xF << 20 | 7 << 10 | minor).to_bytes(3, "big")
    return (name.ljust(7, "\0").encode("utf-16-be") + numbers + b"\x04" + bytes(4) + b"\0\1" + program.to_bytes(2, "big")
            + b"\x0d\xc2" + program.to_bytes(2, "big") + b"\xfc\0")


def tables(vct):
    """MGT and VCT."""
    channels = section(vct, 1, b"\0\2" + channel("NEWS-HD", 1, NEWS) + channel("Kino 2", 2, CINEMA) + b"\xfc\0")
    kind = (0x0000 if vct == TVCT else 0x0002).to_bytes(2, "big")
    listed = kind + (0xE000 | BASE_PID).to_bytes(2, "big") + b"\xe0" + len(channels).to_bytes(4, "big") + b"\xf0\0"
    return [section(MGT, 0, b"\0\0\1" + listed + b"\xf0\0"), channels]


def cable(source, vct):
    """The packets of the source as a cable network has them."""
    pmt_pids, counters = set(ts.programs(source).values()), {}

    def packet(pid, octets):
        counters[pid] = counters.get(pid, -1) + 1 & 0x0F
        return b"\x47" + (0x4000 | pid).to_bytes(2, "big") + bytes([0x10 | counters[pid], 0]) + octets.ljust(183, b"\xff")

    null = next(p.data for p in source if p.pid == ts.NULL_PID)
    base, cue = tables(vct), bytes([CUE, 0x30, 0x11]) + bytes(10) + b"\x0f\xff\0\0\0\0\0"  # splice_null
    for n, old in enumerate(source):
        if old.pid in pmt_pids:
            (_, was), *_ = ts.sections([old], old.pid)
            yield packet(old.pid, pmt(ts.Pmt(was)))
        elif old.pid == SDT_PID:
            yield null
        elif old.pid == ts.NULL_PID and n % 40 == 0:
            yield packet(BASE_PID, base[n // 40 % 2])
        elif old.pid == ts.NULL_PID and n % 40 == 1:
            yield packet(CUE_PID, cue)
        else:
            yield old.data


class Scene(story.Story):
    """The demo's head-end and card, with another source and other algorithms."""

    def __init__(self, out, algorithms, vct):
        super().__init__(out, paced=False, reader=READERS[0])
        self.algorithms = algorithms
        head_end = Headend(out, self.schedule())
        self.pairing = head_end.pair(self.card_file["card_id"], self.operator["box"][0]["stb_id"])
        clear, scrambled = out / "clear.ts", out / "scrambled.ts"
        clear.write_bytes(b"".join(cable(ts.read(SOURCE), vct)))
        command = [BIN / "headend", "package", "--schedule", self.schedule(), "--operator", story.HERE / "operator.toml",
                   "--in", clear, "--out", scrambled]
        subprocess.run([str(c) for c in command], check=True, capture_output=True)
        self.source, self.scrambled = ts.read(clear), ts.read(scrambled)

    def schedule(self):
        text = (story.HERE / "schedule.toml").read_text()
        for before, after in (
            ('scrambling = "cissa"', f'scrambling = "{self.algorithms[0]}"'),
            ('scrambling = "csa2"', f'scrambling = "{self.algorithms[1]}"'),
            ("ca_system_id", f'scte52_iv = "{IV.hex()}"\nscte52_short_iv = "{SHORT_IV.hex()}"\nseed = "{"52" * 16}"\nca_system_id'),
        ):
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        path = self.out / "cable.toml"
        path.write_text(text)
        return path

    def play(self, name, *options):
        """The packets as a box with a new card leaves them."""
        card = Card(self.out, self.personalisation(self.pairing), (), self.reader)
        state, stream, result = self.out / "state", self.out / f"{name}.ts", self.out / f"{name}.out.ts"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        shutil.copy(self.pairing / "box-pair.section", state / "pairing.0")
        stream.write_bytes(b"".join(p.data for p in self.scrambled[:PLAYED]))
        command = [BIN / "player", "--reader", card.url, "--box", self.box_file(), "--state", state, "--unpaced", "--watch",
                   NEWS, "-o", result, *options, stream]
        run = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120, check=False)
        card.close()
        return run, ts.read(result)


def check_tables(scene, name):
    """What is no component of a service goes through as it is."""
    for pid, what in ((BASE_PID, "MGT and VCT"), (CUE_PID, "cue messages")):
        before, after = ([p.data for p in stream if p.pid == pid] for stream in (scene.source, scene.scrambled))
        check(f"{name}: {what} pass", before == after and before, f"{len(before)} packets")
    told = subprocess.run([str(BIN / "headend"), "inspect", str(scene.out / "scrambled.ts")], capture_output=True, text=True,
                          check=True).stdout
    named = ['service 1 "NEWS-HD" (7-1)', 'service 2 "Kino 2" (7-2)', "type 80 (DigiCipher II video)", "type 81 (AC-3",
             "type 87 (E-AC-3", "type 86 (cue messages)"]
    check(f"{name}: inspect takes names from the VCT and knows the stream types", all(part in told for part in named),
          ", ".join(part for part in named if part not in told))


def check_played(scene, name, services):
    """What the box shows of News is the source, to the octet; with other IVs of SCTE 52 it would not be."""

    def shown(label, *options):
        run, played = scene.play(label, *options)
        pairs = [(a, b) for a, b in zip(scene.source, played) if b.pid in services[0].pids and a.payload]
        clear = [(a, b) for a, b in pairs if b.scrambling == 0]
        return run, pairs, clear, sum(a.data != b.data for a, b in clear)

    run, pairs, clear, wrong = shown("played", "--scte52-iv", (IV + SHORT_IV).hex())
    short = sum(len(a.payload) < 8 for a, _ in clear)
    check(f"{name}: the player shows the source", run.returncode == 0 and not wrong and len(clear) > 0.95 * len(pairs) and short,
          f"{len(clear)} of {len(pairs)} packets, {short} under 8 octets, {wrong} differ {run.stderr.strip()[-200:]}")
    if services[0].cipher.name == "SCTE-52":
        _, _, clear, wrong = shown("other-ivs", "--scte52-iv", "52" * 8)
        check(f"{name}: with other IVs it does not", 0 < 0.9 * len(clear) < wrong,
              f"{wrong} of {len(clear)} differ")
    run, *_ = shown("bad-iv", "--scte52-iv", "52" * 7)
    check(f"{name}: an IV of another length is refused", run.returncode == 1 and "16 or 32 hexadecimal" in run.stderr,
          run.stderr.strip()[-200:])


def main():
    out = Path(sys.argv[1]).resolve()
    shutil.rmtree(out, ignore_errors=True)
    for name, algorithms, vct in (("cable", ("scte52", "idsa"), CVCT), ("terrestrial", ("idsa", "scte52"), TVCT)):
        folder = out / name
        folder.mkdir(parents=True)
        scene = Scene(folder, algorithms, vct)
        keys = check_demo.service_keys(scene.operator)
        services = [check_demo.Service(ts.Pmt(next(ts.sections(scene.scrambled, pid))[1]), keys, scene.scrambled)
                    for _, pid in sorted(ts.programs(scene.scrambled).items())]
        for service in services:
            service.pids.discard(CUE_PID)
        check_demo.check_on_air(scene.source, scene.scrambled, services, ts.packet_times(scene.source), 5)
        check_tables(scene, name)
        check_played(scene, name, services)
    print(f"{check_demo.passed} passed, {len(check_demo.failures)} failed")
    sys.exit(bool(check_demo.failures))


if __name__ == "__main__":
    main()
