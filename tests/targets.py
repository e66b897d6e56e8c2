#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The library on other processors, and at every time after boot that a counter could end in.

    targets.py [NAME…]     only the steps whose name contains one of these; those that build are always run
    targets.py --step NAME this step alone, of what was built

i686 runs natively, armv7 and aarch64 under qemu-user. A time namespace gives a program another CLOCK_MONOTONIC; only root
may make one, so for anybody else those steps are skipped, by name. Logs: target/cross/log.
"""

import functools
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import check_abi
from executables import test_jobs
from side_by_side import SKIPPED, Job, SideBySide

ROOT = Path(__file__).resolve().parent.parent
CROSS = Path("target/cross")
NATIVE = Path("target/release")
LOGS = CROSS / "log"
TIMEOUT_S = 900

# Just begun; and one second before a count of microseconds or milliseconds leaves 31 or 32 bits: seconds after boot.
# The rigs of engine and card line begin at the same ones (tests/moments).
MOMENTS = {"0": 0, "2^31 us": 2**31 // 10**6 - 1, "2^32 us": 2**32 // 10**6 - 1, "2^31 ms": 2**31 // 10**3 - 1,
           "2^32 ms": 2**32 // 10**3 - 1}

CRATES = ["cam-types", "gp", "iso7816", "ecm-emm", "wallet", "cam-core", "stb-shim", "stbcam-ffi"]
MACHINES = ["iso7816", "cam-core"]
C_FLAGS = ["-std=c99", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iinclude"]

# Debian's compiler builds std from its own source, of the same version; nothing of another toolchain may get in between.
CARGO = "/usr/bin/cargo"
TOOLCHAIN = {**os.environ, "RUSTC": "/usr/bin/rustc", "RUSTDOC": "/usr/bin/rustdoc", "RUSTC_BOOTSTRAP": "1",
             "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_INCREMENTAL": "0"}


class Target:
    """A processor: its triple, the C compiler for it, and what runs its programs here."""

    def __init__(self, triple, gnu, runner=(), options=(), level=0):
        self.triple, self.cc, self.runner, self.options = triple, f"{gnu}-gcc", list(runner), list(options)
        self.out = CROSS / triple / "debug"
        name = f"CARGO_TARGET_{triple.upper().replace('-', '_')}"
        self.env = {**TOOLCHAIN, "CARGO_PROFILE_DEV_OPT_LEVEL": str(level), "CC": self.cc, f"{name}_LINKER": self.cc,
                    f"{name}_RUSTFLAGS": " ".join(f"-Clink-arg={option}" for option in self.options)}
        self.cargo_options = ["--locked", "-Zbuild-std", "--target-dir", str(CROSS), "--target", triple]


LOADER = "/usr/i686-linux-gnu/lib"
I686 = Target("i686-unknown-linux-gnu", "i686-linux-gnu",
              options=[f"-Wl,--dynamic-linker={LOADER}/ld-linux.so.2", f"-Wl,-rpath,{LOADER}"])
ARMV7 = Target("armv7-unknown-linux-gnueabihf", "arm-linux-gnueabihf", ["qemu-arm", "-L", "/usr/arm-linux-gnueabihf"])
# The demo descrambles a stream, and an emulator is some 50 times slower than the processor.
AARCH64 = Target("aarch64-unknown-linux-gnu", "aarch64-linux-gnu", ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"], level=1)


class Skipped(Exception):
    """This machine cannot do it; the text says why."""


class Failed(Exception):
    """The text is the end of the log."""


def run(log, *command, env=None):
    """Runs a command from the project's root; what it says goes to the log and back."""
    with open(LOGS / log, "a") as kept:
        kept.write(f"$ {' '.join(map(str, command))}\n")
        kept.flush()
        start = kept.tell()
        ended = subprocess.run([str(word) for word in command], stdout=kept, stderr=subprocess.STDOUT, env=env,
                               stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False)
    said = (LOGS / log).read_text(errors="replace")[start:]
    if ended.returncode != 0:
        raise Failed("\n".join(said.strip().splitlines()[-15:]))
    return said


@functools.cache
def time_namespaces():
    """Why there are none here; None when there are."""
    made = subprocess.run(["unshare", "-T", "--monotonic", "1", "--fork", "true"], capture_output=True, text=True, check=False)
    return None if made.returncode == 0 else made.stderr.strip().splitlines()[-1]


def since_boot(seconds, *command):
    """The command where CLOCK_MONOTONIC says `seconds` as it begins."""
    why = time_namespaces()
    if why:
        raise Skipped(f"no time namespace, which needs root: {why}")
    return ["unshare", "-T", "--monotonic", str(seconds - int(time.monotonic())), "--fork", *command]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# ---- steps ------------------------------------------------------------------------------------------

def crate_tests(target):
    """Builds the tests of the crates. Without the examples in documentation: this rustdoc calls a crate failed whose only
    example must not compile."""
    command = [CARGO, "test", *target.cargo_options, "--no-run", "--quiet", "--tests", "--message-format=json-render-diagnostics",
               "--features", "stbcam-ffi/counted", *(word for crate in CRATES for word in ("-p", crate))]
    return command, target.env


def crate_jobs(said):
    """The tests of the crates; those of engine and card line, whose rigs begin at each moment, again from there, the
    properties with fewer cases."""
    yield from test_jobs(said, "i686", env={"CC": I686.cc})  # of the test `layout`, which asks the target's compiler
    for name, seconds in list(MOMENTS.items())[1:]:
        env = {"STBCAM_FIRST_MOMENT_US": str(seconds * 10**6), "PROPTEST_CASES": "8"}
        yield from test_jobs(said, f"i686 from {name}", MACHINES, env)


def library(target):
    """libstbcam.a, libstbcam.so.1, the player and the programs of tests/c; make and cargo are told the target as docs/porting.md
    has it, and what is built is installed."""
    out, stage = target.out, CROSS / target.triple / "stage"
    options = target.cargo_options[:target.cargo_options.index("--target")]
    shutil.rmtree(stage, ignore_errors=True)
    variables = [f"CARGO={CARGO}", f"CC={target.cc}", f"CARGO_BUILD_TARGET={target.triple}", f"BIN={out}", f"STBCAM_OUT={out}",
                 f"STBCAM_BUILD={' '.join(options)}", f"LDFLAGS={' '.join(target.options)}"]
    for goals in (["library", out / "player"], ["install-library", "PREFIX=/usr", f"DESTDIR={ROOT / stage}"]):
        run(f"library-{target.triple}", "make", *goals, *variables, env=target.env)
    programs(out, target.cc, target.options)


def static(target):
    """A program of what was installed that needs nothing of the box but its kernel."""
    usr, program = CROSS / target.triple / "stage" / "usr", target.out / "player-static"
    run(f"static-{target.triple}", target.cc, "-std=c99", "-static", f"-I{usr}/include",
        *sorted((usr / "share/doc/stbcam/examples/c").glob("*.c")), usr / "lib/libstbcam.a", "-o", program)
    if "--reader URL" not in run(f"static-{target.triple}", *target.runner[:1], program, "--help"):
        raise Failed("player-static --help has no usage")


def programs(out, compiler, options=()):
    link = [f"-L{out}", "-lstbcam", "-lpthread", f"-Wl,-rpath,{(ROOT / out).resolve()}", *options]
    for name, *sources in (("reader",), ("abuse", "tests/c/sessions.c", "tests/c/demux.c")):
        run(f"library-{out.parent.name}", compiler, *C_FLAGS, f"tests/c/{name}.c", *sources, "-o", out / name, *link)


def card():
    """A memory of a new card, for one program."""
    place = CROSS / f"card-{time.monotonic_ns()}.nvm"
    run("card", NATIVE / "vcard", "personalise", "--from", "examples/demo/card.toml", "--memory", place)
    return place


def reader(out, seconds, runner=()):
    memory = card()
    run(f"reader-{out.parent.name}-{seconds}", *since_boot(seconds, *runner, out / "reader", NATIVE / "vcard", memory))
    memory.unlink()


def abuse(out, seconds, runner=(), url=()):
    run(f"abuse-{out.parent.name}-{seconds}", *since_boot(seconds, *runner, out / "abuse", *url))


def kept_abi(target):
    """Members are where they were on this processor too, and the programs of earlier days run against its library."""
    try:
        check_abi.headers(target.cc)
        for version in check_abi.kept():
            program = check_abi.compile_program(version, target.out, ROOT / target.out / "abi", target.cc, target.options)
            check_abi.run_program(program, target.runner, f"{target.triple}-{version.name}")
    except check_abi.Failed as failed:
        raise Failed(failed) from failed


def long_recording():
    """The player takes a stream of more than 2 GiB: what it then misses is the box's file."""
    stream = CROSS / "long.ts"
    with open(stream, "wb") as file:
        file.write((b"\x47" + bytes(187)) * 8)
        file.truncate((2**31 // 188 + 1) * 188)
    told = subprocess.run([I686.out / "player", "--reader", "vpcd:127.0.0.1:1", "--box", "no-such-box", "--state", CROSS,
                           stream], capture_output=True, text=True, check=False)
    stream.unlink()
    if "no-such-box" not in told.stderr:
        raise Failed(told.stderr.strip())


def demo():
    """The story, where library and player are of aarch64 and everything else of this machine."""
    said = run("demo-aarch64", sys.executable, "examples/demo/story.py", "--unpaced", "--out", CROSS / "demo", "--reader", "vpcd",
               "--player", " ".join([*AARCH64.runner, str(ROOT / AARCH64.out / "player")]))
    if '{"demo":"ok",' not in said:
        raise Failed("\n".join(said.strip().splitlines()[-15:]))


def builds():
    """Each takes both cores; what is built for this machine is linked beside the crates."""
    for target in (I686, ARMV7, AARCH64):
        yield f"{target.triple}: library, player and C programs are built", functools.partial(library, target)
    yield "this machine: C programs are built", lambda: programs(NATIVE, "cc")


def steps():
    """What needs nothing but the builds."""
    yield "aarch64: the demo over vpcd", demo
    for target in (I686, ARMV7, AARCH64):
        yield f"{target.triple}: linked with -static", functools.partial(static, target)
        yield f"{target.triple}: the kept ABI", functools.partial(kept_abi, target)
    for name, seconds in MOMENTS.items():
        for where, out in (("i686", I686.out), ("this machine", NATIVE)):
            yield f"{where}: reader from {name}", functools.partial(reader, out, seconds)
            yield f"{where}: abuse from {name}", functools.partial(abuse, out, seconds)
    for name in ("0", "2^31 us"):
        seconds = MOMENTS[name]
        yield f"armv7: reader from {name}", functools.partial(reader, ARMV7.out, seconds, ARMV7.runner)
        yield (f"armv7: abuse from {name}",
               lambda seconds=seconds: abuse(ARMV7.out, seconds, ARMV7.runner, [f"vpcd:127.0.0.1:{free_port()}"]))
    yield "i686: a recording of more than 2 GiB", long_recording


def jobs():
    def step(name, needs=(), **options):
        return Job(name, (sys.executable, __file__, "--step", name), needs, cwd=ROOT, limit_s=TIMEOUT_S, **options)

    built = tuple(name for name, _ in builds())
    for name in built:
        yield step(name, lane="cross")
    command, env = crate_tests(I686)
    yield Job("i686: tests of the crates are built", tuple(command), lane="cross", cwd=ROOT, env=env, limit_s=TIMEOUT_S, then=crate_jobs)
    for name, _ in steps():
        yield step(name, built, load=0.5)


def one(name):
    """One step, in a process of its own."""
    try:
        dict([*builds(), *steps()])[name]()
    except Skipped as skipped:
        print(skipped)
        return SKIPPED
    except (Failed, subprocess.TimeoutExpired) as failed:
        print(failed)
        return 1
    return 0


def main():
    os.chdir(ROOT)
    LOGS.mkdir(parents=True, exist_ok=True)
    if sys.argv[1:2] == ["--step"]:
        return one(sys.argv[2])
    shutil.rmtree(LOGS)
    LOGS.mkdir()
    side_by_side = SideBySide(ROOT / CROSS / "test", jobs(),
                              lambda job: job.lane or not sys.argv[1:] or any(word in job.name for word in sys.argv[1:]))
    good = side_by_side.run()
    print(side_by_side.summary(), flush=True)
    return not good


if __name__ == "__main__":
    sys.exit(main())
