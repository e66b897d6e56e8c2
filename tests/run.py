#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make test`: lint, builds, and every test of this machine, side by side where they can be.

    run.py                   everything
    run.py GROUP… [NAME…]    only these groups, and of them only the jobs whose name contains one of the names
    run.py NAME…             the same of the group 'system'

Groups: lint, unit (the tests of the crates), money (what money takes), c (the programs of tests/c), system (the whole),
pcsc. What a group needs is built. A name that no job has is refused before. What a job says: target/test/log.
"""

import os
import subprocess
import sys
from pathlib import Path

import system
from executables import counted, in_words, names_to_come, test_jobs
from side_by_side import Job, SideBySide

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "target" / "test"
MAKE = (os.environ.get("MAKE", "make"), "--no-print-directory", "--silent", "-C")
PYTHON = ROOT / "target" / "venv" / "bin" / "python"

GROUPS = ("lint", "unit", "money", "c", "system", "pcsc")
RELEASE, TOOLS, TESTS = "library, tools and player are built", "tools are there", "tests of the crates are built"
PROGRAMS = "C programs are built"
C_PROGRAMS = ("header", "abuse", "abuse-valgrind", "abuse-static", "handles", "reader", "reader-valgrind", "ts", "symbols")
# Of tests/check_abi.py, with what they take; the last one builds a library.
ABI_PARTS = {"header": 3, "symbols": 1, "program": 3, "tomorrow": 40}
# Test programs that start a tool.
NEEDS = {"constant_time": (TOOLS,)}
BUILD = {"lane": "debug", "limit_s": 1800}
# Longer than the rest, as long as nobody has measured them.
LONG = {"what make installs": 15, "what broadcasters have": 20, "demo": 10, "a card killed": 20, "the checker": 16, "break": 6}


def make(target, **options):
    return {"command": (*MAKE, ROOT, target), **options}


def metadata():
    command = (os.environ.get("CARGO", "cargo"), "metadata", "--no-deps", "--format-version", "1", "--locked")
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def jobs(groups):
    if "unit" in groups:
        yield Job(TESTS, **make("unit-programs", then=lambda said: test_jobs(said, "unit", needs=NEEDS), **BUILD))
        yield Job("unit: examples in documentation", **make("unit-examples", told=in_words, **BUILD))
    if "money" in groups:
        yield Job("money: what it takes", **make("bench-money", **BUILD))
    if "lint" in groups:  # behind the builds: the tests that only wait are there by then
        yield Job("lint", **make("lint", **BUILD))
    if {"c", "system", "pcsc"} & set(groups):
        yield Job(RELEASE, **make("all", lane="release", limit_s=1800))
    if {"unit", "c", "system"} & set(groups):
        yield Job(TOOLS, **make("tools", lane="tools", limit_s=1800))
    if "c" in groups:
        folder = ROOT / "tests" / "c"
        yield Job(PROGRAMS, (*MAKE, folder, "programs"), (RELEASE,), "c")
        for target in C_PROGRAMS:
            yield Job(f"c: {target}", (*MAKE, folder, target), (PROGRAMS, TOOLS))
        for part, seconds in ABI_PARTS.items():
            yield Job(f"c: kept ABI, {part}", (sys.executable, ROOT / "tests" / "check_abi.py", part), (RELEASE, TOOLS), seconds=seconds,
                      limit_s=1800)
    if "system" in groups:
        for name, _ in system.tests():
            seconds = next((LONG[word] for word in LONG if name.startswith(word)), 2)
            yield Job(f"system: {name}", (PYTHON, ROOT / "tests" / "system.py", name), (RELEASE, TOOLS), seconds=seconds, load=0.5)
    if "pcsc" in groups:
        yield Job("pcsc", **make("pcsc-test", needs=(RELEASE, TESTS), seconds=30, load=0.5, limit_s=1200))


def main():
    words = sys.argv[1:]
    groups = [word for word in words if word in GROUPS]
    names = [word for word in words if word not in GROUPS]
    groups = groups or (["system"] if names else GROUPS)

    planned = list(jobs(groups))
    choice = [job.name for job in planned if job.name not in (RELEASE, TOOLS, TESTS, PROGRAMS)]
    if names and "unit" in groups:
        choice += names_to_come(metadata(), "unit")
    if unknown := [name for name in names if not any(name in job for job in choice)]:
        print("run.py: nothing is called {} in {}; there are".format(" or ".join(map(repr, unknown)), ", ".join(groups)),
              *sorted(choice), sep="\n    ", file=sys.stderr)
        return 2

    def wanted(job):
        return job.lane or not names or any(name in job.name for name in names)

    OUT.mkdir(parents=True, exist_ok=True)
    os.environ.pop("MAKEFLAGS", None)  # of the make that has started this; its overrides are in the environment too
    side_by_side = SideBySide(OUT, planned, wanted)
    good = side_by_side.run()
    counts = [counted(side_by_side.said(job)) for job in side_by_side.ended if job.name.startswith("unit: ")]
    if counts:
        print("tests of the crates: {} passed, {} failed, {} ignored, in {} programs".format(*map(sum, zip(*counts)), len(counts)))
    print(side_by_side.summary(), flush=True)
    return not good


if __name__ == "__main__":
    sys.exit(main())
