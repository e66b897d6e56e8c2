# SPDX-License-Identifier: Apache-2.0
"""What a C header of ours promises, and whether a later one keeps it.

A promise is a function's declaration, a number, a type, a structure's members with their types and places. Places are the
compiler's: both headers are compiled, for every width that it has.
"""

import platform
import re
import subprocess
import tempfile
from pathlib import Path

# Numbers of these families name one thing each: a new name may not take a number that is given out. Flags and lengths are
# no families, nor is what a structure's comment numbers by itself.
FAMILIES = ("STBCAM_E_", "STBCAM_EV_", "STBCAM_REASON_", "STBCAM_TXN_", "STBCAM_CARD_", "STBCAM_REMEDY_", "STBCAM_READER_")
# What counts releases; STBCAM_API is no number.
COUNTS = ("STBCAM_VERSION_MAJOR", "STBCAM_VERSION_MINOR", "STBCAM_VERSION_PATCH")


class Header:
    """A header's text, taken apart. `functions`, `types`: name and declaration; `numbers`: name and value; `structures`:
    name, and in their order the members with their declarations."""

    def __init__(self, text):
        self.text = text
        bare = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        self.numbers = {name: int(value.strip("()"), 0)
                        for name, value in re.findall(r"^#define (STBCAM_\w+) +(\(?-?\w+\)?) *$", bare, re.M)
                        if re.fullmatch(r"-?(0x)?[0-9A-Fa-f]+", value.strip("()"))}
        code = re.sub(r"^[ \t]*#.*$", "", bare, flags=re.M)
        self.structures = {}
        for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", code, re.S):
            members = [" ".join(member.split()) for member in body.split(";") if member.strip()]
            self.structures[name] = {_name_of(member): member for member in members}
        code = re.sub(r"typedef struct \w+ \{.*?\} \w+;", "", code, flags=re.S)
        self.functions = {re.search(r"\b(stbcam_\w+)\(", said)[1]: said
                          for said in (" ".join(found.split()) for found in re.findall(r"STBCAM_API\s(.*?);", code, re.S))}
        self.types = {_name_of(said): said
                      for said in (" ".join(found.split()) for found in re.findall(r"typedef\s(.*?);", code, re.S))}


def _name_of(declaration):
    """Of a member or a type: what stands in (*…), else the last word before an array's size."""
    function = re.search(r"\(\*(\w+)\)\(", declaration)
    return function[1] if function else re.search(r"(\w+)(?:\[\w+\])*$", declaration)[1]


def compilers(cc):
    """The widths that `cc` compiles for."""
    yield [cc]
    if cc == "cc" and platform.machine() == "x86_64":
        yield [cc, "-m32"]


def layouts(header, compiler):
    """Of each structure: its size, and place and size of each member; and the octets of a pointer."""
    wanted, source = [], ["#include <stddef.h>", '#include "header.h"',
                          '__attribute__((section(".layout"), used)) const unsigned long long layout[] = { sizeof(void *),']
    for name, members in header.structures.items():
        source.append(f"sizeof({name}),")
        wanted.append((name, None))
        for member in members:
            source.append(f"offsetof({name}, {member}), sizeof((({name} *)0)->{member}),")
            wanted.append((name, member))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "header.h").write_text(header.text)
        (place / "layout.c").write_text("\n".join([*source, "};", ""]))
        # Freestanding: a compiler has its own <stdint.h> for widths that no libc is installed for.
        _run(*compiler, "-std=c99", "-ffreestanding", "-c", place / "layout.c", "-o", place / "layout.o")
        objcopy = _run(compiler[0], "-print-prog-name=objcopy").strip()
        _run(objcopy, "-O", "binary", "--only-section=.layout", place / "layout.o", place / "layout")
        octets = (place / "layout").read_bytes()
    numbers = iter(int.from_bytes(octets[at:at + 8], "little") for at in range(0, len(octets), 8))
    pointer, found = next(numbers), {}
    for name, member in wanted:
        found[name, member] = next(numbers) if member is None else (next(numbers), next(numbers))
    return pointer * 8, found


def _run(*command):
    told = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if told.returncode != 0:
        raise ValueError(f"{' '.join(map(str, command))}: {told.stderr.strip()}")
    return told.stdout


def broken(old, new, cc="cc"):
    """Every promise of the header `old` that `new` does not keep, in words."""
    yield from _declarations("function", old.functions, new.functions)
    yield from _declarations("type", old.types, new.types)
    yield from _numbers(old.numbers, new.numbers)
    named = list(_members(old, new))
    yield from named
    if not named:  # else the compiler would only say it again
        for compiler in compilers(cc):
            yield from _places(old, new, compiler)


def _declarations(kind, old, new):
    for name, said in old.items():
        if name not in new:
            yield f"{kind} {name} is gone"
        elif new[name] != said:
            yield f"{kind} {name} is '{new[name]}', was '{said}'"


def _numbers(old, new):
    for name, value in old.items():
        if name not in new:
            yield f"{name} is gone"
        elif name not in COUNTS and new[name] != value:
            yield f"{name} is {new[name]}, was {value}"
    if [new.get(name, 0) for name in COUNTS] < [old.get(name, 0) for name in COUNTS] or new.get(COUNTS[0]) != old.get(COUNTS[0]):
        yield "STBCAM_VERSION_*: an ABI is kept by the same major version and the same or a later minor one"
    for name in new.keys() - old.keys():
        family = next((family for family in FAMILIES if name.startswith(family)), None)
        taken = [other for other in old if family and other.startswith(family) and old[other] == new[name]]
        if taken:
            yield f"{name} is {new[name]}, which is {taken[0]}"


def _members(old, new):
    for name, members in old.structures.items():
        there = new.structures.get(name)
        if there is None:
            yield f"{name} is gone"
            continue
        for member, said in members.items():
            if member not in there:
                yield f"{name}: member {member} is gone"
            elif there[member] != said:
                yield f"{name}: member {member} is '{there[member]}', was '{said}'"
        if there.keys() - members.keys() and next(iter(members)) != "struct_size":
            yield f"{name} has no struct_size, so no member can be added"


def _places(old, new, compiler):
    width, was = layouts(old, compiler)
    _, now = layouts(new, compiler)
    for (name, member), place in was.items():
        if member is None:
            if now[name, None] < place:
                yield f"{name} has {now[name, None]} octets, had {place} ({width} bit)"
            continue
        if now[name, member][0] != place[0]:
            yield f"{name}: member {member} moved from {place[0]} to {now[name, member][0]} ({width} bit)"
        if now[name, member][1] != place[1]:
            yield f"{name}: member {member} has {now[name, member][1]} octets, had {place[1]} ({width} bit)"
    for (name, member), place in now.items():
        end = was.get((name, None))
        if member is not None and end is not None and (name, member) not in was and place[0] < end:
            yield f"{name}: new member {member} is at {place[0]}, inside the {end} octets that the structure had ({width} bit)"
    # An array's elements and what holds a structure move with its size.
    for name, members in new.structures.items():
        if name in old.structures and next(iter(members)) != "struct_size" and now[name, None] != was[name, None]:
            yield f"{name} has {now[name, None]} octets, had {was[name, None]} ({width} bit)"
