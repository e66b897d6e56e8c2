#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_demo.py and check_damage.py are no yes-men: each file of a good demo is spoilt in one way, and they must name what
does not hold.

    check_notices.py DIR        scratch folder
"""

import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import ts

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "examples" / "media" / "two-services.ts"
NEWS_VIDEO, CINEMA_VIDEO, NEWS_ECM, EMM, CAT = 0x0100, 0x0102, 0x0140, 0x0150, 0x0001
COMPONENTS = {"1": (NEWS_VIDEO, 0x0101), "2": (CINEMA_VIDEO, 0x0103)}


class Files:
    """A finished demo in memory."""

    def __init__(self, directory):
        self.source = [bytearray(p.data) for p in ts.read(SOURCE)]
        self.scrambled = [bytearray(p.data) for p in ts.read(directory / "scrambled.ts")]
        self.descrambled = [bytearray(p.data) for p in ts.read(directory / "descrambled.ts")]
        self.report = json.loads((directory / "report.json").read_text())

    def write(self, directory):
        directory.mkdir()
        (directory / "scrambled.ts").write_bytes(b"".join(self.scrambled))
        (directory / "descrambled.ts").write_bytes(b"".join(self.descrambled))
        (directory / "report.json").write_text(json.dumps(self.report))

    def full(self, pid, after):
        """The first packet of this PID from there on that is payload alone."""
        return next(i for i in range(after, len(self.scrambled))
                    if ts.Packet(self.scrambled[i], i).pid == pid and self.scrambled[i][3] & 0x30 == 0x10)

    def news(self, number):
        return self.report["services"]["1"]["windows"][number]


# The clear window of News begins after the first packets and ends far behind packet 6000; Cinema has no key around 7000.


def garbled_picture(files):
    files.descrambled[files.full(NEWS_VIDEO, 6000)][-1] ^= 1


def stolen_picture(files):
    place = files.full(CINEMA_VIDEO, 7000)
    files.descrambled[place] = files.source[place]


def touched_stranger(files):
    files.descrambled[files.full(EMM, 0)][-1] ^= 1


def lost_packet(files):
    del files.descrambled[-1]


def clear_on_air(files):
    place = files.full(NEWS_VIDEO, 6000)
    files.scrambled[place][4:] = files.source[place][4:]


def unscrambled_on_air(files):
    place = files.full(NEWS_VIDEO, 6000)
    files.scrambled[place] = files.source[place]


def other_cipher(files):
    files.scrambled[files.full(CINEMA_VIDEO, 6000)][-1] ^= 1


def moved_packets(files):
    one, two = files.full(NEWS_VIDEO, 6000), files.full(CINEMA_VIDEO, 6000)
    files.scrambled[one], files.scrambled[two] = files.scrambled[two], files.scrambled[one]


def counter(files):
    files.scrambled[files.full(NEWS_ECM, 6000)][3] ^= 1


def missing_ecm(files):
    place = files.full(NEWS_ECM, 6000)
    files.scrambled[place] = files.source[place]


def late_cat(files):
    place = files.full(CAT, 6000)
    files.scrambled[place] = files.source[place]


def broken_cat(files):
    files.scrambled[files.full(CAT, 6000)][10] ^= 1


def forged_ecm(files):
    """Its tag does not hold: as if it had not been there."""
    files.scrambled[files.full(NEWS_ECM, 6000)][40] ^= 1


def wide_window(files):
    files.news(0)[1] += 200


def narrow_window(files):
    files.news(0)[1] -= 200


def free_programme(files):
    del files.report["purchases"][1]


def flattered_count(files):
    files.report["packets"]["descrambled"] += 1


def hidden_loss(files):
    files.report["packets"]["lost_at_rotation"] += 1


def invented_ecm(files):
    files.report["services"]["2"]["ecms_s"].append(30.0)


def wrong_tac(files):
    purchase = files.report["purchases"][0]
    purchase["tac"] = f"{int(purchase['tac'], 16) ^ 1:08x}"


def wrong_price(files):
    files.report["purchases"][2]["price"] += 1


def lost_fen(files):
    files.report["purse"]["balance_end"] -= 1


def altered_report(files):
    page = files.report["card_report"]["pages"][0]
    files.report["card_report"]["pages"][0] = page[:-1] + ("0" if page[-1] != "0" else "1")


def replayed_report(files):
    files.report["card_report"]["nonce"] = "00" * 8


def hidden_purchase(files):
    files.report["card_report"]["pages"].pop()


def unreported_purchase(files):
    files.report["purchases"].pop()


SPOILT = {
    garbled_picture: "granted windows equal the source",
    stolen_picture: "granted windows equal the source",
    touched_stranger: "the rest of the multiplex is untouched",
    lost_packet: "the descrambled stream keeps its length",
    clear_on_air: "service 1: every long enough payload is scrambled",
    unscrambled_on_air: "service 1: every long enough payload is scrambled",
    other_cipher: "service 2: recomputed with DVB-CSA2",
    moved_packets: "every packet keeps its place",
    counter: "continuity counters are right",
    missing_ecm: "what is due takes the first null packet",
    late_cat: "what is due takes the first null packet",
    broken_cat: "the CAT is on air with a good CRC",
    forged_ecm: "what is due takes the first null packet",
    wide_window: "granted windows equal the source",
    narrow_window: "granted windows equal the source",
    free_programme: "service 2: the picture is there when it was paid for",
    flattered_count: "the report counts packets as they are",
    hidden_loss: "the report counts packets as they are",
    invented_ecm: "service 2: the report tells ECMs",
    wrong_tac: "event 2001: the TAC is PBOC's",
    wrong_price: "event 2003: the price is the schedule's",
    lost_fen: "balances add up over all purchases",
    altered_report: "report and acknowledgement open",
    replayed_report: "report and acknowledgement open",
    hidden_purchase: "report and acknowledgement open",
    unreported_purchase: "the records are the purchases",
}


class DamagedFiles:
    """A demo on a bad signal, and what a box without a fault makes of it."""

    def __init__(self, directory):
        read = lambda path: [bytearray(p.data) for p in ts.read(path)]  # noqa: E731
        self.source = read(SOURCE)
        self.scrambled, self.damaged = (read(directory / f"{name}.ts") for name in ("scrambled", "damaged"))
        self.places = json.loads((directory / "damage.json").read_text())
        self.windows = json.loads((directory / "windows.json").read_text())
        self.descrambled = [bytearray(p) for p in self.damaged]
        broken = {i for kind in ("flagged", "silent") for i in self.places[kind]}
        for service, pids in COMPONENTS.items():
            for first, last in self.windows[service]:
                for i in set(range(first, last + 1)) - broken:
                    if ts.Packet(self.source[i], i).pid in pids:
                        self.descrambled[i] = bytearray(self.source[i])

    def write(self, directory):
        directory.mkdir()
        for name in ("scrambled", "damaged", "descrambled"):
            (directory / f"{name}.ts").write_bytes(b"".join(getattr(self, name)))
        (directory / "damage.json").write_text(json.dumps(self.places))
        (directory / "windows.json").write_text(json.dumps(self.windows))

    def whole(self, pid, after):
        """The first undamaged packet of this PID from there on that is payload alone."""
        return next(i for i in range(after, len(self.scrambled)) if self.scrambled[i] == self.damaged[i]
                    and ts.Packet(self.scrambled[i], i).pid == pid and self.scrambled[i][3] & 0x30 == 0x10)

    def dark(self, service, first, count):
        """Leaves what the service has there as it came."""
        for i in range(first, first + count):
            if ts.Packet(self.source[i], i).pid in COMPONENTS[service]:
                self.descrambled[i] = bytearray(self.damaged[i])


def wrong_packet(files):
    files.descrambled[files.whole(NEWS_VIDEO, 6000)][-1] ^= 1


def wrong_packet_without_keys(files):
    files.descrambled[files.whole(CINEMA_VIDEO, 7000)][-1] ^= 1


def wrong_packet_of_nobody(files):
    files.descrambled[files.whole(EMM, 6000)][-1] ^= 1


def packet_left_scrambled(files):
    place = files.whole(NEWS_VIDEO, 6000)
    files.descrambled[place] = files.damaged[place]


def wrong_packet_called_damaged(files):
    wrong_packet(files)
    files.places["silent"].append(files.whole(NEWS_VIDEO, 6000))


def flagged_packet_touched(files):
    files.descrambled[files.places["flagged"][7]][-1] ^= 1


def no_damage(files):
    files.places.update(flagged=[], silent=[])
    files.damaged = files.scrambled


def damage_unsaid(files):
    files.places["flagged"].pop()


def late_by_more_than_a_period(files):
    files.dark("1", 0, 3400)


def late_by_less_than_a_period(files):
    files.dark("1", 0, 2600)


def windows_made_narrow(files):
    files.windows["1"][0][0] += 600


def window_left_out(files):
    del files.windows["2"][1]


def nothing(_):
    pass


SPOILT_ON_A_BAD_SIGNAL = {
    wrong_packet: "no undamaged packet is garbled",
    wrong_packet_without_keys: "no undamaged packet is garbled",
    wrong_packet_of_nobody: "no undamaged packet is garbled",
    packet_left_scrambled: "every undamaged packet of a window equals the source",
    wrong_packet_called_damaged: "the signal is damaged where the list says",
    flagged_packet_touched: "a flagged packet stays as it came",
    no_damage: "the signal is damaged where the list says",
    damage_unsaid: "the signal is damaged where the list says",
    late_by_more_than_a_period: "every undamaged packet of a window equals the source",
    windows_made_narrow: "service 1: keys are there",
    window_left_out: "service 2: keys are there",
    late_by_less_than_a_period: None,
    nothing: None,
}


def notices(kind, good, scratch, spoil, expected):
    """None when the checker names what was spoilt, or holds where nothing was (None); else what it said."""
    files = kind(good)
    spoil(files)
    directory = scratch / spoil.__name__
    files.write(directory)
    told = subprocess.run([sys.executable, *CHECKERS[kind](directory)], capture_output=True, text=True, check=False)
    shutil.rmtree(directory)
    named = [line for line in told.stdout.splitlines() if line.startswith(f"FAILED  {expected or ''}")]
    as_expected = told.returncode == 1 and named if expected else told.returncode == 0
    return None if as_expected else (told.stdout + told.stderr)[-600:]


CHECKERS = {
    Files: lambda directory: (ROOT / "tests" / "check_demo.py", directory, "--no-frames"),
    DamagedFiles: lambda directory: (ROOT / "tests" / "check_damage.py", directory, "--judge"),
}


def main():
    scratch = Path(sys.argv[1])
    shutil.rmtree(scratch, ignore_errors=True)
    good, bad_signal = scratch / "good", scratch / "bad-signal"
    subprocess.run([sys.executable, ROOT / "examples" / "demo" / "story.py", "--unpaced", "--out", good], check=True,
                   stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    # What the box makes of it is not used here.
    subprocess.run([sys.executable, ROOT / "tests" / "check_damage.py", bad_signal], check=False,
                   stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    failed = 0
    cases = [(Files, good, s, e) for s, e in SPOILT.items()]
    cases += [(DamagedFiles, bad_signal, s, e) for s, e in SPOILT_ON_A_BAD_SIGNAL.items()]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [(s, e, pool.submit(notices, kind, folder, scratch, s, e)) for kind, folder, s, e in cases]
        for spoil, expected, future in running:
            problem = future.result()
            failed += problem is not None
            print(f"{'FAILED ' if problem else 'ok     '} {spoil.__name__}: {problem or expected or 'holds'}")
    print(f"{len(cases) - failed} passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
