#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tables that are damaged, of tomorrow or of somebody else cost the player's picture not one packet.

The head-end's stream is played as it is, and then with such tables beside the good ones, in the place of null packets.

    check_tables.py DIR        scratch folder
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples" / "demo"))
import story  # noqa: E402
import ts  # noqa: E402
from actors import BIN, READERS, Card, Headend  # noqa: E402

SERVICE = 1
PACKETS = 12_000
OTHER_PID = 0x0300


def sealed(section):
    """The section with a good CRC in place of its last four octets."""
    return section[:-4] + ts.crc32(section[:-4]).to_bytes(4, "big")


def next_table(section):
    """One version on, and not yet applicable."""
    version = (section[5] >> 1 & 0x1F) + 1 & 0x1F
    return sealed(section[:5] + bytes([0xC0 | version << 1]) + section[6:])


def damaged(section):
    return section[:-1] + bytes([section[-1] ^ 1])


def elsewhere(pmt):
    """The PMT with its ECMs on a PID that has none."""
    at = pmt.index(b"\x09", 12)
    return sealed(pmt[: at + 4] + (0xE000 | OTHER_PID).to_bytes(2, "big") + pmt[at + 6 :])


def of_programme_9(pmt):
    return sealed(pmt[:3] + b"\x00\x09" + pmt[5:])


def on_another_pid(pat):
    """The PAT with every PMT on a PID that has none."""
    loop = pat[8:-4]
    entries = (loop[at : at + 2] + (0xE000 | OTHER_PID).to_bytes(2, "big") for at in range(0, len(loop), 4))
    return sealed(pat[:8] + b"".join(entries) + pat[-4:])


class Air:
    """The head-end's stream, to be disturbed."""

    def __init__(self, packets):
        self.packets = packets
        self.pmt_pid = ts.programs(packets)[SERVICE]
        (_, pmt), *_ = ts.sections(packets, self.pmt_pid)
        self.components = set(ts.Pmt(pmt).streams)

    def beside(self, pid, change):
        """Behind each section on this PID the changed one, in the next null packet."""
        def place(index):
            return next((p.index for p in self.packets[index:] if p.pid == ts.NULL_PID), index)

        return self._disturbed(pid, place, lambda _, section: change(section))

    def behind(self, pid, change):
        """Behind each section on this PID the changed one, in the same packet."""
        return self._disturbed(pid, lambda index: index, lambda _, section: section + change(section))

    def instead(self, pid, change, which=lambda n: True):
        """The changed section in the place of the good one."""
        return self._disturbed(pid, lambda index: index, lambda n, section: change(section) if which(n) else section)

    def _disturbed(self, pid, place, change):
        packets = [packet.data for packet in self.packets]
        for n, (index, section) in enumerate(ts.sections(self.packets, pid)):
            packets[place(index)] = (
                b"\x47" + (0x4000 | pid).to_bytes(2, "big") + b"\x10\x00" + change(n, section)).ljust(188, b"\xff")
        counter = 0
        for at, data in enumerate(packets):
            if int.from_bytes(data[1:3], "big") & 0x1FFF == pid:
                packets[at] = data[:3] + bytes([data[3] & 0xF0 | counter]) + data[4:]
                counter = counter + 1 & 0x0F
        return b"".join(packets)


class Scene(story.Story):
    """The head-end and the card of the demo, and a box for each stream."""

    def __init__(self, out):
        super().__init__(out, paced=False, reader=READERS[0])
        head_end = Headend(out, self.schedule())
        pairing = head_end.pair(self.card_file["card_id"], self.operator["box"][0]["stb_id"])
        head_end.package()
        self.air = Air(ts.read(head_end.scrambled)[:PACKETS])
        self.pairing = pairing

    def play(self, name, octets):
        """What the player says and the components as it leaves them. The card is a new one: keys have moved on in the old."""
        card = Card(self.out, self.personalisation(self.pairing), (), self.reader)
        state, stream, result = self.out / "state", self.out / f"{name}.ts", self.out / f"{name}.out.ts"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        shutil.copy(self.pairing / "box-pair.section", state / "pairing.0")
        stream.write_bytes(octets)
        run = subprocess.run([str(c) for c in (
            BIN / "player", "--reader", card.url, "--box", self.box_file(), "--state", state, "--unpaced",
            "--watch", SERVICE, "-o", result, stream)], capture_output=True, text=True, timeout=120, check=False)
        card.close()
        return run, {p.index: p.data for p in ts.read(result) if p.pid in self.air.components}


def main():
    out = Path(sys.argv[1]).resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    scene = Scene(out)
    air, pmt = scene.air, scene.air.pmt_pid
    _, good = scene.play("as-it-is", b"".join(packet.data for packet in air.packets))
    dark = sum(data[3] >> 6 != 0 for data in good.values())
    failed = int(not good or dark * 20 > len(good))
    print(f"{'FAILED ' if failed else 'ok     '} as it is: {dark} of {len(good)} packets stay scrambled")

    streams = {
        "next-pmt": air.beside(pmt, lambda section: next_table(elsewhere(section))),
        "next-pmt-first": air.instead(pmt, lambda section: next_table(elsewhere(section)), lambda n: n == 0),
        "damaged-pmt": air.beside(pmt, lambda section: damaged(elsewhere(section))),
        "every-other-pmt-damaged": air.instead(pmt, damaged, lambda n: n % 2 == 1),
        "another-programmes-pmt": air.beside(pmt, lambda section: of_programme_9(elsewhere(section))),
        "next-pat": air.behind(0, lambda section: next_table(on_another_pid(section))),
        "damaged-pat": air.behind(0, lambda section: damaged(on_another_pid(section))),
    }
    for name, octets in streams.items():
        run, played = scene.play(name, octets)
        # Where the first PMT is another one the picture begins with the second.
        wrong = [at for at in good if played[at] != good[at]]
        late = name == "next-pmt-first" and all(played[at][3] >> 6 for at in wrong) and len(wrong) * 5 < len(good)
        bad = run.returncode != 0 or run.stderr or wrong and not late
        failed += bool(bad)
        print(f"{'FAILED ' if bad else 'ok     '} {name}: {len(wrong)} of {len(good)} packets differ, status "
              f"{run.returncode} {run.stderr.strip()[-200:]}")

    run, _ = scene.play("no-good-pmt", air.instead(pmt, damaged))
    bad = run.returncode != 1 or "service 1 never came into clear" not in run.stderr or "damaged" not in run.stderr
    failed += bad
    print(f"{'FAILED ' if bad else 'ok     '} no-good-pmt: {run.stderr.strip()[-200:]}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
