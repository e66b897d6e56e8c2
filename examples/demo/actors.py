# SPDX-License-Identifier: Apache-2.0
"""The programs of the demo, each behind a small class: head-end, card and box."""

import atexit
import json
import os
import queue
import socket
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = ROOT / "target" / "release"
HERE = Path(__file__).resolve().parent
SOURCE = ROOT / "examples" / "media" / "two-services.ts"

# A program that says nothing for so long has failed; the story itself never waits for it.
PATIENCE_S = 60

# Everything that a program can log is kept, and searched for secrets by the tests.
TALKATIVE = {**os.environ, "RUST_LOG": "trace"}


# What stands between box and card: a Phoenix reader or a CCID reader on a serial port, with T=1 or T=0, or a
# socket that takes APDUs.
READERS = ("serial", "serial-t0", "gempc", "gempc-t0", "vpcd")
LINES = {"serial": "phoenix", "gempc": "gempc-twin"}


class ActorError(Exception):
    """A program of the demo failed; the text is what it said."""


def run(log, *command):
    """Runs one of our programs to its end; what it says goes to the log as well."""
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, env=TALKATIVE)
    with open(log, "a") as kept:
        kept.write(result.stdout + result.stderr)
    if result.returncode != 0:
        raise ActorError(f"{Path(command[0]).name} {command[1]}: {result.stderr.strip()}")
    return result.stdout


def free_port():
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Headend:
    """Makes the pairing and packages the stream."""

    def __init__(self, out, schedule, faults=()):
        self.scrambled = out / "scrambled.ts"
        self.report = out / "headend.json"
        self._out, self._log, self._schedule = out, out / "headend.log", schedule
        self._log.write_text("")
        self._faults = [word for name in faults for word in ("--fault", name)]

    def pair(self, card_id, stb_id):
        run(self._log, BIN / "headend", "keys", "pair", "--operator", HERE / "operator.toml", "--card", card_id,
            "--box", stb_id, "--slot", "0", "--out", self._out / "pairing")
        return self._out / "pairing"

    def package(self):
        run(self._log, BIN / "headend", "package", "--schedule", self._schedule, "--operator",
            HERE / "operator.toml", "--in", SOURCE, "--out", self.scrambled, "--report", self.report,
            *self._faults)
        return json.loads(self.report.read_text())


    def verify(self, nonce, pages, ack):
        """Whether the head-end takes a card's report, and what it says."""
        command = [BIN / "headend", "verify-report", "--operator", HERE / "operator.toml", "--schedule", self._schedule,
                   "--previous", self._out / "cards.json", "--nonce", nonce, "--ack", ack, *pages]
        result = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, env=TALKATIVE)
        with open(self._log, "a") as kept:
            kept.write(result.stdout + result.stderr)
        return result.returncode == 0, result.stdout + result.stderr


class Card:
    """The virtual card on a pseudo terminal, and the hand that pulls it or cuts its power."""

    def __init__(self, out, personalisation, faults=(), reader=READERS[0], options=()):
        self._out, memory, self._link = out, out / "card.nvm", out / "card.tty"
        self.inserted = True  # by the hand; the box needs a moment to see it
        self.record, self._log_path = out / "line.txt", out / "card.log"
        memory.unlink(missing_ok=True)
        self._log_path.write_text("")
        run(self._log_path, BIN / "vcard", "personalise", "--from", personalisation, "--memory", memory)
        kind, _, protocol = reader.partition("-")
        if kind == "vpcd":
            address = f"127.0.0.1:{free_port()}"
            self._link, self.url, where = None, f"vpcd:{address}", ["--vpcd", address]
        else:
            self.url = f"{kind}:{self._link}"
            where = ["--line", LINES[kind], "--link", self._link, "--protocol", protocol or "t1"]
        # By its name alone, from inside its folder: the address of a Unix socket has 107 octets.
        self._command = [BIN / "vcard", "serve", "--memory", memory, "--control", "card.ctl", "--record", self.record,
                         *where, *options]
        self._command += [word for name in faults for word in ("--fault", name)]
        self.serve()

    def serve(self, wrapper=()):
        """Puts the card into its reader; wrapper is a command in front of it, such as strace."""
        awaited = [path for path in (self._link, self._out / "card.ctl") if path]
        for stale in awaited:
            stale.unlink(missing_ok=True)
        command = [str(c) for c in (*wrapper, *self._command)]
        with open(self._log_path, "a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=TALKATIVE,
                                             cwd=self._out)
        atexit.register(self._process.kill)  # also when the story ends in its middle
        deadline = time.monotonic() + PATIENCE_S
        while not all(path.exists() for path in awaited):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ActorError("vcard serve: " + self._log_path.read_text().strip())
            time.sleep(0.01)
        self._control = socket.socket(socket.AF_UNIX)
        folder = os.open(self._out, os.O_RDONLY)
        self._control.connect(f"/proc/self/fd/{folder}/card.ctl")
        os.close(folder)
        self._lines = self._control.makefile()

    def power_cuts(self):
        """How often the power has gone inside a command. From the log: the control socket may wait for the reader."""
        return self._log_path.read_text().count("the power was cut inside a command")

    def died(self, seconds):
        """Whether the process ends by itself within this time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self._control.close()
        return True

    def await_reader(self):
        """A card behind a socket comes to its reader, within half a second of the reader being there."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.order("status").get("connected", True):
            if time.monotonic() > deadline:
                raise ActorError(f"vcard serve: no reader at {self.url}")
            time.sleep(0.01)

    def order(self, command):
        """One control command; its answer."""
        self.inserted = {"remove": False, "insert": True}.get(command, self.inserted)
        self._control.sendall(command.encode() + b"\n")
        answer = json.loads(self._lines.readline())
        if answer.get("error"):
            raise ActorError(f"vcard control '{command}': {answer['error']}")
        return answer

    def close(self):
        self._control.close()
        self._process.terminate()
        self._process.wait(PATIENCE_S)


class Box:
    """The player, steered by its remote control: one command, one JSON answer; events in between."""

    def __init__(self, out, card, scrambled, state, box_file, paced, player):
        self.descrambled = out / "descrambled.ts"
        self.events = []
        command = [*player, "--reader", card.url, "--box", box_file, "--state", state,
                   "--log", out / "box.log", "--remote", "--paced" if paced else "--unpaced",
                   "-o", self.descrambled, scrambled]
        self._errors = open(out / "box.err", "w+")
        self._said_file = open(out / "box.events", "w")
        self._process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, text=True,
                                         stdout=subprocess.PIPE, stderr=self._errors, bufsize=1)
        self._answers = queue.Queue()
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self._said_file.write(line)
            message = json.loads(line)
            if "event" in message:
                with self._news:
                    self.events.append(message)
                    self._news.notify_all()
            else:
                self._answers.put(message)
        self._answers.put(None)
        with self._news:
            self._news.notify_all()

    def order(self, *words):
        """One command; its answer."""
        try:
            self._process.stdin.write(" ".join(str(w) for w in words) + "\n")
            answer = self._answers.get(timeout=PATIENCE_S)
        except (BrokenPipeError, queue.Empty) as error:
            raise ActorError(f"player '{words[0]}': no answer ({type(error).__name__})") from error
        if answer is None:
            raise ActorError(f"player '{words[0]}': {self._said()}")
        return answer

    def find(self, event, **wanted):
        """The events of this kind so far."""
        with self._news:
            return [e for e in self.events
                    if e["event"] == event and all(e.get(k) == v for k, v in wanted.items())]

    def await_event(self, event, seconds, **wanted):
        """The newest event of this kind, as soon as there is one; None when `seconds` pass without."""
        found = self._await(lambda: self.find(event, **wanted), seconds)
        return found[-1] if found else None

    def await_purchase(self, request, told, seconds):
        """Until a purchase is no more being settled: by an event after so many that were told of it."""
        self._await(lambda: any(e["state"] != "settling" for e in self.find("purchase", request=request)[told:]), seconds)

    def has_keys(self, service):
        """Whether the descrambler has keys of this service."""
        with self._news:
            said = [e["event"] for e in self.events if e.get("service") == service and e["event"] in ("keys", "wiped")]
        return said[-1:] == ["keys"]

    def await_keys(self, service, seconds):
        """Whether the descrambler has keys of this service, as soon as it has; False when `seconds` pass without."""
        return self._await(lambda: self.has_keys(service), seconds)

    def await_wiped(self, service, seconds):
        """The same for the moment when it has none any more."""
        return self._await(lambda: not self.has_keys(service), seconds)

    def _await(self, condition, seconds):
        """What the condition says as soon as it holds, or when no event can change it any more."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                holds = condition()
                left = deadline - time.monotonic()
                if holds or left <= 0 or self._process.poll() is not None:
                    return holds
                self._news.wait(left)

    def close(self):
        """Ends the player; its exit status."""
        try:
            self._process.stdin.write("quit\n")
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        status = self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        self._errors.close()
        self._said_file.close()
        return status

    def power_off(self):
        """The power goes: nothing more is written, nothing said."""
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        self._errors.close()
        self._said_file.close()

    def _said(self):
        self._errors.flush()
        self._errors.seek(0)
        return self._errors.read().strip() or f"ended with status {self._process.poll()}"
