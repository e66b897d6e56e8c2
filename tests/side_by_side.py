# SPDX-License-Identifier: Apache-2.0
"""Runs commands side by side: whoever computes has a core to himself, whoever waits costs none.

How long a job takes, and how much of a core, is known from the last time (target/test/times.json). The longest job begins
first, and a new one as long as all that run together fill the cores. A build stands beside this: of those in one lane,
which is one folder of cargo's, one runs at a time, with less right to the cores than the tests.
"""

import dataclasses
import json
import os
import queue
import signal
import subprocess
import threading
import time
import typing
from pathlib import Path

SHOWN_LINES = 60
SKIPPED = 77  # the exit status of a job that cannot be done on this machine, and says why


@dataclasses.dataclass(frozen=True)
class Job:
    """A command. `needs` are the names of jobs that it comes after; `then` makes further jobs of what it said on stdout;
    `told` makes a few words of what it said."""

    name: str
    command: tuple
    needs: tuple = ()
    lane: str = ""
    cwd: Path | None = None
    env: dict = dataclasses.field(default_factory=dict)
    seconds: float = 3  # as long as nothing else is known
    load: float = 1
    limit_s: float = 300
    then: typing.Callable = lambda said: ()
    told: typing.Callable = lambda said: ""


class Ended(typing.NamedTuple):
    job: Job
    status: int
    seconds: float
    cores: float


class SideBySide:
    """The jobs, those that run and those that wait."""

    def __init__(self, folder, jobs, wanted=lambda job: True):
        self.logs, self.times_file = folder / "log", folder / "times.json"
        self.logs.mkdir(parents=True, exist_ok=True)
        try:
            self.times = json.loads(self.times_file.read_text())
        except (OSError, ValueError):
            self.times = {}
        self.wanted = wanted
        self.waiting, self.running = [job for job in jobs if wanted(job)], {}
        self.ended, self.failed, self.skipped, self.left_out = [], [], [], []
        self.news = queue.Queue()
        self.budget = (os.cpu_count() or 1) + 0.3

    def seconds(self, job):
        return self.times.get(job.name, (job.seconds, job.load))[0]

    def load(self, job):
        return 0 if job.lane else self.times.get(job.name, (job.seconds, job.load))[1]

    def log(self, job):
        return self.logs / "".join(c if c.isalnum() or c in "-_." else "-" for c in job.name)

    # ---- one job -----------------------------------------------------------------------------------

    def start(self, job):
        """In a group of its own, to be ended whole. Not in a session: its leader would be given the first pseudo terminal that
        it opens as its own, and be hung up with it."""
        begin = time.monotonic()
        command = [str(word) for word in (["nice", *job.command] if job.lane else job.command)]
        with open(self.log(job), "wb") as said, open(f"{self.log(job)}.err", "wb") as errors:
            try:
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=errors, cwd=job.cwd,
                                           env={**os.environ, **job.env}, process_group=0)
            except OSError as error:
                errors.write(str(error).encode())
                self.news.put(Ended(job, 127, 0, 0))
                process = None
        self.running[job.name] = (job, process, begin)
        if not process:
            return
        threading.Thread(target=self.await_end, args=(job, process, begin), daemon=True).start()

    def await_end(self, job, process, begin):
        """The time of the processors is that of all children that were waited for."""
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        self.news.put(Ended(job, process.returncode, seconds, (used.ru_utime + used.ru_stime) / max(seconds, 0.001)))

    def said(self, job):
        return self.log(job).read_text(errors="replace")

    def end(self, ended):
        job = ended.job
        del self.running[job.name]
        self.ended.append(job)
        if ended.status == SKIPPED:
            self.skipped.append(job.name)
            print(f"SKIPPED {job.name}: {self.said(job).strip()}", flush=True)
            return
        if ended.status != 0:
            self.failed.append(job.name)
            overdue = f", no end after {job.limit_s} s" if ended.seconds > job.limit_s else ""
            print(f"FAILED  {job.name} (status {ended.status}{overdue}, {ended.seconds:.1f} s)", flush=True)
            said = self.said(job) + Path(f"{self.log(job)}.err").read_text(errors="replace")
            print("".join(f"    {line}\n" for line in said.strip().splitlines()[-SHOWN_LINES:]), end="", flush=True)
            return
        # Beside a build it had less than it would have taken.
        cores = max(ended.cores, 0.7 * self.load(job))
        self.times[job.name] = (round(ended.seconds, 2), round(cores, 2))
        told = job.told(self.said(job))
        print(f"ok      {job.name}{': ' if told else ''}{told} ({ended.seconds:.1f} s)", flush=True)
        self.waiting += [further for further in job.then(self.said(job)) if self.wanted(further)]

    # ---- all of them -------------------------------------------------------------------------------

    def leave_out(self):
        """What needs a job that has failed is not begun."""
        lost = {*self.failed, *self.left_out}
        while late := [job for job in self.waiting if lost & set(job.needs)]:
            for job in late:
                self.waiting.remove(job)
                self.left_out.append(job.name)
                lost.add(job.name)
                print(f"LEFT OUT {job.name}", flush=True)

    def next(self):
        """The longest job that may begin and has room."""
        lanes = {job.lane for job, _, _ in self.running.values() if job.lane}
        load = sum(self.load(job) for job, _, _ in self.running.values())
        open_needs = {*self.running, *(job.name for job in self.waiting)}
        for job in sorted(self.waiting, key=self.seconds, reverse=True):
            if open_needs & set(job.needs) or job.lane in lanes:
                continue
            if job.lane and job is not next(other for other in self.waiting if other.lane == job.lane):
                continue  # a lane keeps its order
            if job.lane or load == 0 or load + self.load(job) <= self.budget:
                return job
        return None

    def run(self):
        """Runs everything; whether all of it was good."""
        try:
            while self.waiting or self.running:
                self.leave_out()
                while job := self.next():
                    self.waiting.remove(job)
                    self.start(job)
                try:
                    self.end(self.news.get(timeout=1))
                except queue.Empty:
                    self.stop(overdue=True)
        finally:
            self.stop(overdue=False)
            self.times_file.write_text(json.dumps(self.times, indent=0, sort_keys=True))
        return not self.failed

    def summary(self):
        counts = {"passed": len(self.ended) - len(self.failed) - len(self.skipped), "failed": len(self.failed),
                  "skipped": len(self.skipped), "left out": len(self.left_out)}
        words = ", ".join(f"{count} {word}" for word, count in counts.items() if count or word in ("passed", "failed"))
        return words + "".join(f"\nFAILED  {name}" for name in self.failed)

    def stop(self, overdue):
        for job, process, begin in list(self.running.values()):
            if process and (not overdue or time.monotonic() > begin + job.limit_s):
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
