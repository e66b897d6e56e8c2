# SPDX-License-Identifier: Apache-2.0
"""The library as a later version of it would be, for programs of today: out of this source, built in its place.

Every structure that says its size has grown by a member; what goes out has it set, what comes in must not have it from a
program that does not know it. There is one function more, at a version of its own.
"""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("cam-types", "iso7816", "gp", "ecm-emm", "wallet", "cam-core", "stb-shim", "ffi")
VERSION = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
MAJOR, MINOR, _ = map(int, VERSION.split("."))
SET = "0x5A5A_5A5A_5A5A_5A5A"
FUNCTION = "stbcam_tomorrow"


class NotFound(Exception):
    """The source is not as it was when this was written."""


def _once(text, find, becomes, where):
    if text.count(find) != 1:
        raise NotFound(f"tests/abi_tomorrow.py: {find!r} stands {text.count(find)} times in {where}, expected once")
    return text.replace(find, becomes)


def grown(name, text):
    """A source of the crate ffi, or one of its companions, as it would be."""
    text = re.sub(r"(pub struct \w+_t \{\n(?:(?!\n\}).)*?pub struct_size: usize,(?:(?!\n\}).)*\n)\}", r"\1    pub tomorrow: u64,\n}",
                  text, flags=re.S)
    text = re.sub(r"^( +)(struct_size: (?:0|size_of::<\w+>\(\)),)$", rf"\1tomorrow: {SET},\n\1\2", text, flags=re.M)
    text = re.sub(r"unsafe impl CStruct for (\w+) \{\}",
                  r"unsafe impl CStruct for \1 {\n    const FIRST: usize = core::mem::offset_of!(\1, tomorrow);\n"
                  r"    fn tomorrow(&self) -> u64 {\n        self.tomorrow\n    }\n}", text)
    if name == "ffi/src/size.rs":
        text = _once(text, "const FIRST: usize = size_of::<Self>();",
                     "const FIRST: usize = size_of::<Self>();\n    fn tomorrow(&self) -> u64 {\n        0\n    }", name)
        text = _once(text, "Ok(value.assume_init())",
                     "let value = value.assume_init();\n        if size < size_of::<T>() && value.tomorrow() != 0 {\n"
                     "            return Err(Error::new(STBCAM_E_ARG, format!(\"{name}: read beyond its end\")));\n        }\n"
                     "        Ok(value)", name)
    elif name == "ffi/src/version.rs":
        minor = f"pub const STBCAM_VERSION_MINOR: u32 = {MINOR};"
        text = _once(text, minor, f"pub const STBCAM_VERSION_MINOR: u32 = {MINOR + 1};", name)
        text = _once(text, "#[cfg(test)]\n",
                     f"#[unsafe(no_mangle)]\npub extern \"C\" fn {FUNCTION}() -> i32 {{\n    1\n}}\n\n#[cfg(test)]\n", name)
    elif name == "ffi/stbcam.map":
        last = re.findall(r"^(STBCAM_[\d.]+) \{", text, re.M)[-1]
        text += f"STBCAM_{MAJOR}.{MINOR + 1} {{\n  global:\n    {FUNCTION};\n}} {last};\n"
    elif name.endswith("/Cargo.toml"):
        text = re.sub(r"^\[(?:dev-dependencies|\[test\])\]\n(?:[^\[\n].*\n|\n)*", "", text, flags=re.M)  # those are not here
    elif name == "Cargo.toml":
        text = re.sub(r"^members = \[.*\]$", f"members = {list(FOLDERS)}".replace("'", '"'), text, flags=re.M)
        text = re.sub(r"^exclude = .*\n", "", text, flags=re.M)
        text = _once(text, f'version = "{VERSION}"\n', f'version = "{MAJOR}.{MINOR + 1}.0"\n', name)
    return text


def write(place):
    """The source, below `place`. What has not changed is not written again, so that it is not built again."""
    names = ["Cargo.toml", "Cargo.lock", "Makefile", "clippy.toml", "rustfmt.toml", "include/stbcam.h"]
    names += [str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).rglob("*")
              if path.is_file() and "tests" not in path.relative_to(ROOT).parts[1:2]]
    for name in names:
        old, new = ROOT / name, place / name
        octets = old.read_bytes()
        if name.startswith("ffi/") or name.endswith("Cargo.toml"):
            octets = grown(name, octets.decode()).encode()
        if name == "Cargo.lock" and new.exists() and new.stat().st_mtime > old.stat().st_mtime:
            continue  # cargo has taken out of it what is not here
        if not new.exists() or new.read_bytes() != octets:
            new.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(octets)


def build(place):
    """Where the library is."""
    write(place)
    out = place / "target" / "debug"
    env = {**os.environ, "CARGO_PROFILE_DEV_DEBUG": "0"}
    command = [os.environ.get("MAKE", "make"), "--no-print-directory", "-C", place, "library",
               "STBCAM_BUILD=--target-dir target --quiet", f"STBCAM_OUT={out}"]
    told = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, env=env)
    if told.returncode != 0:
        raise NotFound(f"the library of tomorrow cannot be built:\n{told.stdout[-3000:]}")
    return out
