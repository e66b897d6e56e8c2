#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A service whose scrambler reduces CSA2 control words: what the ECMs say scrambles, by libdvbcsa and sums made here.

    check_entropy.py DIR        scratch folder
"""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import cas
import check_demo
import ts

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "examples" / "demo"
SOURCE = ROOT / "examples" / "media" / "two-services.ts"
CINEMA = 2


def reduced(cw):
    """The control word as such a scrambler makes it."""
    return b"".join(half[:3] + bytes([sum(half[:3]) & 0xFF]) for half in (cw[:4], cw[4:]))


def package(directory, entropy):
    schedule, out = directory / f"{entropy}.toml", directory / f"{entropy}.ts"
    text = (DEMO / "schedule.toml").read_text()
    assert text.count('scrambling = "csa2"') == 1
    schedule.write_text(text.replace('scrambling = "csa2"', f'entropy = "{entropy}"\nscrambling = "csa2"'))
    subprocess.run([ROOT / "target" / "release" / "headend", "package", "--schedule", schedule, "--operator",
                    DEMO / "operator.toml", "--in", SOURCE, "--out", out], check=True)
    return ts.read(out)


def differing(source, scrambled, cws):
    """How many packets of Cinema are not scrambled with these control words, and how many there are."""
    pids = set(ts.Pmt(next(ts.sections(scrambled, ts.programs(scrambled)[CINEMA]))[1]).streams)
    cipher, period, parity, wrong, count = cas.Csa2(), None, None, 0, 0
    for before, after in zip(source, scrambled):
        if before.pid not in pids or after.scrambling < 2 or len(before.payload) < cipher.shortest:
            continue
        if period is None:
            period = min(n for n in cws if n & 1 == after.scrambling & 1)
        elif after.scrambling & 1 != parity:
            period += 1
        parity = after.scrambling & 1
        wrong += cipher.scramble(cws[period], before.payload) != after.payload
        count += 1
    return wrong, count


def main():
    directory = Path(sys.argv[1])
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    keys = check_demo.service_keys(tomllib.loads((DEMO / "operator.toml").read_text()))
    source = ts.read(SOURCE)
    for entropy, sums in (("reduced", True), ("full", False)):
        scrambled = package(directory, entropy)
        pmt = ts.Pmt(next(ts.sections(scrambled, ts.programs(scrambled)[CINEMA]))[1])
        sealed = check_demo.Service(pmt, keys, scrambled).cws
        are_sums = all(reduced(cw) == cw for cw in sealed.values())
        check_demo.check(f"{entropy}: octets 3 and 7 of a sealed control word are sums, or not", are_sums == sums,
                         f"{len(sealed)} of them")
        wrong, count = differing(source, scrambled, sealed)
        check_demo.check(f"{entropy}: the sealed control words scramble", wrong == 0 < count, f"{wrong} of {count} differ")
        by_custom = {period: reduced(cw) for period, cw in sealed.items()}
        wrong, count = differing(source, scrambled, by_custom)
        check_demo.check(f"{entropy}: a scrambler that reduces makes the same packets, or not", (wrong == 0) == sums,
                         f"{wrong} of {count} differ")
    print(f"{check_demo.passed} passed, {len(check_demo.failures)} failed")
    sys.exit(bool(check_demo.failures))


if __name__ == "__main__":
    main()
