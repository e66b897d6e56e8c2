#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The habits of the house that no other tool knows.

- Sources begin with the licence's SPDX line; a script's stands below its `#!`, a C file's in its first comment.
- Rust: every file begins with `//!` docs that say something; folders of modules stand beside their file (`x.rs`, `x/`), so
  there is no mod.rs, no `#[path]` and no `include!`; no `allow(dead_code)`; imports are one block; comment lines have at
  most 100 columns, but for a table or a drawing between ``` and ```.
- A structure of cam-core has all of its fields open to the rest of the crate, or none: it is a value, or it has state.
- No file has the marks of a merge that was not finished.
- No file is called util, common or helpers.
- Markdown and all sources but Rust have lines of at most 140 columns. Markdown's code and its rows of tables, which cannot be
  broken, are left out; of manifests only comments count.
- Code in CONTRIBUTING.md below the name of a file stands in that file.
- What the guides call a file or a folder, between backticks or in a link, is there: by its whole path, or by the end of one.

Before anything else the check is shown wrong files, and has to say so.

    house.py
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LICENCE = "SPDX-License-Identifier: Apache-2.0"
# How each kind of source begins a comment of one line.
COMMENT = {".rs": "//", ".py": "#", ".sh": "#", ".toml": "#", ".mk": "#", "Makefile": "#", ".c": "/*", ".h": "/*",
           ".cpp": "/*", ".hpp": "/*", "CMakeLists.txt": "#", ".map": "/*", ".in": "#", ".ci/run": "#"}
COLUMNS, OTHER_COLUMNS = 100, 140
# Where every line counts, not only a comment's.
BREAKABLE = {".py", ".sh", ".mk", "Makefile", ".c", ".h", ".cpp", ".hpp", "CMakeLists.txt", ".map", ".in", ".ci/run"}
# What is no code: comments, and what stands in strings and characters.
NO_CODE = re.compile(r"""//[^\n]*|/\*.*?\*/|\br(#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\.[^']*|[^\\'])'""", re.DOTALL)
ATTRIBUTE = re.compile(r"#\s*!?\s*\[((?:[^\[\]]|\[[^\]]*\])*)\]")
BLOCKS = re.compile(r"^([ \t]*)use [^;]*;[^\n]*\n[ \t]*\n(?:[ \t]*(?:\n|//[^\n]*\n|#\[[^\n]*\n))*\1(use\b)", re.MULTILINE)
STRUCT = re.compile(r"^([ \t]*)(?:pub(?:\([^)]*\))? )?struct (\w+)[^{;(]*\{\n(.*?)^\1\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^[ \t]*(pub(?:\([^)]*\))? )?\w+: ", re.MULTILINE)
VAGUE = {"util", "utils", "common", "helper", "helpers", "misc"}
GUIDE = "CONTRIBUTING.md"
GUIDES = {GUIDE, "README.md", "SECURITY.md", "docs/architecture.md"}
PATH = re.compile(r"\w[\w./-]*(?:/|\.(?:rs|py|sh|md|toml|c|h|map))|\w[\w-]*(?:/[\w.-]+)+", re.ASCII)
# Names of no file: what a build makes, and what the rules of names are shown by.
NO_PATH = re.compile(r"target/.*|(.*/)?(x\.rs|x/|mod\.rs|NAME\.rs)")


def kind(name):
    path = Path(name)
    return name if name in COMMENT else path.name if path.name in COMMENT else path.suffix


def licence(name, text):
    start = COMMENT.get(kind(name))
    lines = text.split("\n")
    if start is None:
        return
    if start == "/*":
        if not text.startswith("/*") or LICENCE not in text.split("*/")[0]:
            yield f"the first comment does not say {LICENCE}"
    elif lines[lines[0].startswith("#!") and not lines[0].startswith("#![")] != f"{start} {LICENCE}":
        yield f"does not begin with '{start} {LICENCE}'"


def rust(name, text):
    if kind(name) != ".rs":
        return
    if Path(name).name == "mod.rs":
        yield "a folder's module stands beside it, as x.rs"
    lines = text.split("\n")
    code = next((at for at, line in enumerate(lines) if line.strip() and not re.match(r"//|#!\[", line)), len(lines))
    docs = " ".join(line[3:] for line in lines[:code] if line.startswith("//!"))
    if len(docs.split()) < 3:
        yield "begins without '//!' docs that say what it is about"
    fenced = False
    for at, line in enumerate(lines, 1):
        comment = line.lstrip().startswith("//")
        fenced = comment and fenced != bool(re.match(r"\s*//[/!]? *```", line))
        if comment and not fenced and len(line) > COLUMNS:
            yield f"line {at}: a comment of {len(line)} columns, at most {COLUMNS}"


def code(name, text):
    """What Rust may not have wherever it stands on its lines."""
    if kind(name) != ".rs":
        return
    text = NO_CODE.sub(lambda left_out: "\n" * left_out.group().count("\n"), text)
    for found in ATTRIBUTE.finditer(text):
        at, attribute = text.count("\n", 0, found.start()) + 1, found[1]
        if re.match(r"\s*(path\b|cfg_attr\b.*\bpath\s*=)", attribute, re.DOTALL):
            yield f"line {at}: '#[path]'; a module lies where its name says"
        if re.match(r"\s*(cfg_attr\b.*\b)?(allow|expect)\s*\(.*\b(dead_code|unused)\b", attribute, re.DOTALL):
            yield f"line {at}: dead code is taken out, not allowed"
    for found in re.finditer(r"\binclude\s*!", text):
        yield f"line {text.count(chr(10), 0, found.start()) + 1}: 'include!'; a source is a module"


def imports(name, text):
    if kind(name) == ".rs":
        # Two by two, so that the second of a pair is looked at as the first of the next.
        at = 0
        while found := BLOCKS.search(text, at):
            at = text.rindex("\n", 0, found.start(2))
            yield f"line {text.count(chr(10), 0, found.start(2)) + 1}: imports are one block, without a blank line between them"


def columns(name, text):
    """Rust's comments have a limit of their own; what is long in a manifest is mostly a text that cannot be broken."""
    if kind(name) in BREAKABLE or kind(name) == ".toml":
        yield from (f"line {at}: {len(line)} columns, at most {OTHER_COLUMNS}" for at, line in enumerate(text.split("\n"), 1)
                    if len(line) > OTHER_COLUMNS and (kind(name) in BREAKABLE or line.lstrip().startswith("#")))


def fields(name, text):
    """In the engine's rooms a value is open, and what has state is asked."""
    if not name.startswith("cam-core/src/"):
        return
    for found in STRUCT.finditer(text):
        if len({bool(public) for public in FIELD.findall(found[3])}) > 1:
            at = text.count("\n", 0, found.start()) + 1
            yield f"line {at}: '{found[2]}' has fields that are open and others that are not"


def subject(name, _):
    vague = VAGUE & {part.split(".")[0] for part in Path(name).parts}
    if vague and kind(name) in COMMENT:
        yield f"'{vague.pop()}' is no subject"


def prose(lines, rows=False):
    """Numbered lines outside of code and, unless asked for, of tables."""
    code = False
    for at, line in enumerate(lines, 1):
        if line.lstrip().startswith("```"):
            code = not code
        elif not code and (rows or not line.startswith("|")):
            yield at, line


def markdown(name, text):
    if kind(name) == ".md":
        yield from (f"line {at}: {len(line)} columns, at most {OTHER_COLUMNS}"
                    for at, line in prose(text.split("\n")) if len(line) > OTHER_COLUMNS)


def examples(name, text, read):
    """Code that a guide shows out of a file, against that file."""
    if name != GUIDE:
        return
    for source, code in re.findall(r"^`([^`\n]+)`:\n```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        shown = read(source)
        if shown is None:
            yield f"shows code of {source}, which is not there"
        elif code not in shown:
            yield f"shows code of {source} that does not stand there"


def paths(name, text, names):
    """Files and folders that a guide names, against the tree. In a row a part of a path belongs to a top folder of the row."""
    if name not in GUIDES:
        return
    folders = {f"{folder}/" for file in names for folder in Path(file).parents if folder != Path(".")}
    tree = {*names, *folders}
    for at, line in prose(text.split("\n"), rows=True):
        spans = [word for span in re.findall(r"`([^`]+)`", line) for word in span.split()]
        found = [path for path in spans + re.findall(r"\]\(([^)#:]+)\)", line)
                 if PATH.fullmatch(path) and not NO_PATH.fullmatch(path)]
        whole = {path for path in found if {path, f"{path}/"} & tree}
        tops = {path.split("/")[0] for path in whole if "/" in path and line.startswith("|")}
        for path in (path for path in found if path not in whole):
            ends = tuple(f"/{path}{end}" for end in ("", "/", ".rs"))
            if not any(place.endswith(ends) and (not tops or place.split("/")[0] in tops) for place in tree):
                yield f"line {at}: names {path}, which is not there"


def merged(_, text):
    """What git leaves where two changes meet."""
    yield from (f"line {at}: a merge was not finished" for at, line in enumerate(text.split("\n"), 1)
                if re.match(r"(<{7}|>{7}) ", line))


def complaints(name, text, read, names):
    for check in (licence, rust, code, imports, fields, subject, columns, markdown, merged):
        yield from check(name, text)
    yield from examples(name, text, read)
    yield from paths(name, text, names)


GOOD = {
    "a.rs": f"// {LICENCE}\n//! Something about it.\n#![no_std]\n\nmod b;\n",
    "drawing.rs": f"// {LICENCE}\n//! Something about it.\n//! ```text\n//! " + "x" * 120 + "\n//! ```\nmod b;\n",
    "b.py": f"#!/usr/bin/env python3\n# {LICENCE}\n",
    "c.h": f"/*\n * The manual.\n *\n * {LICENCE}\n */\nint c(void);\n",
    "Makefile": f"# {LICENCE}\nall:\n",
    "d.md": "| " + "x" * 150 + " |\n```\n" + "x" * 150 + "\n```\n",
    GUIDE: "`a.rs`:\n```rust\nmod b;\n```\n",
    "README.md": ("`x/y/z.rs`, `z.rs`, `x/y`, `y/`, `y/z`, [x](x/y/z.rs), `python3 b.py --all`, `x.rs`, `target/z.rs`\n"
                  "| `x/y/`: `z.rs` | `b.py` |\n```\n`gone.rs`\n```\n"),
    "x/y/z.rs": f"// {LICENCE}\n//! Something about it.\n",
    "w/v.rs": f"// {LICENCE}\n//! Something about it.\n",
    "e.json": "{}",
    "x/Cargo.toml": f"# {LICENCE}\nx = '" + "x" * 200 + "'\n",
    "cam-core/src/value.rs": (f"// {LICENCE}\n//! Something about it.\n"
                              "pub(crate) struct A<'a> {\n    /// To b: it.\n    pub(crate) b: u8,\n    pub(crate) c: &'a u8,\n}\n"
                              "struct D {\n    e: u8,\n    f: u8,\n}\n"),
    "imports.rs": (f"// {LICENCE}\n//! Something about it.\npub use a::A;\n\nuse b::{{\n    B,\n}};\n#[cfg(unix)]\nuse c::C;\n\n"
                   "pub(crate) use d::D;\n\nfn f() {\n    use e::E;\n\n    g(include_str!(\"../x.md\"))\n}\n"
                   "#[expect(unsafe_code, reason = \"not dead_code\")]\n#[serde(path = \"x\")]\nmod c;\n"),
}
BAD = {
    "a Rust file without a licence": ("a.rs", "//! Something about it.\n"),
    "a licence that is not first": ("a.rs", f"//! Something about it.\n// {LICENCE}\n"),
    "another licence": ("a.rs", "// SPDX-License-Identifier: MIT\n//! Something about it.\n"),
    "a script without a licence": ("b.py", "#!/usr/bin/env python3\n"),
    "a script with a licence below its docs": ("b.py", f'"""It."""\n# {LICENCE}\n'),
    "a header without a licence in its first comment": ("c.h", f"/* It. */\n/* {LICENCE} */\n"),
    "a Makefile without a licence": ("tests/c/Makefile", "all:\n"),
    "a manifest without a licence": ("x/Cargo.toml", "[package]\n"),
    "a list of symbols without a licence": ("ffi/x.map", "A {\n};\n"),
    "a header of C++ without a licence": ("include/x.hpp", "#pragma once\n"),
    "a template without a licence": ("ffi/x.pc.in", "Name: x\n"),
    "a script without an ending and a licence": (".ci/run", "#!/usr/bin/env bash\n"),
    "a mod.rs": ("x/mod.rs", GOOD["a.rs"]),
    "a path": ("a.rs", GOOD["a.rs"] + '    #[path = "../b.rs"]\nmod c;\n'),
    "dead code that is allowed": ("a.rs", GOOD["a.rs"] + "#![allow(clippy::all, dead_code)]\n"),
    "dead code that is allowed over several lines": ("a.rs", GOOD["a.rs"] + "#![allow(\n    clippy::all,\n    dead_code\n)]\n"),
    "everything unused that is allowed": ("a.rs", GOOD["a.rs"] + "    #[allow(unused)]\n"),
    "dead code that is allowed on one machine": ("a.rs", GOOD["a.rs"] + "#[cfg_attr(unix, expect(dead_code))]\n"),
    "a path on one machine": ("a.rs", GOOD["a.rs"] + '#[cfg_attr(unix, path = "../b.rs")]\nmod c;\n'),
    "a path with a blank": ("a.rs", GOOD["a.rs"] + '# [ path = "../b.rs" ]\nmod c;\n'),
    "a source that is included": ("a.rs", GOOD["a.rs"] + 'include! ("../x.rs");\n'),
    "a file without docs": ("a.rs", f"// {LICENCE}\nmod b;\n//! Something about it.\n"),
    "docs that say nothing": ("a.rs", f"// {LICENCE}\n//! Card.\nmod b;\n"),
    "a long comment": ("a.rs", GOOD["a.rs"] + "    /// " + "x" * 93 + "\n"),
    "a long comment behind a drawing": ("a.rs", GOOD["drawing.rs"] + "// " + "x" * 98 + "\n"),
    "a long line of Python": ("b.py", GOOD["b.py"] + "x" * 141 + "\n"),
    "a long line of C": ("c.h", GOOD["c.h"] + "x" * 141 + "\n"),
    "a long comment in a manifest": ("x/Cargo.toml", GOOD["x/Cargo.toml"] + "# " + "x" * 139 + "\n"),
    "a long line of a Makefile": ("Makefile", GOOD["Makefile"] + "\t" + "x" * 140 + "\n"),
    "imports in two blocks": ("a.rs", GOOD["a.rs"] + "use b::{\n    C,\n};\n\n#[cfg(unix)]\nuse d::E;\n"),
    "imports in two blocks within a module": ("a.rs", GOOD["a.rs"] + "mod c {\n    use b::C;\n\n    use d::E;\n}\n"),
    "imports in two blocks with a comment": ("a.rs", GOOD["a.rs"] + "use b::C;\n\n// Ours.\nuse d::E;\n"),
    "a field of a room that is open beside one that is not":
        ("cam-core/src/a.rs", GOOD["a.rs"] + "pub(crate) struct A<'a> {\n    pub(crate) b: u8,\n    c: &'a u8,\n}\n"),
    "the same in a module of its own":
        ("cam-core/src/a.rs", GOOD["a.rs"] + "mod d {\n    struct A {\n        b: u8,\n        pub(super) c: u8,\n    }\n}\n"),
    "a file without a subject": ("x/util.rs", GOOD["a.rs"]),
    "a folder without a subject": ("tests/common/card.rs", GOOD["a.rs"]),
    "a long line of Markdown": ("d.md", "x" * 141 + "\n"),
    "a merge that was not finished": ("d.md", "<<<<<<< a\nb\n=======\nc\n>>>>>>> d\n"),
    "an example that is not in its file": (GUIDE, "`a.rs`:\n```rust\nmod c;\n```\n"),
    "a file that is gone": ("README.md", "It is in `x/y/gone.rs`.\n"),
    "a file that is gone, by the end of its path": (GUIDE, "It is in `y/gone.rs`.\n"),
    "a file that is gone, in a link": ("SECURITY.md", "[It](x/gone.md).\n"),
    "a file that is gone, in a command": (GUIDE, "| `python3 x/gone.py --all` |\n"),
    "a folder that is gone": ("docs/architecture.md", "`x/gone/`\n"),
    "a row with another crate's file": (GUIDE, "| `w/`: `z.rs` |\n"),
    "an example of a file that is gone": (GUIDE, "`z.rs`:\n```rust\nmod b;\n```\n"),
}


def blind_spots():
    """Wrong files that the check would let pass, and right ones that it would not."""
    yield from (f"the check does not see {what}" for what, (name, text) in BAD.items()
                if not list(complaints(name, text, GOOD.get, GOOD)))
    yield from (f"the check takes a good file for a bad one: {problem}" for name, text in GOOD.items()
                for problem in complaints(name, text, GOOD.get, GOOD))


def main():
    def read(name):
        return (ROOT / name).read_text() if (ROOT / name).is_file() else None

    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                            capture_output=True).stdout
    names = sorted({name for name in listed.decode().split("\0") if (ROOT / name).is_file()})
    ours = [name for name in names if kind(name) in {*COMMENT, ".md"}]
    problems = list(blind_spots())
    problems += [f"{name}: {problem}" for name in ours for problem in complaints(name, read(name), read, names)]
    for problem in problems:
        print(f"house: {problem}", file=sys.stderr)
    if not problems:
        print(f"house: {len(ours)} files are as the house has them")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
