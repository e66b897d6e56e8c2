#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every package that a build may draw in has a licence that is on the list below.

Asks `cargo metadata` about the workspace and, where its lock file is there, about fuzz/, and evaluates each package's `license`: OR and
the older "/" leave a choice, AND asks for both, WITH belongs to the licence before it. A package that names none is refused, for nobody
can say what it allows. Before anything else the check is shown expressions and packages that are wrong, and has to say so.

    licences.py
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKSPACES = [ROOT / "Cargo.toml", ROOT / "fuzz" / "Cargo.toml"]

# Nothing here gathers the notices: whoever hands out the library or the tools adds them, of the packages that `cargo metadata` lists.
NOTICE = "whoever distributes a build adds its notice, and nothing else is asked"
ACCEPTED = {
    "Apache-2.0": "this project's own",
    "MIT": NOTICE,
    "BSD-2-Clause": NOTICE,
    "BSD-3-Clause": NOTICE,
    "ISC": NOTICE,
    "NCSA": NOTICE,
    "Zlib": NOTICE,
    "Unicode-3.0": "whoever distributes a build with the tables of Unicode adds its notice",
    "MPL-2.0": "asks for the source of its own files alone, and none of them is changed here",
}

WORD = re.compile(r"\s*([()/]|[A-Za-z0-9.+:-]+)")


class Malformed(Exception):
    """An expression that is none."""


def words_of(expression):
    words, at = [], 0
    text = expression.rstrip()
    while at < len(text):
        found = WORD.match(text, at)
        if not found:
            raise Malformed(f"'{text[at:]}' is no licence")
        words.append("OR" if found[1] == "/" else found[1])
        at = found.end()
    return words


def refused(expression):
    """The licences for which an expression is refused; none when it can be accepted."""
    words = words_of(expression)

    def take(*expected):
        return words.pop(0) if words and words[0] in expected else None

    def either():
        found = [both()]
        while take("OR"):
            found.append(both())
        return [] if [] in found else sum(found, [])

    def both():
        found = one()
        while take("AND"):
            found = found + one()
        return found

    def one():
        if take("("):
            found = either()
            if not take(")"):
                raise Malformed("a parenthesis is not closed")
            return found
        if not words or words[0] in ("OR", "AND", "WITH", ")"):
            raise Malformed(f"a licence is expected {f'before {words[0]}' if words else 'at the end'}")
        name = words.pop(0)
        if take("WITH"):
            if not words:
                raise Malformed("an exception is expected behind WITH")
            name = f"{name} WITH {words.pop(0)}"
        return [] if name in ACCEPTED else [name]

    found = either()
    if words:
        raise Malformed(f"'{words[0]}' is not expected")
    return found


def complaints(packages):
    """What is wrong with packages as `cargo metadata` tells them, and what would work."""
    for package in packages:
        who = f"{package['name']} {package['version']}"
        expression = package.get("license")
        if not expression:
            file = f" but the file {package['license_file']}" if package.get("license_file") else ""
            yield f"{who} names no licence{file}: another package or version is needed, with `license` in its Cargo.toml"
            continue
        try:
            names = refused(expression)
        except Malformed as why:
            yield f"{who}: '{expression}' is no licence expression: {why}; expected is one like 'MIT OR Apache-2.0'"
            continue
        if names:
            yield (f"{who} has '{expression}', and {', '.join(dict.fromkeys(names))} is not on the list: another package is needed, "
                   "or in tests/licences.py the licence with the reason why its terms are kept")


def blind_spots():
    """Wrong packages that the check would let pass, and right ones that it would not."""
    right = ["MIT", "MIT/Apache-2.0", "MIT / Apache-2.0", "Unlicense OR MIT", "(MIT OR GPL-3.0-only) AND Unicode-3.0",
             "Apache-2.0 WITH LLVM-exception OR MIT", "GPL-2.0-only AND ISC OR MIT"]
    wrong = ["GPL-3.0-only", "GPL-3.0-only OR AGPL-3.0-only", "MIT AND GPL-3.0-only", "MIT AND (GPL-2.0-only OR SSPL-1.0)",
             "Apache-2.0 WITH LLVM-exception", "GPL-2.0-only OR MIT AND SSPL-1.0", "mit", "MIT-0"]
    malformed = ["MIT OR", "OR MIT", "(MIT", "MIT)", "MIT Apache-2.0", "MIT, Apache-2.0", "MIT WITH", "()", " "]
    package = {"name": "some", "version": "1.2.3"}
    yield from (f"'{text}' is right" for text in right if list(complaints([{**package, "license": text}])))
    for text in [*wrong, *malformed, None, ""]:
        said = list(complaints([{**package, "license": text, "license_file": None}]))
        if len(said) != 1 or "some 1.2.3" not in said[0]:
            yield f"'{text}' is wrong"
    said = list(complaints([{**package, "license": None, "license_file": "COPYING"}]))
    if len(said) != 1 or "COPYING" not in said[0]:
        yield "a package has a file and no expression"


def packages_of(manifest):
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--format-version", "1", "--locked", "--manifest-path", str(manifest)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"licences: {' '.join(command)} failed:\n{run.stderr}")
    return json.loads(run.stdout)["packages"]


def main():
    problems = [f"the check does not see that {what}" for what in blind_spots()]
    packages = {}
    for manifest in WORKSPACES:
        if manifest.with_name("Cargo.lock").exists():
            packages.update({package["id"]: package for package in packages_of(manifest)})
    problems += complaints(packages.values())
    for problem in problems:
        print(f"licences: {problem}", file=sys.stderr)
    if not problems:
        print(f"licences: {len(packages)} packages, each with a licence that is on the list")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
