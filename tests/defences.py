#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes defences out, one at a time, and expects the test that proves each to fail.

    defences.py [--write] [NAME…]     only those whose name contains one of these

Every entry of defences.toml is a change: what stands in a file, what would stand there without the defence, and the test
that must notice; `also` holds more such pairs, with a file of their own where it is another. It is made in a scratch copy
of the tree (target/defences). A defence holds when its test passes before and fails after; a change that no longer fits
the file, or does not compile, is an error. --write keeps the result in docs/conformance/defences.md.
"""

import argparse
import datetime
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / "target" / "defences"
LIST = ROOT / "tests" / "defences.toml"
RESULT = ROOT / "docs" / "conformance" / "defences.md"
TIMEOUT_S = 900
HEAD = """# Defences taken out

`make test-defences` takes each defence out of a scratch copy and runs the test that proves it: the test has to fail. The
changes are in `tests/defences.toml`.

"""


class DefenceError(Exception):
    """A defence that does not hold, or cannot be tried."""


def copy_tree():
    """The files that git knows, as they are now."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    wanted = {Path(name.decode()) for name in files.split(b"\0") if name}
    for path in sorted(wanted):
        source, target = ROOT / path, SCRATCH / "tree" / path
        if not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copyfile(source, target)
    for path in (SCRATCH / "tree").rglob("*"):
        if path.is_file() and path.relative_to(SCRATCH / "tree") not in wanted:
            path.unlink()


def cargo_test(crate, *arguments):
    """What is said of a crate's tests, in the scratch copy."""
    command = ["cargo", "test", "--package", crate, "--target-dir", str(SCRATCH / "build"), *arguments]
    told = subprocess.run(command, cwd=SCRATCH / "tree", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S,
                          check=False)
    if "could not compile" in told.stdout:
        raise DefenceError("does not compile:\n" + "\n".join(re.findall(r"^error.*", told.stdout, re.M)[:4]))
    return told.stdout, told.returncode


def before(crate, tests):
    """Which of these tests pass with their defences in place, by the target that has them: as `--test card`, or `--lib`."""
    said, _ = cargo_test(crate, "--tests", "--no-fail-fast", "--", "--exact", *tests)
    passed = {}
    for program in re.split(r"^ +Running ", said, flags=re.M)[1:]:
        test = re.match(r"tests/([^/. ]+)", program)
        option = ("--test", test.group(1)) if test else ("--lib",) if program.startswith("unittests src/lib.rs") else ("--bins",)
        passed.update((name, option) for name in re.findall(r"^test (\S+) \.\.\. ok$", program, re.M))
    return passed


def try_out(entry, target):
    """Makes the change, expects the test to fail, and takes the change back."""
    if target is None:
        raise DefenceError("its test does not pass with the defence in place")
    originals = {}
    try:
        for find, replace, *file in [(entry["find"], entry["replace"]), *entry.get("also", [])]:
            name = file[0] if file else entry["file"]
            path = SCRATCH / "tree" / name
            text = path.read_text()
            originals.setdefault(path, text)
            if text.count(find) != 1:
                raise DefenceError(f"{name} has what is to be changed {text.count(find)} times, not once: {find}")
            path.write_text(text.replace(find, replace))
        said, status = cargo_test(entry["crate"], *target, "--", "--exact", entry["test"])
        # A test binary that dies has no closing line, and has failed all the same.
        failed = re.search(r"^test \S+ \.\.\. FAILED$", said, re.M) or (status != 0 and "signal" in said)
        if not failed:
            raise DefenceError(f"{entry['test']} did not notice")
    finally:
        for path, text in originals.items():
            path.write_text(text)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--write", action="store_true", help="keep the result in docs/conformance/defences.md")
    options.add_argument("names", nargs="*", metavar="NAME", help="only these")
    given = options.parse_args()
    entries = tomllib.loads(LIST.read_text())["defence"]
    if given.names:
        entries = [e for e in entries if any(name in e["name"] for name in given.names)]
    copy_tree()
    by_crate = {}
    for entry in entries:
        by_crate.setdefault(entry["crate"], set()).add(entry["test"])
    targets = {crate: before(crate, sorted(tests)) for crate, tests in by_crate.items()}
    rows, failed = [], 0
    for entry in entries:
        try:
            try_out(entry, targets[entry["crate"]].get(entry["test"]))
            verdict = "red without it"
        except (DefenceError, subprocess.TimeoutExpired) as error:
            failed += 1
            verdict = f"FAILED: {error}"
        print(f"{'ok     ' if verdict == 'red without it' else 'FAILED '} {entry['name']}: {entry['test']}", flush=True)
        if verdict != "red without it":
            print("    " + verdict.replace("\n", "\n    "), flush=True)
        rows.append(f"| {entry['name']} | `{entry['file']}` | `{entry['test']}` | {verdict.splitlines()[0]} |")
    print(f"{len(entries) - failed} passed, {failed} failed")
    if given.write:
        date = datetime.date.today().isoformat()
        RESULT.write_text(HEAD + f"Last run: {date}, {len(entries) - failed} of {len(entries)} red without their defence."
                          + "\n\n| taken out | in | test | |\n|---|---|---|---|\n" + "\n".join(rows) + "\n")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
