#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of the card line: a table, and the figures as JSON. `make bench-line` builds what it needs.

    line.py [BIN]    BIN: the folder of the release build, target/release by default

docs/benchmarks.md says what each figure is. Exit status 1 when a figure misses its goal.
"""

import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUT = ROOT / "target" / "bench"
STORY = ROOT / "examples" / "demo" / "story.py"
TIMEOUT_S = 600
RESET_GOAL_MS, RATIO_GOAL, THE_RATIO = 100, 0.5, "gempc: / pcscd, T=1"
# With one wipe of the stack, whose octets callgrind counts one by one.
ECM_GOAL = 26_500 + 32_768
LINE, WAY = ("terminal_input", "terminal_output"), ("an_ecm", "the_card")


def told(*command):
    """What a program of ours prints."""
    result = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S,
                            stdin=subprocess.DEVNULL, check=False)
    if result.returncode != 0:
        raise SystemExit(f"bench-line: {' '.join(Path(str(w)).name for w in command[:3])}: status {result.returncode}")
    return result.stdout


def demos():
    """Recordings of the demo, by T=1 and T=0."""
    for reader in ("serial", "serial-t0"):
        folder = OUT / f"demo-{reader}"
        told(sys.executable, STORY, "--unpaced", "--reader", reader, "--out", folder)
        yield folder


def instructions(toggles, *program):
    """What one ECM costs in instructions, of those that the toggles switch on; the program takes a number of ECMs."""
    def collected(count):
        told("valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={OUT / 'callgrind'}",
             *(f"--toggle-collect=*{function}*" for function in toggles), *program, count)
        return int(re.search(r"^(?:summary|totals): (\d+)", (OUT / "callgrind").read_text(), re.M)[1])

    # What the first ones and the start of the card take is in both.
    return (collected(60) - collected(20)) / 40


def measure(binaries):
    paced = binaries / "examples" / "paced"
    start = json.loads(told(paced, OUT))
    check = (sys.executable, ROOT / "tests" / "check_line.py", "--json")
    line = json.loads(told(*check, *demos()))
    clock = json.loads(told(*check, "--paced", OUT / "paced-t1.txt", OUT / "paced-t0.txt"))
    for row in [*line, *clock]:
        row["recording"] = Path(row["recording"]).relative_to(OUT).as_posix()
    overhead = json.loads(told(sys.executable, HERE / "overhead.py", binaries / "vcard",
                               binaries / "examples" / "exchange"))
    return {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(), "exchange_on_line": line,
            "exchange_on_clock": clock, "reset": start, "host_overhead": overhead,
            "instructions": {protocol: instructions(LINE, paced, protocol.replace("=", "").lower())
                             for protocol in ("T=1", "T=0")},
            "ecm_instructions": instructions(WAY, binaries / "examples" / "ecm")}


def table(figures):
    yield "(a) one ECM exchange on the line, recorded in the demo"
    yield "           Lc   La   times  characters    min      etu      min   ratio"
    for row in figures["exchange_on_line"]:
        yield (f"    {row['protocol']} {row['lc']:5} {row['la']:4} {row['exchanges']:7} {row['characters']:11} "
               f"{row['minimum_characters']:6} {row['etu']:8} {row['minimum_etu']:8} {row['ratio']:7.2f}")
    yield "    the same by the clock of a paced line, nobody taking time of his own"
    for row in figures["exchange_on_clock"]:
        yield (f"    {row['protocol']} {row['lc']:5} {row['la']:4} {row['exchanges']:7} {row['characters']:11} "
               f"{row['minimum_characters']:6} {row['elapsed_etu']:8.1f} {row['minimum_etu']:8} "
               f"{row['elapsed_ratio']:7.2f}")
    start = figures["reset"]
    yield ""
    yield (f"(b) reset released to first command over, T=1, TA1 96, {start['atr_characters']} characters of answer: "
           f"{reset_ms(start):.1f} ms (goal: under {RESET_GOAL_MS})")
    yield ""
    yield "(c) host overhead of one exchange: median, quartiles and, not counted, the card's own time, us"
    yield "(d) the same against pcscd and libccidtwin, and as a program has it that does nothing but pass the frames"
    for stack, row in figures["host_overhead"].items():
        if "ratio" in row:
            goal = f" (goal: under {RATIO_GOAL})" if stack == THE_RATIO else ""
            yield f"    {stack:22} {row['ratio']:6.2f}{goal}; above the frames alone {row['above_frames']:.2f}"
        else:
            low, high = row["quartiles_us"]
            yield (f"    {stack:12} {row['median_us']:6.0f}   {low:5.0f} to {high:5.0f}   card {row['card_us']:4.0f}"
                   f"   {row['exchanges']} exchanges"
                   + (f", of which the line waits {row['line_waits_us']:.0f}" if "line_waits_us" in row else ""))
    yield ""
    yield "(e) instructions of the library's card line for one ECM exchange, a character at a time"
    for protocol, count in figures["instructions"].items():
        yield f"    {protocol} {count:10.0f}"
    yield ""
    yield (f"(f) instructions of an ECM from stbcam_section to set_cw, by reader_ops with APDUs: "
           f"{figures['ecm_instructions']:.0f} (goal: at most {ECM_GOAL})")


def reset_ms(start):
    return (start["first_command_us"] - start["card_us"]) / 1000


def missed(figures):
    if reset_ms(figures["reset"]) >= RESET_GOAL_MS:
        yield "reset to first command"
    if figures["host_overhead"][THE_RATIO]["ratio"] >= RATIO_GOAL:
        yield THE_RATIO
    if figures["ecm_instructions"] > ECM_GOAL:
        yield "instructions of an ECM"


def main():
    binaries = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target" / "release").resolve()
    OUT.mkdir(parents=True, exist_ok=True)
    figures = measure(binaries)
    (OUT / "line.json").write_text(json.dumps(figures, indent=2) + "\n")
    print("\n".join(table(figures)))
    goals = list(missed(figures))
    if goals:
        print(f"missed: {', '.join(goals)}", file=sys.stderr)
    return 1 if goals else 0


if __name__ == "__main__":
    sys.exit(main())
