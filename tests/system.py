#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of the whole system: the demo un-paced, recomputed, under valgrind, and broken on purpose.

    system.py NAME     this test; tests/run.py runs them side by side
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "target" / "test"
STORY = ROOT / "examples" / "demo" / "story.py"
TESTS = ROOT / "tests"
sys.path.insert(0, str(ROOT / "examples" / "demo"))
from actors import READERS  # noqa: E402
from breaks import BREAKS  # noqa: E402
from claims import CLAIMS  # noqa: E402

TIMEOUT_S = 300
# Of damage. A scrambling bit without the indicator; an ECM with a damaged operator; one damaged while the card is out.
SEEDS = (1, 4, 42)
VALGRIND = ("valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=all "
            "--errors-for-leak-kinds=all --child-silent-after-fork=yes")


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=TIMEOUT_S,
                          stdin=subprocess.DEVNULL, check=False)


def story(name, *options):
    return run(sys.executable, STORY, "--unpaced", "--out", OUT / name, *options)


def last_line(result):
    lines = result.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}


def tail(result):
    return "\n".join((result.stdout + result.stderr).strip().splitlines()[-12:])


def demo(name, *options):
    """The demo holds, and the checkers agree. To vpcd go commands, not characters: no line to check there."""
    told = story(name, *options)
    if told.returncode != 0 or not told.stdout.splitlines()[-1].startswith('{"demo":"ok",'):
        return tail(told)
    for checker in ("check_demo.py", "check_secrets.py", *(() if name == "vpcd" else ("check_line.py",))):
        checked = run(sys.executable, TESTS / checker, OUT / name)
        if checked.returncode != 0:
            return tail(checked)
    return None


def valgrind():
    """The player runs the whole story without an error or a lost byte."""
    told = story("valgrind", "--wrapper", VALGRIND)
    return None if told.returncode == 0 else tail(told)


def broken(name):
    """A demo with this break fails and names the claims."""
    told = story(f"break-{name}", "--break", name)
    named = last_line(told).get("failed", [])
    claims = set(BREAKS[name].claims)
    if told.returncode == 0:
        return "the demo did not notice"
    return None if claims <= set(named) else f"named {named}, not {sorted(claims)}\n{tail(told)}"


def every_claim_is_broken():
    """Each claim of the demo has a break, so that none can hold by itself."""
    untested = set(CLAIMS) - {claim for b in BREAKS.values() for claim in b.claims}
    return f"no break for {sorted(untested)}" if untested else None


def readme_compiles():
    """The C in the README is C against today's header."""
    snippet = (ROOT / "README.md").read_text().split("```c\n")[1].split("```")[0]
    result = subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{ROOT / 'include'}",
                             "-fsyntax-only", "-x", "c", "-"], input=snippet, capture_output=True, text=True, check=False)
    return None if result.returncode == 0 else result.stderr


def script(name, *arguments):
    def test():
        result = run(sys.executable, TESTS / name, *arguments)
        return None if result.returncode == 0 else tail(result)

    return test


def wasted_characters_are_noticed():
    """check_line.py lets the least pass, and no more: a chain that need not be, an answer fetched in two parts."""
    t1, t0 = "0 R\n0 R 3BD618FF8131FE2553544243414D50\n", "0 R\n0 R 3B00\n"
    header, data, answer = "8434000004", "01020304", "AABB9000"
    cases = {
        "t1-least": (t1, 0, f"T 00000A{header}{data}0000", f"C 000004{answer}00"),
        "t1-chained": (t1, 1, f"T 002005{header}00", "C 00900000", f"T 004005{data}0000", f"C 000004{answer}00"),
        "t0-least": (t0, 0, f"T {header}", "C 34", f"T {data}", "C 6102", "T 84C0000002", f"C C0{answer}"),
        "t0-in-parts": (t0, 1, f"T {header}", "C 34", f"T {data}", "C 6102", "T 84C0000001", "C C0AA6101",
                        "T 84C0000001", "C C0BB9000"),
        "no-exchange": (t0, 1, f"T {header}"),
    }
    folder = OUT / "line"
    folder.mkdir(exist_ok=True)
    for name, (start, status, *lines) in cases.items():
        (folder / name).write_text(start + "".join(f"0 {line}\n" for line in lines))
        told = run(sys.executable, TESTS / "check_line.py", folder / name)
        if told.returncode != status:
            return f"{name}: status {told.returncode}, expected {status}\n{tail(told)}"
    return None


def tests():
    for reader in READERS:
        yield f"demo, {reader}", lambda reader=reader: demo(reader, "--reader", reader)
    yield "demo under valgrind", valgrind
    for seed in SEEDS:
        yield (f"demo on a damaged signal, seed {seed}",
               script("check_damage.py", OUT / f"damage-{seed}", "--seed", str(seed)))
    yield "reduced control words against libdvbcsa", script("check_entropy.py", OUT / "entropy")
    yield "software descrambler against libdvbcsa and OpenSSL", script("check_descrambler.py")
    yield "SCTE 52 and IDSA by the tables of ATSC, against OpenSSL", script("check_cable.py", OUT / "cable")
    yield "tables of tomorrow, damaged ones", script("check_tables.py", OUT / "tables")
    yield "what broadcasters have", script("check_broadcast.py", OUT / "broadcast")
    yield "no secret in a box's memory", script("check_memory.py", OUT / "memory")
    yield "bad input", script("check_bad_input.py", OUT / "bad-input")
    yield "the README's C compiles", readme_compiles
    yield "wasted characters are noticed", wasted_characters_are_noticed
    yield "the checker names what is spoilt", script("check_notices.py", OUT / "notices")
    yield "a card killed at every write of a purchase", script("check_kill.py", OUT / "kill")
    yield "what make installs, and what links against it", script("check_install.py", OUT / "install")
    yield "every claim is broken once", every_claim_is_broken
    for name in BREAKS:
        yield f"break {name}", lambda name=name: broken(name)


def main():
    named = dict(tests())
    if len(sys.argv) != 2 or sys.argv[1] not in named:
        print(__doc__.strip(), *named, sep="\n       ", file=sys.stderr)
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    try:
        problem = named[sys.argv[1]]()
    except subprocess.TimeoutExpired as error:
        problem = f"no end after {error.timeout:.0f} s"
    if problem:
        print(problem)
    return problem is not None


if __name__ == "__main__":
    sys.exit(main())
