# SPDX-License-Identifier: Apache-2.0
"""The test executables that `cargo test --no-run --message-format=json` has built, as jobs."""

import json
import re
from pathlib import Path

from side_by_side import Job


def counted(said):
    """Passed, failed and ignored, over all that libtest says."""
    counts = [tuple(map(int, found)) for found in re.findall(r"(\d+) passed; (\d+) failed; (\d+) ignored", said)]
    return tuple(sum(column) for column in zip(*counts)) or (0, 0, 0)


def in_words(said):
    passed, _, ignored = counted(said)
    return f"{passed} passed" + (f", {ignored} ignored" if ignored else "")


def job_name(prefix, folder, target):
    place = {"test": target["name"], "bin": f"src of {target['name']}"}.get(target["kind"][0], "src")
    return f"{prefix}: {folder.name}, {place}"


def names_to_come(metadata, prefix):
    """What `test_jobs` will call its jobs, out of what `cargo metadata --no-deps` says before anything is built."""
    return [job_name(prefix, Path(package["manifest_path"]).parent, target)
            for package in json.loads(metadata)["packages"] for target in package["targets"] if target["test"]]


def test_jobs(said, prefix, packages=None, env=None, needs=None):
    """A job for each executable, in the folder of its package as cargo would run it; of these packages only. `needs` has the
    names of jobs that a target comes after."""
    for line in said.splitlines():
        built = json.loads(line)
        if built.get("reason") != "compiler-artifact" or not built["executable"] or not built["profile"]["test"]:
            continue
        folder, target = Path(built["manifest_path"]).parent, built["target"]
        if packages and folder.name not in packages:
            continue
        behind = (needs or {}).get(target["name"], ())
        yield Job(job_name(prefix, folder, target), (built["executable"],), behind, cwd=folder, told=in_words, limit_s=900,
                  env={"CARGO_MANIFEST_DIR": str(folder), **(env or {})})
