#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make install` as an integrator meets it: what is there, that nothing was built, what links against it, what is left.

    check_install.py OUT     installs into OUT; the library and the tools are built

Programs are compiled from what was installed alone: C by pkg-config, C with -static, C++17 by CMake.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "target" / "release"
PREFIX = "/opt/stbcam"
PLACES = {"PREFIX": PREFIX, "LIBDIR": f"{PREFIX}/lib/some-gnu", "INCLUDEDIR": f"{PREFIX}/include/tv"}
VERSION = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
SONAME = f"libstbcam.so.{VERSION.split('.')[0]}"
LIBRARY = {
    f"lib/some-gnu/libstbcam.so.{VERSION}", f"lib/some-gnu/{SONAME}", "lib/some-gnu/libstbcam.so", "lib/some-gnu/libstbcam.a",
    "lib/some-gnu/pkgconfig/stbcam.pc", "lib/some-gnu/cmake/stbcam/stbcam-config.cmake",
    "lib/some-gnu/cmake/stbcam/stbcam-config-version.cmake", "include/tv/stbcam.h", "include/tv/stbcam.hpp",
    "include/tv/stbcam-enums.hpp",
}
TOOLS = {"bin/vcard", "bin/headend", "bin/stbcam"}
DOCS = "share/doc/stbcam"
WARN = ["-Wall", "-Wextra", "-Werror"]
# What a text calls a file or a folder of ours.
NAMED = re.compile(r"(?<![\w./-])(?:docs|examples|include|ffi|tests|[a-z-]+/(?:src|tests))/[\w./-]*\w")
TIMEOUT_S = 280


class Failed(Exception):
    """What did not hold."""


def run(*command, refused=False, **env):
    """What the command says; it must end well, or with `refused` badly."""
    told = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, **env}, cwd=ROOT)
    said = told.stdout + told.stderr
    if (told.returncode != 0) != refused:
        raise Failed(f"{' '.join(map(str, command))}: status {told.returncode}\n{said[-1500:]}")
    return said


def make(goal, *variables, **options):
    return run("make", "--no-print-directory", goal, *(f"{name}={value}" for name, value in PLACES.items()), *variables, **options)


def expect(holds, what):
    if not holds:
        raise Failed(what)


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


def state():
    """Of what is built: when, and how long."""
    return {path.name: (path.lstat().st_mtime_ns, path.lstat().st_size)
            for path in [*BUILT.glob("libstbcam.*"), *BUILT.glob("static/*"), *(BUILT / Path(tool).name for tool in TOOLS)]}


def nothing_is_built(stage):
    """Also where a source is newer than what was built, and there is no cargo."""
    before = state()
    run("make", "--no-print-directory", "-W", "ffi/src/lib.rs", "install", f"DESTDIR={stage}", "CARGO=false",
        *(f"{name}={value}" for name, value in PLACES.items()))
    expect(state() == before, "make install has changed what was built")


def all_is_there(installed):
    there = files(installed)
    docs = {name for name in there if name.startswith(DOCS)}
    expect(there - docs == LIBRARY | TOOLS, f"other files than expected: {sorted((there - docs) ^ (LIBRARY | TOOLS))}")
    for name in ("docs/spec/abi.md", "docs/porting.md", "examples/c/player.c", "examples/cpp/CMakeLists.txt", "LICENSE"):
        expect(f"{DOCS}/{name}" in docs, f"{name} is not among {sorted(docs)}")
    for tool in TOOLS:
        run(installed / tool, "--version")
    pc = (installed / "lib/some-gnu/pkgconfig/stbcam.pc").read_text()
    expect(f"prefix={PREFIX}\n" in pc and "libdir=${prefix}/lib/some-gnu\n" in pc, f"stbcam.pc: {pc}")


def all_is_stripped(installed):
    for name in (f"lib/some-gnu/libstbcam.so.{VERSION}", *TOOLS):
        expect(".symtab" not in run("readelf", "-SW", installed / name), f"{name} has its symbols")
    expect(".debug_" not in run("readelf", "-SW", installed / "lib/some-gnu/libstbcam.a"), "libstbcam.a has debug information")


def texts_name_what_is_installed(installed):
    """A file of the source that an installed text names is installed too."""
    for name in sorted(files(installed)):
        path = installed / name
        if path.suffix not in {".h", ".hpp", ".md", ".c", ".cpp", ".txt", ".cmake", ".pc"} or path.name == "CHANGELOG.md":
            continue
        for said in set(NAMED.findall(path.read_text())):
            there = installed / "include/tv" / Path(said).name if said.startswith("include/") else installed / DOCS / said
            expect(there.exists() or not (ROOT / said).exists(), f"{name} names {said}, which is not installed")


def pkg_config(stage, *options):
    return run("pkg-config", *options, "stbcam", PKG_CONFIG_LIBDIR=f"{stage}{PLACES['LIBDIR']}/pkgconfig",
               PKG_CONFIG_SYSROOT_DIR=str(stage)).split()


def player(stage, program, *options):
    sources = sorted((stage / PREFIX[1:] / DOCS / "examples/c").glob("*.c"))
    run("cc", "-std=c99", *WARN, *sources, "-o", program, *options)
    expect("--reader URL" in run(program, "--help"), f"{program.name} --help has no usage")


def links_by_pkg_config(stage):
    libdir = f"{stage}{PLACES['LIBDIR']}"
    player(stage, stage.parent / "player", *pkg_config(stage, "--cflags", "--libs"), f"-Wl,-rpath,{libdir}")
    player(stage, stage.parent / "player-static", "-static", *pkg_config(stage, "--static", "--cflags", "--libs"))
    # By hand: nothing but the archive, and what every Linux has in its libc.
    player(stage, stage.parent / "player-archive", "-static", f"-I{stage}{PLACES['INCLUDEDIR']}", f"{libdir}/libstbcam.a")
    for name in ("player-static", "player-archive"):
        expect("NEEDED" not in run("readelf", "-dW", stage.parent / name), f"{name} wants a shared library")


def links_by_cmake(stage):
    source, build = stage / PREFIX[1:] / DOCS / "examples/cpp", stage.parent / "cmake"
    for kind in ("stbcam", "static"):
        configured = ("cmake", "-S", source, "-B", build / kind, f"-DCMAKE_PREFIX_PATH={stage}{PREFIX}",
                      f"-Dstbcam_DIR={stage}{PLACES['LIBDIR']}/cmake/stbcam", f"-DSTBCAM_KIND={kind}")
        run(*configured)
        run("cmake", "--build", build / kind)
        expect("usage" in run(build / kind / "box", "--help"), f"box of {kind} has no usage")
    told = run("cmake", "-S", source, "-B", build / "later", f"-Dstbcam_DIR={stage}{PLACES['LIBDIR']}/cmake/stbcam",
               "-DSTBCAM_VERSION=2", refused=True)
    expect(VERSION in told, f"a version that is not there is not refused by version: {told}")


def a_first_box(stage):
    """The guide's, word for word, with what was installed and nothing else."""
    installed, folder = stage / PREFIX[1:], stage.parent / "first"
    folder.mkdir()
    guide = (installed / DOCS / "docs/porting.md").read_text().split("## A first box")[1]
    script = guide.split("```sh\n")[1].split("```")[0]
    ended = "trap 'kill $!' EXIT\n"
    told = run("sh", "-e", "-c", f"cd {folder}\n{ended}{script}", DOC=str(installed / DOCS),
               PATH=f"{installed}/bin:{os.environ['PATH']}",
               CMAKE_OPTIONS=f"-Dstbcam_DIR={stage}{PLACES['LIBDIR']}/cmake/stbcam")
    expect("balance 10000 CNY" in told, f"the box does not tell the balance: {told[-1500:]}")


def nothing_is_left(stage):
    make("uninstall", f"DESTDIR={stage}")
    expect(not files(stage), f"left: {sorted(files(stage))}")
    ours = [path for path in stage.rglob("stbcam") if path != stage / PREFIX[1:]]
    expect(not ours, f"directories of ours are left: {ours}")
    make("uninstall", f"DESTDIR={stage}")  # of nothing: done already


def the_library_alone(stage):
    """Needs no tool to be built, and is uninstalled as well."""
    make("install-library", f"DESTDIR={stage}", f"BIN={stage}/no-tools")
    there = {name for name in files(stage / PREFIX[1:]) if not name.startswith(DOCS)}
    expect(there == LIBRARY, f"other files than expected: {sorted(there ^ LIBRARY)}")
    nothing_is_left(stage)


def an_archive_of_something_else(out):
    """A library without a function, or of another processor, is none; nothing is left of it."""
    folder = out / "archives"
    folder.mkdir()
    (folder / "other.c").write_text("int stbcam_open(void) { return 0; }\n")
    wanted = [("", ["0 of", "stbcam.map"])]
    if platform.machine() == "x86_64":
        wanted.append(("-m32", ["links for x86_64", "cargo built for i686-none", "CARGO_BUILD_TARGET="]))
    for kind, words in wanted:
        for made in folder.glob("lib*"):
            made.unlink()
        run("cc", *kind.split(), "-c", folder / "other.c", "-o", folder / "other.o")
        run("ar", "rcs", folder / "libstbcam.a", *([folder / "other.o"] if kind else []))
        told = make(folder / f"libstbcam.so.{VERSION}", f"STBCAM_OUT={folder}", "CARGO=true", "CARGO_BUILD_TARGET=i686-none",
                    refused=True)
        expect(all(word in told for word in words), f"an archive of {kind or 'nothing'}: not {words}: {told}")
        expect(not list(folder.glob("*.so*")), "a library is left")


def refusals(out):
    """Each names what was wrong and what would work."""
    empty = out / "empty"
    shutil.rmtree(empty, ignore_errors=True)
    empty.mkdir()
    for goal, variables, words in (
        ("install", [f"STBCAM_OUT={empty}"], ["libstbcam.a is not there", "make library"]),
        ("install", [f"BIN={empty}"], ["vcard is not there", "make install-library"]),
        ("install", ["LIBDIR=lib"], ["LIBDIR='lib'", "must begin with '/'", "DESTDIR"]),
        # As cargo does with a target of its config file: it has built, but elsewhere.
        ("library", [f"STBCAM_OUT={empty}", "CARGO=true"], ["cargo has not put the library here", "CARGO_BUILD_TARGET=TRIPLE"]),
        ("library", ["CARGO_BUILD_TARGET=armv7-none-such", "CARGO=true"], ["target/armv7-none-such/release/libstbcam.a"]),
    ):
        told = make(goal, f"DESTDIR={empty}/stage", *variables, refused=True)
        expect(all(word in told for word in words), f"make {goal} {variables} does not say {words}: {told}")
    expect(not files(empty), f"left by what was refused: {sorted(files(empty))}")


def main():
    out = Path(sys.argv[1]).resolve()
    shutil.rmtree(out, ignore_errors=True)
    stage, alone = out / "stage", out / "alone"
    stage.mkdir(parents=True)
    installed = stage / PREFIX[1:]
    steps = (
        (nothing_is_built, stage), (all_is_there, installed), (all_is_stripped, installed), (texts_name_what_is_installed, installed),
        (links_by_pkg_config, stage), (links_by_cmake, stage), (a_first_box, stage),
        (nothing_is_left, stage), (the_library_alone, alone), (an_archive_of_something_else, out), (refusals, out),
    )
    failed = 0
    for step, where in steps:
        try:
            step(where)
        except (Failed, OSError, subprocess.TimeoutExpired) as problem:
            failed += 1
            print(f"{step.__name__}: {problem}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
