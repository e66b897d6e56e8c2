#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ABI of every version is kept: tests/abi/VERSION has the header of its day and a program over all of it.

    check_abi.py           everything below, of what is built
    check_abi.py header    include/stbcam.h keeps what each of those headers promises; what would break one is refused by name
    check_abi.py symbols   the library has each function at the version that it came with
    check_abi.py program   the programs of those days run against the library of today
    check_abi.py tomorrow  and against a library of this source in which every structure has grown (tests/abi_tomorrow.py)
    check_abi.py freeze [again]    make abi-freeze: copies include/stbcam.h to the folder of its version. A version that has
                           a heading in CHANGELOG.md is released, and its header stays as it is; unless told again
"""

import contextlib
import functools
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import abi_tomorrow
import ts
from abi_header import Header, broken

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "tests" / "abi"
HEADER = ROOT / "include" / "stbcam.h"
BUILT = ROOT / "target" / "release"
OUT = ROOT / "target" / "abi"
DEMO = ROOT / "examples" / "demo"
FLAGS = ("-std=c99", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
TIMEOUT_S = 120
# What the program plays of the demo's broadcast, and the programme whose pictures it looks at.
SECONDS, CINEMA, EMM_PID, ECM_PIDS = 9, 2, 0x150, (0x140, 0x141)


class Failed(Exception):
    """What is not kept."""


def run(*command, **options):
    told = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False, **{"timeout": TIMEOUT_S, **options})
    if told.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: status {told.returncode}\n{told.stdout[:3000]}")
    return told.stdout


def kept():
    """The folders of versions, the oldest first."""
    found = sorted((path for path in KEPT.iterdir() if path.is_dir()), key=lambda path: [*map(int, path.name.split("."))])
    if not found:
        raise Failed("tests/abi has no version: 'make abi-freeze' makes the first one")
    return found


def header_of(folder):
    return Header((folder / "stbcam.h").read_text())


def refuse(why):
    if why := list(why):
        raise Failed("\n".join(why))


# ---- the header ---------------------------------------------------------------------------------------

def uncalled(header, sources):
    """Functions of a header that none of the sources calls."""
    bare = re.sub(r'/\*.*?\*/|"(\\.|[^"\\])*"', " ", "\n".join(sources), flags=re.S)
    return [f"{name} is called nowhere" for name in header.functions if not re.search(rf"\b{name}\(", bare)]


def headers(cc="cc"):
    today = Header(HEADER.read_text())
    for folder in kept():
        old = header_of(folder)
        refuse(f"{folder.name}: {why}; docs/spec/abi.md, What is kept" for why in broken(old, today, cc))
        refuse(f"tests/abi/{folder.name}: {why}"
               for why in uncalled(old, [path.read_text() for path in sorted(folder.glob("*.c"))]))
        print(f"{folder.name}: {len(old.functions)} functions, {len(old.numbers)} numbers, {len(old.structures)} structures kept")


SMALL = """#include <stddef.h>
#include <stdint.h>
#define STBCAM_API
#define STBCAM_VERSION_MAJOR 1
#define STBCAM_VERSION_MINOR 0
#define STBCAM_OK 0
#define STBCAM_E_ARG (-1)
#define STBCAM_MAX 0x10
/* typedef int32_t commented; */
typedef int32_t stbcam_result_t;
typedef void (*stbcam_log_fn)(void *user, int32_t level);
typedef struct stbcam_money_t {
    int64_t minor;
} stbcam_money_t;
typedef struct stbcam_stats_t {
    size_t struct_size;
    uint64_t apdu;
    uint32_t resets;
    uint8_t sw;
} stbcam_stats_t;
typedef struct stbcam_ops_t {
    size_t struct_size;
    int32_t (*read)(void *user, uint8_t *octets);
    stbcam_money_t price;
} stbcam_ops_t;
STBCAM_API stbcam_result_t stbcam_stats(struct stbcam_stats_t *out);
STBCAM_API
uint32_t stbcam_version(void);
"""

# What becomes of it, and what the check says: nothing where the change keeps everything.
CHANGES = (
    ("", "", None),
    ("#define STBCAM_MAX", "#define STBCAM_E_NEW (-2)\n#define STBCAM_MAX", None),
    ("STBCAM_API\nuint32_t", "STBCAM_API stbcam_result_t stbcam_new(void);\nSTBCAM_API uint32_t", None),
    ("    uint8_t sw;\n", "    uint8_t sw;\n    uint64_t added;\n", None),
    ("#define STBCAM_VERSION_MINOR 0", "#define STBCAM_VERSION_MINOR 3", None),
    ("    uint64_t apdu;\n", "    uint64_t added;\n    uint64_t apdu;\n", "stbcam_stats_t: member apdu moved from 8 to 16 (64 bit)"),
    ("    uint64_t apdu;\n    uint32_t resets;\n", "    uint32_t resets;\n    uint64_t apdu;\n", "member resets moved from 16 to 8"),
    ("    uint8_t sw;\n", "", "stbcam_stats_t: member sw is gone"),
    ("    uint8_t sw;\n", "    uint8_t sw;\n    uint8_t added;\n",
     "stbcam_stats_t: new member added is at 21, inside the 24 octets that the structure had (64 bit)"),
    ("uint32_t resets;", "int32_t resets;", "member resets is 'int32_t resets', was 'uint32_t resets'"),
    ("uint8_t *octets", "const uint8_t *octets", "stbcam_ops_t: member read is 'int32_t (*read)(void *user, const uint8_t"),
    ("    int64_t minor;\n", "    int64_t minor;\n    int64_t added;\n", "stbcam_money_t has no struct_size"),
    ("typedef struct stbcam_money_t {\n    int64_t minor;\n} stbcam_money_t;\n", "typedef int64_t stbcam_money_t;\n",
     "stbcam_money_t is gone"),
    ("int32_t level);", "uint32_t level);", "type stbcam_log_fn is"),
    ("typedef int32_t stbcam_result_t", "typedef int64_t stbcam_result_t", "type stbcam_result_t is 'int64_t stbcam_result_t'"),
    ("stbcam_stats(struct stbcam_stats_t *out)", "stbcam_stats(struct stbcam_stats_t *out, uint32_t which)",
     "function stbcam_stats is 'stbcam_result_t stbcam_stats(struct stbcam_stats_t *out, uint32_t which)', was"),
    ("uint32_t stbcam_version(void);", "", "function stbcam_version is gone"),
    ("uint32_t stbcam_version", "uint64_t stbcam_version", "function stbcam_version is 'uint64_t"),
    ("#define STBCAM_MAX 0x10", "#define STBCAM_MAX 0x11", "STBCAM_MAX is 17, was 16"),
    ("#define STBCAM_MAX 0x10\n", "", "STBCAM_MAX is gone"),
    ("#define STBCAM_E_ARG (-1)\n", "#define STBCAM_E_ARG (-1)\n#define STBCAM_E_NEW -1\n", "STBCAM_E_NEW is -1, which is STBCAM_E_ARG"),
    ("#define STBCAM_VERSION_MAJOR 1", "#define STBCAM_VERSION_MAJOR 2", "STBCAM_VERSION_*"),
)


def changes_are_refused():
    """The check itself: of a small header, and of a program that leaves something out."""
    old = Header(SMALL)
    for find, becomes, expected in CHANGES:
        if SMALL.count(find) != 1 and find:
            raise Failed(f"{find!r} does not stand in the small header once")
        said = list(broken(old, Header(SMALL.replace(find, becomes) if find else SMALL)))
        if bool(said) != bool(expected) or (expected and not any(expected in why for why in said)):
            raise Failed(f"of {find!r} made {becomes!r} the check says {said}, expected {expected!r}")
    called = ["x = stbcam_version(); /* stbcam_stats(x) */ \"stbcam_stats(\""]
    if uncalled(old, called) != ["stbcam_stats is called nowhere"]:
        raise Failed(f"a function that is not called is not found: {uncalled(old, called)}")
    print(f"{len(CHANGES)} changes of a small header judged")


# ---- the library --------------------------------------------------------------------------------------

def exported(library):
    """Name and version of each function that a shared library defines."""
    return dict(re.findall(r" FUNC +GLOBAL +DEFAULT +\d+ (stbcam_\w+)@@(\w+\.[\w.]+)$",
                           run("readelf", "--dyn-syms", "--wide", library), re.M))


def misplaced(symbols, promised):
    """`promised`: version and functions. What is not where it was, and what came later and has taken a place there."""
    before = set()
    for version, functions in promised:
        node = f"STBCAM_{version}"
        for name in functions:
            if name not in before and symbols.get(name) != node:
                yield f"{name} is at {symbols.get(name, 'no version')}, was at {node}"
        for name in sorted(symbols):
            if symbols[name] == node and name not in functions:
                yield f"{name} is at {node}, whose header does not have it: ffi/stbcam.map, a node of its own"
        before |= set(functions)


def symbols(library=BUILT / "libstbcam.so.1"):
    there = exported(library)
    refuse(misplaced(there, [(folder.name, header_of(folder).functions) for folder in kept()]))
    print(f"{len(there)} functions at the versions that they came with")


def libraries_are_refused():
    """The check of symbols, of libraries that are linked here."""
    place = OUT / "symbols"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / "a.c").write_text("int stbcam_a(void) { return 1; }\nint stbcam_b(void) { return 2; }\n")
    first = "STBCAM_1.0 { global: stbcam_a; local: *; };\n"
    promised = [("1.0", ["stbcam_a"])]
    for nodes, expected in (
        (first, []),
        (first + "STBCAM_1.1 { global: stbcam_b; } STBCAM_1.0;\n", []),
        ("STBCAM_1.0 { global: stbcam_a; stbcam_b; local: *; };\n", ["stbcam_b is at STBCAM_1.0, whose header does not have it"]),
        ("STBCAM_1.1 { global: stbcam_a; local: *; };\n", ["stbcam_a is at STBCAM_1.1, was at STBCAM_1.0"]),
        ("STBCAM_1.0 { global: stbcam_b; local: *; };\n", ["stbcam_a is at no version", "stbcam_b is at STBCAM_1.0, whose"]),
    ):
        (place / "a.map").write_text(nodes)
        run("cc", "-shared", "-fPIC", place / "a.c", "-o", place / "a.so", f"-Wl,--version-script={place / 'a.map'}")
        said = list(misplaced(exported(place / "a.so"), promised))
        if len(said) != len(expected) or any(want not in why for want, why in zip(expected, said)):
            raise Failed(f"of {nodes!r} the check says {said}, expected {expected}")


# ---- the programs --------------------------------------------------------------------------------------

def broadcast(stream):
    """The demo's first seconds as records (tests/abi/1.0/box.c): sections, and the packets of Cinema's pictures."""
    packets = ts.read(stream)
    packets = [packet for packet, at in zip(packets, ts.packet_times(packets)) if at < SECONDS]
    programmes = ts.programs(packets)
    records = [(index, b"S", pid, section) for pid in (1, *programmes.values(), *ECM_PIDS, EMM_PID)
               for index, section in ts.sections(packets, pid)]
    pmt = ts.Pmt(next(ts.sections(packets, programmes[CINEMA]))[1])
    video = next(pid for pid, (kind, _) in pmt.streams.items() if kind == 0x1B)
    records += [(packet.index, b"P", video, packet.data) for packet in packets if packet.pid == video]
    records.sort(key=lambda record: record[0])
    return b"".join(kind + pid.to_bytes(2, "big") + len(octets).to_bytes(2, "big") + octets for _, kind, pid, octets in records)


def box(folder):
    """A card, the box that it is paired with, and a broadcast for both, in a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run(BUILT / "vcard", "demo", "--out", folder)
    stream = folder / "scrambled.ts"
    run(BUILT / "headend", "package", "--schedule", DEMO / "schedule.toml", "--operator", DEMO / "operator.toml", "--in",
        ROOT / "examples" / "media" / "two-services.ts", "--out", stream)
    (folder / "broadcast.bin").write_bytes(broadcast(stream))
    stream.unlink()


def compile_program(version, library, out, cc="cc", options=()):
    """A program of that day, linked with the library in `library`."""
    sources = sorted(version.glob("*.c"))
    out.mkdir(parents=True, exist_ok=True)
    program = out / f"every-{version.name}"
    run(cc, *FLAGS, f"-I{version}", *sources, "-o", program, f"-L{library}", "-lstbcam", "-lpthread",
        f"-Wl,-rpath,{Path(library).resolve()}", *options)
    return program


def run_program(program, runner, name):
    folder = OUT / f"box-{name}"
    box(folder)
    return run(*runner, program, BUILT / "vcard", folder)


def programs():
    for version in kept():
        run_program(compile_program(version, BUILT, OUT / "programs"), (), version.name)
        print(f"the program of {version.name}: every call as in its day")


def tomorrow():
    library = abi_tomorrow.build(OUT / "tomorrow")
    symbols(library / "libstbcam.so.1")
    for version in kept():
        run_program(compile_program(version, library, OUT / "programs-tomorrow"), (), f"tomorrow-{version.name}")
        print(f"the program of {version.name}: the same with the library of tomorrow")


# ---- freezing ------------------------------------------------------------------------------------------

def released(version, changelog):
    return re.search(rf"^## \[{re.escape(version)}\.\d+\]", changelog, re.M) is not None


def freeze(again, header=HEADER, folder=KEPT, changelog=ROOT / "CHANGELOG.md"):
    today = Header(header.read_text())
    version = f"{today.numbers['STBCAM_VERSION_MAJOR']}.{today.numbers['STBCAM_VERSION_MINOR']}"
    place = folder / version / "stbcam.h"
    if place.exists() and place.read_text() != today.text and released(version, changelog.read_text()) and not again:
        raise Failed(f"{version}/stbcam.h stays: {version} is released ({changelog.name}). What is new belongs to the next minor version "
                     "(Cargo.toml, ffi/src/version.rs); for a comment alone: make abi-freeze AGAIN=again")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(today.text)
    print(f"{place.parent.name}/stbcam.h: the header of today")
    refuse(f"tests/abi/{version}: {why}; its program stands beside it (begin with a copy of the last version's)"
           for why in uncalled(today, [path.read_text() for path in sorted(place.parent.glob("*.c"))]))


def freezing_is_refused():
    """A header that was released stays, unless told."""
    place = OUT / "freezing"
    shutil.rmtree(place, ignore_errors=True)
    (place / "kept" / "1.0").mkdir(parents=True)
    kept_one, today, log = place / "kept" / "1.0" / "stbcam.h", place / "stbcam.h", place / "CHANGELOG.md"
    (place / "kept" / "1.0" / "every.c").write_text("stbcam_stats(&out); stbcam_version();")
    today.write_text(SMALL)
    log.write_text("## Unreleased\n")
    with contextlib.redirect_stdout(io.StringIO()):
        freeze(False, today, place / "kept", log)
        changed = SMALL.replace("#define STBCAM_OK 0", "#define STBCAM_OK 0 ")
        today.write_text(changed)
        freeze(False, today, place / "kept", log)  # nothing is released
        log.write_text("## [1.0.0] - 2026-12-31\n")
        freeze(False, today, place / "kept", log)  # nothing has changed
        today.write_text(SMALL)
        try:
            freeze(False, today, place / "kept", log)
        except Failed as failed:
            if "1.0 is released" not in str(failed) or kept_one.read_text() != changed:
                raise
        else:
            raise Failed("a released header is written over")
        freeze(True, today, place / "kept", log)
    if kept_one.read_text() != SMALL:
        raise Failed("freeze again does not write")


PARTS = {"header": (headers, changes_are_refused, freezing_is_refused), "symbols": (symbols, libraries_are_refused), "program": (programs,),
         "tomorrow": (tomorrow,)}


def main():
    words = sys.argv[1:]
    if words[:1] == ["freeze"] and words[1:] in ([], ["again"]):
        steps = [functools.partial(freeze, bool(words[1:]))]
    elif not words:
        steps = [step for part in PARTS.values() for step in part]
    elif len(words) == 1 and words[0] in PARTS:
        steps = PARTS[words[0]]
    else:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        for step in steps:
            step()
    except (Failed, abi_tomorrow.NotFound, subprocess.TimeoutExpired) as failed:
        print(f"check_abi: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
