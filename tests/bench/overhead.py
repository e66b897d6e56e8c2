#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the host adds to an exchange: our readers, and Debian's pcscd with libccidtwin, at the same card, in turn.

    overhead.py VCARD EXCHANGE    EXCHANGE: the example of stb-shim; prints JSON

All of it runs on one core. A card's own time is from the last character that it got to the last that it sent, by
vcard's recording; it is taken off each exchange. See docs/benchmarks.md.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import pcsc  # noqa: E402

ROUNDS, BATCH, WARM_UP = 40, 20, 100
# What the line itself waits for on `serial:`, in etu of 372/12 at 3.579545 MHz: silence behind the answer, and on T=0
# two turns of the line.
WAITS_US = {"serial: T=1": 22 * 372 / 12 / 3.579545, "serial: T=0": (24 + 2 + 2) * 372 / 12 / 3.579545}
PACKAGES = [*pcsc.PACKAGES, "libpcsclite-dev", "pkg-config", "gcc", "libc6-dev"]

# On T=0 a SELECT takes three answers: to the header, to the data and to GET RESPONSE. A GemPC Twin answers the header
# by itself, so that from the header to 61 XX the time is the card's and its reader's.
ONE, BY_HOST, BY_READER = [(0, 0)], [(0, 0), (1, 1), (2, 2)], [(0, 1), (2, 2)]
# stack: protocol, kind of vcard's reader, the program and what it calls its reader, the card's answers
STACKS = {
    "serial: T=1": ("t1", "phoenix", "exchange", "serial:{port}", ONE),
    "serial: T=0": ("t0", "phoenix", "exchange", "serial:{port}", BY_HOST),
    "gempc: T=1": ("t1", "gempc-twin", "exchange", "gempc:{port}", ONE),
    "pcscd T=1": ("t1", "gempc-twin", "pcsc", "{name}", ONE),
    "frames T=1": ("t1", "gempc-twin", "frames", "1:{port}", ONE),
    "gempc: T=0": ("t0", "gempc-twin", "exchange", "gempc:{port}", BY_READER),
    "pcscd T=0": ("t0", "gempc-twin", "pcsc", "{name}", BY_READER),
    "frames T=0": ("t0", "gempc-twin", "frames", "0:{port}", BY_READER),
}


class Stack:
    """A program that makes exchanges, and the card that it makes them with."""

    def __init__(self, bench, name, command):
        self.record = bench.folder / f"{name}.record"
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        bench.started.append(self.process)
        self.times = []
        if not (told := self.ask("activate")).startswith("ready"):
            raise SystemExit(f"overhead: {name}: {told}")

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def exchange(self, count):
        """Times of so many exchanges, in microseconds."""
        told = self.ask(f"times {count} {pcsc.SELECT_CAS}")
        try:
            times = [float(word) for word in told.split()]
        except ValueError:
            times = []
        if len(times) != count:
            raise SystemExit(f"overhead: {told}")
        return times

    def figures(self, spans):
        """Medians and quartiles; `spans`: the answers of one exchange, each from which to which it is the card's."""
        turns = spans[-1][1] + 1
        answers = answers_of(self.record)[-turns * len(self.times):]
        exchanges = [answers[at:at + turns] for at in range(0, len(answers), turns)]
        own = [sum(turn[last][1] - turn[first][0] for first, last in spans) for turn in exchanges]
        added = [time - less for time, less in zip(self.times, own, strict=True)]
        low, middle, high = statistics.quantiles(added, n=4)
        return {"exchanges": len(added), "median_us": middle, "quartiles_us": [low, high],
                "whole_us": statistics.median(self.times), "card_us": statistics.median(own)}


def answers_of(record):
    """The card's answers: when it had the last character before, and when it sent its own last one, in microseconds."""
    answers, heard, said = [], None, None
    for line in [*record.read_text().splitlines(), "0 R"]:
        seconds, side = line.split()[:2]
        if side != "C" and said is not None and heard is not None:
            answers.append((heard * 1e6, said * 1e6))
            said = None
        if side == "C":
            said = float(seconds)
        else:
            heard = float(seconds) if side == "T" else None
    return answers


def compiled(folder, stack):
    """The program of tests/bench/main.c for this stack."""
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libpcsclite"], capture_output=True, text=True, check=True)
    sources = [HERE / "main.c", HERE / f"{stack}.c"]
    subprocess.run(["cc", "-O2", *sources, "-o", folder / stack, *flags.stdout.split()], check=True)
    return folder / stack


def measure(bench, folder):
    # Everybody on one core: what is compared is work, not how soon another core wakes up.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    programs = {"exchange": Path(sys.argv[4])} | {name: compiled(folder, name) for name in ("pcsc", "frames")}
    names = {stack: stack.replace(":", "").replace(" ", "").replace("=", "") for stack in STACKS}
    ports = {stack: folder / f"{name}.port" for stack, name in names.items()}
    behind_pcscd = []
    for channel, (stack, (protocol, kind, program, *_)) in enumerate(STACKS.items(), start=1):
        bench.serve(names[stack], "--line", kind, "--link", ports[stack], "--protocol", protocol)
        if program == "pcsc":
            bench.reader(names[stack], f"{ports[stack]}:GemPCTwin", "libccidtwin.so", channel)
            behind_pcscd.append(names[stack])
    bench.wait("every port is there", lambda: all(port.exists() for port in ports.values()))
    bench.daemon()
    bench.wait("every card is in its reader",
               lambda: all(bench.readers().get(f"{name} 00", "  ")[1] is True for name in behind_pcscd))
    if bench.failures:
        return 1
    stacks = {}
    for stack, (_, _, program, reader, _) in STACKS.items():
        reader = reader.format(port=ports[stack], name=names[stack])
        stacks[stack] = Stack(bench, names[stack], [programs[program], reader])
        stacks[stack].exchange(WARM_UP)
    for _ in range(ROUNDS):
        for stack in stacks.values():
            stack.times += stack.exchange(BATCH)
    figures = {stack: stacks[stack].figures(STACKS[stack][-1]) for stack in stacks}
    for stack, waits in WAITS_US.items():
        figures[stack]["line_waits_us"] = waits
    for protocol in ("T=1", "T=0"):
        ours, theirs, frames = (figures[f"{stack} {protocol}"]["median_us"] for stack in ("gempc:", "pcscd", "frames"))
        figures[f"gempc: / pcscd, {protocol}"] = {
            "ratio": ours / theirs, "above_frames": (ours - frames) / (theirs - frames)}
    Path(sys.argv[5]).write_text(json.dumps(figures))
    return 0


def main():
    if sys.argv[1:2] in ([pcsc.INSIDE], [pcsc.BARE]):
        return pcsc.inside(sys.argv[1:4], measure)
    vcard, exchange = (str(Path(program).resolve()) for program in sys.argv[1:3])
    with tempfile.NamedTemporaryFile() as figures:
        status = pcsc.outside(__file__, vcard, PACKAGES, exchange, figures.name)
        if status == 0:
            print(Path(figures.name).read_text())
        return status


if __name__ == "__main__":
    sys.exit(main())
