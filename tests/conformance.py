#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every line of the conformance documents, of docs/field.md and of docs/security.md names tests, and they exist.

A table with a column `proved by` (and `proved against`) is a table of claims: each row has to name a test in each of
these columns. The lines 1 to 50 and, in section 5.7, the scenarios 1 to 48 all have to be there. A test is named by its
crate, the path of its file and modules, and its function: `iso7816::tests::line::removed_and_reader_lost`,
`iso7816::etu::tests::conventions`; a program by its path: `tests/check_tables.py`, `tests/c/ts.c`.

The threats T1 to T38 of docs/security.md all have to be there, and each names an entry of tests/defences.toml, which
takes the defence out: its test stands in the threat's row, and what it changes stands in its file once. What no test
holds is said by `not yet:` or `silicon only:` and what it is, there alone. A test whose doc comment cites a threat
(`/// T3, T23: …`, or in parentheses) stands in its row.

Before anything else the check is shown documents that are wrong, and has to say so.

    conformance.py
"""

import re
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = [ROOT / "docs" / name for name in ("conformance/iso7816.md", "conformance/iso7816-t1.md", "field.md", "conformance/scrambling.md")]
SECURITY = ROOT / "docs" / "security.md"
DEFENCES = ROOT / "tests" / "defences.toml"
COLUMNS = ("proved by", "proved against")
# The crates whose folder does not say their name.
NAMES = {"tests": "system-tests"}
# And of those the ones that a test's name does not have either.
CRATES = {"stbcam-ffi": "ffi"}
LINES, SCENARIOS = range(1, 51), range(1, 49)
# What the second document is about.
T1_LINES = range(37, 51)
THREATS = [f"T{number}" for number in range(1, 39)]

TEST = re.compile(r"((?:#\[[^\]]*\]\s*)*)#\[test\]((?:\s*(?:#\[[^\]]*\]|//[^\n]*))*)\s*fn (\w+)")
DOC = re.compile(r"((?:[ \t]*///[^\n]*\n)+)\s*(?:#\[[^\]]*\]\s*)*fn (\w+)")
CITED = re.compile(r"(?:^|\()((?:T\d+, )*T\d+)(?:[:.)]|$)")
OPEN = re.compile(r"`(not yet|silicon only):`\s+\w")
NAMED = re.compile(r"`([a-z]\w*(?:::\w+)+|tests/[\w/]+\.(?:py|c))`")


def members():
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]


def tests_of(text, module):
    """The names of the tests in one file, those that are ignored apart."""
    inside = [(m.start(), text.find("\n}", m.start()), m.group(1)) for m in re.finditer(r"^mod (\w+) \{", text, re.M)]
    for found in TEST.finditer(text):
        if "#[ignore" in found.group(1) + found.group(2):
            continue
        modules = [name for start, end, name in inside if start < found.start() < end]
        yield "::".join([*module, *modules, found.group(3)])


def citing(text, names):
    """(test, threats) for the tests `names` of one file whose doc comment cites threats."""
    by_function = {name.rsplit("::", 1)[1]: name for name in names}
    for comment, function in DOC.findall(text):
        threats = [threat for line in comment.splitlines() for cited in CITED.findall(line.strip().removeprefix("///").strip())
                   for threat in cited.split(", ") if threat in THREATS]
        if threats and function in by_function:
            yield by_function[function], threats


def existing_tests():
    """The names of all tests, and of those that cite threats which."""
    programs = [file for ending in ("py", "c") for file in (ROOT / "tests").glob(f"**/*.{ending}")]
    names, cited = {str(file.relative_to(ROOT)) for file in programs}, []
    for crate in members():
        for file in [*(ROOT / crate).glob("src/**/*.rs"), *(ROOT / crate).glob("tests/**/*.rs")]:
            parts = list(file.relative_to(ROOT / crate).with_suffix("").parts)
            parts = parts[1:] if parts[0] == "src" else parts
            if parts[-1] in ("mod", "lib", "main") and len(parts) > 1:
                parts.pop()
            inside = list(tests_of(file.read_text(), [NAMES.get(crate, crate).replace("-", "_"), *parts]))
            names.update(inside)
            cited += citing(file.read_text(), inside)
    return names, cited


def forgotten(files):
    """The files of a test program to which no `mod` leads from its main.rs; `files` are texts by their paths beside it."""
    reached, todo = set(), [("main.rs", "")]
    while todo:
        name, folder = todo.pop()
        if name in files and name not in reached:
            reached.add(name)
            for child in re.findall(r"^\s*(?:pub(?:\([^)]*\))? )?mod (\w+);", files[name], re.M):
                todo.append((f"{folder}{child}.rs", f"{folder}{child}/"))
    return sorted(set(files) - reached)


def mains(root, members):
    """The roots of the test programs that consist of several files."""
    return sorted(main for crate in members for main in (root / crate / "tests").glob("**/main.rs"))


def forgotten_files():
    for main in mains(ROOT, members()):
        files = {file.relative_to(main.parent).as_posix(): file.read_text() for file in main.parent.glob("**/*.rs")}
        for name in forgotten(files):
            yield f"{main.parent.relative_to(ROOT)}/{name} does not run: no 'mod' leads there from main.rs"


def claims(text):
    """The rows of all tables of claims: (section, label, {column: what it says})."""
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
                said = {column: cells[header.index(column)] if header.index(column) < len(cells) else ""
                        for column in COLUMNS if column in header}
                yield section, cells[0], said


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
    for section, label, said in rows:
        for column, cell in said.items():
            if not NAMED.search(cell):
                yield f"section {section}, line {label}: '{column}' names no test"
            missing = [test for test in NAMED.findall(cell) if test not in existing]
            yield from (f"section {section}, line {label}: no test {test}" for test in missing)


def security_complaints(text, existing, cited):
    """What is wrong with docs/security.md."""
    rows = [(label, said[COLUMNS[0]]) for _, label, said in claims(text)]
    labels = [label for label, _ in rows]
    yield from (f"threat {threat} is there {labels.count(threat)} times" for threat in THREATS if labels.count(threat) != 1)
    for label, cell in rows:
        if not NAMED.search(cell) and not OPEN.search(cell):
            yield f"threat {label}: names no test, and does not say what is not yet or silicon only"
        yield from (f"threat {label}: no test {test}" for test in NAMED.findall(cell) if test not in existing)
    for test, threats in cited:
        yield from (f"threat {threat}: {test} cites it and is not in its row"
                    for threat in threats if test not in NAMED.findall(dict(rows).get(threat, "")))


def taken_out(text):
    """(threat, entries) of the table of docs/security.md that says which defences are taken out."""
    table = text.partition("| threat | entries of `tests/defences.toml` |\n")[2].partition("\n\n")[0]
    return re.findall(r"^\| (T\d+) \| (.+) \|$", table, re.M)


def defence_complaints(text, entries):
    """What is wrong with what docs/security.md says of defences that are taken out."""
    rows = {label: NAMED.findall(said[COLUMNS[0]]) for _, label, said in claims(text)}
    by_name = {entry["name"]: entry for entry in entries}
    named = taken_out(text)
    labels = [label for label, _ in named]
    yield from (f"threat {threat} names its defences {labels.count(threat)} times" for threat in THREATS if labels.count(threat) != 1)
    for label, cell in named:
        if OPEN.match(cell):
            continue
        for name in cell.split("; "):
            if name not in by_name:
                yield f"threat {label}: no entry of tests/defences.toml: {name}"
                continue
            crate, test = CRATES.get(by_name[name]["crate"], by_name[name]["crate"]).replace("-", "_"), by_name[name]["test"]
            if not any(proof.startswith(f"{crate}::") and proof.endswith(f"::{test}") for proof in rows.get(label, [])):
                yield f"threat {label}: {name}: its test {test} is not in the threat's row"


def misfits(entries, read):
    """Entries of tests/defences.toml that take out what is not there, or not once."""
    for entry in entries:
        for find, _, *file in [(entry["find"], None), *entry.get("also", [])]:
            name = file[0] if file else entry["file"]
            count = read(name).count(find)
            if count != 1:
                yield f"tests/defences.toml: {entry['name']}: {name} has what it takes out {count} times, not once"


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
    if not list(complaints([first.replace(row, NAMED.sub("`not yet:` it is", row)), *texts[1:]], existing)):
        yield "a line that is not proved yet"
    if list(tests_of("#[test]\n#[ignore]\nfn a() {}\n", ["c"])) or list(tests_of("fn b() {}\n", ["c"])):
        yield "a test that does not run"
    if forgotten({"main.rs": "mod a;\n", "a.rs": "mod c;\n", "b.rs": "", "a/c.rs": "", "a/d.rs": ""}) != ["a/d.rs", "b.rs"]:
        yield "a file that no test binary has"
    with tempfile.TemporaryDirectory() as folder:
        for main in ("x/tests/main.rs", "y/tests/card/main.rs", "tests/tests/tear/main.rs"):
            (Path(folder) / main).parent.mkdir(parents=True)
            (Path(folder) / main).write_text("")
        if len(mains(Path(folder), ["x", "y", "tests"])) != 3:
            yield "a test program in a folder"
    head = "| | threat | proved by |\n|---|---|---|\n"
    rows = [f"| {threat} | it | `c::a` |\n" for threat in THREATS]
    tests = "/// T3, T38: why.\n/// (T9)\n#[test]\nfn a() {}\n\n/// T1=0.\n#[test]\nfn b() {}\n"
    cited = list(citing(tests, ["c::a", "c::b"]))
    if cited != [("c::a", ["T3", "T38", "T9"])]:
        yield "which threats a test cites"
    wrong = {
        "a threat that is missing": rows[1:],
        "a threat that is there twice": rows + rows[:1],
        "a threat without a word": ["| T1 | it | |\n", *rows[1:]],
        "a threat that is open without saying how": ["| T1 | it | `not yet:` |\n", *rows[1:]],
        "a threat's test that does not exist": ["| T1 | it | `c::b` |\n", *rows[1:]],
        "a test that cites a threat and is not in its row": [*rows[:2], "| T3 | it | `silicon only:` all |\n", *rows[3:]],
    }
    for what, lines in wrong.items():
        if not list(security_complaints(head + "".join(lines), {"c::a"}, cited)):
            yield what
    if list(security_complaints(head + "".join(["| T1 | it | `not yet:` all |\n", *rows[1:]]), {"c::a"}, cited)):
        yield "a threat that may be open"
    entries = [{"name": "n", "crate": "c", "test": "a", "file": "f", "find": "x"}, {"name": "m", "crate": "c", "test": "b"}]
    outs = [f"| {threat} | n |\n" for threat in THREATS]
    table = head + "".join(rows) + "\n| threat | entries of `tests/defences.toml` |\n|---|---|\n"
    if list(defence_complaints(table + "".join([*outs[:-1], "| T38 | `silicon only:` it |\n"]), entries)):
        yield "a threat whose defence is the chip's"
    wrong = {
        "a threat that names no defence": outs[1:],
        "a defence that does not exist": ["| T1 | n; o |\n", *outs[1:]],
        "a defence whose test is not in the row": ["| T1 | n; m |\n", *outs[1:]],
    }
    for what, lines in wrong.items():
        if len(list(defence_complaints(table + "".join(lines), entries))) != 1:
            yield what
    if [len(list(misfits(entries[:1], lambda _, text=text: text))) for text in ("", "x", "xx")] != [1, 0, 1]:
        yield "a defence that is not there"


def main():
    existing, cited = existing_tests()
    texts = [doc.read_text() if doc.exists() else None for doc in DOCS]
    problems = [f"the check does not see {what}" for what in blind_spots(texts, existing)]
    problems += forgotten_files()
    problems += complaints(texts, existing)
    security = SECURITY.read_text() if SECURITY.exists() else ""
    problems += security_complaints(security, existing, cited)
    entries = tomllib.loads(DEFENCES.read_text())["defence"]
    problems += defence_complaints(security, entries)
    problems += misfits(entries, lambda name: (ROOT / name).read_text())
    for problem in problems:
        print(f"docs: {problem}", file=sys.stderr)
    rows = [row for text in [*texts, security] if text is not None for row in claims(text)]
    named = {test for _, _, said in rows for cell in said.values() for test in NAMED.findall(cell)}
    still_open = sum(bool(OPEN.search(cell)) for _, _, said in rows for cell in said.values())
    if not problems:
        print(f"conformance: {len(rows)} claims are proved by {len(named)} tests; {still_open} say what is open")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
