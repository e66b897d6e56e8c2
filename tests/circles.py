#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No circle of modules but those that docs/architecture.md lists, with the reason for each.

Modules that use each other in a circle can be understood, tested and moved only together. In each crate of the workspace
this looks for the circles and compares them with the table under "Circles that stay": one that is not listed, one that is
gone, and one that has grown or shrunk are errors. So is a glob of everything in a crate (`use crate::*`), behind which
nobody sees who uses whom, and what this check cannot look behind: `include!`, `#[path]`, the crate by its own name. Before
anything else the check is shown crates with circles, and has to see them.

    circles.py [ROOT] [--quiet] [--only-print]

Sources are read as tokens, not compiled. The modules of a crate are those to which `mod` leads from lib.rs or main.rs;
what stands under `#[cfg(test)]` is left out. A name is followed through re-exports and globs to where it is declared. An
arrow is an import, or a path in the code or in an attribute, in its texts too. None is: that a parent makes public what
its child has (`pub use`) and does not use, a method (which module has it is for the compiler to say), and what a macro
makes. A module inside a file is part of the file's.
"""

import re
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

DOCUMENT, SECTION = "docs/architecture.md", "Circles that stay"
HEADER = ["crate", "modules", "why it stays"]

TOKEN = re.compile(r"""
    (?P<skip>\s+ | //[^\n]*)
  | (?P<block>/\*)
  | (?P<text>[bc]?r(?P<hashes>\#*)".*?"(?P=hashes) | [bc]?"(?:\\.|[^"\\])*" | b?'(?:\\.[^']*|[^\\'])')
  | '\w+ | (?:r\#)?\w+ | :: | .""", re.VERBOSE | re.DOTALL)
WORD = re.compile(r"[A-Za-z_]\w*\Z")
PATH_IN_TEXT = re.compile(r"\w+(::\w+)+(::<.*>)?\Z")
CLOSING = {"(": ")", "[": "]", "{": "}"}
ITEMS = {"fn", "struct", "enum", "union", "trait", "type", "const", "static", "mod", "use", "impl", "extern", "macro_rules"}
DECLARING = ITEMS - {"mod", "use", "impl", "extern", "macro_rules"}
# What stands in front of an item's own keyword.
QUALIFIERS = {"pub", "unsafe", "async", "default"}


class Text(str):
    """What stands for a string or character among the tokens; only in an attribute it matters what is in it."""

    inside = ""


def text_token(written):
    token = Text('""')
    token.inside = re.sub(r"""^[bc]?r?#*["']|["']#*$""", "", written)
    return token


def tokens(source):
    """The source without blanks, comments, and what stands in strings."""
    found, at = [], 0
    while at < len(source):
        match = TOKEN.match(source, at)
        at = match.end()
        if match["block"]:
            depth = 1
            while depth:
                edge = re.compile(r"/\*|\*/").search(source, at)
                if edge is None:
                    return found
                depth += 1 if edge.group() == "/*" else -1
                at = edge.end()
        elif match["text"]:
            found.append(text_token(match.group()))
        elif not match["skip"]:
            found.append(match.group().removeprefix("r#"))
    return found


def closing(found, at):
    """Where the bracket at `at` is closed."""
    depth = 0
    for place in range(at, len(found)):
        depth += (found[place] in CLOSING) - (found[place] in CLOSING.values())
        if depth == 0:
            return place
    return len(found)


def holds_without_tests(predicate):
    """Whether a `cfg` predicate can hold outside of tests: False, True, or None for what is not known here."""
    if "(" not in predicate:
        return False if predicate == ["test"] else None
    parts, at = [], 2
    while at < len(predicate) - 1:
        end = at
        while end < len(predicate) - 1 and predicate[end] != ",":
            end = closing(predicate, end) + 1 if predicate[end] in CLOSING else end + 1
        parts.append(holds_without_tests(predicate[at:end]))
        at = end + 1
    if predicate[0] == "not":
        return None if parts[0] is None else not parts[0]
    decisive = predicate[0] == "any"
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive


def holding_attributes(attribute):
    """An attribute as one that holds outside of tests, or nothing: what `cfg_attr` makes, too."""
    if attribute[:1] != ["cfg_attr"]:
        return attribute
    comma = 2
    while attribute[comma] != ",":
        comma = closing(attribute, comma) + 1 if attribute[comma] in CLOSING else comma + 1
    return [] if holds_without_tests(attribute[2:comma]) is False else attribute[comma + 1:-1]


def with_texts(attribute):
    """An attribute's tokens, and in place of a text that is a path the path: `#[serde(with = "crate::b")]`."""
    for at, token in enumerate(attribute):
        is_path = isinstance(token, Text) and PATH_IN_TEXT.match(token.inside) and attribute[at - 2] not in ("reason", "doc")
        yield from tokens(token.inside) if is_path else (token,)


def end_of_item(found, at):
    """The first token behind the item, statement, field or arm that begins at `at`."""
    while at < len(found) and found[at] in QUALIFIERS:
        at = closing(found, at + 1) + 1 if found[at + 1] == "(" else at + 1
    first, second = (found[at:at + 2] + ["", ""])[:2]
    to_semicolon = first in ("use", "type", "static", "let") or (first == "const" and second not in ("fn", "unsafe"))
    while at < len(found):
        if found[at] in CLOSING:
            brace, at = found[at] == "{", closing(found, at) + 1
            if brace and not to_semicolon:
                return at
        elif found[at] in CLOSING.values():
            return at
        else:
            at += 1
            if found[at - 1] == ";" or (found[at - 1] == "," and first not in ITEMS):
                return at
    return at


def tree(found):
    """The paths of a `use` tree: (path, the name it gets); a glob's path ends in `*`."""
    if "{" not in found:
        words = [word for word in found if word != "::"]
        if "as" in words:
            words, name = words[:words.index("as")], words[-1]
        else:
            name = words[-2] if words[-1] == "self" and len(words) > 1 else words[-1]
        yield (words[:-1] if words[-1] == "self" and len(words) > 1 else words), name
        return
    brace = found.index("{")
    prefix, inside, start = found[:brace], found[brace + 1:closing(found, brace)] + [","], 0
    depth = 0
    for at, word in enumerate(inside):
        depth += (word == "{") - (word == "}")
        if word == "," and depth == 0:
            if start < at:
                yield from tree(prefix + inside[start:at])
            start = at + 1


class Module:
    """What one module declares, imports and names."""

    def __init__(self):
        self.items = set()
        self.imports = []  # (public, path, name)
        self.paths = set()
        self.words = set()
        # What stands behind a `::` at the beginning of a path: other crates.
        self.foreign = set()
        # What this check cannot look behind.
        self.hidden = []
        # The module whose file it stands in.
        self.file = None


class Crate:
    """The modules of one crate, by their paths; the root's is empty."""

    def __init__(self, sources, root):
        """`sources`: texts by file names under the crate's folder; `root`: which of them is the crate's root."""
        self.sources, self.modules = sources, {}
        self.folder, self.root = root.rsplit("/", 1)[0], root.rsplit("/", 1)[1].removesuffix(".rs")
        self.read((), tokens(sources[root]), self.folder, ())

    def name(self, path):
        return "::".join(path) or self.root

    def read(self, path, found, folder, file):
        """Reads a module that stands in the file of module `file` and whose children lie in `folder`, and its children."""
        module = self.modules[path] = Module()
        module.file = file
        at = depth = 0
        public, elsewhere = False, None
        while at < len(found):
            word, following = found[at], found[at + 1] if at + 1 < len(found) else ""
            if word == "#" and following in ("[", "!"):
                start = at + 1 + (following == "!")
                end = closing(found, start)
                attribute = found[start + 1:end]
                at = end + 1
                if attribute[:1] == ["cfg"] and holds_without_tests(attribute[2:-1]) is False:
                    while at < len(found) and found[at] == "#":
                        at = closing(found, at + 1) + 1
                    at = end_of_item(found, at)
                if attribute[:1] == ["path"] or (attribute[:1] == ["cfg_attr"] and ["path", "="] in
                                                 [attribute[place:place + 2] for place in range(len(attribute))]):
                    module.hidden.append("#[path]")
                self.name_paths(module, list(with_texts(holding_attributes(attribute))))
                continue
            if word == "pub":
                public = True
                at = closing(found, at + 1) + 1 if following == "(" else at + 1
                continue
            if word == "use" and (WORD.match(following) or following in ("::", "{")):
                end = found.index(";", at)
                # A path that begins with `::` names another crate.
                if following != "::":
                    module.imports += [(public, *branch) for branch in tree(found[at + 1:end])]
                else:
                    module.foreign.update(path[0] for path, _ in tree(found[at + 2:end]))
                at = end + 1
            elif word == "mod" and WORD.match(following) and found[at + 2:at + 3] == ["{"]:
                end = closing(found, at + 2)
                self.read((*path, following), found[at + 3:end], f"{folder}/{following}", file)
                at = end + 1
            elif word == "mod" and WORD.match(following) and found[at + 2:at + 3] == [";"]:
                child = (*path, following)
                for name in (f"{folder}/{following}.rs", f"{folder}/{following}/mod.rs"):
                    if name in self.sources:
                        self.read(child, tokens(self.sources[name]), f"{folder}/{following}", child)
                at += 3
            elif WORD.match(word):
                module.words.add(word)
                if word == "include" and following == "!":
                    module.hidden.append("include!")
                if word == "extern" and found[at + 1:at + 3] == ["crate", "self"]:
                    module.hidden.append("extern crate self")
                if found[at - 1:at] == ["::"] and not (WORD.match(found[at - 2]) or found[at - 2] == ">"):
                    module.foreign.add(word)
                if depth == 0 and word in DECLARING | {"mut"} and WORD.match(following) and following not in DECLARING:
                    module.items.add(following)
                if depth == 0 and word == "macro_rules" and following == "!":
                    module.items.add(found[at + 2])
                at = self.name_path(module, found, at)
            else:
                depth += (word == "{") - (word == "}")
                at += 1
            public = False

    def name_path(self, module, found, at):
        """The path that begins at `at`, if one does; returns what stands behind it, or behind the word."""
        named = [found[at]]
        at += 1
        if found[at - 2:at - 1] != ["::"] or at == 1:
            while found[at:at + 1] == ["::"] and WORD.match((found[at + 1:at + 2] or [""])[0]):
                named.append(found[at + 1])
                at += 2
            if len(named) > 1:
                module.paths.add(tuple(named))
                module.words.update(named)
        return at

    def name_paths(self, module, attribute):
        at = 0
        while at < len(attribute):
            if WORD.match(attribute[at]):
                module.words.add(attribute[at])
                at = self.name_path(module, attribute, at)
            else:
                at += 1

    def find(self, module, path, seen=frozenset()):
        """Where what `module` calls `path` is declared: (module, name), or None for other crates' things."""
        base, rest = module, list(path)
        anchored = rest[0] in ("crate", "self", "super")
        if rest[0] == "crate":
            base, rest = (), rest[1:]
        while rest and rest[0] in ("self", "super"):
            base, rest = base[:-1] if rest[0] == "super" else base, rest[1:]
        return self.within(base, rest, seen) or ((base, rest[0]) if anchored and rest else None)

    def within(self, base, rest, seen):
        if not rest or rest == ["*"]:
            return base, "*"
        first = rest[0]
        if (*base, first) in self.modules:
            return self.within((*base, first), rest[1:], seen) or ((*base, first), rest[1])
        if first in self.modules[base].items:
            return base, first
        if (base, first) in seen:
            return None
        seen = seen | {(base, first)}
        for _, path, name in self.modules[base].imports:
            if name == first and path[-1] != "*":
                home = self.find(base, path, seen)
                if home and home[1] == "*" and len(rest) > 1:
                    return self.within(home[0], rest[1:], seen)
                return home
        for _, path, name in self.modules[base].imports:
            home = self.find(base, path, seen) if name == "*" else None
            if home and home[0] != base:
                inner = self.within(home[0], rest, seen)
                if inner:
                    return inner
        return None

    def uses(self, path, home, name):
        """Whether a module uses what it imports by this name; by a glob, anything of those behind it."""
        module = self.modules[path]
        if name != "*":
            return name in module.words
        return any(self.within(home[0], [word], frozenset()) for word in module.words - module.items)

    def arrows(self):
        """module -> module used -> the names that it uses."""
        arrows = {path: defaultdict(set) for path, module in self.modules.items() if module.file == path}

        def draw(path, home):
            if home and (home[0] or home[1] != "*"):
                start, end = self.modules[path].file, self.modules[home[0]].file
                if start != end:
                    arrows[start][end].add(home[1])

        for path, module in self.modules.items():
            for public, imported, name in module.imports:
                home = self.find(path, imported)
                if home is None:
                    continue
                # A parent that makes its child's thing public, and does not use it itself.
                shown = public and home[0][:len(path)] == path and not self.uses(path, home, name)
                if not shown:
                    draw(path, home)
                if name == "*" and not shown:
                    # What the module behind the glob has from others, and is used here.
                    for _, _, handed_on in self.modules[home[0]].imports:
                        if handed_on in module.words:
                            draw(path, self.within(home[0], [handed_on], frozenset()))
            for named in module.paths:
                draw(path, self.find(path, named))
        return arrows

    def globs_of_everything(self):
        for path, module in self.modules.items():
            if any(name == "*" and self.find(path, imported) == ((), "*") for _, imported, name in module.imports):
                yield self.name(path)

    def hiding_places(self, own_name):
        """What would hide who uses whom: (module, what)."""
        for path, module in self.modules.items():
            yield from ((self.name(path), what) for what in module.hidden)
            if self.root == "lib" and own_name in module.foreign:
                yield self.name(path), f"::{own_name}"

    def circles(self):
        """Each as (the names of its modules, lines that say who uses what of whom)."""
        arrows = self.arrows()
        for ring in components(arrows):
            lines = [f"{self.name(one)} -> {self.name(other)}: {', '.join(sorted(arrows[one][other] - {'*'}) or '*')}"
                     for one in sorted(ring) for other in sorted(ring & set(arrows[one]))]
            yield {self.name(path) for path in ring}, lines


def components(arrows):
    """Sets of at least two nodes each of which reaches all others."""
    reach = {}
    for start in arrows:
        seen, todo = set(), [start]
        while todo:
            for other in arrows[todo.pop()]:
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        reach[start] = seen
    done = set()
    for start in sorted(arrows):
        if start in reach[start] and start not in done:
            ring = {other for other in reach[start] if start in reach[other]}
            done |= ring
            if len(ring) > 1:
                yield ring


def crates(root):
    """(name, crate) for each crate of the workspace, and for those that it excludes."""
    workspace = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]
    for folder in sorted(workspace["members"] + workspace.get("exclude", [])):
        sources = {str(file.relative_to(root / folder)): file.read_text() for file in (root / folder).glob("src/**/*.rs")}
        name = tomllib.loads((root / folder / "Cargo.toml").read_text())["package"]["name"]
        roots = [file for file in ("src/lib.rs", "src/main.rs") if file in sources]
        roots += sorted(file for file in sources if re.fullmatch(r"src/bin/(\w+|\w+/main)\.rs", file))
        for place, file in enumerate(roots):
            yield name if place == 0 else f"{name}, {file.removeprefix('src/')}", Crate(sources, file)


def listed(document):
    """[(crate, modules, why)] of the table."""
    section = re.search(rf"^## {SECTION}\n(.*?)(?=^## |\Z)", document, re.MULTILINE | re.DOTALL)
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")]
            for line in (section.group(1) if section else "").splitlines() if line.startswith("|")]
    return [(cells[0].strip("`"), set(re.findall(r"`([\w:]+)`", cells[1])), cells[2])
            for cells in rows if len(cells) == 3 and cells != HEADER and set(cells[0]) - set("-: ")]


def complaints(found, rows):
    """What is wrong: `found` [(name, crate)] against `rows` of the document."""
    circles = [(name, modules) for name, crate in found for modules, _ in crate.circles()]
    for name, crate in found:
        for module in crate.globs_of_everything():
            yield f"{name}: {module} imports everything of the crate; name what it uses"
        for module, what in crate.hiding_places(name.replace("-", "_")):
            yield f"{name}: {module} has {what}, behind which this check cannot see who uses whom; say mod, crate or super"
    for name, modules in circles:
        if (name, modules) in [row[:2] for row in rows]:
            continue
        near = [row[1] for row in rows if row[0] == name and row[1] & modules]
        if near:
            more, less = modules - near[0], near[0] - modules
            yield (f"{name}: the circle of {written(near[0])} is another now:"
                   + (f" with {written(more)}" if more else "") + (f" without {written(less)}" if less else ""))
        else:
            yield f"{name}: {DOCUMENT} does not list the circle of {written(modules)}"
    for name, modules, why in rows:
        if not any(name == other and modules & inside for other, inside in circles):
            yield f"{name}: the circle of {written(modules)} is gone; take its row out of {DOCUMENT}"
        if not why:
            yield f"{name}: {DOCUMENT} does not say why the circle of {written(modules)} stays"


def written(modules):
    return " ".join(f"`{module}`" for module in sorted(modules))


PAIR = {"src/lib.rs": "mod a;\nmod b;\npub use a::A;\npub use b::*;", "src/a.rs": "use crate::b::B; pub struct A;",
        "src/b.rs": "use crate::a::A; pub struct B;"}
PAIR_LISTED = ("made-up", {"a", "b"}, "because")
# What is wrong, the sources that differ from PAIR's, the document's rows, and a word of the complaint.
WRONG = [
    ("a circle that is not listed", {}, [], "does not list"),
    ("a circle that is listed without a reason", {}, [(*PAIR_LISTED[:2], "")], "does not say why"),
    ("a circle that is gone", {"src/b.rs": "pub struct B;"}, [PAIR_LISTED], "is gone"),
    ("a circle that has grown", {"src/lib.rs": "mod a; mod b; mod c;", "src/c.rs": "use crate::a::A; pub struct C;",
                                 "src/b.rs": "use crate::c::C; pub struct B;"}, [PAIR_LISTED], "with `c`"),
    ("a circle that is smaller", {}, [("made-up", {"a", "b", "c"}, "because")], "without `c`"),
    ("a circle in another crate", {}, [("other", {"a", "b"}, "because")], "does not list"),
    ("a re-export at the root", {"src/b.rs": "use crate::A; pub struct B;"}, [], "does not list"),
    ("a glob re-export at the root", {"src/a.rs": "use crate::B; pub struct A;"}, [], "does not list"),
    ("a renamed import", {"src/b.rs": "use crate::{A as Other, b}; pub struct B;"}, [], "does not list"),
    ("a path in the code", {"src/b.rs": "pub struct B; fn f() { /* /* */ */ let _ = '\"'; super::a::f::<u8>(); }"},
     [], "does not list"),
    ("a module imported, its thing used", {"src/lib.rs": "mod a; mod b; mod c;", "src/c.rs": "pub use crate::a::A;",
                                           "src/b.rs": "use crate::c; fn f(_: c::A) {}"}, [], "does not list"),
    ("a glob of a module that hands on", {"src/lib.rs": "mod a; mod b; mod c;", "src/c.rs": "pub use crate::a::A;",
                                          "src/b.rs": "use crate::c::*; fn f(_: A) {}"}, [], "does not list"),
    ("a parent and its child", {"src/lib.rs": "mod a;", "src/a.rs": "mod c; use c::C; pub struct A;",
                                "src/a/c.rs": "use super::A; pub struct C;"}, [], "`a` `a::c`"),
    ("a parent that calls its child", {"src/lib.rs": "mod a;", "src/a.rs": "mod c; pub struct A; fn f() { c::f() }",
                                       "src/a/c.rs": "use super::A; pub fn f() {}"}, [], "`a` `a::c`"),
    ("a parent that uses what it makes public", {"src/lib.rs": "mod a;", "src/a.rs": "mod c; pub use c::C; pub struct A(C);",
                                                 "src/a/c.rs": "use super::A; pub struct C;"}, [], "`a` `a::c`"),
    ("a folder with mod.rs", {"src/lib.rs": "mod a;", "src/a.rs": "", "src/a/mod.rs": "mod c; use c::C; pub struct A;",
                              "src/a/c.rs": "use super::A; pub struct C;"}, [], "`a` `a::c`"),
    ("a module inside a file", {"src/lib.rs": "mod a;", "src/a.rs": "mod c; use c::C; mod m { pub struct M; }",
                                "src/a/c.rs": "use super::m; pub struct C(m::M);"}, [], "`a` `a::c`"),
    ("the root and its child", {"src/lib.rs": "mod a; use a::A; pub struct R;", "src/a.rs": "use crate::R; pub struct A;"},
     [], "`a` `lib`"),
    ("code for another feature", {"src/b.rs": "#[cfg(not(test))] use crate::a::A; pub struct B;"}, [], "does not list"),
    ("a parent that uses what its glob makes public", {"src/lib.rs": "mod a;", "src/a.rs": "mod c; pub use c::*; pub struct A(C);",
                                                       "src/a/c.rs": "use super::A; pub struct C;"}, [], "`a` `a::c`"),
    ("a parent that uses what a glob of its glob makes public",
     {"src/lib.rs": "mod a;", "src/a.rs": "mod c; pub use c::*; pub struct A(D);", "src/a/c.rs": "use super::A; mod d; pub use d::*;",
      "src/a/c/d.rs": "pub struct D;"}, [], "`a` `a::c`"),
    ("a path in an attribute", {"src/b.rs": "pub struct B { #[arg(value_parser = crate::a::f)] x: u8 }"}, [], "does not list"),
    ("a path that is derived", {"src/b.rs": "#[derive(Clone, crate::a::D)] pub struct B;"}, [], "does not list"),
    ("a path in an attribute of one machine", {"src/b.rs": "#[cfg_attr(unix, derive(crate::a::D))] pub struct B;"}, [], "does not list"),
    ("a path in an attribute's text", {"src/b.rs": "pub struct B(#[serde(with = \"crate::a\")] u8);"}, [], "does not list"),
    ("a function in an attribute's text",
     {"src/b.rs": "pub struct B(#[serde(default = r\"super::a::f::<u8>\")] u8);"}, [], "does not list"),
    ("the crate as one of others", {"src/lib.rs": "extern crate self as me; mod a; mod b;", "src/b.rs": "use me::a::A; pub struct B;"},
     [], "extern crate self"),
    ("an import by the crate's own name", {"src/b.rs": "use ::made_up::a::A; pub struct B;"}, [], "::made_up"),
    ("a path by the crate's own name", {"src/b.rs": "pub struct B; fn f() { ::made_up::a::f() }"}, [], "::made_up"),
    ("a source that is included", {"src/b.rs": "pub struct B; include!(\"c.rs\");"}, [], "include!"),
    ("a module that lies elsewhere", {"src/b.rs": "pub struct B; #[path = \"c.rs\"] mod d;"}, [], "#[path]"),
    ("a module that lies elsewhere on one machine", {"src/b.rs": "pub struct B; #[cfg_attr(unix, path = \"c.rs\")] mod d;"},
     [], "#[path]"),
    ("use crate::*", {"src/b.rs": "use crate::*; pub struct B;"}, [], "everything"),
    ("pub use crate::*", {"src/b.rs": "pub(crate) use crate::*; pub struct B;"}, [], "everything"),
    ("use super::* at the root's child", {"src/b.rs": "use super::*; pub struct B;"}, [], "everything"),
    ("the root under another name", {"src/b.rs": "use crate::{self as all}; use all::*; pub struct B;"}, [], "everything"),
]
# What must pass: the same, and no complaint.
RIGHT = [
    ("a circle that is listed", {}, [PAIR_LISTED]),
    ("a parent that makes its child's things public", {"src/lib.rs": "mod a;", "src/a.rs": "mod c; pub use c::C; pub struct A;",
                                                      "src/a/c.rs": "use super::A; pub struct C;"}, []),
    ("a test", {"src/b.rs": "pub struct B; #[cfg(all(test, unix))] mod tests { use crate::a::A; fn f() -> A {} }"}, []),
    ("an import for a test", {"src/b.rs": "#[cfg(test)]\nuse crate::a::A;\npub struct B;"}, []),
    ("a comment and a string",
     {"src/b.rs": "// use crate::a::A;\n/// [`crate::a::A`]\npub struct B; const C: &str = r#\"crate::a::A\"#;"}, []),
    ("a parent that makes all of its child public",
     {"src/lib.rs": "mod a;", "src/a.rs": "mod c; pub use c::*; pub struct A;", "src/a/c.rs": "use super::A; pub struct C;"}, []),
    ("an attribute",
     {"src/b.rs": "#![expect(clippy::all, reason = \"crate::a::A\")]\n#[doc = \"of crate::a\"] #[serde(rename = \"a\")] "
                  "pub struct B;"}, []),
    ("an attribute for a test", {"src/b.rs": "#[cfg_attr(test, derive(crate::a::D))] pub struct B;"}, []),
    ("a test by an attribute in a test",
     {"src/b.rs": "pub struct B; #[cfg(test)] mod tests { #[path = \"c.rs\"] mod d; include!(\"e.rs\"); }"}, []),
    ("a thing of another crate", {"src/b.rs": "use ::a::A; use std::a; pub struct B;"}, []),
]


def blind_spots():
    """Circles that the check would let pass, and what it takes for one."""
    def said(changed, rows):
        sources = {file: text for file, text in {**PAIR, **changed}.items() if text}
        return list(complaints([("made-up", Crate(sources, "src/lib.rs"))], rows))

    for what, changed, rows, word in WRONG:
        if not any(word in complaint for complaint in said(changed, rows)):
            yield f"the check does not see {what}"
    yield from (f"the check takes {what} for a circle" for what, changed, rows in RIGHT if said(changed, rows))
    table = f"## {SECTION}\n\n| {' | '.join(HEADER)} |\n|---|---|---|\n| `c` | `a` `b::c` | it does |\n"
    if listed(f"{table}\n## Other\n| `d` | `a` `b` | no |\n") != [("c", {"a", "b::c"}, "it does")]:
        yield "the check does not read its table"


def main():
    arguments = [word for word in sys.argv[1:] if not word.startswith("--")]
    root = Path(arguments[0] if arguments else Path(__file__).resolve().parent.parent)
    found = list(crates(root))
    for name, crate in found:
        for modules, lines in crate.circles() if "--quiet" not in sys.argv else ():
            print(f"{name}, {len(modules)} modules: {written(modules)}")
            print("".join(f"    {line}\n" for line in lines), end="")
    if "--only-print" in sys.argv:
        return 0
    document = root / DOCUMENT
    problems = list(blind_spots()) + list(complaints(found, listed(document.read_text() if document.exists() else "")))
    for problem in problems:
        print(f"circles: {problem}", file=sys.stderr)
    if not problems:
        print(f"circles: all are listed, in {len(found)} crates with {sum(len(crate.modules) for _, crate in found)} modules")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
