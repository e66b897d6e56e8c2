#!/usr/bin/env python3
"""Every line of the conformance documents and of docs/field.md names tests, and they exist.

A table with a column `proved by` (and `proved against`) is a table of claims: each row has to name a test in each of
these columns. The lines 1 to 50 and, in section 5.7, the scenarios 1 to 48 all have to be there. A test is named by its
crate, the path of its file and modules, and its function: `iso7816::tests::line::removed_and_reader_lost`,
`iso7816::etu::tests::conventions`; a program by its path: `tests/check_tables.py`, `tests/c/ts.c`. Before anything else the check is shown documents that are wrong, and has to say so.

    conformance.py
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = [ROOT / "docs" / name for name in ("conformance/iso7816.md", "conformance/iso7816-t1.md", "field.md")]
COLUMNS = ("proved by", "proved against")
# The crates whose folder does not say their name.
NAMES = {"tests": "system-tests"}
LINES, SCENARIOS = range(1, 51), range(1, 49)
# What the second document is about.
T1_LINES = range(37, 51)

TEST = re.compile(r"((?:#\[[^\]]*\]\s*)*)#\[test\]((?:\s*(?:#\[[^\]]*\]|//[^\n]*))*)\s*fn (\w+)")
NAMED = re.compile(r"`([a-z]\w*(?:::\w+)+|tests/[\w/]+\.(?:py|c))`")


def tests_of(text, module):
    """The names of the tests in one file, those that are ignored apart."""
    inside = [(m.start(), text.find("\n}", m.start()), m.group(1)) for m in re.finditer(r"^mod (\w+) \{", text, re.M)]
    for found in TEST.finditer(text):
        if "#[ignore" in found.group(1) + found.group(2):
            continue
        modules = [name for start, end, name in inside if start < found.start() < end]
        yield "::".join([*module, *modules, found.group(3)])


def existing_tests():
    programs = [file for ending in ("py", "c") for file in (ROOT / "tests").glob(f"**/*.{ending}")]
    names = {str(file.relative_to(ROOT)) for file in programs}
    for crate in tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]:
        for file in [*(ROOT / crate).glob("src/**/*.rs"), *(ROOT / crate).glob("tests/**/*.rs")]:
            parts = list(file.relative_to(ROOT / crate).with_suffix("").parts)
            parts = parts[1:] if parts[0] == "src" else parts
            if parts[-1] in ("mod", "lib", "main") and len(parts) > 1:
                parts.pop()
            names.update(tests_of(file.read_text(), [NAMES.get(crate, crate).replace("-", "_"), *parts]))
    return names


def claims(text):
    """The rows of all tables of claims: (section, label, {column: tests})."""
    section, header = "", None
    for line in text.splitlines():
        if line.startswith("#"):
            section, header = line.lstrip("# "), None
        elif not line.startswith("|"):
            header = None
        else:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if header is None:
                header = cells
            elif not set(cells[0]) <= set("-: ") and COLUMNS[0] in header:
                named = {column: NAMED.findall(cells[header.index(column)]) if header.index(column) < len(cells) else []
                         for column in COLUMNS if column in header}
                yield section, cells[0], named


def complaints(texts, existing):
    """What is wrong with the documents, given in the order of DOCS; a missing one is None."""
    rows = [row for text in texts if text is not None for row in claims(text)]
    lines = [int(label) for section, label, _ in rows if label.isdigit() and not section.startswith("5.7")]
    scenarios = [int(label) for section, label, _ in rows if label.isdigit() and section.startswith("5.7")]
    t1 = texts[1] is not None
    for what, wanted, there in (("line", [n for n in LINES if t1 or n not in T1_LINES], lines),
                                ("scenario", SCENARIOS if t1 else (), scenarios)):
        yield from (f"{what} {number} is missing" for number in wanted if number not in there)
        yield from (f"{what} {number} is there twice" for number in sorted(set(there)) if there.count(number) > 1)
    for section, label, named in rows:
        for column, tests in named.items():
            if not tests:
                yield f"section {section}, line {label}: '{column}' names no test"
            yield from (f"section {section}, line {label}: no test {test}" for test in tests if test not in existing)


def blind_spots(texts, existing):
    """Wrong documents that the check would let pass."""
    first = texts[0]
    row = next(line for line in first.splitlines() if re.match(r"\| 14 \|", line))
    name = NAMED.search(row).group(1)
    wrong = {
        "a line that is missing": first.replace(row + "\n", ""),
        "a line that is there twice": first.replace(row, row + "\n" + row),
        "a line without a test": first.replace(row, NAMED.sub("", row)),
        "a test that does not exist": first.replace(name, name + "_not"),
    }
    for what, text in wrong.items():
        if not list(complaints([text, *texts[1:]], existing)):
            yield what
    if list(tests_of("#[test]\n#[ignore]\nfn a() {}\n", ["c"])) or list(tests_of("fn b() {}\n", ["c"])):
        yield "a test that does not run"


def main():
    existing = existing_tests()
    texts = [doc.read_text() if doc.exists() else None for doc in DOCS]
    problems = [f"the check does not see {what}" for what in blind_spots(texts, existing)]
    problems += complaints(texts, existing)
    for problem in problems:
        print(f"docs: {problem}", file=sys.stderr)
    rows = [row for text in texts if text is not None for row in claims(text)]
    named = {test for _, _, columns in rows for tests in columns.values() for test in tests}
    if not problems:
        print(f"conformance: {len(rows)} claims are proved by {len(named)} tests")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
